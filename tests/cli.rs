//! The command line: formats, exit codes and one clear sentence for bad input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

mod program;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use program::{fixture, json, program, refusal, run};

fn copy(from: &str, to: &Path) {
    fs::copy(fixture(from), to).unwrap();
}

fn stdout(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Only objects keep no order in `serde_json::Value`, so names are looked for in the text.
fn assert_fields(text: &str, names: &[&str]) {
    let mut rest = text;
    for name in names {
        let at = rest.find(&format!("\"{name}\":"));
        rest = &rest[at.unwrap_or_else(|| panic!("{name} is not next in {text}"))..];
    }
}

#[test]
fn trajectory_json_has_the_fields_that_programs_rely_on() {
    let text = stdout(&["trajectory", &fixture("mlp-fashion"), "--format", "json"]);
    let names = [
        "run",
        "parameters",
        "steps",
        "norm",
        "update_norm",
        "explained",
        "explained_null",
        "singular",
        "lissajous",
        "coordinates",
        "residual",
    ];
    assert_fields(&text, &names);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (
            &value["parameters"],
            value["steps"].as_array().unwrap().len()
        ),
        (&55050.into(), 3)
    );
}

#[test]
fn trajectory_csv_and_text_have_a_row_a_checkpoint() {
    let csv = stdout(&["trajectory", &fixture("mlp-fashion"), "--format", "csv"]);
    assert_eq!(
        csv.lines().next(),
        Some("step,x,y,residual,norm,update_norm")
    );
    assert_eq!(csv.lines().count(), 4);
    let text = stdout(&["trajectory", &fixture("mlp-fashion")]);
    assert!(
        text.contains("3 checkpoints, steps 0 to 1580, 55050 parameters")
            && text.contains("a random walk has 76.0 %")
    );
}

const SMALL: [&str; 6] = [
    "--samples",
    "64",
    "--order",
    "first",
    "--x=-1:1:5",
    "--y=-1:1:3",
];

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
fn inspect_tells_tensors_norms_and_the_architecture() {
    let value = json(&["inspect", &fixture("resnet8-fashion"), "--format", "json"]);
    assert_eq!(
        (&value["model"], &value["step"], &value["key"]),
        (&"resnet8".into(), &632.into(), &"state_dict".into())
    );
    assert_eq!(value["steps"], serde_json::json!([0, 632]));
    let tensors = value["tensors"].as_array().unwrap();
    assert_eq!(
        (&tensors[0]["name"], &tensors[0]["shape"]),
        (&"conv1.weight".into(), &serde_json::json!([16, 1, 3, 3]))
    );
    let squares = tensors
        .iter()
        .filter(|t| t["role"] == "parameter")
        .map(|t| t["norm"].as_f64().unwrap().powi(2));
    assert!((squares.sum::<f64>().sqrt() - value["norm"].as_f64().unwrap()).abs() < 1e-9);
    let text = stdout(&["inspect", &fixture("mlp-fashion/model_0.pt")]);
    assert!(
        text.contains("model mlp") && text.contains("64×784"),
        "{text}"
    );
}

#[test]
fn what_is_not_there_is_one_sentence_and_exit_code_1() {
    let empty = tempfile::tempdir().unwrap();
    fs::write(empty.path().join("notes.txt"), "x").unwrap();
    let empty = empty.path().to_str().unwrap();
    assert!(
        refusal(&["trajectory", "no/such/run"], 1)
            .contains("no/such/run: expected a run folder or a checkpoint")
    );
    assert!(
        refusal(&["trajectory", empty], 1)
            .contains("holds no checkpoint: expected files of torch.save")
    );
    let run = fixture("mlp-fashion");
    assert!(refusal(&["surface", &run], 1).contains("no data given"));
    assert!(refusal(&["surface", &run, "--data", empty], 1).contains("found notes.txt"));
    assert!(refusal(&["surface", &run, "--data", "digits"], 1).contains("784"));
    assert!(
        refusal(
            &[
                "surface",
                &run,
                "--data",
                &fixture("fashion-mnist"),
                "--model",
                "vgg9"
            ],
            1
        )
        .contains("model_1580.pt: the tensors were taken for a VGG")
    );
    assert!(
        refusal(
            &[
                "surface",
                &run,
                "--data",
                &fixture("fashion-mnist"),
                "--origin",
                "7"
            ],
            1
        )
        .contains("no checkpoint has step 7")
    );
    assert!(refusal(&["trajectory", &run, "--steps", "5..9"], 1).contains("steps 0 to 1580"));
    assert!(
        refusal(&["inspect", &fixture("torch"), "--key", "nothing"], 1)
            .contains("no checkpoint can be read")
    );
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let run = fixture("mlp-fashion");
    assert!(refusal(&["surface", &run, "--x", "3:1"], 2).contains("MIN:MAX"));
    assert!(refusal(&["trajectory"], 2).contains("<RUN>"));
    let inside = format!("{run}/out.json");
    assert!(refusal(&["trajectory", &run, "--out", &inside], 2).contains("is inside the run"));
    assert!(!Path::new(&inside).exists());
}

