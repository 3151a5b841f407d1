//! Networks against PyTorch's logits, and what happens when a state dict nearly fits.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, safetensors};
use rstest::rstest;

use super::program::trace::Cost;
use super::reading::{Shortcuts, Stem};
use super::*;
use crate::run::{Dtype, TensorInfo};

/// A state dict of tests/fixtures/models with its `input` and `logits`, see make.py there.
struct Case {
    layout: Layout,
    weights: Weights,
    input: Tensor,
    logits: Tensor,
}

fn case(name: &str) -> Case {
    case_on(name, &Device::Cpu)
}

fn case_on(name: &str, device: &Device) -> Case {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models");
    let path = folder.join(name).with_extension("safetensors");
    let mut tensors = safetensors::load(path, device).unwrap();
    let (input, logits) = (tensors.remove("input"), tensors.remove("logits"));
    let layout = layout(tensors.iter().map(|(name, t)| (name.as_str(), t.dims())));
    Case {
        weights: flatten(&layout, &tensors),
        layout,
        input: input.unwrap(),
        logits: logits.unwrap(),
    }
}

/// Lays tensors out in the order of names, as in a `.safetensors` file.
pub(super) fn layout<'a>(tensors: impl Iterator<Item = (&'a str, &'a [usize])>) -> Layout {
    let mut tensors: Vec<TensorInfo> = tensors
        .map(|(name, shape)| TensorInfo {
            name: name.into(),
            shape: shape.to_vec(),
            dtype: if name.ends_with("num_batches_tracked") {
                Dtype::Other("I64".into())
            } else {
                Dtype::F32
            },
        })
        .collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Layout::of(&tensors)
}

pub(super) fn flatten(layout: &Layout, tensors: &HashMap<String, Tensor>) -> Weights {
    let slots = layout.slots().iter();
    let flat: Vec<Tensor> = slots
        .map(|slot| tensors[&slot.name].flatten_all().unwrap())
        .collect();
    Weights::new(Tensor::cat(&flat, 0).unwrap(), Arc::new(layout.clone()))
}

fn image(input: &Tensor) -> Option<[usize; 3]> {
    input.dims()[1..].try_into().ok()
}

/// Returns the images as a model takes them: an MLP as vectors.
pub(super) fn taken(model: &Recognized, images: &Tensor) -> Tensor {
    match model.program.inputs[0].shape.len() {
        2 => images.flatten_from(1).unwrap(),
        _ => images.clone(),
    }
}

/// Returns the kernels of a model for such images.
pub(super) fn kernels(model: &Recognized, layout: &Layout, images: &Tensor) -> fused::FusedNetwork {
    let one = taken(model, images).narrow(0, 0, 1).unwrap();
    let layout = Arc::new(layout.clone());
    let trace = model.program.trace(&layout, &[Datum::float(one)]);
    fused::FusedNetwork::of(&model.program, &trace.unwrap(), 0).unwrap()
}

fn largest(t: &Tensor) -> f32 {
    let flat = t.abs().and_then(|t| t.flatten_all()).unwrap();
    flat.max(0).unwrap().to_scalar().unwrap()
}

#[rstest]
#[case::mlp(
    "mlp",
    "mlp",
    "6 tensors of 3 Linear layers, widths 20-9-9-3; names do not tell the activation"
)]
#[case::one_by_one_shortcuts_odd_size(
    "resnet8",
    "resnet8",
    "47 tensors named like a CIFAR ResNet: 3 stages of 1 block, widths 4-6-8, 1×1-convolution shortcuts, 10 classes"
)]
#[case::downsample_and_fc(
    "resnet14_downsample",
    "resnet14",
    "3 stages of 2 blocks, widths 3-5-8, 1×1-convolution shortcuts"
)]
#[case::without_parameters(
    "resnet20_padded",
    "resnet20",
    "widths 4-8-16, shortcuts without parameters assumed"
)]
#[case::without_shortcuts("resnet14_noshort", "resnet14-noshort", "without shortcuts")]
#[case::rounding_up_and_norm_in_the_head(
    "vgg9_ceil",
    "vgg9",
    "widths 4-4-pool-6-6-pool-8-8-8 (2×2 max pools told by gaps in the numbers, rounding up, and once more at the end)"
)]
#[case::batch_norm("vgg16", "vgg16", "13 3×3 convolutions")]
#[case::no_batch_norm_three_linears("vgg11_plain", "vgg11", "3 Linear layers, 5 classes")]
fn networks_are_recognized(#[case] file: &str, #[case] name: &str, #[case] evidence: &str) {
    let case = case(file);
    let model = if name.ends_with("noshort") {
        name
    } else {
        "auto"
    };
    let recognized = recognize(&case.layout, model, image(&case.input)).unwrap();
    assert_eq!(recognized.name, name);
    assert!(
        recognized.evidence.contains(evidence),
        "{}",
        recognized.evidence
    );
}

