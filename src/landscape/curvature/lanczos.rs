//! Lanczos' method with full re-orthogonalization: the ends of a symmetric matrix's spectrum from
//! products with it alone (Golub and Van Loan, "Matrix Computations", chapter 10).

use nalgebra::{DMatrix, SymmetricEigen};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// A Krylov space that is being built: A·Q = Q·T + β·q·eᵀ.
#[derive(Clone, Debug)]
pub struct KrylovSpace {
    /// Orthonormal vectors q_0 … q_k, the last of which was not multiplied yet.
    basis: Vec<Vec<f64>>,
    /// Diagonal of T.
    alpha: Vec<f64>,
    /// β_j couples q_j and q_(j+1); the last one is the residual's length.
    beta: Vec<f64>,
}

/// The ends of the spectrum, as far as they are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ends {
    /// Largest Ritz value.
    pub lambda_max: f64,
    /// Smallest Ritz value.
    pub lambda_min: f64,
    /// |β·s| of the two, the largest first: within this distance of each lies an eigenvalue.
    pub residuals: [f64; 2],
}

impl Ends {
    /// Returns the larger of both in absolute value.
    #[must_use]
    pub fn largest(&self) -> f64 {
        self.lambda_max.abs().max(self.lambda_min.abs())
    }
}

/// A residual this much smaller than the matrix is rounding: the space is closed.
const CLOSED: f64 = 1e-10;

impl KrylovSpace {
    /// Starts from a vector of normal random numbers.
    #[must_use]
    pub fn from_seed(dimension: usize, seed: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = || StandardNormal.sample(&mut generator);
        Self::from((0..dimension).map(|_| draw()).collect())
    }

    /// Starts from a vector, which must not be zero.
    #[must_use]
    pub fn from(mut start: Vec<f64>) -> Self {
        let length = norm(&start);
        for value in &mut start {
            *value /= length;
        }
        Self {
            basis: vec![start],
            alpha: Vec::new(),
            beta: Vec::new(),
        }
    }

    /// Returns the products that were taken.
    #[must_use]
    pub fn count(&self) -> usize {
        self.alpha.len()
    }

    /// Takes one product; returns false when the space is closed, so that the Ritz values are eigenvalues.
    ///
    /// # Errors
    /// Those of `product`.
    pub fn advance<E>(
        &mut self,
        product: impl FnOnce(&[f64]) -> Result<Vec<f64>, E>,
    ) -> Result<bool, E> {
        let Some(last) = self.basis.last() else {
            return Ok(false);
        };
        let mut next = product(last)?;
        self.alpha.push(dot(last, &next));
        // Once is not enough: the first pass leaves rounding errors of the size of what it removed.
        for _ in 0..2 {
            for known in &self.basis {
                let along = dot(known, &next);
                next.iter_mut()
                    .zip(known)
                    .for_each(|(value, known)| *value -= along * known);
            }
        }
        let length = norm(&next);
        self.beta.push(length);
        let scale = self
            .alpha
            .iter()
            .chain(&self.beta)
            .map(|v| v.abs())
            .fold(0.0, f64::max);
        // Asked this way round, a length that is NaN ends it too.
        let goes_on = length > CLOSED * scale && self.basis.len() < next.len();
        if goes_on {
            for value in &mut next {
                *value /= length;
            }
            self.basis.push(next);
        }
        Ok(goes_on)
    }

    /// Returns the eigenvalues of T with the square of the first entry of each eigenvector: nodes and weights
    /// of the Gauss quadrature that belongs to the starting vector. NaN if a product was NaN.
    #[must_use]
    pub fn quadrature(&self) -> Vec<(f64, f64)> {
        let Some(eigen) = self.eigen() else {
            return vec![(f64::NAN, 1.0)];
        };
        let first = eigen.eigenvectors.row(0);
        let pairs = eigen.eigenvalues.iter().zip(first.iter());
        pairs
            .map(|(value, entry)| (*value, entry * entry))
            .collect()
    }

    /// Returns the ends of the spectrum as far as they are known.
    #[must_use]
    pub fn ends(&self) -> Ends {
        let (Some(eigen), Some(beta)) = (self.eigen(), self.beta.last()) else {
            return Ends {
                lambda_max: f64::NAN,
                lambda_min: f64::NAN,
                residuals: [f64::INFINITY; 2],
            };
        };
        let values = &eigen.eigenvalues;
        let (top, bottom) = (values.imax(), values.imin());
        let last = eigen.eigenvectors.row(self.count() - 1);
        Ends {
            lambda_max: values[top],
            lambda_min: values[bottom],
            residuals: [top, bottom].map(|end| beta * last[end].abs()),
        }
    }

