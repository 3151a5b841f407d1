//! One way to read every checkpoint format: names and shapes at once, values a tensor at a time.
//!
//! No code of a checkpoint is ever run: torch files go through a pickle machine of our own, to which
//! classes and functions are names.

mod archive;
mod buffers;
pub mod convert;
mod counters;
mod heads;
mod identity;
mod left_out;
pub mod named;
pub(in crate::run) mod note;
mod numbered;
pub(crate) mod pickle;
mod refuse;
mod role;
mod safetensors;
mod sharded;
mod sniff;
pub(crate) mod source;
mod state_dict;
mod storage;
mod stored;
mod strided;
mod ties;
mod torch;
mod tree;
pub mod wrappers;

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fingerprint::Fingerprint;
use super::regular;
use source::Source;
use state_dict::Problem;
use stored::{Stored, Tally};
use ties::{FileTensor, Ties};
use tree::Item;

pub use buffers::Buffers;
pub use counters::InnerCounters;
pub use identity::ContentId;
pub use role::NetworkRole;
pub(super) use sharded::{listed, weight_files as sharded_weight_files};
pub use sniff::{Content, Thing, sniff};
pub use state_dict::OtherNetwork;
pub use wrappers::bare;

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
    /// Eight bits: four of exponent, three of mantissa, no infinities.
    F8E4M3,
    /// Eight bits: five of exponent, two of mantissa.
    F8E5M2,
    /// As `F8E4M3`, with exponents counted from 8, and NaN in the place of the negative zero.
    F8E4M3Fnuz,
    /// As `F8E5M2`, with exponents counted from 16, and NaN in the place of the negative zero.
    F8E5M2Fnuz,
    /// Anything else (integers, booleans); the name is the format's own.
    Other(String),
}

impl Dtype {
    /// Returns true for types whose values are not read as weights.
    fn is_other(&self) -> bool {
        matches!(self, Self::Other(_))
    }

    /// Returns the type that safetensors call so.
    fn of_name(name: &str) -> Self {
        match name {
            "F64" => Self::F64,
            "F32" => Self::F32,
            "F16" => Self::F16,
            "BF16" => Self::Bf16,
            "F8_E4M3" => Self::F8E4M3,
            "F8_E5M2" => Self::F8E5M2,
            "F8_E4M3FNUZ" => Self::F8E4M3Fnuz,
            "F8_E5M2FNUZ" => Self::F8E5M2Fnuz,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::F64 => f.write_str("f64"),
            Self::F32 => f.write_str("f32"),
            Self::F16 => f.write_str("f16"),
            Self::Bf16 => f.write_str("bf16"),
            Self::F8E4M3 => f.write_str("f8_e4m3"),
            Self::F8E5M2 => f.write_str("f8_e5m2"),
            Self::F8E4M3Fnuz => f.write_str("f8_e4m3fnuz"),
            Self::F8E5M2Fnuz => f.write_str("f8_e5m2fnuz"),
            Self::Other(name) => f.write_str(&name.to_lowercase()),
        }
    }
}

/// Share of a network's numbers from which a remark says that they are left out.
const TELLING: f64 = 0.01;

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

/// Reasons why a checkpoint could not be read.
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
        /// The defect.
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
    /// Something else than weights, or weights in a form that is not read.
    #[error("{}: expected the weights of a model, found {what}: {remedy}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Name of the thing.
        what: String,
        /// Advice.
        remedy: &'static str,
    },
    /// A checkpoint without tensors, but for an optimizer's.
    #[error("{}: expected the tensors of a model, found none", .0.display())]
    NoTensors(PathBuf),
    /// A folder whose index and shards disagree.
    #[error("{}: {reason}", path.display())]
    Shards {
        /// The index or the folder.
        path: PathBuf,
        /// The part that is missing.
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
        /// The defect.
        reason: String,
    },
}

/// One file of a checkpoint, its header read.
#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    fingerprint: Fingerprint,
    tensors: Vec<Stored>,
    root: Option<Item>,
    metadata: HashMap<String, String>,
    is_safetensors: bool,
}