/// Every network of the fixtures; its shortcuts do not tell one from the other.
const FILES: [&str; 8] = [
    "mlp",
    "resnet8",
    "resnet14_downsample",
    "resnet20_padded",
    "resnet14_noshort",
    "vgg9_ceil",
    "vgg16",
    "vgg11_plain",
];

/// Returns the network's name for `recognize`.
fn model_of(file: &str) -> &'static str {
    if file.ends_with("noshort") {
        "resnet14-noshort"
    } else {
        "auto"
    }
}

/// Returns the distance of a network's logits from PyTorch's in f32, as a share of the largest, when its layers
/// are computed in a type.
fn distance(file: &str, dtype: DType, device: &Device) -> f32 {
    let case = case_on(file, device);
    distance_at(&case.weights, &case, file, dtype)
}

/// Measures as [`distance`], with these weights.
fn distance_at(weights: &Weights, case: &Case, file: &str, dtype: DType) -> f32 {
    let model = recognize(&case.layout, model_of(file), image(&case.input)).unwrap();
    let images = taken(&model, &case.input).to_dtype(dtype).unwrap();
    let logits = model.logits(weights, &images).unwrap();
    assert_eq!((logits.dtype(), logits.dims()), (dtype, case.logits.dims()));
    let logits = logits.to_dtype(DType::F32).unwrap();
    largest(&(logits - &case.logits).unwrap()) / largest(&case.logits).max(1.)
}

test_device!(logits_are_those_of_pytorch);
fn logits_are_those_of_pytorch(device: &Device) {
    for file in FILES {
        let error = distance(file, DType::F32, device);
        assert!(error < 1e-5, "{file}: off by {error}");
    }
}

/// Repeats images until they meet what others, and the pass before, left in the memory that they share.
#[test]
fn kernels_have_pytorch_s_logits_image_after_image() {
    FILES
        .into_iter()
        .for_each(assert_kernels_have_pytorch_s_logits);
}

fn assert_kernels_have_pytorch_s_logits(file: &str) {
    let case = case(file);
    let image = image(&case.input).unwrap();
    let model = recognize(&case.layout, model_of(file), Some(image)).unwrap();
    let kernels = kernels(&model, &case.layout, &case.input);
    let images: Vec<f32> = case.input.flatten_all().unwrap().to_vec1().unwrap();
    let logits: Vec<f32> = case.logits.flatten_all().unwrap().to_vec1().unwrap();
    for _ in 0..2 {
        let many = images.repeat(9);
        let found = kernels.logits(&case.weights, &[&many]).unwrap();
        assert_eq!(found.len(), 9 * logits.len());
        let off = found
            .iter()
            .zip(logits.iter().cycle())
            .map(|(a, b)| (a - b).abs());
        let error = off.fold(0.0, f32::max) / largest(&case.logits).max(1.);
        assert!(error < 1e-5, "{file}: off by {error}");
    }
}

test_device!(half_precision_costs_its_digits_and_no_more);
fn half_precision_costs_its_digits_and_no_more(device: &Device) {
    for file in FILES {
        for (dtype, bits) in [(DType::F16, 11), (DType::BF16, 8)] {
            if device.is_cpu() && dtype == DType::BF16 {
                continue;
            }
            let unit = 0.5f32.powi(bits);
            let error = distance(file, dtype, device);
            assert!(
                error > unit / 64. && error < 16. * unit,
                "{file} in {dtype:?}: off by {} units",
                error / unit
            );
        }
    }
}

