//! All tensors of a file that `torch.save` wrote, by name and of any type: for files that are no checkpoints.

use std::fs::File;
use std::sync::Arc;

use super::source::Source;
use super::stored::Stored;
pub(crate) use super::stored::is_expanded;
use super::torch;
use super::tree::Item;

/// Bytes of the largest tensor that is read at once.
const LARGEST: u64 = 8 << 30;

/// The tensors of a file's dict.
#[derive(Debug)]
pub struct NamedTensors {
    tensors: Vec<(Arc<str>, Stored)>,
}

impl NamedTensors {
    /// Reads the names of a part of a file.
    ///
    /// # Errors
    /// A sentence says what is wrong.
    pub fn of_part(file: Arc<File>, start: u64, len: u64) -> Result<Self, String> {
        Self::of(&Source::File { file, start, len })
    }

    /// Reads the names of a file that lies in memory.
    ///
    /// # Errors
    /// As [`NamedTensors::of_part`].
    pub fn of_bytes(bytes: Vec<u8>) -> Result<Self, String> {
        Self::of(&Source::Memory(bytes.into()))
    }

    fn of(source: &Source) -> Result<Self, String> {
        let contents = torch::contents(source)?;
        let Item::Dict(_, fields) = contents.root else {
            return Err("no dict of tensors".into());
        };
        let named = fields.into_iter().filter_map(|(name, item)| match item {
            Item::Tensor(at) => Some((name, contents.tensors.get(at)?.clone())),
            _ => None,
        });
        Ok(Self {
            tensors: named.collect(),
        })
    }

    fn find(&self, name: &str) -> Option<&Stored> {
        let mut tensors = self.tensors.iter();
        tensors
            .find(|(known, _)| &**known == name)
            .map(|(_, stored)| stored)
    }

    /// Returns the extents of a tensor; `None` if it is not there.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.find(name).map(|stored| stored.shape.as_slice())
    }

    /// Returns the other names of a tensor.
    #[must_use]
    pub fn ties(&self, name: &str) -> Vec<&str> {
        let Some(own) = self.find(name) else {
            return Vec::new();
        };
        let others = self.tensors.iter();
        let others = others.filter(|(other, stored)| &**other != name && stored.is_tied_to(own));
        others.map(|(other, _)| &**other).collect()
    }

    /// Returns the numbers of a tensor, row by row, with the name of their type, e.g. `f32` or `bool`.
    ///
    /// # Errors
    /// It is not there, damaged or too large, or of a type that is not known.
    pub fn numbers(&self, name: &str) -> Result<(Vec<f64>, String), String> {
        let stored = self.find(name).ok_or("none")?;
        let kind = stored.dtype.to_string();
        let count = stored.count().ok_or("one of a shape too large")?;
        if (count as u64).saturating_mul(8) > LARGEST {
            return Err(format!("one of {count} numbers"));
        }
        // Memory is taken for what the file holds.
        stored.storage.as_ref().map_err(Clone::clone)?;
        if stored.is_expanded() {
            return Err(format!(
                "one of {count} numbers that a few were expanded to"
            ));
        }
        if !stored.dtype.is_other() {
            let mut numbers = vec![0.0f32; count];
            stored.read(0, &mut numbers)?;
            return Ok((numbers.into_iter().map(f64::from).collect(), kind));
        }
        let mut bytes = vec![0; count.saturating_mul(stored.size)];
        stored.raw(0, &mut bytes)?;
        let numbers = bytes.chunks_exact(stored.size.max(1));
        let numbers: Option<Vec<f64>> = numbers.map(|bytes| whole(&kind, bytes)).collect();
        match numbers {
            Some(numbers) => Ok((numbers, kind)),
            None => Err(format!(
                "one of type {kind}, expected floats, whole numbers or truth values"
            )),
        }
    }
}

/// Returns the number of some little-endian bytes; `None` if the type is not known.
fn whole(kind: &str, bytes: &[u8]) -> Option<f64> {
    Some(match (kind, bytes) {
        ("bool" | "u8", &[byte]) => f64::from(byte),
        ("i8", &[byte]) => f64::from(byte.cast_signed()),
        ("i16", bytes) => f64::from(i16::from_le_bytes(bytes.try_into().ok()?)),
        ("i32", bytes) => f64::from(i32::from_le_bytes(bytes.try_into().ok()?)),
        ("i64", bytes) => i64::from_le_bytes(bytes.try_into().ok()?) as f64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Dtype;
    use super::super::storage::Storage;
    use super::super::strided::Ahead;
    use super::*;

    #[test]
    fn memory_is_taken_for_what_the_file_holds() {
        let numbers = |extent: usize, stride: usize| {
            let bytes = Source::Memory(vec![0; 400].into());
            let stored = Stored {
                dtype: Dtype::F32,
                size: 4,
                shape: vec![extent],
                strides: vec![stride],
                offset: 0,
                big_endian: false,
                key: "0".into(),
                storage: Ok(Arc::new(Storage::Plain(bytes))),
                ahead: Ahead::default(),
            };
            let tensors = vec![("x".into(), stored.checked())];
            let numbers = NamedTensors { tensors }.numbers("x");
            numbers.map(|(numbers, _)| numbers.len())
        };
        assert_eq!(numbers(100, 1), Ok(100));
        assert_eq!(numbers(1000, 0), Ok(1000));
        assert!(numbers(1 << 28, 1).is_err_and(|error| error.contains("has 400 bytes")));
        assert!(numbers(1 << 28, 0).is_err_and(|error| error.contains("a few were expanded")));
    }
}
