//! Chains of layers against PyTorch's logits and exported programs (tests/fixtures/models/chains), and chains that
//! nearly fit.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor, safetensors};
use rstest::rstest;

use super::arrangement::{Arrangement, Pooling};
use super::reading::NormPosition;
use super::tests::{flatten, layout, taken};
use super::*;

struct Case {
    layout: Layout,
    weights: Weights,
    images: Tensor,
    logits: Tensor,
}

fn file(name: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/chains");
    folder.join(name)
}

fn case(name: &str) -> Case {
    let path = file(name).with_extension("safetensors");
    let mut tensors = safetensors::load(path, &Device::Cpu).unwrap();
    let (images, logits) = (tensors.remove("input"), tensors.remove("logits"));
    let layout = layout(tensors.iter().map(|(name, t)| (name.as_str(), t.dims())));
    Case {
        weights: flatten(&layout, &tensors),
        layout,
        images: images.unwrap(),
        logits: logits.unwrap(),
    }
}

fn image(images: &Tensor) -> [usize; 3] {
    images.dims()[1..].try_into().unwrap()
}

/// Returns the largest difference of logits.
fn apart(model: &Recognized, case: &Case) -> f32 {
    let found = model.logits(&case.weights, &taken(model, &case.images));
    let apart = (found.unwrap() - &case.logits).unwrap().abs().unwrap();
    apart.max_all().unwrap().to_scalar().unwrap()
}

const AFTER: Reading = Reading {
    norm_position: Some(NormPosition::After),
    ..NOTHING
};
const NOTHING: Reading = Reading {
    activation: None,
    shortcuts: None,
    stem: None,
    norm_position: None,
    arrangement: None,
    pooling: None,
    heads: None,
};

fn with(activation: Activation) -> Reading {
    Reading {
        activation: Some(activation),
        ..NOTHING
    }
}

#[rstest]
#[case(
    "mlp_batch_norm",
    NOTHING,
    "14 tensors of 3 Linear layers, widths 20-9-7-3, 2 batch norms, ε 0.00001 assumed"
)]
#[case("mlp_layer_norm", AFTER, "2 layer norms after the activation, ε")]
#[case(
    "mlp_gelu_norm",
    with(Activation::Gelu),
    "3 layer norms, ε 0.00001 assumed, gelu between them"
)]
#[case(
    "mnist",
    NOTHING,
    "8 tensors of 2 convolutions 3×3 of widths 1-3-4 and 2 Linear layers of widths 64-8-10, taken one after another: no padding, a pool of 2 \
     behind the last, which make 4×4×4 = 64 values, max pooling assumed; names"
)]
#[case(
    "cifar",
    NOTHING,
    "no padding, a pool of 2 behind each, which make 6×2×2 = 24"
)]
#[case(
    "lenet",
    Reading { pooling: Some(Pooling::Average), ..with(Activation::Tanh) },
    "padding that keeps the extents of the first layer alone, a pool of 2 behind each, which make 4×2×2 = 16 values \
     (assumed; 1 other arrangement fits the numbers too), average pooling"
)]
#[case(
    "batch_norm_and_mean",
    NOTHING,
    "padding that keeps the extents, a pool of 2 behind each, and the mean of 6×3×2 (assumed; "
)]
#[case(
    "sequential",
    NOTHING,
    "pools of 2 where the numbers leave room, which make 4×2×3 = 24"
)]
#[case(
    "strided",
    with(Activation::LeakyRelu),
    "padding that keeps the extents, stride 2, no pools, which make 4×2×3 = 24 values"
)]
#[case(
    "features",
    NOTHING,
    "no padding, pools of 2 where the numbers leave room and at the end"
)]
fn chains_have_the_logits_of_pytorch_and_of_the_exported_program(
    #[case] name: &str,
    #[case] asked: Reading,
    #[case] evidence: &str,
) {
    let case = case(name);
    let image = Some(image(&case.images));
    let known = recognize_as(&case.layout, "auto", image, asked, NOTHING).unwrap();
    assert!(known.evidence.contains(evidence), "{}", known.evidence);
    assert_eq!(
        known.name,
        if name.starts_with("mlp") {
            "mlp"
        } else {
            "convnet"
        }
    );
    let off = apart(&known, &case);
    assert!(off < 1e-5, "{name}: {off}");
    let path = file(name).with_extension("pt2");
    let exported = recognize(&case.layout, path.to_str().unwrap(), image).unwrap();
    let own = exported.logits(&case.weights, &taken(&exported, &case.images));
    let found = known.logits(&case.weights, &taken(&known, &case.images));
    let bits = |logits: Tensor| -> Vec<u32> {
        let logits: Vec<f32> = logits.flatten_all().unwrap().to_vec1().unwrap();
        logits.into_iter().map(f32::to_bits).collect()
    };
    assert_eq!(bits(own.unwrap()), bits(found.unwrap()), "{name}");
    // The kernels are optional: where they know such a program, they give the same.
    let one = Datum::float(taken(&known, &case.images).narrow(0, 0, 1).unwrap());
    let trace = known.program.trace(&Arc::new(case.layout.clone()), &[one]);
    if let Some(kernels) = fused::FusedNetwork::of(&known.program, &trace.unwrap(), 0) {
        let pixels: Vec<f32> = case.images.flatten_all().unwrap().to_vec1().unwrap();
        let logits = kernels.logits(&case.weights, &[&pixels]).unwrap();
        let expected: Vec<f32> = case.logits.flatten_all().unwrap().to_vec1().unwrap();
        let pairs = logits.iter().zip(&expected);
        let off = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-4, "{name}: {off}");
    }
}

