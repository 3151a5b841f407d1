//! CIFAR-10 and CIFAR-100 in their binary versions: records of labels and 3×32×32 bytes.

use std::path::{Path, PathBuf};

use crate::run::regular;

use super::{DataError, Images, Split};

/// Bytes of a file at most: those of CIFAR-100 have 154 million.
const LARGEST: u64 = 1 << 30;
pub(super) const SIDE: usize = 32;
pub(super) const IMAGE: usize = 3 * SIDE * SIDE;

/// Reads a split, or tells that the folder holds none of its files. They may lie in the sub-folder that
/// the archive unpacks to.
pub(super) fn read(folder: &Path, split: Split) -> Result<Option<Images>, DataError> {
    let inner = ["", "cifar-10-batches-bin", "cifar-100-binary"];
    for folder in inner.map(|name| folder.join(name)) {
        let ten: Vec<PathBuf> = match split {
            Split::Train => (1..=5)
                .map(|i| folder.join(format!("data_batch_{i}.bin")))
                .collect(),
            Split::Test => vec![folder.join("test_batch.bin")],
        };
        let ten: Vec<PathBuf> = ten.into_iter().filter(|path| path.is_file()).collect();
        if !ten.is_empty() {
            return read_records("cifar-10", &ten, 1, 10).map(Some);
        }
        let hundred = folder.join(format!("{}.bin", split.name()));
        if hundred.is_file() {
            return read_records("cifar-100", &[hundred], 2, 100).map(Some);
        }
    }
    Ok(None)
}

/// Records of `labels` bytes, the last of which is the (fine) label, and an image.
fn read_records(
    name: &str,
    paths: &[PathBuf],
    labels: usize,
    classes: u8,
) -> Result<Images, DataError> {
    let mut images = Images {
        name: name.into(),
        shape: [3, SIDE, SIDE],
        pixels: Vec::new(),
        labels: Vec::new(),
    };
    for path in paths {
        let invalid = |expected: String, found: String| DataError::Invalid {
            path: path.clone(),
            expected,
            found,
        };
        let bytes = regular::read(path, LARGEST).map_err(|source| DataError::Io {
            path: path.clone(),
            source,
        })?;
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

    use super::super::{Request, load};
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
        let data = load(&Request::whole(folder.path())).unwrap();
        assert_eq!(
            (data.name.as_str(), data.labels, data.pixels.len()),
            ("cifar-10", vec![3, 9], 2 * IMAGE)
        );
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("train.bin"), record(&[4, 77], 9)).unwrap();
        let data = load(&Request::whole(folder.path())).unwrap();
        assert_eq!((data.name.as_str(), data.labels), ("cifar-100", vec![77]));
    }

    #[test]
    fn a_cut_record_and_a_wild_label_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let said = |bytes: &[u8]| {
            fs::write(folder.path().join("data_batch_1.bin"), bytes).unwrap();
            load(&Request::whole(folder.path()))
                .unwrap_err()
                .to_string()
        };
        assert!(said(&[0; 100]).contains("expected records of 3073 bytes, found 100 bytes"));
        assert!(said(&record(&[10], 0)).contains("expected labels below 10, found label 10"));
    }
}
