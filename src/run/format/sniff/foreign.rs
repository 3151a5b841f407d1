//! Files in run folders that are no checkpoints which are read: names, by first bytes, and remedies.

use std::path::Path;

use super::super::source::Source;

/// Something that is never read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Thing {
    /// Its name, with an article.
    pub name: &'static str,
    /// The way to a checkpoint that is read.
    pub remedy: &'static str,
    /// True where a model may be in it.
    pub may_hold_model: bool,
}

const fn model(name: &'static str, remedy: &'static str) -> Thing {
    Thing {
        name,
        remedy,
        may_hold_model: true,
    }
}

const fn other(name: &'static str, remedy: &'static str) -> Thing {
    Thing {
        name,
        remedy,
        may_hold_model: false,
    }
}

const ARRAYS: &str = "save its arrays with safetensors.numpy.save_file";
const STATE_DICT: &str = "save the state_dict of the model with torch.save";
const SOURCE: &str = "take the checkpoint that it was made from";
const DOWNLOAD: &str = "download the file itself";

pub(super) const EMPTY: Thing = other("empty, 0 bytes", "save or copy it again");
pub(super) const TEXT: Thing = other("plain text", DOWNLOAD);
pub(super) const UNKNOWN: Thing = other("bytes of no known format", STATE_DICT);
const ZEROS: Thing = other(
    "nothing but zeros",
    "it is still being written, or was cut: save or copy it again",
);
const TENSOR_FLOW: Thing = model(
    "a TensorFlow checkpoint",
    "save its variables with safetensors.numpy.save_file",
);
const NUMPY: Thing = model(
    "arrays of numpy",
    "save them with safetensors.numpy.save_file",
);
const GGML: Thing = model("a GGML file", SOURCE);
const PICTURE: Thing = other("a picture", "give the checkpoint");
const PACKED: Thing = model(
    "a zip archive with a checkpoint inside",
    "unpack it, and give the checkpoint",
);

/// First bytes, and what they tell.
const BEGINNINGS: [(&[u8], Thing); 41] = [
    (b"GGUF", model("a GGUF file", SOURCE)),
    (b"lmgg", GGML),
    (b"fmgg", GGML),
    (b"tjgg", GGML),
    (b"algg", GGML),
    (
        b"\x1f\x8b",
        model("compressed by gzip", "unpack it with gunzip"),
    ),
    (
        b"BZh",
        model("compressed by bzip2", "unpack it with bunzip2"),
    ),
    (
        b"\xfd7zXZ\0",
        model("compressed by xz", "unpack it with unxz"),
    ),
    (
        b"\x5d\0\0",
        model(
            "compressed by LZMA",
            "unpack it with unlzma, or load it with joblib and save it with torch.save",
        ),
    ),
    (
        b"\x28\xb5\x2f\xfd",
        model("compressed by Zstandard", "unpack it with unzstd"),
    ),
    (
        b"\x04\x22\x4d\x18",
        model("compressed by LZ4", "unpack it with unlz4"),
    ),
    (b"x\x01", ZLIB),
    (b"x\x5e", ZLIB),
    (b"x\x9c", ZLIB),
    (b"x\xda", ZLIB),
    (b"7z\xbc\xaf\x27\x1c", model("a 7z archive", "unpack it")),
    (b"Rar!\x1a\x07", model("a RAR archive", "unpack it")),
    (
        b"PK\x05\x06",
        other("an empty zip archive", "save or copy it again"),
    ),
    (
        b"\x89HDF",
        model(
            "an HDF5 file, as Keras writes",
            "save the arrays with safetensors.numpy.save_file",
        ),
    ),
    (b"\x93NUMPY", NUMPY),
    (
        b"\x0c\xdb\x3a\x2a",
        model(
            "a part of an Orbax checkpoint (OCDBT)",
            "restore it with Orbax and save its arrays with safetensors.numpy.save_file",
        ),
    ),
    (
        b"\x12\x01\0\0\0\0\0\0",
        model("parameters of MXNet", ARRAYS),
    ),
    (
        b"version https://git-lfs",
        model(
            "a Git LFS pointer, not the file itself",
            "run git lfs pull in its folder",
        ),
    ),
    (
        b"\x08\x01\x12",
        model(
            "a TensorFlow SavedModel",
            "save its variables with safetensors.numpy.save_file",
        ),
    ),
    (b"MATLAB 5.0", model("a MATLAB file", ARRAYS)),
    (b"%PDF", other("a PDF document", "give the checkpoint")),
    (b"\x89PNG", PICTURE),
    (b"\xff\xd8\xff", PICTURE),
    (b"GIF8", PICTURE),
    (b"II*\0", PICTURE),
    (b"MM\0*", PICTURE),
    (b"\x7fELF", other("a program", "give the checkpoint")),
    (b"MZ", other("a program", "give the checkpoint")),
    (b"PAR1", other("a Parquet table", "give the checkpoint")),
    (b"ARROW1", other("an Arrow table", "give the checkpoint")),
    (
        b"SQLite format 3",
        other("an SQLite database", "give the checkpoint"),
    ),
    (b"<!doctype", WEB_PAGE),
    (b"<html", WEB_PAGE),
    (
        b"<?xml",
        other("an XML text, such as a server's error message", DOWNLOAD),
    ),
    (b"{", JSON),
    (b"[", JSON),
];
const ZLIB: Thing = model(
    "compressed by zlib, as joblib writes",
    "load it with joblib and save it with torch.save",
);
const WEB_PAGE: Thing = other("a web page (HTML)", DOWNLOAD);
const JSON: Thing = other("a JSON text", DOWNLOAD);

