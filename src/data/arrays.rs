//! Images and labels as named arrays: `.npz` and `.safetensors` files.

use std::io::{self, BufReader, Read};
use std::path::Path;

use npyz::{DType, NpyFile};
use zip::ZipArchive;

use crate::run::format::StateDict;
use crate::run::regular;

use super::{DataError, Images, Split};

/// Names under which images and labels are found, after those with the split in them.
const PAIRS: [(&str, &str); 4] = [
    ("images", "labels"),
    ("x", "y"),
    ("X", "y"),
    ("data", "labels"),
];
/// An image has at most this many channels: it tells (N, H, W, C) from (N, C, H, W).
const MOST_CHANNELS: usize = 4;
/// Elements of the largest array that is read.
const LARGEST: usize = 1 << 31;

/// One array, whatever its type was.
struct Array {
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// Names of images and labels that a split may have, the likeliest first.
fn candidates(split: Split) -> Vec<(String, String)> {
    let split = split.name();
    let mut pairs = vec![
        (format!("x_{split}"), format!("y_{split}")),
        (format!("{split}_images"), format!("{split}_labels")),
        (format!("X_{split}"), format!("y_{split}")),
    ];
    pairs.extend(PAIRS.map(|(x, y)| (x.to_owned(), y.to_owned())));
    pairs
}

fn choose(path: &Path, names: &[String], split: Split) -> Result<(String, String), DataError> {
    let there = |name: &String| names.contains(name);
    let found = candidates(split)
        .into_iter()
        .find(|(x, y)| there(x) && there(y));
    found.ok_or_else(|| {
        wrong(
            path,
            format!("arrays images and labels, or x_{0} and y_{0}", split.name()),
            names.join(", "),
        )
    })
}

pub(super) fn read_npz(path: &Path, split: Split) -> Result<Images, DataError> {
    let io = |source: io::Error| DataError::Io {
        path: path.to_path_buf(),
        source,
    };
    let file = BufReader::new(regular::open(path).map_err(io)?);
    let mut archive = ZipArchive::new(file).map_err(|error| io(error.into()))?;
    let entries = archive.file_names().flatten();
    let names: Vec<String> = entries
        .filter_map(|name| Some(name.strip_suffix(".npy")?.to_owned()))
        .collect();
    let (x, y) = choose(path, &names, split)?;
    let mut read = |name: &str| -> Result<Array, DataError> {
        let entry = archive
            .by_name(&format!("{name}.npy"))
            .map_err(|error| io(error.into()))?;
        read_npy(path, name, NpyFile::new(entry).map_err(io)?)
    };
    let (images, labels) = (read(&x)?, read(&y)?);
    assemble(path, images, labels)
}

fn read_npy<R: Read>(path: &Path, name: &str, array: NpyFile<R>) -> Result<Array, DataError> {
    let shape: Vec<usize> = array.shape().iter().map(|&n| n as usize).collect();
    check_size(path, name, &shape)?;
    if array.order() != npyz::Order::C {
        return Err(wrong(
            path,
            format!("array {name} in C order"),
            "Fortran order".into(),
        ));
    }
    let DType::Plain(kind) = array.dtype() else {
        return Err(wrong(
            path,
            format!("numbers in array {name}"),
            "records".into(),
        ));
    };
    let io = |source: io::Error| DataError::Io {
        path: path.to_path_buf(),
        source,
    };
    // Labels and pixels are whole numbers below 2²⁴ or floats already.
    let values = match (kind.type_char(), kind.size_field()) {
        (npyz::TypeChar::Uint, 1) => array
            .into_vec::<u8>()
            .map_err(io)?
            .into_iter()
            .map(f32::from)
            .collect(),
        (npyz::TypeChar::Float, 4) => array.into_vec::<f32>().map_err(io)?,
        (npyz::TypeChar::Float, 8) => narrow(array.into_vec::<f64>().map_err(io)?, |v| v as f32),
        (npyz::TypeChar::Int, 8) => narrow(array.into_vec::<i64>().map_err(io)?, |v| v as f32),
        (npyz::TypeChar::Int, 4) => narrow(array.into_vec::<i32>().map_err(io)?, |v| v as f32),
        _ => {
            return Err(wrong(
                path,
                format!("array {name} of u8, i32, i64, f32 or f64"),
                kind.to_string(),
            ));
        }
    };
    Ok(Array { shape, values })
}

fn narrow<T>(values: Vec<T>, value: impl Fn(T) -> f32) -> Vec<f32> {
    values.into_iter().map(value).collect()
}

/// Tensors must be of a float type: what the reader of checkpoints reads.
pub(super) fn read_safetensors(path: &Path, split: Split) -> Result<Images, DataError> {
    let dict = StateDict::open(path, None).map_err(|error| DataError::Io {
        path: path.to_path_buf(),
        source: io::Error::other(error),
    })?;
    let names: Vec<String> = dict
        .tensors()
        .iter()
        .map(|tensor| tensor.name.clone())
        .collect();
    let (x, y) = choose(path, &names, split)?;
    let read = |name: &str| -> Result<Array, DataError> {
        let index = names
            .iter()
            .position(|known| known == name)
            .unwrap_or_default();
        let shape = dict.tensors()[index].shape.clone();
        check_size(path, name, &shape)?;
        let values = dict
            .read(index, 0..shape.iter().product())
            .map_err(|error| DataError::Io {
                path: path.to_path_buf(),
                source: io::Error::other(error),
            })?;
        Ok(Array { shape, values })
    };
    let (images, labels) = (read(&x)?, read(&y)?);
    assemble(path, images, labels)
}

fn check_size(path: &Path, name: &str, shape: &[usize]) -> Result<(), DataError> {
    let total = shape
        .iter()
        .try_fold(1usize, |total, &n| total.checked_mul(n));
    match total {
        Some(total) if total <= LARGEST => Ok(()),
        _ => Err(wrong(
            path,
            format!("array {name} of at most {LARGEST} elements"),
            format!("shape {shape:?}"),
        )),
    }
}

/// Checks shapes and labels, brings images to (N, C, H, W) and bytes to 0 … 1.
fn assemble(path: &Path, images: Array, labels: Array) -> Result<Images, DataError> {
    let (shape, channels_last) = image_shape(path, &images.shape)?;
    let labels = whole_labels(path, images.shape[0], labels)?;
    let mut pixels = images.values;
    if channels_last {
        pixels = to_channels_first(&pixels, shape);
    }
    // Bytes and floats alike come as 0 … 255 or as 0 … 1.
    if pixels.iter().any(|pixel| *pixel > 1.0) {
        for pixel in &mut pixels {
            *pixel /= 255.0;
        }
    }
    let stem = path
        .file_stem()
        .map(|name| name.to_string_lossy().into_owned());
    Ok(Images {
        name: stem.unwrap_or_else(|| "arrays".into()),
        shape,
        pixels,
        labels,
    })
}

/// Channels, height and width, and whether the channels are last.
fn image_shape(path: &Path, shape: &[usize]) -> Result<([usize; 3], bool), DataError> {
    match *shape {
        [_, h, w] => Ok(([1, h, w], false)),
        [_, c, h, w] if c <= MOST_CHANNELS => Ok(([c, h, w], false)),
        [_, h, w, c] if c <= MOST_CHANNELS => Ok(([c, h, w], true)),
        _ => Err(wrong(
            path,
            "images of shape (N, H, W), (N, C, H, W) or (N, H, W, C)".into(),
            format!("shape {shape:?}"),
        )),
    }
}

/// One whole number for each image.
fn whole_labels(path: &Path, count: usize, labels: Array) -> Result<Vec<u32>, DataError> {
    if labels.values.len() != count {
        let expected = format!("{count} labels, one for each image");
        return Err(wrong(path, expected, format!("shape {:?}", labels.shape)));
    }
    let is_class = |label: &f32| *label >= 0.0 && label.fract() == 0.0 && *label <= 1e6;
    match labels.values.iter().find(|label| !is_class(label)) {
        Some(bad) => Err(wrong(
            path,
            "labels that are whole numbers from 0".into(),
            format!("label {bad}"),
        )),
        None => Ok(labels
            .values
            .into_iter()
            .map(|label| label as u32)
            .collect()),
    }
}

fn to_channels_first(pixels: &[f32], [channels, height, width]: [usize; 3]) -> Vec<f32> {
    let plane = height * width;
    let images = pixels.chunks((plane * channels).max(1));
    let first = |image: &[f32]| -> Vec<f32> {
        (0..channels)
            .flat_map(|c| (0..plane).map(move |at| (at, c)))
            .map(|(at, c)| image[at * channels + c])
            .collect()
    };
    images.flat_map(first).collect()
}

fn wrong(path: &Path, expected: String, found: String) -> DataError {
    DataError::Invalid {
        path: path.to_path_buf(),
        expected,
        found,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::super::{Request, load};
    use npyz::{AutoSerialize, WriterBuilder};
    use std::fs::File;
    use std::io::Write;
    use zip::{ZipWriter, write::SimpleFileOptions};

    fn npy<T: AutoSerialize>(shape: &[u64], values: Vec<T>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(shape)
            .writer(&mut bytes)
            .begin_nd()
            .unwrap();
        writer.extend(values).unwrap();
        writer.finish().unwrap();
        bytes
    }

    /// Writes an `.npz` and loads it: its shape, pixels and labels, or the error.
    fn said(x: (&str, &[u64], Vec<u8>), y: (&str, Vec<i64>)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.npz");
        let mut archive = ZipWriter::new(File::create(&path).unwrap());
        for (name, bytes) in [(x.0, npy(x.1, x.2)), (y.0, npy(&[y.1.len() as u64], y.1))] {
            archive
                .start_file(format!("{name}.npy"), SimpleFileOptions::default())
                .unwrap();
            archive.write_all(&bytes).unwrap();
        }
        archive.finish().unwrap();
        load(&Request::whole(&path)).map_or_else(
            |e| e.to_string(),
            |data| format!("{:?} {:?} {:?}", data.shape, data.pixels, data.labels),
        )
    }

    #[test]
    fn channels_last_becomes_channels_first_and_bytes_become_shares() {
        let x = ("x_train", [1, 1, 2, 2].as_slice(), vec![0, 51, 255, 204]);
        assert_eq!(
            said(x, ("y_train", vec![3])),
            "[1, 2, 2] [0.0, 0.2, 1.0, 0.8] [3]"
        );
        let x = (
            "images",
            [1, 5, 1, 2].as_slice(),
            vec![0, 255, 51, 0, 0, 255, 0, 255, 0, 0],
        );
        let said = said(x, ("labels", vec![1]));
        assert_eq!(
            said,
            "[2, 5, 1] [0.0, 0.2, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0] [1]"
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let x =
            |shape: &'static [u64]| ("x", shape, vec![0; shape.iter().product::<u64>() as usize]);
        assert!(said(x(&[2, 1, 1]), ("y", vec![1])).contains("expected 2 labels"));
        assert!(said(x(&[2, 1]), ("y", vec![1, 1])).contains("found shape [2, 1]"));
        assert!(said(x(&[1, 1, 1]), ("y", vec![-1])).contains("found label -1"));
        assert!(said(x(&[1, 1, 1]), ("z", vec![1])).contains("expected arrays images and labels"));
    }
}
