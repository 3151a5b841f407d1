//! Key of a picture: a hash, bit by bit, of what it is drawn of. Equal keys give equal pictures.

use super::colormap::Bands;
use super::map::{AxisTitle, Extras, MapScene, Palette, SurfaceLayer};
use super::picture::Rgb;

/// All that goes into a picture, kept whole rather than hashed, so that no two are taken for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PictureKey(Vec<u64>);

impl PictureKey {
    /// Appends a number; those that are not equal in each bit are different.
    #[must_use]
    pub fn number(mut self, number: f64) -> Self {
        self.0.push(number.to_bits());
        self
    }

    /// Appends a count, an index or a case.
    #[must_use]
    pub fn count(mut self, count: usize) -> Self {
        self.0.push(count as u64);
        self
    }

    /// Appends numbers and how many they are.
    #[must_use]
    pub fn numbers(mut self, numbers: &[f64]) -> Self {
        self.0.push(numbers.len() as u64);
        self.0.extend(numbers.iter().map(|number| number.to_bits()));
        self
    }

    /// Appends text and how long it is.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.0.push(text.len() as u64);
        self.0.extend(text.bytes().map(u64::from));
        self
    }

    /// Appends a scene, but for the checkpoint that is looked at.
    #[must_use]
    pub fn scene(self, scene: &MapScene<'_>) -> Self {
        // Named one by one, so that a field that is added is not left out.
        let MapScene {
            x,
            y,
            backdrop,
            path,
            selected: _,
            axes,
            scale,
            layers,
            marker,
            palette,
            extras,
        } = scene;
        let key = self.numbers(x).numbers(y).numbers(path.as_flattened());
        let key = key.count(*scale as usize).count(*layers as usize);
        let key = key.count(*marker as usize);
        let key = axes.iter().fold(key, Self::axis);
        key.backdrop(backdrop.as_ref())
            .palette(palette.as_ref())
            .extras(extras)
    }

    fn axis(self, AxisTitle { name, share }: &AxisTitle) -> Self {
        self.text(name).numbers(share.as_slice())
    }

    /// Hashes what pictures show of the surface: the points that were measured, and their losses.
    fn backdrop(self, backdrop: Option<&SurfaceLayer<'_>>) -> Self {
        let Some(SurfaceLayer { surface, stale }) = backdrop else {
            return self.count(0);
        };
        let mut key = (self.count(1).numbers(surface.x()).numbers(surface.y()))
            .number(surface.tolerance())
            .count(usize::from(*stale));
        let (columns, rows) = (surface.x().len(), surface.y().len());
        for at in (0..rows).flat_map(|j| (0..columns).map(move |i| (i, j))) {
            match surface.get(at.0, at.1) {
                Some(measure) => key.0.extend([1, measure.loss.to_bits()]),
                None => key.0.push(0),
            }
        }
        key
    }

    fn palette(self, palette: Option<&Palette>) -> Self {
        let Some(Palette {
            bands,
            levels,
            ground,
            text,
            faint,
            path,
            mark,
        }) = palette
        else {
            return self.count(0);
        };
        let colours = [ground, text, faint, path, mark].into_iter().copied();
        let key = self.count(1).bands(*bands).count(*levels);
        colours.fold(key, Self::colour)
    }

    fn colour(self, Rgb(r, g, b): Rgb) -> Self {
        self.count(u32::from_be_bytes([0, r, g, b]) as usize)
    }

    fn bands(self, bands: Bands) -> Self {
        match bands {
            Bands::Gradient { map, recede } => self.count(map as usize).number(recede),
            Bands::Steps(steps) => {
                let key = self.count(usize::MAX).count(steps.len());
                steps.iter().copied().fold(key, Self::colour)
            }
        }
    }

    fn extras(self, extras: &Extras<'_>) -> Self {
        let Extras {
            doubts,
            drops,
            second_run,
            gone,
            old_branches,
            of,
            uncertainty,
        } = extras;
        let key = self
            .number(uncertainty.between)
            .number(uncertainty.sampling);
        let key = key.numbers(doubts).numbers(second_run.as_flattened());
        let key = key.count(drops.len());
        let key = drops.iter().fold(key, |key, drop| key.count(*drop));
        let key = key.count(gone.len());
        let key = (gone.iter()).fold(key, |key, gone| key.count(usize::from(*gone)));
        let key = key.count(old_branches.len());
        let key = (old_branches.iter()).fold(key, |key, branch| key.numbers(branch.as_flattened()));
        key.count(usize::from(of.is_some())).text(of.unwrap_or(""))
    }
}