/// All that is left open is asked, the truth is among it, and other answers give other logits.
#[rstest]
#[case("mlp_batch_norm", "auto", 8)]
#[case("mlp_layer_norm", "auto", 16)]
#[case("mnist", "convnet", 16)]
#[case("strided", "auto", 8)]
fn what_names_leave_open_is_asked(
    #[case] name: &str,
    #[case] model: &str,
    #[case] readings: usize,
) {
    let case = case(name);
    let image = Some(image(&case.images));
    let found = recognize(&case.layout, model, image).unwrap();
    assert_eq!(found.readings.len(), readings, "{:?}", found.readings);
    assert_eq!(found.readings[0], found.reading);
    let apart = found.readings.iter().map(|reading| {
        let model = recognize_as(&case.layout, model, image, *reading, NOTHING).unwrap();
        assert_eq!(model.reading, *reading);
        apart(&model, &case)
    });
    let apart: Vec<f32> = apart.collect();
    let right = apart.iter().filter(|apart| **apart < 1e-5).count();
    assert_eq!(right, 1, "{apart:?}");
}

#[test]
fn a_mean_of_channels_leaves_padding_and_pools_open() {
    let case = case("batch_norm_and_mean");
    let image = Some(image(&case.images));
    let found = recognize(&case.layout, "auto", image).unwrap();
    let arrangements: Vec<_> = found
        .readings
        .iter()
        .map(|reading| reading.arrangement)
        .collect();
    assert!(arrangements.len() > 4, "{arrangements:?}");
    assert!(
        found.evidence.contains("other arrangements fit"),
        "{}",
        found.evidence
    );
    let asked = Reading {
        arrangement: arrangements[1],
        ..NOTHING
    };
    let other = recognize_as(&case.layout, "auto", image, asked, NOTHING).unwrap();
    assert!(apart(&other, &case) > 1e-3);
    assert!(
        other
            .readings
            .iter()
            .all(|reading| reading.arrangement == arrangements[1])
    );
}

