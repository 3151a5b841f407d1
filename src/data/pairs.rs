//! Images or tables, and their labels, as two arrays of a file.

use std::path::Path;

use super::array::{Kind, Rows};
use super::arrays::{Arrays, LARGEST, check_size, listed, stem};
use super::images::{Chosen, Images};
use super::{DataError, DataRequest, select, table};

/// Names under which images and labels are found, after those with the split in them.
const PAIRS: [(&str, &str); 10] = [
    ("images", "labels"),
    ("x", "y"),
    ("X", "y"),
    ("X", "Y"),
    ("data", "labels"),
    ("data", "targets"),
    ("inputs", "targets"),
    ("features", "labels"),
    ("features", "targets"),
    ("arr_0", "arr_1"),
];
/// The largest label: more classes are none.
const LARGEST_LABEL: f32 = 1e6;
/// An image has at most this many channels: it tells (N, H, W, C) from (N, C, H, W).
const MOST_CHANNELS: usize = 4;

/// Reads the labels, and of the images those that are asked for; brings them to (N, C, H, W) and bytes to 0 … 1.
pub(super) fn read(
    path: &Path,
    arrays: &mut dyn Arrays,
    request: &DataRequest,
) -> Result<(Images, Chosen), DataError> {
    let (x, y) = choose(path, &arrays.names(), request.split.name())?;
    let head = arrays.open(&x)?.0;
    check_size(path, &x, &head, LARGEST)?;
    let (shape, layout) = layout(path, &head.shape)?;
    select::check(path, head.rows(), request)?;
    let indices = select::chosen(head.rows(), request);
    let (labels, classes) = labels(path, arrays, &y, head.rows(), &indices)?;
    let data = arrays.open(&x)?.1;
    let mut rows = head
        .read(data, &indices)
        .map_err(|error| DataError::io(path, error))?;
    let scale = scale(&rows, head.kind, layout);
    let is_whole = layout == AxisOrder::Table && scale == 1.0;
    let scales = is_whole.then(|| table::scales(&rows)).flatten();
    for value in &mut rows.values {
        *value /= scale;
    }
    let brightness = rows.mean() / f64::from(scale);
    let pixels = match layout {
        AxisOrder::ChannelsLast => to_channels_first(&rows.values, shape),
        AxisOrder::ChannelsFirst | AxisOrder::Table => rows.values,
    };
    let images = Images {
        name: stem(path),
        shape,
        pixels,
        labels,
    };
    let chosen = Chosen {
        indices,
        brightness: brightness as f32,
        classes,
        scales,
    };
    Ok((images, chosen))
}

/// Returns the divisor of the values: pixels come as 0 … 255 or as 0 … 1, or have been normalized already; the
/// features of a table are what they are, unless they are bytes.
fn scale(rows: &Rows, kind: Kind, layout: AxisOrder) -> f32 {
    let is_of_pixels = layout != AxisOrder::Table || kind == Kind::U8;
    if is_of_pixels && rows.max > 1.0 && rows.min >= 0.0 {
        255.0
    } else {
        1.0
    }
}

/// Returns the names of images and labels that a split may have, the likeliest first.
fn candidates(split: &str) -> Vec<(String, String)> {
    let mut pairs = vec![
        (format!("x_{split}"), format!("y_{split}")),
        (format!("{split}_images"), format!("{split}_labels")),
        (format!("X_{split}"), format!("y_{split}")),
        (format!("X_{split}"), format!("Y_{split}")),
        (format!("{split}_x"), format!("{split}_y")),
        (format!("{split}_data"), format!("{split}_labels")),
    ];
    pairs.extend(PAIRS.map(|(x, y)| (x.to_owned(), y.to_owned())));
    pairs
}

fn choose(path: &Path, names: &[String], split: &str) -> Result<(String, String), DataError> {
    let there = |name: &String| names.contains(name);
    let found = candidates(split)
        .into_iter()
        .find(|(x, y)| there(x) && there(y));
    found.ok_or_else(|| {
        DataError::invalid(
            path,
            format!("arrays images and labels, or x_{split} and y_{split}"),
            listed(names),
        )
    })
}

/// Order of the axes behind the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AxisOrder {
    ChannelsFirst,
    ChannelsLast,
    /// Features, which are no pixels.
    Table,
}

