//! Deep networks against PyTorch: names and shapes of its state dicts, and its logits. The weights follow a
//! rule that tests/fixtures/models/make_deep.py tells.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use rstest::rstest;
use serde::Deserialize;

use super::tests::kernels;
use super::{Weights, recognize};
use crate::run::{Dtype, TensorInfo};
use crate::weights::Layout;

#[derive(Deserialize)]
struct Deep {
    tensors: Vec<(String, Vec<usize>)>,
    images: Vec<usize>,
    logits: Vec<Vec<f32>>,
    gain: f32,
}

/// Number of times that the kernels see each image.
const TIMES: usize = 9;

fn deep() -> HashMap<String, Deep> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/models/deep.json.gz"
    );
    let mut text = String::new();
    let mut file = flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap());
    file.read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Returns the element i of tensor t before it is scaled.
fn ruled(t: usize, count: usize) -> impl Iterator<Item = f32> {
    (0..count as u64).map(move |i| {
        let mixed = (i * 2_654_435_761 + t as u64 * 40_503 + 12_345) % (1 << 32);
        ((mixed >> 16) % 256) as f32 / 128.0 - 1.0
    })
}

fn tensor(t: usize, name: &str, shape: &[usize], gain: f32) -> Vec<f32> {
    let count: usize = shape.iter().product();
    let fan_in = (count / shape[0]) as f32;
    let scale = |r: f32| match shape.len() {
        _ if name.ends_with("running_var") => 1.0 + r / 2.0,
        1 if name.ends_with("weight") => 1.0 + r / 4.0,
        1 => r / 4.0,
        _ => r * gain * (1.0 - fan_in.sqrt().log2().floor()).exp2(),
    };
    ruled(t, count).map(scale).collect()
}

#[rstest]
fn deep_networks_are_recognized_and_have_the_logits_of_pytorch(
    #[values(
        "wrn56-2",
        "wrn56-2-noshort",
        "wrn56-4",
        "wrn56-4-noshort",
        "wrn56-8",
        "wrn56-8-noshort",
        "wrn110-2",
        "wrn110-2-noshort",
        "wrn110-4",
        "wrn110-4-noshort",
        "wrn110-8",
        "wrn110-8-noshort",
        "densenet121",
        "resnet18",
        "resnet18-noshort",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
        "resnet18 torchvision",
        "resnet34 torchvision",
        "resnet50 torchvision",
        "resnet101 torchvision",
        "resnet152 torchvision"
    )]
    name: &str,
) {
    let deep = deep().remove(name).unwrap();
    let info = |(name, shape): &(String, Vec<usize>)| TensorInfo {
        name: name.clone(),
        shape: shape.clone(),
        dtype: Dtype::F32,
    };
    let infos: Vec<TensorInfo> = deep.tensors.iter().map(info).collect();
    let layout = Arc::new(Layout::of(&infos));
    let mut flat = vec![0.0; layout.len()];
    for (t, (key, shape)) in deep.tensors.iter().enumerate() {
        let (_, slot) = layout.find(key).unwrap();
        flat[slot.offset..slot.offset + slot.len()]
            .copy_from_slice(&tensor(t, key, shape, deep.gain));
    }
    // Of the CIFAR networks names cannot tell whether there are shortcuts without parameters.
    let (named, _) = name.split_once(' ').unwrap_or((name, ""));
    let asked = if named.starts_with("wrn") && named.ends_with("noshort") {
        named
    } else {
        "auto"
    };
    let recognized = recognize(&layout, asked, deep.images[1..].try_into().ok()).unwrap();
    assert_eq!(recognized.name, named);
    let pixels: Vec<f32> = ruled(9999, deep.images.iter().product()).collect();
    let images = Tensor::from_slice(&pixels, deep.images.as_slice(), &Device::Cpu).unwrap();
    let flat = Tensor::from_vec(flat, layout.len(), &Device::Cpu).unwrap();
    let kernels = kernels(&recognized, &layout, &images);
    let weights = Weights::new(flat, layout);
    let logits = recognized.logits(&weights, &images).unwrap();
    let by_candle = logits.flatten_all().unwrap().to_vec1().unwrap();
    // So often that images meet what others left in the memory that they share.
    let many = pixels.repeat(TIMES);
    let by_kernels = kernels.logits(&weights, &[&many]).unwrap();
    let values: Vec<f32> = deep.logits.iter().flatten().copied().collect();
    let largest = values
        .iter()
        .fold(1f32, |largest, value| largest.max(value.abs()));
    for (found, times) in [(by_candle, 1), (by_kernels, TIMES)] {
        assert_eq!(found.len(), times * values.len());
        let difference = values
            .iter()
            .cycle()
            .zip(&found)
            .map(|(a, b)| (a - b).abs());
        let error = difference.fold(0.0, f32::max) / largest;
        assert!(error < 2e-5, "{error}");
    }
    let apart = deep.logits[0]
        .iter()
        .zip(&deep.logits[1])
        .map(|(a, b)| (a - b).abs());
    // Without shortcuts hardly anything of an image comes through; the biases of every layer do.
    let hears = if name.ends_with("noshort") {
        1e-6
    } else {
        1e-3
    };
    assert!(
        apart.fold(0.0, f32::max) > hears,
        "the images make a difference"
    );
}
