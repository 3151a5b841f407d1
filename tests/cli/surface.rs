//! The surface: its fields, its planes, and how many points it measures.

use std::fs;

use super::program::{fixture, json, program, refusal};
use super::{SMALL, array, assert_fields, copy, stdout};

#[test]
fn surface_json_has_the_fields_that_programs_rely_on() {
    let (run, data) = (fixture("mlp-fashion"), fixture("fashion-mnist"));
    let arguments = [
        &[
            "surface",
            run.as_str(),
            "--data",
            &data,
            "--format",
            "json",
            "--exact",
        ],
        &SMALL[..],
    ]
    .concat();
    let text = stdout(&arguments);
    let names = [
        "run",
        "origin",
        "step",
        "model",
        "parameters",
        "samples",
        "split",
        "seed",
        "bn",
        "plane",
        "kind",
        "norm",
        "ignore",
        "explained",
        "cosine",
        "expected_cosine",
        "x",
        "y",
        "loss",
        "accuracy",
        "measured",
        "evaluations",
        "path",
        "step",
        "x",
        "y",
        "residual",
        "loss",
        "plane_loss",
    ];
    assert_fields(&text, &names);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        value["loss"].as_array().unwrap().len(),
        3,
        "loss[j][i] belongs to x[i], y[j]"
    );
    assert_eq!(value["loss"][0].as_array().unwrap().len(), 5);
    assert_eq!(
        (&value["evaluations"], &value["origin"]["step"]),
        (&15.into(), &1580.into())
    );
    // The origin is on the grid, and the last checkpoint lies there.
    assert_eq!(value["loss"][1][2], value["path"][2]["loss"]);
    assert!(value["plane"]["cosine"].as_f64().unwrap().abs() < 1e-6);
}

#[test]
fn a_random_plane_names_its_seed_and_the_seed_its_plane() {
    let (file, data) = (
        fixture("mlp-fashion/model_1580.pt"),
        fixture("fashion-mnist"),
    );
    let surface = |seed: &str| {
        json(
            &[
                &[
                    "surface", &file, "--data", &data, "--format", "json", "--seed", seed,
                ],
                &SMALL[..],
            ]
            .concat(),
        )
    };
    let (one, again, two) = (surface("1"), surface("1"), surface("2"));
    assert_eq!(one["loss"], again["loss"]);
    assert_ne!(one["loss"], two["loss"]);
    assert_eq!(
        (&one["plane"]["kind"], &one["plane"]["norm"]),
        (&"random".into(), &"filter".into())
    );
    // Of 55050 parameters 138 are biases, which such directions leave alone.
    let expected = (2.0 / (std::f64::consts::PI * 54912.0)).sqrt();
    assert!((one["plane"]["expected_cosine"].as_f64().unwrap() - expected).abs() < 1e-12);
    assert!(one["plane"]["cosine"].as_f64().unwrap().abs() < 6.0 * expected);
}

#[test]
fn a_surface_within_tolerance_measures_less_and_says_where() {
    let (run, data) = (fixture("mlp-fashion"), fixture("fashion-mnist"));
    let surface = |more: &[&str]| {
        json(
            &[
                &[
                    "surface",
                    &run,
                    "--data",
                    &data,
                    "--format",
                    "json",
                    "--samples",
                    "64",
                ],
                more,
            ]
            .concat(),
        )
    };
    let rough = surface(&["--x=-3:12:33", "--y=-4:4:33", "--tolerance", "0.02"]);
    let exact = surface(&["--x=-3:12:33", "--y=-4:4:33", "--exact"]);
    assert!(
        rough["evaluations"].as_u64().unwrap() < 500,
        "{}",
        rough["evaluations"]
    );
    let log = |value: &serde_json::Value| (value.as_f64().unwrap() + 1e-3).ln();
    let pairs = |k: &str| -> Vec<serde_json::Value> {
        let of = |v: &serde_json::Value| {
            v[k].as_array()
                .unwrap()
                .iter()
                .flat_map(|row| row.as_array().unwrap().clone())
                .collect()
        };
        of(if k == "measured" { &rough } else { &exact })
    };
    let truth = pairs("loss");
    let found: Vec<_> = rough["loss"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap().clone())
        .collect();
    let z: Vec<f64> = truth.iter().map(log).collect();
    let range =
        z.iter().copied().fold(f64::MIN, f64::max) - z.iter().copied().fold(f64::MAX, f64::min);
    let errors: Vec<f64> = found
        .iter()
        .zip(&z)
        .map(|(f, z)| (log(f) - z).abs() / range)
        .collect();
    assert!(errors.iter().sum::<f64>() / (errors.len() as f64) < 0.02);
    for (measured, error) in pairs("measured").iter().zip(&errors) {
        assert!(!measured.as_bool().unwrap() || *error < 1e-12);
    }
}

