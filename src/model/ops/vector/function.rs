//! Functions of single numbers, each in one pass.

use candle_core::{Result, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{CHUNK, with};
use crate::model::kernels::simd::Level;

/// A function of each number.
struct Each<'a, F> {
    x: &'a [f32],
    y: &'a mut [f32],
    function: F,
}

impl<F: Fn(f32) -> f32> WithSimd for Each<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (y, x) in self.y.iter_mut().zip(self.x) {
            *y = (self.function)(*x);
        }
    }
}

fn each(x: &Tensor, function: impl Fn(f32) -> f32 + Copy + Sync) -> Result<Tensor> {
    let level = Level::best();
    let y = with(x, |x| {
        let mut y = vec![0.0; x.len()];
        let chunks = y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK));
        chunks.for_each(|(y, x)| level.run(Each { x, y, function }));
        y
    })?;
    Tensor::from_vec(y, x.shape(), x.device())
}

/// Returns x·Φ(x), with the error function.
///
/// # Errors
/// candle's.
pub(in crate::model) fn gelu(x: &Tensor) -> Result<Tensor> {
    each(x, |x| {
        0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
    })
}

/// Returns x·Φ(x), by the approximation with the hyperbolic tangent.
///
/// # Errors
/// candle's.
pub(in crate::model) fn gelu_tanh(x: &Tensor) -> Result<Tensor> {
    const ROOT: f32 = 0.797_884_6;
    each(x, |x| {
        0.5 * x * (1.0 + tanh(ROOT * (x + 0.044_715 * x * x * x)))
    })
}

/// Returns the hyperbolic tangent.
///
/// # Errors
/// candle's.
pub(in crate::model) fn tanh_of(x: &Tensor) -> Result<Tensor> {
    each(x, tanh)
}

/// Returns 1 / (1 + exp(−x)).
///
/// # Errors
/// candle's.
pub(in crate::model) fn sigmoid(x: &Tensor) -> Result<Tensor> {
    each(x, logistic)
}

/// Returns x·σ(x).
///
/// # Errors
/// candle's.
pub(in crate::model) fn silu(x: &Tensor) -> Result<Tensor> {
    each(x, |x| x * logistic(x))
}

/// Returns x within bounds; NaN stays.
///
/// # Errors
/// candle's.
pub(in crate::model) fn bounded(x: &Tensor, least: f32, most: f32) -> Result<Tensor> {
    each(x, move |x| x.clamp(least, most))
}

/// Returns x·min(max(x + 3, 0), 6)/6.
///
/// # Errors
/// candle's.
pub(in crate::model) fn hardswish(x: &Tensor) -> Result<Tensor> {
    each(x, |x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0)
}

/// Returns 1 / (1 + exp(−x)).
#[inline(always)]
pub(super) fn logistic(x: f32) -> f32 {
    0.5 + 0.5 * tanh(0.5 * x)
}

/// Returns the hyperbolic tangent, by a quotient of polynomials (that of Eigen), a few units in the last place off.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    const ODD: [f32; 7] = [
        -2.760_768_5e-16,
        2.000_188e-13,
        -8.604_672e-11,
        5.122_297e-8,
        1.485_722_4e-5,
        6.372_619_5e-4,
        4.893_525e-3,
    ];
    const EVEN: [f32; 4] = [1.198_258_4e-6, 1.185_347e-4, 2.268_434_6e-3, 4.893_525e-3];
    let x = x.clamp(-7.905_311, 7.905_311);
    let square = x * x;
    x * polynomial(&ODD, square) / polynomial(&EVEN, square)
}

/// Returns the error function, by a quotient of polynomials (that of Eigen), a few units in the last place off.
#[inline(always)]
fn erf(x: f32) -> f32 {
    const ODD: [f32; 7] = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_5e-5,
        -7.349_906e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const EVEN: [f32; 5] = [
        -1.456_607_2e-5,
        -2.133_740_6e-4,
        -1.682_827e-3,
        -7.373_329e-3,
        -1.426_473_9e-2,
    ];
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    x * polynomial(&ODD, square) / polynomial(&EVEN, square)
}

/// Evaluates by Horner's rule, the highest power first.
#[inline(always)]
fn polynomial<const N: usize>(coefficients: &[f32; N], x: f32) -> f32 {
    let mut value = 0.0;
    for coefficient in coefficients {
        value = value * x + coefficient;
    }
    value
}

/// Returns exp(x) for x from −87 to 88, held within these bounds; NaN stays.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding it rounds to a whole number, which then stands in the lowest bits.
    const ROUNDER: f32 = 12_582_912.0;
    const TAYLOR: [f32; 6] = [
        1.987_569_1e-4,
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ];
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUNDER;
    let whole = shifted - ROUNDER;
    // ln 2 in two parts, so that the rest keeps its digits.
    let rest = x - whole * 0.693_359_4 + whole * 2.121_944_4e-4;
    let fraction = polynomial(&TAYLOR, rest) * rest * rest + rest + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUNDER.to_bits());
    fraction * f32::from_bits(exponent.wrapping_add(127) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the largest distance from the exact function, as a share of the larger of its value and `floor`.
    fn error(found: fn(f32) -> f32, exact: fn(f64) -> f64, range: [f32; 2], floor: f64) -> f64 {
        let steps = 200_000;
        let at = |i: i32| range[0] + (range[1] - range[0]) * i as f32 / steps as f32;
        let error = |x: f32| {
            let exact = exact(f64::from(x));
            (f64::from(found(x)) - exact).abs() / exact.abs().max(floor)
        };
        (0..=steps).map(at).map(error).fold(0.0, f64::max)
    }

    #[test]
    fn functions_are_right_to_the_last_places_of_f32() {
        assert!(error(exp, f64::exp, [-87.0, 88.0], 0.0) < 3e-7);
        assert!(error(tanh, f64::tanh, [-12.0, 12.0], 0.0) < 5e-7);
        assert!(error(erf, libm_erf, [-6.0, 6.0], 0.0) < 8e-7);
        assert!(error(logistic, |x| 1.0 / (1.0 + (-x).exp()), [-30.0, 30.0], 0.5) < 5e-7);
        for function in [exp, tanh, erf, logistic] {
            assert!(function(f32::NAN).is_nan());
        }
    }

    /// Returns the error function by its series, and by its continued fraction where that is the better.
    fn libm_erf(x: f64) -> f64 {
        let size = x.abs();
        let root = std::f64::consts::PI.sqrt();
        if size < 3.0 {
            let mut term = size;
            let mut sum = size;
            for n in 1..200 {
                let n = f64::from(n);
                term *= -size * size / n;
                sum += term / (2.0 * n + 1.0);
            }
            return x.signum() * 2.0 / root * sum;
        }
        let fraction = (1..=60)
            .rev()
            .fold(0.0, |rest, n| f64::from(n) / 2.0 / (size + rest));
        x.signum() * (1.0 - (-size * size).exp() / (root * (size + fraction)))
    }
}
