//! One tensor as it lies in a file: a view of a storage, read a piece at a time.

use std::collections::HashSet;
use std::sync::Arc;

use super::storage::Storage;
use super::strided::{Ahead, View};
use super::{Dtype, convert};

/// Bytes that are read and converted at once: they stay in cache.
const PIECE: usize = 128 << 10;
/// Bytes of a storage that a piece reaches over, from which on it costs more than its own.
const FAR: usize = 16 * PIECE;
/// A view with more elements than this, and this many times those of its storage, is no weights.
const EXPANDED: (u64, u64) = (1 << 20, 64);

/// Place of a tensor's elements.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// Element type.
    pub(super) dtype: Dtype,
    /// Bytes of an element.
    pub(super) size: usize,
    /// Extents, outermost first.
    pub(super) shape: Vec<usize>,
    /// Elements from one to the next, for each extent.
    pub(super) strides: Vec<usize>,
    /// First element in the storage.
    pub(super) offset: u64,
    /// The most significant byte of an element comes first.
    pub(super) big_endian: bool,
    /// Key of the storage: tensors with one key share it.
    pub(super) key: Arc<str>,
    /// The bytes, or why there are none.
    pub(super) storage: Result<Arc<Storage>, String>,
    /// Elements that were read ahead, where they lie apart.
    pub(super) ahead: Ahead,
}

/// Numbers of the tensors of a state dict, beside those of the storages that they are views of: small views of one
/// number each may be as many as the file has names.
#[derive(Debug, Default)]
pub(super) struct Tally {
    numbers: u64,
    held: u64,
    storages: HashSet<*const Storage>,
}

impl Tally {
    /// Counts a tensor. One without bytes is none: whoever reads it is refused first.
    pub(super) fn take(&mut self, stored: &Stored) {
        let Ok(storage) = &stored.storage else { return };
        let count = stored.count().unwrap_or(usize::MAX) as u64;
        self.numbers = self.numbers.saturating_add(count);
        if self.storages.insert(Arc::as_ptr(storage)) {
            let held = storage.len() / stored.size.max(1) as u64;
            self.held = self.held.saturating_add(held);
        }
    }

    /// Returns true if they are as many as expanded views have, together.
    pub(super) fn is_expanded(&self) -> bool {
        is_expanded(self.numbers, self.held)
    }
}

/// Returns true for so many numbers that are views of so few.
fn is_expanded(numbers: u64, held: u64) -> bool {
    numbers > EXPANDED.0 && numbers / EXPANDED.1 > held
}

impl Stored {
    /// Returns the number of elements; `None` if they are more than memory has addresses.
    pub(super) fn count(&self) -> Option<usize> {
        let mut extents = self.shape.iter();
        extents.try_fold(1usize, |all, extent| all.checked_mul(*extent))
    }

