//! A plane through weight space and where points lie on it (docs/math.md 1, 7, 9).

use std::f64::consts::PI;

use super::normalize::{dot, length};

/// Dot products of a plane's directions over the trainable parameters.
///
/// ```
/// use isoloss::weights::plane::Metric;
///
/// // Directions that are not orthogonal: δ = (3, 2, 5) on dx = (2, 0, 0), dy = (1, 1, 0).
/// let metric = Metric::of(&[2.0, 0.0, 0.0], &[1.0, 1.0, 0.0]);
/// assert_eq!(metric.coordinates(2.0 * 3.0, 3.0 + 2.0), [0.5, 2.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// dx·dx.
    pub xx: f64,
    /// dx·dy.
    pub xy: f64,
    /// dy·dy.
    pub yy: f64,
}

impl Metric {
    /// Measures two directions, given their trainable parameters only.
    #[must_use]
    pub fn of(x: &[f32], y: &[f32]) -> Self {
        Self {
            xx: dot(x, x),
            xy: dot(x, y),
            yy: dot(y, y),
        }
    }

    /// Returns the cosine of the angle between the directions.
    #[must_use]
    pub fn cosine(&self) -> f64 {
        self.xy / (self.xx * self.yy).sqrt()
    }

    /// Returns true when the directions span a plane.
    #[must_use]
    pub fn spans(&self) -> bool {
        self.xx > 0.0 && self.yy > 0.0 && self.cosine().abs() < 1.0 - 1e-9
    }

    /// Returns the coordinates (α, β) of the point of the plane nearest to δ, from `x` = dx·δ and `y` = dy·δ:
    /// the solution of the 2×2 system G c = b. A second direction of zero gives β = 0.
    #[must_use]
    pub fn coordinates(&self, x: f64, y: f64) -> [f64; 2] {
        let determinant = self.xx * self.yy - self.xy * self.xy;
        if determinant > 0.0 {
            [
                (self.yy * x - self.xy * y) / determinant,
                (self.xx * y - self.xy * x) / determinant,
            ]
        } else if self.xx > 0.0 {
            [x / self.xx, 0.0]
        } else {
            [0.0, 0.0]
        }
    }

    /// Returns ‖δ − α dx − β dy‖/‖δ‖ of the nearest point, from dx·δ, dy·δ and δ·δ; 0 when δ is.
    #[must_use]
    pub fn residual(&self, x: f64, y: f64, square: f64) -> f64 {
        let [alpha, beta] = self.coordinates(x, y);
        if square > 0.0 {
            ((square - alpha * x - beta * y).max(0.0) / square).sqrt()
        } else {
            0.0
        }
    }
}

/// Returns the place of δ on the plane of `x` and `y`: coordinates and residual. All are trainable parameters.
#[must_use]
pub fn project(delta: &[f32], x: &[f32], y: &[f32]) -> ([f64; 2], f64) {
    let metric = Metric::of(x, y);
    let (on_x, on_y) = (dot(x, delta), dot(y, delta));
    let residual = metric.residual(on_x, on_y, length(delta).powi(2));
    (metric.coordinates(on_x, on_y), residual)
}

/// Returns the expected |cos| of two random directions in `n` dimensions: about √(2/(πn)) (docs/math.md 9).
#[must_use]
pub fn expected_cosine(n: usize) -> f64 {
    (2.0 / (PI * n as f64)).sqrt()
}

/// Returns the expected |cos| of two random directions whose entries have these magnitudes and random signs:
/// √(2/π) √(Σ x²y²)/(‖x‖‖y‖) (docs/math.md 9). Normalization makes some filters longer than others, so that such
/// directions are less orthogonal than their number of entries lets expect.
#[must_use]
pub fn expected_cosine_of(x: &[f32], y: &[f32]) -> f64 {
    let squares = x.iter().zip(y).map(|(x, y)| {
        let product = f64::from(*x) * f64::from(*y);
        product * product
    });
    let spread = squares.sum::<f64>().sqrt();
    (2.0 / PI).sqrt() * spread / (length(x) * length(y))
}

/// Returns the entries in which either direction is not zero.
#[must_use]
pub fn extent(x: &[f32], y: &[f32]) -> usize {
    let pairs = x.iter().zip(y);
    pairs.filter(|(x, y)| **x != 0.0 || **y != 0.0).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn golden_coordinates_on_a_skew_plane() {
        let ([alpha, beta], residual) = project(&[3., 2., 5.], &[2., 0., 0.], &[1., 1., 0.]);
        assert!((alpha - 0.5).abs() < 1e-12 && (beta - 2.0).abs() < 1e-12);
        assert!((residual - 5.0 / 38f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_line_has_one_coordinate() {
        let ([alpha, beta], _) = project(&[3., 2., 5.], &[2., 0., 0.], &[0., 0., 0.]);
        assert!((alpha - 1.5).abs() < 1e-12);
        assert_eq!(beta, 0.0);
    }

    #[test]
    fn golden_expected_cosine_of_random_directions() {
        // The exact mean of |cos| in n = 2 is 2/π; the formula is its limit for large n.
        let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let (n, pairs) = (400, 3000);
        let mut draw = || -> Vec<f32> {
            (0..n)
                .map(|_| StandardNormal.sample(&mut generator))
                .collect()
        };
        let mean = (0..pairs)
            .map(|_| Metric::of(&draw(), &draw()).cosine().abs())
            .sum::<f64>()
            / f64::from(pairs);
        assert!((mean / expected_cosine(n) - 1.0).abs() < 0.05, "{mean}");
        let estimate = expected_cosine_of(&draw(), &draw());
        assert!((estimate / expected_cosine(n) - 1.0).abs() < 0.2);
        assert!((expected_cosine(1_000_000) - 7.978_845_6e-4).abs() < 1e-11);
    }

    #[test]
    fn directions_with_a_few_long_entries_are_less_orthogonal() {
        let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(6);
        let (n, pairs) = (1000, 2000);
        // A tenth of the entries is ten times as long, as filters of a large norm are.
        let mut draw = || -> Vec<f32> {
            let long = |i| if i % 10 == 0 { 10.0 } else { 1.0 };
            (0..n)
                .map(|i| {
                    long(i)
                        * <StandardNormal as Distribution<f32>>::sample(
                            &StandardNormal,
                            &mut generator,
                        )
                })
                .collect()
        };
        let (mut mean, mut expected) = (0.0, 0.0);
        for _ in 0..pairs {
            let (x, y) = (draw(), draw());
            mean += Metric::of(&x, &y).cosine().abs() / f64::from(pairs);
            expected += expected_cosine_of(&x, &y) / f64::from(pairs);
        }
        assert!((mean / expected - 1.0).abs() < 0.06, "{mean} {expected}");
        assert!(mean > 2.5 * expected_cosine(n));
    }

    #[test]
    fn entries_that_neither_direction_moves_do_not_count() {
        assert_eq!(extent(&[1.0, 0.0, 0.0, -2.0], &[3.0, 0.0, 1.0, 0.0]), 3);
    }
}
