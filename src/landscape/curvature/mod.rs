//! Curvature of the loss: the ends and the density of the Hessian's spectrum (docs/math.md 10).

pub mod density;
pub mod lanczos;
pub mod product;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::LandscapeError;
use lanczos::{Ends, KrylovSpace};
use product::Hessian;

/// The ends of the spectrum at a point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extremes {
    /// The algebraically largest eigenvalue; NaN if the loss is.
    pub lambda_max: f64,
    /// The smallest one. Each Ritz value is a Rayleigh quotient: the true ends lie further out, if anything.
    pub lambda_min: f64,
    /// Hessian-vector products that were taken.
    pub iterations: usize,
    /// True if both ends are as exact as was asked.
    pub converged: bool,
}

impl Extremes {
    /// Returns |λmin/λmax|: 0 in a convex bowl, 1 where down is as steep as up (Li et al. 2018, Figure 7).
    #[must_use]
    pub fn ratio(&self) -> f64 {
        (self.lambda_min / self.lambda_max).abs()
    }
}

/// Condition for ending Lanczos' method.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effort {
    /// Bound of each end's error, as a share of that end.
    pub tolerance: f64,
    /// An end that is smaller than this share of the largest |λ| is only known to be so: |λmin/λmax|
    /// is not told from 0.
    pub resolution: f64,
    /// Most Hessian-vector products.
    pub iterations: usize,
    /// Seed of the vector it starts from.
    pub seed: u64,
}

/// As small as is of use in a ratio that goes up to 1. Products in f32 are rounded at 1e-6 of λmax.
pub const RESOLUTION: f64 = 1e-3;

impl Default for Effort {
    fn default() -> Self {
        Self {
            tolerance: 0.01,
            resolution: RESOLUTION,
            iterations: 80,
            seed: 0,
        }
    }
}

/// Products for which the ends must have stood still. A small residual says that an eigenvalue is near, not
/// that it is the outermost one. Ten are too few: a smallest eigenvalue that the starting vector hardly holds
/// came up, 7 % further out, after they had stood still for fourteen.
const STILL: usize = 15;
/// They stand still when they moved by less than this share of the tolerance.
const MOVED: f64 = 0.25;

fn is_settled(history: &[Ends], effort: Effort) -> bool {
    let (Some(now), Some(then)) = (
        history.last(),
        history
            .len()
            .checked_sub(STILL + 1)
            .and_then(|i| history.get(i)),
    ) else {
        return false;
    };
    let least = effort.resolution * now.largest();
    let is_known = |now: f64, then: f64, residual: f64| {
        // What is below the resolution need only be known to be so.
        let bound = (effort.tolerance * now.abs()).max(least - now.abs());
        residual <= bound && (now - then).abs() <= MOVED * bound
    };
    is_known(now.lambda_max, then.lambda_max, now.residuals[0])
        && is_known(now.lambda_min, then.lambda_min, now.residuals[1])
}

/// Returns λmax and λmin by one run of Lanczos' method. Before every product `go_on` is asked; it takes the number of
/// products so far, and the most that there will be.
///
/// # Errors
/// Those of the products, or it was told to stop.
pub fn extremes(
    hessian: &Hessian<'_>,
    effort: Effort,
    go_on: impl FnMut(usize, usize) -> bool,
) -> Result<Extremes, LandscapeError> {
    extremes_of(hessian.dimension(), |v| hessian.product(v), effort, go_on)
}

/// Returns the same of any symmetric map of `dimension` numbers.
fn extremes_of(
    dimension: usize,
    product: impl Fn(&[f64]) -> Result<Vec<f64>, LandscapeError>,
    effort: Effort,
    mut go_on: impl FnMut(usize, usize) -> bool,
) -> Result<Extremes, LandscapeError> {
    let mut steps = KrylovSpace::from_seed(dimension, effort.seed);
    let most = effort.iterations.min(dimension);
    let mut history: Vec<Ends> = Vec::new();
    loop {
        if !go_on(steps.count(), most) {
            return Err(LandscapeError::Stopped);
        }
        let goes_on = steps.advance(&product)?;
        let ends = steps.ends();
        history.push(ends);
        let converged = !goes_on || is_settled(&history, effort);
        if converged || ends.lambda_max.is_nan() || steps.count() >= most {
            return Ok(Extremes {
                lambda_max: ends.lambda_max,
                lambda_min: ends.lambda_min,
                iterations: steps.count(),
                converged: converged || steps.count() >= dimension,
            });
        }
    }
}
