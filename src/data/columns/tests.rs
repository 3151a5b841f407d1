//! Columns of files, told and untold.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::PathBuf;

use half::{bf16, f16};
use npyz::WriterBuilder;
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use tempfile::TempDir;

use super::super::{Count, DataRequest, SampleOrder, load};
use super::*;

fn bytes<const N: usize, T: Copy>(values: &[T], of: fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|value| of(*value)).collect()
}

/// Writes a file of these arrays of ten rows of floats, whole numbers and others.
fn file(arrays: &[(&str, Dtype, &[usize], Vec<u8>)]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.safetensors");
    let views = arrays.iter().map(|(name, dtype, shape, bytes)| {
        (
            *name,
            TensorView::new(*dtype, shape.to_vec(), bytes).unwrap(),
        )
    });
    fs::write(&path, serialize(views, None).unwrap()).unwrap();
    (folder, path)
}

fn request(path: impl Into<PathBuf>, inputs: &[&str], target: Option<&str>) -> DataRequest {
    DataRequest {
        columns: Some(Columns {
            inputs: inputs.iter().copied().map(str::to_owned).collect(),
            target: target.map(str::to_owned),
            ..Columns::default()
        }),
        ..DataRequest::whole(path)
    }
}

/// Returns the names of inputs and target, or the error.
fn said(request: &DataRequest) -> String {
    load(request).map_or_else(
        |error| error.to_string(),
        |data| {
            let names: Vec<&str> = data.inputs.iter().map(|input| &*input.name).collect();
            let target = data.target.as_ref().map(|target| &*target.name);
            format!("{} -> {}", names.join(" "), target.unwrap_or("nothing"))
        },
    )
}

fn floats(count: usize) -> Vec<u8> {
    let values: Vec<f32> = (0..count).map(|i| 300.0 + i as f32).collect();
    bytes(&values, f32::to_le_bytes)
}

fn ids(count: i64) -> Vec<u8> {
    bytes(&(0..count).collect::<Vec<_>>(), i64::to_le_bytes)
}

#[test]
fn every_type_is_a_float_or_a_whole_number_and_nothing_is_normalized() {
    let halves = [0.5, -300.0].map(f16::from_f32);
    let brains = [0.5, -256.0].map(bf16::from_f32);
    let (_folder, path) = file(&[
        ("a", Dtype::F16, &[2], bytes(&halves, f16::to_le_bytes)),
        ("b", Dtype::BF16, &[2], bytes(&brains, bf16::to_le_bytes)),
        ("c", Dtype::F64, &[2], bytes(&[0.5, 1e3], f64::to_le_bytes)),
        ("d", Dtype::U8, &[2, 1, 1], vec![255, 7]),
        ("e", Dtype::BOOL, &[2], vec![1, 0]),
        (
            "y",
            Dtype::I64,
            &[2],
            bytes(&[-100, (1 << 53) + 1], i64::to_le_bytes),
        ),
    ]);
    let data = load(&request(path, &["a", "b", "c", "d", "e"], None)).unwrap();
    let values: Vec<&ColumnValues> = data.inputs.iter().map(|input| &input.values).collect();
    assert_eq!(*values[0], ColumnValues::F32(vec![0.5, -300.0]));
    assert_eq!(*values[1], ColumnValues::F32(vec![0.5, -256.0]));
    assert_eq!(*values[2], ColumnValues::F32(vec![0.5, 1e3]));
    assert_eq!(*values[3], ColumnValues::I64(vec![255, 7]));
    assert_eq!(*values[4], ColumnValues::I64(vec![1, 0]));
    assert_eq!(data.inputs[3].shape, [1, 1]);
    let target = data.target.unwrap();
    assert_eq!(target.values, ColumnValues::I64(vec![-100, (1 << 53) + 1]));
    assert!(target.shape.is_empty());
}

