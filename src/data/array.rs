//! An array of a file, row by row: whatever its type and order, no more of it is in memory than the rows asked for.

use std::io::{self, Read};

use half::{bf16, f16};

/// Type of the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    Bf16,
    F32,
    F64,
}

/// Elements that are decoded at once.
const PIECE: usize = 1 << 14;

/// Start of an array in its file, and its layout.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Head {
    pub(super) shape: Vec<usize>,
    pub(super) kind: Kind,
    pub(super) big_endian: bool,
    /// The first index varies fastest.
    pub(super) fortran: bool,
}

/// Rows of an array, and what all of its elements are like.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rows {
    /// The rows that were asked for, in their order.
    pub(super) values: Vec<f32>,
    /// Sum of all elements.
    sum: f64,
    count: usize,
    /// Least of all elements.
    pub(super) min: f32,
    /// Largest of all elements.
    pub(super) max: f32,
    is_table: bool,
    /// Sum and sum of squares of each column of a table.
    columns: Vec<[f64; 2]>,
}

impl Rows {
    /// Returns the mean of all elements.
    pub(super) fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }

    /// Returns the mean and standard deviation of each column of a table.
    pub(super) fn columns(&self) -> impl Iterator<Item = [f64; 2]> {
        let count = self.count as f64 / self.columns.len().max(1) as f64;
        self.columns.iter().map(move |[sum, squares]| {
            let mean = sum / count;
            [mean, (squares / count - mean * mean).max(0.0).sqrt()]
        })
    }

    fn see(&mut self, value: f32, column: usize) {
        if self.is_table && column >= self.columns.len() {
            self.columns.resize(column + 1, [0.0; 2]);
        }
        if let Some([sum, squares]) = self.columns.get_mut(column) {
            *sum += f64::from(value);
            *squares += f64::from(value).powi(2);
        }
        self.sum += f64::from(value);
        self.count += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }
}

impl Kind {
    /// Returns the bytes of an element.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// Returns true of whole numbers and truth values.
    pub(super) fn is_integer(self) -> bool {
        !matches!(self, Self::F16 | Self::Bf16 | Self::F32 | Self::F64)
    }

    /// Converts an element in little-endian order to a whole number: saturates where it does not fit, truncates a float.
    pub(super) fn whole(self, bytes: [u8; 8]) -> i64 {
        let [a, b, c, d, ..] = bytes;
        match self {
            Self::Bool => i64::from(a != 0),
            Self::U8 => i64::from(a),
            Self::I8 => i64::from(a.cast_signed()),
            Self::U16 => i64::from(u16::from_le_bytes([a, b])),
            Self::I16 => i64::from(i16::from_le_bytes([a, b])),
            Self::U32 => i64::from(u32::from_le_bytes([a, b, c, d])),
            Self::I32 => i64::from(i32::from_le_bytes([a, b, c, d])),
            Self::U64 => i64::try_from(u64::from_le_bytes(bytes)).unwrap_or(i64::MAX),
            Self::I64 => i64::from_le_bytes(bytes),
            Self::F16 | Self::Bf16 | Self::F32 | Self::F64 => self.value(bytes) as i64,
        }
    }

    /// Returns an element in little-endian order as a float: exact for those and for whole numbers below 2²⁴.
    pub(super) fn value(self, bytes: [u8; 8]) -> f32 {
        let [a, b, c, d, ..] = bytes;
        match self {
            Self::Bool => f32::from(u8::from(a != 0)),
            Self::U8 => f32::from(a),
            Self::I8 => f32::from(a.cast_signed()),
            Self::U16 => f32::from(u16::from_le_bytes([a, b])),
            Self::I16 => f32::from(i16::from_le_bytes([a, b])),
            Self::F16 => f16::from_le_bytes([a, b]).to_f32(),
            Self::Bf16 => bf16::from_le_bytes([a, b]).to_f32(),
            Self::U32 => u32::from_le_bytes([a, b, c, d]) as f32,
            Self::I32 => i32::from_le_bytes([a, b, c, d]) as f32,
            Self::F32 => f32::from_le_bytes([a, b, c, d]),
            Self::U64 => u64::from_le_bytes(bytes) as f32,
            Self::I64 => i64::from_le_bytes(bytes) as f32,
            Self::F64 => f64::from_le_bytes(bytes) as f32,
        }
    }
}

