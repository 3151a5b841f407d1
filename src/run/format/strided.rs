//! Elements that lie apart in a storage, such as those of a transposed matrix, in row-major order.
//!
//! A piece of such a view reaches over all of the storage. What is asked for is therefore collected in the
//! order in which it is stored, in one pass; and where one piece follows another, the next tens of
//! megabytes are collected with it, so that a tensor takes a pass for each of these instead of one for
//! each piece. The storage itself is not kept: a hundred checkpoints may be open at once, and all that they
//! keep together is bounded.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::storage::Storage;

/// Bytes of a storage that are read at once.
const WINDOW: usize = 256 << 10;
/// Bytes between elements from which on each is read alone.
const APART: u64 = 16 << 10;
/// Bytes of a storage for each that is wanted, from which on what lies between is not read.
const SPARSE: u64 = 16;
/// Bytes that are collected ahead of one view.
const AHEAD: u64 = 64 << 20;
/// Bytes that all views keep together; each takes an eighth of what is left at most.
const ROOM: u64 = 512 << 20;

/// A view of a storage, which covers it.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) storage: &'a Storage,
    /// Bytes of an element.
    pub(super) size: usize,
    /// Extents, none of them zero.
    pub(super) shape: &'a [usize],
    /// Elements from one to the next.
    pub(super) strides: &'a [usize],
    /// First element.
    pub(super) offset: u64,
}

/// One direction of a block.
#[derive(Clone, Copy, Debug)]
struct Axis {
    extent: usize,
    /// Bytes from one to the next in the storage.
    stride: u64,
    /// Bytes from one to the next in the output.
    step: usize,
}

impl View<'_> {
    /// Fills `bytes` with the elements from `start` on.
    pub(super) fn gather(&self, start: usize, bytes: &mut [u8]) -> io::Result<()> {
        let mut window = Window {
            storage: self.storage,
            start: 0,
            bytes: Vec::new(),
        };
        let end = start + bytes.len() / self.size;
        self.split(0, start, end, self.offset, &mut window, bytes)
    }

    /// Splits the elements `start..end` behind the extents before `depth` into blocks: a part of the first
    /// row, whole rows, a part of the last one.
    fn split(
        &self,
        depth: usize,
        start: usize,
        end: usize,
        place: u64,
        window: &mut Window,
        bytes: &mut [u8],
    ) -> io::Result<()> {
        let row: usize = self.shape[depth + 1..].iter().product();
        let at = |index: usize| place + index as u64 * self.strides[depth] as u64;
        let (mut first, last) = (start / row, end / row);
        if first == last {
            let before = first * row;
            return self.split(
                depth + 1,
                start - before,
                end - before,
                at(first),
                window,
                bytes,
            );
        }
        let mut rest = bytes;
        if !start.is_multiple_of(row) {
            let (head, behind) = rest.split_at_mut((row - start % row) * self.size);
            self.split(depth + 1, start % row, row, at(first), window, head)?;
            (first, rest) = (first + 1, behind);
        }
        let (whole, tail) = rest.split_at_mut((last - first) * row * self.size);
        if !whole.is_empty() {
            window.block(at(first), self.size, &self.axes(depth, last - first), whole)?;
        }
        if !tail.is_empty() {
            self.split(depth + 1, 0, end - last * row, at(last), window, tail)?;
        }
        Ok(())
    }

    /// Returns the directions of `rows` whole rows, those of the longest strides first: in this order elements are
    /// stored. Directions that are one are joined.
    fn axes(&self, depth: usize, rows: usize) -> Vec<Axis> {
        let mut step = self.size;
        let mut axes = Vec::new();
        for at in (depth..self.shape.len()).rev() {
            let extent = if at == depth { rows } else { self.shape[at] };
            if extent > 1 {
                axes.push(Axis {
                    extent,
                    stride: self.strides[at] as u64 * self.size as u64,
                    step,
                });
            }
            step *= extent;
        }
        axes.sort_by_key(|axis| std::cmp::Reverse(axis.stride));
        axes.dedup_by(|inner, outer| {
            let is_one = outer.stride == inner.stride * inner.extent as u64
                && outer.step == inner.step * inner.extent;
            if is_one {
                *outer = Axis {
                    extent: outer.extent * inner.extent,
                    ..*inner
                };
            }
            is_one
        });
        axes
    }
}