impl OpenFile {
    /// Decides by content, since every ending is used for every format somewhere.
    fn open(path: &Path) -> Result<Self, FormatError> {
        let io_error = |source| FormatError::Io {
            path: path.to_path_buf(),
            source,
        };
        let file = regular::open(path).map_err(io_error)?;
        let fingerprint = Fingerprint::from(&file.metadata().map_err(io_error)?);
        let source = Source::File {
            file: Arc::new(file),
            start: 0,
            len: fingerprint.size,
        };
        let content = sniff::content(&source).map_err(io_error)?;
        let named = path
            .extension()
            .is_some_and(|extension| extension == "safetensors");
        // The header of a safetensors file has its own sentences.
        if let Some(thing) = content
            .refusal()
            .filter(|_| !(named && content == Content::Unknown))
        {
            return Err(FormatError::Refused {
                path: path.to_path_buf(),
                what: thing.name.into(),
                remedy: thing.remedy,
            });
        }
        let mut opened = Self {
            path: path.to_path_buf(),
            fingerprint,
            tensors: Vec::new(),
            root: None,
            metadata: HashMap::new(),
            is_safetensors: false,
        };
        if content == Content::Safetensors || (named && !content.is_readable()) {
            let (tensors, metadata) = safetensors::open(path, &source)?;
            let (names, tensors): (Vec<String>, Vec<Stored>) = tensors.into_iter().unzip();
            let fields = names.into_iter().enumerate();
            let fields = fields.map(|(at, name)| (name.into(), Item::Tensor(at)));
            opened.root = Some(Item::Dict(None, fields.collect()));
            (opened.tensors, opened.metadata) = (tensors, metadata);
            opened.is_safetensors = true;
        } else {
            let contents = torch::open(path, &source)?;
            (opened.tensors, opened.root) = (contents.tensors, Some(contents.root));
        }
        Ok(opened)
    }

    /// Returns the tensors of the outermost dict, by name.
    fn outermost(&self) -> impl Iterator<Item = (&str, usize)> {
        let fields = match &self.root {
            Some(Item::Dict(_, fields)) => fields.as_slice(),
            _ => &[],
        };
        fields.iter().filter_map(|(name, item)| match item {
            Item::Tensor(index) => Some((&**name, *index)),
            _ => None,
        })
    }

    fn read(
        &self,
        index: usize,
        name: &str,
        start: usize,
        values: &mut [f32],
    ) -> Result<(), FormatError> {
        let problem = |reason: String| FormatError::Tensor {
            path: self.path.clone(),
            tensor: name.to_owned(),
            reason,
        };
        let stored = self.tensors.get(index);
        let stored = stored.ok_or_else(|| problem("it is not in the file".into()))?;
        let read = stored.read(start, values);
        // A file that changed during the reading is reported as such.
        unchanged(&self.path, self.fingerprint)?;
        read.map_err(problem)
    }
}

/// Place of a tensor of a state dict: index of the file, index of the tensor in it.
#[derive(Clone, Copy, Debug)]
struct TensorPlace {
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
    others: Vec<OtherNetwork>,
    tied: Vec<(usize, String)>,
    /// Numbers of views that were expanded from a few.
    expanded: u64,
    counters: InnerCounters,
    files: Vec<OpenFile>,
    tensors: Vec<TensorInfo>,
    places: Vec<TensorPlace>,
}

impl StateDict {
    /// Opens a checkpoint file or HF-style folder and reads its header.
    ///
    /// `key` names the state dict inside nested dicts; without it, it is found.
    ///
    /// # Errors
    /// The file is unreadable, incomplete, hostile or holds no tensors.
    pub fn open(path: &Path, key: Option<&str>) -> Result<Self, FormatError> {
        if let Some(refused) = refuse::by_place(path) {
            return Err(refused);
        }
        let (files, places, root) = if path.is_dir() {
            sharded::open(path)?
        } else {
            let mut file = OpenFile::open(path)?;
            let places: Vec<TensorPlace> = (0..file.tensors.len())
                .map(|tensor| TensorPlace { file: 0, tensor })
                .collect();
            let root = file.root.take();
            (vec![file], places, root)
        };
        let root = root.unwrap_or(Item::List(Vec::new()));
        let stored = |index: usize| {
            let place = places.get(index)?;
            files[place.file].tensors.get(place.tensor)
        };
        if let Some(refused) = refuse::by_content(path, &root, &stored) {
            return Err(refused);
        }
        let copied = files
            .first()
            .and_then(|file| identity::copied(&root, &file.metadata));
        let chosen = match copied {
            // A copy of our own holds the chosen tensors alone, under their names and in their order.
            Some(chosen) => chosen,
            None => state_dict::choose(&root, &stored, key).map_err(|problem| match problem {
                Problem::None => refuse::without_model(path, &root, &stored),
                problem => problem.of(path),
            })?,
        };
        let mut dict = Self {
            path: path.to_path_buf(),
            key: chosen.key,
            others: chosen.others,
            tied: chosen.tied,
            expanded: 0,
            tensors: Vec::new(),
            places: Vec::new(),
            files: Vec::new(),
            counters: files.first().map_or_else(InnerCounters::default, |file| {
                counters::counters(&root, &file.metadata)
            }),
        };
        let mut ties = Ties::default();
        let mut tally = Tally::default();
        for (index, name) in &chosen.tensors {
            let (Some(stored), Some(place)) = (stored(*index), places.get(*index)) else {
                continue;
            };
            // A few numbers seen as many are a buffer.
            if stored.is_expanded() {
                let count = stored.count().unwrap_or(usize::MAX) as u64;
                dict.expanded = dict.expanded.saturating_add(count);
                continue;
            }
            let named = FileTensor {
                name,
                file: place.file,
                stored,
            };
            if let Some(twin) = ties.meet(named) {
                dict.tied.push((twin, name.clone()));
                continue;
            }
            tally.take(stored);
            dict.places.push(*place);
            dict.tensors.push(TensorInfo {
                name: name.clone(),
                shape: stored.shape.clone(),
                dtype: stored.dtype.clone(),
            });
        }
        if tally.is_expanded() {
            return Err(Problem::Expanded.of(path));
        }
        dict.files = files;
        Ok(dict)
    }

