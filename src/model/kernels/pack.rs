//! The weights of one point in the order in which the kernels read them, batch norm folded in.

use candle_core::Result;
use rayon::prelude::*;

use super::plan::{Dense, Plan, Step};
use super::winograd::{self, PRODUCTS};
use crate::model::{Weights, layer};

/// What batch norm adds to the variance.
const EPSILON: f32 = 1e-5;

/// The packed weights of every step and of every layer of the head.
#[derive(Debug, Default)]
pub(super) struct Packed {
    pub(super) steps: Vec<Pair>,
    pub(super) head: Vec<Pair>,
}

/// Weights, and what is added; or scale and shift.
#[derive(Debug, Default)]
pub(super) struct Pair {
    pub(super) weights: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Packed {
    /// Packs the weights of a point, in memory that is kept from one point to the next; the first `done`
    /// layers of the head need none.
    pub(super) fn fill(&mut self, plan: &Plan, weights: &Weights, done: usize) -> Result<()> {
        self.steps.resize_with(plan.steps.len(), Pair::default);
        self.head.resize_with(plan.head.len(), Pair::default);
        let steps = self.steps.par_iter_mut().zip(&plan.steps);
        steps.try_for_each(|(pair, step)| match step {
            Step::Conv { conv, winograd, .. } if *winograd => {
                pair.winograd(conv, weights, plan.lanes)
            }
            Step::Conv { conv, .. } => pair.conv(conv, weights, plan.lanes),
            Step::Norm { norm, .. } => pair.norm(norm, weights, plan.lanes),
            Step::Load { .. } | Step::Pool { .. } | Step::Place { .. } => Ok(()),
        })?;
        let head = self.head.par_iter_mut().zip(&plan.head).skip(done);
        head.try_for_each(|(pair, dense)| pair.dense(dense, weights, plan.lanes))
    }
}

/// Scale and shift of a norm, channel by channel.
fn affine(norm: &layer::Norm, weights: &Weights) -> Result<(Vec<f32>, Vec<f32>)> {
    let [gamma, beta, mean, variance] =
        [norm.weight, norm.bias, norm.mean, norm.variance].map(|slot| weights.values(slot));
    let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
    let scale: Vec<f32> = gamma
        .iter()
        .zip(&variance)
        .map(|(gamma, variance)| gamma / (variance + EPSILON).sqrt())
        .collect();
    let shift = beta.iter().zip(&mean).zip(&scale);
    let shift = shift.map(|((beta, mean), scale)| beta - mean * scale);
    let shift = shift.collect();
    Ok((scale, shift))
}

/// Scale of each output and what is added to it.
fn outputs(
    bias: Option<usize>,
    norm: Option<&layer::Norm>,
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
fn padded(values: &[f32], lanes: usize, out: &mut Vec<f32>) {
    out.clear();
    out.extend_from_slice(values);
    out.resize(values.len().next_multiple_of(lanes), 0.0);
}

impl Pair {
    /// (O, I, k, k) to (output blocks, input blocks, k, k, lanes in, lanes out).
    fn conv(&mut self, conv: &layer::Conv, weights: &Weights, lanes: usize) -> Result<()> {
        let (scale, shift) = outputs(conv.bias, conv.norm.as_ref(), conv.outputs, weights)?;
        padded(&shift, lanes, &mut self.bias);
        let kernel = weights.values(conv.kernel_slot)?;
        let taps = conv.kernel * conv.kernel;
        let blocks = conv.inputs.div_ceil(lanes);
        let size = conv.outputs.div_ceil(lanes) * blocks * taps * lanes * lanes;
        self.weights.clear();
        self.weights.resize(size, 0.0);
        for (output, (kernel, scale)) in kernel.chunks(conv.inputs * taps).zip(scale).enumerate() {
            let block = output / lanes * blocks;
            for (input, kernel) in kernel.chunks(taps).enumerate() {
                let first = (block + input / lanes) * taps * lanes + input % lanes;
                for (tap, weight) in kernel.iter().enumerate() {
                    let place = (first + tap * lanes) * lanes + output % lanes;
                    self.weights[place] = weight * scale;
                }
            }
        }
        Ok(())
    }

    /// (O, I, 3, 3) to (products, output blocks, inputs, lanes).
    fn winograd(&mut self, conv: &layer::Conv, weights: &Weights, lanes: usize) -> Result<()> {
        let (scale, shift) = outputs(conv.bias, conv.norm.as_ref(), conv.outputs, weights)?;
        padded(&shift, lanes, &mut self.bias);
        let kernels = weights.values(conv.kernel_slot)?;
        let (kernels, _) = kernels.as_chunks::<9>();
        let product = conv.outputs.next_multiple_of(lanes) * conv.inputs;
        self.weights.clear();
        self.weights.resize(PRODUCTS * product, 0.0);
        for (output, (kernels, scale)) in kernels.chunks(conv.inputs).zip(scale).enumerate() {
            let first = output / lanes * conv.inputs * lanes + output % lanes;
            for (input, kernel) in kernels.iter().enumerate() {
                let places = self.weights[first + input * lanes..].iter_mut().step_by(product);
                let scaled = winograd::transformed(kernel);
                places
                    .zip(scaled)
                    .for_each(|(place, weight)| *place = weight * scale);
            }
        }
        Ok(())
    }

    fn norm(&mut self, norm: &layer::Norm, weights: &Weights, lanes: usize) -> Result<()> {
        let (scale, shift) = affine(norm, weights)?;
        padded(&scale, lanes, &mut self.weights);
        padded(&shift, lanes, &mut self.bias);
        Ok(())
    }

    /// (outputs, inputs) to (output blocks, inputs, lanes).
    fn dense(&mut self, dense: &Dense, weights: &Weights, lanes: usize) -> Result<()> {
        let linear = &dense.linear;
        let (scale, shift) = outputs(linear.bias, dense.norm.as_ref(), linear.outputs, weights)?;
        padded(&shift, lanes, &mut self.bias);
        let matrix = weights.values(linear.weight)?;
        self.weights.clear();
        self.weights
            .resize(linear.outputs.next_multiple_of(lanes) * linear.inputs, 0.0);
        for (output, (row, scale)) in matrix.chunks(linear.inputs).zip(scale).enumerate() {
            let first = output / lanes * linear.inputs * lanes + output % lanes;
            let places = self.weights[first..].iter_mut().step_by(lanes);
            places
                .zip(row)
                .for_each(|(place, weight)| *place = weight * scale);
        }
        Ok(())
    }
}
