//! Identity of a checkpoint's weights by their bytes, and a copy of them alone.
//!
//! A copy is a safetensors file with the chosen model's tensors in their own types. safetensors keep no
//! order, so that the copy writes it into its metadata: models are recognized by the order of their tensors.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;

use serde_json::{Map, Value, json};

use super::super::natural_order::natural;
use super::state_dict::Chosen;
use super::stored::Stored;
use super::tree::Item;
use super::wrappers::bare;
use super::{Dtype, FormatError, StateDict};

/// Bytes that are read and hashed at once.
const PIECE: usize = 1 << 20;
/// Names of the metadata that has the names of the tensors in their order, and of the one that has further
/// names of tied tensors, each with its place in that order.
const ORDER: &str = "isoloss.order";
const TIED: &str = "isoloss.tied";

/// Identity of a model's weights: equal for equal numbers under equal names, whatever file they lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentId(pub [u8; 32]);

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", blake3::Hash::from_bytes(self.0))
    }
}

impl StateDict {
    /// Reads all weights for their identity: BLAKE3 over names without wrappers, types, shapes and
    /// elements, in natural order of names.
    ///
    /// # Errors
    /// The file can no longer be read, or is not what its header said.
    pub fn content(&self) -> Result<ContentId, FormatError> {
        let mut order = self.weights();
        order.sort_by(|&a, &b| {
            let [a, b] = [a, b].map(|index| bare(&self.tensors[index].name));
            natural(&a, &b).then_with(|| a.cmp(&b))
        });
        let mut hasher = blake3::Hasher::new();
        for index in order {
            let tensor = &self.tensors[index];
            let head = format!(
                "{}\0{}\0{:?}\0",
                bare(&tensor.name),
                tensor.dtype,
                tensor.shape
            );
            hasher.update(head.as_bytes());
            self.pieces(index, |bytes| {
                hasher.update(bytes);
                Ok(())
            })?;
        }
        Ok(ContentId(*hasher.finalize().as_bytes()))
    }

    /// Writes the model's tensors as a safetensors file, a piece at a time.
    ///
    /// # Errors
    /// As [`StateDict::content`], or the writer fails.
    pub fn write_safetensors(&self, out: &mut impl Write) -> Result<(), FormatError> {
        let order = self.weights();
        let mut header = Map::new();
        let mut end = 0u64;
        for &index in &order {
            let (tensor, stored) = (&self.tensors[index], self.stored(index)?);
            let bytes = stored.count().unwrap_or(0) as u64 * stored.size as u64;
            let entry = json!({
                "dtype": safetensors_name(&tensor.dtype),
                "shape": tensor.shape,
                "data_offsets": [end, end + bytes],
            });
            header.insert(tensor.name.clone(), entry);
            end += bytes;
        }
        let names: Vec<&str> = order
            .iter()
            .map(|&i| self.tensors[i].name.as_str())
            .collect();
        let mut metadata = Map::new();
        metadata.insert(ORDER.into(), Value::String(json!(names).to_string()));
        let place = |index: &usize| order.iter().position(|kept| kept == index);
        let tied = self.tied.iter();
        let tied: Vec<_> = tied
            .filter_map(|(index, name)| Some((place(index)?, name)))
            .collect();
        if !tied.is_empty() {
            metadata.insert(TIED.into(), Value::String(json!(tied).to_string()));
        }
        let counters = self.counters();
        let counts = [("step", counters.step), ("epoch", counters.epoch)];
        for (name, count) in counts {
            metadata.extend(count.map(|count| (name.to_owned(), Value::String(count.to_string()))));
        }
        header.insert("__metadata__".into(), Value::Object(metadata));
        let mut header = serde_json::to_vec(&header).unwrap_or_default();
        // Tensors begin at a multiple of eight, as other writers have it.
        header.resize(header.len().next_multiple_of(8), b' ');
        let io_error = |source| FormatError::Io {
            path: self.path.clone(),
            source,
        };
        let length = (header.len() as u64).to_le_bytes();
        out.write_all(&length).map_err(io_error)?;
        out.write_all(&header).map_err(io_error)?;
        for index in order {
            self.pieces(index, |bytes| out.write_all(bytes))?;
        }
        Ok(())
    }

    /// Returns true for a safetensors file that holds the model and nothing else: it is its own copy.
    #[must_use]
    pub fn is_nothing_else(&self) -> bool {
        let [file] = &self.files[..] else {
            return false;
        };
        file.is_safetensors && self.tied.is_empty() && file.tensors.len() == self.weights().len()
    }

    /// Returns the indices of the tensors whose types are read.
    fn weights(&self) -> Vec<usize> {
        let readable = |index: &usize| !self.tensors[*index].dtype.is_other();
        (0..self.tensors.len()).filter(readable).collect()
    }

