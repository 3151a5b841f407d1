//! Elements by their numbers. Numbers are turned into places of the flat array on the host, because candle's own
//! gather has no second derivative and takes no negative numbers.

use candle_core::{Result, Tensor, bail};

use super::{Operands, create, view};
use crate::model::program::datum::{Datum, axis, broadcast};
use crate::model::program::kind::Kind;
use crate::model::program::op::{Op, Padding};

/// Applies a selection of elements.
pub(super) fn apply(op: &Op, operands: &Operands<'_>) -> Result<Datum> {
    let datum = operands.get(0)?;
    let rank = datum.dims().len();
    match op {
        Op::Embedding => embedding(operands),
        Op::Index => indexed(datum, operands.from(1)),
        Op::Gather(at) => gathered(datum, operands.get(1)?, axis(*at, rank)?),
        Op::IndexSelect(at) => {
            let at = axis(*at, rank)?;
            let places = places(operands.get(1)?, datum.dims()[at])?;
            select(datum, at, &places)
        }
        Op::OneHot(classes) => one_hot(datum, *classes),
        Op::RepeatInterleave(times, at) => {
            let times = operands.scope.size(*times)?.max(0) as usize;
            let flat = match at {
                Some(_) => datum.clone(),
                None => datum.map(Tensor::flatten_all)?,
            };
            let at = axis(at.unwrap_or(0), flat.dims().len())?;
            let given = flat.dims().iter().product();
            let mut dims = flat.dims().to_vec();
            dims[at] = dims[at].saturating_mul(times);
            create::element_count(&dims, given)?;
            let places: Vec<usize> = (0..dims[at]).map(|i| i / times).collect();
            select(&flat, at, &places)
        }
        Op::Flip(_) if rank == 0 => Ok(datum.clone()),
        Op::Flip(axes) => axes.iter().try_fold(datum.clone(), |datum, at| {
            let at = axis(*at, rank)?;
            let places: Vec<usize> = (0..datum.dims()[at]).rev().collect();
            select(&datum, at, &places)
        }),
        Op::Roll(shifts, axes) => roll(datum, &operands.scope.sizes(shifts)?, axes),
        Op::Pad { by, with } => pad(datum, &operands.scope.sizes(by)?, *with, operands),
        _ => bail!("{op:?} is no selection"),
    }
}

/// Returns the numbers of places as places of an axis: negative ones count from the end.
pub(super) fn places(index: &Datum, extent: usize) -> Result<Vec<usize>> {
    if index.kind() == Kind::Bool {
        bail!("a selection by truth values, whose size depends on the data");
    }
    let numbers = index.to_ints()?.into_iter();
    numbers.map(|place| view::within(place, extent)).collect()
}

/// Returns the places of a list along an axis.
pub(super) fn select(datum: &Datum, at: usize, places: &[usize]) -> Result<Datum> {
    datum.map(|x| {
        let ids: Vec<u32> = places.iter().map(|place| *place as u32).collect();
        x.contiguous()?
            .index_select(&Tensor::new(ids, x.device())?, at)
    })
}

/// Returns the places of the flat array, in another shape.
pub(super) fn taken(datum: &Datum, places: &[usize], dims: &[usize]) -> Result<Datum> {
    let flat = datum.map(Tensor::flatten_all)?;
    select(&flat, 0, places)?.map(|x| x.reshape(dims))
}

fn embedding(operands: &Operands<'_>) -> Result<Datum> {
    let (table, ids) = (operands.get(0)?, operands.get(1)?);
    let rows = places(ids, table.dims().first().copied().unwrap_or(0))?;
    let dims = [ids.dims(), table.dims().get(1..).unwrap_or_default()].concat();
    let table = Datum::float(operands.scope.float(table)?);
    select(&table, 0, &rows)?.map(|x| x.reshape(dims))
}

/// Returns the distances between neighbours along each axis of the flat array.
pub(super) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for at in (1..dims.len()).rev() {
        strides[at - 1] = strides[at] * dims[at];
    }
    strides
}

/// Returns a flat place as places along each axis.
pub(super) fn unravel(mut place: usize, dims: &[usize]) -> Vec<usize> {
    let mut places = vec![0; dims.len()];
    for at in (0..dims.len()).rev() {
        places[at] = place % dims[at].max(1);
        place /= dims[at].max(1);
    }
    places
}

