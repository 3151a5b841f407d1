//! safetensors files: a JSON header, then the tensors' bytes one after another.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Metadata, TensorInfo as TensorHeader};

use crate::run::stamp::Stamp;

use super::{Dtype, FormatError, TensorInfo, convert, natural, unchanged};

const FORMAT: &str = "safetensors";
/// Bytes of the header's length.
const LENGTH: u64 = 8;
/// The format's own limit.
const LARGEST_HEADER: u64 = 100_000_000;
/// Bytes that are read and converted at once: they stay in cache.
const PIECE: usize = 128 << 10;

/// An open file: its header; the values stay on disk.
#[derive(Debug)]
pub(super) struct SafetensorsFile {
    path: PathBuf,
    file: File,
    stamp: Stamp,
    tensors: Vec<TensorInfo>,
    /// First byte of each tensor in the file.
    starts: Vec<u64>,
    metadata: HashMap<String, String>,
}

impl SafetensorsFile {
    /// Reads the header and checks it against the file's size.
    pub(super) fn open(path: &Path) -> Result<Self, FormatError> {
        let mut file = File::open(path).map_err(|source| io_error(path, source))?;
        let metadata = file.metadata().map_err(|source| io_error(path, source))?;
        let stamp = Stamp::from(&metadata);
        let header = read_header(path, &mut file, stamp.size)?;
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|e| invalid(path, e.to_string()))?;
        let data = LENGTH + header.len() as u64;
        let expected = data.saturating_add(metadata.data_len() as u64);
        if expected != stamp.size {
            return Err(size_error(path, expected, stamp.size));
        }
        let mut names: Vec<_> = metadata.tensors().into_iter().collect();
        names.sort_by(|a, b| natural(&a.0, &b.0));
        let start = |info: &TensorHeader| data + info.data_offsets.0 as u64;
        let info = |(name, info): &(String, &TensorHeader)| TensorInfo {
            name: name.clone(),
            shape: info.shape.clone(),
            dtype: dtype(info.dtype),
        };
        Ok(Self {
            path: path.to_path_buf(),
            file,
            stamp,
            starts: names.iter().map(|(_, info)| start(info)).collect(),
            tensors: names.iter().map(info).collect(),
            metadata: metadata.metadata().clone().unwrap_or_default(),
        })
    }

    pub(super) fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    pub(super) fn step(&self) -> Option<u64> {
        let known = ["global_step", "step", "epoch"];
        known
            .iter()
            .find_map(|name| self.metadata.get(*name)?.parse().ok())
    }

    /// Fills `values` with the elements from `start` on.
    pub(super) fn read(
        &self,
        index: usize,
        start: usize,
        values: &mut [f32],
    ) -> Result<(), FormatError> {
        let tensor = &self.tensors[index];
        let problem = |reason: String| FormatError::Tensor {
            path: self.path.clone(),
            tensor: tensor.name.clone(),
            reason,
        };
        let size = convert::size(&tensor.dtype)
            .ok_or_else(|| problem(format!("its type is {}", tensor.dtype)))?;
        let end = start.saturating_add(values.len());
        if end > tensor.shape.iter().product() {
            return Err(problem(format!("it has no elements {start}..{end}")));
        }
        let from = self.starts[index] + (start * size) as u64;
        self.fill(from, &tensor.dtype, size, values)
            .map_err(|e| problem(e.to_string()))?;
        unchanged(&self.path, self.stamp)
    }

    /// Reads elements of `size` bytes from byte `from` of the file on.
    fn fill(
        &self,
        mut from: u64,
        dtype: &Dtype,
        size: usize,
        values: &mut [f32],
    ) -> io::Result<()> {
        if *dtype == Dtype::F32 && cfg!(target_endian = "little") {
            return read_at(&self.file, bytemuck::cast_slice_mut(values), from);
        }
        let mut bytes = vec![0; PIECE.min(values.len() * size)];
        for values in values.chunks_mut(PIECE / size) {
            let bytes = &mut bytes[..values.len() * size];
            read_at(&self.file, bytes, from)?;
            convert::to_f32(bytes, dtype, values).ok_or(io::ErrorKind::Unsupported)?;
            from += bytes.len() as u64;
        }
        Ok(())
    }
}

/// Reads at a place of its own, so that threads can share the file.
#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], from: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, from)
}

/// Likewise.
#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut from: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, from)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                bytes = &mut bytes[read..];
                from += read as u64;
            }
        }
    }
    Ok(())
}

/// The JSON behind its length; no more is asked for than the file has.
fn read_header(path: &Path, file: &mut File, size: u64) -> Result<Vec<u8>, FormatError> {
    if size < LENGTH {
        let reason = format!("it has {size} bytes, not even a header's length");
        return Err(invalid(path, reason));
    }
    let mut length = [0; LENGTH as usize];
    file.read_exact(&mut length)
        .map_err(|source| io_error(path, source))?;
    let length = u64::from_le_bytes(length);
    if length > LARGEST_HEADER {
        return Err(invalid(path, format!("its header claims {length} bytes")));
    }
    if size < LENGTH + length {
        return Err(size_error(path, LENGTH + length, size));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header)
        .map_err(|source| io_error(path, source))?;
    Ok(header)
}

fn io_error(path: &Path, source: std::io::Error) -> FormatError {
    FormatError::Io {
        path: path.to_path_buf(),
        source,
    }
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

fn dtype(dtype: safetensors::Dtype) -> Dtype {
    match dtype {
        safetensors::Dtype::F64 => Dtype::F64,
        safetensors::Dtype::F32 => Dtype::F32,
        safetensors::Dtype::F16 => Dtype::F16,
        safetensors::Dtype::BF16 => Dtype::Bf16,
        other => Dtype::Other(format!("{other:?}")),
    }
}
