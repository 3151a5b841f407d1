//! Curvature, and the critical steps of updates.

use super::program::{fixture, json, refusal};
use super::{array, digits, digits_json, stdout};

#[test]
fn curvature_has_its_fields_a_map_and_a_density() {
    let digits = digits();
    let arguments: Vec<&str> = std::iter::once("hessian")
        .chain(digits.iter().map(String::as_str))
        .collect();
    let text = stdout(&arguments);
    let names = [
        "origin",
        "point",
        "lambda_max",
        "lambda_min",
        "ratio",
        "iterations",
        "samples",
        "parameters",
    ];
    for name in names {
        assert!(text.contains(&format!("\"{name}\":")), "{name}: {text}");
    }
    let found = digits_json(
        "hessian",
        &[
            "--map",
            "--density",
            "--probes",
            "2",
            "--x=-1:1:3",
            "--y=-1:1:2",
        ],
    );
    let rows = array(&found["map"]["points"]);
    assert_eq!((rows.len(), array(&rows[0]).len()), (2, 3));
    assert_eq!(rows[1][2]["point"], serde_json::json!([1.0, 1.0]));
    let path = json(&["trajectory", &fixture("digits-run"), "--format", "json"]);
    assert_eq!(found["steps"], path["steps"]);
    let on_map = array(&found["coordinates"]).iter();
    let pairs = on_map.zip(array(&path["coordinates"]));
    for (ours, own) in pairs.flat_map(|(ours, own)| array(ours).iter().zip(array(own))) {
        let [ours, own] = [ours, own].map(|value| value.as_f64().unwrap());
        assert!((ours - own).abs() < 1e-5, "{ours} {own}");
    }
    let weights = array(&found["density"]["weights"])
        .iter()
        .map(|w| w.as_f64().unwrap());
    assert!((weights.sum::<f64>() - 1.0).abs() < 1e-9);
    let nodes = array(&found["density"]["nodes"]);
    let top = nodes
        .iter()
        .map(|n| n.as_f64().unwrap())
        .fold(f64::MIN, f64::max);
    assert!((top / found["lambda_max"].as_f64().unwrap() - 1.0).abs() < 0.01);
    let error = refusal(
        &["hessian", &digits[0], "--data", "digits", "--point", "1"],
        2,
    );
    assert!(error.contains("expected two numbers"), "{error}");
}

#[test]
fn critical_steps_are_found_with_few_losses_and_a_random_plane_catches_little() {
    let found = digits_json("sharpness", &[]);
    assert_eq!(array(&found["updates"]).len(), 24);
    for update in array(&found["updates"]) {
        assert!(update["evaluations"].as_u64().unwrap() < 10);
    }
    let path = json(&[
        "trajectory",
        &fixture("digits-run"),
        "--plane",
        "random",
        "--format",
        "json",
    ]);
    let caught = path["random"]["caught"].as_f64().unwrap();
    assert!(caught > 0.0 && caught < 0.2, "{caught}");
    assert_eq!(array(&path["random"]["coordinates"]).len(), 25);
}

#[test]
fn the_ratio_of_curvatures_is_that_of_the_whole_spectrum() {
    let found = |more: &[&str]| {
        let arguments = ["--tolerance", "1e-5", "--iterations", "888"];
        let more = if more.is_empty() { &arguments } else { more };
        digits_json("hessian", more)["ratio"].as_f64().unwrap()
    };
    let exact = found(&[]);
    let quick = found(&["--iterations", "80"]);
    assert!((quick / exact - 1.0).abs() < 0.02, "{quick} {exact}");
}

#[test]
fn two_checkpoints_are_enough_for_the_curvature_at_one_of_them() {
    let folder = tempfile::tempdir().unwrap();
    for step in ["0000", "0010"] {
        let name = format!("step_{step}.safetensors");
        super::copy(&format!("digits-run/{name}"), &folder.path().join(name));
    }
    let run = folder.path().to_str().unwrap();
    let quick = ["--data", "digits", "--samples", "100"];
    let ends = |run: &str, more: &[&str]| {
        let format = ["--format", "json"];
        let found = json(&[&["hessian", run], &quick[..], &format, more].concat());
        ["lambda_max", "lambda_min"].map(|name| found[name].as_f64().unwrap())
    };
    // The checkpoint is the same point of a plane of the whole run.
    let whole = ["--plane", "pca", "--origin", "10"];
    assert_eq!(ends(run, &[]), ends(&fixture("digits-run"), &whole));
    // Elsewhere, and for a map, a plane must be chosen.
    for more in [&["--point", "1,0"][..], &["--map"]] {
        let error = refusal(&[&["hessian", run], &quick[..], more].concat(), 1);
        assert!(
            error.contains("at least three different checkpoints"),
            "{error}"
        );
    }
}
