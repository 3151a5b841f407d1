//! Values out of nothing but numbers.

use candle_core::{Result, bail};

use super::Operands;
use crate::model::program::datum::Datum;
use crate::model::program::kind::Kind;
use crate::model::program::op::Op;

/// Applies an operation that makes an array, or masks one.
pub(super) fn apply(op: &Op, operands: &Operands<'_>) -> Result<Datum> {
    let scope = operands.scope;
    match op {
        Op::Range {
            start,
            end,
            step,
            kind,
        } => {
            let numbers = [*start, *end, *step].map(|number| scope.number(number));
            let [start, end, step] = numbers;
            let (start, end, step) = (start?, end?, step?);
            let count = ((end - start) / step).ceil();
            if !(0.0..=MOST as f64).contains(&count) {
                bail!("a range from {start} to {end} by {step}");
            }
            let values = (0..count as u64).map(|i| start + i as f64 * step);
            let values: Vec<f64> = values.collect();
            made(values.clone(), &[values.len()], *kind, operands)
        }
        Op::Linspace(start, end, count) => {
            let count = element_count(&[scope.size(*count)?.max(0) as usize], 0)?;
            let step = (end - start) / (count.max(2) - 1) as f64;
            let values = (0..count).map(|i| start + i as f64 * step).collect();
            made(values, &[count], Kind::Float, operands)
        }
        Op::Full { shape, value, kind } => {
            let dims = match shape {
                Some(shape) => {
                    let shape = scope.sizes(shape)?;
                    shape.iter().map(|n| (*n).max(0) as usize).collect()
                }
                None => operands.get(0)?.dims().to_vec(),
            };
            let kind = match (kind, operands.maybe(0)) {
                (Some(kind), _) => *kind,
                (None, Some(other)) => other.kind(),
                (None, None) => Kind::Float,
            };
            let values = vec![scope.number(*value)?; element_count(&dims, 0)?];
            made(values, &dims, kind, operands)
        }
        Op::Triangle { diagonal, upper } => triangle(operands, *diagonal, *upper),
        _ => bail!("{op:?} makes nothing"),
    }
}

/// Numbers of the largest array that is made of nothing.
const MOST: usize = 1 << 28;
/// Multiple of an array's elements that one may have which is made by repeating or padding it.
const MOST_TIMES: usize = 16;

/// Returns the number of elements of an array that is made of `given` elements.
///
/// # Errors
/// It is so much larger that only a mistake or an attack asks for it.
pub(super) fn element_count(dims: &[usize], given: usize) -> Result<usize> {
    let mut extents = dims.iter();
    let count = extents.try_fold(1usize, |n, extent| n.checked_mul(*extent));
    let most = MOST.max(given.saturating_mul(MOST_TIMES));
    match count {
        Some(count) if count <= most => Ok(count),
        _ => bail!("an array of shape {dims:?}, expected at most {most} elements"),
    }
}

fn made(values: Vec<f64>, dims: &[usize], kind: Kind, operands: &Operands<'_>) -> Result<Datum> {
    if kind == Kind::Float {
        let host = Datum::host(values, dims, Kind::Int)?;
        return Ok(Datum::float(operands.scope.float(&host)?));
    }
    Datum::host(values, dims, kind)
}

/// Returns one side of the matrices, the other becomes 0.
fn triangle(operands: &Operands<'_>, diagonal: i64, upper: bool) -> Result<Datum> {
    let datum = operands.get(0)?;
    let Some([rows, columns]) = datum.dims().last_chunk::<2>().copied() else {
        bail!("a triangle of {:?}", datum.dims());
    };
    let stays = |i: usize| {
        let above = (i % columns) as i64 - (i / columns) as i64;
        if upper {
            above >= diagonal
        } else {
            above <= diagonal
        }
    };
    let stays = (0..rows * columns).map(|i| f64::from(u8::from(stays(i))));
    let stays = Datum::host(stays.collect(), &[rows, columns], Kind::Bool)?;
    datum.map(|x| {
        let x = x.contiguous()?;
        let mut place = operands.scope.place.clone();
        place.device = x.device().clone();
        let stays = stays.condition(x.dims(), &place)?;
        stays.where_cond(&x, &x.zeros_like()?)
    })
}

#[cfg(test)]
mod tests {
    use super::element_count;

    #[test]
    fn an_array_is_not_larger_than_what_it_is_made_of_explains() {
        let count = |dims: &[usize], given| element_count(dims, given).ok();
        assert_eq!(count(&[1 << 14, 1 << 14], 0), Some(1 << 28));
        assert_eq!(count(&[(1 << 28) + 1], 0), None);
        assert_eq!(count(&[1 << 61], 0), None);
        assert_eq!(count(&[1 << 40, 1 << 40], 1), None);
        assert_eq!(count(&[0, 1 << 61], 0), Some(0));
        assert_eq!(count(&[1 << 29], 1 << 26), Some(1 << 29));
    }
}
