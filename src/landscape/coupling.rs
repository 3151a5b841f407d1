//! Models whose result for a sample depends on the others of its batch: their loss of all samples is not that of the
//! batches in which they are measured.

use std::sync::Arc;

use candle_core::{D, DType, Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::model::Weights;
use crate::weights::Layout;

use super::LandscapeError;
use super::forward::Forward;
use super::samples::Batch;

/// Samples that are taken through the model at once, and in two halves: exported programs may not fit one alone.
pub(super) const PROBED: usize = 4;
/// Numbers of a model's weights at most: random ones take as much memory again.
const LARGEST: usize = 1 << 28;
/// Share of the largest number from which on a difference is none of rounding.
const DISTANCE: f64 = 1e-3;
/// Samples at most of which one loss is compared with the mean of two halves'.
pub(super) const WEIGHED: usize = 64;
/// Share of one loss from which on halves count as weighing differently, because with random weights all items cost about
/// as much, so that different numbers of items change little.
const WEIGHT: f64 = 1e-5;

/// Reason why the loss of all samples is not the mean of their batches'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coupling {
    /// The model itself gives one loss for all samples of a batch, in which they weigh differently.
    OneLoss,
    /// The result of a sample depends on the others of its batch.
    Samples,
}

impl Coupling {
    /// Runs a model on [`PROBED`] samples together and apart, with random weights, because no checkpoint is known yet;
    /// a loss of all on `many`. `None` if the results are equal, there are fewer samples, or the model is too large to be
    /// asked.
    ///
    /// # Errors
    /// candle's: the model does not run on so few samples, or the device failed or has no room.
    pub(super) fn of(
        forward: &Forward,
        samples: &Batch,
        many: &Batch,
        layout: &Arc<Layout>,
        device: &Device,
    ) -> Result<Option<Self>, LandscapeError> {
        if samples.samples() != PROBED || layout.len() > LARGEST {
            return Ok(None);
        }
        let weights = probe(layout, device)?;
        let output = |batch: &Batch| -> Result<Tensor, LandscapeError> {
            let output = forward.exact_output(&weights, &forward.prepare(batch)?)?;
            Ok(output.to_device(&Device::Cpu)?.to_dtype(DType::F64)?)
        };
        let all = output(samples)?;
        if all.elem_count() == 1 {
            let one: f64 = output(many)?.flatten_all()?.sum_all()?.to_scalar()?;
            let mut halves = 0.0;
            for half in many.pieces(many.samples().div_ceil(2))? {
                let loss: f64 = output(&half)?.flatten_all()?.sum_all()?.to_scalar()?;
                halves += loss * half.samples() as f64 / many.samples() as f64;
            }
            let differs = (one - halves).abs() > WEIGHT * one.abs();
            return Ok(differs.then_some(Self::OneLoss));
        }
        if all.dims().first() != Some(&PROBED) {
            return Ok(None);
        }
        let halves = samples.pieces(PROBED / 2)?;
        let halves: Vec<Tensor> = halves.iter().map(output).collect::<Result<_, _>>()?;
        let distance = largest(&(&all - Tensor::cat(&halves, 0)?)?)?;
        Ok((distance > DISTANCE * largest(&all)?).then_some(Self::Samples))
    }
}

fn largest(x: &Tensor) -> candle_core::Result<f64> {
    x.abs()?.flatten_all()?.max(D::Minus1)?.to_scalar()
}

/// Returns random weights with which the numbers of a deep network stay of one size: matrices by their inputs, vectors
/// (scales, variances) near 1.
fn probe(layout: &Arc<Layout>, device: &Device) -> candle_core::Result<Weights> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut numbers = vec![0.0f32; layout.len()];
    for slot in layout.slots() {
        let inputs: usize = slot.shape.iter().skip(1).product();
        let bound = (3.0 / inputs.max(1) as f32).sqrt();
        let places = numbers.iter_mut().skip(slot.offset).take(slot.len());
        for number in places {
            let uniform: f32 = random.random_range(-1.0..1.0);
            *number = if slot.rank() > 1 {
                uniform * bound
            } else {
                1.0 + uniform / 2.0
            };
        }
    }
    let flat = Tensor::from_vec(numbers, layout.len(), device)?;
    Ok(Weights::new(flat, Arc::clone(layout)))
}
