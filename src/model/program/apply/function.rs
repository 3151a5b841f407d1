//! Functions of each element.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2, PI};

use candle_core::{Result, Tensor, bail};

use super::Operands;
use crate::model::ops::{self, vector};
use crate::model::program::datum::Datum;
use crate::model::program::kind::Kind;
use crate::model::program::op::Function;

/// Applies a function; whole numbers stay whole where the function keeps them so.
pub(super) fn apply(function: Function, operands: &Operands<'_>) -> Result<Datum> {
    let datum = operands.get(0)?;
    let stays = matches!(
        function,
        Function::Neg
            | Function::Abs
            | Function::Square
            | Function::Sign
            | Function::Relu
            | Function::Floor
            | Function::Ceil
            | Function::Round
            | Function::Trunc
    );
    match function {
        Function::BitwiseNot if datum.kind() == Kind::Int => datum.map(|x| x.neg()? - 1.0),
        Function::Not | Function::BitwiseNot => {
            let truth = datum.cast(Kind::Bool, operands.scope.place)?;
            truth.map(|x| (1.0 - x)?.contiguous())
        }
        Function::IsNan => {
            let x = datum.tensor();
            Datum::truth(&x.ne(x)?)
        }
        Function::IsInf => {
            let x = datum.to_host()?;
            Datum::truth(&x.abs()?.eq(f64::INFINITY)?)
        }
        _ if stays && datum.kind() == Kind::Int => datum.map(|x| function.of(x)),
        _ => Ok(Datum::float(function.of(&operands.float(0)?)?)),
    }
}

impl Function {
    /// Returns the function of each element; NaN stays NaN. Every function is listed, so that a new one is not forgotten.
    ///
    /// # Errors
    /// candle's, or the function is one of truth values alone.
    pub(in crate::model) fn of(self, x: &Tensor) -> Result<Tensor> {
        if vector::fits(x)
            && let Some(y) = at_once(self, x)
        {
            return y;
        }
        match self {
            Function::Neg => x.neg(),
            // candle's derivative at 0 is 1, PyTorch's is 0.
            Function::Abs => x * x.sign()?.detach(),
            Function::Exp => x.exp(),
            Function::Expm1 => x.exp()? - 1.0,
            Function::Log => x.log(),
            Function::Log1p => (x + 1.0)?.log(),
            Function::Log2 => x.log()? / LN_2,
            Function::Sqrt => x.sqrt(),
            Function::Rsqrt => x.sqrt()?.recip(),
            Function::Square => x.sqr(),
            Function::Reciprocal => x.recip(),
            Function::Sin => x.sin(),
            Function::Cos => x.cos(),
            Function::Erf => x.erf(),
            Function::Sign => x.sign(),
            Function::Floor => x.floor(),
            Function::Ceil => x.ceil(),
            Function::Round => half_to_even(x),
            Function::Trunc => x.sign()? * x.abs()?.floor()?,
            Function::Relu => ops::relu(x),
            Function::Tanh => x.tanh(),
            Function::Sigmoid => sigmoid(x),
            Function::Silu => x * sigmoid(x)?,
            // candle's own GELUs have six digits in their derivatives.
            Function::Gelu(false) => (x * 0.5)? * ((x * FRAC_1_SQRT_2)?.erf()? + 1.0)?,
            Function::Gelu(true) => {
                let cubic = (x + ((x.sqr()? * x)? * 0.044_715)?)?;
                (x * 0.5)? * ((cubic * (2.0 / PI).sqrt())?.tanh()? + 1.0)?
            }
            Function::LeakyRelu(slope) => x.le(0.0)?.where_cond(&(x * slope)?, x),
            Function::Elu(alpha, scale, factor) => {
                // What is above 0 must not overflow on the side that is not taken.
                let is_below = x.le(0.0)?;
                let low = is_below.where_cond(x, &x.zeros_like()?)?;
                let low = times(&(times(&low, factor)?.exp()? - 1.0)?, alpha * scale)?;
                is_below.where_cond(&low, &times(x, scale)?)
            }
            Function::Mish => x * softplus(x)?.tanh()?,
            Function::Softplus(beta, threshold) => {
                let scaled = times(x, beta)?;
                let is_linear = scaled.gt(threshold)?;
                let curved = is_linear.where_cond(&scaled.zeros_like()?, &scaled)?;
                is_linear.where_cond(x, &times(&softplus(&curved)?, 1.0 / beta)?)
            }
            Function::LogSigmoid => softplus(&x.neg()?)?.neg(),
            Function::Hardtanh(least, most) => bounded(x, least, most),
            Function::Hardsigmoid => bounded(&(x + 3.0)?, 0.0, 6.0)? / 6.0,
            Function::Hardswish => (x * bounded(&(x + 3.0)?, 0.0, 6.0)?)? / 6.0,
            Function::Hardshrink(width) => {
                let inner = x.abs()?.le(width)?;
                inner.where_cond(&x.zeros_like()?, x)
            }
            Function::Softshrink(width) => {
                let zero = x.zeros_like()?;
                let low = x.lt(-width)?.where_cond(&(x + width)?, &zero)?;
                let is_nan = x.ne(x)?;
                let shrunk = x.gt(width)?.where_cond(&(x - width)?, &low)?;
                is_nan.where_cond(x, &shrunk)
            }
            Function::Threshold(least, value) => {
                let value = (x.zeros_like()? + value)?;
                x.le(least)?.where_cond(&value, x)
            }
            Function::Not | Function::BitwiseNot | Function::IsNan | Function::IsInf => {
                bail!("{self:?} is one of truth values, expected one of numbers")
            }
        }
    }
}

