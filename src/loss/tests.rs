//! Losses against PyTorch's (tests/fixtures/losses/make_losses.py), and what is refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

use std::collections::HashMap;
use std::ops::Add;

use candle_core::{DType, Device, Tensor, Var};

use super::*;
use crate::test_process::in_a_process_that_keeps_graphs;

const WEIGHTS: [f32; 5] = [0.5, 2.0, 1.0, 0.25, 3.0];

fn classes(smoothing: f64, has_weights: bool) -> Classes {
    Classes {
        smoothing,
        weights: has_weights.then(|| WEIGHTS.to_vec()),
        ..Classes::default()
    }
}

/// Returns the cases of make_losses.py, by name.
fn cases() -> Vec<(&'static str, Loss)> {
    let cross_entropy =
        |smoothing, has_weights| Loss::CrossEntropy(classes(smoothing, has_weights));
    let tokens = |shift| Loss::NextToken {
        classes: Classes::default(),
        shift,
    };
    let bce = |positive: Option<&[f32]>| Loss::Bce {
        positive: positive.map(<[f32]>::to_vec),
    };
    let ignored_class = Loss::CrossEntropy(Classes {
        ignore: 3,
        ..Classes::default()
    });
    vec![
        ("plain", Loss::default()),
        ("ignored", Loss::default()),
        ("ignored_class", ignored_class),
        ("weighted", cross_entropy(0.0, true)),
        ("smoothed", cross_entropy(0.1, false)),
        ("weighted_smoothed", cross_entropy(0.2, true)),
        ("shares", Loss::default()),
        ("shares_weighted_smoothed", cross_entropy(0.2, true)),
        ("image", cross_entropy(0.1, true)),
        ("image_shares", cross_entropy(0.0, true)),
        ("sequence", Loss::default()),
        ("classes_last", Loss::default()),
        ("nll", Loss::Nll(classes(0.0, true))),
        ("next_token", tokens(true)),
        ("next_token_shifted", tokens(false)),
        ("mse", Loss::Mse),
        ("mse_one", Loss::Mse),
        ("mse_image", Loss::Mse),
        ("l1", Loss::L1),
        ("huber", Loss::Huber { delta: 0.7 }),
        ("bce", bce(None)),
        ("bce_shares", bce(None)),
        ("bce_positive", bce(Some(&[2.5]))),
        ("bce_classes", bce(Some(&[2.5, 1.0, 0.5]))),
        ("bce_image", bce(Some(&[2.5, 1.0, 0.5]))),
    ]
}

fn pytorch() -> HashMap<String, Tensor> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/losses/losses.safetensors"
    );
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

fn number(values: &HashMap<String, Tensor>, name: &str) -> f64 {
    values[name].to_scalar::<f64>().unwrap()
}

fn assert_near(found: f64, expected: f64, bound: f64, what: &str) {
    let is_near = (found - expected).abs() <= bound * expected.abs().max(1.0);
    assert!(
        is_near || (found.is_nan() && expected.is_nan()),
        "{what}: {found}, PyTorch has {expected}"
    );
}

/// Returns the output and target of a case, at once and in two batches.
fn batches(values: &HashMap<String, Tensor>, name: &str, dtype: DType) -> [Vec<[Tensor; 2]>; 2] {
    let output = values[&format!("{name}.output")].to_dtype(dtype).unwrap();
    let target = values[&format!("{name}.target")].clone();
    let samples = output.dim(0).unwrap();
    let part = |from, count| {
        [&output, &target]
            .map(|tensor| tensor.narrow(0, from, count).unwrap().contiguous().unwrap())
    };
    [
        vec![part(0, samples)],
        vec![part(0, 1), part(1, samples - 1)],
    ]
}

#[test]
fn losses_and_scores_are_those_of_pytorch_however_samples_are_cut_into_batches() {
    let values = pytorch();
    for (dtype, bound) in [(DType::F64, 1e-12), (DType::F32, 3e-6)] {
        for (name, loss) in cases() {
            for batches in batches(&values, name, dtype) {
                let totals: Totals = batches
                    .iter()
                    .map(|[output, target]| loss.totals(output, target).unwrap())
                    .sum();
                assert_near(
                    totals.loss.value(),
                    number(&values, &format!("{name}.sum")),
                    bound,
                    name,
                );
                let measure = totals.measure(loss.score());
                assert_near(
                    measure.loss,
                    number(&values, &format!("{name}.mean")),
                    bound,
                    name,
                );
                let score = number(&values, &format!("{name}.score"));
                assert_near(measure.score, score, 10.0 * bound, name);
            }
        }
    }
}

