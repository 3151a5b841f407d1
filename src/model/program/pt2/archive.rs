//! The zip archive that `torch.export.save` writes: a program in JSON, and tensors as raw bytes.
//!
//! The zip crate reads it, because it compares each entry with its checksum. Checkpoints have a reader of their own
//! (`run/format/archive.rs`), because they are read in pieces, which have none.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;
use zip::read::{ArchiveOffset, Config};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::Pt2Error;
use super::call::kind;
use crate::model::program::datum::Datum;
use crate::model::program::kind::Kind;
use crate::run::{MemoryView, NamedTensors, regular};

/// Bytes of the largest program in JSON.
const PROGRAM: u64 = 256 << 20;
/// Values of a program for which its size in the archive does not matter, and how many more for each byte there: in
/// memory one takes up to forty times its own byte.
const VALUES: (u64, u64) = (1 << 20, 8);
/// Bytes of the largest tensor that is taken from the archive.
const TENSOR: u64 = 8 << 30;
/// Bytes of a tensor for which its size in the archive does not matter, and multiple of that size which a larger one may
/// have: PyTorch writes them as they are.
const INFLATED: (u64, u64) = (64 << 20, 16);
/// PyTorch's numbers of two types.
const F32: i64 = 7;
const F64: i64 = 8;
/// The schema's major version that is known.
const MAJOR: i64 = 8;

/// An archive whose program was read.
pub(super) struct Archive {
    path: PathBuf,
    zip: ZipArchive<BufReader<File>>,
    /// Bytes of the file.
    size: u64,
    root: String,
    /// The program.
    pub(super) program: Json,
    /// Entry of each tensor, by its name in the state dict.
    entries: HashMap<String, Entry>,
    /// Tensors that PyTorch up to 2.8 wrote as files of `torch.save`: weights, then constants.
    pickled: Vec<NamedTensors>,
}

/// Files of `torch.save` in the archives of PyTorch 2.8, and in those before, by their ends.
const PICKLED: [&str; 4] = [
    "data/weights/model.pt",
    "data/constants/model.pt",
    "serialized_state_dict.pt",
    "serialized_constants.pt",
];
/// The program of PyTorch up to 2.7.
const OLD_PROGRAM: &str = "serialized_exported_program.json";

/// A tensor of the archive.
#[derive(Clone)]
struct Entry {
    folder: &'static str,
    file: String,
    /// Number of its type.
    code: i64,
    /// Extents and strides; `None` if the entry tells none.
    shape: Option<Vec<usize>>,
    strides: Option<Vec<usize>>,
    offset: usize,
    is_pickled: bool,
}

impl Entry {
    /// Takes an entry of a folder's configuration; `None` if it names no file.
    fn of(folder: &'static str, entry: &Json) -> Option<Self> {
        let meta = entry.get("tensor_meta").unwrap_or(&Json::Null);
        let offset = meta
            .pointer("/storage_offset/as_int")
            .and_then(Json::as_u64);
        Some(Self {
            folder,
            file: entry.get("path_name").and_then(Json::as_str)?.to_owned(),
            code: meta.get("dtype").and_then(Json::as_i64).unwrap_or(0),
            shape: numbers(meta, "sizes"),
            strides: numbers(meta, "strides"),
            offset: offset.map_or(0, |offset| usize::try_from(offset).unwrap_or(usize::MAX)),
            is_pickled: entry.get("use_pickle").and_then(Json::as_bool) == Some(true),
        })
    }
}