/// Applies one of those functions that candle makes of several; `None` for another.
fn at_once(function: Function, x: &Tensor) -> Option<Result<Tensor>> {
    Some(match function {
        Function::Gelu(false) => vector::gelu(x),
        Function::Gelu(true) => vector::gelu_tanh(x),
        Function::Tanh => vector::tanh_of(x),
        Function::Sigmoid => vector::sigmoid(x),
        Function::Silu => vector::silu(x),
        Function::Hardswish => vector::hardswish(x),
        Function::Hardtanh(least, most) => vector::bounded(x, least as f32, most as f32),
        _ => return None,
    })
}

/// Rounds as PyTorch does: a half goes to the even neighbour.
fn half_to_even(x: &Tensor) -> Result<Tensor> {
    let below = x.floor()?;
    let rest = (x - &below)?;
    let is_odd = ((&below * 0.5)?.floor()? * 2.0)?.ne(&below)?;
    let is_half = rest.eq(0.5)?;
    let up = rest.gt(0.5)?.to_dtype(x.dtype())?;
    let up = (up + (is_half.to_dtype(x.dtype())? * is_odd.to_dtype(x.dtype())?)?)?;
    below + up
}

/// Returns 1 / (1 + exp(−x)) without an exponential that overflows.
pub(super) fn sigmoid(x: &Tensor) -> Result<Tensor> {
    ((x * 0.5)?.tanh()? + 1.0)? * 0.5
}

/// Returns ln(1 + exp(x)) without an exponential that overflows, with its own derivatives at 0 too.
pub(super) fn softplus(x: &Tensor) -> Result<Tensor> {
    // max(x, 0) and |x| have derivative 0 at 0 here, so that their sum would have it too.
    let is_below = x.lt(0.0)?;
    let high = is_below.where_cond(&x.zeros_like()?, x)?;
    let away = is_below.where_cond(x, &x.neg()?)?;
    high + (away.exp()? + 1.0)?.log()?
}

/// Returns a product that leaves x as it is where the factor is 1.
fn times(x: &Tensor, factor: f64) -> Result<Tensor> {
    if factor == 1.0 {
        Ok(x.clone())
    } else {
        x * factor
    }
}

/// Returns x within bounds, with derivative 0 at both as in PyTorch; NaN stays.
fn bounded(x: &Tensor, least: f64, most: f64) -> Result<Tensor> {
    let of = |value: f64| x.zeros_like()? + value;
    let low = x.le(least)?.where_cond(&of(least)?, x)?;
    low.ge(most)?.where_cond(&of(most)?, &low)
}

/// Returns x where it is above 0, else x times the slope of its channel.
pub(super) fn prelu(operands: &Operands<'_>) -> Result<Tensor> {
    let (x, slope) = (operands.float(0)?, operands.float(1)?);
    let slope = if slope.elem_count() == 1 {
        slope.reshape(vec![1; x.rank()])?
    } else {
        let mut dims = vec![1; x.rank()];
        match dims.get_mut(1) {
            Some(channels) => *channels = slope.elem_count(),
            None => bail!("slopes of channels for shape {:?}", x.dims()),
        }
        slope.reshape(dims)?
    };
    let low = x.broadcast_mul(&slope)?;
    x.gt(0.0)?.where_cond(&x, &low)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn softplus_has_its_slope_at_zero_and_lets_nan_through() {
        let x = Var::new(&[0.0_f64, f64::NAN], &Device::Cpu).unwrap();
        let y = softplus(&x).unwrap();
        let slopes = y.sum_all().unwrap().backward().unwrap();
        let slopes = slopes.get(&x).unwrap().to_vec1::<f64>().unwrap();
        let y = y.to_vec1::<f64>().unwrap();
        assert!((y[0] - LN_2).abs() < 1e-15 && y[1].is_nan(), "{y:?}");
        assert!((slopes[0] - 0.5).abs() < 1e-15, "{slopes:?}");
    }
}
