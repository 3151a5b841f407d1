//! Layers of many f32 numbers at once on the CPU, where no gradient is wanted: compiled for the machine's widest
//! vector instructions, one pass over memory each.
//!
//! candle makes them of several passes, of which those with a broadcast, an exponential or an error function are
//! slow. Values agree to a few units in the last place; derivatives are those of candle's operations, which stay.

#![allow(
    clippy::inline_always,
    reason = "what handles vectors has to be inlined into the function that is compiled for their instructions"
)]

use candle_core::{CpuStorage, DType, Result, Storage, Tensor, bail};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::model::kernels::simd::Level;

/// Numbers that one thread works on.
const CHUNK: usize = 1 << 14;
/// Partial sums of a row, so that vectors can add them.
const LANES: usize = 16;

/// Returns true if the functions of this file take x.
pub(in crate::model) fn fits(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32 && !x.track_op()
}

/// Calls `work` with the numbers of a tensor.
fn with<R>(x: &Tensor, work: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let x = x.contiguous()?;
    let (storage, layout) = x.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(numbers)), Some((from, to))) => Ok(work(&numbers[from..to])),
        _ => bail!("numbers that are not f32 in memory"),
    }
}

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

/// 1 / (1 + exp(−x)).
#[inline(always)]
fn logistic(x: f32) -> f32 {
    0.5 + 0.5 * tanh(0.5 * x)
}

/// The hyperbolic tangent, by a quotient of polynomials (that of Eigen), a few units in the last place off.
#[inline(always)]
fn tanh(x: f32) -> f32 {
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

/// The error function, by a quotient of polynomials (that of Eigen), a few units in the last place off.
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

/// Horner's rule, the highest power first.
#[inline(always)]
fn polynomial<const N: usize>(coefficients: &[f32; N], x: f32) -> f32 {
    let mut value = 0.0;
    for coefficient in coefficients {
        value = value * x + coefficient;
    }
    value
}

/// exp(x) for x from −87 to 88, held within these bounds; NaN stays.
#[inline(always)]
fn exp(x: f32) -> f32 {
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

/// The sum of a function of a row's numbers.
#[inline(always)]
fn sum(row: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let (blocks, rest) = row.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for block in blocks {
        for (sum, x) in sums.iter_mut().zip(block) {
            *sum += of(*x);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|x| of(*x)).sum::<f32>()
}

/// Rows that are normalized to mean 0 and variance 1.
struct LayerNorm<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
    width: usize,
    weight: Option<&'a [f32]>,
    bias: Option<&'a [f32]>,
    epsilon: f32,
}

impl WithSimd for LayerNorm<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let rows = self.x.chunks_exact(self.width);
        for (x, y) in rows.zip(self.y.chunks_exact_mut(self.width)) {
            let count = self.width as f32;
            let mean = sum(x, |x| x) / count;
            let variance = sum(x, |x| (x - mean) * (x - mean)) / count;
            let scale = 1.0 / (variance + self.epsilon).sqrt();
            match (self.weight, self.bias) {
                (Some(weight), Some(bias)) => {
                    let numbers = y.iter_mut().zip(x).zip(weight.iter().zip(bias));
                    numbers.for_each(|((y, x), (w, b))| *y = (x - mean) * scale * w + b);
                }
                (Some(weight), None) => {
                    let numbers = y.iter_mut().zip(x).zip(weight);
                    numbers.for_each(|((y, x), w)| *y = (x - mean) * scale * w);
                }
                (None, bias) => {
                    let numbers = y.iter_mut().zip(x);
                    numbers.for_each(|(y, x)| *y = (x - mean) * scale);
                    let added = y.iter_mut().zip(bias.into_iter().flatten());
                    added.for_each(|(y, b)| *y += b);
                }
            }
        }
    }
}