impl Archive {
    /// Opens an archive and reads its program.
    ///
    /// # Errors
    /// It is not what `torch.export.save` writes, or of a form that is not known.
    pub(super) fn open(path: &Path) -> Result<Self, Pt2Error> {
        let refused = |found: String| Pt2Error::Archive {
            path: path.to_path_buf(),
            found,
        };
        let file = regular::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => refused("nothing there".into()),
            _ => refused(error.to_string()),
        })?;
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        // Looking for a start is misled by torch's records where the name of the root has eight letters.
        let config = Config {
            archive_offset: ArchiveOffset::Known(0),
        };
        let zip = ZipArchive::with_config(config, BufReader::new(file));
        let mut zip = zip.map_err(|error| refused(unopened(path, &error)))?;
        let names: Vec<String> = zip
            .file_names()
            .flatten()
            .map(std::borrow::Cow::into_owned)
            .collect();
        let has = |part: &str| names.iter().any(|name| name.contains(part));
        let root = names.first().and_then(|name| name.split_once('/'));
        let root = root.map_or_else(String::new, |(root, _)| format!("{root}/"));
        if has("data/aotinductor/") {
            return Err(refused(
                "a compiled package; save with torch.export.save, not aoti_compile_and_package"
                    .into(),
            ));
        }
        if names
            .iter()
            .any(|name| name.ends_with("/code/__torch__.py") || name.ends_with("/data.pkl"))
        {
            return Err(refused(
                "weights or TorchScript, no exported program; use torch.export.save".into(),
            ));
        }
        let entry = program_entry(&names, &root).map_err(&refused)?;
        let mut values = VALUES.0.saturating_add(VALUES.1.saturating_mul(size));
        let program = json(&mut zip, &entry, &mut values).map_err(&refused)?;
        let major = program
            .pointer("/schema_version/major")
            .and_then(Json::as_i64);
        if major != Some(MAJOR) {
            let torch = program.get("torch_version").and_then(Json::as_str);
            let found = major.map_or_else(|| "none".into(), |major| major.to_string());
            let torch = torch.unwrap_or("an unknown version");
            return Err(refused(format!(
                "schema {found} of PyTorch {torch}, expected schema {MAJOR}"
            )));
        }
        let mut archive = Self {
            path: path.to_path_buf(),
            zip,
            size,
            root,
            program,
            entries: HashMap::new(),
            pickled: Vec::new(),
        };
        archive.index(&names, &mut values).map_err(&refused)?;
        for end in PICKLED {
            if let Some(name) = names.iter().find(|name| name.ends_with(end)) {
                let found = archive.unpickle(name);
                let found = found.map_err(|reason| refused(format!("{name}: {reason}")))?;
                archive.pickled.push(found);
            }
        }
        Ok(archive)
    }

    /// Notes where each tensor lies, in files of at most so many values together.
    fn index(&mut self, names: &[String], values: &mut u64) -> Result<(), String> {
        for folder in ["weights", "constants"] {
            let start = format!("{}data/{folder}/", self.root);
            let configs = names
                .iter()
                .filter(|name| name.starts_with(&start) && name.ends_with("_config.json"));
            for config in configs {
                let config = json(&mut self.zip, config, values)?;
                let entries = config.get("config").and_then(Json::as_object);
                for (name, entry) in entries.into_iter().flatten() {
                    if let Some(entry) = Entry::of(folder, entry) {
                        self.entries.insert(name.clone(), entry);
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads the names of a file of `torch.save` in the archive, which usually lies there as it is.
    fn unpickle(&mut self, name: &str) -> Result<NamedTensors, String> {
        let entry = self.zip.by_name(name).map_err(|error| error.to_string())?;
        let (len, is_plain) = (
            entry.size(),
            entry.compression() == CompressionMethod::Stored,
        );
        let start = entry.data_start().filter(|_| is_plain);
        drop(entry);
        if let Some(start) = start {
            let file = regular::open(&self.path).map_err(|error| error.to_string())?;
            return NamedTensors::of_part(Arc::new(file), start, len);
        }
        NamedTensors::of_bytes(self.tensor_bytes(name)?)
    }

    /// Reads a file of tensors.
    fn tensor_bytes(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let packed = self.zip.by_name(name);
        let packed = packed.map_or(0, |entry| entry.compressed_size().min(self.size));
        let most = INFLATED.0.max(INFLATED.1.saturating_mul(packed));
        bytes(&mut self.zip, name, TENSOR.min(most))
    }

    /// Returns all names of a tensor, its own first.
    pub(super) fn names(&self, name: &str) -> Vec<String> {
        let ties = self.ties(name).into_iter();
        std::iter::once(name)
            .chain(ties)
            .map(str::to_owned)
            .collect()
    }

    /// Returns the other names of a tensor: those that share its file are tied to it.
    fn ties(&self, name: &str) -> Vec<&str> {
        let Some(own) = self.entries.get(name) else {
            let pickled = self.pickled.iter();
            return pickled.flat_map(|tensors| tensors.ties(name)).collect();
        };
        let same = |entry: &Entry| entry.file == own.file && entry.folder == own.folder;
        let others = self
            .entries
            .iter()
            .filter(|(other, entry)| *other != name && same(entry));
        let mut others: Vec<&str> = others.map(|(other, _)| other.as_str()).collect();
        others.sort_unstable();
        others
    }

    /// Returns the extents of a tensor; `None` if it is not there.
    pub(super) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        if let Some(entry) = self.entries.get(name) {
            return entry.shape.clone();
        }
        let mut pickled = self.pickled.iter();
        let shape = pickled.find_map(|tensors| tensors.shape(name));
        shape.map(<[usize]>::to_vec)
    }

    /// Reads a tensor.
    ///
    /// # Errors
    /// It is not there, damaged, or of a type that is not known.
    pub(super) fn tensor(&mut self, name: &str) -> Result<Datum, Pt2Error> {
        let read = self.read(name);
        read.map_err(|found| Pt2Error::Tensor {
            path: self.path.clone(),
            name: name.to_owned(),
            found,
        })
    }

    fn read_pickled(&self, name: &str) -> Result<Datum, String> {
        let holding = self.pickled.iter();
        let mut holding = holding.filter_map(|tensors| Some((tensors, tensors.shape(name)?)));
        let (tensors, shape) = holding.next().ok_or("none")?;
        let (values, of) = tensors.numbers(name)?;
        let made = match of.as_str() {
            "bool" => Datum::host(values, shape, Kind::Bool),
            "f64" => floats(&values, shape, F64),
            name if name.starts_with('f') || name.starts_with("bf") => floats(&values, shape, F32),
            _ => Datum::host(values, shape, Kind::Int),
        };
        made.map_err(|error| error.to_string())
    }

    fn read(&mut self, name: &str) -> Result<Datum, String> {
        let Some(entry) = self.entries.get(name).cloned() else {
            return self.read_pickled(name);
        };
        if entry.is_pickled {
            return Err("a pickled one; export plain tensors in its place".into());
        }
        let code = entry.code;
        let dtype = type_name(code);
        let kind = kind(code).ok_or_else(|| {
            format!("one of type {dtype}, expected floats, whole numbers or truth values")
        })?;
        let shape = entry.shape.ok_or("one without extents")?;
        let view = MemoryView {
            dtype: &dtype,
            shape: &shape,
            strides: &entry.strides.ok_or("one without strides")?,
            offset: entry.offset,
        };
        let file = format!("{}data/{}/{}", self.root, entry.folder, entry.file);
        let values = view.numbers(self.tensor_bytes(&file)?)?;
        let made = match kind {
            Kind::Float => floats(&values, &shape, code),
            kind => Datum::host(values, &shape, kind),
        };
        made.map_err(|error| error.to_string())
    }
}

/// Returns the entry of the program, in either layout.
fn program_entry(names: &[String], root: &str) -> Result<String, String> {
    if names.iter().any(|name| name == OLD_PROGRAM) {
        return Ok(OLD_PROGRAM.into());
    }
    let programs = names.iter().filter_map(|name| {
        let name = name.strip_prefix(&format!("{root}models/"))?;
        name.strip_suffix(".json")
    });
    let programs: Vec<&str> = programs.collect();
    let chosen = match programs[..] {
        [one] => one,
        _ if programs.contains(&"model") => "model",
        [] => {
            return Err(
                "an archive without models/model.json, which is of something else or was not saved to its end"
                    .into(),
            );
        }
        _ => return Err(format!("several programs: {}", programs.join(", "))),
    };
    Ok(format!("{root}models/{chosen}.json"))
}

/// Returns the floats in float32, or in float64 where the file has them so.
fn floats(values: &[f64], shape: &[usize], code: i64) -> candle_core::Result<Datum> {
    let device = candle_core::Device::Cpu;
    let tensor = candle_core::Tensor::from_slice(values, shape, &device)?;
    Ok(Datum::float(if code == F64 {
        tensor
    } else {
        tensor.to_dtype(candle_core::DType::F32)?
    }))
}

/// Says what a file is that does not open as a zip archive: one that begins as such has lost its end.
fn unopened(path: &Path, error: &ZipError) -> String {
    let mut front = [0; 4];
    let begin = regular::open(path).and_then(|mut file| file.read_exact(&mut front));
    if begin.is_ok() && front == *b"PK\x03\x04" {
        damaged(error)
    } else {
        "no zip archive".into()
    }
}

/// Says that an archive is not whole.
fn damaged(error: impl Display) -> String {
    format!("an archive that is damaged or was cut, copy or export it again ({error})")
}

/// Reads an entry of at most `most` bytes.
fn bytes(zip: &mut ZipArchive<BufReader<File>>, name: &str, most: u64) -> Result<Vec<u8>, String> {
    let entry = zip
        .by_name(name)
        .map_err(|error| format!("{name}: {error}"))?;
    if entry.size() > most {
        return Err(format!(
            "{name} of {} bytes, expected at most {most}",
            entry.size()
        ));
    }
    let mut bytes = Vec::new();
    let read = entry.take(most).read_to_end(&mut bytes);
    read.map_err(|error| damaged(format_args!("{name}: {error}")))?;
    Ok(bytes)
}

/// Reads an entry in JSON, which may have as many values as are left to its archive.
fn json(zip: &mut ZipArchive<BufReader<File>>, name: &str, left: &mut u64) -> Result<Json, String> {
    let bytes = bytes(zip, name, PROGRAM)?;
    let begins = |byte: &&u8| matches!(byte, b',' | b'[' | b'{');
    let values = bytes.iter().filter(begins).count() as u64;
    let Some(rest) = left.checked_sub(values) else {
        return Err(format!(
            "{name}: {values} values, expected at most {left} in an archive of this size"
        ));
    };
    *left = rest;
    serde_json::from_slice(&bytes).map_err(|error| format!("{name}: {error}"))
}

fn numbers(meta: &Json, key: &str) -> Option<Vec<usize>> {
    let items = meta.get(key)?.as_array()?.iter();
    let number = |item: &Json| usize::try_from(item.get("as_int")?.as_u64()?).ok();
    items.map(number).collect()
}

/// Returns PyTorch's name of a type by its number in the schema.
fn type_name(code: i64) -> String {
    let name = match code {
        1 => "uint8",
        2 => "int8",
        3 => "int16",
        4 => "int32",
        5 => "int64",
        6 => "float16",
        F32 => "float32",
        F64 => "float64",
        9 => "complex32",
        10 => "complex64",
        11 => "complex128",
        12 => "bool",
        13 => "bfloat16",
        28 => "uint16",
        29 => "float8_e4m3fn",
        30 => "float8_e5m2",
        31 => "float8_e4m3fnuz",
        32 => "float8_e5m2fnuz",
        34 => "uint32",
        35 => "uint64",
        _ => return format!("number {code}"),
    };
    name.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    #[test]
    fn a_program_of_more_values_than_its_archive_has_room_for_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut zip = ZipWriter::new(File::create(file.path()).unwrap());
        zip.start_file("list.json", SimpleFileOptions::default())
            .unwrap();
        let list = format!("[{}0]", "[0],".repeat(1 << 20));
        zip.write_all(list.as_bytes()).unwrap();
        zip.finish().unwrap();
        let size = std::fs::metadata(file.path()).unwrap().len();
        let file = BufReader::new(File::open(file.path()).unwrap());
        let mut zip = ZipArchive::new(file).unwrap();
        let mut left = VALUES.0 + VALUES.1 * size;
        let refusal = json(&mut zip, "list.json", &mut left).unwrap_err();
        assert!(
            refusal.starts_with("list.json: 2097153 values, expected at most"),
            "{refusal}"
        );
    }
}