/// Returns the channels, height and width, and where they stand.
fn layout(path: &Path, shape: &[usize]) -> Result<([usize; 3], AxisOrder), DataError> {
    match *shape {
        [_, ref row @ ..] if row.contains(&0) => Err(DataError::invalid(
            path,
            "images of at least one pixel",
            format!("shape {shape:?}"),
        )),
        [_, features] => Ok(([1, 1, features], AxisOrder::Table)),
        [_, h, w] => Ok(([1, h, w], AxisOrder::ChannelsFirst)),
        [_, c, h, w] if c <= MOST_CHANNELS => Ok(([c, h, w], AxisOrder::ChannelsFirst)),
        [_, h, w, c] if c <= MOST_CHANNELS => Ok(([c, h, w], AxisOrder::ChannelsLast)),
        _ => Err(DataError::invalid(
            path,
            "images of shape (N, H, W), (N, C, H, W) or (N, H, W, C), or a table of shape (N, F)",
            format!("shape {shape:?}"),
        )),
    }
}

/// Reads the labels of these samples, and one more than the largest of all: one whole number for each image, or a row
/// of zeros with a one at its place.
fn labels(
    path: &Path,
    arrays: &mut dyn Arrays,
    name: &str,
    count: usize,
    indices: &[usize],
) -> Result<(Vec<u32>, usize), DataError> {
    let (mut head, data) = arrays.open(name)?;
    check_size(path, name, &head, LARGEST)?;
    let shape = head.shape.clone();
    let wrong = |expected: &str, found: String| Err(DataError::invalid(path, expected, found));
    let expected = format!("{count} labels, one for each image");
    let is_one_hot = matches!(shape[..], [rows, columns] if rows == count && columns > 1);
    let is_line = shape.iter().filter(|extent| **extent != 1).count() <= 1;
    if is_line && shape.iter().product::<usize>() == count {
        head.shape = vec![count];
    } else if !is_one_hot {
        return wrong(&expected, format!("shape {shape:?}"));
    }
    let rows = head.read(data, indices);
    let rows = rows.map_err(|error| DataError::io(path, error))?;
    if is_one_hot {
        let labels: Option<Vec<u32>> = rows.values.chunks(shape[1]).map(one_of).collect();
        let Some(labels) = labels else {
            let found = format!("shape {shape:?} with rows that are not one 1 among zeros");
            return wrong(&expected, found);
        };
        return Ok((labels, shape[1]));
    }
    let is_class = |label: &f32| *label >= 0.0 && label.fract() == 0.0 && *label <= LARGEST_LABEL;
    let whole = "labels that are whole numbers from 0 (for targets of another kind export the model, see `isoloss help model`)";
    if let Some(at) = rows.values.iter().position(|label| !is_class(label)) {
        let found = format!("label {} of sample {}", rows.values[at], indices[at]);
        return wrong(whole, found);
    }
    if count > 0 && !is_class(&rows.max.trunc()) {
        return wrong(whole, format!("label {}", rows.max));
    }
    let labels = rows.values.iter().map(|label| *label as u32).collect();
    let classes = if count > 0 { rows.max as usize + 1 } else { 0 };
    Ok((labels, classes))
}

