//! Files of named arrays: `.npz` and `.safetensors`, and `.npy` of one that is called as the file.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::Metadata;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::run::regular;

use super::array::{Head, Kind};
use super::{DataError, Split, npy};

/// Elements of the largest array of which rows are read.
pub(super) const LARGEST: usize = 1 << 31;
/// Elements of the largest array that is in memory whole.
pub(super) const LARGEST_WHOLE: usize = 1 << 28;
/// Bytes that deflate makes of one at most.
pub(super) const RATIO: u64 = 1032;
/// Most names of arrays in a sentence.
const TOLD: usize = 8;
/// Bytes of the header of a safetensors file, as its own reader has it.
const HEAD: u64 = 100_000_000;

/// A file of named arrays.
pub(super) trait Arrays {
    /// Returns the names of all.
    fn names(&self) -> Vec<String>;

    /// Returns the head of one, and its data. The file holds as many bytes as the head asks for, as far as is known.
    fn open(&mut self, name: &str) -> Result<(Head, Box<dyn Read + '_>), DataError>;
}

struct Npz<'a> {
    path: &'a Path,
    /// Bytes of the file.
    size: u64,
    archive: ZipArchive<BufReader<File>>,
}

impl<'a> Npz<'a> {
    fn open(path: &'a Path) -> Result<Self, DataError> {
        let failed = |error| DataError::io(path, error);
        let file = regular::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let archive = ZipArchive::new(BufReader::new(file));
        let archive = archive.map_err(|error| match error {
            ZipError::Io(error) => failed(error),
            _ => DataError::Invalid {
                path: path.to_path_buf(),
                expected: "a zip archive of arrays, as numpy.savez writes".into(),
                found: "no such archive; it is cut or something else".into(),
            },
        })?;
        Ok(Self {
            path,
            size,
            archive,
        })
    }
}

impl Arrays for Npz<'_> {
    fn names(&self) -> Vec<String> {
        let entries = self.archive.file_names().flatten();
        entries
            .filter_map(|name| Some(name.strip_suffix(".npy")?.to_owned()))
            .collect()
    }

    fn open(&mut self, name: &str) -> Result<(Head, Box<dyn Read + '_>), DataError> {
        let path = self.path;
        let entry = self.archive.by_name(&format!("{name}.npy"));
        let mut entry = entry.map_err(|error| DataError::io(path, error.into()))?;
        let bytes = entry.size().min(self.size.saturating_mul(RATIO));
        let head = head(path, name, &mut entry, bytes)?;
        Ok((head, Box::new(entry)))
    }
}

struct Tensors<'a> {
    path: &'a Path,
    file: File,
    /// Offset at which the data begin.
    begin: u64,
    named: Vec<(String, safetensors::tensor::TensorInfo)>,
}

impl<'a> Tensors<'a> {
    fn open(path: &'a Path) -> Result<Self, DataError> {
        let failed = |error| DataError::io(path, error);
        let mut file = regular::open(path).map_err(failed)?;
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(failed)?;
        let size = u64::from_le_bytes(length);
        if size > HEAD {
            let expected = format!("a safetensors file with a head of at most {HEAD} bytes");
            return Err(DataError::invalid(path, expected, format!("{size}")));
        }
        let mut bytes = Vec::new();
        (&file).take(size).read_to_end(&mut bytes).map_err(failed)?;
        // The crate's own function wants the whole file in memory.
        let metadata: Metadata = serde_json::from_slice(&bytes)
            .map_err(|error| DataError::invalid(path, "a safetensors file", error.to_string()))?;
        let tensors = metadata.tensors().into_iter();
        let mut tensors = Self {
            path,
            file,
            begin: size + 8,
            named: tensors.map(|(name, info)| (name, info.clone())).collect(),
        };
        tensors.named.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(tensors)
    }
}

impl Arrays for Tensors<'_> {
    fn names(&self) -> Vec<String> {
        self.named.iter().map(|(name, _)| name.clone()).collect()
    }

    fn open(&mut self, name: &str) -> Result<(Head, Box<dyn Read + '_>), DataError> {
        let found = self
            .named
            .binary_search_by(|(known, _)| known.as_str().cmp(name));
        let Some((_, info)) = found.ok().and_then(|at| self.named.get(at)) else {
            return Err(DataError::invalid(
                self.path,
                format!("array {name}"),
                "none",
            ));
        };
        let Some(kind) = kind_of(info.dtype) else {
            let expected = format!("array {name} of truth values, whole numbers or floats");
            return Err(DataError::invalid(
                self.path,
                expected,
                format!("{:?}", info.dtype),
            ));
        };
        let head = Head {
            shape: info.shape.clone(),
            kind,
            big_endian: false,
            fortran: false,
        };
        let failed = |error| DataError::io(self.path, error);
        let start = self.begin.saturating_add(info.data_offsets.0 as u64);
        let size = self.file.metadata().map_err(failed)?.len();
        check_held(self.path, name, &head, size.saturating_sub(start))?;
        self.file.seek(SeekFrom::Start(start)).map_err(failed)?;
        Ok((head, Box::new(BufReader::new(&self.file))))
    }
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::BOOL => Kind::Bool,
        Dtype::U8 => Kind::U8,
        Dtype::I8 => Kind::I8,
        Dtype::U16 => Kind::U16,
        Dtype::I16 => Kind::I16,
        Dtype::U32 => Kind::U32,
        Dtype::I32 => Kind::I32,
        Dtype::U64 => Kind::U64,
        Dtype::I64 => Kind::I64,
        Dtype::F16 => Kind::F16,
        Dtype::BF16 => Kind::Bf16,
        Dtype::F32 => Kind::F32,
        Dtype::F64 => Kind::F64,
        _ => return None,
    })
}

