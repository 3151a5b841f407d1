//! The map: the loss on the plane as bands and contour lines, with the path of the run on top.
//!
//! ```text
//!   PC2  ┌──────────────────────────────┐ loss
//!  18 %  │ bands, contour lines, labels │ ██ 6
//!     2 ╶│ path: ○ start  ● current     │ ██ 3
//!     0 ╶│ ✕ lowest measured loss       │ ██ 1
//!        └──────────────────────────────┘ ██ 0.3
//!         -2         0        2   PC1 73 %
//! ```
//!
//! Layers, from the ground up: bands, lines, labels of lines, path, marks. A cell is twice as high as
//! it is wide; the axes have a scale each, so that the window fills the whole area.

mod area;
mod backdrop;
mod frame;
pub(super) mod ground;
mod isolines;
mod legend;
pub mod panels;
pub(super) mod path;
mod sampled;
mod scene;

pub(super) use area::Area;
pub use backdrop::SurfaceLayer;
pub use frame::has_axes;
pub(crate) use ground::band_colour;
pub use path::{Extras, Uncertainty};
pub use scene::{AxisTitle, Layers, MapScene, Palette};

use super::chart::{Chart, Course};
use super::picture::Picture;
use sampled::SampledScene;

/// Draws the map into this many cells. Any size will do; what has no room is left out: first the
/// legend, then the axes.
#[must_use]
pub fn draw(scene: &MapScene<'_>, width: usize, height: usize) -> Picture {
    chart(scene, width, height).looked_at(scene.selected)
}

/// Returns the map as [`draw`] has it, whichever checkpoint is looked at.
#[must_use]
pub fn chart(scene: &MapScene<'_>, width: usize, height: usize) -> Chart {
    let mut picture = Picture::new(width, height);
    let area = frame::arrange(scene, width, height);
    if area.width == 0 || area.height == 0 {
        return picture.into();
    }
    let sampled = SampledScene::new(scene, area);
    let course = draw_in(&sampled, &mut picture);
    sampled.draw_axes(&mut picture);
    sampled.draw_legend(&mut picture);
    Chart { picture, course }
}

/// Returns the cell (column, row) of a picture of this size in which a point of the plane lies; `None` outside.
#[must_use]
pub fn cell(scene: &MapScene<'_>, [width, height]: [usize; 2], at: [f64; 2]) -> Option<[usize; 2]> {
    let area = frame::arrange(scene, width, height);
    let (column, row) = area.cell(area.place(scene, at))?;
    Some([area.left + column, area.top + row])
}

/// Returns the point of the plane in the middle of a cell of a picture of this size; `None` beside the map.
#[must_use]
pub fn point(
    scene: &MapScene<'_>,
    [width, height]: [usize; 2],
    cell: [usize; 2],
) -> Option<[f64; 2]> {
    let area = frame::arrange(scene, width, height);
    let along = |cell: usize, first: usize, cells: usize| {
        let cell = cell.checked_sub(first).filter(|cell| *cell < cells)?;
        Some((cell as f64 + 0.5) / cells as f64)
    };
    let right = along(cell[0], area.left, area.width)?;
    let down = along(cell[1], area.top, area.height)?;
    Some([
        scene.x[0] + (scene.x[1] - scene.x[0]) * right,
        scene.y[1] + (scene.y[0] - scene.y[1]) * down,
    ])
}

/// Draws the layers of the plane itself but for the path, which is still to be inked.
fn draw_in(sampled: &SampledScene<'_>, picture: &mut Picture) -> Course {
    let trail = path::PathDots::of(sampled);
    sampled.draw_ground(picture);
    if sampled.has_lines() {
        sampled.draw_isolines(picture, &trail);
    }
    sampled.course(picture, &trail)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