/// Returns the place of the one among zeros; `None` if the row is another.
fn one_of(row: &[f32]) -> Option<u32> {
    let ones = row.iter().filter(|value| **value == 1.0).count();
    let zeros = row.iter().filter(|value| **value == 0.0).count();
    let at = row.iter().position(|value| *value == 1.0)?;
    (ones == 1 && ones + zeros == row.len()).then_some(at as u32)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::super::{DataRequest, load};
    use super::choose;
    use npyz::{AutoSerialize, WriterBuilder};
    use std::fs::File;
    use std::io::Write;
    use zip::{ZipWriter, write::SimpleFileOptions};

    #[test]
    fn an_archive_of_many_arrays_is_refused_in_a_short_sentence() {
        let names: Vec<String> = (0..60_000).map(|at| format!("a{at}")).collect();
        let error = choose(std::path::Path::new("a.npz"), &names, "train").unwrap_err();
        let error = error.to_string();
        assert!(error.contains("a7 … and 59992 more"), "{error}");
        assert!(error.len() < 300, "{error}");
    }

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
        let labels = npy(&[y.1.len() as u64], y.1);
        loaded((x.0, npy(x.1, x.2)), (y.0, labels))
    }

    fn loaded(x: (&str, Vec<u8>), y: (&str, Vec<u8>)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.npz");
        let mut archive = ZipWriter::new(File::create(&path).unwrap());
        for (name, bytes) in [x, y] {
            archive
                .start_file(format!("{name}.npy"), SimpleFileOptions::default())
                .unwrap();
            archive.write_all(&bytes).unwrap();
        }
        archive.finish().unwrap();
        load(&DataRequest::whole(&path)).map_or_else(
            |e| e.to_string(),
            |data| {
                format!(
                    "{:?} {:?} {:?}",
                    data.image().unwrap(),
                    data.pixels(),
                    data.labels().unwrap()
                )
            },
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
        assert!(said(x(&[2]), ("y", vec![1, 1])).contains("found shape [2]"));
        assert!(said(x(&[1, 1, 1]), ("y", vec![-1])).contains("found label -1"));
        assert!(said(x(&[1, 1, 1]), ("z", vec![1])).contains("expected arrays images and labels"));
    }

    #[test]
    fn arrays_that_the_file_cannot_hold_take_no_memory() {
        let head = |shape: &str| {
            let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
            [
                b"\x93NUMPY\x01\0".as_slice(),
                &(text.len() as u16).to_le_bytes(),
                text.as_bytes(),
            ]
            .concat()
        };
        for (images, labels, told) in [
            (
                "(0, 1152921504606846976)",
                "(0,)",
                "of at most 2147483648 elements",
            ),
            (
                "(0, 4294967296, 4294967296)",
                "(0,)",
                "array images of shape",
            ),
            ("(1073741824, 0)", "(1073741824, 0)", "at least one pixel"),
            ("(1073741824, 1)", "(1073741824,)", "whole, found"),
            ("(2, 1073741824)", "(2,)", "whole, found"),
        ] {
            let said = loaded(("images", head(images)), ("labels", head(labels)));
            assert!(said.contains(told), "{said}");
        }
    }

    #[test]
    fn a_table_has_its_features_as_they_are_and_labels_may_be_one_hot() {
        let table = npy(&[2, 3], vec![0.5, -2.0, 7.0, 1.0, 2.0, 3.0f64]);
        let one_hot = npy(&[2, 4], vec![0, 0, 1, 0, 1, 0, 0, 0i64]);
        let expected = "[1, 1, 3] [0.5, -2.0, 7.0, 1.0, 2.0, 3.0] [2, 0]";
        assert_eq!(loaded(("X", table.clone()), ("y", one_hot)), expected);
        let whole = npy(&[2, 1], vec![2.0, 0.0f32]);
        assert_eq!(loaded(("X", table.clone()), ("y", whole)), expected);
        let mixed = npy(&[2, 2], vec![1, 1, 0, 1i64]);
        let sentence = loaded(("X", table.clone()), ("y", mixed));
        assert!(sentence.contains("not one 1 among zeros"), "{sentence}");
        let halves = npy(&[2], vec![0.5, 0.0f32]);
        let sentence = loaded(("X", table), ("y", halves));
        assert!(sentence.contains("label 0.5 of sample 0"), "{sentence}");
    }

    #[test]
    fn a_sample_that_is_not_finite_is_named_by_its_place() {
        let mut pixels = vec![0.25f32; 12];
        pixels[9] = f32::NAN;
        let labels = npy(&[3], vec![0, 1, 1i64]);
        let sentence = loaded(("images", npy(&[3, 2, 2], pixels)), ("labels", labels));
        assert!(sentence.contains("found NaN in sample 2"), "{sentence}");
    }

    #[test]
    fn safetensors_hold_whole_numbers_too() {
        use safetensors::tensor::{Dtype, TensorView, serialize};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.safetensors");
        let (pixels, labels) = ([0u8, 255, 51, 0], [1u8, 0]);
        let view = |dtype, shape: &[usize], bytes: &'static [u8]| {
            TensorView::new(dtype, shape.to_vec(), bytes).unwrap()
        };
        let pixels: &'static [u8] = pixels.to_vec().leak();
        let labels: &'static [u8] = labels.to_vec().leak();
        let tensors = [
            ("images", view(Dtype::U8, &[2, 1, 2], pixels)),
            ("labels", view(Dtype::BOOL, &[2], labels)),
        ];
        std::fs::write(&path, serialize(tensors, None).unwrap()).unwrap();
        let data = load(&DataRequest::whole(&path)).unwrap();
        assert_eq!(
            (data.pixels(), data.labels()),
            ([0.0, 1.0, 0.2, 0.0].as_slice(), Some(vec![1, 0]))
        );
    }
}
