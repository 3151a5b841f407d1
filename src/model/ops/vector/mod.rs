//! Layers of many f32 numbers at once on the CPU, where no gradient is wanted: compiled for the machine's widest
//! vector instructions.
//!
//! candle makes them of several passes over memory, of which those with a broadcast, an exponential or an error
//! function are slow; an attention and a recurrent network of it copy more than they compute. Values agree to a few
//! units in the last place; derivatives are those of candle's operations, which stay.

#![allow(
    clippy::inline_always,
    reason = "what handles vectors has to be inlined into the function that is compiled for their instructions"
)]

mod attention;
mod function;
mod recurrent;
mod rows;

use candle_core::{CpuStorage, DType, Result, Storage, Tensor, bail};

pub(in crate::model) use self::attention::{Attention, Mask};
pub(in crate::model) use self::function::{
    bounded, gelu, gelu_tanh, hardswish, sigmoid, silu, tanh_of,
};
pub(in crate::model) use self::recurrent::Steps;
pub(in crate::model) use self::rows::{add_to_rows, layer_norm, softmax};

/// Numbers that one thread works on.
const CHUNK: usize = 1 << 14;

/// Returns true if the functions of this file take x.
pub(in crate::model) fn fits(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32 && !x.track_op()
}

/// Calls `work` with the numbers of a tensor.
fn with<R>(x: &Tensor, work: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let x = x.contiguous()?;
    let (storage, layout) = x.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(numbers)), Some((from, to))) => Ok(work(&numbers[from..to])),
        _ => bail!("numbers that are not f32 in memory"),
    }
}
