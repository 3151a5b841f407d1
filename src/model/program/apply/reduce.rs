//! Values of several numbers.

use candle_core::{Device, Result, Tensor, bail};

use super::Operands;
use crate::model::program::datum::{Datum, axis, sum_keeping};
use crate::model::program::kind::Kind;
use crate::model::program::op::{Function, Op, Reduction};

/// Applies a reduction over some axes, or over all.
pub(super) fn apply(
    by: Reduction,
    axes: &[i64],
    keep: bool,
    operands: &Operands<'_>,
) -> Result<Datum> {
    let datum = operands.get(0)?;
    let rank = datum.dims().len();
    // PyTorch takes a single number for a list of one here.
    let axes = if rank == 0 { &[] } else { axes };
    let mut chosen: Vec<usize> = axes
        .iter()
        .map(|at| axis(*at, rank))
        .collect::<Result<_>>()?;
    if chosen.is_empty() {
        chosen = (0..rank).collect();
    }
    let kind = match by {
        Reduction::Any | Reduction::All => Kind::Bool,
        Reduction::Max | Reduction::Min => datum.kind(),
        Reduction::Sum | Reduction::Prod => datum.kind().max(Kind::Int),
        _ => Kind::Float,
    };
    let x = match (kind, by) {
        (Kind::Float, _) => operands.float(0)?,
        (_, Reduction::Any | Reduction::All) => {
            let truth = datum.cast(Kind::Bool, operands.scope.place)?;
            truth.to_host()?
        }
        _ => datum.to_host()?,
    };
    let mut reduced = reduced(by, &x, &chosen)?;
    if !keep {
        let dims = reduced.dims().iter().enumerate();
        let left = dims.filter(|(at, _)| !chosen.contains(at));
        let left: Vec<usize> = left.map(|(_, extent)| *extent).collect();
        reduced = reduced.reshape(left)?;
    }
    match kind {
        Kind::Float => Ok(Datum::float(reduced)),
        kind => Datum::host(reduced.flatten_all()?.to_vec1()?, reduced.dims(), kind),
    }
}

fn reduced(by: Reduction, x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let count: usize = axes.iter().map(|at| x.dims()[*at]).product();
    let mean = |x: &Tensor| sum_keeping(x, axes)? / count as f64;
    let variance = |less: f64| {
        let distance = x.broadcast_sub(&mean(x)?)?;
        sum_keeping(&distance.sqr()?, axes)? / (count as f64 - less)
    };
    match by {
        Reduction::Sum => sum_keeping(x, axes),
        Reduction::Mean => mean(x),
        Reduction::Variance(less) => variance(less),
        Reduction::Deviation(less) => variance(less)?.sqrt(),
        Reduction::Max => largest(x, axes),
        Reduction::Min => largest(&x.neg()?, axes)?.neg(),
        Reduction::Any => bounds(x, axes, true),
        Reduction::All => bounds(x, axes, false),
        Reduction::Prod => product(x, axes),
        Reduction::Norm(order) => norm(x, axes, order),
        Reduction::LogSumExp => {
            let most = bounds(&x.detach(), axes, true)?;
            let sum = sum_keeping(&x.broadcast_sub(&most)?.exp()?, axes)?;
            sum.log()?.broadcast_add(&most)
        }
    }
}

/// Returns the largest or smallest value as it is.
fn bounds(x: &Tensor, axes: &[usize], most: bool) -> Result<Tensor> {
    let mut x = x.clone();
    for &at in axes {
        x = if most {
            x.max_keepdim(at)?
        } else {
            x.min_keepdim(at)?
        };
    }
    Ok(x)
}

/// Returns the largest value; equals share the derivative, as in PyTorch.
fn largest(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let most = bounds(&x.detach(), axes, true)?;
    if !x.track_op() {
        return Ok(most);
    }
    let is_most = x.detach().broadcast_eq(&most)?;
    let chosen = is_most.where_cond(&x.contiguous()?, &x.zeros_like()?)?;
    let count = sum_keeping(&is_most.to_dtype(x.dtype())?, axes)?;
    sum_keeping(&chosen, axes)? / count
}

fn product(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let mut x = x.clone();
    for &at in axes {
        let mut product = x.narrow(at, 0, 1)?;
        for place in 1..x.dims()[at] {
            product = (product * x.narrow(at, place, 1)?)?;
        }
        x = product;
    }
    Ok(x)
}

/// Returns the norm of an order; its derivative at 0 is 0, as in PyTorch.
fn norm(x: &Tensor, axes: &[usize], order: f64) -> Result<Tensor> {
    let size = Function::Abs.of(x)?;
    if order == f64::INFINITY {
        return largest(&size, axes);
    }
    if order == 1.0 {
        return sum_keeping(&size, axes);
    }
    let sum = if order == 2.0 {
        sum_keeping(&x.sqr()?, axes)?
    } else {
        sum_keeping(&size.powf(order)?, axes)?
    };
    let is_zero = sum.eq(&sum.zeros_like()?)?;
    let safe = is_zero.where_cond(&sum.ones_like()?, &sum)?;
    let root = if order == 2.0 {
        safe.sqrt()?
    } else {
        safe.powf(1.0 / order)?
    };
    is_zero.where_cond(&root.zeros_like()?, &root)
}

