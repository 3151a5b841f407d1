//! Principal components of points that are known only by their dot products (docs/math.md 6).

use nalgebra::{DMatrix, DVector, SymmetricEigen};

use super::krylov;

/// Components of T points, strongest first; at most T−1 of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Components {
    /// Singular values σ_k of the centred points.
    pub singular: Vec<f64>,
    /// u_k: one column a component, one row a point; the centred coordinate of point i is σ_k·u_ik.
    pub scores: DMatrix<f64>,
    /// Σσ² over all components, also those that are not among these.
    pub total: f64,
}

/// Number of points up to which all components are computed, in time that grows with the third power.
const ALL: usize = 200;
/// Components of more points than that: those that are looked at, with room.
const LARGEST: usize = 24;

impl Components {
    /// Analyses points with dot products `dots` (T×T, from any common origin).
    ///
    /// Centring is done on the matrix: K = H·dots·H with H = 1 − 11ᵀ/T, and σ_k² are its
    /// eigenvalues. A component of the size of rounding errors has σ = 0 and scores 0.
    #[must_use]
    pub fn of(dots: &DMatrix<f64>) -> Self {
        let count = dots.nrows();
        let means = dots.row_mean();
        let mean = means.mean();
        let centred = DMatrix::from_fn(count, count, |i, j| {
            0.5 * (dots[(i, j)] + dots[(j, i)]) - means[i] - means[j] + mean
        });
        let (values, vectors) = match count {
            0 => (Vec::new(), DMatrix::zeros(0, 0)),
            1..=ALL => {
                let eigen = SymmetricEigen::new(centred.clone());
                (eigen.eigenvalues.as_slice().to_vec(), eigen.eigenvectors)
            }
            _ => krylov::largest(&centred, LARGEST),
        };
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        order.truncate(count.saturating_sub(1));
        let largest = order.first().map_or(0.0, |&k| values[k]);
        let noise = largest.max(0.0) * 1e-14 * count as f64;
        let real = |k: usize| values[k] > noise;
        let columns: Vec<DVector<f64>> = order
            .iter()
            .map(|&k| {
                if real(k) {
                    vectors.column(k).into_owned()
                } else {
                    DVector::zeros(count)
                }
            })
            .collect();
        let sigma = |&k: &usize| {
            if real(k) { values[k].sqrt() } else { 0.0 }
        };
        let singular: Vec<f64> = order.iter().map(sigma).collect();
        let found: f64 = singular.iter().map(|sigma| sigma * sigma).sum();
        Self {
            // The sum of all eigenvalues is the trace; rounding must not make it less than some of them.
            total: match count {
                0..=ALL => found,
                _ => centred.trace().max(found),
            },
            singular,
            scores: if columns.is_empty() {
                DMatrix::zeros(count, 0)
            } else {
                DMatrix::from_columns(&columns)
            },
        }
    }

    /// Returns σ_k²/Σσ² for each component; all zero when the points coincide.
    #[must_use]
    pub fn explained(&self) -> Vec<f64> {
        let total = self.total;
        let share = |s: &f64| if total > 0.0 { s * s / total } else { 0.0 };
        self.singular.iter().map(share).collect()
    }

    /// Returns the centred coordinate of point `i` on component `k`; 0 beyond the last component.
    #[must_use]
    pub fn coordinate(&self, i: usize, k: usize) -> f64 {
        self.singular
            .get(k)
            .map_or(0.0, |s| s * self.scores[(i, k)])
    }

    /// Returns the coefficients a_i with pc_k = Σ a_i θ_i; they sum to zero. All zero beyond the last component.
    #[must_use]
    pub fn combination(&self, k: usize) -> Vec<f64> {
        let count = self.scores.nrows();
        match self.singular.get(k) {
            Some(&sigma) if sigma > 0.0 => {
                let column = self.scores.column(k);
                let mean = column.mean();
                column.iter().map(|u| (u - mean) / sigma).collect()
            }
            _ => vec![0.0; count],
        }
    }

