//! Curvature of the loss: the ends and the density of the Hessian's spectrum (math.md 10).

pub mod density;
pub mod lanczos;
pub mod product;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::LandscapeError;
use lanczos::{Ends, Steps};
use product::Hessian;

/// The ends of the spectrum at a point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extremes {
    /// The algebraically largest eigenvalue; not a number where the loss is none.
    pub lambda_max: f64,
    /// The smallest one.
    pub lambda_min: f64,
    /// Hessian-vector products that were taken.
    pub iterations: usize,
    /// Whether both ends are as exact as was asked.
    pub converged: bool,
}

impl Extremes {
    /// |λmin/λmax|: 0 in a convex bowl, 1 where down is as steep as up (Li et al. 2018, Figure 7).
    #[must_use]
    pub fn ratio(&self) -> f64 {
        (self.lambda_min / self.lambda_max).abs()
    }
}

/// When Lanczos' method stops.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effort {
    /// Bound of the error of both ends, as a share of the largest |λ|.
    pub tolerance: f64,
    /// Most Hessian-vector products.
    pub iterations: usize,
    /// Seed of the vector it starts from.
    pub seed: u64,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            tolerance: 0.01,
            iterations: 80,
            seed: 0,
        }
    }
}

/// A small residual says that an eigenvalue is near, not that it is the outermost one: the ends must
/// have stood still for so many products, too.
const STILL: usize = 10;
/// They stand still when they moved by less than this share of the tolerance.
const MOVED: f64 = 0.25;

fn is_settled(history: &[Ends], tolerance: f64) -> bool {
    let (Some(now), Some(then)) = (
        history.last(),
        history
            .len()
            .checked_sub(STILL + 1)
            .and_then(|i| history.get(i)),
    ) else {
        return false;
    };
    let moved = (now.lambda_max - then.lambda_max).abs() + (now.lambda_min - then.lambda_min).abs();
    let bound = tolerance * now.largest();
    now.residual <= bound && moved <= MOVED * bound
}

/// λmax and λmin by one run of Lanczos' method; `go_on` is asked before every product.
///
/// # Errors
/// Those of the products, or it was told to stop.
pub fn extremes(
    hessian: &Hessian<'_>,
    effort: Effort,
    mut go_on: impl FnMut() -> bool,
) -> Result<Extremes, LandscapeError> {
    let mut steps = Steps::from_seed(hessian.dimension(), effort.seed);
    let most = effort.iterations.min(hessian.dimension());
    let mut history: Vec<Ends> = Vec::new();
    loop {
        if !go_on() {
            return Err(LandscapeError::Stopped);
        }
        let goes_on = steps.advance(|v| hessian.product(v))?;
        let ends = steps.ends();
        history.push(ends);
        let converged = !goes_on || is_settled(&history, effort.tolerance);
        if converged || ends.lambda_max.is_nan() || steps.count() >= most {
            return Ok(Extremes {
                lambda_max: ends.lambda_max,
                lambda_min: ends.lambda_min,
                iterations: steps.count(),
                converged: converged || steps.count() >= hessian.dimension(),
            });
        }
    }
}
