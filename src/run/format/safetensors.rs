//! safetensors files: a JSON header, then the tensors' bytes one after another.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::{Metadata, TensorInfo as TensorHeader};

use super::source::{Source, Storage};
use super::stored::Stored;
use super::{Dtype, FormatError, natural};

const FORMAT: &str = "safetensors";
/// Bytes of the header's length.
const LENGTH: u64 = 8;
/// The format's own limit.
const LARGEST_HEADER: u64 = 100_000_000;

/// Tensors by name, in natural order, and the file's metadata.
pub(super) type Contents = (Vec<(String, Stored)>, HashMap<String, String>);

/// Reads the header and checks it against the file's size.
pub(super) fn open(path: &Path, source: &Source) -> Result<Contents, FormatError> {
    let header = read_header(path, source)?;
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|e| invalid(path, e.to_string()))?;
    let data = LENGTH + header.len() as u64;
    let expected = data.saturating_add(metadata.data_len() as u64);
    if expected != source.len() {
        return Err(size_error(path, expected, source.len()));
    }
    let mut tensors = Vec::new();
    for (name, info) in metadata.tensors() {
        let stored = stored(source, data, info);
        tensors.push((name, stored));
    }
    tensors.sort_by(|a, b| natural(&a.0, &b.0));
    Ok((tensors, metadata.metadata().clone().unwrap_or_default()))
}

fn stored(source: &Source, data: u64, info: &TensorHeader) -> Stored {
    let (start, end) = info.data_offsets;
    let part = source.part(data + start as u64, (end - start) as u64);
    let mut strides = vec![0; info.shape.len()];
    let mut step = 1usize;
    for (stride, extent) in strides.iter_mut().zip(&info.shape).rev() {
        *stride = step;
        step = step.saturating_mul(*extent);
    }
    let stored = Stored {
        dtype: Dtype::named(&format!("{:?}", info.dtype)),
        size: info.dtype.bitsize().div_ceil(8),
        shape: info.shape.clone(),
        strides,
        offset: 0,
        big_endian: false,
        key: "".into(),
        storage: part
            .map(|part| Arc::new(Storage::Plain(part)))
            .ok_or_else(|| "the file does not reach so far".into()),
    };
    stored.checked()
}

/// The JSON behind its length; no more is asked for than the file has.
fn read_header(path: &Path, source: &Source) -> Result<Vec<u8>, FormatError> {
    let size = source.len();
    if size < LENGTH {
        let reason = format!("it has {size} bytes, not even a header's length");
        return Err(invalid(path, reason));
    }
    let io_error = |source| FormatError::Io {
        path: path.to_path_buf(),
        source,
    };
    let mut length = [0; LENGTH as usize];
    source.read_at(&mut length, 0).map_err(io_error)?;
    let length = u64::from_le_bytes(length);
    if length > LARGEST_HEADER {
        return Err(invalid(path, format!("its header claims {length} bytes")));
    }
    if size < LENGTH + length {
        return Err(size_error(path, LENGTH + length, size));
    }
    source.bytes(LENGTH, length).map_err(io_error)
}

fn invalid(path: &Path, reason: String) -> FormatError {
    FormatError::Invalid {
        path: path.to_path_buf(),
        format: FORMAT,
        reason,
    }
}

fn size_error(path: &Path, expected: u64, found: u64) -> FormatError {
    FormatError::Size {
        path: path.to_path_buf(),
        expected,
        found,
    }
}
