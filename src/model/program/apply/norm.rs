//! Batch norm, alone or behind a convolution, by the statistics of the weights or those of the batch.

use candle_core::{DType, Result, Tensor, bail};

use super::super::datum::Datum;
use super::super::op::{Conv, Op};
use super::{Operands, sliding_window};
use crate::model::ops::{BatchNormTensors, Statistics};

/// Applies a batch norm; one that takes its own statistics gives them too.
pub(super) fn apply(op: &Op, operands: &Operands<'_>) -> Result<Vec<Datum>> {
    match op {
        Op::BatchNorm { epsilon } => normalized(&operands.float(0)?, 1, *epsilon, operands),
        Op::ConvNorm { conv, epsilon } => convolved(conv, *epsilon, operands),
        _ => bail!("{op:?} is no batch norm"),
    }
}

fn convolved(conv: &Conv, epsilon: f64, operands: &Operands<'_>) -> Result<Vec<Datum>> {
    let x = operands.float(0)?;
    let (kernel, bias) = (exact(operands, 1)?, exact(operands, 2)?);
    let Some(kernel) = kernel else {
        bail!("a convolution without a kernel");
    };
    let typed = |tensor: Tensor| tensor.to_dtype(x.dtype());
    if operands.scope.takes_own_statistics() {
        let bias = bias.map(typed).transpose()?;
        let y = sliding_window::convolve(conv, &x, &typed(kernel)?, bias.as_ref())?;
        return normalized(&y, 3, epsilon, operands);
    }
    let norm = norm(3, epsilon, operands)?;
    let (kernel, shift) = norm.fold(&kernel, bias.as_ref())?;
    let y = sliding_window::convolve(conv, &x, &typed(kernel)?, Some(&typed(shift)?))?;
    Ok(vec![Datum::float(y)])
}

/// Normalizes by a norm whose operands begin at this place.
fn normalized(
    x: &Tensor,
    first: usize,
    epsilon: f64,
    operands: &Operands<'_>,
) -> Result<Vec<Datum>> {
    let mut norm = norm(first, epsilon, operands)?;
    if !operands.scope.takes_own_statistics() {
        return Ok(vec![Datum::float(norm.apply(x)?)]);
    }
    let own = Statistics::of(x)?;
    let variance = own.unbiased_variance()?;
    (norm.mean, norm.variance) = (own.mean.clone(), own.variance);
    let all = [norm.apply(x)?, own.mean, variance];
    Ok(all.map(Datum::float).to_vec())
}

fn norm(first: usize, epsilon: f64, operands: &Operands<'_>) -> Result<BatchNormTensors> {
    let (mean, variance) = (exact(operands, first + 2)?, exact(operands, first + 3)?);
    let (Some(mean), Some(variance)) = (mean, variance) else {
        bail!("a batch norm without statistics");
    };
    Ok(BatchNormTensors {
        weight: exact(operands, first)?,
        bias: exact(operands, first + 1)?,
        mean,
        variance,
        epsilon,
    })
}

/// Returns an operand with all digits that it has: what a norm is folded into would lose those that tell points
/// apart. `None` if it is left out.
fn exact(operands: &Operands<'_>, i: usize) -> Result<Option<Tensor>> {
    let Some(datum) = operands.maybe(i) else {
        return Ok(None);
    };
    let place = operands.scope.place;
    let tensor = datum.tensor().to_device(&place.device)?;
    match place.dtype {
        DType::F64 => tensor.to_dtype(DType::F64).map(Some),
        _ => tensor.to_dtype(DType::F32).map(Some),
    }
}