#[rstest]
#[case("mlp", "mlp")]
#[case("resnet8", "resnet8")]
#[case("resnet20_padded", "resnet20")]
#[case("vgg16", "vgg16")]
fn a_model_can_be_named_and_needs_no_image(#[case] file: &str, #[case] model: &str) {
    assert_eq!(
        recognize(&case(file).layout, model, None).unwrap().name,
        model
    );
}

test_device!(norms_are_folded_before_digits_are_dropped);
fn norms_are_folded_before_digits_are_dropped(device: &Device) {
    let case = case_on("resnet8", device);
    // The same function: in f16 these kernels lose their digits and this γ is infinite, their product is
    // what it was.
    let scales = [
        ("conv1.weight", 1e-6),
        ("bn1.running_mean", 1e-6),
        ("bn1.weight", 1e6),
    ];
    let weights = case.weights.with(scales.map(|(name, scale)| {
        let mut slots = case.layout.slots().iter();
        let slot = slots.position(|slot| slot.name == name).unwrap();
        (slot, (case.weights.slot(slot).unwrap() * scale).unwrap())
    }));
    let error = distance_at(&weights, &case, "resnet8", DType::F16);
    assert!(error < 16. * 0.5f32.powi(11), "off by {error}");
}

test_device!(gradients_reach_every_parameter_of_every_network);
fn gradients_reach_every_parameter_of_every_network(device: &Device) {
    for file in [
        "mlp",
        "resnet8",
        "resnet20_padded",
        "vgg9_ceil",
        "vgg11_plain",
    ] {
        let case = case_on(file, device);
        let var = candle_core::Var::from_tensor(&case.weights.flat).unwrap();
        let weights = Weights::new(var.as_tensor().clone(), Arc::new(case.layout.clone()));
        let model = recognize(&case.layout, "auto", image(&case.input)).unwrap();
        let images = taken(&model, &case.input);
        let logits = model.logits(&weights, &images).unwrap();
        let loss = candle_nn::ops::log_softmax(&logits, 1).unwrap();
        let loss = loss.narrow(1, 0, 1).unwrap().sum_all().unwrap();
        let gradient = loss.backward().unwrap().remove(&var).unwrap();
        for slot in case.layout.slots() {
            let part = gradient.narrow(0, slot.offset, slot.len()).unwrap();
            assert!(largest(&part) > 0., "{file}: {}", slot.name);
        }
    }
}