/// Finds, for each element of the index, the flat place in an array of `dims` where it stands in for the place along an
/// axis.
pub(super) fn flat_places(index: &Datum, dims: &[usize], at: usize) -> Result<Vec<usize>> {
    let strides = strides(dims);
    let shape = index.dims();
    let mut extents = shape.iter().zip(dims).enumerate();
    let fits = extents.all(|(other, (own, extent))| other == at || own <= extent);
    let Some(extent) = dims.get(at).filter(|_| fits && shape.len() == dims.len()) else {
        bail!("numbers of shape {shape:?} for {dims:?}");
    };
    let along = places(index, *extent)?;
    Ok(along
        .into_iter()
        .enumerate()
        .map(|(i, along)| {
            let mut at_axes = unravel(i, shape);
            at_axes[at] = along;
            at_axes.iter().zip(&strides).map(|(p, s)| p * s).sum()
        })
        .collect())
}

/// Returns the elements of an axis by numbers of the same shape.
pub(super) fn gathered(datum: &Datum, index: &Datum, at: usize) -> Result<Datum> {
    let places = flat_places(index, datum.dims(), at)?;
    taken(datum, &places, index.dims())
}

/// The axes that have numbers, the numbers of flat places among them, and the shape that the numbers have.
pub(super) struct Picked {
    pub(super) axes: Vec<usize>,
    pub(super) places: Vec<usize>,
    pub(super) dims: Vec<usize>,
}

/// Brings the numbers of several axes together.
pub(super) fn picked(dims: &[usize], indices: &[Option<Datum>]) -> Result<Picked> {
    let given = indices.iter().enumerate();
    let given: Vec<(usize, &Datum)> = given
        .filter_map(|(at, index)| Some((at, index.as_ref()?)))
        .collect();
    let mut shape = Vec::new();
    for (_, index) in &given {
        shape = broadcast(&shape, index.dims())?;
    }
    let count: usize = shape.iter().product();
    let mut flat = vec![0; count];
    for (at, index) in &given {
        let Some(extent) = dims.get(*at).copied() else {
            bail!("numbers of axis {at} of {}", dims.len());
        };
        let full = index.map(|x| x.broadcast_as(shape.as_slice())?.contiguous())?;
        for (flat, place) in flat.iter_mut().zip(places(&full, extent)?) {
            *flat = *flat * extent + place;
        }
    }
    Ok(Picked {
        axes: given.iter().map(|(at, _)| *at).collect(),
        places: flat,
        dims: shape,
    })
}

/// Returns the elements by numbers for some of the axes.
fn indexed(datum: &Datum, indices: &[Option<Datum>]) -> Result<Datum> {
    let dims = datum.dims();
    let picked = picked(dims, indices)?;
    let rest: Vec<usize> = (0..dims.len())
        .filter(|at| !picked.axes.contains(at))
        .collect();
    let order = [picked.axes.as_slice(), &rest].concat();
    let count: usize = picked.axes.iter().map(|at| dims[*at]).product();
    let others: Vec<usize> = rest.iter().map(|at| dims[*at]).collect();
    let flat = view::permuted(datum, &order)?
        .map(|x| x.reshape([&[count], others.as_slice()].concat()))?;
    let shape = [picked.dims.as_slice(), &others].concat();
    let taken = select(&flat, 0, &picked.places)?.map(|x| x.reshape(shape))?;
    // Numbers of neighbouring axes leave their result where these stood, others in front.
    let first = picked.axes.first().copied().unwrap_or(0);
    let are_neighbours = picked.axes.windows(2).all(|pair| pair[1] == pair[0] + 1);
    if !are_neighbours || first == 0 {
        return Ok(taken);
    }
    let new = picked.dims.len();
    let order: Vec<usize> = (new..new + first)
        .chain(0..new)
        .chain(new + first..new + others.len())
        .collect();
    view::permuted(&taken, &order)
}