#[test]
fn arguments_and_target_are_taken_by_their_names() {
    let (_folder, path) = file(&[
        ("input_ids", Dtype::I64, &[3, 2], ids(6)),
        ("labels", Dtype::I64, &[3], ids(3)),
        ("loss", Dtype::F32, &[1], floats(1)),
        ("mask", Dtype::F32, &[3, 2], floats(6)),
        ("y", Dtype::F32, &[3, 1], floats(3)),
    ]);
    let said = |inputs: &[&str], target| said(&request(&path, inputs, target));
    assert_eq!(
        said(&["mask", "input_ids"], None),
        "mask input_ids -> labels"
    );
    // An argument is no target of its own, unless the user says so.
    assert_eq!(
        said(&["input_ids", "labels"], None),
        "input_ids labels -> y"
    );
    assert_eq!(said(&["mask"], Some("mask")), "mask -> mask");
    assert_eq!(said(&["mask"], Some("y")), "mask -> y");
    // What is not there by its name is matched by shape, so that all of as many rows are there.
    assert_eq!(said(&["mask", "ids"], None), "mask input_ids y -> labels");
    let sentence = said(&["mask"], Some("targets"));
    assert!(
        sentence.ends_with(
            "expected an array targets for --target, found input_ids, labels, loss, mask, y"
        ),
        "{sentence}"
    );
    let sentence = said(&["mask", "loss"], None);
    assert!(
        sentence.ends_with("expected as many rows in every array, found 3 in mask and 1 in loss"),
        "{sentence}"
    );
    let sentence = said(&[], None);
    assert_eq!(sentence, "input_ids mask y -> labels");
}

#[test]
fn rows_are_chosen_alike_in_every_column() {
    let (_folder, path) = file(&[
        ("x", Dtype::I64, &[50, 1], ids(50)),
        ("y", Dtype::I64, &[50], ids(50)),
    ]);
    let mut request = request(path, &["x"], None);
    (request.count, request.order) = (Count::At(9), SampleOrder::Random);
    let data = load(&request).unwrap();
    assert_eq!(data.samples(), 9);
    assert_eq!(
        Some(&data.inputs[0].values),
        data.target.as_ref().map(|y| &y.values)
    );
    assert_eq!(data.evenly_chosen(3).samples(), 3);
    request.seed = 1;
    assert_ne!(load(&request).unwrap().target, data.target);
}

#[test]
fn what_cannot_be_a_column_is_said() {
    let mut wrong = vec![0.0f32; 6];
    (wrong[4], wrong[5]) = (f32::NAN, f32::INFINITY);
    // More than float32 holds.
    let large = [1.0, -1e300, 1e300];
    let (_folder, path) = file(&[
        ("empty", Dtype::F32, &[3, 0], Vec::new()),
        ("large", Dtype::F64, &[3], bytes(&large, f64::to_le_bytes)),
        ("one", Dtype::F32, &[], floats(1)),
        ("x", Dtype::F32, &[3, 2], bytes(&wrong, f32::to_le_bytes)),
    ]);
    let said = |name| said(&request(&path, &[name], None));
    let expected = "d.safetensors: expected numbers that are finite in float32, found ";
    for (name, found) in [
        ("x", "NaN in x of sample 2"),
        ("large", "-inf in large of sample 1"),
    ] {
        let expected = format!("{expected}{found}, counted from 0");
        assert!(said(name).contains(&expected), "{}", said(name));
    }
    for name in ["empty", "one"] {
        let expected = format!("expected an array {name} with a row for each sample");
        assert!(said(name).contains(&expected), "{}", said(name));
    }
}

#[test]
fn figures_of_pixels_are_refused_where_columns_are_taken_as_they_are() {
    let (folder, path) = file(&[("x", Dtype::F32, &[3, 2], floats(6))]);
    let tokens = folder.path().join("train.bin");
    fs::write(&tokens, vec![0; 1200]).unwrap();
    let single = folder.path().join("x.npy");
    for source in [&path, &tokens, &single, &folder.path().to_path_buf()] {
        let of = |mean: Option<f32>, std: Option<f32>| DataRequest {
            mean: mean.map(|mean| vec![mean]),
            std: std.map(|std| vec![std]),
            ..request(source, &["x"], None)
        };
        for (of, option) in [
            (of(Some(0.5), None), "--mean"),
            (of(None, Some(2.0)), "--std"),
        ] {
            let said = said(&of);
            let expected = format!("{option}: {}", folder.path().display());
            assert!(said.starts_with(&expected), "{said}");
            assert!(said.contains("read in columns"), "{said}");
        }
    }
    // A set of images is normalized, whatever the model.
    let images = DataRequest {
        mean: Some(vec![0.5]),
        ..request("digits", &["x"], None)
    };
    assert_eq!(said(&images), "images -> labels");
}

