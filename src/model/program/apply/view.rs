//! Other shapes of the same numbers, stretches and pieces.

use candle_core::{Result, Tensor, bail};

use super::{Operands, create};
use crate::model::program::datum::{Datum, axis, broadcast};
use crate::model::program::kind::Kind;
use crate::model::program::op::{AxisSlice, Op};

/// Elements of the largest view of a few numbers: what is computed of it takes memory for each.
const LARGEST_VIEW: usize = 1 << 32;

/// Applies an operation that keeps numbers as they are.
pub(super) fn apply(op: &Op, operands: &Operands<'_>) -> Result<Datum> {
    if let Op::Cat(dim) | Op::Stack(dim) = op {
        return together(operands, *dim, matches!(op, Op::Stack(_)));
    }
    let scope = operands.scope;
    let datum = operands.get(0)?;
    let rank = datum.dims().len();
    match op {
        Op::Reshape(to) => {
            let to = scope.sizes(to)?;
            datum.map(|x| x.reshape(filled(&to, x.elem_count())?))
        }
        Op::ReshapeAs => datum.map(|x| x.reshape(operands.get(1)?.dims())),
        Op::ExpandAs => datum.map(|x| x.broadcast_as(operands.get(1)?.dims())),
        Op::Flatten(from, to) => {
            if rank == 0 {
                return datum.map(|x| x.reshape(1));
            }
            let (from, to) = (axis(*from, rank)?, axis(*to, rank)?);
            datum.map(|x| x.flatten(from, to))
        }
        Op::Unflatten(at, to) => {
            let at = axis(*at, rank)?;
            let inner = filled(&scope.sizes(to)?, datum.dims()[at])?;
            let dims = datum.dims();
            let to = [&dims[..at], &inner, &dims[at + 1..]].concat();
            datum.map(|x| x.reshape(to))
        }
        Op::Squeeze(axes) => squeeze(datum, axes.as_deref()),
        Op::Unsqueeze(at) => datum.map(|x| x.unsqueeze(axis(*at, rank + 1)?)),
        Op::Transpose(a, b) if rank > 0 => {
            datum.map(|x| x.transpose(axis(*a, rank)?, axis(*b, rank)?))
        }
        Op::Permute(order) => {
            let order = order.iter().map(|at| axis(*at, rank));
            permuted(datum, &order.collect::<Result<Vec<_>>>()?)
        }
        Op::Reverse => permuted(datum, &(0..rank).rev().collect::<Vec<_>>()),
        Op::MoveAxes(from, to) => permuted(datum, &moved(from, to, rank)?),
        Op::Expand(to) => datum.map(|x| expand(x, &scope.sizes(to)?)),
        Op::Slice(slice) => {
            let bounds = bounds(slice, datum, operands)?;
            datum.map(|x| every(x, bounds))
        }
        Op::Select(at, place) => {
            let at = axis(*at, rank)?;
            let place = within(scope.size(*place)?, datum.dims()[at])?;
            datum.map(|x| x.narrow(at, place, 1)?.squeeze(at))
        }
        Op::Repeat(times) => {
            let times = scope.sizes(times)?;
            let times: Vec<usize> = times.iter().map(|n| (*n).max(0) as usize).collect();
            let dims = datum.dims();
            let added = times.len().saturating_sub(dims.len());
            let repeated = times.iter().enumerate().map(|(i, times)| {
                let own = i.checked_sub(added).and_then(|i| dims.get(i));
                times.saturating_mul(own.copied().unwrap_or(1))
            });
            let repeated: Vec<usize> = repeated.collect();
            create::element_count(&repeated, dims.iter().product())?;
            datum.map(|x| x.repeat(times))
        }
        Op::Diagonal(offset, a, b) => diagonal(datum, *offset, axis(*a, rank)?, axis(*b, rank)?),
        Op::Unfold(at, width, step) => unfold(datum, axis(*at, rank)?, *width, *step),
        Op::Transpose(..) => Ok(datum.clone()),
        _ => bail!("{op:?} is not known"),
    }
}

/// Returns the extents with −1 filled in.
fn filled(to: &[i64], count: usize) -> Result<Vec<usize>> {
    let known: i64 = to.iter().filter(|n| **n != -1).product();
    let rest = (count as i64).checked_div(known).unwrap_or(0);
    let fill = |n: &i64| match *n {
        -1 => Ok(rest as usize),
        n if n >= 0 => Ok(n as usize),
        n => bail!("an extent of {n}"),
    };
    to.iter().map(fill).collect()
}

fn squeeze(datum: &Datum, axes: Option<&[i64]>) -> Result<Datum> {
    let rank = datum.dims().len();
    let chosen: Vec<usize> = match axes {
        // PyTorch takes a single number for a list of one here.
        Some(axes) if rank > 0 => axes
            .iter()
            .map(|at| axis(*at, rank))
            .collect::<Result<_>>()?,
        _ => (0..rank).collect(),
    };
    let dims = datum.dims().iter().enumerate();
    let left: Vec<usize> = dims
        .filter(|(at, extent)| **extent != 1 || !chosen.contains(at))
        .map(|(_, extent)| *extent)
        .collect();
    datum.map(|x| x.reshape(left))
}

