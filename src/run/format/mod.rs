//! One way to read every checkpoint format: names and shapes at once, values a tensor at a time.
//!
//! No code of a checkpoint is ever run: torch files go through a reader that knows which pickle
//! instructions and classes make tensors and refuses all others.

pub mod convert;
mod order;
mod safetensors;
mod sharded;
mod state_dict;
mod torch;
pub(in crate::run) mod training;

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::stamp::Stamp;

pub use order::natural;
pub(super) use sharded::weight_files as sharded_weight_files;

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

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::F64 => f.write_str("f64"),
            Self::F32 => f.write_str("f32"),
            Self::F16 => f.write_str("f16"),
            Self::Bf16 => f.write_str("bf16"),
            Self::Other(name) => f.write_str(&name.to_lowercase()),
        }
    }
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
pub enum FormatError {
    /// The system refuses.
    #[error("{}: cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is shorter or longer than its own header says: it is still being written, or was cut.
    #[error("{}: expected {expected} bytes by its own header, found {found}", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// By the header.
        expected: u64,
        /// On disk.
        found: u64,
    },
    /// The contents are not what the format asks for.
    #[error("{}: expected a whole {format} file: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Name of the format.
        format: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// `--key` names nothing.
    #[error("{}: expected tensors under the key {key}, found only {}", path.display(), .found.join(", "))]
    Key {
        /// The checkpoint.
        path: PathBuf,
        /// As the user gave it.
        key: String,
        /// The keys that are there.
        found: Vec<String>,
    },
    /// A checkpoint without tensors, but for an optimizer's.
    #[error("{}: expected the tensors of a model, found none", .0.display())]
    NoTensors(PathBuf),
    /// A folder whose index and shards disagree.
    #[error("{}: {reason}", path.display())]
    Shards {
        /// The index or the folder.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The file was changed between opening and reading.
    #[error("{}: changed while it was being read", .0.display())]
    Changed(PathBuf),
    /// One tensor's values cannot be had.
    #[error("{}: tensor {tensor} cannot be read: {reason}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
}

/// One file of a checkpoint, its header read.
#[derive(Debug)]
enum OpenFile {
    Torch(torch::TorchFile),
    Safetensors(safetensors::SafetensorsFile),
}

impl OpenFile {
    /// Decides by content, since every ending is used for every format somewhere.
    fn open(path: &Path) -> Result<Self, FormatError> {
        let mut start = [0; 9];
        let read = File::open(path).and_then(|mut file| {
            let size = file.metadata()?.len();
            let mut filled = 0;
            while filled < start.len() {
                match file.read(&mut start[filled..])? {
                    0 => break,
                    n => filled += n,
                }
            }
            Ok((size, filled))
        });
        let (size, filled) = read.map_err(|source| FormatError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        let named = path
            .extension()
            .is_some_and(|extension| extension == "safetensors");
        let header = u64::from_le_bytes(start[..8].try_into().unwrap_or_default());
        let looks = filled == 9 && start[8] == b'{' && header < size;
        if named || looks {
            safetensors::SafetensorsFile::open(path).map(Self::Safetensors)
        } else {
            torch::TorchFile::open(path).map(Self::Torch)
        }
    }

    /// Names are as in the file, with the keys of nested dicts in front, joined by dots.
    fn tensors(&self) -> &[TensorInfo] {
        match self {
            Self::Torch(file) => file.tensors(),
            Self::Safetensors(file) => file.tensors(),
        }
    }

    fn read(&self, index: usize, start: usize, values: &mut [f32]) -> Result<(), FormatError> {
        match self {
            Self::Torch(file) => file.read(index, start, values),
            Self::Safetensors(file) => file.read(index, start, values),
        }
    }

    fn step(&self) -> Option<u64> {
        match self {
            Self::Torch(file) => file.step(),
            Self::Safetensors(file) => file.step(),
        }
    }
}

/// Where a tensor of a state dict is: index of the file, index of the tensor in it.
#[derive(Clone, Copy, Debug)]
struct Place {
    file: usize,
    tensor: usize,
}

/// An open checkpoint: its state dict's names and shapes, values on request.
///
/// Each of its files holds one file descriptor while open.
#[derive(Debug)]
pub struct StateDict {
    path: PathBuf,
    key: Option<String>,
    files: Vec<OpenFile>,
    tensors: Vec<TensorInfo>,
    places: Vec<Place>,
}

impl StateDict {
    /// Opens a checkpoint file or HF-style folder and reads its header.
    ///
    /// `key` names the state dict inside nested dicts; without it, it is found.
    ///
    /// # Errors
    /// The file is unreadable, incomplete, hostile or holds no tensors.
    pub fn open(path: &Path, key: Option<&str>) -> Result<Self, FormatError> {
        let (files, mut places) = if path.is_dir() {
            sharded::open(path)?
        } else {
            let file = OpenFile::open(path)?;
            let places = (0..file.tensors().len())
                .map(|tensor| Place { file: 0, tensor })
                .collect();
            (vec![file], places)
        };
        let info = |place: &Place| &files[place.file].tensors()[place.tensor];
        let names: Vec<&str> = places
            .iter()
            .map(|place| info(place).name.as_str())
            .collect();
        let chosen = state_dict::choose(&names, key).map_err(|problem| problem.of(path))?;
        places = chosen
            .tensors
            .iter()
            .map(|(index, _)| places[*index])
            .collect();
        let named = places.iter().zip(&chosen.tensors);
        let tensors = named
            .map(|(place, (_, name))| TensorInfo {
                name: name.clone(),
                ..info(place).clone()
            })
            .collect();
        Ok(Self {
            path: path.to_path_buf(),
            key: chosen.key,
            tensors,
            places,
            files,
        })
    }

