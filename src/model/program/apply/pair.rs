//! Functions of pairs of elements, and choices between them.

use candle_core::{DType, Result, Tensor, bail};

use super::Operands;
use crate::model::program::datum::{Datum, broadcast};
use crate::model::program::kind::Kind;
use crate::model::program::op::{Binary, Function, Op};

/// Applies a function of two elements to all pairs that broadcasting makes.
pub(super) fn apply(binary: Binary, operands: &Operands<'_>) -> Result<Datum> {
    let (a, b) = (operands.get(0)?, operands.get(1)?);
    let place = operands.scope.place;
    let mut kind = a.kind().max(b.kind());
    if is_comparison(binary) {
        return compare(binary, operands, kind);
    }
    if matches!(binary, Binary::And | Binary::Or | Binary::Xor) {
        return logic(binary, operands, kind);
    }
    if kind == Kind::Bool && !matches!(binary, Binary::Mul | Binary::Maximum | Binary::Minimum) {
        kind = Kind::Int;
    }
    if kind == Kind::Int && binary == Binary::Div {
        kind = Kind::Float;
    }
    if kind != Kind::Float {
        let [a, b] = [a.to_host()?, b.to_host()?];
        let result = floats(binary, &a, &b)?;
        let result = result.contiguous()?;
        let values: Vec<f64> = result.flatten_all()?.to_vec1()?;
        return Datum::host(values, result.dims(), kind);
    }
    // A number without dimensions is exact in float64 and would be rounded as a tensor of another type.
    if let Some(result) = with_number(binary, a, b, operands)? {
        return Ok(Datum::float(result));
    }
    let (a, b) = (a.to_float(place)?, b.to_float(place)?);
    Ok(Datum::float(floats(binary, &a, &b)?))
}

fn is_comparison(binary: Binary) -> bool {
    matches!(
        binary,
        Binary::Eq | Binary::Ne | Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge
    )
}

/// Returns the common case of a tensor with a number on the host, in one operation; `None` otherwise.
fn with_number(
    binary: Binary,
    a: &Datum,
    b: &Datum,
    operands: &Operands<'_>,
) -> Result<Option<Tensor>> {
    let is_number = |datum: &Datum| {
        datum.dims().is_empty()
            && datum.tensor().device().is_cpu()
            && datum.tensor().dtype() == DType::F64
            && !datum.tensor().track_op()
    };
    if a.kind() != Kind::Float || !is_number(b) {
        return Ok(None);
    }
    let x = a.to_float(operands.scope.place)?;
    let number: f64 = b.tensor().to_scalar()?;
    Ok(Some(match binary {
        Binary::Add(alpha) => (x + alpha * number)?,
        Binary::Sub(alpha) => (x - alpha * number)?,
        Binary::ReverseSub(alpha) => ((x * -alpha)? + number)?,
        Binary::Mul => (x * number)?,
        Binary::Div => (x / number)?,
        Binary::Pow => power(&x, number)?,
        _ => return Ok(None),
    }))
}

/// Returns x to a power; small whole ones by products, whose derivatives are defined everywhere.
fn power(x: &Tensor, exponent: f64) -> Result<Tensor> {
    match exponent {
        0.0 => x.zeros_like()? + 1.0,
        0.5 => x.sqrt(),
        1.0 => Ok(x.clone()),
        2.0 => x.sqr(),
        3.0 => x.sqr()? * x,
        4.0 => x.sqr()?.sqr(),
        -0.5 => x.sqrt()?.recip(),
        -1.0 => x.recip(),
        -2.0 => x.sqr()?.recip(),
        _ => x.powf(exponent),
    }
}

fn floats(binary: Binary, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let scaled = |x: &Tensor, alpha: f64| {
        if alpha == 1.0 {
            Ok(x.clone())
        } else {
            x * alpha
        }
    };
    match binary {
        Binary::Add(alpha) => a.broadcast_add(&scaled(b, alpha)?),
        Binary::Sub(alpha) => a.broadcast_sub(&scaled(b, alpha)?),
        Binary::ReverseSub(alpha) => b.broadcast_sub(&scaled(a, alpha)?),
        Binary::Mul => a.broadcast_mul(b),
        Binary::Div => a.broadcast_div(b),
        Binary::FloorDiv => a.broadcast_div(b)?.floor(),
        Binary::TruncDiv => Function::Trunc.of(&a.broadcast_div(b)?),
        Binary::Mod => {
            let quotient = a.broadcast_div(b)?.floor()?.detach();
            a.broadcast_sub(&quotient.broadcast_mul(b)?)
        }
        Binary::Pow => {
            let dims = broadcast(a.dims(), b.dims())?;
            let (a, b) = (a.broadcast_as(dims.as_slice())?, b.broadcast_as(dims)?);
            if a.track_op() || b.track_op() {
                (b * a.log()?)?.exp()
            } else {
                a.contiguous()?.pow(&b.contiguous()?)
            }
        }
        Binary::Maximum | Binary::Minimum => extreme(binary, a, b),
        other => bail!("{other:?} of floats"),
    }
}

