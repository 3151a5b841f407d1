//! The weights of one point in the order in which the kernels read them, batch norm folded in.

use candle_core::{CpuStorage, Layout, Result, Storage, bail};
use rayon::prelude::*;

use super::layers;
use super::plan::{Dense, Plan};
use super::steps::{Step, Way};
use crate::model::Weights;
use crate::model::kernels::aligned::Aligned;
use crate::model::kernels::simd::Level;
use crate::model::kernels::winograd::{self, Tile};
use crate::model::kernels::{conv, dense};

/// The packed weights of every step and of every layer of the head.
#[derive(Debug, Default)]
pub(super) struct Packed {
    pub(super) steps: Vec<Pair>,
    pub(super) head: Vec<Pair>,
}

/// Weights, and what is added; or scale and shift.
#[derive(Debug, Default)]
pub(super) struct Pair {
    pub(super) weights: Aligned,
    pub(super) bias: Aligned,
}

impl Packed {
    /// Packs the weights of a point, in memory that is kept from one point to the next; the first `done`
    /// layers of the head need none.
    pub(super) fn fill(
        &mut self,
        plan: &Plan,
        level: Level,
        weights: &Weights,
        done: usize,
    ) -> Result<()> {
        self.steps.resize_with(plan.steps.len(), Pair::default);
        self.head.resize_with(plan.head.len(), Pair::default);
        let steps = self.steps.par_iter_mut().zip(&plan.steps);
        steps.try_for_each(|(pair, step)| match step {
            Step::Conv { conv, way, .. } => match way {
                Way::Winograd(Tile::Two) => pair.winograd::<4>(conv, weights, level),
                Way::Winograd(Tile::Four) => pair.winograd::<6>(conv, weights, level),
                Way::Depthwise => pair.depthwise(conv, weights, plan.lanes),
                Way::Direct | Way::Pointwise => pair.conv(conv, weights, plan.lanes),
            },
            Step::Norm { norm, .. } => pair.norm(norm, weights, plan.lanes),
            Step::Load { .. } | Step::Pool { .. } | Step::Place { .. } => Ok(()),
        })?;
        let head = self.head.par_iter_mut().zip(&plan.head).skip(done);
        head.try_for_each(|(pair, dense)| pair.dense(dense, weights, plan.lanes))
    }
}

/// Returns the numbers of a tensor without gaps, where they lie.
fn numbers<'a>(storage: &'a Storage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(values)), Some((first, end))) => Ok(&values[first..end]),
        _ => bail!("weights that are not f32 numbers in memory"),
    }
}

/// Returns the scale and shift of a norm, channel by channel.
fn affine(norm: &layers::Norm, weights: &Weights) -> Result<(Vec<f32>, Vec<f32>)> {
    let [gamma, beta, mean, variance] =
        [norm.weight, norm.bias, norm.mean, norm.variance].map(|slot| weights.values(slot));
    let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
    let scale: Vec<f32> = gamma
        .iter()
        .zip(&variance)
        .map(|(gamma, variance)| gamma / (variance + norm.epsilon).sqrt())
        .collect();
    let shift = beta.iter().zip(&mean).zip(&scale);
    let shift = shift.map(|((beta, mean), scale)| beta - mean * scale);
    let shift = shift.collect();
    Ok((scale, shift))
}

/// Returns the scale of each output and what is added to it.
fn outputs(
    bias: Option<usize>,
    norm: Option<&layers::Norm>,
    count: usize,
    weights: &Weights,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let mut bias = match bias {
        Some(slot) => weights.values(slot)?,
        None => vec![0.0; count],
    };
    let Some(norm) = norm else {
        return Ok((vec![1.0; count], bias));
    };
    let (scale, shift) = affine(norm, weights)?;
    for ((bias, scale), shift) in bias.iter_mut().zip(&scale).zip(shift) {
        *bias = *bias * scale + shift;
    }
    Ok((scale, bias))
}

/// Fills up to a whole number of vectors with zeros.
fn padded(values: &[f32], lanes: usize, out: &mut Aligned) {
    out.resize(values.len().next_multiple_of(lanes));
    let (own, rest) = out.split_at_mut(values.len());
    own.copy_from_slice(values);
    rest.fill(0.0);
}

