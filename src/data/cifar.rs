//! CIFAR-10 and CIFAR-100: the files of both versions, and the binary one, records of labels and 3×32×32 bytes.

use std::path::{Path, PathBuf};

use crate::run::regular;

use super::images::Images;
use super::{DataError, Split};

/// Bytes of a file at most: those of CIFAR-100 have 155 million.
const LARGEST: u64 = 1 << 30;
pub(super) const SIDE: usize = 32;
pub(super) const IMAGE: usize = 3 * SIDE * SIDE;

/// The files of a split.
pub(super) enum CifarFiles {
    /// The batches of CIFAR-10.
    Ten(Vec<PathBuf>),
    /// The one of CIFAR-100.
    Hundred(PathBuf),
}

impl CifarFiles {
    /// Finds the files of a split whose names have this ending, in a folder or in one of the sub-folders that
    /// the archives unpack to. `is_hundred` tells whether a folder may be that of CIFAR-100.
    pub(super) fn find(
        folder: &Path,
        unpacked: [&str; 2],
        ending: &str,
        split: Split,
        is_hundred: impl Fn(&Path) -> bool,
    ) -> Option<Self> {
        let [ten, hundred] = unpacked;
        ["", ten, hundred].into_iter().find_map(|inner| {
            let folder = folder.join(inner);
            let named = |name: String| folder.join(name + ending);
            let ten = match split {
                Split::Train => (1..=5).map(|i| named(format!("data_batch_{i}"))).collect(),
                Split::Test => vec![named("test_batch".into())],
            };
            let ten: Vec<PathBuf> = ten.into_iter().filter(|path| path.is_file()).collect();
            if !ten.is_empty() {
                return Some(Self::Ten(ten));
            }
            let hundred = named(split.name().into());
            (is_hundred(&folder) && hundred.is_file()).then_some(Self::Hundred(hundred))
        })
    }
}

/// Reads a file of the set.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, DataError> {
    regular::read(path, LARGEST).map_err(|source| DataError::Io {
        path: path.to_path_buf(),
        source,
    })
}

/// Returns a set of this name, without images so far.
pub(super) fn empty(name: &str) -> Images {
    Images {
        name: name.into(),
        shape: [3, SIDE, SIDE],
        pixels: Vec::new(),
        labels: Vec::new(),
    }
}

/// Reads a split of the binary version, or tells that the folder holds none of its files.
pub(super) fn read(folder: &Path, split: Split) -> Result<Option<Images>, DataError> {
    let unpacked = ["cifar-10-batches-bin", "cifar-100-binary"];
    let found = match CifarFiles::find(folder, unpacked, ".bin", split, |_| true) {
        Some(CifarFiles::Ten(paths)) => read_records("cifar-10", &paths, 1, 10),
        Some(CifarFiles::Hundred(path)) => read_records("cifar-100", &[path], 2, 100),
        None => return Ok(None),
    };
    found.map(Some)
}

/// Records of `labels` bytes, the last of which is the (fine) label, and an image.
fn read_records(
    name: &str,
    paths: &[PathBuf],
    labels: usize,
    classes: u8,
) -> Result<Images, DataError> {
    let mut images = empty(name);
    for path in paths {
        let invalid = |expected: String, found: String| DataError::Invalid {
            path: path.clone(),
            expected,
            found,
        };
        let bytes = read_file(path)?;
        let record = labels + IMAGE;
        if bytes.is_empty() || bytes.len() % record != 0 {
            return Err(invalid(
                format!("records of {record} bytes"),
                format!("{} bytes", bytes.len()),
            ));
        }
        for record in bytes.chunks(record) {
            let (label, pixels) = record.split_at(labels);
            let label = label[labels - 1];
            if label >= classes {
                return Err(invalid(
                    format!("labels below {classes}"),
                    format!("label {label}"),
                ));
            }
            images.labels.push(u32::from(label));
            images
                .pixels
                .extend(pixels.iter().map(|&pixel| f32::from(pixel) / 255.0));
        }
    }
    Ok(images)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::super::{DataRequest, load};
    use super::*;
    use std::fs;

    fn record(labels: &[u8], pixel: u8) -> Vec<u8> {
        [labels, &[pixel; IMAGE]].concat()
    }

    #[test]
    fn batches_follow_one_another_and_fine_labels_count() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("data_batch_1.bin"), record(&[3], 255)).unwrap();
        fs::write(folder.path().join("data_batch_2.bin"), record(&[9], 0)).unwrap();
        let data = load(&DataRequest::whole(folder.path())).unwrap();
        assert_eq!(
            (data.name.as_str(), data.labels(), data.pixels().len()),
            ("cifar-10", Some(vec![3, 9]), 2 * IMAGE)
        );
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("train.bin"), record(&[4, 77], 9)).unwrap();
        let data = load(&DataRequest::whole(folder.path())).unwrap();
        assert_eq!(
            (data.name.as_str(), data.labels()),
            ("cifar-100", Some(vec![77]))
        );
    }

    #[test]
    fn a_cut_record_and_a_wild_label_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let said = |bytes: &[u8]| {
            fs::write(folder.path().join("data_batch_1.bin"), bytes).unwrap();
            load(&DataRequest::whole(folder.path()))
                .unwrap_err()
                .to_string()
        };
        assert!(said(&[0; 100]).contains("expected records of 3073 bytes, found 100 bytes"));
        assert!(said(&record(&[10], 0)).contains("expected labels below 10, found label 10"));
    }
}