impl Head {
    /// Returns the number of rows: the first extent.
    pub(super) fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Returns the elements of a row.
    pub(super) fn row(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// Returns the number of elements, an extent of zero counted as one, so that it bounds every product of extents;
    /// `None` if that is more than memory has addresses.
    pub(super) fn bound(&self) -> Option<usize> {
        let mut extents = self.shape.iter().map(|extent| (*extent).max(1));
        extents.try_fold(1, usize::checked_mul)
    }

    /// Returns true if so many bytes hold all elements.
    pub(super) fn fits(&self, bytes: u64) -> bool {
        let elements = self.bound().map(|_| (self.rows() * self.row()) as u64);
        let needed = elements.and_then(|elements| elements.checked_mul(self.kind.size() as u64));
        needed.is_some_and(|needed| needed <= bytes)
    }

    /// Reads the rows of these ascending numbers; all of the array is looked at.
    pub(super) fn read(&self, data: impl Read, chosen: &[usize]) -> io::Result<Rows> {
        let mut rows = Rows {
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
            is_table: self.shape.len() == 2,
            ..Rows::default()
        };
        let see = |column, value| rows.see(value, column);
        let values = self.take(data, chosen, Kind::value, see)?;
        Ok(Rows { values, ..rows })
    }

    /// Takes the rows of these ascending numbers; `see` gets every element and its column of a table.
    pub(super) fn take<T: Copy + Default>(
        &self,
        data: impl Read,
        chosen: &[usize],
        of: fn(Kind, [u8; 8]) -> T,
        mut see: impl FnMut(usize, T),
    ) -> io::Result<Vec<T>> {
        if self.fortran && self.shape.len() > 1 {
            return self.take_columns(data, chosen, of, see);
        }
        let mut taken = Vec::new();
        let (length, mut next) = (self.row().max(1), chosen.iter().peekable());
        self.decode(data, of, |at, value| {
            see(at % length, value);
            let row = at / length;
            while next.next_if(|chosen| **chosen < row).is_some() {}
            if next.peek() == Some(&&row) {
                taken.push(value);
            }
        })?;
        Ok(taken)
    }

    /// Decodes all elements in the order of the file.
    fn decode<T>(
        &self,
        mut data: impl Read,
        of: fn(Kind, [u8; 8]) -> T,
        mut take: impl FnMut(usize, T),
    ) -> io::Result<()> {
        let size = self.kind.size();
        let total = self.rows() * self.row();
        let mut bytes = vec![0; PIECE * size];
        let mut at = 0;
        while at < total {
            let count = PIECE.min(total - at);
            let piece = &mut bytes[..count * size];
            data.read_exact(piece)?;
            for (k, element) in piece.chunks_exact(size).enumerate() {
                let mut little = [0; 8];
                little[..size].copy_from_slice(element);
                if self.big_endian {
                    little[..size].reverse();
                }
                take(at + k, of(self.kind, little));
            }
            at += count;
        }
        Ok(())
    }

    /// Takes rows of an array in Fortran order: the elements of all rows at one place stand together.
    fn take_columns<T: Copy + Default>(
        &self,
        data: impl Read,
        chosen: &[usize],
        of: fn(Kind, [u8; 8]) -> T,
        mut see: impl FnMut(usize, T),
    ) -> io::Result<Vec<T>> {
        let (rows, length) = (self.rows().max(1), self.row());
        let mut taken = vec![T::default(); chosen.len() * length];
        let (mut next, mut place) = (0, 0);
        self.decode(data, of, |at, value| {
            let (column, row) = (at / rows, at % rows);
            if row == 0 {
                (next, place) = (0, self.place(column));
            }
            see(column, value);
            if chosen.get(next) == Some(&row) {
                taken[next * length + place] = value;
                next += 1;
            }
        })?;
        Ok(taken)
    }

    /// Returns the place in a row, row by row, of an element by its place in Fortran order.
    fn place(&self, mut column: usize) -> usize {
        let mut stride = self.row();
        let mut place = 0;
        for extent in self.shape.iter().skip(1) {
            stride /= extent;
            place += column % extent * stride;
            column /= extent;
        }
        place
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    fn head(kind: Kind, shape: &[usize]) -> Head {
        Head {
            shape: shape.to_vec(),
            kind,
            big_endian: false,
            fortran: false,
        }
    }

    #[test]
    fn rows_are_taken_and_all_is_looked_at() {
        let head = head(Kind::U8, &[3, 2]);
        let rows = head.read(&[1, 2, 3, 4, 5, 9][..], &[0, 2]).unwrap();
        assert_eq!(rows.values, [1.0, 2.0, 5.0, 9.0]);
        assert_eq!((rows.mean(), rows.min, rows.max), (4.0, 1.0, 9.0));
        assert!(head.read(&[1, 2][..], &[0]).is_err());
        let columns: Vec<[f64; 2]> = rows.columns().collect();
        assert!((columns[0][1] - (8.0f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(columns[0][0], 3.0);
        assert_eq!(columns[1][0], 5.0);
    }

    #[test]
    fn fortran_order_and_big_endian_numbers_come_out_the_same() {
        let shape = [2, 2, 3];
        let mut big = head(Kind::I16, &shape);
        let bytes: Vec<u8> = (0..12i16).flat_map(i16::to_be_bytes).collect();
        big.big_endian = true;
        let c = big.read(&bytes[..], &[0, 1]).unwrap().values;
        // The same array with the first index fastest.
        let at = |i: i16, j: i16, k: i16| i * 6 + j * 3 + k;
        let order = (0..3).flat_map(|k| (0..2).flat_map(move |j| (0..2).map(move |i| at(i, j, k))));
        let bytes: Vec<u8> = order.flat_map(i16::to_be_bytes).collect();
        big.fortran = true;
        assert_eq!(big.read(&bytes[..], &[0, 1]).unwrap().values, c);
        assert_eq!(big.read(&bytes[..], &[1]).unwrap().values, c[6..]);
    }

    #[test]
    fn extents_bound_what_a_file_must_hold() {
        let fits = |shape: &[usize], bytes| head(Kind::F32, shape).fits(bytes);
        assert!(fits(&[2, 3], 24) && !fits(&[2, 3], 23));
        assert!(fits(&[], 4) && fits(&[0, 7], 0));
        // However many the others are, none of them are elements.
        assert!(!fits(&[0, 1 << 40, 1 << 40], 0));
        assert_eq!(head(Kind::U8, &[0, 1 << 40, 1 << 40]).bound(), None);
        let wide = head(Kind::F32, &[0, 1 << 60]);
        assert!(wide.read(&[][..], &[]).unwrap().values.is_empty());
    }

    #[test]
    fn whole_numbers_are_exact_however_large() {
        let whole = |kind, bytes: &[u8]| {
            let head = head(kind, &[1]);
            head.take(bytes, &[0], Kind::whole, |_, _| {}).unwrap()[0]
        };
        let large = (1i64 << 53) + 1;
        assert_eq!(whole(Kind::I64, &large.to_le_bytes()), large);
        assert_eq!(whole(Kind::I64, &(-100i64).to_le_bytes()), -100);
        assert_eq!(whole(Kind::U64, &u64::MAX.to_le_bytes()), i64::MAX);
        assert_eq!(whole(Kind::U16, &50_256u16.to_le_bytes()), 50_256);
        assert_eq!(whole(Kind::I8, &[255]), -1);
        assert_eq!(whole(Kind::Bool, &[7]), 1);
    }

    #[test]
    fn halves_and_truth_values_are_numbers() {
        let bytes = f16::from_f32(0.5).to_le_bytes();
        assert_eq!(
            head(Kind::F16, &[1]).read(&bytes[..], &[0]).unwrap().values,
            [0.5]
        );
        let truth = head(Kind::Bool, &[2]).read(&[0, 1][..], &[0, 1]).unwrap();
        assert_eq!(truth.values, [0.0, 1.0]);
    }
}
