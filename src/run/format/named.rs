//! All tensors of a file that `torch.save` wrote, by name and of any type: for files that are no checkpoints.

use std::fs::File;
use std::sync::Arc;

use super::Dtype;
use super::pickle::{self, Value};
use super::source::Source;
use super::storage::Storage;
use super::stored::Stored;
use super::strided::Ahead;
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
        Ok((numbers(stored)?, stored.dtype.to_string()))
    }
}

/// A view of elements that lie in memory, as PyTorch describes it.
#[derive(Clone, Copy, Debug)]
pub struct MemoryView<'a> {
    /// The type as PyTorch calls it, e.g. `float32`.
    pub dtype: &'a str,
    /// Extents, outermost first.
    pub shape: &'a [usize],
    /// Elements from one to the next, for each extent.
    pub strides: &'a [usize],
    /// First element.
    pub offset: usize,
}

impl MemoryView<'_> {
    /// Returns the numbers of the view, row by row.
    ///
    /// # Errors
    /// The bytes are too few, the view has many times as many numbers, or its type is not known.
    pub fn numbers(&self, bytes: Vec<u8>) -> Result<Vec<f64>, String> {
        let element = pickle::element(self.dtype).ok_or_else(|| unreadable(self.dtype))?;
        if self.strides.len() != self.shape.len() {
            return Err(format!(
                "one of {} extents and {} strides",
                self.shape.len(),
                self.strides.len()
            ));
        }
        let stored = Stored {
            dtype: Dtype::of_name(&element.name),
            size: element.size,
            shape: self.shape.to_vec(),
            strides: self.strides.to_vec(),
            offset: self.offset as u64,
            big_endian: false,
            key: "".into(),
            storage: Ok(Arc::new(Storage::Plain(Source::Memory(bytes.into())))),
            ahead: Ahead::default(),
        };
        numbers(&stored.checked())
    }
}

/// Returns the numbers of a tensor, row by row.
fn numbers(stored: &Stored) -> Result<Vec<f64>, String> {
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
    if !stored.dtype.is_other() && stored.dtype != Dtype::F64 {
        let mut numbers = vec![0.0f32; count];
        stored.read(0, &mut numbers)?;
        return Ok(numbers.into_iter().map(f64::from).collect());
    }
    let mut bytes = vec![0; count.saturating_mul(stored.size)];
    stored.raw(0, &mut bytes)?;
    let name = match &stored.dtype {
        Dtype::Other(name) => name,
        _ => "F64",
    };
    let numbers = bytes.chunks_exact(stored.size.max(1));
    let number = |bytes: &[u8]| match pickle::number(name, bytes)? {
        Value::Int(number) => Some(number as f64),
        Value::Float(number) => Some(number),
        Value::Bool(is_true) => Some(f64::from(u8::from(is_true))),
        _ => None,
    };
    let numbers: Option<Vec<f64>> = numbers.map(number).collect();
    numbers.ok_or_else(|| unreadable(&stored.dtype.to_string()))
}

fn unreadable(dtype: &str) -> String {
    format!("one of type {dtype}, expected floats, whole numbers or truth values")
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

    #[test]
    fn a_view_in_memory_is_what_its_indices_say() {
        let count = |shape: &[usize], strides: &[usize], bytes| {
            let view = MemoryView {
                dtype: "uint8",
                shape,
                strides,
                offset: 0,
            };
            view.numbers(vec![1; bytes]).map(|numbers| numbers.len())
        };
        assert_eq!(count(&[2, 3], &[3, 1], 6), Ok(6));
        assert!(count(&[2, 3], &[3, 1], 5).is_err());
        assert_eq!(count(&[1 << 20], &[0], 1), Ok(1 << 20));
        assert!(count(&[1 << 14, 1 << 14], &[0, 0], 1).is_err());
        assert!(count(&[1 << 40, 1 << 40], &[1, 1], 9).is_err());
        assert!(count(&[2, 2], &[usize::MAX, 1], 9).is_err());
        assert!(count(&[2], &[1, 1], 9).is_err());
        assert_eq!(count(&[1 << 40, 0], &[0, 0], 0), Ok(0));
        let of = |dtype: &str, shape: &[usize], strides: &[usize], offset, bytes: &[u8]| {
            let view = MemoryView {
                dtype,
                shape,
                strides,
                offset,
            };
            view.numbers(bytes.to_vec())
        };
        let bytes = [0, 1, 2, 3, 4, 5, 6, 255];
        let square = of("int8", &[2, 2], &[1, 2], 3, &bytes);
        assert_eq!(square, Ok(vec![3.0, 5.0, 4.0, 6.0]));
        assert_eq!(of("int8", &[], &[], 7, &bytes), Ok(vec![-1.0]));
        // Doubles stay as they are.
        let third = (1.0f64 / 3.0).to_le_bytes();
        assert_eq!(of("float64", &[1], &[1], 0, &third), Ok(vec![1.0 / 3.0]));
        assert_eq!(of("bool", &[2], &[1], 0, &[0, 1]), Ok(vec![0.0, 1.0]));
        let complex = of("complex64", &[1], &[1], 0, &bytes);
        assert!(complex.is_err_and(|error| error.contains("one of type complex64")));
    }
}