fn one_hot(ids: &Datum, classes: i64) -> Result<Datum> {
    let numbers = ids.to_ints()?;
    let most = numbers.iter().max().map_or(0, |most| most + 1);
    let classes = if classes < 0 { most } else { classes }.max(0) as usize;
    let mut values = vec![0.0; create::element_count(&[numbers.len(), classes], numbers.len())?];
    for (row, number) in numbers.iter().enumerate() {
        values[row * classes + view::within(*number, classes)?] = 1.0;
    }
    Datum::host(values, &[ids.dims(), &[classes]].concat(), Kind::Int)
}

fn roll(datum: &Datum, shifts: &[i64], axes: &[i64]) -> Result<Datum> {
    if axes.is_empty() {
        let flat = datum.map(Tensor::flatten_all)?;
        return roll(&flat, shifts, &[0])?.map(|x| x.reshape(datum.dims()));
    }
    let mut pairs = shifts.iter().zip(axes);
    pairs.try_fold(datum.clone(), |datum, (shift, at)| {
        let at = axis(*at, datum.dims().len())?;
        let extent = datum.dims()[at];
        let from = |place: usize| (place as i64 - shift).rem_euclid(extent.max(1) as i64) as usize;
        let places: Vec<usize> = (0..extent).map(from).collect();
        select(&datum, at, &places)
    })
}

/// Returns the values around; negative numbers cut off.
fn pad(datum: &Datum, by: &[i64], with: Padding, operands: &Operands<'_>) -> Result<Datum> {
    let rank = datum.dims().len();
    let mut datum = datum.clone();
    for (i, pair) in by.chunks(2).enumerate() {
        let (Some(at), [before, after]) = (rank.checked_sub(i + 1), pair) else {
            bail!("{} numbers around {rank} axes", by.len());
        };
        let (before, after) = (*before, *after);
        let extent = datum.dims()[at] as i64;
        let count = before
            .checked_add(after)
            .and_then(|n| n.checked_add(extent));
        let Some(count) = count.filter(|count| *count >= 0) else {
            bail!("{before} and {after} around {extent}");
        };
        let mut dims = datum.dims().to_vec();
        dims[at] = count as usize;
        if create::element_count(&dims, datum.dims().iter().product())? == 0 {
            // candle's copies of nothing panic.
            datum = datum.map(|x| Tensor::zeros(dims, x.dtype(), x.device()))?;
            continue;
        }
        datum = if let Padding::Constant(value) = with {
            constant(&datum, at, (before, after), value, operands)?
        } else {
            let place = |i: i64| mirrored(i - before, extent, with);
            let places = (0..count).map(place).collect::<Result<Vec<_>>>()?;
            select(&datum, at, &places)?
        };
    }
    Ok(datum)
}

/// Returns the place within an axis that stands for one around it.
fn mirrored(place: i64, extent: i64, with: Padding) -> Result<usize> {
    let place = match with {
        Padding::Reflect if place < 0 => -place,
        Padding::Reflect if place >= extent => 2 * (extent - 1) - place,
        Padding::Circular => place.rem_euclid(extent.max(1)),
        _ => place.clamp(0, (extent - 1).max(0)),
    };
    view::within(place, extent.max(0) as usize)
}

fn constant(
    datum: &Datum,
    at: usize,
    (before, after): (i64, i64),
    value: f64,
    operands: &Operands<'_>,
) -> Result<Datum> {
    let start = (-before).max(0);
    let count = datum.dims()[at] as i64 - start - (-after).max(0);
    if count < 0 {
        bail!("{before} and {after} around {:?}", datum.dims());
    }
    let kept = datum.map(|x| x.narrow(at, start as usize, count as usize))?;
    let (before, after) = (before.max(0) as usize, after.max(0) as usize);
    if value == 0.0 {
        return kept.map(|x| x.pad_with_zeros(at, before, after));
    }
    let around = |extent: usize| {
        let mut dims = kept.dims().to_vec();
        dims[at] = extent;
        let filled = Datum::host(vec![value; dims.iter().product()], &dims, Kind::Int)?;
        filled.cast(kept.kind(), operands.scope.place)
    };
    let parts = [around(before)?, kept.clone(), around(after)?];
    let parts: Vec<Tensor> = parts
        .iter()
        .map(|part| {
            if kept.kind() == Kind::Float {
                operands.scope.float(part)
            } else {
                part.to_host()
            }
        })
        .collect::<Result<_>>()?;
    Ok(kept.with(Tensor::cat(&parts, at)?))
}