/// Three pools leave one place of 28×28 without padding, which is no sign that there is none.
#[test]
fn one_place_that_is_left_is_no_sign_of_an_arrangement() {
    let tensors: [(&str, &[usize]); 4] = [
        ("conv1.weight", &[8, 1, 3, 3]),
        ("conv2.weight", &[12, 8, 3, 3]),
        ("conv3.weight", &[16, 12, 3, 3]),
        ("fc.weight", &[10, 16]),
    ];
    let found = recognize(&layout(tensors.into_iter()), "auto", Some([1, 28, 28])).unwrap();
    let names = found
        .readings
        .iter()
        .map(|reading| reading.arrangement.map(Arrangement::name));
    let names: Vec<_> = names.collect();
    assert_eq!(names[0], Some("padded-each"));
    assert!(names.contains(&Some("bare-each")), "{names:?}");
}

const MNIST: [(&str, &[usize]); 8] = [
    ("conv1.weight", &[3, 1, 3, 3]),
    ("conv1.bias", &[3]),
    ("conv2.weight", &[4, 3, 3, 3]),
    ("conv2.bias", &[4]),
    ("fc1.weight", &[8, 64]),
    ("fc1.bias", &[8]),
    ("fc2.weight", &[10, 8]),
    ("fc2.bias", &[10]),
];

/// Returns the sentence for the MNIST example with one tensor changed, added, or left out.
fn said(name: &'static str, shape: Option<&'static [usize]>) -> String {
    let mut tensors: Vec<(&str, &[usize])> = MNIST.to_vec();
    tensors.retain(|tensor| tensor.0 != name);
    tensors.extend(shape.map(|shape| (name, shape)));
    let layout = layout(tensors.into_iter());
    let error = recognize(&layout, "auto", Some([1, 12, 12])).unwrap_err();
    error.to_string()
}

#[test]
fn chains_that_nearly_fit_are_refused_in_a_sentence() {
    let cases: [(&str, Option<&[usize]>, &str); 9] = [
        (
            "fc1.weight",
            Some(&[8, 68]),
            "the tensors were taken for a chain of convolutions, but its first Linear layer takes 68 values from 4 \
             channels, which no usual padding, stride and pooling of 2 convolutions makes of an image of 1×12×12: \
             export the model (--model model.pt2)",
        ),
        (
            "fc1.weight",
            Some(&[8, 66]),
            "not a multiple of the 4 channels before it",
        ),
        (
            "conv2.weight",
            Some(&[4, 2, 3, 3]),
            "conv2 takes 2 channels, conv1 before it gives 3",
        ),
        (
            "conv2.weight",
            Some(&[4, 3, 3, 1]),
            "conv2.weight has shape [4, 3, 3, 1], expected",
        ),
        (
            "fc1.bias",
            Some(&[9]),
            "fc1.bias has shape [9], expected [8]",
        ),
        (
            "conv2.bias",
            Some(&[4, 1]),
            "no known architecture has such tensors",
        ),
        ("scale", Some(&[]), "no known architecture has such tensors"),
        (
            "fc2.weight",
            None,
            "no known architecture has such tensors: 1 of 7 names",
        ),
        (
            "attn.weight",
            Some(&[8, 8]),
            "no known architecture has such tensors",
        ),
    ];
    for (name, shape, expected) in cases {
        let said = said(name, shape);
        assert!(said.contains(expected), "{name}: {said}");
    }
}

