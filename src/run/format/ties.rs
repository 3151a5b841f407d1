//! Tensors that are one tensor under several names, as an embedding and the head that is tied to it.

use std::collections::HashMap;
use std::sync::Arc;

use super::stored::Stored;

/// Bytes of a piece that is compared, and the number of pieces: two trained tensors that are not tied differ
/// in nearly every number, so that whole ones need not be read each time that a checkpoint is opened.
const PIECE: usize = 4 << 10;
const PIECES: usize = 64;
/// Pairs of matrices of one shape that are compared at most; a model has a handful of embeddings.
const MOST_PAIRS: usize = 1 << 16;

/// A tensor of a state dict, with the number of its file.
#[derive(Clone, Copy)]
pub(super) struct FileTensor<'a> {
    pub(super) name: &'a str,
    pub(super) file: usize,
    pub(super) stored: &'a Stored,
}

/// The tensors of a state dict that were met, to find those that are met again.
#[derive(Default)]
pub(super) struct Ties<'a> {
    met: Vec<FileTensor<'a>>,
    by_place: HashMap<(usize, Arc<str>, u64), Vec<usize>>,
    matrices: HashMap<&'a [usize], Matrices>,
    /// Pairs of matrices that were compared.
    compared: usize,
}

/// Matrices of one shape, by their places among those that were met.
#[derive(Default)]
struct Matrices {
    embeddings: Vec<usize>,
    others: Vec<usize>,
}

impl<'a> Ties<'a> {
    /// Returns the index of the earlier tensor that this one is: one place of one storage, or equal bytes
    /// where one of both is an embedding by its name. safetensors have no shared storages, and gathered
    /// weights lose theirs.
    pub(super) fn meet(&mut self, tensor: FileTensor<'a>) -> Option<usize> {
        let FileTensor { file, stored, .. } = tensor;
        // Tensors of safetensors have no storages to share.
        if !stored.key.is_empty() {
            let place = (file, Arc::clone(&stored.key), stored.offset);
            let same = self.by_place.entry(place).or_default();
            let mut candidates = same.iter();
            if let Some(twin) = candidates.find(|at| self.met[**at].stored.is_tied_to(stored)) {
                return Some(*twin);
            }
            same.push(self.met.len());
        }
        if stored.shape.len() == 2 {
            let alike = self.matrices.entry(&stored.shape).or_default();
            let is_own = is_embedding(tensor.name);
            let others = alike.others.iter().filter(|_| is_own);
            let mut pairs = alike.embeddings.iter().chain(others);
            let left = MOST_PAIRS.saturating_sub(self.compared);
            let mut compared = 0;
            let twin = pairs.by_ref().take(left).find(|at| {
                compared += 1;
                is_equal(stored, self.met[**at].stored)
            });
            self.compared += compared;
            if let Some(twin) = twin {
                return Some(*twin);
            }
            let list = if is_own {
                &mut alike.embeddings
            } else {
                &mut alike.others
            };
            list.push(self.met.len());
        }
        self.met.push(tensor);
        None
    }
}

fn is_embedding(name: &str) -> bool {
    let mut parts = name.split('.').rev().skip(1);
    parts.any(|part| part.contains("emb") || part == "wte" || part == "shared")
}

/// Returns true for tensors of the same type and bytes, as far as they are compared.
fn is_equal(a: &Stored, b: &Stored) -> bool {
    let is_cheap = |stored: &Stored| {
        let storage = stored.storage.as_ref();
        storage.is_ok_and(|storage| !storage.is_packed())
    };
    let comparable = (&a.dtype, a.size) == (&b.dtype, b.size) && is_cheap(a) && is_cheap(b);
    let (true, Some(count)) = (comparable, a.count().filter(|count| *count > 0)) else {
        return false;
    };
    let piece = (PIECE / a.size.max(1)).clamp(1, count);
    let pieces = PIECES.min(count.div_ceil(piece));
    let mut bytes = [vec![0; piece * a.size], vec![0; piece * a.size]];
    (0..pieces).all(|number| {
        // The first piece begins where the tensor does, the last ends where it ends.
        let start =
            ((count - piece) as u128 * number as u128 / (pieces - 1).max(1) as u128) as usize;
        let [left, right] = &mut bytes;
        let read = a.raw(start, left).and_then(|()| b.raw(start, right));
        read.is_ok() && left == right
    })
}

#[cfg(test)]
mod tests {
    use super::super::Dtype;
    use super::super::source::Source;
    use super::super::storage::Storage;
    use super::*;

    /// Returns a matrix of bytes, 100 rows of 100 numbers.
    fn matrix(key: &str, change: Option<usize>) -> Stored {
        let mut bytes: Vec<u8> = (0..40_000u32).map(|at| (at % 251) as u8).collect();
        if let Some(byte) = change.and_then(|at| bytes.get_mut(at)) {
            *byte ^= 1;
        }
        Stored {
            dtype: Dtype::F32,
            size: 4,
            shape: vec![100, 100],
            strides: vec![100, 1],
            offset: 0,
            big_endian: false,
            key: key.into(),
            storage: Ok(Arc::new(Storage::Plain(Source::Memory(bytes.into())))),
            ahead: super::super::strided::Ahead::default(),
        }
    }

    /// Returns the twins of tensors of these names, files, keys, and changed bytes.
    fn twins(tensors: &[(&str, usize, &str, Option<usize>)]) -> Vec<Option<usize>> {
        let stored: Vec<Stored> = tensors.iter().map(|t| matrix(t.2, t.3)).collect();
        let mut ties = Ties::default();
        let named = tensors.iter().zip(&stored);
        let named = named.map(|((name, file, ..), stored)| FileTensor {
            name,
            file: *file,
            stored,
        });
        named.map(|named| ties.meet(named)).collect()
    }

    #[test]
    fn one_place_of_one_file_is_one_tensor() {
        let shared = [("a.weight", 0, "0", None), ("b.weight", 0, "0", None)];
        assert_eq!(twins(&shared), [None, Some(0)]);
        // Each shard counts its storages from 0.
        let shards = [("a.weight", 0, "0", None), ("b.weight", 1, "0", None)];
        assert_eq!(twins(&shards), [None, None]);
    }

    #[test]
    fn an_embedding_is_tied_to_what_has_its_bytes_to_the_last() {
        let (head, wte) = ("lm_head.weight", "transformer.wte.weight");
        assert_eq!(
            twins(&[(head, 0, "", None), (wte, 0, "", None)]),
            [None, Some(0)]
        );
        for changed in [0, 20_000, 39_999] {
            let names = [(head, 0, "", None), (wte, 0, "", Some(changed))];
            assert_eq!(twins(&names), [None, None], "byte {changed}");
        }
        // Layers that begin as copies of each other are not tied.
        let layers = [
            ("layers.0.weight", 0, "", None),
            ("layers.1.weight", 0, "", None),
        ];
        assert_eq!(twins(&layers), [None, None]);
    }
}
