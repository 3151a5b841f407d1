//! safetensors files: a JSON header, then the tensors' bytes one after another.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use safetensors::tensor::Metadata;

use crate::run::stamp::Stamp;

use super::{Dtype, FormatError, TensorInfo, convert, natural, unchanged};

const FORMAT: &str = "safetensors";
/// The format's own limit.
const LARGEST_HEADER: u64 = 100_000_000;

/// An open file: its header; the values stay on disk.
#[derive(Debug)]
pub(super) struct SafetensorsFile {
    path: PathBuf,
    stamp: Stamp,
    tensors: Vec<TensorInfo>,
    /// First byte of each tensor in the file.
    starts: Vec<u64>,
    metadata: HashMap<String, String>,
}

impl SafetensorsFile {
    /// Reads the header and checks it against the file's size.
    pub(super) fn open(path: &Path) -> Result<Self, FormatError> {
        let io = |source| FormatError::Io {
            path: path.to_path_buf(),
            source,
        };
        let invalid = |reason: String| FormatError::Invalid {
            path: path.to_path_buf(),
            format: FORMAT,
            reason,
        };
        let mut file = File::open(path).map_err(io)?;
        let stamp = Stamp::from(&file.metadata().map_err(io)?);
        if stamp.size < 8 {
            return Err(invalid(format!(
                "it has {} bytes, not even a header's length",
                stamp.size
            )));
        }
        let mut header = vec![0; 8];
        file.read_exact(&mut header).map_err(io)?;
        let length = u64::from_le_bytes(header[..8].try_into().unwrap_or_default());
        if length > LARGEST_HEADER {
            return Err(invalid(format!("its header claims {length} bytes")));
        }
        if stamp.size < 8 + length {
            return Err(size_error(path, 8 + length, stamp.size));
        }
        header.resize(8 + length as usize, 0);
        file.read_exact(&mut header[8..]).map_err(io)?;
        let metadata: Metadata =
            serde_json::from_slice(&header[8..]).map_err(|e| invalid(e.to_string()))?;
        let expected = (8 + length).saturating_add(metadata.data_len() as u64);
        if expected != stamp.size {
            return Err(size_error(path, expected, stamp.size));
        }
        let mut names: Vec<_> = metadata.tensors().into_iter().collect();
        names.sort_by(|a, b| natural(&a.0, &b.0));
        Ok(Self {
            path: path.to_path_buf(),
            stamp,
            starts: names
                .iter()
                .map(|(_, info)| 8 + length + info.data_offsets.0 as u64)
                .collect(),
            tensors: names
                .iter()
                .map(|(name, info)| TensorInfo {
                    name: name.clone(),
                    shape: info.shape.clone(),
                    dtype: dtype(info.dtype),
                })
                .collect(),
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

    pub(super) fn read(&self, index: usize, range: Range<usize>) -> Result<Vec<f32>, FormatError> {
        let tensor = &self.tensors[index];
        let problem = |reason: String| FormatError::Tensor {
            path: self.path.clone(),
            tensor: tensor.name.clone(),
            reason,
        };
        let size = convert::size(&tensor.dtype)
            .ok_or_else(|| problem(format!("its type is {}", tensor.dtype)))?;
        if range.end > tensor.shape.iter().product() || range.start > range.end {
            return Err(problem(format!("it has no elements {range:?}")));
        }
        let mut bytes = vec![0; range.len() * size];
        File::open(&self.path)
            .and_then(|mut file| {
                file.seek(SeekFrom::Start(
                    self.starts[index] + (range.start * size) as u64,
                ))?;
                file.read_exact(&mut bytes)
            })
            .map_err(|e| problem(e.to_string()))?;
        unchanged(&self.path, self.stamp)?;
        convert::to_f32(&bytes, &tensor.dtype).ok_or_else(|| problem("its type is not read".into()))
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