#[test]
fn classes_reduced_where_they_lie_give_the_same() {
    let values = pytorch();
    for (name, loss) in cases() {
        let output = &values[&format!("{name}.output")];
        let target = &values[&format!("{name}.target")];
        let host = loss.totals(output, target).unwrap();
        let device = on_device(&loss, output, target);
        assert_near(device.loss.value(), host.loss.value(), 1e-12, name);
        assert_near(device.weight.value(), host.weight.value(), 1e-12, name);
        assert_eq!(device.score.right, host.score.right, "{name}");
        let (device, host) = (device.measure(loss.score()), host.measure(loss.score()));
        assert_near(device.score, host.score, 1e-12, name);
    }
}

/// Returns the totals as they are taken on a GPU.
fn on_device(loss: &Loss, output: &Tensor, target: &Tensor) -> Totals {
    match loss.of_classes(output.dims(), target.dims()).unwrap() {
        Some(classes) if !classes.axis.has_probabilities => {
            let (output, target) = classes.shifted(output, target).unwrap();
            let rows = classes.rows(&output).unwrap();
            let ids = classes.ids(&target, rows.dim(1).unwrap()).unwrap();
            classes.by_ids_on_device(&rows, &ids).unwrap()
        }
        Some(_) => loss.totals(output, target).unwrap(),
        None if matches!(loss, Loss::Bce { .. }) => loss.totals(output, target).unwrap(),
        None => regression::on_device(loss, output, target).unwrap(),
    }
}

#[test]
fn gradients_and_products_with_the_hessian_are_those_of_pytorch() {
    let test = "loss::tests::gradients_and_products_with_the_hessian_are_those_of_pytorch";
    if !in_a_process_that_keeps_graphs(test) {
        return;
    }
    let values = pytorch();
    for (name, loss) in cases() {
        let of = |key: &str| &values[&format!("{name}.{key}")];
        let output = Var::from_tensor(of("output")).unwrap();
        let sum = loss.sum(&output, of("target")).unwrap();
        assert_near(
            sum.to_scalar().unwrap(),
            number(&values, &format!("{name}.sum")),
            1e-12,
            name,
        );
        let gradients = sum.backward().unwrap();
        let gradient = gradients.get(&output).unwrap();
        assert_equal(gradient, of("gradient"), name);
        let along = (gradient * of("direction")).and_then(|along| along.sum_all());
        let second = along.unwrap().backward().unwrap();
        let none = output.zeros_like().unwrap();
        assert_equal(second.get(&output).unwrap_or(&none), of("product"), name);
    }
}

fn assert_equal(found: &Tensor, expected: &Tensor, name: &str) {
    assert_eq!(found.dims(), expected.dims(), "{name}");
    let pairs = host_values::numbers(found).unwrap().into_iter();
    for (found, expected) in pairs.zip(host_values::numbers(expected).unwrap()) {
        assert_near(found, expected, 1e-12, name);
    }
}