    /// Returns the elements of the storage that the view reaches over.
    fn reach(&self) -> Option<u64> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        let mut last = 0u64;
        for (extent, stride) in self.shape.iter().zip(&self.strides) {
            let along = (*extent as u64 - 1).checked_mul(*stride as u64)?;
            last = last.checked_add(along)?;
        }
        last.checked_add(1)
    }

    /// Checks that the storage covers the view; else the reason is kept, since other tensors of the file
    /// may be whole.
    pub(super) fn checked(mut self) -> Self {
        if let Ok(storage) = &self.storage {
            let fits = self
                .count()
                .and_then(|_| self.reach())
                .is_some_and(|reach| {
                    let end = self.offset.checked_add(reach);
                    let bytes = end.and_then(|end| end.checked_mul(self.size as u64));
                    bytes.is_some_and(|bytes| bytes <= storage.len() || reach == 0)
                });
            if !fits {
                let reason = format!(
                    "its storage has {} bytes, fewer than its shape {:?} needs",
                    storage.len(),
                    self.shape
                );
                self.storage = Err(reason);
            }
        }
        self
    }

    /// Returns true for a view of a few numbers that was expanded to many: it takes no room in the file, so that
    /// its size says nothing.
    pub(super) fn is_expanded(&self) -> bool {
        let (Some(count), Some(reach)) = (self.count(), self.reach()) else {
            return true;
        };
        is_expanded(count as u64, reach)
    }

    /// Returns true for tensors of one place: the same numbers under two names, perhaps as another shape.
    pub(super) fn is_tied_to(&self, other: &Self) -> bool {
        let place = |stored: &Self| (Arc::clone(&stored.key), stored.offset);
        let is_same_view = (&self.shape, &self.strides) == (&other.shape, &other.strides);
        // All numbers of a stretch, in any order.
        let stretch = |stored: &Self| {
            let count = stored.count()? as u64;
            stored.reach().filter(|reach| *reach == count)
        };
        let is_same_stretch = || stretch(self).is_some() && stretch(self) == stretch(other);
        !self.key.is_empty() && place(self) == place(other) && (is_same_view || is_same_stretch())
    }

    /// Returns true where a piece costs as much as many: what is packed must be unpacked from the front on, and a row
    /// of a transposed matrix lies all over its storage.
    pub(super) fn is_costly(&self) -> bool {
        let storage = self.storage.as_ref();
        let Some(storage) = storage.ok().filter(|_| self.size > 0) else {
            return false;
        };
        // The first piece, from its innermost extent outwards.
        let mut left = PIECE / self.size;
        let mut reach = 0usize;
        for (extent, stride) in self.shape.iter().zip(&self.strides).rev() {
            let along = (*extent).min(left.max(1)).saturating_sub(1);
            reach = reach.saturating_add(along.saturating_mul(*stride));
            left /= extent.max(&1);
        }
        storage.is_packed() || reach.saturating_mul(self.size) > FAR
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        let mut extents = self.shape.iter().zip(&self.strides).rev();
        extents.all(|(extent, stride)| {
            let fits = *extent == 1 || *stride == expected;
            expected = expected.saturating_mul(*extent);
            fits
        })
    }

    /// Fills `values` with the elements from `start` on, in row-major order.
    ///
    /// # Errors
    /// A sentence says what is wrong.
    pub(super) fn read(&self, start: usize, values: &mut [f32]) -> Result<(), String> {
        let size = convert::size(&self.dtype);
        let size = size.ok_or_else(|| format!("its type is {}", self.dtype))?;
        if self.dtype == Dtype::F32 && cfg!(target_endian = "little") && !self.big_endian {
            return self.raw(start, bytemuck::cast_slice_mut(values));
        }
        let mut bytes = vec![0; PIECE.min(values.len() * size)];
        for (piece, values) in values.chunks_mut(PIECE / size).enumerate() {
            let bytes = &mut bytes[..values.len() * size];
            self.raw(start + piece * (PIECE / size), bytes)?;
            convert::to_f32(bytes, &self.dtype, values).ok_or("it cannot be converted")?;
        }
        Ok(())
    }

    /// Fills `bytes` with the little-endian elements from `start` on, in row-major order.
    ///
    /// # Errors
    /// A sentence says what is wrong.
    pub(super) fn raw(&self, start: usize, bytes: &mut [u8]) -> Result<(), String> {
        let storage = self.storage.as_ref().map_err(Clone::clone)?;
        let elements = bytes.len() / self.size.max(1);
        let end = start.saturating_add(elements);
        let count = self.count().filter(|count| end <= *count);
        let count = count.ok_or_else(|| format!("it has no elements {start}..{end}"))?;
        if bytes.is_empty() {
            return Ok(());
        }
        let read = if self.is_contiguous() {
            storage.read_at(bytes, (self.offset + start as u64) * self.size as u64)
        } else {
            let view = View {
                storage,
                size: self.size,
                shape: &self.shape,
                strides: &self.strides,
                offset: self.offset,
            };
            if self.is_costly() {
                self.ahead.read(view, start, count, bytes)
            } else {
                view.gather(start, bytes)
            }
        };
        read.map_err(|error| error.to_string())?;
        if self.big_endian {
            bytes.chunks_exact_mut(self.size).for_each(<[u8]>::reverse);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::super::storage::Packing;
    use super::*;

    /// Tells it of a tensor of floats in a storage.
    fn is_costly(shape: &[usize], strides: &[usize], storage: Storage) -> bool {
        let stored = Stored {
            dtype: Dtype::F32,
            size: 4,
            shape: shape.to_vec(),
            strides: strides.to_vec(),
            offset: 0,
            big_endian: false,
            key: "".into(),
            storage: Ok(Arc::new(storage)),
            ahead: Ahead::default(),
        };
        stored.checked().is_costly()
    }

    #[test]
    fn many_views_of_few_numbers_are_expanded_together() {
        let storage = Arc::new(Storage::Plain(Source::Memory(vec![0; 4000].into())));
        let view = |offset| Stored {
            dtype: Dtype::F32,
            size: 4,
            shape: vec![900],
            strides: vec![1],
            offset,
            big_endian: false,
            key: "0".into(),
            storage: Ok(Arc::clone(&storage)),
            ahead: Ahead::default(),
        };
        let tally = |views: u64| {
            let mut tally = Tally::default();
            (0..views).for_each(|offset| tally.take(&view(offset % 100)));
            tally
        };
        assert!(!view(0).is_expanded() && !tally(1000).is_expanded());
        assert!(tally(2000).is_expanded());
    }

    #[test]
    fn pieces_are_costly_where_they_lie_all_over_a_large_storage() {
        let bytes: Arc<[u8]> = vec![0; 4 << 20].into();
        let plain = || Storage::Plain(Source::Memory(Arc::clone(&bytes)));
        assert!(is_costly(&[1024, 1024], &[1, 1024], plain()));
        assert!(!is_costly(&[1024, 1024], &[1024, 1], plain()));
        // Channels last: a row of channels lies together with those beside it.
        assert!(!is_costly(
            &[128, 512, 4, 4],
            &[8192, 1, 2048, 512],
            plain()
        ));
        assert!(!is_costly(&[64, 64], &[1, 64], plain()));
        let packed = Storage::packed(Source::Memory(Arc::from([])), Packing::Deflated, 4 << 20);
        assert!(is_costly(&[1024, 1024], &[1024, 1], packed));
    }
}