/// Returns the axes in another order.
pub(super) fn permuted(datum: &Datum, order: &[usize]) -> Result<Datum> {
    datum.map(|x| match order {
        [] => Ok(x.clone()),
        order => x.permute(order),
    })
}

fn moved(from: &[i64], to: &[i64], rank: usize) -> Result<Vec<usize>> {
    let axes = |axes: &[i64]| {
        let axes = axes.iter().map(|at| axis(*at, rank));
        axes.collect::<Result<Vec<usize>>>()
    };
    let (from, to) = (axes(from)?, axes(to)?);
    let mut rest = (0..rank).filter(|at| !from.contains(at));
    let place = |at: usize| match to.iter().position(|to| *to == at) {
        Some(i) => from.get(i).copied(),
        None => rest.next(),
    };
    let order: Option<Vec<usize>> = (0..rank).map(place).collect();
    match order {
        Some(order) => Ok(order),
        None => bail!("axes {from:?} to {to:?} of {rank}"),
    }
}

fn expand(x: &Tensor, to: &[i64]) -> Result<Tensor> {
    let added = to.len().saturating_sub(x.rank());
    let extents = to.iter().enumerate().map(|(at, &n)| match n {
        -1 if at >= added => Ok(x.dims()[at - added]),
        n if n >= 0 => Ok(n as usize),
        n => bail!("an extent of {n}"),
    });
    let extents = extents.collect::<Result<Vec<_>>>()?;
    let mut counted = extents.iter();
    let count = counted.try_fold(1usize, |n, extent| n.checked_mul(*extent));
    if count.is_none_or(|count| count > LARGEST_VIEW) {
        bail!("a view of shape {extents:?}, expected at most {LARGEST_VIEW} elements");
    }
    x.broadcast_as(extents)
}

/// A stretch of an axis: which, from where, how many, how far apart.
pub(super) type Bounds = (usize, usize, usize, usize);

/// Returns the places of a slice; ends beyond the axis are cut off, as in Python.
pub(super) fn bounds(slice: &AxisSlice, datum: &Datum, operands: &Operands<'_>) -> Result<Bounds> {
    let at = axis(slice.axis, datum.dims().len())?;
    let extent = datum.dims()[at] as i64;
    let place = |n: i64| if n < 0 { n.saturating_add(extent) } else { n }.clamp(0, extent);
    let start = place(operands.scope.size(slice.start)?);
    let end = place(operands.scope.size(slice.end)?).max(start);
    if slice.step < 1 {
        bail!("a step of {}", slice.step);
    }
    let (start, end, step) = (start as usize, end as usize, slice.step as usize);
    Ok((at, start, (end - start).div_ceil(step), step))
}

/// Returns the places of an axis from a start, so many, so far apart.
pub(super) fn every(x: &Tensor, (at, start, count, step): Bounds) -> Result<Tensor> {
    if step == 1 || count == 0 {
        return x.narrow(at, start, count);
    }
    let places: Vec<u32> = (0..count).map(|i| (start + i * step) as u32).collect();
    x.contiguous()?
        .index_select(&Tensor::new(places, x.device())?, at)
}

/// Returns a place that counts from the end when it is negative.
pub(super) fn within(place: i64, extent: usize) -> Result<usize> {
    let from_start = if place < 0 {
        place + extent as i64
    } else {
        place
    };
    if (0..extent as i64).contains(&from_start) {
        Ok(from_start as usize)
    } else {
        bail!("place {place} of {extent}")
    }
}

/// Returns the pieces of an axis.
pub(super) fn pieces(op: &Op, operands: &Operands<'_>) -> Result<Vec<Datum>> {
    let datum = operands.get(0)?;
    let rank = datum.dims().len();
    let (Op::Split(at, _) | Op::SplitEvery(at, _) | Op::Chunk(at, _) | Op::Unbind(at)) = op else {
        bail!("{op:?} has no pieces");
    };
    let at = axis(*at, rank)?;
    let extent = datum.dims()[at];
    let sizes: Vec<usize> = match op {
        Op::Split(_, sizes) => {
            let sizes = operands.scope.sizes(sizes)?;
            sizes.iter().map(|n| (*n).max(0) as usize).collect()
        }
        Op::SplitEvery(_, size) => equal(extent, operands.scope.size(*size)?),
        Op::Chunk(_, count) => equal(extent, (extent as i64 + count - 1) / (*count).max(1)),
        _ => vec![1; extent],
    };
    let mut start = 0;
    let mut pieces = Vec::with_capacity(sizes.len());
    for size in sizes {
        let piece = datum.map(|x| x.narrow(at, start, size))?;
        pieces.push(match op {
            Op::Unbind(_) => piece.map(|x| x.squeeze(at))?,
            _ => piece,
        });
        start += size;
    }
    Ok(pieces)
}

