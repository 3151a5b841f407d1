//! Layers with parameters, pooling and other sizes of images.

use candle_core::{D, DType, Result, Tensor, bail};

use super::super::datum::{axis, mean_of_last, sum_keeping};
use super::super::op::{Normalization, Op};
use super::{Operands, sliding_window};
use crate::model::ops::{self, vector};

/// Applies a layer in evaluation mode.
pub(super) fn apply(op: &Op, operands: &Operands<'_>) -> Result<Tensor> {
    match op {
        Op::Linear => linear(operands),
        Op::Norm(norm) => normalized(*norm, operands),
        Op::WeightNorm { axis: at } => weight_norm(operands, *at),
        Op::Conv(conv) => {
            let bias = operands.maybe_float(2)?;
            sliding_window::convolve(
                conv,
                &operands.float(0)?,
                &operands.float(1)?,
                bias.as_ref(),
            )
        }
        Op::MaxPool(pool) => sliding_window::pooled(pool, None, &operands.float(0)?),
        Op::AveragePool(pool, mean) => {
            sliding_window::pooled(pool, Some(*mean), &operands.float(0)?)
        }
        Op::Patches(pool) => sliding_window::patches(pool, &operands.float(0)?),
        Op::AdaptivePool { to, max } => sliding_window::adaptive(to, *max, &operands.float(0)?),
        Op::Resize {
            method,
            to,
            factors,
        } => {
            let to = to.as_ref().map(|to| operands.scope.sizes(to)).transpose()?;
            sliding_window::resized(
                *method,
                to.as_deref(),
                factors.as_deref(),
                &operands.float(0)?,
            )
        }
        Op::PixelShuffle(factor) => pixel_shuffle(&operands.float(0)?, *factor),
        _ => bail!("{op:?} is no layer"),
    }
}

fn linear(operands: &Operands<'_>) -> Result<Tensor> {
    let x = operands.float(0)?;
    let (weight, bias) = (operands.float(1)?, operands.maybe_float(2)?);
    let width = x.dim(D::Minus1)?;
    let rows = x.contiguous()?.reshape(((), width))?;
    let y = ops::linear(&rows, &weight, bias.as_ref())?;
    let mut dims = x.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = y.dim(1)?;
    }
    y.reshape(dims)
}

/// Returns x with mean 0 and variance 1 along its last axis.
fn standardized(x: &Tensor, epsilon: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&mean_of_last(x)?)?;
    let variance = mean_of_last(&centred.sqr()?)?;
    centred.broadcast_div(&(variance + epsilon)?.sqrt()?)
}

/// Returns the last so many axes as one, and their extents.
fn rows(x: &Tensor, axes: usize) -> Result<(Tensor, Vec<usize>)> {
    let (lead, last) = x.dims().split_at(x.rank().saturating_sub(axes));
    let rows = x.contiguous()?;
    let rows = rows.reshape([lead, &[last.iter().product()]].concat())?;
    Ok((rows, last.to_vec()))
}

fn normalized(norm: Normalization, operands: &Operands<'_>) -> Result<Tensor> {
    let x = operands.float(0)?;
    let (weight, bias) = (operands.maybe_float(1)?, operands.maybe_float(2)?);
    let dims = x.dims().to_vec();
    let (y, scale_dims) = match norm {
        Normalization::Layer(axes, epsilon) if vector::fits(&x) => {
            let width = x.dims().iter().rev().take(axes).product();
            return vector::layer_norm(&x, width, weight.as_ref(), bias.as_ref(), epsilon);
        }
        Normalization::Layer(axes, epsilon) => {
            let (rows, last) = rows(&x, axes)?;
            (standardized(&rows, epsilon)?, last)
        }
        Normalization::RootMeanSquare(axes, epsilon) => {
            let (rows, last) = rows(&x, axes)?;
            let own = if rows.dtype() == DType::F64 {
                f64::EPSILON
            } else {
                f64::from(f32::EPSILON)
            };
            let epsilon = epsilon.unwrap_or(own);
            let root = (mean_of_last(&rows.sqr()?)? + epsilon)?.sqrt()?;
            (rows.broadcast_div(&root)?, last)
        }
        Normalization::Group(groups, epsilon) => by_channels(&x, Some(groups), epsilon)?,
        Normalization::Instance(epsilon) => by_channels(&x, None, epsilon)?,
    };
    let mut y = y.reshape(dims.as_slice())?;
    if let Some(weight) = weight {
        y = y.broadcast_mul(&weight.reshape(scale_dims.as_slice())?)?;
    }
    match bias {
        Some(bias) => y.broadcast_add(&bias.reshape(scale_dims)?),
        None => Ok(y),
    }
}

/// Returns x standardized over groups of channels, or over each channel, and the shape of one number for each channel.
fn by_channels(x: &Tensor, groups: Option<usize>, epsilon: f64) -> Result<(Tensor, Vec<usize>)> {
    let [samples, channels, ..] = *x.dims() else {
        bail!("a norm of channels for shape {:?}", x.dims());
    };
    let rows = x.contiguous()?;
    let rows = rows.reshape((samples, groups.unwrap_or(channels), ()))?;
    let mut scale_dims = vec![1; x.rank()];
    scale_dims[1] = channels;
    Ok((standardized(&rows, epsilon)?, scale_dims))
}

/// Returns v·g/‖v‖, with norms over all axes but one.
fn weight_norm(operands: &Operands<'_>, at: i64) -> Result<Tensor> {
    let (v, g) = (operands.float(0)?, operands.float(1)?);
    let at = axis(at, v.rank())?;
    let others: Vec<usize> = (0..v.rank()).filter(|axis| *axis != at).collect();
    let norm = sum_keeping(&v.sqr()?, &others)?.sqrt()?;
    v.broadcast_mul(&g.broadcast_div(&norm)?)
}

/// Returns (N, C·r², H, W) to (N, C, H·r, W·r).
fn pixel_shuffle(x: &Tensor, factor: i64) -> Result<Tensor> {
    let (samples, channels, height, width) = x.dims4()?;
    let factor = usize::try_from(factor).unwrap_or(0);
    let squared = factor.checked_mul(factor);
    let split = squared.and_then(|squared| channels.checked_div(squared));
    let Some(channels) = split else {
        bail!("pixels of {factor} by {factor} from {channels} channels");
    };
    let split = [samples, channels, factor, factor, height, width];
    let split = x.contiguous()?.reshape(split.as_slice())?;
    let order = split.permute([0, 1, 4, 2, 5, 3].as_slice())?;
    order.reshape((samples, channels, height * factor, width * factor))
}
