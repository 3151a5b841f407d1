//! A file's kind by its first bytes, and by its directory where it is an archive.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::archive::Archive;
use super::source::Source;
use crate::run::regular;

/// Kind of a file's contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// safetensors.
    Safetensors,
    /// `torch.save` since 1.6.
    TorchZip,
    /// `torch.save` before, and with `_use_new_zipfile_serialization=False`.
    TorchLegacy,
    /// stable-baselines3's archive.
    StableBaselines,
    /// A pickle of Python.
    Pickle,
    /// A program of TorchScript.
    TorchScript,
    /// A program of torch.export.
    TorchProgram,
    /// A tape archive, as torch 0.1 wrote.
    Tar,
    /// ONNX.
    Onnx,
    /// HDF5, as Keras writes.
    Hdf5,
    /// Keras's archive.
    Keras,
    /// Arrays of numpy.
    Numpy,
    /// A pointer of Git LFS.
    LfsPointer,
    /// A web page.
    WebPage,
    /// Nothing.
    Empty,
    /// Compressed by gzip.
    Gzip,
    /// GGUF.
    Gguf,
    /// A checkpoint of TensorFlow.
    TensorFlow,
    /// None of these.
    Unknown,
}

impl Content {
    /// True for what can hold weights that are read.
    #[must_use]
    pub fn is_readable(self) -> bool {
        use Content::{Pickle, Safetensors, StableBaselines, TorchLegacy, TorchZip};
        matches!(
            self,
            Safetensors | TorchZip | TorchLegacy | StableBaselines | Pickle
        )
    }

    /// The thing's name and its remedy, for kinds that are never read.
    pub(super) fn refusal(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::TorchScript => (
                "a TorchScript program",
                "save torch.jit.load(...).state_dict() with torch.save",
            ),
            Self::TorchProgram => (
                "an exported program (torch.export, .pt2)",
                "save the state_dict of the model that was exported",
            ),
            Self::Tar => (
                "a tape archive",
                "load it with torch and save it again with torch.save",
            ),
            Self::Onnx => (
                "an ONNX model",
                "save the state_dict that it was exported from",
            ),
            Self::Hdf5 => (
                "an HDF5 file, as Keras writes",
                "save the arrays with safetensors.numpy.save_file",
            ),
            Self::Keras => (
                "a Keras archive",
                "save its arrays with safetensors.numpy.save_file",
            ),
            Self::Numpy => (
                "arrays of numpy",
                "save them with safetensors.numpy.save_file",
            ),
            Self::LfsPointer => (
                "a Git LFS pointer, not the file itself",
                "run git lfs pull in its folder",
            ),
            Self::WebPage => ("a web page (HTML)", "download the file itself"),
            Self::Empty => ("empty, 0 bytes", "save or copy it again"),
            Self::Gzip => ("compressed by gzip", "unpack it with gunzip"),
            Self::Gguf => ("a GGUF file", "take the checkpoint that it was made from"),
            Self::TensorFlow => (
                "a TensorFlow checkpoint",
                "save its variables with safetensors.numpy.save_file",
            ),
            _ => return None,
        })
    }
}

/// Looks at a few hundred bytes of a regular file; the directory of an archive as well.
///
/// # Errors
/// The file cannot be read, or is no regular one.
pub fn sniff(path: &Path) -> io::Result<Content> {
    let file = regular::open(path)?;
    let len = file.metadata()?.len();
    let source = Source::File {
        file: Arc::new(file),
        start: 0,
        len,
    };
    content(&source)
}

/// Likewise, of an open file.
pub(super) fn content(source: &Source) -> io::Result<Content> {
    let len = source.len();
    let front = source.bytes(0, len.min(512))?;
    let text = front.trim_ascii_start().to_ascii_lowercase();
    if len == 0 {
        return Ok(Content::Empty);
    }
    Ok(match front.as_slice() {
        // First of all: the low bytes of a header's length may be those of any other format.
        _ if is_safetensors(&front, len) => Content::Safetensors,
        [b'P', b'K', 3, 4, ..] => archive(source),
        [b'G', b'G', b'U', b'F', ..] => Content::Gguf,
        [0x1f, 0x8b, ..] => Content::Gzip,
        [0x89, b'H', b'D', b'F', ..] => Content::Hdf5,
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Content::Numpy,
        [0x80, 1..=5, 0x8a, 10, 0x6c, 0xfc, ..] => Content::TorchLegacy,
        [0x80, 0..=5, ..] => Content::Pickle,
        _ if front.starts_with(b"version https://git-lfs") => Content::LfsPointer,
        _ if text.starts_with(b"<!doctype") || text.starts_with(b"<html") => Content::WebPage,
        _ if front.get(257..262) == Some(b"ustar") => Content::Tar,
        // Version, then one of the fields of a model.
        [
            8,
            1..=20,
            0x12 | 0x1a | 0x22 | 0x2a | 0x32 | 0x3a | 0x42,
            ..,
        ] => Content::Onnx,
        [b'(', b'd' | b'l' | b'i', ..]
        | [b'c', b'c', b'o', b'l', ..]
        | [b'}' | b']', b'q' | b'(', ..] => Content::Pickle,
        _ if is_table(source) => Content::TensorFlow,
        _ => Content::Unknown,
    })
}

fn is_safetensors(front: &[u8], len: u64) -> bool {
    let length = front
        .first_chunk::<8>()
        .map(|length| u64::from_le_bytes(*length));
    front.get(8) == Some(&b'{') && length.is_some_and(|length| length < len)
}

fn archive(source: &Source) -> Content {
    let Ok(archive) = Archive::open(source) else {
        // Cut, or still being written.
        return Content::TorchZip;
    };
    let has = |name: &str| archive.ending(name).is_some();
    if has("serialized_exported_program.json") || has("models/model.json") {
        Content::TorchProgram
    } else if has("constants.pkl") {
        Content::TorchScript
    } else if has("data.pkl") {
        Content::TorchZip
    } else if has("policy.pth") {
        Content::StableBaselines
    } else if has("model.weights.h5") {
        Content::Keras
    } else if archive
        .names()
        .all(|name| Path::new(name).extension().is_some_and(|e| e == "npy"))
    {
        Content::Numpy
    } else {
        Content::Unknown
    }
}

/// The mark at the end of TensorFlow's index files.
fn is_table(source: &Source) -> bool {
    let at = source.len().saturating_sub(8);
    source
        .bytes(at, source.len() - at)
        .is_ok_and(|end| end == 0xdb47_7524_8b80_fb57u64.to_le_bytes())
}