#[test]
fn a_norm_whose_layer_names_do_not_tell_is_refused() {
    let linear = |name, shape: &'static [usize]| (name, shape);
    let of = |tensors: &[(&str, &[usize])]| {
        let error = recognize(&layout(tensors.iter().copied()), "auto", None).unwrap_err();
        error.to_string()
    };
    let sentence = of(&[
        linear("a.weight", &[9, 20]),
        linear("b.weight", &[9, 9]),
        linear("c.weight", &[9, 9]),
        linear("d.weight", &[3, 9]),
        linear("n.weight", &[9]),
        linear("n.bias", &[9]),
    ]);
    assert!(
        sentence.ends_with(
            "names do not tell behind which layer the norm n stands: export the model (--model model.pt2)"
        ),
        "{sentence}"
    );
    // Channels without running statistics may be a group norm's, or a layer norm's.
    let sentence = of(&[
        linear("conv1.weight", &[9, 1, 3, 3]),
        linear("norm1.weight", &[9]),
        linear("norm1.bias", &[9]),
        linear("fc.weight", &[3, 9]),
    ]);
    assert!(
        sentence.contains("norm1 stands behind a convolution without running statistics"),
        "{sentence}"
    );
}

#[test]
fn an_arrangement_is_written_as_its_word() {
    for arrangement in Arrangement::ALL {
        let text = serde_json::to_string(&arrangement).unwrap();
        assert_eq!(text, format!("\"{}\"", arrangement.name()));
        let read: Arrangement = serde_json::from_str(&text).unwrap();
        assert_eq!(read, arrangement);
    }
    assert!(serde_json::from_str::<Arrangement>("\"both\"").is_err());
}

#[test]
fn blocks_that_may_have_shortcuts_are_refused() {
    let conv: &[usize] = &[4, 4, 3, 3];
    let ends: [(&str, &[usize]); 2] = [("stem.weight", &[4, 1, 3, 3]), ("fc.weight", &[10, 4])];
    let said = |inner: &[&str]| {
        let inner = inner.iter().map(|name| (*name, conv));
        let tensors: Vec<(&str, &[usize])> = ends.into_iter().chain(inner).collect();
        let found = recognize(&layout(tensors.into_iter()), "auto", Some([1, 8, 8]));
        found.map(|_| ()).map_err(|error| error.to_string())
    };
    let blocks = [
        "b.0.c1.weight",
        "b.0.c2.weight",
        "b.1.c1.weight",
        "b.1.c2.weight",
    ];
    let sentence = said(&blocks).unwrap_err();
    assert!(
        sentence
            .contains("names do not tell if there are shortcuts around its blocks, such as b.0"),
        "{sentence}"
    );
    let sentence = said(&["res1.0.weight", "res1.1.weight"]).unwrap_err();
    assert!(
        sentence.contains("2 of 4 names are not known, e.g. res1.0.weight"),
        "{sentence}"
    );
    assert_eq!(said(&["b.0.conv.weight", "b.1.conv.weight"]), Ok(()));
}

#[test]
fn hostile_extents_are_errors_and_take_no_memory() {
    const HUGE: usize = 1 << 62;
    let image = Some([3, HUGE, HUGE]);
    let tensors: [(&str, &[usize]); 2] = [
        ("conv.weight", &[4, 3, 3, 3]),
        ("fc.weight", &[2, 4 * 1000]),
    ];
    assert!(recognize(&layout(tensors.into_iter()), "auto", image).is_err());
    let huge: [(&str, &[usize]); 2] = [("conv.weight", &[4, 3, 0, 3]), ("fc.weight", &[2, 4])];
    assert!(recognize(&layout(huge.into_iter()), "auto", Some([3, 8, 8])).is_err());
}

#[test]
fn a_layer_that_may_have_a_shortcut_is_told() {
    let untold = |shapes: &[(&str, &[usize])]| {
        let layout = layout(shapes.iter().copied());
        recognize(&layout, "auto", None).unwrap().untold
    };
    let square = untold(&[
        ("fc1.weight", &[8, 4]),
        ("fc2.weight", &[8, 8]),
        ("fc3.weight", &[3, 8]),
    ]);
    assert!(
        square.is_some_and(|said| said.starts_with("a shortcut around fc2 would leave no trace"))
    );
    // The last layer gives the logits.
    let plain = untold(&[("fc1.weight", &[8, 4]), ("fc2.weight", &[8, 8])]);
    assert_eq!(plain, None);
}