    /// Returns the networks of the checkpoint that were not taken.
    #[must_use]
    pub fn others(&self) -> &[OtherNetwork] {
        &self.others
    }

    /// Returns the choice among the contents, in a sentence that is the same for each checkpoint of a run: the
    /// network that was taken and the keys that take the others, and the share of its numbers that was left
    /// out where that is above one hundredth. `None` if there was no choice.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let keys = self
            .others
            .iter()
            .map(|other| format!("--key {}", other.key));
        let keys: Vec<String> = keys.collect();
        let taken = self.key.as_deref().unwrap_or("the outermost tensors");
        let networks = (!keys.is_empty()).then(|| {
            let keys = keys.join(", ");
            format!("the checkpoints hold several networks: {taken} is taken, {keys} takes another")
        });
        let left_out = self.left_out().filter(|(share, _)| *share > TELLING);
        let told = networks
            .into_iter()
            .chain(left_out.map(|(_, sentence)| sentence));
        let told = told.collect::<Vec<_>>().join("; ");
        (!told.is_empty()).then_some(told)
    }

    /// Returns further names of tensors that are one with another: its index, and the name.
    #[must_use]
    pub fn tied(&self) -> &[(usize, String)] {
        &self.tied
    }

    /// Returns the file or folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the tensors in the checkpoint's own order: for torch files that of their pickle, for
    /// safetensors, which keeps none, the natural order of names (layer 2 before layer 10).
    #[must_use]
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// Returns the checkpoint's own counters.
    #[must_use]
    pub fn counters(&self) -> InnerCounters {
        let mut counters = self.counters;
        if self.path.is_dir() {
            counters.step = sharded::step(&self.path).or(counters.step);
        }
        counters
    }

    /// Returns the nested key under which the state dict was found, e.g. `state_dict`.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Returns the files that are open as long as it is.
    #[must_use]
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Returns true if reading a piece of a tensor costs as much as reading all of it.
    #[must_use]
    pub fn reads_whole(&self) -> bool {
        let mut files = self.files.iter();
        files.any(|file| file.tensors.iter().any(Stored::is_costly))
    }

    /// Checks that the file has the bytes of a tensor, before memory is taken for its numbers.
    ///
    /// # Errors
    /// It has not; the sentence says why.
    pub fn check(&self, index: usize) -> Result<(), FormatError> {
        let stored = self.places.get(index);
        let stored = stored.and_then(|place| self.files[place.file].tensors.get(place.tensor));
        match stored.map(|stored| &stored.storage) {
            Some(Err(reason)) => Err(FormatError::Tensor {
                path: self.path.clone(),
                tensor: self.tensors[index].name.clone(),
                reason: reason.clone(),
            }),
            _ => Ok(()),
        }
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
            Some(place) => {
                let name = &self.tensors[index].name;
                self.files[place.file].read(place.tensor, name, start, values)
            }
            None => Err(FormatError::NoTensors(self.path.clone())),
        }
    }
}

impl StateDict {
    /// Fails when the file of a tensor is no longer the one that was opened.
    fn unchanged(&self, index: usize) -> Result<(), FormatError> {
        let place = self.places.get(index);
        let file = place.and_then(|place| self.files.get(place.file));
        file.map_or(Ok(()), |file| unchanged(&file.path, file.fingerprint))
    }
}

/// Fails when the file is no longer the one that was opened.
fn unchanged(path: &Path, fingerprint: Fingerprint) -> Result<(), FormatError> {
    match Fingerprint::of(path) {
        Ok(now) if now == fingerprint => Ok(()),
        Ok(_) => Err(FormatError::Changed(path.to_path_buf())),
        Err(source) => Err(FormatError::Io {
            path: path.to_path_buf(),
            source,
        }),
    }
}
