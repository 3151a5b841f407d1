//! Loss on crossings of lines, ready to be drawn.

use crate::landscape::grid::interpolate::interval;
use crate::landscape::grid::refine::Estimate;
use crate::landscape::grid::surface::{Surface, from_log_loss, log_loss};

/// Origin of a value of a [`Field`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nothing is known here yet.
    Unknown,
    /// Interpolated between points that are too far apart to be trusted; finer ones are still to come.
    Predicted,
    /// Measured, or between points so close that the expected error is within the tolerance.
    Measured,
}

/// Loss at the crossings of vertical lines `x` and horizontal lines `y`, ready to be
/// drawn. Entry `j * x.len() + i` belongs to `x[i]`, `y[j]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Field {
    /// α of each column, ascending.
    pub x: Vec<f64>,
    /// β of each row, ascending.
    pub y: Vec<f64>,
    /// Loss; NaN if it is unknown or was measured to be NaN (a hole, never filled).
    pub loss: Vec<f64>,
    /// Origin of each value.
    pub origin: Vec<Origin>,
}

impl Surface {
    /// Returns the loss at the crossings of any lines (ascending), interpolated in log-loss
    /// without inventing extrema; outside the grid everything is unknown.
    #[must_use]
    pub fn sample(&self, x: &[f64], y: &[f64]) -> Field {
        let loss = self.nodes(|measure| log_loss(measure.loss)).at(x, y);
        Field {
            x: loss.x,
            y: loss.y,
            loss: loss.z.into_iter().map(from_log_loss).collect(),
            origin: origins(self, x, y),
        }
    }
}

/// Returns the origins of the values at the crossings of lines, entry `j * x.len() + i`.
fn origins(surface: &Surface, x: &[f64], y: &[f64]) -> Vec<Origin> {
    let [width, height] = [surface.x(), surface.y()].map(|lines| lines.len().saturating_sub(1));
    let rests = Estimate::of(surface).rests(width, height);
    // The far border belongs to the last gaps.
    let place = |lines: &[f64], gaps: usize, at: f64| {
        let (place, _) = interval(lines, at)?;
        gaps.checked_sub(1).map(|last| place.min(last))
    };
    let columns: Vec<Option<usize>> = (x.iter())
        .map(|&at| place(surface.x(), width, at))
        .collect();
    let mut origins = Vec::with_capacity(x.len() * y.len());
    for &at in y {
        let row = place(surface.y(), height, at);
        origins.extend(columns.iter().map(|column| {
            let rests = column
                .zip(row)
                .and_then(|(column, row)| rests[row * width + column]);
            match rests {
                Some(true) => Origin::Measured,
                Some(false) => Origin::Predicted,
                None => Origin::Unknown,
            }
        }));
    }
    origins
}