/// A file of one array.
struct Npy<'a> {
    path: &'a Path,
}

impl Arrays for Npy<'_> {
    fn names(&self) -> Vec<String> {
        vec![stem(self.path)]
    }

    fn open(&mut self, name: &str) -> Result<(Head, Box<dyn Read + '_>), DataError> {
        let failed = |error| DataError::io(self.path, error);
        let file = regular::open(self.path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut file = BufReader::new(file);
        let head = head(self.path, name, &mut file, size)?;
        Ok((head, Box::new(file)))
    }
}

/// Reads the head of an array in NumPy's format, which at most so many bytes hold.
fn head(path: &Path, name: &str, from: &mut impl Read, bytes: u64) -> Result<Head, DataError> {
    let head = npy::head(from).map_err(|error| DataError::io(path, error))?;
    let head = head.map_err(|found| {
        let expected = format!("array {name} of truth values, whole numbers or floats");
        DataError::invalid(path, expected, found)
    })?;
    check_held(path, name, &head, bytes)?;
    Ok(head)
}

/// Refuses an array of more bytes than there can be: memory for its rows is taken before they are read.
fn check_held(path: &Path, name: &str, head: &Head, bytes: u64) -> Result<(), DataError> {
    if head.fits(bytes) {
        return Ok(());
    }
    let expected = format!("array {name} of shape {:?} whole", head.shape);
    Err(DataError::invalid(path, expected, format!("{bytes} bytes")))
}

/// Returns a file of one array, which is opened when it is read.
pub(super) fn single(path: &Path) -> Box<dyn Arrays + '_> {
    Box::new(Npy { path })
}

/// Returns the name of a file without its ending.
pub(super) fn stem(path: &Path) -> String {
    let stem = path.file_stem().map(|name| name.to_string_lossy());
    stem.map_or_else(|| "arrays".into(), std::borrow::Cow::into_owned)
}

/// Finds the file of a split in a folder that has one for each, `train.safetensors` and `test.safetensors`; `None` if
/// the folder has neither.
///
/// # Errors
/// The folder has the other split alone.
pub(super) fn of_split(folder: &Path, split: Split) -> Result<Option<PathBuf>, DataError> {
    let there = |split: Split| {
        let files = ["safetensors", "npz"].map(|ending| format!("{}.{ending}", split.name()));
        let mut files = files.into_iter().map(|file| folder.join(file));
        files.find(|path| path.is_file())
    };
    let other = [Split::Train, Split::Test].into_iter().find_map(there);
    match (there(split), other) {
        (Some(own), _) => Ok(Some(own)),
        (None, Some(other)) => {
            let expected = format!("{}.safetensors or .npz", split.name());
            Err(DataError::invalid(
                folder,
                expected,
                format!("{} alone", stem(&other)),
            ))
        }
        (None, None) => Ok(None),
    }
}

/// Returns the names in a sentence that stays short.
pub(super) fn listed(names: &[String]) -> String {
    match names.get(TOLD..) {
        Some(rest @ [_, ..]) => format!("{} … and {} more", names[..TOLD].join(", "), rest.len()),
        _ if names.is_empty() => "none".into(),
        _ => names.join(", "),
    }
}

/// Opens a file by the ending of its name; `None` if that is another one.
pub(super) fn open<'a>(path: &'a Path) -> Result<Option<Box<dyn Arrays + 'a>>, DataError> {
    Ok(match path.extension().and_then(|ending| ending.to_str()) {
        Some("npz") => Some(Box::new(Npz::open(path)?)),
        Some("safetensors") => Some(Box::new(Tensors::open(path)?)),
        _ => None,
    })
}

pub(super) fn check_size(
    path: &Path,
    name: &str,
    head: &Head,
    most: usize,
) -> Result<(), DataError> {
    match head.bound() {
        Some(bound) if bound <= most => Ok(()),
        _ => Err(DataError::invalid(
            path,
            format!("array {name} of at most {most} elements"),
            format!("shape {:?}", head.shape),
        )),
    }
}
