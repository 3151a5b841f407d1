//! Runs whose names do not tell what they are: the path is asked, and the losses are PyTorch's.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use candle_core::{Device, Tensor, safetensors};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/readings")
        .join(name)
}

/// The JSON of `average`: the newest checkpoint alone comes first.
fn measured(run: &str, data: &str, options: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_isoloss"))
        .arg("average")
        .arg(fixture(run))
        .args(["--data", data, "--samples", "all", "--format", "json"])
        .args(options)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// PyTorch's loss of the newest checkpoint, of all samples.
fn truth(run: &str) -> f64 {
    let text = std::fs::read_to_string(fixture("truth.json")).unwrap();
    let truth: Value = serde_json::from_str(&text).unwrap();
    truth[run]["loss"].as_f64().unwrap()
}

fn loss(found: &Value) -> f64 {
    found["averages"][0]["loss"].as_f64().unwrap()
}

fn assert_is_pytorch_s(found: &Value, run: &str) {
    let (found, expected) = (loss(found), truth(run));
    assert!(
        (found / expected - 1.0).abs() < 1e-6,
        "{run}: {found}, expected {expected}"
    );
}

#[test]
fn the_reading_that_a_run_followed_is_taken_and_its_loss_is_pytorch_s() {
    // Run, what was taken, what normalization began with.
    let cases = [
        ("tanh", "tanh", Value::Null, "mean 0.3053"),
        ("resnet8", "relu", "padded".into(), "mean 0.5 std 0.5"),
        ("resnet8-noshort", "relu", "none".into(), "mean 0.3053"),
    ];
    for (run, activation, shortcuts, normalization) in cases {
        let found = measured(run, "digits", &[]);
        let assumed = &found["assumed"];
        assert_eq!(assumed["activation"], activation, "{run}: {assumed}");
        assert_eq!(assumed["shortcuts"], shortcuts, "{run}: {assumed}");
        let words = assumed["normalization"].as_str().unwrap();
        assert!(words.starts_with(normalization), "{run}: {words}");
        assert_eq!(assumed["basis"], "path");
        assert_eq!(assumed["doubtful"], false);
        assert!(assumed["cosine"].as_f64().unwrap() > 0.1, "{run}");
        assert_is_pytorch_s(&found, run);
    }
}

#[test]
fn a_tie_is_said_with_the_range_of_losses_and_holds_the_truth() {
    for (run, truth_is) in [("relu-none", "relu"), ("gelu-raw", "gelu")] {
        let found = measured(run, "digits", &[]);
        let assumed = &found["assumed"];
        let tied = assumed["tied"].as_array().unwrap();
        assert!(!tied.is_empty(), "{run}: {assumed}");
        let holds = assumed["activation"] == truth_is || tied.contains(&truth_is.into());
        assert!(holds, "{run}: {assumed}");
        assert_eq!(assumed["activation"], "relu", "the field's default");
        let range: Vec<f64> = serde_json::from_value(assumed["loss_range"].clone()).unwrap();
        let expected = truth(run);
        assert!(
            range[0] <= expected * (1.0 + 1e-6) && expected <= range[1] * (1.0 + 1e-6),
            "{run}: {range:?} without {expected}"
        );
        assert!(assumed["evidence"].as_str().unwrap().contains("as well"));
    }
}

#[test]
fn what_the_user_answers_is_not_asked() {
    let found = measured(
        "gelu-raw",
        "digits",
        &["--activation", "gelu", "--mean", "0", "--std", "0.0625"],
    );
    assert_eq!(found["assumed"]["activation"], "gelu");
    assert_is_pytorch_s(&found, "gelu-raw");
    let found = measured("resnet8-noshort", "digits", &["--shortcuts", "padded"]);
    assert_eq!(found["assumed"]["shortcuts"], "padded");
    assert_eq!(found["model"], "resnet8");
    assert!(loss(&found) > 2.0 * truth("resnet8-noshort"));
}

#[test]
fn wrong_labels_are_doubted_in_words_that_name_what_to_check() {
    let data = fixture("shifted-labels.npz");
    for run in ["tanh", "relu-none", "resnet8"] {
        let found = measured(run, data.to_str().unwrap(), &[]);
        let assumed = &found["assumed"];
        assert_eq!(assumed["doubtful"], true, "{run}: {assumed}");
        let warning = assumed["warning"].as_str().unwrap();
        for word in ["labels", "--mean", "--model", "--key", "data"] {
            assert!(warning.contains(word), "{run}: {warning}");
        }
        // Nothing is claimed for any of the readings.
        assert_eq!(assumed["basis"], "usual", "{run}: {assumed}");
    }
}

/// A path that wanders around the end of a run by noise alone, as one does late in training.
fn wandering(run: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let end = fixture(run).join("step_160.safetensors");
    let end = safetensors::load(end, &Device::Cpu).unwrap();
    let mut noise = ChaCha8Rng::seed_from_u64(3);
    for step in 0..9 {
        let mut moved = |tensor: &Tensor| {
            let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let values = values.iter().map(|w| w + noise.random_range(-5e-4..5e-4));
            Tensor::from_iter(values, &Device::Cpu)
                .unwrap()
                .reshape(tensor.shape())
                .unwrap()
        };
        let tensors = end.iter();
        let tensors: HashMap<&str, Tensor> = tensors
            .map(|(name, tensor)| (&**name, moved(tensor)))
            .collect();
        let path = folder.path().join(format!("step_{step}.safetensors"));
        safetensors::save(&tensors, path).unwrap();
    }
    folder
}

#[test]
fn a_model_that_has_learned_is_not_doubted_because_its_updates_are_noise() {
    let folder = wandering("tanh");
    let run = folder.path().to_str().unwrap();
    let found = measured(run, "digits", &[]);
    let assumed = &found["assumed"];
    assert_eq!(assumed["doubtful"], false, "{assumed}");
    assert_eq!(assumed["evident"], false, "{assumed}");
    // The same path with labels of which nothing was learned.
    let data = fixture("shifted-labels.npz");
    let found = measured(run, data.to_str().unwrap(), &[]);
    assert_eq!(found["assumed"]["doubtful"], true, "{}", found["assumed"]);
}

#[test]
fn scales_that_are_near_one_another_are_tied_under_the_activation_that_was_followed() {
    let found = measured("sigmoid-half", "digits", &[]);
    let assumed = &found["assumed"];
    assert_eq!(assumed["activation"], "sigmoid", "{assumed}");
    let tied = assumed["tied"].as_array().unwrap();
    assert!(tied.contains(&"-1 to 1".into()), "{assumed}");
    let range: Vec<f64> = serde_json::from_value(assumed["loss_range"].clone()).unwrap();
    let expected = truth("sigmoid-half");
    assert!(range[0] <= expected && expected <= range[1], "{range:?}");
    // The readings at both ends are named, and the loss of each is measured when it is told.
    let ends = assumed["alternatives"].as_array().unwrap();
    let named: Vec<&Value> = ends.iter().map(|end| &end["reading"]).collect();
    assert_eq!(named, ["tanh", "pixels ImageNet's in grey"], "{assumed}");
    let told = loss(&measured(
        "sigmoid-half",
        "digits",
        &["--activation", "tanh"],
    ));
    let end = ends[0]["loss"].as_f64().unwrap();
    assert!((end - told).abs() < 1e-6 * told, "{end} and {told}");
    assert_eq!(range[1], end);
    assert_eq!(assumed["asked_at"], 160);
}

#[test]
fn one_checkpoint_cannot_be_asked_and_that_is_said() {
    let found = measured("tanh/step_160.safetensors", "digits", &[]);
    let assumed = &found["assumed"];
    assert_eq!(assumed["basis"], "loss", "{assumed}");
    assert_eq!(assumed["cosine"], Value::Null);
    assert_eq!(assumed["evident"], false);
    let evidence = assumed["evidence"].as_str().unwrap();
    assert!(
        evidence.contains("the path has fewer than 3 updates to ask"),
        "{evidence}"
    );
    assert_is_pytorch_s(&found, "tanh");
}

/// A folder with some of the checkpoints of a run.
fn part(run: &str, steps: &[u32]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for step in steps {
        let name = format!("step_{step:03}.safetensors");
        std::fs::copy(fixture(run).join(&name), folder.path().join(&name)).unwrap();
    }
    folder
}

#[test]
fn the_activation_of_a_convolutional_network_is_asked_too() {
    let found = measured("vgg-tanh", "digits", &[]);
    assert_eq!(
        found["assumed"]["activation"], "tanh",
        "{}",
        found["assumed"]
    );
    assert_eq!(found["assumed"]["basis"], "path");
    assert_is_pytorch_s(&found, "vgg-tanh");
}

#[test]
fn few_checkpoints_leave_a_range_that_holds_the_truth() {
    for run in [
        "tanh",
        "sigmoid-half",
        "vgg-tanh",
        "relu-none",
        "resnet8",
        "resnet8-noshort",
    ] {
        let folder = part(run, &[0, 80, 160]);
        let found = measured(folder.path().to_str().unwrap(), "digits", &[]);
        let assumed = &found["assumed"];
        assert_ne!(assumed["basis"], "path", "{run}");
        let (least, most) = match assumed["loss_range"].as_array() {
            Some(range) => (range[0].as_f64().unwrap(), range[1].as_f64().unwrap()),
            None => (loss(&found), loss(&found)),
        };
        let expected = truth(run);
        let holds = least <= expected * 1.000_001 && expected <= most * 1.000_001;
        assert!(
            holds,
            "{run}: {least} to {most} without {expected}: {assumed}"
        );
        assert_eq!(assumed["evident"], false, "{run}");
    }
}

#[test]
fn updates_of_adamw_leave_activations_of_one_kind_tied() {
    let found = measured("relu-adamw", "digits", &[]);
    let assumed = &found["assumed"];
    assert_eq!(assumed["activation"], "relu", "{assumed}");
    assert!(!assumed["tied"].as_array().unwrap().is_empty(), "{assumed}");
    assert_is_pytorch_s(&found, "relu-adamw");
}

#[test]
fn few_updates_with_wrong_labels_are_doubted_too() {
    let data = fixture("shifted-labels.npz");
    let folder = part("relu-none", &[0, 48, 96, 160]);
    let found = measured(folder.path().to_str().unwrap(), data.to_str().unwrap(), &[]);
    let assumed = &found["assumed"];
    assert_eq!(assumed["doubtful"], true, "{assumed}");
    assert!(
        assumed["warning"]
            .as_str()
            .unwrap()
            .contains("check the labels"),
        "{assumed}"
    );
}

#[test]
fn a_file_alone_says_that_its_folder_was_not_asked() {
    let output = Command::new(env!("CARGO_BIN_EXE_isoloss"))
        .arg("surface")
        .arg(fixture("tanh/step_160.safetensors"))
        .args([
            "--data",
            "digits",
            "--x=-0.1:0.1:2",
            "--y=-0.1:0.1:2",
            "--format",
            "json",
        ])
        .output()
        .unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let evidence = found["assumed"]["evidence"].as_str().unwrap();
    assert!(
        evidence.contains("the updates of its folder were not asked"),
        "{evidence}"
    );
}

#[test]
fn a_line_from_an_untrained_file_asks_the_trained_one_too() {
    for (run, activation, shortcuts) in [
        ("vgg-tanh", "tanh", None),
        ("tanh", "tanh", None),
        ("resnet8-noshort", "relu", Some("none")),
        ("resnet8", "relu", Some("padded")),
    ] {
        let end = |step: &str| fixture(&format!("{run}/step_{step}.safetensors"));
        let [untrained, trained] = [end("000"), end("160")];
        // Whichever of them is A.
        for (a, b, at) in [(&untrained, &trained, 1), (&trained, &untrained, 0)] {
            let output = Command::new(env!("CARGO_BIN_EXE_isoloss"))
                .arg("line")
                .args([a, b])
                .args([
                    "--data",
                    "digits",
                    "--samples",
                    "all",
                    "--x=0:1:2",
                    "--format",
                    "json",
                ])
                .output()
                .unwrap();
            let found: Value = serde_json::from_slice(&output.stdout).unwrap();
            let assumed = &found["assumed"];
            assert_eq!(assumed["activation"], activation, "{run}: {assumed}");
            assert_eq!(assumed["shortcuts"].as_str(), shortcuts, "{run}: {assumed}");
            // Scales that are about as likely differ in the second digit.
            let (found, expected) = (found["train"]["loss"][at].as_f64().unwrap(), truth(run));
            assert!(
                (found / expected - 1.0).abs() < 0.15,
                "{run}: {found}, expected {expected}"
            );
            let evidence = assumed["evidence"].as_str().unwrap();
            assert!(evidence.contains("its folder were not asked"), "{evidence}");
        }
    }
}

/// The JSON of `line` between the ends of two runs.
fn line_between(a: &str, b: &str) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_isoloss"))
        .arg("line")
        .args([fixture(a), fixture(b)])
        .args(["--data", "digits", "--samples", "all", "--x=0:1:2"])
        .args(["--format", "json"])
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_line_from_a_file_alone_to_a_run_asks_the_run() {
    let found = line_between("tanh/step_000.safetensors", "tanh");
    let assumed = &found["assumed"];
    assert_eq!(assumed["activation"], "tanh", "{assumed}");
    let evidence = assumed["evidence"].as_str().unwrap();
    assert!(!evidence.contains("were not asked"), "{evidence}");
    let (loss, expected) = (found["train"]["loss"][1].as_f64().unwrap(), truth("tanh"));
    assert!((loss / expected - 1.0).abs() < 0.15, "{loss} {expected}");
}

#[test]
fn a_line_between_runs_of_two_functions_says_so() {
    let said = |a, b| line_between(a, b)["assumed"]["warning"].to_string();
    let warning = said("tanh", "relu-none");
    assert!(
        warning.contains("the second run is measured as the first"),
        "{warning}"
    );
    assert!(warning.contains("tanh"), "{warning}");
    let warning = said("relu-none", "relu-none");
    assert!(!warning.contains("the second run"), "{warning}");
}

#[test]
fn runs_that_are_read_as_different_functions_are_told_apart() {
    let compared = |runs: [&str; 2]| {
        let output = Command::new(env!("CARGO_BIN_EXE_isoloss"))
            .arg("compare")
            .args(runs.map(fixture))
            .args([
                "--data",
                "digits",
                "--samples",
                "256",
                "--x=-1:1:3",
                "--y=-1:1:3",
            ])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let text = compared(["relu-adamw", "tanh"]);
    assert!(
        text.contains("warning: relu-adamw is measured as activation relu"),
        "{text}"
    );
    assert!(text.contains("tanh as activation tanh"), "{text}");
    assert!(!compared(["tanh", "tanh"]).contains("is measured as"));
}
