//! safetensors files: a JSON header, then the tensors' bytes one after another.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::{Dtype as KnownDtype, Metadata, TensorInfo as TensorHeader};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::super::natural_order::natural;
use super::source::Source;
use super::storage::Storage;
use super::stored::Stored;
use super::{Dtype, FormatError};

const FORMAT: &str = "safetensors";
/// Bytes of the header's length.
const LENGTH: u64 = 8;
/// The format's own limit.
pub(super) const LARGEST_HEADER: u64 = 100_000_000;

/// Tensors by name, in natural order, and the file's metadata.
pub(super) type Contents = (Vec<(String, Stored)>, HashMap<String, String>);

/// Reads the header and checks it against the file's size.
pub(super) fn open(path: &Path, source: &Source) -> Result<Contents, FormatError> {
    let header = read_header(path, source)?;
    if header.is_empty() {
        return Err(invalid(path, "its header is empty".into()));
    }
    let (metadata, unknown) = match serde_json::from_slice(&header) {
        Ok(metadata) => (metadata, HashMap::new()),
        Err(error) => newer(&header)
            .map_err(|of_types| invalid(path, of_types.unwrap_or_else(|| error.to_string())))?,
    };
    let data = LENGTH + header.len() as u64;
    let expected = data.saturating_add(metadata.data_len() as u64);
    if expected != source.len() {
        return Err(size_error(path, expected, source.len()));
    }
    let mut tensors = Vec::new();
    for (name, info) in metadata.tensors() {
        let mut stored = stored(source, data, info);
        if let Some((dtype, shape)) = unknown.get(&name) {
            stored.dtype = Dtype::Other(dtype.clone());
            stored.strides = vec![0; shape.len()];
            stored.shape.clone_from(shape);
        }
        tensors.push((name, stored));
    }
    tensors.sort_by(|a, b| natural(&a.0, &b.0));
    Ok((tensors, metadata.metadata().clone().unwrap_or_default()))
}

/// A tensor of any type in a header.
#[derive(Deserialize)]
struct AnyTensor {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// A header whose tensors may be of any type. Nothing else is read, so that it takes no more memory than its text tells.
#[derive(Default)]
struct AnyHeader {
    metadata: Option<HashMap<String, String>>,
    tensors: HashMap<String, AnyTensor>,
}

impl<'de> Deserialize<'de> for AnyHeader {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = AnyHeader;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnyHeader, A::Error> {
        let mut header = AnyHeader::default();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                header.metadata = Some(map.next_value()?);
            } else {
                header.tensors.insert(name, map.next_value()?);
            }
        }
        Ok(header)
    }
}

/// The types and shapes of tensors, by name.
type Unknown = HashMap<String, (String, Vec<usize>)>;

/// Returns a header with types that are not known, whose tensors are taken as bytes: they are not read, the others
/// are. Otherwise what is wrong with it, if that is its types and not something else.
fn newer(header: &[u8]) -> Result<(Metadata, Unknown), Option<String>> {
    let AnyHeader {
        metadata,
        tensors: fields,
    } = serde_json::from_slice(header).map_err(|_| None)?;
    let (mut tensors, mut unknown) = (Vec::new(), Unknown::new());
    for (name, any) in fields {
        let (start, end) = any.data_offsets;
        let known = serde_json::from_value(serde_json::Value::String(any.dtype.clone()));
        let mut info = TensorHeader {
            dtype: known.as_ref().copied().unwrap_or(KnownDtype::U8),
            shape: any.shape,
            data_offsets: any.data_offsets,
        };
        if known.is_err() {
            let shape = std::mem::replace(&mut info.shape, vec![end.saturating_sub(start)]);
            unknown.insert(name.clone(), (any.dtype, shape));
        }
        tensors.push((name, info));
    }
    let first = unknown.values().map(|(dtype, _)| dtype).min().cloned();
    let first = first.ok_or(None)?;
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let checked = Metadata::new(metadata, tensors);
    let checked = checked.map_err(|error| {
        Some(format!(
            "it has tensors of the unknown type {first}, and {error}"
        ))
    })?;
    Ok((checked, unknown))
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
        dtype: Dtype::of_name(&format!("{:?}", info.dtype)),
        size: info.dtype.bitsize().div_ceil(8),
        shape: info.shape.clone(),
        strides,
        offset: 0,
        big_endian: false,
        key: "".into(),
        storage: part
            .map(|part| Arc::new(Storage::Plain(part)))
            .ok_or_else(|| "the file does not reach so far".into()),
        ahead: super::strided::Ahead::default(),
    };
    stored.checked()
}

/// Returns the JSON behind its length; no more is asked for than the file has.
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

#[cfg(test)]
pub(in crate::run) mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use std::fs;

    use super::super::StateDict;
    use super::*;

    /// Writes a file of a header and `data` bytes.
    pub(in crate::run) fn write_header(path: &Path, header: &str, data: usize) {
        let length = (header.len() as u64).to_le_bytes();
        let bytes = [&length, header.as_bytes(), &vec![0; data]].concat();
        fs::write(path, bytes).unwrap();
    }

    /// Writes a file of tensors of two numbers.
    pub(in crate::run) fn write(path: &Path, names: &[&str]) {
        let fields = names.iter().enumerate().map(|(at, name)| {
            let (start, end) = (8 * at, 8 * at + 8);
            format!(r#""{name}":{{"dtype":"F32","shape":[2],"data_offsets":[{start},{end}]}}"#)
        });
        let fields: Vec<String> = fields.collect();
        write_header(path, &format!("{{{}}}", fields.join(",")), 8 * names.len());
    }

    #[test]
    fn tensors_of_a_type_that_is_not_known_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let header = r#"{"__metadata__":{"step":"7"},"a":{"dtype":"F8_NEW","shape":[3,4],"data_offsets":[0,12]},
            "b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]}}"#;
        write_header(&path, header, 20);
        let dict = StateDict::open(&path, None).unwrap();
        assert_eq!(dict.counters().step, Some(7));
        assert_eq!(dict.tensors()[0].dtype, Dtype::Other("F8_NEW".into()));
        assert_eq!(dict.read(1, 0..2).unwrap(), [0.0; 2]);
        let (share, told) = dict.left_out().unwrap();
        assert!(
            share > 0.8 && told.contains("tensors of type f8_new"),
            "{told}"
        );
        write_header(&path, &header.replace("[12,20]", "[16,24]"), 24);
        let error = StateDict::open(&path, None).unwrap_err().to_string();
        assert!(error.contains("the unknown type F8_NEW, and"), "{error}");
        assert!(error.len() < 300, "{error}");
    }
}
