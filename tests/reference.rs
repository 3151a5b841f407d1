//! The figures of PyTorch in float64, for two real runs. `tests/fixtures/make_reference.py` tells where
//! they are from.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

mod program;

use program::{fixture, json};
use rstest::rstest;
use serde_json::Value;

fn reference(run: &str) -> Value {
    let path = fixture(&format!("{run}.reference/reference.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect()
}

fn rows(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().flat_map(numbers).collect()
}

fn assert_relative(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs() / expected.abs();
        assert!(
            error <= tolerance,
            "{what} {i}: found {found}, expected {expected}"
        );
    }
}

#[rstest]
fn the_trajectory_is_that_of_numpy(#[values("mlp-fashion", "resnet8-fashion")] run: &str) {
    let expected = reference(run);
    let found = json(&["trajectory", &fixture(run), "--format", "json"]);
    assert_eq!(found["steps"], expected["steps"]);
    for name in ["norm", "singular", "explained"] {
        assert_relative(
            &numbers(&found[name]),
            &numbers(&expected[name]),
            1e-6,
            name,
        );
    }
    let coordinates = |value: &Value, k: usize| -> Vec<f64> {
        let all = value.as_array().unwrap().iter();
        all.map(|at| at.get(k).and_then(Value::as_f64).unwrap_or(0.0))
            .collect()
    };
    let axes = numbers(&expected["singular"]).len().min(2);
    for k in 0..axes {
        let (found, expected) = (
            coordinates(&found["coordinates"], k),
            coordinates(&expected["coordinates"], k),
        );
        assert!(found[0] > 0.0, "the first point of a first fit is positive");
        let sign = expected[0].signum();
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - sign * expected).abs() < 1e-6,
                "axis {k}: {found} {expected}"
            );
        }
    }
}

/// The samples that the reference was made with.
fn samples(run: &str) -> usize {
    if run == "mlp-fashion" { 2000 } else { 256 }
}

