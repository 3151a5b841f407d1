//! Files of `torch.save`: zip, legacy, tar and plain pickles, read by the crate `pytorch-reader`.
//!
//! It was chosen over candle's own reader, which aborts on hostile files, skips tensors silently and
//! prints to stderr. A panic in it would still be only this file's error.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use pytorch_reader::{DType, PickleValue, PytorchReader, Tensor};

use crate::run::stamp::Stamp;

use super::order::PickleStrings;
use super::state_dict::is_known_key;
use super::{Dtype, FormatError, TensorInfo, convert, natural, unchanged};

const FORMAT: &str = "PyTorch";
/// A pickle of names and shapes is small; larger ones are refused by the reader too.
const LARGEST_PICKLE: u64 = 100 << 20;

/// Far more than the names of any model take.
const FRONT: u64 = 4 << 20;

/// An open file: its pickle was interpreted, the values stay on disk.
pub(super) struct TorchFile {
    path: PathBuf,
    stamp: Stamp,
    tensors: Vec<TensorInfo>,
    handles: Vec<Tensor>,
}

impl std::fmt::Debug for TorchFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TorchFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl TorchFile {
    /// Reads names and shapes.
    pub(super) fn open(path: &Path) -> Result<Self, FormatError> {
        let stamp = Stamp::of(path).map_err(|source| FormatError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        let reader = guarded(path, || PytorchReader::new(path).map_err(|e| e.to_string()))?;
        let mut handles: Vec<(String, Tensor)> = reader.into_tensors().into_iter().collect();
        let strings = PickleStrings::of(&pickle(path).unwrap_or_default());
        // What the pickle does not tell goes behind, in natural order.
        let place = |name: &str| strings.position(name).unwrap_or(usize::MAX);
        handles.sort_by(|a, b| {
            place(&a.0)
                .cmp(&place(&b.0))
                .then_with(|| natural(&a.0, &b.0))
        });
        let tensors = handles
            .iter()
            .map(|(name, tensor)| TensorInfo {
                name: without_wrapping_dict(name, &strings).to_owned(),
                shape: tensor.shape().to_vec(),
                dtype: dtype(tensor.dtype()),
            })
            .collect();
        Ok(Self {
            path: path.to_path_buf(),
            stamp,
            tensors,
            handles: handles.into_iter().map(|(_, tensor)| tensor).collect(),
        })
    }

    pub(super) fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// Fills `values` with the elements from `start` on. The crate reads a tensor whole; no cache is kept.
    pub(super) fn read(
        &self,
        index: usize,
        start: usize,
        values: &mut [f32],
    ) -> Result<(), FormatError> {
        let (tensor, handle) = (&self.tensors[index], &self.handles[index]);
        let problem = |reason: String| FormatError::Tensor {
            path: self.path.clone(),
            tensor: tensor.name.clone(),
            reason,
        };
        let size = convert::size(&tensor.dtype)
            .ok_or_else(|| problem(format!("its type is {}", tensor.dtype)))?;
        unchanged(&self.path, self.stamp)?;
        let bytes = catch_unwind(AssertUnwindSafe(|| handle.read()))
            .map_err(|_| problem("the reader failed".into()))?
            .map_err(|e| problem(e.to_string()))?;
        unchanged(&self.path, self.stamp)?;
        let end = start.saturating_add(values.len());
        let wanted = bytes.get(start.saturating_mul(size)..end.saturating_mul(size));
        wanted
            .and_then(|bytes| {
                convert::to_f32(&native_to_little(bytes, size), &tensor.dtype, values)
            })
            .ok_or_else(|| problem(format!("it has no elements {start}..{end}")))
    }

    /// The trainer's own count, wherever the outermost dict has it.
    pub(super) fn step(&self) -> Option<u64> {
        let value = guarded(&self.path, || {
            PytorchReader::read_pickle_data(&self.path, None).map_err(|e| e.to_string())
        });
        let Ok(PickleValue::Dict(fields)) = value else {
            return None;
        };
        let known = ["global_step", "step", "iteration", "iter", "epoch"];
        known.iter().find_map(|name| match fields.get(*name) {
            Some(PickleValue::Int(step)) => u64::try_from(*step).ok(),
            _ => None,
        })
    }
}

/// Calls the reader; its errors and panics are errors of the file.
pub(super) fn guarded<T>(
    path: &Path,
    read: impl FnOnce() -> Result<T, String>,
) -> Result<T, FormatError> {
    let result =
        catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err("the reader failed".into()));
    result.map_err(|reason| FormatError::Invalid {
        path: path.to_path_buf(),
        format: FORMAT,
        reason,
    })
}

/// The bytes in which names stand in the checkpoint's order: a zip file's pickle, or the front of a
/// file that begins with its pickle, as legacy ones do.
fn pickle(path: &Path) -> Option<Vec<u8>> {
    let mut pickle = Vec::new();
    let mut file = File::open(path).ok()?;
    let Ok(mut archive) = zip::ZipArchive::new(&file) else {
        file.rewind().ok()?;
        file.take(FRONT).read_to_end(&mut pickle).ok()?;
        return Some(pickle);
    };
    let mut names = archive
        .file_names()
        .flatten()
        .map(std::borrow::Cow::into_owned);
    let name = names.find(|name| name.ends_with("data.pkl"))?;
    drop(names);
    let entry = archive.by_name(&name).ok()?;
    entry.take(LARGEST_PICKLE).read_to_end(&mut pickle).ok()?;
    Some(pickle)
}

/// `{"net": state_dict}` and a module called `net` give the same dotted names; the pickle tells them
/// apart, since a state dict's own names are whole strings in it.
fn without_wrapping_dict<'a>(name: &'a str, strings: &PickleStrings) -> &'a str {
    match name.split_once('.') {
        Some((head, rest))
            if !strings.holds(name)
                && strings.holds(head)
                && strings.holds(rest)
                && !is_known_key(head) =>
        {
            rest
        }
        _ => name,
    }
}

fn native_to_little(bytes: &[u8], size: usize) -> Cow<'_, [u8]> {
    let mut bytes = Cow::Borrowed(bytes);
    if cfg!(target_endian = "big") {
        let bytes = bytes.to_mut();
        bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
    bytes
}

fn dtype(dtype: DType) -> Dtype {
    match dtype {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::Bf16,
        other => Dtype::Other(format!("{other:?}")),
    }
}