/// Returns the state dict of a fixture as names and shapes, changed by `change`, and the error it gives.
fn broken(file: &str, change: impl Fn(&mut HashMap<String, Vec<usize>>)) -> String {
    let case = case(file);
    let mut tensors: HashMap<String, Vec<usize>> = case
        .layout
        .slots()
        .iter()
        .map(|slot| (slot.name.clone(), slot.shape.clone()))
        .collect();
    change(&mut tensors);
    let layout = layout(tensors.iter().map(|(n, s)| (n.as_str(), s.as_slice())));
    match recognize(&layout, "auto", image(&case.input)) {
        Ok(recognized) => panic!("recognized as {}", recognized.name),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_nearly_fits_is_told_with_what_is_wrong() {
    let shape = |name: &'static str, shape: &'static [usize]| {
        move |tensors: &mut HashMap<String, Vec<usize>>| {
            tensors.insert(name.into(), shape.to_vec());
        }
    };
    let missing = |name: &'static str| {
        move |tensors: &mut HashMap<String, Vec<usize>>| {
            tensors.remove(name).unwrap();
        }
    };
    assert_eq!(
        broken("resnet8", shape("layer2.0.bn1.weight", &[8])),
        "the tensors were taken for a CIFAR ResNet, but layer2.0.bn1.weight has shape [8], expected [6]"
    );
    assert_eq!(
        broken("resnet8", missing("bn1.running_mean")),
        "the tensors were taken for a CIFAR ResNet, but bn1.running_mean is missing"
    );
    assert_eq!(
        broken("resnet8", shape("conv1.weight", &[4, 1, 7, 7])),
        "the tensors were taken for a CIFAR ResNet, but conv1.weight has shape [4, 1, 7, 7], \
         expected [any, any, 3, 3]"
    );
    assert_eq!(
        broken("resnet8", shape("layer4.0.conv1.weight", &[4, 1, 3, 3])),
        "the tensors were taken for a ResNet of four stages, but layer1 to layer4 have 1, 1, 1, 1 blocks of \
         two convolutions, expected 2, 2, 2, 2 or 3, 4, 6, 3 of two, or 3, 4, 6, 3, or 3, 4, 23, 3, or \
         3, 8, 36, 3 of three"
    );
    assert_eq!(
        broken("resnet8", shape("layer2.0.attention.weight", &[4, 4])),
        "the tensors were taken for a CIFAR ResNet, but 1 tensor is no part of it: \
         layer2.0.attention.weight"
    );
    assert_eq!(
        broken("mlp", shape("3.weight", &[9, 8])),
        "the tensors were taken for an MLP, but 3 takes 8 values, 1 before it gives 9"
    );
    assert_eq!(
        broken("vgg16", shape("classifier.weight", &[10, 12])),
        "the tensors were taken for a VGG, but its head takes 12 values from 6 channels, which no \
         2×2 pooling makes of an image of 3×32×32, rounding down or up"
    );
    assert_eq!(
        broken("vgg9_ceil", missing("fc.1.running_var")),
        "the tensors were taken for a VGG, but fc.1.running_var is missing"
    );
}

#[test]
fn an_adapter_alone_is_no_mlp() {
    // LoRA of one layer, as peft names it: 16 values to 4 to 8, like two Linear layers.
    let of = |names: [&str; 2], shapes: [&[usize]; 2]| {
        let layout = layout(names.into_iter().zip(shapes));
        recognize(&layout, "auto", None).unwrap_err().to_string()
    };
    let lora = ["lora_A", "lora_B"].map(|part| format!("base_model.model.fc.{part}.weight"));
    let said = of(lora.each_ref().map(String::as_str), [&[4, 16], &[8, 4]]);
    assert!(
        said.starts_with("the tensors are those of an adapter (base_model"),
        "{said}"
    );
    let prompt = of(["prompt_embeddings", "head.weight"], [&[4, 16], &[8, 16]]);
    assert!(
        prompt.contains("those of an adapter (prompt_embeddings)"),
        "{prompt}"
    );
}

#[test]
fn names_of_no_known_architecture_are_counted_and_quoted() {
    let shapes: Vec<(String, Vec<usize>)> = (0..9)
        .map(|i| (format!("encoder.{i}.norm.weight"), vec![8]))
        .chain([("head.weight".into(), vec![2, 8])])
        .collect();
    let layout = layout(shapes.iter().map(|(n, s)| (n.as_str(), s.as_slice())));
    assert_eq!(
        recognize(&layout, "auto", None).unwrap_err().to_string(),
        "no known architecture has such tensors: 9 of 10 names are not known, e.g. \
         encoder.0.norm.weight, encoder.1.norm.weight, encoder.2.norm.weight, \
         encoder.3.norm.weight and 5 more"
    );
    let error = recognize(&Layout::of(&[]), "auto", None).unwrap_err();
    assert!(matches!(error, ModelError::Empty));
}

#[rstest]
#[case(
    "resnet19",
    "the model \"resnet19\" is not known: expected auto, mlp, resnetN"
)]
#[case(
    "resnet18",
    "taken for a ResNet of four stages, but layer1 to layer4 have 1, 1, 1, 0 blocks"
)]
#[case("wrn8-3", "is not known")]
#[case("wrn8-2", "the tensors are those of resnet8, not of wrn8-2")]
#[case(
    "densenet121",
    "taken for a DenseNet, but dense1 to dense4 have 0, 0, 0, 0 layers"
)]
#[case("resnet99999999999999999999", "is not known")]
#[case("vgg", "is not known")]
#[case("resnet20", "the tensors are those of resnet8, not of resnet20")]
#[case(
    "resnet8-noshort",
    "some tensors are no part of it: layer2.0.shortcut.0.weight"
)]
#[case("vgg16", "taken for a VGG, but features.0.weight is missing")]
#[case("mlp", "taken for an MLP, but")]
fn a_named_model_that_does_not_fit_is_an_error(#[case] model: &str, #[case] message: &str) {
    let error = recognize(&case("resnet8").layout, model, None).unwrap_err();
    assert!(error.to_string().contains(message), "{error}");
}