/// Returns the place of the largest or smallest value along an axis, the first of equals; NaN counts as both.
fn places(x: &Tensor, at: usize, min: bool) -> Result<(Vec<f64>, Vec<usize>)> {
    let last = x.rank() - 1;
    let host = x.detach().to_device(&Device::Cpu)?;
    let host = host
        .to_dtype(candle_core::DType::F64)?
        .transpose(at, last)?;
    let values: Vec<f64> = host.contiguous()?.flatten_all()?.to_vec1()?;
    let better = |a: f64, b: f64| {
        let beats = if min { a < b } else { a > b };
        beats || (a.is_nan() && !b.is_nan())
    };
    let extent = x.dims()[at].max(1);
    let place = |row: &[f64]| {
        let found = (1..row.len()).fold(
            0,
            |best, i| if better(row[i], row[best]) { i } else { best },
        );
        found as f64
    };
    let found = values.chunks(extent).map(place).collect();
    let mut dims = host.dims().to_vec();
    dims[last] = 1;
    Ok((found, dims))
}

/// Returns the places of an axis as whole numbers; the axis stays with extent 1 if it is kept.
fn place_datum(x: &Tensor, at: usize, keep: bool, min: bool) -> Result<Datum> {
    let (found, dims) = places(x, at, min)?;
    let datum = Datum::host(found, &dims, Kind::Int)?;
    let last = dims.len() - 1;
    datum.map(|x| {
        let x = x.transpose(at, last)?.contiguous()?;
        if keep { Ok(x) } else { x.squeeze(at) }
    })
}

/// Returns the places of the largest or smallest values.
pub(super) fn arg_max(
    operands: &Operands<'_>,
    along: Option<i64>,
    keep: bool,
    min: bool,
) -> Result<Datum> {
    let x = operands.get(0)?.tensor();
    match along {
        Some(at) if x.rank() > 0 => place_datum(x, axis(at, x.rank())?, keep, min),
        _ => place_datum(&x.flatten_all()?, 0, false, min),
    }
}

/// Returns the largest or smallest values of an axis, and their places.
pub(super) fn extreme(
    operands: &Operands<'_>,
    at: i64,
    keep: bool,
    min: bool,
) -> Result<Vec<Datum>> {
    let datum = operands.get(0)?;
    if datum.dims().is_empty() {
        return Ok(vec![datum.clone(), Datum::int(0)?]);
    }
    let at = axis(at, datum.dims().len())?;
    let places = place_datum(datum.tensor(), at, true, min)?;
    let values = super::index::gathered(datum, &places, at)?;
    let done = [values, places].into_iter();
    done.map(|datum| datum.map(|x| if keep { Ok(x.clone()) } else { x.squeeze(at) }))
        .collect()
}

/// Returns the values in order along an axis, and their places; equals stay in their order.
pub(super) fn sort(op: &Op, operands: &Operands<'_>) -> Result<Vec<Datum>> {
    let Op::Sort {
        axis: at,
        descending,
        count,
    } = op
    else {
        bail!("{op:?} does not sort");
    };
    let datum = operands.get(0)?;
    if datum.dims().is_empty() {
        return Ok(vec![datum.clone(), Datum::int(0)?]);
    }
    let at = axis(*at, datum.dims().len())?;
    let last = datum.dims().len() - 1;
    let host = datum
        .to_host()?
        .detach()
        .transpose(at, last)?
        .contiguous()?;
    let values: Vec<f64> = host.flatten_all()?.to_vec1()?;
    let extent = datum.dims()[at].max(1);
    let count = match count {
        Some(count) => (operands.scope.size(*count)?.max(0) as usize).min(extent),
        None => extent,
    };
    let mut places = Vec::with_capacity(values.len());
    for row in values.chunks(extent) {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|a, b| {
            let (a, b) = if *descending { (b, a) } else { (a, b) };
            row[*a].total_cmp(&row[*b])
        });
        places.extend(order.into_iter().take(count).map(|place| place as f64));
    }
    let mut dims = host.dims().to_vec();
    dims[last] = count;
    let places = Datum::host(places, &dims, Kind::Int)?;
    let places = places.map(|x| x.transpose(at, last)?.contiguous())?;
    let values = super::index::gathered(datum, &places, at)?;
    Ok(vec![values, places])
}

/// Returns the sums of all places before and with each. Sums of one, two, four … places are added to those as many
/// places on, so that nothing is multiplied and an infinite number is none of the sums before it.
pub(super) fn cumulative_sum(operands: &Operands<'_>, at: i64) -> Result<Datum> {
    let datum = operands.get(0)?;
    if datum.dims().is_empty() {
        return Ok(datum.clone());
    }
    let at = axis(at, datum.dims().len())?;
    let extent = datum.dims()[at];
    let sum = |x: &Tensor| {
        let mut sums = x.clone();
        let mut covered = 1;
        while covered < extent {
            let before = sums.narrow(at, 0, extent - covered)?;
            sums = (&sums + before.pad_with_zeros(at, covered, 0)?)?;
            covered *= 2;
        }
        Ok(sums)
    };
    let whole = datum.cast(datum.kind().max(Kind::Int), operands.scope.place)?;
    whole.map(sum)
}
