//! idx folders, the format of MNIST and its relatives, gzipped or not.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::run::regular;

use super::images::Images;
use super::{DataError, Split};

/// Magic numbers: unsigned bytes in 3 and in 1 dimensions.
const IMAGES: u32 = 0x0803;
const LABELS: u32 = 0x0801;
/// A header that asks for more is damaged.
const LARGEST: u64 = 8 << 30;

/// The two files of a split.
#[derive(Debug)]
pub(super) struct Files {
    images: PathBuf,
    labels: PathBuf,
}

/// Folders below one that are looked into.
const LOOKED_INTO: usize = 256;

/// Finds the folder with the files of a split: the one that is given, its `raw` as torchvision makes it, or one
/// that has either below it.
pub(super) fn find(folder: &Path, split: Split) -> Result<Option<(PathBuf, Files)>, DataError> {
    let with_files = |folder: PathBuf| {
        let raw = folder.join("raw");
        [folder, raw]
            .into_iter()
            .find_map(|folder| Some((folder.clone(), named(&folder, split)?)))
    };
    if let Some(found) = with_files(folder.to_path_buf()) {
        return Ok(Some(found));
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut below: Vec<PathBuf> = entries
        .take(LOOKED_INTO)
        .map(|entry| entry.path())
        .collect();
    below.sort();
    let mut found: Vec<(PathBuf, Files)> = below.into_iter().filter_map(with_files).collect();
    if let [(first, _), (second, _), ..] = &found[..] {
        let found = format!("{} and {}", first.display(), second.display());
        return Err(DataError::invalid(
            folder,
            "one data set, by its folder",
            found,
        ));
    }
    Ok(found.pop())
}

/// The files of a split by the names that are in use.
fn named(folder: &Path, split: Split) -> Option<Files> {
    let stems: &[&str] = match split {
        Split::Train => &["train"],
        Split::Test => &["t10k", "test"],
    };
    let first = |part: &str, dimensions: u8| {
        stems.iter().find_map(|stem| {
            ["-", "."].iter().find_map(|dot| {
                ["", ".gz"]
                    .iter()
                    .map(|end| folder.join(format!("{stem}-{part}{dot}idx{dimensions}-ubyte{end}")))
                    .find(|path| path.is_file())
            })
        })
    };
    Some(Files {
        images: first("images", 3)?,
        labels: first("labels", 1)?,
    })
}

/// Reads both files.
pub(super) fn read(folder: &Path, files: &Files) -> Result<Images, DataError> {
    let (sizes, bytes) = read_idx(&files.images, IMAGES)?;
    let [count, height, width] = sizes.as_slice() else {
        return Err(DataError::invalid(
            &files.images,
            "three dimensions",
            format!("{}", sizes.len()),
        ));
    };
    let (label_sizes, labels) = read_idx(&files.labels, LABELS)?;
    if label_sizes != [*count] {
        return Err(DataError::invalid(
            &files.labels,
            format!("{count} labels, one for each image"),
            format!("{label_sizes:?}"),
        ));
    }
    // `raw` says nothing of the set.
    let parent = folder.parent().filter(|_| folder.ends_with("raw"));
    let name = parent
        .unwrap_or(folder)
        .file_name()
        .map_or_else(|| "idx".into(), |name| name.to_string_lossy().into_owned());
    Ok(Images {
        name,
        shape: [1, *height, *width],
        pixels: bytes
            .iter()
            .map(|&pixel| f32::from(pixel) / 255.0)
            .collect(),
        labels: labels.into_iter().map(u32::from).collect(),
    })
}

/// Sizes and bytes of one file. No more is read than the header promises, whatever a gzip expands to.
fn read_idx(path: &Path, magic: u32) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let io = |source| DataError::io(path, source);
    let file = io::BufReader::new(regular::open(path).map_err(io)?);
    let mut reader: Box<dyn Read> = if path.extension().is_some_and(|end| end == "gz") {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let found = read_u32(&mut reader).map_err(io)?;
    if found != magic {
        return Err(DataError::invalid(
            path,
            format!("an idx file with the number {magic:#06x} in front"),
            format!("{found:#06x}"),
        ));
    }
    let mut sizes = Vec::new();
    for _ in 0..magic & 0xff {
        sizes.push(read_u32(&mut reader).map_err(io)? as usize);
    }
    let total = sizes
        .iter()
        .try_fold(1u64, |total, &size| total.checked_mul(size as u64));
    let Some(total) = total.filter(|total| *total <= LARGEST) else {
        return Err(DataError::invalid(
            path,
            format!("at most {LARGEST} bytes of data"),
            format!("sizes {sizes:?}"),
        ));
    };
    let mut bytes = Vec::new();
    reader.take(total).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 != total {
        return Err(DataError::invalid(
            path,
            format!("{total} bytes of data as its header says"),
            format!("{}", bytes.len()),
        ));
    }
    Ok((sizes, bytes))
}

fn read_u32(reader: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::super::{Request, load};
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn idx(magic: u32, sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
        let numbers = [magic].into_iter().chain(sizes.iter().copied());
        numbers
            .flat_map(u32::to_be_bytes)
            .chain(bytes.iter().copied())
            .collect()
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Loads a folder with these two files and says how it went.
    fn said(images: &[u8], labels: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("train-images-idx3-ubyte"), images).unwrap();
        fs::write(folder.path().join("train-labels-idx1-ubyte.gz"), gz(labels)).unwrap();
        load(&Request::whole(folder.path())).map_or_else(
            |e| e.to_string(),
            |data| format!("{:?} {:?}", data.image().unwrap(), data.labels().unwrap()),
        )
    }

    #[test]
    fn plain_and_gzipped_files_are_read() {
        let images = idx(
            IMAGES,
            &[2, 2, 3],
            &[0, 51, 102, 153, 204, 255, 1, 2, 3, 4, 5, 6],
        );
        assert_eq!(
            said(&images, &idx(LABELS, &[2], &[7, 1])),
            "[1, 2, 3] [7, 1]"
        );
    }

    #[test]
    fn the_folders_that_torchvision_makes_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let raw = folder.path().join(name).join("raw");
            fs::create_dir_all(&raw).unwrap();
            let images = idx(IMAGES, &[1, 1, 2], &[0, 255]);
            fs::write(raw.join("train-images-idx3-ubyte"), images).unwrap();
            fs::write(raw.join("train-labels-idx1-ubyte"), idx(LABELS, &[1], &[3])).unwrap();
        };
        make("FashionMNIST");
        for below in ["", "FashionMNIST", "FashionMNIST/raw"] {
            let data = load(&Request::whole(folder.path().join(below))).unwrap();
            assert_eq!(
                (data.name.as_str(), data.labels()),
                ("FashionMNIST", Some(vec![3]))
            );
        }
        make("MNIST");
        let sentence = load(&Request::whole(folder.path()))
            .unwrap_err()
            .to_string();
        assert!(sentence.contains("FashionMNIST/raw and"), "{sentence}");
    }

    #[test]
    fn damage_is_named() {
        let images = idx(IMAGES, &[1, 1, 2], &[0, 1]);
        let labels = idx(LABELS, &[1], &[7]);
        assert!(
            said(&images[..17], &labels)
                .contains("expected 2 bytes of data as its header says, found 1")
        );
        assert!(
            said(&labels, &labels)
                .contains("expected an idx file with the number 0x0803 in front, found 0x0801")
        );
        assert!(said(&images, &idx(LABELS, &[2], &[7, 7])).contains("expected 1 labels"));
        assert!(said(&idx(IMAGES, &[u32::MAX; 3], &[]), &labels).contains("at most"));
        assert!(said(&images[..3], &labels).contains("cannot be read"));
    }
}