#[rstest]
#[case("mlp-fashion", "pca", "pca")]
#[case("mlp-fashion", "random", "directions")]
#[case("resnet8-fashion", "pca", "pca")]
#[case("resnet8-fashion", "random", "directions")]
fn the_surface_is_pytorch_s_at_every_point(
    #[case] run: &str,
    #[case] plane: &str,
    #[case] file: &str,
) {
    let whole = reference(run);
    let expected = &whole[plane];
    let axis = |name: &str| {
        let lines = numbers(&expected[name]);
        format!("{}:{}:{}", lines[0], lines[lines.len() - 1], lines.len())
    };
    let (x, y) = (format!("--x={}", axis("xs")), format!("--y={}", axis("ys")));
    let (count, data) = (samples(run).to_string(), fixture("fashion-mnist"));
    let directions = fixture(&format!("{run}.reference/{file}.safetensors"));
    let found = json(&[
        "surface",
        &fixture(run),
        "--data",
        &data,
        "--samples",
        &count,
        "--order",
        "first",
        "--directions",
        &directions,
        &x,
        &y,
        "--exact",
        "--format",
        "json",
    ]);
    assert_relative(
        &rows(&found["loss"]),
        &rows(&expected["loss"]),
        1e-5,
        "loss",
    );
    for (found, expected) in rows(&found["accuracy"]).iter().zip(rows(&expected["acc"])) {
        let off = (found - expected).abs() * samples(run) as f64;
        assert!(off < 1.5, "accuracy {found} {expected}");
    }
    assert_eq!(found["evaluations"], rows(&expected["loss"]).len());
    let path = found["path"].as_array().unwrap();
    let own: Vec<f64> = path
        .iter()
        .map(|point| point["loss"].as_f64().unwrap())
        .collect();
    let truth: Vec<f64> = whole["at_checkpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|at| at[0].as_f64().unwrap())
        .collect();
    assert_relative(&own, &truth, 1e-5, "loss at a checkpoint");
}

/// Mean and 99th percentile of the error of a surface in log-loss at some of its lines, as shares of the range
/// (docs/math.md 11).
fn errors(found: &Value, exact: &Value, lines: &[usize]) -> [f64; 2] {
    let z = |loss: &Value| (loss.as_f64().unwrap() + 1e-3).ln();
    let truth: Vec<f64> = rows(&exact["loss"])
        .iter()
        .map(|loss| (loss + 1e-3).ln())
        .collect();
    let places = lines
        .iter()
        .flat_map(|j| lines.iter().map(move |i| (*j, *i)));
    let found: Vec<f64> = places.map(|(j, i)| z(&found["loss"][j][i])).collect();
    assert_eq!(found.len(), truth.len());
    let range = truth.iter().copied().fold(f64::NEG_INFINITY, f64::max)
        - truth.iter().copied().fold(f64::INFINITY, f64::min);
    let off = found
        .iter()
        .zip(&truth)
        .map(|(found, truth)| (found - truth).abs() / range);
    let mut off: Vec<f64> = off.collect();
    off.sort_by(f64::total_cmp);
    [
        off.iter().sum::<f64>() / off.len() as f64,
        off[off.len() * 99 / 100],
    ]
}

/// Few of 51×51 points are measured, and what is drawn between them is nearly the truth: on every other line for
/// the MLP, on every fourth for the convolutional network. Those lines are odd, which the coarse levels are mostly not.
#[rstest]
#[case("mlp-fashion", "pca", "pca", 2, 100)]
#[case("mlp-fashion", "random", "directions", 2, 100)]
#[case("resnet8-fashion", "pca", "pca", 4, 200)]
#[case("resnet8-fashion", "random", "directions", 4, 200)]
fn a_surface_measures_only_what_matters(
    #[case] run: &str,
    #[case] plane: &str,
    #[case] file: &str,
    #[case] step: usize,
    #[case] most: u64,
) {
    let whole = reference(run);
    let ends = |name: &str| {
        let lines = numbers(&whole[plane][name]);
        [lines[0], lines[lines.len() - 1]]
    };
    let lines: Vec<usize> = (1..50).step_by(step).collect();
    let data = fixture("fashion-mnist");
    let directions = fixture(&format!("{run}.reference/{file}.safetensors"));
    let surface = |axis: &dyn Fn([f64; 2]) -> String, more: &[&str]| {
        let (x, y) = (axis(ends("xs")), axis(ends("ys")));
        let (x, y) = (format!("--x={x}"), format!("--y={y}"));
        let samples = ["--data", &data, "--samples", "256", "--order", "first"];
        let plane = ["--directions", &directions, &x, &y, "--format", "json"];
        let run = fixture(run);
        json(&[&["surface", &run][..], &samples, &plane, more].concat())
    };
    let found = surface(&|[min, max]| format!("{min}:{max}:51"), &[]);
    let exact = surface(
        &|[min, max]| {
            let at = |line: usize| min + (max - min) * line as f64 / 50.0;
            format!(
                "{}:{}:{}",
                at(lines[0]),
                at(lines[lines.len() - 1]),
                lines.len()
            )
        },
        &["--exact"],
    );
    assert!(
        found["evaluations"].as_u64().unwrap() <= most,
        "{}",
        found["evaluations"]
    );
    let [mean, worst] = errors(&found, &exact, &lines);
    assert!(mean <= 0.005 && worst <= 0.03, "{mean} {worst}");
}

/// PyTorch's values along the line from the first to the last checkpoint of resnet8-fashion, of which
/// tests/fixtures/make_lines.py tells how they were made.
#[rstest]
fn a_line_between_two_checkpoints_is_that_of_pytorch(
    #[values("frozen", "states", "recalibrated")] mode: &str,
) {
    let path = fixture("lines.json");
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let [a, b] = [0, 632].map(|step| fixture(&format!("resnet8-fashion/step={step}.ckpt")));
    let data = fixture("fashion-mnist");
    let found = json(&[
        "line",
        &a,
        &b,
        "--data",
        &data,
        "--samples",
        "128",
        "--order",
        "first",
        "--bn",
        mode,
        "--x=-0.5:1.5:9",
        "--format",
        "json",
    ]);
    assert_eq!(found["alpha"], expected["alpha"]);
    assert_eq!(found["test"], Value::Null, "there are no test samples");
    let (found, expected) = (&found["train"], &expected[mode]);
    assert_eq!(found["accuracy"], expected["accuracy"]);
    for i in 0..9 {
        let pair = [found, expected].map(|values| values["loss"][i].as_f64());
        match pair {
            [Some(found), Some(expected)] => {
                assert!(
                    (found / expected - 1.0).abs() < 2e-6,
                    "{mode} {i}: {found} {expected}"
                );
            }
            [found, expected] => assert_eq!(found, expected, "{mode} {i}: null is not null"),
        }
    }
}

/// Largest and smallest eigenvalue of the Hessian, in PyTorch float64, on the random plane of the
/// reference: at every point of the MLP's, and at one of the convolutional network's.
#[rstest]
#[case("mlp-fashion", "512", 0..4)]
#[case("resnet8-fashion", "256", 2..3)]
fn extreme_eigenvalues_are_those_of_pytorch(
    #[case] run: &str,
    #[case] samples: &str,
    #[case] points: std::ops::Range<usize>,
) {
    let expected = reference(run);
    let directions = fixture(&format!("{run}.reference/directions.safetensors"));
    let (folder, data) = (fixture(run), fixture("fashion-mnist"));
    for point in points {
        let row = numbers(&expected["hessian"]["points"][point]);
        let at = format!("--point={},{}", row[0], row[1]);
        let found = json(&[
            "hessian",
            &folder,
            "--directions",
            &directions,
            "--data",
            &data,
            "--samples",
            samples,
            "--order",
            "first",
            &at,
            "--format",
            "json",
        ]);
        let [min, max] = ["lambda_min", "lambda_max"].map(|end| found[end].as_f64().unwrap());
        assert!(
            (max / row[3] - 1.0).abs() < 0.02,
            "{run} {at}: {max}, expected {}",
            row[3]
        );
        assert!(
            (min - row[2]).abs() < 0.02 * row[3],
            "{run} {at}: {min}, expected {}",
            row[2]
        );
        assert_eq!(found["converged"], true);
    }
}