/// Returns the thing that begins so; texts are looked at behind marks, blanks and comments.
pub(super) fn by_bytes(front: &[u8]) -> Option<Thing> {
    let text = behind_comments(front);
    let is_told = |(begin, _): &&(&[u8], Thing)| {
        let at_text = text
            .get(..begin.len())
            .is_some_and(|text| text.eq_ignore_ascii_case(begin));
        let of_text = matches!(begin, [b'<' | b'{' | b'[', ..]);
        if of_text {
            at_text && is_text(front)
        } else {
            front.starts_with(begin)
        }
    };
    let found = BEGINNINGS.iter().find(is_told).map(|(_, thing)| *thing);
    found.or_else(|| by_fields(front)).or_else(|| {
        let zeros = front.len() > 8 && front.iter().all(|byte| *byte == 0);
        let markup = text.starts_with(b"<") && is_text(front);
        match (zeros, markup) {
            (true, _) => Some(ZEROS),
            (_, true) => Some(WEB_PAGE),
            _ => None,
        }
    })
}

/// Finds formats whose mark stands behind other fields.
fn by_fields(front: &[u8]) -> Option<Thing> {
    if front.get(4..8) == Some(b"TFL3") {
        return Some(model("a TensorFlow Lite model", SOURCE));
    }
    if front.get(257..262) == Some(b"ustar") {
        return Some(model(
            "a tape archive",
            "load it with torch and save it again with torch.save",
        ));
    }
    match front {
        // Version, then one of the fields of a model.
        [
            8,
            1..=20,
            0x12 | 0x1a | 0x22 | 0x2a | 0x32 | 0x3a | 0x42,
            ..,
        ] => Some(model(
            "an ONNX model",
            "save the state_dict that it was exported from",
        )),
        // A map of few fields whose first key is a short text, or one of many.
        [0x81..=0x8f, 0xa1..=0xbf, b' '..=b'~', ..]
        | [0xde, _, _, 0xa1..=0xbf, b' '..=b'~', ..] => Some(model(
            "a MessagePack file, as Flax writes",
            "restore it with flax.serialization and save its arrays with safetensors.numpy.save_file",
        )),
        _ => None,
    }
}

/// Returns the front without a byte-order mark, blanks and comments of markup.
fn behind_comments(front: &[u8]) -> &[u8] {
    let mut text = front.strip_prefix(b"\xef\xbb\xbf").unwrap_or(front);
    loop {
        text = text.trim_ascii_start();
        let Some(comment) = text.strip_prefix(b"<!--") else {
            return text;
        };
        match comment.windows(3).position(|window| window == b"-->") {
            Some(end) => text = &comment[end + 3..],
            None => return text,
        }
    }
}

/// Returns true for UTF-8 without control characters; the last letter may be cut.
pub(super) fn is_text(front: &[u8]) -> bool {
    let text = match std::str::from_utf8(front) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            let whole = front.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(whole).unwrap_or_default()
        }
        Err(_) => return false,
    };
    let is_control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\x0c');
    !text.is_empty() && !text.chars().any(is_control)
}

/// Returns the pickles that hold arrays beside their instructions.
pub(super) fn of_pickle(front: &[u8]) -> Option<Thing> {
    let word = b"joblib.numpy_pickle";
    let is_joblib = front.windows(word.len()).any(|window| window == word);
    is_joblib.then_some(model(
        "a joblib file",
        "load it with joblib and save it with torch.save",
    ))
}

/// Returns the mark at the end of TensorFlow's index files.
pub(super) fn by_end(source: &Source) -> Option<Thing> {
    let at = source.len().saturating_sub(8);
    let end = source.bytes(at, source.len() - at).ok()?;
    (end == 0xdb47_7524_8b80_fb57u64.to_le_bytes()).then_some(TENSOR_FLOW)
}

/// Returns the archives that torch and stable-baselines3 did not write for weights.
pub(super) fn of_archive<'a, Names: Iterator<Item = &'a str>>(
    names: impl Fn() -> Names,
    is_torch: bool,
) -> Option<Thing> {
    let has = |end: &str| {
        names().any(|name| {
            let front = name.strip_suffix(end);
            front.is_some_and(|front| front.is_empty() || front.ends_with('/'))
        })
    };
    let ends = |endings: &[&str], name: &str| {
        let ending = Path::new(name).extension().and_then(|end| end.to_str());
        ending.is_some_and(|ending| endings.contains(&ending))
    };
    if has("serialized_exported_program.json") || has("models/model.json") {
        return Some(model(
            "an exported program (torch.export, .pt2)",
            "save the state_dict of the model that was exported",
        ));
    }
    if has("constants.pkl") {
        return Some(model(
            "a TorchScript program",
            "save torch.jit.load(...).state_dict() with torch.save",
        ));
    }
    if is_torch || has("policy.pth") {
        return None;
    }
    if has("model.weights.h5") {
        return Some(model("a Keras archive", ARRAYS));
    }
    if names().all(|name| ends(&["npy"], name)) {
        return Some(NUMPY);
    }
    let checkpoints = [
        "pt",
        "pth",
        "bin",
        "ckpt",
        "safetensors",
        "pkl",
        "tar",
        "h5",
        "npz",
    ];
    Some(if names().any(|name| ends(&checkpoints, name)) {
        PACKED
    } else {
        other("a zip archive of other files", "give the checkpoint")
    })
}