    fn stored(&self, index: usize) -> Result<&Stored, FormatError> {
        let place = self.places.get(index);
        place
            .and_then(|place| self.files.get(place.file)?.tensors.get(place.tensor))
            .ok_or_else(|| FormatError::NoTensors(self.path.clone()))
    }

    /// Hands the little-endian elements of a tensor on, a piece at a time.
    fn pieces(
        &self,
        index: usize,
        mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), FormatError> {
        let stored = self.stored(index)?;
        let problem = |reason: String| FormatError::Tensor {
            path: self.path.clone(),
            tensor: self.tensors[index].name.clone(),
            reason,
        };
        let (count, size) = (stored.count().unwrap_or(0), stored.size.max(1));
        let mut bytes = vec![0; PIECE.min(count.saturating_mul(size))];
        let mut start = 0;
        while start < count {
            let elements = (PIECE / size).min(count - start);
            let piece = &mut bytes[..elements * size];
            let read = stored.raw(start, piece);
            // A file that changed during the reading is reported as such.
            self.unchanged(index)?;
            read.map_err(problem)?;
            take(piece).map_err(|source| FormatError::Io {
                path: self.path.clone(),
                source,
            })?;
            start += elements;
        }
        Ok(())
    }
}

/// Returns the tensors of a copy that this program wrote, in the order that it wrote down; `None` for any other file.
pub(super) fn copied(root: &Item, metadata: &HashMap<String, String>) -> Option<Chosen> {
    let order: Vec<String> = serde_json::from_str(metadata.get(ORDER)?).ok()?;
    let Item::Dict(_, fields) = root else {
        return None;
    };
    let by_name: HashMap<&str, usize> = fields
        .iter()
        .filter_map(|(name, item)| match item {
            Item::Tensor(index) => Some((&**name, *index)),
            _ => None,
        })
        .collect();
    let tensors = order.into_iter().map(|name| {
        let index = *by_name.get(name.as_str())?;
        Some((index, name))
    });
    let tensors: Vec<(usize, String)> = tensors.collect::<Option<_>>()?;
    let tied = metadata.get(TIED).map_or("[]", String::as_str);
    let mut tied: Vec<(usize, String)> = serde_json::from_str(tied).ok()?;
    tied.retain(|(place, _)| *place < tensors.len());
    (tensors.len() == fields.len()).then_some(Chosen {
        key: None,
        tensors,
        others: Vec::new(),
        tied,
    })
}

/// Returns the type's name in safetensors; types that are not read have their own.
fn safetensors_name(dtype: &Dtype) -> &str {
    match dtype {
        Dtype::F64 => "F64",
        Dtype::F32 => "F32",
        Dtype::F16 => "F16",
        Dtype::Bf16 => "BF16",
        Dtype::F8E4M3 => "F8_E4M3",
        Dtype::F8E5M2 => "F8_E5M2",
        Dtype::F8E4M3Fnuz => "F8_E4M3FNUZ",
        Dtype::F8E5M2Fnuz => "F8_E5M2FNUZ",
        Dtype::Other(name) => name,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use std::path::Path;

    fn fixture(name: &str) -> StateDict {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torch");
        StateDict::open(&folder.join(name), None).unwrap()
    }

    #[test]
    fn a_copy_has_the_same_tensors_in_the_same_order_and_the_same_identity() {
        for name in ["plain.pt", "lightning=9.ckpt", "half.pt", "strided.pt"] {
            let original = fixture(name);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("copy.safetensors");
            let mut bytes = Vec::new();
            original.write_safetensors(&mut bytes).unwrap();
            std::fs::write(&path, bytes).unwrap();
            let copy = StateDict::open(&path, None).unwrap();
            let weights: Vec<_> = original
                .weights()
                .into_iter()
                .map(|index| original.tensors[index].clone())
                .collect();
            assert_eq!(copy.tensors(), weights, "{name}");
            assert_eq!(copy.content().unwrap(), original.content().unwrap());
            assert_eq!(copy.counters(), original.counters());
            for (at, index) in original.weights().into_iter().enumerate() {
                let count = original.stored(index).unwrap().count().unwrap();
                assert_eq!(
                    copy.read(at, 0..count).unwrap(),
                    original.read(index, 0..count).unwrap()
                );
            }
        }
    }

    #[test]
    fn other_weights_have_another_identity() {
        let [plain, half, double] =
            ["plain.pt", "half.pt", "double.pt"].map(|name| fixture(name).content().unwrap());
        assert!(plain != half && half != double && plain != double);
        assert_eq!(plain.to_string().len(), 64);
    }
}