#[rstest]
#[case("resnet8", [3, 9, 6], "resnet8 takes images of 1 channel, the samples have 3×9×6 (channels, height, width)")]
#[case("mlp", [1, 8, 8], "mlp takes images of 20 values, the samples have 1×8×8 (channels, height, width)")]
#[case("vgg16", [1, 32, 32], "vgg16 takes images of 3 channels, the samples have 1×32×32 (channels, height, width)")]
fn samples_that_do_not_fit_are_an_error(
    #[case] file: &str,
    #[case] image: [usize; 3],
    #[case] message: &str,
) {
    let error = recognize(&case(file).layout, "auto", Some(image)).unwrap_err();
    assert_eq!(error.to_string(), message);
}

/// Names and (outputs, inputs) of Linear layers in a checkpoint's order; their order in the network.
#[rstest]
#[case::numbered(&[("net.0", 5, 9), ("net.10", 5, 5), ("net.2", 5, 5)], &["net.0", "net.2", "net.10"])]
#[case::as_stored(&[("up", 5, 9), ("mid", 5, 5), ("across", 5, 5)], &["up", "mid", "across"])]
#[case::by_width(&[("classifier", 3, 5), ("fc1", 5, 9), ("fc2", 5, 5)], &["fc1", "fc2", "classifier"])]
fn linear_layers_are_put_in_order(
    #[case] stored: &[(&str, usize, usize)],
    #[case] expected: &[&str],
) {
    let infos: Vec<TensorInfo> = stored
        .iter()
        .map(|(name, outputs, inputs)| TensorInfo {
            name: format!("{name}.weight"),
            shape: vec![*outputs, *inputs],
            dtype: Dtype::F32,
        })
        .collect();
    let layout = Layout::of(&infos);
    let tensors: HashMap<String, Tensor> = infos
        .iter()
        .map(|info| {
            let values = Tensor::randn(0f32, 1., info.shape.as_slice(), &Device::Cpu);
            (info.name.clone(), values.unwrap())
        })
        .collect();
    let x = Tensor::randn(0f32, 1., (2, 1, 3, 3), &Device::Cpu).unwrap();
    let model = recognize(&layout, "auto", Some([1, 3, 3])).unwrap();
    let mut y = x.flatten_from(1).unwrap();
    let found = model.logits(&flatten(&layout, &tensors), &y).unwrap();
    for (i, name) in expected.iter().enumerate() {
        let y_in = if i > 0 { y.relu().unwrap() } else { y };
        let weight = &tensors[&format!("{name}.weight")];
        y = y_in.matmul(&weight.t().unwrap()).unwrap();
    }
    assert!(largest(&(found - y).unwrap()) < 1e-5);
}

#[test]
fn hostile_layouts_are_errors() {
    let stem: (&str, &[usize]) = ("features.0.weight", &[4, 3, 3, 3]);
    let hostile: &[&[(&str, &[usize])]] = &[
        &[("fc.weight", &[0, 4])],
        &[("fc.weight", &[4, 0])],
        &[("features.0.weight", &[4, 3, 0, 3]), ("fc.weight", &[2, 4])],
        &[stem, ("fc.weight", &[2, 7])],
        &[
            stem,
            ("features.00.weight", &[4, 4, 3, 3]),
            ("fc.weight", &[2, 4]),
        ],
        &[
            stem,
            ("features.18446744073709551615.weight", &[4, 4, 3, 3]),
            ("fc.weight", &[2, 4]),
        ],
        &[
            stem,
            ("features.99999999999999999999.weight", &[4, 4, 3, 3]),
            ("fc.weight", &[2, 4]),
        ],
        &[
            stem,
            ("fc.18446744073709551614.weight", &[2, 4]),
            ("fc.18446744073709551615.weight", &[2, 2]),
        ],
        &[("layer1.0.conv1.weight", &[4])],
        &[
            ("layer1.0.conv1.weight", &[4, 4, 3, 3]),
            ("layer1.4000000000.conv1.weight", &[4, 4, 3, 3]),
        ],
    ];
    for tensors in hostile {
        let layout = layout(tensors.iter().copied());
        assert!(recognize(&layout, "auto", None).is_err(), "{tensors:?}");
    }
}