#[test]
fn surface_text_is_a_map_with_slices() {
    let (run, data) = (fixture("mlp-fashion"), fixture("fashion-mnist"));
    let arguments = [&["surface", run.as_str(), "--data", &data], &SMALL[..]].concat();
    let ascii = program()
        .args(&arguments)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let text = String::from_utf8(ascii.stdout).unwrap();
    assert!(
        text.contains("mlp, 55050 parameters, pca plane through step 1580") && text.contains("PC1")
    );
    let map: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.is_empty())
        .skip(1)
        .take(30)
        .collect();
    assert!(map.iter().all(|line| line.is_ascii()), "{map:?}");
    assert!(text.contains("loss along x through the origin"));
}

#[test]
fn surface_text_is_a_relief_when_asked_and_turns_with_its_angle() {
    let (run, data) = (fixture("mlp-fashion"), fixture("fashion-mnist"));
    let surface = [&["surface", run.as_str(), "--data", &data], &SMALL[..]].concat();
    let relief = |option: &str| {
        let arguments = [&surface[..], &[option]].concat();
        let output = program()
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().skip_while(|line| !line.is_empty());
        lines.skip(1).take(30).collect::<Vec<_>>().join("\n")
    };
    let default = relief("--relief");
    assert_eq!(default, relief("--relief=30,35"));
    assert!(default.contains("PC1 →") && default.contains("PC2 ↖"));
    assert!(relief("--relief=210,35").contains("PC1 ←"));
    let wrong = |more: &[&str]| refusal(&[&surface[..], more].concat(), 2);
    assert!(
        wrong(&["--relief", "--format", "json"])
            .contains("--relief is a picture: --format text, svg or png")
    );
    assert!(wrong(&["--relief=30"]).contains("expected TURN,TILT"));
}

#[test]
fn one_checkpoint_is_a_point_and_two_are_a_line() {
    let run = tempfile::tempdir().unwrap();
    let path = run.path().to_str().unwrap();
    copy("mlp-fashion/model_0.pt", &run.path().join("model_0.pt"));
    assert!(stdout(&["trajectory", path]).contains("there is no path yet"));
    assert_eq!(
        json(&["trajectory", path, "--format", "json"])["coordinates"],
        serde_json::json!([[0.0, 0.0]])
    );
    copy("mlp-fashion/model_395.pt", &run.path().join("model_395.pt"));
    assert!(stdout(&["trajectory", path]).contains("a plane needs a third"));
    let data = fixture("fashion-mnist");
    assert!(
        refusal(&["surface", path, "--data", &data, "--samples", "9"], 1)
            .contains("expected at least three")
    );
}

#[test]
fn the_run_is_never_written_to() {
    let run = tempfile::tempdir().unwrap();
    for step in [0, 395, 1580] {
        copy(
            &format!("mlp-fashion/model_{step}.pt"),
            &run.path().join(format!("model_{step}.pt")),
        );
    }
    let state = || -> Vec<_> {
        let entries = fs::read_dir(run.path())
            .unwrap()
            .map(|entry| entry.unwrap());
        let mut state: Vec<_> = entries
            .map(|e| (e.file_name(), e.metadata().unwrap().modified().unwrap()))
            .collect();
        state.sort();
        state
    };
    let before = state();
    let (path, data) = (run.path().to_str().unwrap(), fixture("fashion-mnist"));
    stdout(&["trajectory", path]);
    stdout(&[&["surface", path, "--data", &data], &SMALL[..]].concat());
    assert_eq!(state(), before);
}