/// Returns the larger or smaller of two; equals share the derivative, NaN stays.
fn extreme(binary: Binary, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let dims = broadcast(a.dims(), b.dims())?;
    let (a, b) = (a.broadcast_as(dims.as_slice())?, b.broadcast_as(dims)?);
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    let (first, second) = if binary == Binary::Maximum {
        (a.gt(&b)?, b.gt(&a)?)
    } else {
        (a.lt(&b)?, b.lt(&a)?)
    };
    let shared = ((&a + &b)? * 0.5)?;
    first.where_cond(&a, &second.where_cond(&b, &shared)?)
}

fn compare(binary: Binary, operands: &Operands<'_>, kind: Kind) -> Result<Datum> {
    let (a, b) = (operands.get(0)?, operands.get(1)?);
    let (a, b) = if kind == Kind::Float {
        let place = operands.scope.place;
        (a.to_float(place)?, b.to_float(place)?)
    } else {
        (a.to_host()?, b.to_host()?)
    };
    Datum::truth(&match binary {
        Binary::Eq => a.broadcast_eq(&b)?,
        Binary::Ne => a.broadcast_ne(&b)?,
        Binary::Lt => a.broadcast_lt(&b)?,
        Binary::Le => a.broadcast_le(&b)?,
        Binary::Gt => a.broadcast_gt(&b)?,
        _ => a.broadcast_ge(&b)?,
    })
}

/// Computes and, or and exclusive or: of truth values, or of the bits of whole numbers.
fn logic(binary: Binary, operands: &Operands<'_>, kind: Kind) -> Result<Datum> {
    let (a, b) = (operands.get(0)?, operands.get(1)?);
    let dims = broadcast(a.dims(), b.dims())?;
    let kind = if kind == Kind::Float {
        Kind::Bool
    } else {
        kind
    };
    let values = |datum: &Datum| {
        let datum = datum.cast(kind, operands.scope.place)?;
        datum
            .map(|x| x.broadcast_as(dims.as_slice())?.contiguous())?
            .to_ints()
    };
    let pairs = values(a)?.into_iter().zip(values(b)?);
    let bits = pairs.map(|(a, b)| match binary {
        Binary::And => a & b,
        Binary::Or => a | b,
        _ => a ^ b,
    });
    Datum::host(bits.map(|bits| bits as f64).collect(), &dims, kind)
}

/// Returns the choices by a condition or by bounds.
pub(super) fn choose(op: &Op, operands: &Operands<'_>) -> Result<Datum> {
    match op {
        Op::Where => pick(
            operands.get(0)?,
            operands.get(1)?,
            operands.get(2)?,
            operands,
        ),
        Op::MaskedFill => {
            let x = operands.get(0)?;
            let value = operands.get(2)?.cast(x.kind(), operands.scope.place)?;
            pick(operands.get(1)?, &value, x, operands)
        }
        _ => clamp(operands),
    }
}

fn pick(condition: &Datum, a: &Datum, b: &Datum, operands: &Operands<'_>) -> Result<Datum> {
    let place = operands.scope.place;
    let kind = a.kind().max(b.kind());
    let dims = broadcast(condition.dims(), &broadcast(a.dims(), b.dims())?)?;
    let (a, b) = (a.cast(kind, place)?, b.cast(kind, place)?);
    let (x, y) = if kind == Kind::Float {
        (a.to_float(place)?, b.to_float(place)?)
    } else {
        (a.to_host()?, b.to_host()?)
    };
    let condition = condition.condition(&dims, place)?;
    let condition = condition.to_device(x.device())?;
    let full = |x: &Tensor| x.broadcast_as(dims.as_slice())?.contiguous();
    Ok(a.with(condition.where_cond(&full(&x)?, &full(&y)?)?))
}

/// Returns the values within bounds.
fn clamp(operands: &Operands<'_>) -> Result<Datum> {
    let datum = operands.get(0)?;
    let place = operands.scope.place;
    let bounds = [operands.maybe(1), operands.maybe(2)];
    let kind = bounds.iter().flatten().map(|bound| bound.kind()).max();
    let kind = datum.kind().max(kind.unwrap_or(Kind::Bool));
    let datum = datum.cast(kind, place)?;
    let mut x = datum.tensor().clone();
    if kind == Kind::Float {
        x = datum.to_float(place)?;
    }
    for (i, bound) in bounds.into_iter().enumerate() {
        let Some(bound) = bound else { continue };
        let bound = bound.tensor().to_dtype(x.dtype())?.to_device(x.device())?;
        let dims = broadcast(x.dims(), bound.dims())?;
        let full = x.broadcast_as(dims.as_slice())?.contiguous()?;
        let bound = bound.broadcast_as(dims)?.contiguous()?;
        let beyond = if i == 0 {
            full.lt(&bound)?
        } else {
            full.gt(&bound)?
        };
        x = beyond.where_cond(&bound, &full)?;
    }
    Ok(datum.with(x))
}