    /// Turns component `k` round.
    pub fn flip(&mut self, k: usize) {
        if k < self.singular.len() {
            self.scores.column_mut(k).neg_mut();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    /// Checks docs/math.md 6: θ = (0,0,0), (2,1,0), (3,3,1), (4,3,3).
    fn golden() -> (DMatrix<f64>, Components) {
        let points =
            DMatrix::from_row_slice(4, 3, &[0., 0., 0., 2., 1., 0., 3., 3., 1., 4., 3., 3.]);
        let components = Components::of(&(&points * points.transpose()));
        (points, components)
    }

    #[test]
    fn golden_singular_values_and_explained_variance() {
        let (_, components) = golden();
        assert!((components.singular[0] - 4.423_134_2).abs() < 5e-8);
        assert!((components.singular[1] - 1.235_072_8).abs() < 5e-8);
        assert!((components.explained()[0] - 0.909_958_9).abs() < 5e-8);
        assert!((components.explained()[1] - 0.070_949_1).abs() < 5e-8);
    }

    #[test]
    fn golden_directions_come_out_of_the_combination() {
        let (points, components) = golden();
        let expected = [
            [0.656_282_5, 0.565_996_7, 0.498_939_9],
            [0.283_992_4, 0.427_342_9, -0.858_327_7],
        ];
        for (k, expected) in expected.iter().enumerate() {
            let direction = points.tr_mul(&DVector::from_vec(components.combination(k)));
            let sign = direction[0].signum();
            for (found, expected) in direction.iter().zip(expected) {
                assert!((sign * found - expected).abs() < 5e-8, "pc{k}: {direction}");
            }
        }
    }

    #[test]
    fn the_origin_of_the_dot_products_does_not_matter() {
        let (points, components) = golden();
        let moved = DMatrix::from_fn(4, 3, |i, k| points[(i, k)] + [100.0, -50.0, 7.0][k]);
        let again = Components::of(&(&moved * moved.transpose()));
        for (a, b) in components.singular.iter().zip(&again.singular) {
            assert!((a - b).abs() < 1e-6);
        }
    }

    #[test]
    fn the_largest_of_many_points_are_those_that_all_are_computed_with() {
        // A circle, which has two equal components, and noise of less and less.
        let count = 260;
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let points = DMatrix::from_fn(count, 40, |i, k| {
            let angle = std::f64::consts::TAU * i as f64 / count as f64;
            let noise: f64 = StandardNormal.sample(&mut random);
            [angle.cos(), angle.sin()]
                .get(k)
                .copied()
                .unwrap_or(0.3 * noise / (k * k).max(1) as f64)
        });
        let dots = &points * points.transpose();
        let few = Components::of(&dots);
        assert_eq!(few.singular.len(), LARGEST);
        let means = dots.row_mean();
        let centred = DMatrix::from_fn(count, count, |i, j| {
            dots[(i, j)] - means[i] - means[j] + means.mean()
        });
        let all = SymmetricEigen::new(centred.clone());
        let mut values: Vec<f64> = all.eigenvalues.iter().copied().collect();
        values.sort_by(|a, b| b.total_cmp(a));
        for (sigma, value) in few.singular.iter().zip(&values) {
            assert!((sigma * sigma - value).abs() < 1e-10 * values[0], "{sigma}");
        }
        assert!((few.total - values.iter().sum::<f64>()).abs() < 1e-9);
        for k in 0..2 {
            let score = few.scores.column(k);
            let left = &centred * score - score * few.singular[k].powi(2);
            assert!(left.norm() < 1e-9 * values[0]);
        }
    }

    #[test]
    fn no_point_has_no_component() {
        let none = Components::of(&DMatrix::zeros(0, 0));
        assert!(none.singular.is_empty() && none.explained().is_empty());
    }

    #[test]
    fn one_point_has_no_component_and_equal_points_explain_nothing() {
        assert!(Components::of(&DMatrix::zeros(1, 1)).singular.is_empty());
        let equal = Components::of(&DMatrix::zeros(3, 3));
        assert_eq!(equal.explained(), [0.0, 0.0]);
        assert_eq!(equal.combination(0), [0.0, 0.0, 0.0]);
    }
}
