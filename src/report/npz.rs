//! Named arrays as a file that NumPy loads: a zip archive of .npy files, without pickled objects.

use std::io::{self, Cursor, Write};

use serde_json::Value;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// The first array of every file, by which it is known again: what was measured, as JSON.
pub const MARK: &str = "isoloss";

/// An array.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Its key in NumPy.
    pub name: String,
    /// Lengths of its axes; the last one runs fastest.
    pub shape: Vec<usize>,
    /// Its elements.
    pub values: ArrayValues,
}

/// Elements of one kind.
#[derive(Clone, Debug, PartialEq)]
pub enum ArrayValues {
    /// `<f8`; what is not finite stays as it is.
    Floats(Vec<f64>),
    /// `<u8`, e.g. training steps.
    Counts(Vec<u64>),
    /// `|b1`.
    Flags(Vec<bool>),
}

impl Array {
    /// Returns a row of numbers.
    pub(super) fn row(name: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        Self {
            name: name.into(),
            shape: vec![values.len()],
            values: ArrayValues::Floats(values),
        }
    }

    /// Returns the rows of numbers, all of this length.
    pub(super) fn rows<'a>(
        name: impl Into<String>,
        length: usize,
        rows: impl IntoIterator<Item = &'a [f64]>,
    ) -> Self {
        let values: Vec<f64> = rows.into_iter().flatten().copied().collect();
        Self {
            name: name.into(),
            shape: vec![values.len().checked_div(length).unwrap_or(0), length],
            values: ArrayValues::Floats(values),
        }
    }

    /// Returns the rows of flags, all of this length.
    pub(super) fn flags(name: impl Into<String>, length: usize, rows: &[Vec<bool>]) -> Self {
        let values: Vec<bool> = rows.iter().flatten().copied().collect();
        Self {
            name: name.into(),
            shape: vec![rows.len(), length],
            values: ArrayValues::Flags(values),
        }
    }

    /// Returns a row of training steps.
    pub(super) fn steps(name: impl Into<String>, steps: impl IntoIterator<Item = u64>) -> Self {
        let steps: Vec<u64> = steps.into_iter().collect();
        Self {
            name: name.into(),
            shape: vec![steps.len()],
            values: ArrayValues::Counts(steps),
        }
    }

    fn npy(&self) -> Vec<u8> {
        let (kind, data): (_, Vec<u8>) = match &self.values {
            ArrayValues::Floats(values) => {
                ("<f8", values.iter().flat_map(|v| v.to_le_bytes()).collect())
            }
            ArrayValues::Counts(values) => {
                ("<u8", values.iter().flat_map(|v| v.to_le_bytes()).collect())
            }
            ArrayValues::Flags(values) => ("|b1", values.iter().map(|v| u8::from(*v)).collect()),
        };
        // One length is a tuple with a comma behind it.
        let lengths = self.shape.iter().map(ToString::to_string);
        let lengths = lengths.collect::<Vec<_>>().join(",") + ",";
        npy(kind, &lengths, &data)
    }
}

/// Writes what was measured, as JSON, and the arrays.
///
/// # Errors
/// Never for arrays that fit into memory.
pub fn file(about: &Value, arrays: &[Array]) -> io::Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: &str, npy: &[u8]| {
        zip.start_file(format!("{name}.npy"), SimpleFileOptions::default())?;
        zip.write_all(npy)
    };
    add(MARK, &text(&about.to_string()))?;
    for array in arrays {
        add(&array.name, &array.npy())?;
    }
    Ok(zip.finish()?.into_inner())
}

/// Returns one string, which NumPy keeps as characters of four bytes.
fn text(text: &str) -> Vec<u8> {
    let data: Vec<u8> = text
        .chars()
        .flat_map(|c| u32::from(c).to_le_bytes())
        .collect();
    npy(&format!("<U{}", data.len() / 4), "", &data)
}

/// Returns a .npy file of version 1.0: its data begins at a multiple of 64 bytes.
fn npy(kind: &str, lengths: &str, data: &[u8]) -> Vec<u8> {
    const FIXED: usize = 10;
    let mut head = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({lengths}), }}");
    let length = (FIXED + head.len() + 1).next_multiple_of(64);
    head += &" ".repeat(length - FIXED - head.len() - 1);
    head.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((head.len() as u16).to_le_bytes());
    bytes.extend(head.as_bytes());
    bytes.extend(data);
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use std::io::Read;

    #[test]
    fn each_array_is_read_back_to_the_bit() {
        let numbers = [0.1, f64::NAN, f64::NEG_INFINITY, -0.0, 5e-324, 1e308];
        let arrays = [
            Array::rows("loss", 3, [&numbers[..3], &numbers[3..]]),
            Array::steps("steps", [0, u64::MAX]),
            Array::flags("measured", 2, &[vec![true, false]]),
        ];
        let about = serde_json::json!({"run": "läufe/a"});
        let bytes = file(&about, &arrays).unwrap();
        // The name of the first file stands where the head of a zip archive has it.
        assert_eq!(&bytes[30..30 + 11], b"isoloss.npy");
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let mut npy = |name: &str| {
            let mut bytes = Vec::new();
            archive
                .by_name(name)
                .unwrap()
                .read_to_end(&mut bytes)
                .unwrap();
            npyz::NpyFile::new(Cursor::new(bytes)).unwrap()
        };
        let loss = npy("loss.npy");
        assert_eq!((loss.shape(), loss.order()), (&[2, 3][..], npyz::Order::C));
        let read: Vec<u64> = loss
            .into_vec::<f64>()
            .unwrap()
            .into_iter()
            .map(f64::to_bits)
            .collect();
        assert_eq!(read, numbers.map(f64::to_bits));
        assert_eq!(npy("steps.npy").into_vec::<u64>().unwrap(), [0, u64::MAX]);
        assert_eq!(
            npy("measured.npy").into_vec::<bool>().unwrap(),
            [true, false]
        );
        let about = npy("isoloss.npy");
        assert_eq!(about.dtype().descr(), "'<U17'");
        assert!(about.shape().is_empty());
        assert_eq!(
            about.into_vec::<String>().unwrap(),
            ["{\"run\":\"läufe/a\"}"]
        );
    }
}