/// Returns x with mean 0 and variance 1 along its last axes, of `width` numbers together, times γ plus β.
///
/// # Errors
/// candle's.
pub(in crate::model) fn layer_norm(
    x: &Tensor,
    width: usize,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    epsilon: f64,
) -> Result<Tensor> {
    let numbers = |tensor: Option<&Tensor>| -> Result<Option<Vec<f32>>> {
        tensor
            .map(|tensor| with(tensor, <[f32]>::to_vec))
            .transpose()
    };
    let (weight, bias) = (numbers(weight)?, numbers(bias)?);
    if width == 0
        || [&weight, &bias]
            .into_iter()
            .flatten()
            .any(|row| row.len() != width)
    {
        bail!("a layer norm over {width} numbers of {:?}", x.dims());
    }
    let level = Level::best();
    let rows = (CHUNK / width).max(1) * width;
    let y = with(x, |x| {
        let mut y = vec![0.0; x.len()];
        let chunks = y.par_chunks_mut(rows).zip(x.par_chunks(rows));
        chunks.for_each(|(y, x)| {
            level.run(LayerNorm {
                x,
                y,
                width,
                weight: weight.as_deref(),
                bias: bias.as_deref(),
                epsilon: epsilon as f32,
            });
        });
        y
    })?;
    Tensor::from_vec(y, x.shape(), x.device())
}

/// The places of a row that count in a softmax.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) enum Seen<'a> {
    /// All of them.
    All,
    /// Those up to the row's own, of so many rows.
    Before(usize),
    /// Those that are not 0 here, row by row.
    Marked(&'a [u8]),
}

/// Rows with the softmax of each times a factor, over the places that count; 0 at the others, and everywhere if there
/// is none.
struct Softmax<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
    width: usize,
    scale: f32,
    /// Number of the first row.
    first: usize,
    seen: Seen<'a>,
}

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let rows = self.x.chunks_exact(self.width);
        for (i, (x, y)) in rows.zip(self.y.chunks_exact_mut(self.width)).enumerate() {
            let number = self.first + i;
            let count = match self.seen {
                Seen::Before(rows) => (number % rows + 1).min(self.width),
                Seen::All | Seen::Marked(_) => self.width,
            };
            let (x, y) = (&x[..count], &mut y[..count]);
            if let Seen::Marked(marks) = self.seen {
                let marks = &marks[number * self.width..(number + 1) * self.width];
                for ((y, x), mark) in y.iter_mut().zip(x).zip(marks) {
                    *y = if *mark == 0 {
                        f32::NEG_INFINITY
                    } else {
                        *x * self.scale
                    };
                }
            } else {
                for (y, x) in y.iter_mut().zip(x) {
                    *y = *x * self.scale;
                }
            }
            softmax_row(y);
        }
    }
}

#[inline(always)]
fn softmax_row(row: &mut [f32]) {
    let mut most = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for block in blocks {
        for (most, x) in most.iter_mut().zip(block) {
            *most = if *x > *most { *x } else { *most };
        }
    }
    let all = most.iter().chain(rest);
    let most = all.fold(
        f32::NEG_INFINITY,
        |most, x| if *x > most { *x } else { most },
    );
    if most == f32::NEG_INFINITY {
        // No place counts; NaN, which no comparison finds, stays.
        for x in row.iter_mut() {
            *x = if x.is_nan() { *x } else { 0.0 };
        }
        return;
    }
    for x in row.iter_mut() {
        // A place that is hidden has no share at all.
        let share = exp(*x - most);
        *x = if *x == f32::NEG_INFINITY { 0.0 } else { share };
    }
    let scale = 1.0 / sum(row, |x| x);
    for x in row {
        *x *= scale;
    }
}

