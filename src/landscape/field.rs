//! Loss on crossings of lines, ready to be drawn.

/// How a value of a [`Field`] came about.
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
    /// Loss; NaN where it is unknown or was measured to be not a number (a hole, never filled).
    pub loss: Vec<f64>,
    /// How each value came about.
    pub origin: Vec<Origin>,
}