/// A stretch of a storage that was read last.
struct Window<'a> {
    storage: &'a Storage,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// Fills `bytes` with a block of elements, the first of which is at `place`.
    fn block(
        &mut self,
        place: u64,
        size: usize,
        axes: &[Axis],
        bytes: &mut [u8],
    ) -> io::Result<()> {
        let place = place * size as u64;
        let one = Axis {
            extent: 1,
            stride: size as u64,
            step: size,
        };
        let (inner, outer) = axes.split_last().unwrap_or((&one, &[]));
        let along = axes
            .iter()
            .map(|axis| (axis.extent as u64 - 1) * axis.stride);
        let reach = along.sum::<u64>() + size as u64;
        let is_sparse = reach / SPARSE > bytes.len() as u64;
        let ahead = if is_sparse { 0 } else { WINDOW };
        let mut indices = vec![0; outer.len()];
        let (mut from, mut to) = (place, 0);
        loop {
            self.run(from, size, *inner, ahead, &mut bytes[to..])?;
            let mut turned = true;
            for (index, axis) in indices.iter_mut().zip(outer).rev() {
                *index += 1;
                from += axis.stride;
                to += axis.step;
                turned = *index == axis.extent;
                if !turned {
                    break;
                }
                *index = 0;
                from -= axis.extent as u64 * axis.stride;
                to -= axis.extent * axis.step;
            }
            if turned {
                return Ok(());
            }
        }
    }

    /// Copies the elements of one axis.
    fn run(
        &mut self,
        from: u64,
        size: usize,
        axis: Axis,
        ahead: usize,
        bytes: &mut [u8],
    ) -> io::Result<()> {
        let at_once = match axis.stride {
            0 => axis.extent,
            stride if stride > APART => 1,
            stride => (WINDOW - size.min(WINDOW)) / stride as usize + 1,
        };
        let mut done = 0;
        while done < axis.extent {
            let count = at_once.min(axis.extent - done);
            let len = (count - 1) * axis.stride as usize + size;
            let ready = self.at(from + done as u64 * axis.stride, len, ahead)?;
            let to = &mut bytes[done * axis.step..];
            let stride = axis.stride as usize;
            match size {
                _ if stride == size && axis.step == size => to[..len].copy_from_slice(ready),
                1 => scatter::<1>(ready, stride, to, axis.step, count),
                2 => scatter::<2>(ready, stride, to, axis.step, count),
                4 => scatter::<4>(ready, stride, to, axis.step, count),
                8 => scatter::<8>(ready, stride, to, axis.step, count),
                _ => {
                    for at in 0..count {
                        to[at * axis.step..][..size].copy_from_slice(&ready[at * stride..][..size]);
                    }
                }
            }
            done += count;
        }
        Ok(())
    }

    /// Returns the `len` bytes at `place`; where they must be read, at least `ahead` are.
    fn at(&mut self, place: u64, len: usize, ahead: usize) -> io::Result<&[u8]> {
        let within = place.checked_sub(self.start);
        let within = within.and_then(|within| usize::try_from(within).ok());
        let within = within.filter(|within| *within < self.bytes.len());
        if let Some(within) = within.filter(|within| self.bytes.len() - within >= len) {
            return Ok(&self.bytes[within..within + len]);
        }
        // What is there already is not read again: packed bytes would begin from the front.
        self.bytes.drain(..within.unwrap_or(self.bytes.len()));
        let ready = self.bytes.len();
        let left = self.storage.len().saturating_sub(place);
        let count = len.max(ahead.min(usize::try_from(left).unwrap_or(usize::MAX)));
        self.bytes.resize(count, 0);
        self.start = place;
        let behind = place + ready as u64;
        if let Err(error) = self.storage.read_at(&mut self.bytes[ready..], behind) {
            self.bytes.clear();
            return Err(error);
        }
        Ok(&self.bytes[..len])
    }
}

fn scatter<const N: usize>(from: &[u8], stride: usize, to: &mut [u8], step: usize, count: usize) {
    for at in 0..count {
        to[at * step..][..N].copy_from_slice(&from[at * stride..][..N]);
    }
}

/// Elements that were collected ahead, for the pieces to come; copies of a tensor share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Ahead(Arc<Mutex<Span>>);

#[derive(Debug, Default)]
struct Span {
    /// First element.
    start: usize,
    bytes: Vec<u8>,
    /// The element behind the last piece that was asked for.
    next: Option<usize>,
    /// Share of what all may keep.
    room: Option<Room>,
}

impl Ahead {
    /// Fills `bytes` with the elements from `start` on, of `count` in all.
    pub(super) fn read(
        &self,
        view: View<'_>,
        start: usize,
        count: usize,
        bytes: &mut [u8],
    ) -> io::Result<()> {
        let mut span = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = start + bytes.len() / view.size;
        let ready = span.take(view.size, start, bytes);
        let (start, rest) = (start + ready / view.size, &mut bytes[ready..]);
        if rest.is_empty() {
            span.next = Some(end);
            return Ok(());
        }
        let follows = ready > 0 || span.next == Some(start);
        *span = Span::default();
        let left = (count - start).saturating_mul(view.size);
        let wanted = AHEAD.min(left as u64);
        let room = follows.then(|| Room::take(wanted)).flatten();
        match room.filter(|room| room.0 / 2 >= rest.len() as u64) {
            Some(room) => {
                let len = room.0 as usize / view.size * view.size;
                let mut collected = vec![0; len];
                view.gather(start, &mut collected)?;
                *span = Span {
                    start,
                    bytes: collected,
                    next: None,
                    room: Some(room),
                };
                span.take(view.size, start, rest);
            }
            None => view.gather(start, rest)?,
        }
        span.next = Some(end);
        Ok(())
    }
}