    /// The file or folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tensors in the checkpoint's own order: for torch files that of their pickle, for
    /// safetensors, which keeps none, the natural order of names (layer 2 before layer 10).
    #[must_use]
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The checkpoint's own `global_step`, else its `step` or `epoch`, where it has one.
    #[must_use]
    pub fn step(&self) -> Option<u64> {
        if self.path.is_dir() {
            return sharded::step(&self.path);
        }
        self.files.first()?.step()
    }

    /// The nested key under which the state dict was found, e.g. `state_dict`.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Files that are open as long as it is.
    #[must_use]
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Whether reading a piece of a tensor costs as much as reading all of it.
    #[must_use]
    pub fn reads_whole(&self) -> bool {
        let mut files = self.files.iter();
        files.any(|file| matches!(file, OpenFile::Torch(_)))
    }

    /// Reads elements `range` of tensor `index` in row-major order, converted to `f32`.
    ///
    /// # Errors
    /// The file can no longer be read, or is not what its header said.
    pub fn read(&self, index: usize, range: Range<usize>) -> Result<Vec<f32>, FormatError> {
        let mut values = vec![0.0; range.len()];
        self.read_into(index, range.start, &mut values)?;
        Ok(values)
    }

    /// Fills `values` with the elements of tensor `index` from `start` on, likewise.
    ///
    /// # Errors
    /// As [`StateDict::read`].
    pub fn read_into(
        &self,
        index: usize,
        start: usize,
        values: &mut [f32],
    ) -> Result<(), FormatError> {
        match self.places.get(index) {
            Some(place) => self.files[place.file].read(place.tensor, start, values),
            None => Err(FormatError::NoTensors(self.path.clone())),
        }
    }
}

/// Fails when the file is no longer the one that was opened.
fn unchanged(path: &Path, stamp: Stamp) -> Result<(), FormatError> {
    match Stamp::of(path) {
        Ok(now) if now == stamp => Ok(()),
        Ok(_) => Err(FormatError::Changed(path.to_path_buf())),
        Err(source) => Err(FormatError::Io {
            path: path.to_path_buf(),
            source,
        }),
    }
}

// STUB: replaced by the helper's
/// Stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentId(pub [u8; 32]);
impl StateDict {
    /// Stub.
    pub fn content(&self) -> Result<ContentId, FormatError> {
        let mut hasher = blake3::Hasher::new();
        for (index, tensor) in self.tensors().iter().enumerate() {
            hasher.update(tensor.name.as_bytes());
            if matches!(tensor.dtype, Dtype::Other(_)) { continue; }
            let values = self.read(index, 0..tensor.shape.iter().product())?;
            hasher.update(bytemuck::cast_slice(&values));
        }
        Ok(ContentId(*hasher.finalize().as_bytes()))
    }
    /// Stub.
    pub fn write_safetensors(&self, out: &mut impl std::io::Write) -> Result<(), FormatError> {
        let mut data = Vec::new();
        let mut header = serde_json::Map::new();
        for (index, tensor) in self.tensors().iter().enumerate() {
            if matches!(tensor.dtype, Dtype::Other(_)) { continue; }
            let values = self.read(index, 0..tensor.shape.iter().product())?;
            let start = data.len();
            data.extend_from_slice(bytemuck::cast_slice(&values));
            header.insert(tensor.name.clone(), serde_json::json!({"dtype":"F32","shape":tensor.shape,"data_offsets":[start,data.len()]}));
        }
        let header = serde_json::to_vec(&header).unwrap_or_default();
        let io = |source| FormatError::Io { path: self.path.clone(), source };
        out.write_all(&(header.len() as u64).to_le_bytes()).map_err(io)?;
        out.write_all(&header).map_err(io)?;
        out.write_all(&data).map_err(io)
    }
    /// Stub.
    pub fn is_nothing_else(&self) -> bool { false }
    /// Stub.
    pub fn counters(&self) -> crate::run::catalog::InnerCounters {
        crate::run::catalog::InnerCounters { step: self.step(), epoch: None }
    }
    /// Stub.
    pub fn note(&self) -> Option<String> { None }
}

/// Stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind { /// Stub
 Weights, /// Stub
 Unknown, /// Stub
 Special }
impl FileKind {
    /// Stub.
    pub fn may_hold_weights(self) -> bool { self == Self::Weights }
}
impl std::fmt::Display for FileKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("unknown") }
}
/// Stub.
pub fn sniff(path: &Path) -> FileKind {
    let Ok(bytes) = super::regular::open(path).and_then(|mut f| { let mut b = [0u8; 9]; let n = f.read(&mut b)?; Ok(b[..n].to_vec()) }) else { return FileKind::Special };
    if bytes.starts_with(b"PK") || bytes.starts_with(b"\x80\x02") || bytes.get(8) == Some(&b'{') { FileKind::Weights } else { FileKind::Unknown }
}