#[test]
fn a_bad_checkpoint_is_left_out_with_its_reason_and_the_others_stand() {
    let run = tempfile::tempdir().unwrap();
    for step in [0, 395, 1580] {
        copy(
            &format!("mlp-fashion/model_{step}.pt"),
            &run.path().join(format!("model_{step}.pt")),
        );
    }
    copy(
        "resnet8-fashion/step=0.ckpt",
        &run.path().join("model_200.pt"),
    );
    let half = fs::read(fixture("mlp-fashion/model_395.pt")).unwrap();
    fs::write(run.path().join("model_500.pt"), &half[..half.len() / 2]).unwrap();
    let output = program()
        .args([
            "trajectory",
            run.path().to_str().unwrap(),
            "--format",
            "json",
        ])
        .output()
        .unwrap();
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["steps"], serde_json::json!([0, 395, 1580]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(
        said.contains("model_500.pt: expected a whole PyTorch file"),
        "{said}"
    );
    assert!(
        said.contains("model_200.pt: expected tensor fc1.weight of shape [64, 784]"),
        "{said}"
    );
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
fn a_reader_that_stops_early_is_no_error() {
    let mut child = program()
        .args(["trajectory", &fixture("mlp-fashion"), "--format", "csv"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
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

/// A digits run and what it is measured on.
fn digits() -> [String; 7] {
    let run = fixture("digits-run");
    [
        &run,
        "--data",
        "digits",
        "--samples",
        "100",
        "--format",
        "json",
    ]
    .map(str::to_owned)
}

fn digits_json(command: &str, more: &[&str]) -> serde_json::Value {
    let digits = digits();
    let arguments: Vec<&str> = std::iter::once(command)
        .chain(digits.iter().map(String::as_str))
        .chain(more.iter().copied())
        .collect();
    json(&arguments)
}

fn array(value: &serde_json::Value) -> &Vec<serde_json::Value> {
    value.as_array().unwrap()
}

#[test]
fn a_line_has_its_fields_and_its_middle_is_the_average_of_its_ends() {
    let [a, b] =
        ["0230", "0240"].map(|step| fixture(&format!("digits-run/step_{step}.safetensors")));
    let arguments = [
        "line",
        &a,
        &b,
        "--data",
        "digits",
        "--samples",
        "100",
        "--x=0:1:3",
        "--format",
        "json",
    ];
    let text = stdout(&arguments);
    assert_fields(&text, &["a", "b", "alpha", "train", "test", "barrier"]);
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    let average = digits_json("average", &["--last", "2"]);
    let middle = line["train"]["loss"][1].as_f64().unwrap();
    let mean = average["averages"][1]["loss"].as_f64().unwrap();
    assert!((middle - mean).abs() < 1e-6, "{middle} {mean}");
    // On a line the first layer is combined from its ends, so the last digit may differ.
    let newest = average["averages"][0]["loss"].as_f64().unwrap();
    let end = line["train"]["loss"][2].as_f64().unwrap();
    assert!((newest - end).abs() < 1e-6, "{newest} {end}");
    assert_ne!(line["train"]["loss"], line["test"]["loss"]);
}

#[test]
fn slices_run_along_what_was_asked_for() {
    let along = [
        "--along",
        "random,pc1,pc2,update",
        "--seeds",
        "2",
        "--x=-1:1:3",
    ];
    let found = digits_json("line", &along);
    let names: Vec<&str> = array(&found["curves"])
        .iter()
        .map(|c| c["direction"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["random", "random", "pc1", "pc2", "update"]);
    let middles: Vec<&serde_json::Value> = array(&found["curves"])
        .iter()
        .map(|curve| &curve["train"]["loss"][1])
        .collect();
    assert!(
        middles.iter().all(|loss| *loss == middles[0]),
        "all run through the checkpoint"
    );
    let ends = |i: usize| &found["curves"][i]["train"]["loss"][0];
    assert_ne!(ends(0), ends(1), "seeds differ");
    let one = fixture("digits-run/step_0000.safetensors");
    let error = refusal(&["line", &one, "--data", "digits", "--along", "update"], 1);
    assert!(error.contains("no checkpoint before it"), "{error}");
    let error = refusal(&["line", &one], 1);
    assert!(error.contains("--data"), "{error}");
}

#[test]
fn runs_are_compared_on_one_range_and_a_pair_on_one_plane() {
    let folder = tempfile::tempdir().unwrap();
    let [early, late] = ["early", "late"].map(|name| folder.path().join(name));
    for (half, steps) in [(&early, 0..12), (&late, 12..25)] {
        fs::create_dir(half).unwrap();
        for step in steps {
            let name = format!("step_{:04}.safetensors", 10 * step);
            copy(&format!("digits-run/{name}"), &half.join(&name));
        }
    }
    let runs = [&early, &late].map(|half| half.to_str().unwrap());
    let measure = [
        "--data",
        "digits",
        "--samples",
        "60",
        "--x=-1:1:5",
        "--y=-1:1:5",
        "--exact",
        "--format",
        "json",
    ];
    let compare = |more: &[&str]| json(&[&["compare"], &runs[..], &measure, more].concat());
    let found = compare(&["--label", "bs 32", "--label", "bs 512"]);
    assert_eq!(
        (array(&found["x"]).len(), array(&found["runs"]).len()),
        (5, 2)
    );
    assert_eq!(found["runs"][1]["label"], "bs 512");
    let error = found["runs"][0]["test_error"].as_f64().unwrap();
    assert!((0.0..1.0).contains(&error), "{error}");
    assert_eq!(
        found["runs"][0]["loss"][2][2],
        found["runs"][0]["loss_at_origin"]
    );
    let shared = compare(&["--shared"]);
    let only = &shared["runs"][0];
    assert_eq!(
        (array(&only["path"]).len(), array(&only["other_path"]).len()),
        (12, 13)
    );
    assert_eq!(only["plane"]["kind"], "pca");
    let six = [runs[0]; 7];
    assert!(refusal(&[&["compare"], &six[..]].concat(), 2).contains("no more"));
    assert!(refusal(&["compare", runs[0]], 2).contains("expected 2 to 6 runs"));
    // A label may stand beside its run.
    let error = refusal(&["compare", runs[0], "--label", "one", runs[1]], 2);
    assert!(
        error.contains("--label: expected one for each of 2 runs"),
        "{error}"
    );
}

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
fn norms_of_layers_make_that_of_all_weights() {
    let found = json(&["weights", &fixture("digits-run"), "--format", "json"]);
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    for (i, norm) in array(&found["norm"]).iter().enumerate() {
        let squares = array(&found["layers"])
            .iter()
            .map(|layer| number(&layer["norm"][i]).powi(2));
        assert!((squares.sum::<f64>().sqrt() / number(norm) - 1.0).abs() < 1e-9);
    }
    assert_eq!(array(&found["cosine_matrix"]).len(), 24);
    assert_eq!(found["cosine_matrix"][0][1], found["update_cosine"][0]);
    assert!((number(&found["cosine_matrix"][3][3]) - 1.0).abs() < 1e-9);
    let [a, b] =
        ["0000", "0240"].map(|step| fixture(&format!("digits-run/step_{step}.safetensors")));
    let both = json(&["weights", &a, &b, "--bins", "7", "--format", "json"]);
    assert_eq!(array(&both["edges"]).len(), 8);
    for spread in array(&both["checkpoints"]) {
        let counted: u64 = array(&spread["counts"])
            .iter()
            .map(|count| count.as_u64().unwrap())
            .sum();
        assert_eq!(spread["count"], counted, "every weight is in a bin");
    }
    let error = refusal(&["weights", &a, "--layer", "nine"], 1);
    assert!(error.contains("no layer is named nine"), "{error}");
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
fn devices_and_types_that_cannot_be_are_wrong_usage() {
    let (run, data) = (fixture("mlp-fashion"), fixture("fashion-mnist"));
    let refused = |more: &[&str]| {
        let arguments = ["surface", &run, "--data", &data];
        refusal(&[&arguments[..], more].concat(), 2)
    };
    let error = refused(&["--device", "cpu,tpu"]);
    assert!(
        error.contains("'tpu' for '--device <DEVICE>': expected auto, cpu, cuda:N or metal\n"),
        "{error}"
    );
    let error = refused(&["--device", "cpu", "--dtype", "bf16"]);
    assert!(error.contains("--dtype bf16 --device cpu: the CPU has no matrix product in bf16"));
    let error = refusal(&["watch", &run, "--device", "cpu", "--dtype", "bf16"], 2);
    assert!(error.contains("expected f32 or f16, or a GPU"), "{error}");
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

/// The text of a command over the digits.
fn digits_text(command: &[&str]) -> String {
    let measure = ["--data", "digits", "--samples", "60"];
    stdout(&[command, &measure[..]].concat())
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
fn a_test_error_names_its_samples_and_stands_first_over_its_panel() {
    let [a, b] =
        ["0000", "0240"].map(|step| fixture(&format!("digits-run/step_{step}.safetensors")));
    let label = "a label that is much too long for the width of a panel of a page";
    let compare = [
        "compare",
        &a,
        &b,
        "--label",
        label,
        "--label",
        "b",
        "--x=-1:1:3",
        "--y=-1:1:3",
    ];
    let text = digits_text(&compare);
    assert!(text.contains(&format!("{label}, test error ")), "{text}");
    assert_eq!(text.matches(" % of 60 samples").count(), 2, "{text}");
    let panels = text.lines().filter(|line| line.starts_with("test error "));
    assert_eq!(panels.count(), 1, "{text}");
    let found = json(
        &[
            &compare[..],
            &["--data", "digits", "--samples", "60", "--format", "json"],
        ]
        .concat(),
    );
    assert_eq!(found["runs"][1]["test_samples"], 60);
}

#[test]
fn nobody_need_read_what_is_said_on_stderr() {
    let mut child = program()
        .args([
            "surface",
            &fixture("digits-run"),
            "--data",
            "digits",
            "--key",
            "nokey",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(1), "and not a panic's");
}

#[test]
fn of_many_that_are_left_out_a_few_are_told() {
    let run = fixture("digits-run");
    let said = refusal(&["surface", &run, "--data", "digits", "--key", "nokey"], 1);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].contains("step_0000.safetensors"), "{said}");
    assert!(lines[0].ends_with(", and 24 more files like it"), "{said}");
    assert!(
        lines[1].contains("none of the checkpoints can be read"),
        "{said}"
    );
}

#[test]
fn a_shared_plane_needs_one_architecture_and_three_checkpoints() {
    let (mlp, resnet) = (fixture("mlp-fashion"), fixture("resnet8-fashion"));
    let compare = |a: &str, b: &str| {
        let arguments = ["compare", a, b, "--shared", "--data", "digits"];
        let said = refusal(&arguments, 1);
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    };
    let said = compare(&mlp, &resnet);
    for words in [
        "expected the architecture of",
        "(mlp, 55050 parameters), found resnet8, ",
        "expected tensor fc1.weight",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let [a, b] =
        ["0000", "0240"].map(|step| fixture(&format!("digits-run/step_{step}.safetensors")));
    let said = compare(&a, &b);
    assert!(
        said.contains("three different checkpoints of both together"),
        "{said}"
    );
    assert!(
        said.contains("found 2 on one line") && !said.contains("--plane"),
        "{said}"
    );
}

#[test]
fn the_barrier_does_not_depend_on_the_grid() {
    let [a, b] =
        ["0000", "0240"].map(|step| fixture(&format!("digits-run/step_{step}.safetensors")));
    let found = |range: &str| {
        let line = [
            "line",
            &a,
            &b,
            "--data",
            "digits",
            "--samples",
            "300",
            range,
        ];
        let line = json(&[&line[..], &["--format", "json"]].concat());
        ["train", "test"].map(|split| {
            let barrier = &line["barrier"][split];
            ["height", "alpha"].map(|name| barrier[name].as_f64().unwrap())
        })
    };
    let (coarse, fine) = (found("--x=-0.5:1.5:51"), found("--x=0:0.2:401"));
    for ([height, alpha], [exact, at]) in coarse.into_iter().zip(fine) {
        assert!((height / exact - 1.0).abs() < 0.01, "{height} {exact}");
        assert!((alpha - at).abs() < 0.01, "{alpha} {at}");
    }
}

#[test]
fn lines_say_which_is_which_and_where_the_update_began() {
    let run = fixture("digits-run");
    let text = digits_text(&[
        "line",
        &run,
        "--seeds",
        "3",
        "--x=-2:2:5",
        "--along",
        "random,update",
    ]);
    for (at, end) in [("at α -2,", 0), ("at α 2,", 4)] {
        let line = text.lines().find(|line| line.starts_with(at)).unwrap();
        let found = json(&[
            "line",
            &run,
            "--seeds",
            "3",
            "--x=-2:2:5",
            "--data",
            "digits",
            "--samples",
            "60",
            "--format",
            "json",
        ]);
        let mut losses: Vec<(f64, u64)> = array(&found["curves"])
            .iter()
            .map(|curve| {
                let loss = curve["train"]["loss"][end].as_f64().unwrap();
                (loss, curve["seed"].as_u64().unwrap())
            })
            .collect();
        losses.sort_by(|a, b| b.0.total_cmp(&a.0));
        let places = losses
            .iter()
            .map(|(_, seed)| line.find(&format!("seed {seed} ")).unwrap());
        assert!(places.is_sorted(), "{line}");
    }
    let before = text.lines().filter(|line| line.contains("before"));
    assert_eq!(before.count(), 1, "{text}");
}

#[test]
fn what_was_asked_for_in_vain_is_repeated() {
    let run = fixture("digits-run");
    assert!(
        refusal(&["trajectory", &run, "--steps", "5..2"], 1)
            .contains("--steps 5..2 leaves no checkpoint; the run has steps 0 to 240")
    );
    let said = refusal(&["weights", &run, "--layer", "nope"], 1);
    assert!(
        said.contains("step_0000.safetensors: no layer is named nope"),
        "{said}"
    );
    assert!(!said.contains("others"), "all four are named: {said}");
    let said = refusal(
        &["weights", &fixture("resnet8-fashion"), "--layer", "nope"],
        1,
    );
    assert!(said.contains(" and others"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reference.json");
    fs::write(&file, "{\"loss\": [1, 2, 3]}").unwrap();
    let file = file.to_str().unwrap();
    let said = refusal(
        &["surface", &run, "--data", "digits", "--directions", file],
        1,
    );
    assert!(
        said.contains("reference.json: expected the weights of a model, found a JSON text"),
        "{said}"
    );
    assert!(!said.contains("PyTorch"), "{said}");
}

/// The commands that `--help` tells of.
fn commands() -> Vec<String> {
    let help = stdout(&["--help"]);
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = list.take_while(|line| !line.is_empty()).filter_map(|line| {
        let name = line.strip_prefix("  ")?.split(' ').next()?;
        (!name.is_empty() && name != "help").then(|| name.to_owned())
    });
    names.collect()
}

#[test]
fn shells_complete_every_command_and_no_hidden_one() {
    let known = commands();
    assert!(known.len() > 10 && known.contains(&"surface".into()));
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = stdout(&["completions", shell]);
        for name in &known {
            assert!(script.contains(name), "{shell} lacks {name}");
        }
        assert!(!script.contains("demo-train"), "{shell}");
    }
    assert!(
        refusal(&["completions", "dos"], 2).contains("bash, zsh, fish, powershell, elvish, man")
    );
}

#[test]
fn bash_takes_its_script_and_completes_with_it() {
    if Command::new("bash").arg("--version").output().is_err() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("isoloss.bash");
    fs::write(&script, stdout(&["completions", "bash"])).unwrap();
    let bash = |arguments: &[&str]| {
        let mut command = Command::new("bash");
        let output = command.args(arguments).arg(&script).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && stderr.is_empty(), "{stderr}");
        String::from_utf8(output.stdout).unwrap()
    };
    bash(&["-n"]);
    let ask = "source \"$0\"; COMP_WORDS=(isoloss ''); COMP_CWORD=1; _isoloss isoloss '' isoloss; \
               printf '%s\\n' \"${COMPREPLY[@]}\"";
    let offered = bash(&["-c", ask]);
    for name in commands() {
        assert!(
            offered.lines().any(|word| word == name),
            "{name}: {offered}"
        );
    }
}

#[test]
fn the_manual_has_a_page_of_every_command() {
    let pages = stdout(&["completions", "man"]);
    assert!(pages.contains(".TH isoloss 1"), "{pages}");
    for name in commands() {
        let title = format!(".TH isoloss-{name} 1");
        let listed = format!("isoloss\\-{name}(1)");
        assert!(pages.contains(&title) && pages.contains(&listed), "{name}");
    }
    assert!(pages.contains("\\-\\-relief") && !pages.contains("demo\\-train"));
}

/// Returns what `doctor` prints of a fact.
fn fact<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let of = |line: &'a str| Some(line.strip_prefix(name)?.strip_prefix("  ")?.trim_start());
    text.lines().filter_map(of).collect()
}

#[test]
fn doctor_tells_of_a_good_run() {
    let run = fixture("digits-run");
    let text = stdout(&["doctor", &run]);
    assert_eq!(fact(&text, "version"), [env!("CARGO_PKG_VERSION")]);
    assert!(fact(&text, "stdout")[0].starts_with("no terminal"));
    assert!(fact(&text, "glyphs")[0].contains('⣿'));
    let checkpoints = fact(&text, "checkpoints")[0];
    assert!(
        checkpoints.starts_with("25, the last one step 240: "),
        "{text}"
    );
    assert!(checkpoints.ends_with("step_0240.safetensors"), "{text}");
    assert!(fact(&text, "left out").is_empty(), "{text}");
    assert_eq!(fact(&text, "cpu"), ["opens"]);
    assert!(fact(&text, "log")[0].ends_with("isoloss.log"));
    let found = text
        .lines()
        .map(|line| line.chars().nth("checkpoints  ".len()));
    assert!(
        found.clone().all(|first| first.is_some_and(|c| c != ' ')),
        "{text}"
    );
}

#[test]
fn doctor_tells_what_the_environment_makes_of_the_screen() {
    let terminal = |variables: &[(&str, &str)]| {
        let mut command = program();
        for name in [
            "COLORTERM",
            "NO_COLOR",
            "LC_ALL",
            "LC_CTYPE",
            "TMUX",
            "STY",
            "TERM_PROGRAM",
            "COLORFGBG",
            "SSH_CONNECTION",
        ] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        let output = command
            .args(["doctor", "--format", "json"])
            .output()
            .unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(report["run"].is_null() && output.status.success());
        report["terminal"].clone()
    };
    let bare = terminal(&[
        ("TERM", "xterm"),
        ("LANG", "C"),
        ("SSH_CONNECTION", "::1 9 ::1 22"),
    ]);
    assert_eq!(
        (&bare["theme"], &bare["color"]),
        (&"dark".into(), &"256".into())
    );
    assert_eq!(bare["color_reason"], "TERM is xterm");
    assert_eq!(bare["screen_marker"], "ascii");
    assert_eq!(bare["screen_marker_reason"], "LANG is C, without UTF-8");
    assert_eq!(
        (&bare["text_marker"], &bare["utf8"]),
        (&"ascii".into(), &false.into())
    );
    assert_eq!(bare["within"], serde_json::json!(["ssh"]));
    assert!(bare["environment"]["COLORTERM"].is_null());
    let rich = terminal(&[
        ("COLORTERM", "truecolor"),
        ("LANG", "C.UTF-8"),
        ("NO_COLOR", "1"),
    ]);
    assert_eq!(
        (&rich["theme"], &rich["color"]),
        (&"mono".into(), &"never".into())
    );
    assert_eq!(rich["color_reason"], "NO_COLOR is set");
    let light = terminal(&[
        ("TERM", "xterm-kitty"),
        ("LANG", "C.UTF-8"),
        ("COLORFGBG", "0;15"),
    ]);
    assert_eq!(
        (&light["theme"], &light["color"], &light["screen_marker"]),
        (&"light".into(), &"truecolor".into(), &"braille".into())
    );
    assert_eq!(light["theme_reason"], "COLORFGBG is 0;15");
    assert_eq!(
        (&rich["text_marker"], &rich["utf8"]),
        (&"braille".into(), &true.into())
    );
    assert_eq!(rich["environment"]["COLORTERM"], "truecolor");
}

#[test]
fn a_theme_that_there_is_not_is_wrong_usage_and_a_bad_file_stops_nothing() {
    let home = tempfile::tempdir().unwrap();
    let themes = home.path().join("isoloss/themes");
    std::fs::create_dir_all(&themes).unwrap();
    std::fs::write(themes.join("sea.toml"), "colour = 3").unwrap();
    let doctor = |theme: &str| {
        let mut command = program();
        command.env("XDG_CONFIG_HOME", home.path());
        command.args(["doctor", "--theme", theme]).output().unwrap()
    };
    let unknown = doctor("norse");
    assert_eq!(unknown.status.code(), Some(2));
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(
        said.contains("expected one of dark, light, gruvbox, nord"),
        "{said}"
    );
    assert!(said.contains("or a file norse.toml in "), "{said}");
    for theme in ["nord", "sea"] {
        let found = doctor(theme);
        assert!(found.status.success());
        let text = String::from_utf8(found.stdout).unwrap();
        let [bad] = fact(&text, "bad theme")[..] else {
            panic!("{text}");
        };
        assert!(
            bad.contains("sea.toml: colour: no such token, expected colormap"),
            "{bad}"
        );
    }
}

#[test]
fn doctor_json_has_the_fields_that_programs_rely_on() {
    let run = fixture("digits-run");
    let text = stdout(&["doctor", &run, "--format", "json"]);
    let names = [
        "version",
        "terminal",
        "stdout_is_terminal",
        "size",
        "environment",
        "color",
        "color_reason",
        "theme",
        "theme_reason",
        "themes",
        "unusable_themes",
        "screen_marker",
        "screen_marker_reason",
        "text_marker",
        "utf8",
        "within",
        "run",
        "path",
        "filesystem",
        "watching",
        "checkpoints",
        "last",
        "step",
        "path",
        "left_out",
        "error",
        "threads",
        "cores",
        "vectors",
        "lanes",
        "devices",
        "name",
        "error",
        "auto",
        "yielding",
        "ordinary",
        "polite",
        "log",
    ];
    assert_fields(&text, &names);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (
            &report["run"]["checkpoints"],
            &report["run"]["last"]["step"]
        ),
        (&25.into(), &240.into())
    );
    let devices: Vec<&str> = array(&report["devices"])
        .iter()
        .map(|device| device["name"].as_str().unwrap())
        .collect();
    assert_eq!(devices, ["cpu", "cuda:0", "metal"]);
}

#[test]
fn doctor_counts_what_cannot_be_read_and_fails_where_nothing_can() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    copy(
        "digits-run/step_0240.safetensors",
        &folder.path().join("step_240.safetensors"),
    );
    for step in 1..=5 {
        fs::write(
            folder.path().join(format!("step_{step}.pt")),
            "no checkpoint",
        )
        .unwrap();
    }
    let text = stdout(&["doctor", path]);
    assert!(
        fact(&text, "checkpoints")[0].starts_with("1, the last one step 240: "),
        "{text}"
    );
    let left_out = fact(&text, "left out");
    assert!(left_out[0].contains("step_1.pt: "), "{text}");
    assert_eq!((left_out.len(), left_out[3]), (4, "2 more"), "{text}");

    fs::remove_file(folder.path().join("step_240.safetensors")).unwrap();
    let missing = folder.path().join("nowhere");
    for (run, reason) in [
        (path, "none of the checkpoints can be read"),
        (missing.to_str().unwrap(), "found nothing there"),
    ] {
        let output = program().args(["doctor", run]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(fact(&text, "error")[0].ends_with(reason), "{text}");
        assert!(
            !fact(&text, "log").is_empty(),
            "the rest is told all the same"
        );
    }
    let output = run(&["doctor", missing.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(fact(&text, "watched by"), ["a scan every 2 s"]);
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

#[test]
fn frames_a_second_are_from_1_to_60() {
    for command in ["watch", "demo"] {
        for fps in ["0", "61", "ten"] {
            let error = refusal(&[command, "--fps", fps], 2);
            assert!(error.contains("--fps <COUNT>"), "{command} {fps}: {error}");
        }
    }
}

#[test]
fn a_tolerance_is_a_number_above_nothing() {
    let run = fixture("digits-run");
    for wrong in ["nan", "inf", "-1", "0", "much"] {
        let said = refusal(
            &["surface", &run, "--data", "digits", "--tolerance", wrong],
            2,
        );
        let expected = format!(
            "'{wrong}' for '--tolerance <ERROR>': expected a number above 0, such as 0.01\n"
        );
        assert!(said.contains(&expected), "{said}");
    }
}

#[test]
fn the_log_of_training_fills_in_the_learning_rate() {
    let run = tempfile::tempdir().unwrap();
    for step in ["0100", "0200", "0240"] {
        let name = format!("step_{step}.safetensors");
        fs::copy(
            fixture(&format!("digits-run/{name}")),
            run.path().join(name),
        )
        .unwrap();
    }
    let table = "step,train_loss,lr-SGD\n100,1,0.5\n190,0.5,0.25\n230,0.25,0.125\n";
    fs::write(run.path().join("metrics.csv"), table).unwrap();
    let run = run.path().to_str().unwrap();
    let log = &json(&["inspect", run, "--format", "json"])["log"];
    assert_eq!(
        (&log["last_step"], &log["train_loss"]),
        (&230.into(), &0.25.into())
    );
    let data = ["--data", "digits", "--samples", "64", "--format", "json"];
    let of = |command: &str| json(&[&[command, run], &data[..]].concat());
    assert_eq!(of("sharpness")["updates"][1]["learning_rate"], 0.125);
    let hessian = of("hessian");
    assert_eq!(
        (&hessian["learning_rate"], &hessian["edge"]),
        (&0.125.into(), &16.0.into())
    );
    let rates = &json(&["weights", run, "--format", "json"])["learning_rate"];
    assert_eq!(rates, &serde_json::json!([0.5, 0.25, 0.125]));

    // Both drops are marked wherever the path is drawn.
    let dropped = serde_json::json!([200, 240]);
    assert_eq!(
        json(&["weights", run, "--format", "json"])["drops"],
        dropped
    );
    assert_eq!(
        json(&["trajectory", run, "--format", "json"])["drops"],
        dropped
    );
    let lines = ["--x=-2:2:5", "--y=-2:2:5"];
    let surface = |format| {
        let data = ["--data", "digits", "--samples", "64", "--format", format];
        [&["surface", run], &data[..], &lines[..]].concat()
    };
    assert_eq!(json(&surface("json"))["drops"], dropped);
    let text = stdout(&surface("text"));
    assert!(text.contains("lr drop") && text.contains('▼'), "{text}");
    let compared = json(&[&["compare", run, run], &data[..], &lines[..]].concat());
    assert_eq!(compared["runs"][1]["drops"], dropped);
}

#[test]
fn a_line_says_where_its_loss_is_not_finite_and_why() {
    let [a, b] =
        ["000", "160"].map(|step| fixture(&format!("readings/resnet8/step_{step}.safetensors")));
    let line = |bn| {
        let options = [
            "--x=-4:1:6",
            "--data",
            "digits",
            "--samples",
            "64",
            "--bn",
            bn,
        ];
        stdout(&[&["line", &a, &b], &options[..]].concat())
    };
    let sentence =
        "the loss is not finite at α -4 to -1; beyond A and B batch norm's variances fall below 0";
    let text = line("states");
    assert!(text.contains(sentence), "{text}");
    let text = line("recalibrated");
    assert!(!text.contains("not finite"), "{text}");
}

#[test]
fn a_slip_in_the_name_of_a_command_is_no_run_to_wait_for() {
    let said = refusal(&["doctr"], 2);
    assert!(
        said.contains("unrecognized subcommand") && said.contains("'doctor'"),
        "{said}"
    );
}

#[test]
fn a_theme_that_is_not_there_is_refused_also_in_a_pipe() {
    let said = refusal(&["watch", "runs/x", "--theme", "drak"], 2);
    assert!(
        said.contains("--theme") && said.contains("expected one of dark, light"),
        "{said}"
    );
}
