//! Functions of rows: the last axis of an array, or its last axes together.

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, bail};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::function::exp;
use super::{CHUNK, with};
use crate::model::kernels::simd::Level;

/// Partial sums of a row, so that vectors can add them.
const LANES: usize = 16;

/// Returns the sum of a function of a row's numbers.
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

/// Rows with the softmax of each.
struct Softmax<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
    width: usize,
}

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let rows = self.x.chunks_exact(self.width);
        for (x, y) in rows.zip(self.y.chunks_exact_mut(self.width)) {
            y.copy_from_slice(x);
            softmax_row(y);
        }
    }
}

/// Turns a row into its softmax; a row of −∞ alone becomes 0.
#[inline(always)]
pub(super) fn softmax_row(row: &mut [f32]) {
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

/// Returns the softmax along the last axis.
///
/// # Errors
/// candle's.
pub(in crate::model) fn softmax(x: &Tensor) -> Result<Tensor> {
    let width = x.dims().last().copied().unwrap_or(1).max(1);
    let level = Level::best();
    let rows = (CHUNK / width).max(1) * width;
    let y = with(x, |x| {
        let mut y = vec![0.0; x.len()];
        let chunks = y.par_chunks_mut(rows).zip(x.par_chunks(rows));
        chunks.for_each(|(y, x)| level.run(Softmax { x, y, width }));
        y
    })?;
    Tensor::from_vec(y, x.shape(), x.device())
}

/// A row that is added to each row of an array without gaps.
struct AddToRows(Vec<f32>);

impl InplaceOp1 for AddToRows {
    fn name(&self) -> &'static str {
        "add to rows"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(numbers), Some((from, to))) = (storage, layout.contiguous_offsets())
        else {
            bail!("rows that are not f32 numbers without gaps");
        };
        let width = self.0.len().max(1);
        let chunk = (CHUNK / width).max(1) * width;
        numbers[from..to].par_chunks_mut(chunk).for_each(|rows| {
            for row in rows.chunks_exact_mut(width) {
                row.iter_mut().zip(&self.0).for_each(|(x, add)| *x += add);
            }
        });
        Ok(())
    }
}

/// Adds a row to each row of x in place; x is a result that nobody else holds.
///
/// # Errors
/// candle's.
pub(in crate::model) fn add_to_rows(x: &Tensor, row: &Tensor) -> Result<()> {
    let row = with(row, <[f32]>::to_vec)?;
    if x.dims().last() != Some(&row.len()) {
        bail!("a row of {} numbers for {:?}", row.len(), x.dims());
    }
    x.inplace_op1(&AddToRows(row))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

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
    fn a_softmax_is_candle_s_and_lets_nan_through() {
        let x = tensor(&[2, 5, 37]);
        let most = x.max_keepdim(2).unwrap();
        let shares = x.broadcast_sub(&most).unwrap().exp().unwrap();
        let sums = shares.sum_keepdim(2).unwrap();
        let usual = shares.broadcast_div(&sums).unwrap();
        assert!(apart(&softmax(&x).unwrap(), &usual) < 1e-6);
        let spoiled = Tensor::new(&[[0.0, f32::NAN, 1.0]], &Device::Cpu).unwrap();
        let spoiled: Vec<Vec<f32>> = softmax(&spoiled).unwrap().to_vec2().unwrap();
        assert!(spoiled[0].iter().all(|x| x.is_nan()));
    }

    #[test]
    fn a_row_is_added_to_every_row() {
        let x = tensor(&[700, 37]);
        let row = tensor(&[37]);
        let expected = x.broadcast_add(&row).unwrap();
        let own = x.copy().unwrap();
        add_to_rows(&own, &row).unwrap();
        assert_eq!(apart(&own, &expected), 0.0);
        assert!(add_to_rows(&own, &tensor(&[36])).is_err());
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