/// Returns the softmax of x·scale along the last axis, over the places that count.
///
/// # Errors
/// candle's.
pub(in crate::model) fn softmax(x: &Tensor, scale: f64, seen: Seen<'_>) -> Result<Tensor> {
    let width = x.dims().last().copied().unwrap_or(1).max(1);
    let level = Level::best();
    let rows = (CHUNK / width).max(1);
    let y = with(x, |x| {
        let mut y = vec![0.0; x.len()];
        let chunks = y
            .par_chunks_mut(rows * width)
            .zip(x.par_chunks(rows * width));
        chunks.enumerate().for_each(|(chunk, (y, x))| {
            level.run(Softmax {
                x,
                y,
                width,
                scale: scale as f32,
                first: chunk * rows,
                seen,
            });
        });
        y
    })?;
    Tensor::from_vec(y, x.shape(), x.device())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// Largest distance from the exact function, as a share of the larger of its value and `floor`.
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

    /// The error function by its series, and by its continued fraction where that is the better.
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

    fn tensor(shape: &[usize]) -> Tensor {
        let count = shape.iter().product::<usize>();
        let numbers: Vec<f32> = (0..count)
            .map(|i| ((i * 7919) % 101) as f32 / 17.0 - 3.0)
            .collect();
        Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
    }

    fn apart(a: &Tensor, b: &Tensor) -> f32 {
        let worst = (a - b).and_then(|d| d.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>());
        worst.unwrap()
    }

    #[test]
    fn a_softmax_is_candle_s_over_the_places_that_count() {
        let x = tensor(&[2, 5, 37]);
        let usual = |x: &Tensor| {
            let shares = x
                .broadcast_sub(&x.max_keepdim(2).unwrap())
                .unwrap()
                .exp()
                .unwrap();
            shares
                .broadcast_div(&shares.sum_keepdim(2).unwrap())
                .unwrap()
        };
        assert!(apart(&softmax(&x, 1.0, Seen::All).unwrap(), &usual(&x)) < 1e-6);
        let marks: Vec<u8> = (0..2 * 5 * 37)
            .map(|i| u8::from(i % 37 <= i / 37 % 5))
            .collect();
        let halved = softmax(&(&x * 2.0).unwrap(), 0.5, Seen::All).unwrap();
        assert!(apart(&halved, &usual(&x)) < 1e-6);
        let marked = softmax(&x, 1.0, Seen::Marked(&marks)).unwrap();
        let before = softmax(&x, 1.0, Seen::Before(5)).unwrap();
        assert!(apart(&marked, &before) < 1e-7);
        let first: Vec<f32> = before.flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(first[..2], [1.0, 0.0]);
        assert!((first[37] + first[38] - 1.0).abs() < 1e-6);
        let none = softmax(&x, 1.0, Seen::Marked(&[0; 2 * 5 * 37])).unwrap();
        assert_eq!(apart(&none, &none.zeros_like().unwrap()), 0.0);
        let spoiled = Tensor::new(&[[0.0, f32::NAN, 1.0]], &Device::Cpu).unwrap();
        let spoiled: Vec<Vec<f32>> = softmax(&spoiled, 1.0, Seen::All)
            .unwrap()
            .to_vec2()
            .unwrap();
        assert!(spoiled[0].iter().all(|x| x.is_nan()));
    }

    #[test]
    fn a_layer_norm_has_mean_0_and_variance_1_before_its_scale() {
        let x = tensor(&[6, 37]);
        let (weight, bias) = (tensor(&[37]), (tensor(&[37]) * 0.1).unwrap());
        let plain = layer_norm(&x, 37, None, None, 1e-5).unwrap();
        let mean = plain.mean_keepdim(1).unwrap();
        assert!(apart(&mean, &mean.zeros_like().unwrap()) < 1e-6);
        let variance = plain.sqr().unwrap().mean_keepdim(1).unwrap();
        assert!(apart(&variance, &variance.ones_like().unwrap()) < 1e-4);
        let whole = layer_norm(&x, 37, Some(&weight), Some(&bias), 1e-5).unwrap();
        let expected = plain
            .broadcast_mul(&weight)
            .unwrap()
            .broadcast_add(&bias)
            .unwrap();
        assert!(apart(&whole, &expected) < 1e-5);
        let scaled = layer_norm(&x, 37, Some(&weight), None, 1e-5).unwrap();
        assert!(apart(&scaled, &plain.broadcast_mul(&weight).unwrap()) < 1e-5);
    }
}