impl Pair {
    /// Packs (O, I, k, k) to (output blocks, input blocks, k, k, lanes in, lanes out).
    fn conv(&mut self, conv: &layers::Conv, weights: &Weights, lanes: usize) -> Result<()> {
        let (scale, shift) = outputs(conv.bias, conv.norm.as_ref(), conv.outputs, weights)?;
        padded(&shift, lanes, &mut self.bias);
        let kernel = weights.slot(conv.weight)?.contiguous()?;
        let (kernel, layout) = kernel.storage_and_layout();
        let kernel = numbers(&kernel, layout)?;
        let taps = conv.kernel * conv.kernel;
        let kernels = kernel.chunks(conv.inputs * taps).zip(scale);
        let sizes = [conv.outputs, conv.inputs, taps];
        conv::lay_kernels(kernels, sizes, lanes, &mut self.weights);
        Ok(())
    }

    /// Packs (C, 1, k, k) to (blocks, k, k, lanes).
    fn depthwise(&mut self, conv: &layers::Conv, weights: &Weights, lanes: usize) -> Result<()> {
        let (scale, shift) = outputs(conv.bias, conv.norm.as_ref(), conv.outputs, weights)?;
        padded(&shift, lanes, &mut self.bias);
        let kernel = weights.slot(conv.weight)?.contiguous()?;
        let (kernel, layout) = kernel.storage_and_layout();
        let kernel = numbers(&kernel, layout)?;
        let taps = conv.kernel * conv.kernel;
        self.weights
            .resize(conv.outputs.div_ceil(lanes) * taps * lanes);
        self.weights.fill(0.0);
        for (channel, (kernel, scale)) in kernel.chunks(taps).zip(scale).enumerate() {
            let first = channel / lanes * taps * lanes + channel % lanes;
            for (tap, weight) in kernel.iter().enumerate() {
                self.weights[first + tap * lanes] = weight * scale;
            }
        }
        Ok(())
    }

    /// Packs (O, I, 3, 3) to (output blocks, products, inputs, lanes), for tiles that read N×N pixels.
    fn winograd<const N: usize>(
        &mut self,
        conv: &layers::Conv,
        weights: &Weights,
        level: Level,
    ) -> Result<()> {
        let lanes = level.lanes();
        let (scale, shift) = outputs(conv.bias, conv.norm.as_ref(), conv.outputs, weights)?;
        padded(&shift, lanes, &mut self.bias);
        let kernels = weights.slot(conv.weight)?.contiguous()?;
        let (kernels, layout) = kernels.storage_and_layout();
        let (kernels, _) = numbers(&kernels, layout)?.as_chunks::<9>();
        let block = N * N * conv.inputs * lanes;
        self.weights.resize(conv.outputs.div_ceil(lanes) * block);
        let blocks = self.weights.par_chunks_exact_mut(block);
        let kernels = kernels.par_chunks(lanes * conv.inputs);
        let blocks = blocks.zip(kernels).zip(scale.par_chunks(lanes));
        blocks.for_each(|((to, kernels), scale)| {
            level.run(winograd::OfBlock::<N> {
                kernels,
                inputs: conv.inputs,
                scale,
                to,
            });
        });
        Ok(())
    }

    fn norm(&mut self, norm: &layers::Norm, weights: &Weights, lanes: usize) -> Result<()> {
        let (scale, shift) = affine(norm, weights)?;
        padded(&scale, lanes, &mut self.weights);
        padded(&shift, lanes, &mut self.bias);
        Ok(())
    }

    /// Packs (outputs, inputs) to (output blocks, inputs, lanes).
    fn dense(&mut self, dense: &Dense, weights: &Weights, lanes: usize) -> Result<()> {
        let linear = &dense.linear;
        let (scale, shift) = outputs(linear.bias, dense.norm.as_ref(), linear.outputs, weights)?;
        padded(&shift, lanes, &mut self.bias);
        let matrix = weights.slot(linear.weight)?.contiguous()?;
        let (matrix, layout) = matrix.storage_and_layout();
        let rows = numbers(&matrix, layout)?.par_chunks(linear.inputs * lanes);
        let block = linear.inputs * lanes;
        self.weights.resize(linear.outputs.div_ceil(lanes) * block);
        self.weights.fill(0.0);
        let blocks = self.weights.par_chunks_exact_mut(block).zip(rows);
        blocks
            .zip(scale.par_chunks(lanes))
            .for_each(|((block, rows), scale)| {
                let rows = rows.chunks(linear.inputs).zip(scale.iter().copied());
                dense::lay(block, lanes, rows);
            });
        Ok(())
    }
}
