//! The rectangle of cells in which a map shows its plane, and the way from points to cells and back.

use super::MapScene;

/// The rectangle of a picture that shows the plane, in cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plot) struct Area {
    pub(in crate::plot) left: usize,
    pub(in crate::plot) top: usize,
    pub(in crate::plot) width: usize,
    pub(in crate::plot) height: usize,
}

impl Area {
    /// Returns the place of a point of the plane in cells from the upper left corner.
    pub(super) fn place(&self, scene: &MapScene<'_>, [a, b]: [f64; 2]) -> [f64; 2] {
        let [x, y] = [scene.x, scene.y];
        [
            (a - x[0]) / (x[1] - x[0]) * self.width as f64,
            (y[1] - b) / (y[1] - y[0]) * self.height as f64,
        ]
    }

    /// Returns the cell in which a place lies; `None` outside. The window's own far edges belong to the last
    /// cells.
    pub(super) fn cell(&self, [across, down]: [f64; 2]) -> Option<(usize, usize)> {
        let within = |place: f64, cells: usize| {
            // Asked this way round, a place that is NaN is outside.
            (cells > 0 && (0.0..=cells as f64).contains(&place))
                .then(|| (place as usize).min(cells - 1))
        };
        Some((within(across, self.width)?, within(down, self.height)?))
    }
}
