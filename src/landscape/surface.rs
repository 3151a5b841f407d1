//! The loss on a plane: what was measured on a nested grid, and what may be drawn between.

/// Mean loss and fraction correct of the fixed samples at one point. The loss may be not finite.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Measure {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Fraction of samples classified correctly, 0 to 1.
    pub accuracy: f64,
}

/// How a value of a [`Field`] came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nothing is known here yet.
    Unknown,
    /// Interpolated between coarser points; finer ones are still to come.
    Predicted,
    /// Measured, or between points that were all measured at the finest level asked for so far.
    Measured,
}

/// Loss and accuracy at the crossings of vertical lines `x` and horizontal lines `y`, ready to be
/// drawn. Entry `j * x.len() + i` belongs to `x[i]`, `y[j]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Field {
    /// α of each column, ascending.
    pub x: Vec<f64>,
    /// β of each row, ascending.
    pub y: Vec<f64>,
    /// Loss; NaN where it is unknown or was measured to be not a number (a hole, never filled).
    pub loss: Vec<f64>,
    /// Fraction correct, likewise.
    pub accuracy: Vec<f64>,
    /// How each value came about.
    pub origin: Vec<Origin>,
}

/// A grid over a window of the plane, measured level by level. Level 0 has 5×5 of its lines,
/// each next level halves the spacing, the last has all lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Surface {
    x: Vec<f64>,
    y: Vec<f64>,
    values: Vec<Option<Measure>>,
}

impl Surface {
    /// An empty grid over these lines (α ascending, β ascending).
    #[must_use]
    pub fn new(x: Vec<f64>, y: Vec<f64>) -> Self {
        let values = vec![None; x.len() * y.len()];
        Self { x, y, values }
    }

    /// Records the measurement at `x[i]`, `y[j]`; indices outside the grid are ignored.
    pub fn record(&mut self, i: usize, j: usize, measure: Measure) {
        let columns = self.x.len();
        if i < columns
            && let Some(value) = self.values.get_mut(j * columns + i)
        {
            *value = Some(measure);
        }
    }

    /// α of each column of the grid.
    #[must_use]
    pub fn x(&self) -> &[f64] {
        &self.x
    }

    /// β of each row of the grid.
    #[must_use]
    pub fn y(&self) -> &[f64] {
        &self.y
    }

    /// What was measured at `x[i]`, `y[j]`.
    #[must_use]
    pub fn get(&self, i: usize, j: usize) -> Option<Measure> {
        *self.values.get(j * self.x.len() + i)?
    }

    /// The lowest finite loss that was measured, and where: (α, β, measure).
    #[must_use]
    pub fn lowest(&self) -> Option<(f64, f64, Measure)> {
        todo!()
    }

    /// Loss and accuracy at the crossings of any lines (ascending), interpolated in log-loss
    /// without inventing extrema; outside the grid everything is unknown.
    #[must_use]
    pub fn sample(&self, _x: &[f64], _y: &[f64]) -> Field {
        todo!()
    }
}
