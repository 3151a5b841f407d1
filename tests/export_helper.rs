//! Runs that `examples/isoloss_export.py` makes speak for themselves: measured without a flag, with PyTorch's losses.
//! Needs Python with PyTorch; where there is none, that is said and nothing is tested.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod program;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Runs an example and returns what it prints, PyTorch's losses of its last checkpoint; `None` without PyTorch.
fn ran(example: &str, run: &Path) -> Option<Value> {
    let has_torch = Command::new("python3")
        .args(["-c", "import torch"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has_torch {
        eprintln!("not tested: python3 with torch is not installed");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(example);
    let output = Command::new("python3")
        .arg(script)
        .arg(run)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let printed = String::from_utf8(output.stdout).unwrap();
    Some(serde_json::from_str(printed.lines().last().unwrap()).unwrap())
}

#[test]
fn a_run_that_was_exported_needs_no_flag_and_has_pytorch_s_losses() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("convnet");
    let Some(expected) = ran("run_convnet.py", &run) else {
        return;
    };
    let run = run.to_str().unwrap();
    for split in ["train", "test"] {
        let output = program::run(&[
            "surface",
            run,
            "--split",
            split,
            "--x=0:1:2",
            "--y=0:1:2",
            "--format",
            "json",
        ]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let path = found["path"].as_array().unwrap();
        assert_eq!(path.len(), 8, "{said}");
        let (last, expected) = (
            path[7]["loss"].as_f64().unwrap(),
            expected[split].as_f64().unwrap(),
        );
        assert!(
            (last / expected - 1.0).abs() < 1e-4,
            "{split}: {last}, not {expected}"
        );
        assert_eq!(found["assumed"]["loss"], "nll");
    }
}
