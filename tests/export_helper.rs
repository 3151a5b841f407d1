//! Runs that `examples/isoloss_export.py` makes speak for themselves: measured without a flag, with PyTorch's losses.
//! Needs Python with PyTorch and the framework of an example; where one is missing, that is said and nothing is tested.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod program;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A script of the examples folder and what isoloss should find in its run.
struct Example {
    script: &'static str,
    /// Argument behind the run's folder.
    kind: Option<&'static str>,
    /// Python modules that it imports.
    needs: &'static [&'static str],
    loss: &'static str,
    checkpoints: usize,
    /// Numbers of a checkpoint that move: the dimension of the path's space.
    weights: u64,
}

/// Runs an example and returns what it prints, PyTorch's losses of its last checkpoint; `None` without its modules.
fn ran(example: &Example, run: &Path) -> Option<Value> {
    let imports = format!("import {}", example.needs.join(", "));
    let has_modules = Command::new("python3")
        .args(["-c", &imports])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has_modules {
        eprintln!(
            "not tested: python3 with {} is not installed",
            example.needs.join(", ")
        );
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(example.script);
    let output = Command::new("python3")
        .arg(script)
        .arg(run)
        .args(example.kind)
        .env("OMP_NUM_THREADS", "1") // tests run side by side: threads that wait for each other take minutes
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let printed = String::from_utf8(output.stdout).unwrap();
    Some(serde_json::from_str(printed.lines().last().unwrap()).unwrap())
}

/// Runs an example, measures its run without a flag and expects PyTorch's losses at the end of its path.
fn needs_no_flag(example: &Example) {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let Some(expected) = ran(example, &run) else {
        return;
    };
    let run = run.to_str().unwrap();
    for split in ["train", "test"] {
        let found = program::json(&[
            "surface",
            run,
            "--split",
            split,
            "--x=0:1:2",
            "--y=0:1:2",
            "--format",
            "json",
        ]);
        let path = found["path"].as_array().unwrap();
        assert_eq!(path.len(), example.checkpoints);
        let last = path.last().unwrap()["loss"].as_f64().unwrap();
        let expected = expected[split].as_f64().unwrap();
        assert!(
            (last / expected - 1.0).abs() < 1e-4,
            "{split}: {last}, not {expected}"
        );
        assert_eq!(found["assumed"]["loss"], example.loss);
    }
    let path = program::json(&["trajectory", run, "--format", "json"]);
    assert_eq!(path["parameters"], example.weights);
}

#[test]
fn a_plain_script_needs_no_flag() {
    needs_no_flag(&Example {
        script: "run_convnet.py",
        kind: None,
        needs: &["torch"],
        loss: "nll",
        checkpoints: 8,
        weights: 2698,
    });
}

#[test]
fn a_callback_of_lightning_needs_no_flag() {
    needs_no_flag(&Example {
        script: "run_lightning.py",
        kind: None,
        needs: &["torch", "lightning"],
        loss: "mse",
        checkpoints: 8,
        weights: 290,
    });
}

#[test]
fn a_callback_of_trainer_needs_no_flag_with_masks_and_padding() {
    needs_no_flag(&Example {
        script: "run_trainer.py",
        kind: Some("bert"),
        needs: &["torch", "transformers", "accelerate"],
        loss: "cross-entropy",
        checkpoints: 8,
        weights: 19746,
    });
}

#[test]
fn a_language_model_of_trainer_needs_no_flag() {
    needs_no_flag(&Example {
        script: "run_trainer.py",
        kind: Some("gpt2"),
        needs: &["torch", "transformers", "accelerate"],
        loss: "next-token",
        checkpoints: 8,
        weights: 26880,
    });
}

#[test]
fn a_forward_that_gives_the_loss_needs_no_flag() {
    needs_no_flag(&Example {
        script: "run_nanogpt.py",
        kind: None,
        needs: &["torch"],
        loss: "output",
        checkpoints: 9,
        weights: 26592,
    });
}

/// Two adapters of rank 4 in each of two blocks: 4 × (32 + 96) and 4 × (32 + 128) numbers; the base does not count.
#[test]
fn a_run_of_adapters_needs_no_flag_and_its_space_is_theirs() {
    needs_no_flag(&Example {
        script: "run_lora.py",
        kind: None,
        needs: &["torch", "transformers", "accelerate", "peft"],
        loss: "next-token",
        checkpoints: 8,
        weights: 2 * (4 * (32 + 96) + 4 * (32 + 128)),
    });
}