impl Span {
    /// Fills the front of `bytes` with what is there from the element `start` on. Returns how many bytes; the
    /// last takes all that is kept with it.
    fn take(&mut self, size: usize, start: usize, bytes: &mut [u8]) -> usize {
        let within = start.checked_sub(self.start);
        let ready = within.and_then(|within| self.bytes.get(within.checked_mul(size)?..));
        let ready = ready.unwrap_or_default();
        let count = ready.len().min(bytes.len());
        bytes[..count].copy_from_slice(&ready[..count]);
        if count > 0 && count == ready.len() {
            self.bytes = Vec::new();
            self.room = None;
        }
        count
    }
}

/// Bytes that are kept by all views.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// A part of the memory that all views share, given back when it is dropped.
#[derive(Debug)]
struct Room(u64);

impl Room {
    fn take(wanted: u64) -> Option<Self> {
        let mut given = 0;
        let taken = TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            given = wanted.min(ROOM.saturating_sub(taken) / 8);
            Some(taken + given)
        });
        taken.ok().map(|_| Self(given))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        TAKEN.fetch_sub(self.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use std::time::{Duration, Instant};

    use super::super::source::Source;
    use super::*;

    fn numbers(count: u32) -> Storage {
        let bytes: Vec<u8> = (0..count).flat_map(u32::to_le_bytes).collect();
        Storage::Plain(Source::Memory(bytes.into()))
    }

    /// Returns the numbers of a view one after the other, each by its indices.
    fn expected(shape: &[usize], strides: &[usize], offset: usize) -> Vec<u32> {
        let count: usize = shape.iter().product();
        let place = |mut element: usize| {
            let mut place = offset;
            for (extent, stride) in shape.iter().zip(strides).rev() {
                place += element % extent * stride;
                element /= extent;
            }
            place as u32
        };
        (0..count).map(place).collect()
    }

    #[test]
    fn any_piece_of_any_view_is_what_its_indices_say() {
        let storage = numbers(400_000);
        let views: [(&[usize], &[usize], usize); 9] = [
            (&[700, 500], &[1, 700], 3),
            (&[6, 7, 3, 5], &[105, 1, 35, 7], 0),
            (&[6, 7, 3, 5], &[1, 90, 6, 18], 11),
            (&[40, 50], &[50, 0], 1),
            (&[30, 20, 4], &[4, 120, 1], 0),
            (&[1, 9, 1, 8], &[5, 1, 7, 9], 2),
            (&[100, 5], &[1, 1], 0),
            (&[3, 40], &[100_000, 5_000], 0),
            (&[12], &[9], 4),
        ];
        for (shape, strides, offset) in views {
            let all = expected(shape, strides, offset);
            let view = View {
                storage: &storage,
                size: 4,
                shape,
                strides,
                offset: offset as u64,
            };
            for piece in [1, 7, 64, 4096, all.len()] {
                let ahead = Ahead::default();
                // Not from the front, then on, and once again.
                for start in (0..all.len()).step_by(piece).skip(1).chain(0..1) {
                    let wanted = &all[start..all.len().min(start + piece)];
                    let mut found = vec![0u32; wanted.len()];
                    let bytes = bytemuck::cast_slice_mut(&mut found);
                    ahead.read(view, start, all.len(), bytes).unwrap();
                    assert_eq!(found, wanted, "{shape:?} {strides:?} {start} {piece}");
                    if piece == 1 && start > 2_000 {
                        break;
                    }
                }
            }
        }
    }

    /// 38 million numbers in pieces of 128 KiB: a pass for each would be 180 GB.
    #[test]
    fn pieces_of_a_transposed_matrix_cost_no_pass_each() {
        let (rows, columns) = (768, 50_257);
        let storage = numbers((rows * columns) as u32);
        let view = View {
            storage: &storage,
            size: 4,
            shape: &[rows, columns],
            strides: &[1, rows],
            offset: 0,
        };
        let ahead = Ahead::default();
        let begun = Instant::now();
        let mut piece = vec![0u32; 32 << 10];
        for start in (0..rows * columns).step_by(32 << 10) {
            let count = piece.len().min(rows * columns - start);
            let bytes = bytemuck::cast_slice_mut(&mut piece[..count]);
            ahead.read(view, start, rows * columns, bytes).unwrap();
            let last = start + count - 1;
            assert_eq!(
                piece[count - 1] as usize,
                last / columns + last % columns * rows
            );
        }
        assert!(begun.elapsed() < Duration::from_secs(30));
        assert!(ahead.0.lock().unwrap().room.is_none());
    }

    #[test]
    fn all_views_together_keep_no_more_than_there_is_room() {
        let taken: Vec<Room> = (0..500).filter_map(|_| Room::take(AHEAD)).collect();
        assert!(taken.iter().map(|room| room.0).sum::<u64>() <= ROOM);
        assert!(taken[0].0 > taken[9].0);
    }
}
