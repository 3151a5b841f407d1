//! CIFAR-10 and CIFAR-100 in their Python versions: pickles of a dict with an array of bytes and lists of labels.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::run::{Node, Pickle, Source, Value};

use super::cifar::{CifarFiles, IMAGE, empty, read_file};
use super::images::Images;
use super::{DataError, Split};

/// Reads a split of the Python version, or tells that the folder holds none of its files.
pub(super) fn read(folder: &Path, split: Split) -> Result<Option<Images>, DataError> {
    const HUNDRED: &str = "cifar-100-python";
    // Others have a file `train` too.
    let is_hundred = |folder: &Path| folder.ends_with(HUNDRED) || folder.join("meta").is_file();
    let unpacked = ["cifar-10-batches-py", HUNDRED];
    let found = match CifarFiles::find(folder, unpacked, "", split, is_hundred) {
        Some(CifarFiles::Ten(paths)) => read_batches("cifar-10", &paths, "labels", 10),
        Some(CifarFiles::Hundred(path)) => read_batches("cifar-100", &[path], "fine_labels", 100),
        None => return Ok(None),
    };
    found.map(Some)
}

fn read_batches(
    name: &str,
    paths: &[PathBuf],
    labels: &str,
    classes: u32,
) -> Result<Images, DataError> {
    let mut images = empty(name);
    for path in paths {
        let batch = Batch::of(path, read_file(path)?)?;
        let found = batch.labels(labels, classes)?;
        let pixels = batch.pixels(found.len())?;
        images.labels.extend(found);
        let pixels = pixels.iter().map(|&pixel| f32::from(pixel) / 255.0);
        images.pixels.extend(pixels);
    }
    Ok(images)
}

/// A file of the set.
struct Batch<'a> {
    path: &'a Path,
    pickle: Pickle,
}

impl<'a> Batch<'a> {
    fn of(path: &'a Path, bytes: Vec<u8>) -> Result<Self, DataError> {
        let pickle = Pickle::read(&Source::Memory(Arc::from(bytes)), 0);
        let pickle = pickle.map_err(|error| DataError::Invalid {
            path: path.to_path_buf(),
            expected: "a batch of CIFAR's Python version".into(),
            found: error.to_string(),
        })?;
        Ok(Self { path, pickle })
    }

    fn invalid(&self, expected: String, found: impl Into<String>) -> DataError {
        DataError::Invalid {
            path: self.path.to_path_buf(),
            expected,
            found: found.into(),
        }
    }

    fn get(&self, key: &str) -> Result<Value, DataError> {
        let found = self.pickle.get(self.pickle.root(), key);
        found.ok_or_else(|| self.invalid(format!("a dict with {key}"), "none"))
    }

    /// Returns one whole number for each image.
    fn labels(&self, key: &str, classes: u32) -> Result<Vec<u32>, DataError> {
        let values = self.pickle.values(self.get(key)?);
        let values = values.ok_or_else(|| self.invalid(format!("a list {key}"), "none"))?;
        let label = |value: &Value| match value {
            Value::Int(label) if (0..i64::from(classes)).contains(label) => Ok(*label as u32),
            other => Err(self.invalid(
                format!("{key} from 0 below {classes}"),
                format!("{other:?}"),
            )),
        };
        values.iter().map(label).collect()
    }

    /// Returns the bytes of `images` images.
    fn pixels(&self, images: usize) -> Result<Vec<u8>, DataError> {
        let expected = || format!("data of {images} rows of {IMAGE} bytes");
        let Some(Node::Array(array)) = self.pickle.node(self.get("data")?) else {
            return Err(self.invalid(expected(), "no array"));
        };
        let is_it =
            array.shape == [images, IMAGE] && &*array.element.name == "U8" && !array.fortran;
        if !is_it {
            let found = format!("{} of shape {:?}", array.element.name, array.shape);
            return Err(self.invalid(expected(), found));
        }
        let storage = array.data.storage((images * IMAGE) as u64);
        let storage = storage.ok_or_else(|| self.invalid(expected(), "other bytes"))?;
        let mut bytes = vec![0; images * IMAGE];
        let read = storage.read_at(&mut bytes, 0);
        read.map_err(|source| DataError::Io {
            path: self.path.to_path_buf(),
            source,
        })?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::super::{DataRequest, load};
    use super::*;

    /// Returns the folders written by make_cifar.py: two batches of three images of CIFAR-10, and four of CIFAR-100.
    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/cifar")
            .join(name)
    }

    #[test]
    fn python_batches_are_read_from_their_folder_and_from_the_one_above() {
        for folder in ["ten", "ten/cifar-10-batches-py"] {
            let data = load(&DataRequest::whole(fixture(folder))).unwrap();
            assert_eq!(
                (data.name.as_str(), data.labels().unwrap().as_slice()),
                ("cifar-10", &[3, 9, 0, 1, 2, 3][..])
            );
            assert_eq!(data.image(), Some([3, 32, 32]));
            // Pixels are 7 · image + place, modulo 256.
            let raw = |at: usize| data.pixels()[at] * data.scale.std[0] + data.scale.mean[0];
            assert!((raw(5) - 5.0 / 255.0).abs() < 1e-6);
            assert!((raw(4 * IMAGE + 2) - 30.0 / 255.0).abs() < 1e-6);
        }
        for folder in ["hundred", "hundred/cifar-100-python"] {
            let data = load(&DataRequest::whole(fixture(folder))).unwrap();
            assert_eq!(
                (data.name.as_str(), data.labels().unwrap().as_slice()),
                ("cifar-100", &[77, 4, 99, 0][..])
            );
        }
    }

    #[test]
    fn a_batch_that_is_cut_or_of_other_things_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data_batch_1");
        let whole = std::fs::read(fixture("ten/cifar-10-batches-py/data_batch_1")).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let said = || {
            load(&DataRequest::whole(folder.path()))
                .unwrap_err()
                .to_string()
        };
        assert!(
            said().contains("expected a batch of CIFAR's Python version"),
            "{}",
            said()
        );
        std::fs::write(&path, b"\x80\x02}.").unwrap();
        assert!(said().contains("expected a dict with labels"), "{}", said());
    }
}
