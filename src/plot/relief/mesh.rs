//! The surface as points in the box: heights between the lowest loss and the top level.

use crate::landscape::Origin;
use crate::landscape::grid::surface::log_loss;
use crate::landscape::grid::survey::spread;

use super::super::levels::Levels;
use super::super::map::MapScene;

/// Properties of a point beside its height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tone {
    /// Band of the levels.
    pub(super) band: usize,
    /// Not the last word: interpolated only, or of an earlier plane.
    pub(super) preliminary: bool,
}

/// A point of the surface.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Node {
    /// Its place in the box.
    pub(super) at: [f64; 3],
    pub(super) tone: Tone,
}

/// Density of the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MeshDensity {
    /// Spaces between drawn lines, along α as along β.
    pub(super) spaces: usize,
    /// Pieces of a line between two crossings.
    pub(super) pieces: usize,
}

/// Heights of losses: z = ln(L + 10⁻³) (docs/math.md 11) from the lowest loss, 0, to the top level, 1. What
/// is above the top level lies at 1: the surface has a flat top there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Heights {
    lowest: f64,
    top: f64,
}

impl Heights {
    pub(super) fn of(levels: &Levels) -> Self {
        let z = |loss: Option<f64>| loss.map_or(f64::NAN, log_loss);
        Self {
            lowest: z(levels.lowest()),
            top: z(levels.values().last().copied()),
        }
    }

    /// Returns the height of a loss, 0 to 1; where all losses are equal, 0. None for what is not finite.
    pub(super) fn height(self, loss: f64) -> Option<f64> {
        let above = log_loss(loss) - self.lowest;
        let share = above / (self.top - self.lowest);
        let height = if share.is_nan() { 0.0 } else { share };
        above.is_finite().then_some(height.clamp(0.0, 1.0))
    }
}

/// Points of the surface at the crossings of evenly spread lines; `None` in a hole, and if nothing is known
/// yet.
pub(super) struct Mesh {
    pub(super) density: MeshDensity,
    pub(super) levels: Levels,
    pub(super) heights: Heights,
    /// True if there is a point above the top level.
    pub(super) clipped: bool,
    nodes: Vec<Option<Node>>,
}

impl Mesh {
    /// Samples the surface of the scene; without one, no point is known.
    pub(super) fn of(scene: &MapScene<'_>, density: MeshDensity) -> Self {
        let count = density.spaces * density.pieces + 1;
        let lines = |[min, max]: [f64; 2]| spread(min, max, count);
        let field = scene
            .backdrop
            .map(|backdrop| backdrop.sample(&lines(scene.x), &lines(scene.y)))
            .unwrap_or_default();
        let levels = scene.levels(field.loss.iter().copied());
        let heights = Heights::of(&levels);
        let step = 1.0 / (count - 1).max(1) as f64;
        let node = |(index, (loss, origin)): (usize, (&f64, &Origin))| {
            let (i, j) = (index % count, index / count);
            let height = heights
                .height(*loss)
                .filter(|_| *origin != Origin::Unknown)?;
            let preliminary = scene
                .backdrop
                .is_none_or(|backdrop| backdrop.is_preliminary(*origin));
            Some(Node {
                at: [i as f64 * step, j as f64 * step, height],
                tone: Tone {
                    band: levels.band(*loss),
                    preliminary,
                },
            })
        };
        let nodes = field.loss.iter().zip(&field.origin).enumerate().map(node);
        let nodes: Vec<_> = nodes.collect();
        let top = levels.values().last();
        let clipped = top.is_some_and(|top| field.loss.iter().any(|loss| loss > top));
        Self {
            density,
            levels,
            heights,
            clipped,
            nodes,
        }
    }

    /// Returns the lines of points, along α as along β.
    fn count(&self) -> usize {
        self.density.spaces * self.density.pieces + 1
    }

    fn node(&self, i: usize, j: usize) -> Option<Node> {
        self.nodes.get(j * self.count() + i).copied().flatten()
    }

    /// Returns the squares between the points whose corners are all known, corners in order round each.
    pub(super) fn quads(&self) -> impl Iterator<Item = [Node; 4]> {
        let squares = self.count() - 1;
        let all = (0..squares).flat_map(move |j| (0..squares).map(move |i| (i, j)));
        all.filter_map(|(i, j)| {
            Some([
                self.node(i, j)?,
                self.node(i + 1, j)?,
                self.node(i + 1, j + 1)?,
                self.node(i, j + 1)?,
            ])
        })
    }

    /// Returns the pieces of the drawn lines whose ends are both known.
    pub(super) fn pieces(&self) -> impl Iterator<Item = [Node; 2]> {
        let (count, every) = (self.count(), self.density.pieces);
        let along = move |k: usize| (1..count).map(move |step| (k, step));
        let all = (0..count).step_by(every).flat_map(along);
        all.flat_map(|(k, step)| {
            [
                self.node(step - 1, k).zip(self.node(step, k)),
                self.node(k, step - 1).zip(self.node(k, step)),
            ]
        })
        .flatten()
        .map(|(from, to)| [from, to])
    }

    /// Returns the height of the surface above a point of the ground (0 to 1 each), linear between the points
    /// of the mesh; `None` beside a hole and if nothing is known.
    pub(super) fn height(&self, [a, b]: [f64; 2]) -> Option<f64> {
        let squares = (self.count() - 1) as f64;
        let split = |share: f64| {
            let place = share * squares;
            (0.0..=squares)
                .contains(&place)
                .then(|| (place as usize, place.fract()))
        };
        let ((i, s), (j, t)) = (split(a)?, split(b)?);
        // On a line the square behind it, which may be a hole, has no say.
        let along = |j: usize| {
            let from = self.node(i, j)?.at[2];
            let to = if s > 0.0 {
                self.node(i + 1, j)?.at[2]
            } else {
                from
            };
            Some(from + (to - from) * s)
        };
        let from = along(j)?;
        let to = if t > 0.0 { along(j + 1)? } else { from };
        Some(from + (to - from) * t)
    }
}