    fn eigen(&self) -> Option<SymmetricEigen<f64, nalgebra::Dyn>> {
        let count = self.count();
        if count == 0
            || self
                .alpha
                .iter()
                .chain(&self.beta)
                .any(|value| !value.is_finite())
        {
            return None;
        }
        let mut tridiagonal = DMatrix::zeros(count, count);
        for i in 0..count {
            tridiagonal[(i, i)] = self.alpha[i];
            if i + 1 < count {
                tridiagonal[(i, i + 1)] = self.beta[i];
                tridiagonal[(i + 1, i)] = self.beta[i];
            }
        }
        Some(SymmetricEigen::new(tridiagonal))
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Runs to the end of the space, or `most` steps, over a dense symmetric matrix.
    fn run(matrix: &DMatrix<f64>, start: Vec<f64>, most: usize) -> KrylovSpace {
        let mut steps = KrylovSpace::from(start);
        let product = |v: &[f64]| -> Result<Vec<f64>, Infallible> {
            let v = nalgebra::DVector::from_column_slice(v);
            Ok((matrix * v).as_slice().to_vec())
        };
        while steps.count() < most {
            let Ok(goes_on) = steps.advance(product);
            if !goes_on {
                break;
            }
        }
        steps
    }

    /// Returns Q·diag·Qᵀ for an orthogonal Q that is not the identity (a Householder reflection).
    fn with_spectrum(values: &[f64]) -> DMatrix<f64> {
        let n = values.len();
        let u = nalgebra::DVector::from_fn(n, |i, _| 1.0 + (i as f64 * 1.7).sin());
        let q = DMatrix::identity(n, n) - &u * u.transpose() * (2.0 / u.norm_squared());
        &q * DMatrix::from_diagonal(&nalgebra::DVector::from_column_slice(values)) * &q
    }

    #[test]
    fn the_whole_space_gives_the_whole_spectrum() {
        let values = [-3.0, -1.0, 0.5, 2.0, 7.0];
        let steps = run(&with_spectrum(&values), vec![1.0, 2.0, -1.0, 0.5, 3.0], 5);
        let mut found: Vec<f64> = steps.quadrature().iter().map(|pair| pair.0).collect();
        found.sort_by(f64::total_cmp);
        for (found, expected) in found.iter().zip(values) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn the_ends_of_a_large_matrix_come_within_their_residual() {
        let values: Vec<f64> = (0..300)
            .map(|i| f64::from(i) / 300.0 + if i == 299 { 4.0 } else { 0.0 })
            .collect();
        let matrix = with_spectrum(&values);
        let steps = run(
            &matrix,
            (0..300).map(|i| 1.0 + (f64::from(i) * 0.3).cos()).collect(),
            40,
        );
        let ends = steps.ends();
        assert!(
            (ends.lambda_max - values[299]).abs() <= ends.residuals[0] + 1e-10,
            "{ends:?}"
        );
        assert!((ends.lambda_min - values[0]).abs() <= 0.01, "{ends:?}");
        assert!(ends.residuals[0] < 0.01 * ends.largest(), "{ends:?}");
    }

    #[test]
    fn a_closed_space_ends_it() {
        // Two eigenvalues alone: the space has two dimensions.
        let steps = run(
            &with_spectrum(&[2.0, 2.0, 2.0, 5.0]),
            vec![1.0, 0.3, -2.0, 0.7],
            4,
        );
        assert_eq!(steps.count(), 2);
        let ends = steps.ends();
        assert!((ends.lambda_max - 5.0).abs() < 1e-12 && (ends.lambda_min - 2.0).abs() < 1e-12);
        let zero = run(&DMatrix::zeros(3, 3), vec![1.0, 1.0, 1.0], 3);
        assert_eq!((zero.count(), zero.ends().lambda_max), (1, 0.0));
    }

    #[test]
    fn what_is_not_a_number_is_not_hidden() {
        let mut steps = KrylovSpace::from_seed(4, 1);
        let Ok(goes_on) = steps.advance(|v| Ok::<_, Infallible>(vec![f64::NAN; v.len()]));
        assert!(!goes_on && steps.ends().lambda_max.is_nan());
        assert!(steps.quadrature()[0].0.is_nan());
    }

    #[test]
    fn quadrature_weights_sum_to_one_and_give_the_mean() {
        let matrix = with_spectrum(&[-3.0, -1.0, 0.5, 2.0, 7.0]);
        let start = nalgebra::DVector::from_column_slice(&[1.0, 2.0, -1.0, 0.5, 3.0]).normalize();
        let pairs = run(&matrix, start.as_slice().to_vec(), 3).quadrature();
        let moment = |k: i32| {
            pairs
                .iter()
                .map(|(node, weight)| weight * node.powi(k))
                .sum::<f64>()
        };
        let exact = |power: &DMatrix<f64>| (start.transpose() * power * &start)[0];
        assert!((moment(0) - 1.0).abs() < 1e-12);
        // Three nodes are exact up to the fifth moment.
        assert!((moment(1) - exact(&matrix)).abs() < 1e-10);
        let fifth = matrix.pow(5);
        assert!((moment(5) - exact(&fifth)).abs() < 1e-7 * exact(&fifth).abs());
    }
}
