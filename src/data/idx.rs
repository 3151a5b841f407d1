//! idx folders, the format of MNIST and its relatives, gzipped or not.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::run::regular;

use super::array::{Head, Kind, Rows};
use super::arrays::RATIO;
use super::images::{Chosen, Images};
use super::{DataError, DataRequest, Split, select};

/// Magic numbers: unsigned bytes in 3 and in 1 dimensions.
const IMAGES: u32 = 0x0803;
const LABELS: u32 = 0x0801;
/// The brightest pixel.
const FULL: f32 = 255.0;
/// Bytes of data that a header may claim.
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

/// Returns the files of a split by the names that are in use.
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

/// Reads the images that are asked for, and their labels.
pub(super) fn read(
    folder: &Path,
    files: &Files,
    request: &DataRequest,
) -> Result<(Images, Chosen), DataError> {
    let images = Idx::open(&files.images, IMAGES)?;
    let labels = Idx::open(&files.labels, LABELS)?;
    let &[count, height, width] = images.head.shape.as_slice() else {
        let found = images.head.shape.len().to_string();
        return Err(DataError::invalid(&files.images, "three dimensions", found));
    };
    if labels.head.shape != [count] {
        return Err(DataError::invalid(
            &files.labels,
            format!("{count} labels, one for each image"),
            format!("{:?}", labels.head.shape),
        ));
    }
    if height * width == 0 {
        let found = format!("{height}×{width}");
        return Err(DataError::invalid(
            &files.images,
            "images of at least one pixel",
            found,
        ));
    }
    select::check(&files.images, count, request)?;
    let indices = select::chosen(count, request);
    let pixels = images.rows(&indices)?;
    let labels = labels.rows(&indices)?;
    // `raw` says nothing of the set.
    let parent = folder.parent().filter(|_| folder.ends_with("raw"));
    let name = parent
        .unwrap_or(folder)
        .file_name()
        .map_or_else(|| "idx".into(), |name| name.to_string_lossy().into_owned());
    let classes = if count > 0 {
        labels.max as usize + 1
    } else {
        0
    };
    let chosen = Chosen {
        indices,
        brightness: (pixels.mean() / f64::from(FULL)) as f32,
        classes,
        scales: None,
    };
    let images = Images {
        name,
        shape: [1, height, width],
        pixels: pixels.values.iter().map(|pixel| pixel / FULL).collect(),
        labels: labels.values.iter().map(|label| *label as u32).collect(),
    };
    Ok((images, chosen))
}

/// A file of bytes, its head read.
struct Idx<'a> {
    path: &'a Path,
    head: Head,
    data: Counted,
}

/// Bytes that are counted as they are read.
struct Counted {
    from: Box<dyn Read>,
    count: u64,
}

impl Read for Counted {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(bytes)?;
        self.count += count as u64;
        Ok(count)
    }
}

impl<'a> Idx<'a> {
    fn open(path: &'a Path, magic: u32) -> Result<Self, DataError> {
        let io = |source| DataError::io(path, source);
        let file = regular::open(path).map_err(io)?;
        let mut size = file.metadata().map_err(io)?.len();
        let file = io::BufReader::new(file);
        let mut from: Box<dyn Read> = if path.extension().is_some_and(|end| end == "gz") {
            size = size.saturating_mul(RATIO);
            Box::new(GzDecoder::new(file))
        } else {
            Box::new(file)
        };
        let found = read_u32(&mut from).map_err(io)?;
        if found != magic {
            return Err(DataError::invalid(
                path,
                format!("an idx file with the number {magic:#06x} in front"),
                format!("{found:#06x}"),
            ));
        }
        let mut shape = Vec::new();
        for _ in 0..magic & 0xff {
            shape.push(read_u32(&mut from).map_err(io)? as usize);
        }
        let head = Head {
            shape,
            kind: Kind::U8,
            big_endian: true,
            fortran: false,
        };
        if head.bound().is_none_or(|bound| bound as u64 > LARGEST) {
            let expected = format!("at most {LARGEST} bytes of data");
            let found = format!("sizes {:?}", head.shape);
            return Err(DataError::invalid(path, expected, found));
        }
        if !head.fits(size) {
            let expected = format!("data of sizes {:?} as its header says", head.shape);
            return Err(DataError::invalid(
                path,
                expected,
                format!("at most {size} bytes"),
            ));
        }
        let data = Counted { from, count: 0 };
        Ok(Self { path, head, data })
    }

    /// Reads these rows; all of the file is looked at.
    fn rows(mut self, chosen: &[usize]) -> Result<Rows, DataError> {
        let total: usize = self.head.shape.iter().product();
        self.head.read(&mut self.data, chosen).map_err(|error| {
            if error.kind() != io::ErrorKind::UnexpectedEof {
                return DataError::io(self.path, error);
            }
            DataError::invalid(
                self.path,
                format!("{total} bytes of data as its header says"),
                format!("{}", self.data.count),
            )
        })
    }
}

fn read_u32(reader: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::super::{DataRequest, load};
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
        load(&DataRequest::whole(folder.path())).map_or_else(
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
            let data = load(&DataRequest::whole(folder.path().join(below))).unwrap();
            assert_eq!(
                (data.name.as_str(), data.labels()),
                ("FashionMNIST", Some(vec![3]))
            );
        }
        make("MNIST");
        let sentence = load(&DataRequest::whole(folder.path()))
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
        let nothing = said(&idx(IMAGES, &[9, 0, 5], &[]), &idx(LABELS, &[9], &[7; 9]));
        assert!(
            nothing.contains("at least one pixel, found 0×5"),
            "{nothing}"
        );
        let absent = said(&idx(IMAGES, &[1 << 20, 9, 9], &[]), &labels);
        assert!(
            absent.contains("[1048576, 9, 9] as its header says, found at most 16 bytes"),
            "{absent}"
        );
    }
}
