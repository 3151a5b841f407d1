//! Losses inside of a program.

use candle_core::{D, Result, Tensor, bail};

use super::Operands;
use super::attention::softmax;
use super::function::softplus;
use crate::model::program::datum::axis;
use crate::model::program::kind::Kind;
use crate::model::program::op::{Function, InnerLoss, LossKind};

/// Applies a loss: of each element, or their mean or sum.
pub(super) fn apply(loss: InnerLoss, operands: &Operands<'_>) -> Result<Tensor> {
    match loss.kind {
        LossKind::CrossEntropy(ignore, smoothing) => {
            let x = operands.float(0)?;
            let at = axis(i64::from(x.rank() > 1), x.rank())?;
            let logs = softmax(&x, at, true)?;
            classes(&logs, operands, ignore, smoothing, loss.reduction)
        }
        LossKind::Nll(ignore) => {
            classes(&operands.float(0)?, operands, ignore, 0.0, loss.reduction)
        }
        kind => {
            let (x, target) = (operands.float(0)?, operands.float(1)?);
            let each = elements(kind, &x, &target, operands.maybe_float(2)?)?;
            reduced(&each, loss.reduction, each.elem_count() as f64)
        }
    }
}

fn reduced(each: &Tensor, reduction: i64, count: f64) -> Result<Tensor> {
    match reduction {
        0 => Ok(each.clone()),
        1 => each.sum_all()? / count,
        2 => each.sum_all(),
        other => bail!("reduction {other}"),
    }
}

/// Returns the losses of single elements.
fn elements(kind: LossKind, x: &Tensor, target: &Tensor, weight: Option<Tensor>) -> Result<Tensor> {
    let distance = || x.broadcast_sub(target);
    let each = match kind {
        LossKind::Mse => distance()?.sqr()?,
        LossKind::L1 => Function::Abs.of(&distance()?)?,
        LossKind::SmoothL1(width) | LossKind::Huber(width) => {
            let away = Function::Abs.of(&distance()?)?;
            let factor = if matches!(kind, LossKind::Huber(_)) {
                width
            } else {
                1.0
            };
            let curved = (away.sqr()? * (0.5 * factor / width))?;
            let straight = ((&away - 0.5 * width)? * factor)?;
            away.lt(width)?.where_cond(&curved, &straight)?
        }
        LossKind::Bce => {
            // PyTorch's logarithms end at −100.
            let log = |x: &Tensor| Function::Threshold(-100.0, -100.0).of(&x.log()?);
            let (yes, no) = (log(x)?, log(&(1.0 - x)?)?);
            let no = ((1.0 - target)? * no)?;
            ((target * yes)? + no)?.neg()?
        }
        LossKind::BceWithLogits => (softplus(x)? - (x * target)?)?,
        LossKind::KlDiv(true) => (target.exp()? * (target - x)?)?,
        LossKind::KlDiv(false) => {
            let positive = target.gt(0.0)?;
            let safe = positive.where_cond(target, &target.ones_like()?)?;
            (target * (safe.log()? - x)?)?
        }
        LossKind::CrossEntropy(..) | LossKind::Nll(_) => bail!("{kind:?} is of classes"),
    };
    match weight {
        Some(weight) => each.broadcast_mul(&weight),
        None => Ok(each),
    }
}

/// Returns −log p of the target's class, of log-probabilities with the classes along axis 1.
fn classes(
    logs: &Tensor,
    operands: &Operands<'_>,
    ignore: i64,
    smoothing: f64,
    reduction: i64,
) -> Result<Tensor> {
    let target = operands.get(1)?;
    let at = usize::from(logs.rank() > 1);
    let Some(count) = logs.dims().get(at).copied() else {
        bail!("classes of a single number");
    };
    // One row of classes for each target, in the order of the targets.
    let order: Vec<usize> = (0..logs.rank())
        .filter(|axis| *axis != at)
        .chain([at])
        .collect();
    let rows = logs.permute(order)?.contiguous()?.reshape(((), count))?;
    let weights = match operands.maybe_float(2)? {
        Some(weights) => weights,
        None => Tensor::ones(count, logs.dtype(), logs.device())?,
    };
    if target.kind() == Kind::Float {
        bail!("a loss inside of the program whose targets are probabilities");
    }
    let ids = target.to_ints()?;
    let valid: Vec<f64> = ids
        .iter()
        .map(|id| f64::from(u8::from(*id != ignore)))
        .collect();
    let mut flat = Vec::with_capacity(ids.len());
    let mut class = Vec::with_capacity(ids.len());
    for (row, id) in ids.iter().enumerate() {
        let id = if *id == ignore { 0 } else { *id };
        if !(0..count as i64).contains(&id) {
            bail!("class {id} of {count}");
        }
        class.push(id as u32);
        flat.push((row * count) as u32 + id as u32);
    }
    let device = logs.device();
    let valid = Tensor::new(valid, device)?.to_dtype(logs.dtype())?;
    let own = rows
        .flatten_all()?
        .index_select(&Tensor::new(flat, device)?, 0)?;
    let weight = (weights.index_select(&Tensor::new(class, device)?, 0)? * valid.clone())?;
    let mut each = (own * &weight)?.neg()?;
    if smoothing > 0.0 {
        let all = rows.broadcast_mul(&weights)?.sum(D::Minus1)?.neg()?;
        each = ((each * (1.0 - smoothing))? + ((all * valid)? * (smoothing / count as f64))?)?;
    }
    match reduction {
        1 => each.sum_all()? / weight.sum_all()?,
        2 => each.sum_all(),
        _ => {
            let mut dims = logs.dims().to_vec();
            dims.remove(at);
            each.reshape(dims)
        }
    }
}

/// Returns the cosine of the angle between vectors along an axis.
pub(super) fn cosine(operands: &Operands<'_>, at: i64, epsilon: f64) -> Result<Tensor> {
    let (a, b) = (operands.float(0)?, operands.float(1)?);
    let at = axis(at, a.rank())?;
    let norm = |x: &Tensor| {
        let norm = x.sqr()?.sum_keepdim(at)?.sqrt()?;
        Function::Threshold(epsilon, epsilon).of(&norm)
    };
    let dot = a.broadcast_mul(&b)?.sum_keepdim(at)?;
    let norms = norm(&a)?.broadcast_mul(&norm(&b)?)?;
    dot.broadcast_div(&norms)?.squeeze(at)
}
