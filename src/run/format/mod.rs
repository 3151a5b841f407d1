//! One way to read every checkpoint format: names and shapes at once, values a tensor at a time.

use std::ops::Range;
use std::path::Path;

/// Element type of a stored tensor, as far as isoloss cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE double precision.
    F64,
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// Brain float: the upper half of an `F32`.
    Bf16,
    /// Anything else (integers, booleans); the name is the format's own.
    Other(String),
}

/// Name, shape and element type of a stored tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name with the prefixes `module.`, `model.`, `_orig_mod.` stripped.
    pub name: String,
    /// Extents, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Element type in the file.
    pub dtype: Dtype,
}

/// Why a checkpoint could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {}

/// An open checkpoint: its state dict's names and shapes, values on request.
#[derive(Debug)]
pub struct StateDict {}

impl StateDict {
    /// Opens a checkpoint file or HF-style folder and reads its header.
    ///
    /// `key` names the state dict inside nested dicts; without it, it is found.
    ///
    /// # Errors
    /// The file is unreadable, incomplete, hostile or holds no tensors.
    pub fn open(_path: &Path, _key: Option<&str>) -> Result<Self, FormatError> {
        todo!()
    }

    /// The tensors in the checkpoint's own order.
    pub fn tensors(&self) -> &[TensorInfo] {
        todo!()
    }

    /// The checkpoint's own `global_step`, else its `epoch`, where it has one.
    pub fn step(&self) -> Option<u64> {
        todo!()
    }

    /// The nested key under which the state dict was found, e.g. `state_dict`.
    pub fn key(&self) -> Option<&str> {
        todo!()
    }

    /// Reads elements `range` of tensor `index` in row-major order, converted to `f32`.
    ///
    /// # Errors
    /// The file can no longer be read, or is not what its header said.
    pub fn read(&self, _index: usize, _range: Range<usize>) -> Result<Vec<f32>, FormatError> {
        todo!()
    }
}