/// Returns the pieces of a size each, and what is left over.
fn equal(extent: usize, size: i64) -> Vec<usize> {
    let size = size.max(1) as usize;
    let starts = (0..extent.max(1)).step_by(size);
    starts.map(|start| size.min(extent - start)).collect()
}

/// Returns the values one after another, or side by side along a new axis.
fn together(operands: &Operands<'_>, dim: i64, new: bool) -> Result<Datum> {
    let mut data = operands.all()?;
    // PyTorch passes over the empty list that a loop begins with.
    if !new && data.len() > 1 {
        data.retain(|datum| datum.dims() != [0]);
    }
    let Some(kind) = data.iter().map(|datum| datum.kind()).max() else {
        bail!("nothing to put together");
    };
    let cast = data
        .iter()
        .map(|datum| datum.cast(kind, operands.scope.place));
    let cast = cast.collect::<Result<Vec<_>>>()?;
    let rank = cast[0].dims().len();
    let at = axis(dim, rank + usize::from(new))?;
    let tensors = cast.iter().map(|datum| {
        let x = datum.tensor();
        if new { x.unsqueeze(at) } else { Ok(x.clone()) }
    });
    let tensors = tensors.collect::<Result<Vec<_>>>()?;
    Ok(cast[0].with(Tensor::cat(&tensors, at)?))
}

/// Returns the differences of neighbours along an axis, so many times; other values may stand before and behind. Of
/// truth values it is true where neighbours differ.
pub(super) fn difference(operands: &Operands<'_>, dim: i64, times: usize) -> Result<Datum> {
    let own = operands.get(0)?;
    if times == 0 {
        return Ok(own.clone());
    }
    let at = axis(dim, own.dims().len())?;
    let parts = [operands.maybe(1), Some(own), operands.maybe(2)];
    let parts = parts.into_iter().flatten().map(|datum| {
        let datum = datum.cast(own.kind(), operands.scope.place)?;
        Ok(datum.tensor().clone())
    });
    let mut values = Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, at)?;
    for _ in 0..times {
        let Some(count) = values.dim(at)?.checked_sub(1).filter(|count| *count > 0) else {
            bail!("differences of fewer values than differences are taken");
        };
        values = (values.narrow(at, 1, count)? - values.narrow(at, 0, count)?)?;
        if own.kind() == Kind::Bool {
            values = values.abs()?;
        }
    }
    Ok(own.with(values))
}

/// Returns all operands with one shape.
pub(super) fn broadcast_together(operands: &Operands<'_>) -> Result<Vec<Datum>> {
    let data = operands.all()?;
    let mut dims = Vec::new();
    for datum in &data {
        dims = broadcast(&dims, datum.dims())?;
    }
    let data = data.iter();
    data.map(|datum| datum.map(|x| x.broadcast_as(dims.as_slice())))
        .collect()
}

/// Returns the extent of an axis as a number.
pub(super) fn extent(operands: &Operands<'_>, at: i64) -> Result<Datum> {
    let dims = operands.get(0)?.dims();
    Datum::int(dims[axis(at, dims.len())?] as i64)
}

fn diagonal(datum: &Datum, offset: i64, a: usize, b: usize) -> Result<Datum> {
    let dims = datum.dims();
    let (rows, columns) = (dims[a] as i64, dims[b] as i64);
    let (row, column) = ((-offset).max(0), offset.max(0));
    let count = (rows - row).min(columns - column).max(0);
    let ids = (0..count).map(|i| ((row + i) * columns + column + i) as u32);
    let ids: Vec<u32> = ids.collect();
    let mut order: Vec<usize> = (0..dims.len()).filter(|at| *at != a && *at != b).collect();
    let mut shape: Vec<usize> = order.iter().map(|at| dims[*at]).collect();
    shape.push((rows * columns) as usize);
    order.extend([a, b]);
    datum.map(|x| {
        let ids = Tensor::new(ids, x.device())?;
        let last = shape.len() - 1;
        let flat = x.permute(order)?.reshape(shape)?;
        flat.contiguous()?.index_select(&ids, last)
    })
}

/// Returns the windows of an axis as a new last axis.
fn unfold(datum: &Datum, at: usize, width: usize, step: usize) -> Result<Datum> {
    let extent = datum.dims()[at];
    let Some(travel) = extent.checked_sub(width) else {
        bail!("windows of {width} on {extent}");
    };
    let count = travel / step.max(1) + 1;
    let windows = [
        &datum.dims()[..at],
        &[count, width],
        &datum.dims()[at + 1..],
    ]
    .concat();
    create::element_count(&windows, datum.dims().iter().product())?;
    let ids = (0..count).flat_map(|window| (0..width).map(move |i| (window * step + i) as u32));
    let ids: Vec<u32> = ids.collect();
    datum.map(|x| {
        let ids = Tensor::new(ids, x.device())?;
        let taken = x.contiguous()?.index_select(&ids, at)?;
        let taken = taken.reshape(windows)?;
        let mut order: Vec<usize> = (0..=x.rank()).filter(|axis| *axis != at + 1).collect();
        order.push(at + 1);
        taken.permute(order)
    })
}
