//! The architectures that are known from names, beside the same networks exported by PyTorch: two sources of one
//! program give the same numbers to the bit (`tests/fixtures/pt2/families`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use isoloss::model::{Datum, FusedNetwork, Recognized, Weights, recognize};
use isoloss::run::{Dtype, TensorInfo};
use isoloss::weights::Layout;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rstest::rstest;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pt2/families")
}

/// Extents of an image, and the layout of the state dict.
fn described(file: &str) -> ([usize; 3], Layout) {
    let text = std::fs::read_to_string(folder().join("names.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let extents = |value: &Value| -> Vec<usize> { serde_json::from_value(value.clone()).unwrap() };
    let tensors = all[file]["tensors"].as_array().unwrap().iter();
    let infos = tensors.map(|tensor| TensorInfo {
        name: tensor[0].as_str().unwrap().into(),
        shape: extents(&tensor[1]),
        dtype: Dtype::F32,
    });
    let layout = Layout::of(&infos.collect::<Vec<_>>());
    (extents(&all[file]["image"]).try_into().unwrap(), layout)
}

/// Numbers that keep activations near 1 in every layer.
fn weights(layout: &Arc<Layout>, dtype: DType) -> Weights {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut flat = vec![0f32; layout.len()];
    for slot in layout.slots() {
        let fan_in = (slot.len() / slot.shape[0]).max(1) as f32;
        for value in &mut flat[slot.offset..slot.offset + slot.len()] {
            let number: f32 = random.random_range(-1.0..1.0);
            *value = match slot.rank() {
                1 if slot.name.ends_with("running_var") => 1.0 + number / 2.0,
                1 => number / 2.0,
                _ => number * (3.0 / fan_in).sqrt(),
            };
        }
    }
    let flat = Tensor::from_vec(flat, layout.len(), &Device::Cpu).unwrap();
    Weights::new(flat.to_dtype(dtype).unwrap(), Arc::clone(layout))
}

/// Large numbers, because little of an image is left behind the layers of a VGG with random weights: of numbers up to 1 it
/// is less than an f32 holds.
fn images([channels, height, width]: [usize; 3], dtype: DType) -> Tensor {
    let mut random = ChaCha8Rng::seed_from_u64(12);
    let count = 3 * channels * height * width;
    let pixels: Vec<f32> = (0..count)
        .map(|_| random.random_range(-100.0..100.0))
        .collect();
    let images = Tensor::from_vec(pixels, (3, channels, height, width), &Device::Cpu).unwrap();
    images.to_dtype(dtype).unwrap()
}

fn taken(model: &Recognized, images: &Tensor) -> Tensor {
    match model.program.inputs[0].shape.len() {
        2 => images.flatten_from(1).unwrap(),
        _ => images.clone(),
    }
}

fn bits(tensor: &Tensor) -> Vec<u64> {
    let numbers = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    let numbers: Vec<f64> = numbers.to_vec1().unwrap();
    assert!(numbers.iter().all(|number| number.is_finite()));
    numbers.into_iter().map(f64::to_bits).collect()
}

#[rstest]
fn both_sources_of_a_network_give_the_same_to_the_bit(
    #[values(
        ("mlp.pt2", "auto"),
        ("resnet8.pt2", "resnet8"),
        ("resnet8_projection.pt2", "auto"),
        ("resnet8_noshort.pt2", "resnet8-noshort"),
        ("resnet18.pt2", "auto"),
        ("vgg11.pt2", "auto"),
        ("densenet121.pt2", "auto")
    )]
    (file, name): (&str, &str),
) {
    let (image, layout) = described(file);
    let layout = Arc::new(layout);
    let known = recognize(&layout, name, Some(image)).unwrap();
    let path = folder().join(file);
    let exported = recognize(&layout, path.to_str().unwrap(), Some(image)).unwrap();
    assert!(
        !exported.evidence.contains("not in the checkpoint"),
        "{}",
        exported.evidence
    );
    for dtype in [DType::F64, DType::F32] {
        let (weights, images) = (weights(&layout, dtype), images(image, dtype));
        let of = |model: &Recognized| model.logits(&weights, &taken(model, &images)).unwrap();
        let (known, exported) = (of(&known), of(&exported));
        assert_eq!(known.dims(), exported.dims());
        assert_eq!(bits(&known), bits(&exported), "{file} in {dtype:?}");
        let apart = (known.get(0).unwrap() - known.get(1).unwrap()).unwrap();
        assert!(
            bits(&apart).iter().any(|bits| *bits != 0),
            "the images make a difference"
        );
    }
    // The kernels know the exported form as well, and give the same numbers.
    let images = images(image, DType::F32);
    let weights = weights(&layout, DType::F32);
    let by_kernels = [&known, &exported].map(|model| {
        let images = taken(model, &images);
        let one = Datum::float(images.narrow(0, 0, 1).unwrap());
        let trace = model.program.trace(&layout, &[one]).unwrap();
        let kernels = FusedNetwork::of(&model.program, &trace, 0).expect("the kernels know it");
        let pixels: Vec<f32> = images.flatten_all().unwrap().to_vec1().unwrap();
        kernels.logits(&weights, &[&pixels]).unwrap()
    });
    let by_candle = known.logits(&weights, &taken(&known, &images)).unwrap();
    let by_candle: Vec<f32> = by_candle.flatten_all().unwrap().to_vec1().unwrap();
    for logits in by_kernels {
        assert_eq!(logits.len(), by_candle.len());
        for (found, expected) in logits.iter().zip(&by_candle) {
            assert!(
                (found - expected).abs() < 1e-4 * expected.abs().max(1.0),
                "{file}"
            );
        }
    }
}
