//! Layers as functions of tensors, right in value and in both derivatives where candle's own are not.
//!
//! Each is built from candle operations whose derivatives were checked against PyTorch, lets NaN
//! through (a NaN weight must never end as a plausible loss), and runs on every device.

mod cell;
mod conv;
mod convolution;
mod norm;
mod pooling;
mod relu;
mod resize;
#[cfg(test)]
mod tests;
mod unfold;
pub(super) mod vector;

use candle_core::{D, DType, Device, Result, Shape, Tensor};

pub use self::cell::RecurrentCell;
pub(crate) use self::conv::BUFFER;
pub use self::conv::{ConvWindow, conv, conv_transpose, conv_transpose3d, conv3d};
pub use self::norm::{BatchNormTensors, Statistics};
pub use self::pooling::{Pool, adaptive_average, adaptive_max};
pub use self::resize::{upsample_bicubic, upsample_bilinear, upsample_nearest};
pub use self::unfold::patches;

/// Returns `x · weightᵀ + bias`: x (N, inputs), weight (outputs, inputs), bias (outputs).
///
/// # Errors
/// candle's, for shapes that do not fit.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    // candle's CPU product silently ignores the row stride of a transposed left side.
    let y = x.contiguous()?.matmul(&weight.t()?)?;
    match bias {
        Some(bias) if vector::fits(&y) && vector::fits(bias) => {
            vector::add_to_rows(&y, bias)?;
            Ok(y)
        }
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}

/// Returns max(x, 0), with derivative 0 at 0 as in PyTorch (candle's is 1 there, and drops NaN).
///
/// # Errors
/// candle's.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    if relu::fits(x) {
        return relu::relu(x);
    }
    if x.device().is_cuda() && !x.track_op() {
        // The same values in one kernel, without a mask; 0·(eˣ − 1) is NaN where x is.
        return x.elu(0.0);
    }
    let zero = Tensor::zeros((), x.dtype(), x.device())?.broadcast_as(x.shape())?;
    x.le(&zero)?.where_cond(&zero, x)
}

/// Returns the mean over the image of each channel: (N, C, H, W) to (N, C).
///
/// # Errors
/// candle's.
pub fn global_average(x: &Tensor) -> Result<Tensor> {
    summed(&x.flatten_from(2)?, |x| x.mean(D::Minus1))
}

/// Applies a sum or a mean to x, in f32 where x is of f16: candle's kernel of a GPU adds f16 up in f16, which has 11
/// digits and ends at 65504.
///
/// # Errors
/// candle's.
pub(crate) fn summed(x: &Tensor, reduce: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    match x.dtype() {
        DType::F16 => reduce(&x.to_dtype(DType::F32)?)?.to_dtype(DType::F16),
        _ => reduce(x),
    }
}

/// Returns the elements at these positions of one dimension.
fn at(x: &Tensor, dim: usize, positions: &[usize]) -> Result<Tensor> {
    if positions.iter().copied().eq(0..x.dim(dim)?) {
        return Ok(x.clone());
    }
    let positions: Vec<u32> = positions.iter().map(|position| *position as u32).collect();
    let positions = Tensor::new(positions, x.device())?;
    x.contiguous()?.index_select(&positions, dim)
}

/// Returns numbers in the type of x and where x is, by the way of the CPU: not every device knows f64.
fn constant(values: Vec<f64>, shape: impl Into<Shape>, x: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(values, shape, &Device::Cpu)?
        .to_dtype(x.dtype())?
        .to_device(x.device())
}
