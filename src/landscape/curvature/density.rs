//! The density of the Hessian's spectrum, by stochastic Lanczos quadrature (Ghorbani, Krishnan and Xiao
//! 2019, "An Investigation into Neural Net Optimization via Hessian Eigenvalue Density").

use serde::{Deserialize, Serialize};

use super::super::LandscapeError;
use super::lanczos::KrylovSpace;
use super::product::Hessian;

/// Nodes and weights of the spectrum's measure: Σ w·f(node) estimates the mean of f over eigenvalues.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Density {
    /// Places on the eigenvalue axis, ascending.
    pub nodes: Vec<f64>,
    /// Share of the eigenvalues at each; they sum to 1.
    pub weights: Vec<f64>,
}

/// Estimates the density as the random vector of a seed sees it, with `steps` products.
///
/// # Errors
/// Those of the products, or `go_on` said no.
pub fn density(
    hessian: &Hessian<'_>,
    steps: usize,
    seed: u64,
    mut go_on: impl FnMut() -> bool,
) -> Result<Density, LandscapeError> {
    let mut space = KrylovSpace::from_seed(hessian.dimension(), seed);
    while space.count() < steps {
        if !go_on() {
            return Err(LandscapeError::Stopped);
        }
        if !space.advance(|v| hessian.product(v))? {
            break;
        }
    }
    let (nodes, weights) = space.quadrature().into_iter().unzip();
    Ok(Density::mean(vec![Density { nodes, weights }]))
}

impl Density {
    /// Returns the mean of what several random vectors see.
    #[must_use]
    pub fn mean(seen: Vec<Self>) -> Self {
        let share = 1.0 / seen.len() as f64;
        let pairs = |one: Self| one.nodes.into_iter().zip(one.weights);
        let pairs = seen.into_iter().flat_map(pairs);
        let mut pairs: Vec<_> = pairs.map(|(node, weight)| (node, weight * share)).collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (nodes, weights) = pairs.into_iter().unzip();
        Self { nodes, weights }
    }

    /// Returns the density at these places, each node smeared to a normal curve of standard deviation `sigma`.
    #[must_use]
    pub fn smooth(&self, at: &[f64], sigma: f64) -> Vec<f64> {
        let height = 1.0 / (sigma * std::f64::consts::TAU.sqrt());
        let curve = |x: f64| {
            let pairs = self.nodes.iter().zip(&self.weights);
            let bell =
                |(node, weight): (&f64, &f64)| weight * (-0.5 * ((x - node) / sigma).powi(2)).exp();
            height * pairs.map(bell).sum::<f64>()
        };
        at.iter().map(|x| curve(*x)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smoothed_density_has_area_one() {
        let density = Density {
            nodes: vec![-1.0, 0.0, 3.0],
            weights: vec![0.25, 0.5, 0.25],
        };
        let at: Vec<f64> = (0..=1200).map(|i| f64::from(i) * 0.01 - 4.0).collect();
        let curve = density.smooth(&at, 0.2);
        assert!((curve.iter().sum::<f64>() * 0.01 - 1.0).abs() < 1e-6);
        assert!(curve[400] > 1.9 * curve[300], "half of it is at 0");
    }
}
