//! A surface and a scene of it, for tests of maps and reliefs.

use crate::landscape::Surface;
use crate::landscape::grid::survey::spread;
use crate::loss::Measure;

use super::colormap::{Bands, Colormap};
use super::levels::LevelScale;
use super::map::{AxisTitle, Extras, Layers, MapScene, Palette, SurfaceLayer};
use super::picture::Rgb;
use super::raster::Marker;

/// Colours of a dark theme.
pub(super) const TINTS: Palette = Palette {
    bands: Bands::Gradient {
        map: Colormap::Viridis,
        recede: 0.28,
    },
    levels: 12,
    ground: Rgb(0, 0, 0),
    text: Rgb(200, 200, 200),
    faint: Rgb(100, 100, 100),
    path: Rgb(255, 255, 255),
    mark: Rgb(255, 128, 0),
};

/// Returns a surface over −1…1, every point measured.
pub(super) fn surface(loss: impl Fn(f64, f64) -> f64) -> Surface {
    let lines = spread(-1.0, 1.0, 33);
    let mut surface = Surface::new(lines.clone(), lines.clone());
    for (i, x) in lines.iter().enumerate() {
        for (j, y) in lines.iter().enumerate() {
            let measure = Measure {
                loss: loss(*x, *y),
                score: 0.5,
            };
            surface.record(i, j, measure);
        }
    }
    surface
}

/// Returns a scene of a surface and a path, as bands over −1…1.
pub(super) fn scene<'a>(surface: &'a Surface, path: &'a [[f64; 2]]) -> MapScene<'a> {
    let title = |name: &str, share| AxisTitle {
        name: name.into(),
        share: Some(share),
    };
    MapScene {
        x: [-1.0, 1.0],
        y: [-1.0, 1.0],
        backdrop: Some(SurfaceLayer {
            surface,
            stale: false,
        }),
        path,
        selected: path.len().saturating_sub(1),
        axes: [title("PC1", 0.734), title("PC2", 0.183)],
        scale: LevelScale::Log,
        layers: Layers::Bands,
        marker: Marker::Braille,
        palette: Some(TINTS),
        extras: Extras::default(),
    }
}