fn tensor(values: &[f32], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

fn ids(values: &[i64], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

#[test]
fn a_nan_stays_one_and_counts_as_the_largest() {
    let logits = tensor(&[f32::NAN, 0., 0., 1., 2., 2.], &[2, 3]);
    let target = ids(&[0, 1], &[2]);
    let loss = Loss::default();
    for totals in [
        loss.totals(&logits, &target).unwrap(),
        on_device(&loss, &logits, &target),
    ] {
        assert!(totals.loss.value().is_nan());
        assert_eq!((totals.score.right, totals.score.items), (2, 2));
    }
    let later = ids(&[1, 2], &[2]);
    for totals in [
        loss.totals(&logits, &later).unwrap(),
        on_device(&loss, &logits, &later),
    ] {
        assert_eq!(totals.score.right, 0);
    }
    let output = tensor(&[1., f32::NAN], &[2]);
    for loss in [
        Loss::Mse,
        Loss::L1,
        Loss::Huber { delta: 1. },
        Loss::Bce { positive: None },
    ] {
        let totals = loss.totals(&output, &tensor(&[0., 1.], &[2])).unwrap();
        assert!(totals.loss.value().is_nan(), "{loss:?}");
    }
}

#[test]
fn where_nothing_counts_there_is_no_mean() {
    let (logits, target) = (tensor(&[1., 2.], &[1, 2]), ids(&[-100], &[1]));
    let loss = Loss::default();
    let totals = loss.totals(&logits, &target).unwrap();
    assert_eq!(totals, Totals::default());
    assert_eq!(on_device(&loss, &logits, &target), Totals::default());
    assert!(totals.measure(loss.score()).loss.is_nan());
    assert_eq!(
        loss.sum(&logits, &target)
            .unwrap()
            .to_scalar::<f32>()
            .unwrap(),
        0.0
    );
}

#[test]
fn an_output_that_is_the_loss_counts_for_the_samples_it_stands_for() {
    let target = ids(&[0, 0, 0, 0], &[4]);
    let mean = |output: &Tensor| {
        let totals = Loss::Output.totals(output, &target).unwrap();
        let sum = Loss::Output.sum(output, &target).unwrap();
        assert_eq!(
            f64::from(sum.to_scalar::<f32>().unwrap()),
            totals.loss.value()
        );
        (totals.loss.value(), totals.weight.value())
    };
    assert_eq!(mean(&tensor(&[1.5], &[])), (6.0, 4.0));
    assert_eq!(mean(&tensor(&[1.5], &[1])), (6.0, 4.0));
    assert_eq!(mean(&tensor(&[1., 2., 3., 4.], &[4])), (10.0, 4.0));
    let refused = Loss::Output.check(&[4, 2], &[4]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "--loss output: expected an output of one number or of one a sample, found (4, 2)"
    );
}

#[test]
fn shapes_that_do_not_fit_are_told_with_those_that_would() {
    let token = |shift| Loss::NextToken {
        classes: Classes::default(),
        shift,
    };
    let says = |loss: &Loss, output: &[usize], target: &[usize]| {
        loss.check(output, target)
            .err()
            .map(|error| error.to_string())
    };
    let cross = Loss::default();
    for (loss, output, target) in [
        (&cross, &[8, 10][..], &[8][..]),
        (&cross, &[8, 10], &[8, 10]),
        (&cross, &[8, 5, 4, 4], &[8, 4, 4]),
        (&cross, &[8, 4, 4, 4], &[8, 4, 4]),
        (&cross, &[8, 16, 65], &[8, 16]),
        (&token(true), &[8, 64, 64], &[8, 64]),
        (&Loss::Mse, &[8, 1], &[8, 1]),
    ] {
        assert_eq!(says(loss, output, target), None);
    }
    for (loss, output, target, said) in [
        (
            &Loss::Mse,
            &[64, 1][..],
            &[64][..],
            "mse of an output (64, 1) and a target (64,): expected equal shapes",
        ),
        (
            &cross,
            &[8, 10],
            &[8, 1],
            "cross-entropy of an output (8, 10) and a target (8, 1): expected class ids (8,), or probabilities (8, 10)",
        ),
        (
            &cross,
            &[8],
            &[8],
            "cross-entropy of an output (8,) and a target (8,): expected an output (N, classes)",
        ),
        (
            &cross,
            &[8, 64, 64],
            &[8, 64],
            "cross-entropy of an output (8, 64, 64) and a target (8, 64): the classes may be in dimension 1 or in the last; --loss next-token --shifted takes the last",
        ),
        (
            &Loss::Nll(Classes::default()),
            &[8, 16, 65],
            &[8, 9],
            "nll of an output (8, 16, 65) and a target (8, 9): expected class ids (8, 65) or (8, 16)",
        ),
        (
            &token(true),
            &[8, 1, 65],
            &[8, 1],
            "next-token of an output (8, 1, 65) and a target (8, 1): expected two positions or more",
        ),
        (
            &token(false),
            &[8, 4, 65],
            &[8, 5],
            "next-token of an output (8, 4, 65) and a target (8, 5): expected a target (8, 4)",
        ),
        (
            &token(false),
            &[8, 65],
            &[8],
            "next-token of an output (8, 65) and a target (8,): expected logits (N, T, V) and ids (N, T)",
        ),
        (
            &Loss::CrossEntropy(classes(0.0, true)),
            &[8, 10],
            &[8],
            "--class-weights: expected 10 weights, one a class, found 5",
        ),
        (
            &Loss::Bce {
                positive: Some(vec![1.0; 3]),
            },
            &[8, 2],
            &[8, 2],
            "--pos-weight: expected 2 weights, one a class, found 3",
        ),
    ] {
        assert_eq!(says(loss, output, target).as_deref(), Some(said));
    }
}

#[test]
fn an_id_of_no_class_is_told_with_its_place() {
    let logits = tensor(&[0.; 24], &[2, 3, 4]);
    let of = |values: &[i64]| {
        let target = ids(values, &[2, 4]);
        let totals = Loss::default().totals(&logits, &target).map(|_| ());
        let sum = Loss::default().sum(&logits, &target).map(|_| ());
        assert_eq!(
            totals.as_ref().map_err(ToString::to_string).err(),
            sum.map_err(|error| error.to_string()).err()
        );
        totals.unwrap_err().to_string()
    };
    assert_eq!(
        of(&[0, 1, 2, 0, 0, 0, 3, 0]),
        "the target is class 3 at (1, 2), and the output has 3 classes, 0 to 2"
    );
    assert_eq!(
        of(&[0, -1, 2, 0, 0, 0, 0, 0]),
        "the target is class -1 at (0, 1), and the output has 3 classes, 0 to 2"
    );
    let floats = Loss::default().totals(&logits, &tensor(&[0.; 8], &[2, 4]));
    assert_eq!(
        floats.unwrap_err().to_string(),
        "the target holds floats, expected class ids, which are integers"
    );
    let whole = Loss::default().totals(&tensor(&[0.; 4], &[2, 2]), &ids(&[0; 4], &[2, 2]));
    assert!(
        whole
            .unwrap_err()
            .to_string()
            .starts_with("the target holds integers")
    );
}

#[test]
fn many_rows_give_to_the_bit_what_one_after_the_other_gives() {
    let (rows, classes) = (5000, 11);
    let values: Vec<f32> = (0..rows * classes)
        .map(|i| ((i * 7919) % 1013) as f32 / 100.0)
        .collect();
    let labels: Vec<i64> = (0..11).cycle().take(rows).collect();
    let loss = Loss::default();
    let together = loss
        .totals(&tensor(&values, &[rows, classes]), &ids(&labels, &[rows]))
        .unwrap();
    let alone = values.chunks(classes).zip(&labels).map(|(row, id)| {
        loss.totals(&tensor(row, &[1, classes]), &ids(&[*id], &[1]))
            .unwrap()
    });
    assert_eq!(together, alone.sum());
}

#[test]
fn targets_far_from_zero_keep_the_digits_of_their_spread() {
    let far: DeviationSums = [1e9, 1e9 + 1.0, 1e9 + 2.0]
        .into_iter()
        .map(DeviationSums::of)
        .fold(DeviationSums::default(), Add::add);
    assert!((far.squares() - 2.0).abs() < 1e-9);
    let same = DeviationSums::of(0.1) + DeviationSums::of(0.1) + DeviationSums::of(0.1);
    assert_eq!(same.squares(), 0.0);
    let alike = Loss::Mse.totals(&tensor(&[1., 2.], &[2]), &tensor(&[3., 3.], &[2]));
    assert!(alike.unwrap().measure(Loss::Mse.score()).score.is_nan());
}

#[test]
fn old_recordings_are_read_and_a_measure_without_a_score_is_equal_to_itself() {
    let read = |text: &str| serde_json::from_str::<Measure>(text).unwrap();
    let measure = read(r#"{"loss":1.5,"accuracy":0.25}"#);
    assert_eq!((measure.loss, measure.score), (1.5, 0.25));
    let without = read(r#"{"loss":1.5}"#);
    assert!(without.score.is_nan());
    assert_eq!(without, without);
    assert_ne!(without, measure);
}