#[test]
fn names_with_the_split_are_those_of_the_split() {
    let (_folder, path) = file(&[
        ("x_test", Dtype::F32, &[2], floats(2)),
        ("x_train", Dtype::F32, &[3], floats(3)),
        ("y_test", Dtype::F32, &[2], floats(2)),
        ("y_train", Dtype::F32, &[3], floats(3)),
    ]);
    let mut of = request(&path, &["x"], None);
    assert_eq!(
        (said(&of).as_str(), load(&of).unwrap().samples()),
        ("x -> y", 3)
    );
    of.split = Split::Test;
    assert_eq!(
        (said(&of).as_str(), load(&of).unwrap().samples()),
        ("x -> y", 2)
    );
    assert_eq!(
        said(&request(&path, &["x_test"], Some("x_test"))),
        "x_test -> x_test"
    );
}

#[test]
fn a_single_array_is_called_as_the_only_argument_or_as_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signal.npy");
    let writer = npyz::WriteOptions::new().default_dtype().shape(&[2, 3]);
    let mut writer = writer
        .writer(fs::File::create(&path).unwrap())
        .begin_nd()
        .unwrap();
    writer.extend((0..6).map(f64::from)).unwrap();
    writer.finish().unwrap();
    let data = load(&request(&path, &["x"], None)).unwrap();
    assert_eq!((data.samples(), &*data.inputs[0].name), (2, "x"));
    assert_eq!(data.pixels(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(said(&request(&path, &["x"], Some("x"))), "x -> x");
    assert_eq!(said(&request(&path, &["x"], Some("signal"))), "x -> x");
    assert_eq!(
        said(&request(&path, &[], Some("signal"))),
        "signal -> signal"
    );
    let sentence = said(&request(&path, &[], Some("y")));
    assert!(
        sentence.ends_with("expected an array y for --target, found signal"),
        "{sentence}"
    );
    assert!(
        load(&DataRequest::whole(&path)).is_err(),
        "the built-in ones take images"
    );
}

#[test]
fn sets_of_images_are_normalized_for_any_model() {
    let plain = load(&DataRequest::whole("digits")).unwrap();
    assert_eq!(load(&request("digits", &["x"], None)).unwrap(), plain);
    assert_eq!(said(&request("digits", &["x"], None)), "images -> labels");
}

#[test]
fn a_folder_has_a_file_for_each_split() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    fs::create_dir(&run).unwrap();
    let copy = |split: &str, value: f32| {
        let (_kept, path) = file(&[
            (
                "x",
                Dtype::F32,
                &[2, 1],
                bytes(&[value; 2], f32::to_le_bytes),
            ),
            ("target", Dtype::I64, &[2], ids(2)),
        ]);
        fs::copy(path, run.join(format!("{split}.safetensors"))).unwrap();
    };
    copy("train", 1.0);
    let of = |split| DataRequest {
        split,
        own: split,
        ..request(&run, &["x"], None)
    };
    let loaded = load(&of(Split::Train)).unwrap();
    assert_eq!((loaded.name.as_str(), loaded.samples()), ("run", 2));
    let wrong = said(&of(Split::Test));
    assert!(
        wrong.contains("expected test.safetensors or .npz, found train alone"),
        "{wrong}"
    );
    copy("test", 5.0);
    let loaded = load(&of(Split::Test)).unwrap();
    assert!(matches!(&loaded.inputs[0].values, ColumnValues::F32(values) if values == &[5.0; 2]));
}