#[test]
fn an_orthogonal_pair_has_no_cosine() {
    let one = fixture("digits-run/step_0240.safetensors");
    let arguments = [
        "surface",
        &one,
        "--data",
        "digits",
        "--samples",
        "20",
        "--x=-1:1:2",
        "--y=-1:1:2",
        "--format",
        "json",
    ];
    let cosine = |more: &[&str]| {
        let found = json(&[&arguments[..], more].concat());
        found["plane"]["cosine"].as_f64().unwrap().abs()
    };
    assert!(cosine(&[]) > 1e-3 && cosine(&["--orthogonal"]) < 1e-6);
    let norms = ["filter", "layer", "weight", "dfilter", "dlayer", "none"];
    let losses: Vec<serde_json::Value> = norms
        .iter()
        .map(|norm| json(&[&arguments[..], &["--norm", norm]].concat())["loss"].take())
        .collect();
    for (i, a) in losses.iter().enumerate() {
        assert!(losses[..i].iter().all(|b| a != b), "{}", norms[i]);
    }
}

#[test]
fn half_precision_gives_the_same_surface_to_its_digits() {
    let (run, data) = (fixture("resnet8-fashion"), fixture("fashion-mnist"));
    let losses = |more: &[&str]| -> Vec<f64> {
        let arguments = ["surface", &run, "--data", &data, "--plane", "random"];
        let few = ["--samples", "16", "--x=-1:1:3", "--y=-1:1:2", "--exact"];
        let others = ["--device", "cpu,cpu", "--format", "json"];
        let found = json(&[&arguments[..], &few, &others, more].concat());
        let rows = array(&found["loss"]).iter().flat_map(array);
        rows.map(|loss| loss.as_f64().unwrap()).collect()
    };
    for bn in ["frozen", "recalibrated"] {
        let full = losses(&["--bn", bn]);
        let half = losses(&["--bn", bn, "--dtype", "f16"]);
        assert_eq!(full.len(), 6);
        let error = |(full, half): (&f64, &f64)| (full - half).abs() / full;
        let error = full.iter().zip(&half).map(error).fold(0.0, f64::max);
        assert!(error > 1e-5 && error < 5e-3, "{bn}: {error}");
    }
}

#[test]
fn few_samples_everywhere_and_all_at_a_few_points_are_an_estimate_of_all() {
    let checkpoint = fixture("digits-run/step_0240.safetensors");
    let surface = |samples: &'static str, more: &[&'static str]| {
        let range = ["--x=-1:1:17", "--y=-1:1:17", "--data", "digits"];
        let arguments = ["surface", &checkpoint, "--samples", samples];
        [&arguments[..], &range, more].concat()
    };
    let losses = |samples: &'static str, more: &[&'static str]| -> Vec<Vec<f64>> {
        let found = json(&surface(samples, &[more, &["--format", "json"]].concat()));
        let row = |row: &serde_json::Value| -> Vec<f64> {
            array(row)
                .iter()
                .map(|loss| loss.as_f64().unwrap())
                .collect()
        };
        array(&found["loss"]).iter().map(row).collect()
    };
    let all = losses("300", &["--exact"]);
    let (estimate, few) = (
        losses("300", &["--fidelity", "60"]),
        losses("60", &["--exact"]),
    );
    let off = |found: &[Vec<f64>]| -> f64 {
        let pairs = found.iter().flatten().zip(all.iter().flatten());
        pairs
            .map(|(found, all)| (found / all).ln().abs())
            .sum::<f64>()
            / 289.0
    };
    assert!(
        off(&estimate) < off(&few) / 3.0,
        "{} {}",
        off(&estimate),
        off(&few)
    );
    for (i, j) in [(0, 0), (8, 8), (4, 12)] {
        assert_eq!(estimate[j][i], all[j][i], "there all samples were measured");
    }
    let text = stdout(&surface("300", &["--fidelity", "60"]));
    assert!(
        text.contains("an estimate: 60 samples everywhere, all at "),
        "{text}"
    );
    let refused = refusal(&surface("300", &["--fidelity", "60", "--exact"]), 2);
    assert!(refused.contains("--exact"), "{refused}");
    let refused = refusal(&surface("300", &["--fidelity", "300"]), 2);
    let expected = "--fidelity 300: expected fewer than the 300 samples, or `all`";
    assert!(refused.contains(expected), "{refused}");
}