#[test]
fn an_image_that_no_pooling_fits_is_an_error_not_a_number() {
    let case = case("vgg16");
    let model = recognize(&case.layout, "auto", None).unwrap();
    let x = Tensor::zeros((1, 3, 64, 64), DType::F32, &Device::Cpu).unwrap();
    assert!(model.logits(&case.weights, &x).is_err());
}

#[test]
fn the_widest_layer_is_the_largest_matrix_of_patches() {
    let cost = |file: &str, [channels, height, width]: [usize; 3]| {
        let layout = Arc::new(case(file).layout);
        let model = recognize(&layout, "auto", None).unwrap();
        let x = Tensor::zeros((1, channels, height, width), DType::F32, &Device::Cpu);
        let x = Datum::float(taken(&model, &x.unwrap()));
        let trace = model.program.trace(&layout, &[x])?;
        Ok(model.program.cost(&trace))
    };
    let widest = |file, image| -> usize {
        let cost: candle_core::Result<Cost> = cost(file, image);
        cost.unwrap().widest
    };
    // 20-9-9-3: the images themselves.
    assert_eq!(widest("mlp", [1, 4, 5]), 20);
    // Widths 4-6-8: 3×3 taps of 4 channels at full size; at half size 6 channels are less.
    assert_eq!(widest("resnet8", [1, 9, 6]), 9 * 6 * 4 * 9);
    // Widths 2-2-pool-4: 3×3 taps of the 3 channels of the images.
    assert_eq!(widest("vgg16", [3, 32, 32]), 32 * 32 * 3 * 9);
    assert!(cost("vgg16", [3, 1, 1]).is_err());
}

/// Returns the answer for a fixture under a name and answers: the readings that are left, or the error.
fn asked(file: &str, model: &str, answers: Reading) -> Result<Vec<Reading>, String> {
    let recognized = recognize_as(&case(file).layout, model, None, answers, Reading::default());
    recognized
        .map(|recognized| recognized.readings)
        .map_err(|error| error.to_string())
}

#[test]
fn an_answer_to_what_is_no_question_is_refused() {
    let stem = Reading {
        stem: Some(Stem::Strided),
        ..Reading::default()
    };
    let shortcuts = |shortcuts| Reading {
        shortcuts: Some(shortcuts),
        ..Reading::default()
    };
    let padded = shortcuts(Shortcuts::Padded);
    for (file, model, answers, said) in [
        ("mlp", "auto", stem, "--stem strided: mlp has no open stem"),
        ("resnet20_padded", "auto", stem, "resnet20 has no open stem"),
        ("vgg16", "auto", padded, "vgg16 has no open shortcuts"),
        ("resnet8", "auto", padded, "resnet8 has no open shortcuts"),
        (
            "resnet14_noshort",
            "resnet14-noshort",
            padded,
            "no open shortcuts",
        ),
    ] {
        let found = asked(file, model, answers).unwrap_err();
        assert!(found.contains(said), "{file}: {found}");
    }
    let none = shortcuts(Shortcuts::None);
    let found = asked("resnet14_noshort", "resnet14", none).unwrap();
    assert_eq!(found.len(), 1, "it is answered");
}

#[test]
fn a_depth_leaves_shortcuts_open_and_noshort_does_not() {
    let shortcuts = |model| {
        let found = asked("resnet20_padded", model, Reading::default()).unwrap();
        found
            .into_iter()
            .filter_map(|reading| reading.shortcuts)
            .collect::<Vec<_>>()
    };
    let both = [Shortcuts::Padded, Shortcuts::None];
    assert_eq!(shortcuts("auto"), both);
    assert_eq!(shortcuts("resnet20"), both);
    assert_eq!(shortcuts("resnet20-noshort"), [Shortcuts::None]);
}
