//! New values at some places of an array: what stands at each place is chosen from the old and the new values.

use candle_core::{Result, Tensor, bail};

use super::Operands;
use super::index::{flat_places, picked, places, select, strides, unravel};
use super::view;
use crate::model::program::datum::{Datum, axis, broadcast};
use crate::model::program::op::Op;

/// Applies an operation that gives an array new values.
pub(super) fn apply(op: &Op, operands: &Operands<'_>) -> Result<Datum> {
    let datum = operands.get(0)?;
    let rank = datum.dims().len();
    match op {
        Op::IndexPut { add } => {
            let (places, dims) = put_places(datum, operands)?;
            let values = full(operands.get(1)?, &dims)?;
            place(datum, &places, &values, *add, operands)
        }
        Op::Scatter { axis: at, add } => {
            let index = operands.get(1)?;
            let places = flat_places(index, datum.dims(), axis(*at, rank)?)?;
            let values = operands.get(2)?;
            let values = if values.dims().len() == rank && rank > 0 {
                stretch(values, index.dims())?
            } else {
                full(values, index.dims())?
            };
            place(datum, &places, &values, *add, operands)
        }
        Op::IndexAdd(at) => {
            let at = axis(*at, rank)?;
            let along = places(operands.get(1)?, datum.dims()[at])?;
            let ids: Vec<u32> = along.iter().map(|place| *place as u32).collect();
            let x = operands.scope.float(datum)?;
            let ids = Tensor::new(ids, x.device())?;
            let values = operands.float(2)?.contiguous()?;
            Ok(Datum::float(x.contiguous()?.index_add(&ids, &values, at)?))
        }
        Op::SliceScatter(slice) => {
            let (at, start, count, step) = view::bounds(slice, datum, operands)?;
            let along: Vec<usize> = (0..count).map(|i| start + i * step).collect();
            stretch_places(datum, at, &along, operands.get(1)?, operands)
        }
        Op::SelectScatter(at, at_place) => {
            let at = axis(*at, rank)?;
            let along = view::within(operands.scope.size(*at_place)?, datum.dims()[at])?;
            let values = operands.get(1)?.map(|x| x.unsqueeze(at))?;
            stretch_places(datum, at, &[along], &values, operands)
        }
        _ => bail!("{op:?} gives no new values"),
    }
}

/// Returns the flat places of `index_put`, and the shape of the values there.
fn put_places(datum: &Datum, operands: &Operands<'_>) -> Result<(Vec<usize>, Vec<usize>)> {
    let dims = datum.dims();
    let picked = picked(dims, operands.from(2))?;
    let first: Vec<usize> = (0..picked.axes.len()).collect();
    if picked.axes != first {
        bail!("new values at numbers of axes {:?} alone", picked.axes);
    }
    let rest = &dims[picked.axes.len()..];
    let inner: usize = rest.iter().product();
    let flat = picked.places.iter();
    let flat = flat.flat_map(|place| (0..inner).map(move |i| place * inner + i));
    Ok((flat.collect(), [picked.dims.as_slice(), rest].concat()))
}

/// Puts new values at some places along an axis.
fn stretch_places(
    datum: &Datum,
    at: usize,
    along: &[usize],
    values: &Datum,
    operands: &Operands<'_>,
) -> Result<Datum> {
    let mut dims = datum.dims().to_vec();
    let steps = strides(&dims);
    dims[at] = along.len();
    let count: usize = dims.iter().product();
    let flat = (0..count).map(|i| {
        let mut axes = unravel(i, &dims);
        axes[at] = along[axes[at]];
        axes.iter().zip(&steps).map(|(p, s)| p * s).sum()
    });
    let flat: Vec<usize> = flat.collect();
    place(datum, &flat, &full(values, &dims)?, false, operands)
}

/// Returns all values, one for each place.
fn full(values: &Datum, dims: &[usize]) -> Result<Datum> {
    let fits = broadcast(values.dims(), dims)?;
    if fits != dims {
        bail!("values of shape {:?} for {dims:?}", values.dims());
    }
    values.map(|x| x.broadcast_as(dims)?.contiguous())
}

/// Returns the first places along each axis.
fn stretch(values: &Datum, dims: &[usize]) -> Result<Datum> {
    let mut axes = dims.iter().enumerate();
    axes.try_fold(values.clone(), |values, (at, extent)| {
        values.map(|x| x.narrow(at, 0, *extent))
    })
}

/// Returns the array with new values at flat places; of several for one place the last counts, or all are added.
fn place(
    datum: &Datum,
    places: &[usize],
    values: &Datum,
    add: bool,
    operands: &Operands<'_>,
) -> Result<Datum> {
    let kind = datum.kind().max(values.kind());
    let place = operands.scope.place;
    let (datum, values) = (datum.cast(kind, place)?, values.cast(kind, place)?);
    if add {
        let ids: Vec<u32> = places.iter().map(|place| *place as u32).collect();
        return datum.map(|x| {
            let flat = x.flatten_all()?;
            let ids = Tensor::new(ids, x.device())?;
            let values = values.tensor().to_dtype(x.dtype())?.to_device(x.device())?;
            let sum = flat.index_add(&ids, &values.flatten_all()?, 0)?;
            sum.reshape(x.dims())
        });
    }
    let mut from: Vec<usize> = (0..datum.tensor().elem_count()).collect();
    let old = from.len();
    for (i, place) in places.iter().enumerate() {
        match from.get_mut(*place) {
            Some(from) => *from = old + i,
            None => bail!("place {place} of {old}"),
        }
    }
    let both = datum.map(|x| {
        let values = values.tensor().to_dtype(x.dtype())?.to_device(x.device())?;
        Tensor::cat(&[x.flatten_all()?, values.flatten_all()?], 0)
    })?;
    if old == 0 {
        return Ok(datum);
    }
    select(&both, 0, &from)?.map(|x| x.reshape(datum.dims()))
}
