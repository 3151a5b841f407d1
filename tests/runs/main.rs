//! Runs as real frameworks leave them (fixtures/runs), each with the answer that is right for it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]
#![cfg(unix)]

mod answer;
mod folder;
mod once;
#[path = "../program/mod.rs"]
mod program;
mod watched;

use std::fs;
use std::path::PathBuf;

use rstest::rstest;
use serde_json::Value;

use folder::Folder;

#[rstest]
fn a_run_comes_out_as_it_was_written(
    #[files("tests/fixtures/runs/*/expected.json")] expected: PathBuf,
) {
    let case: Value = serde_json::from_slice(&fs::read(&expected).unwrap()).unwrap();
    let folder = Folder::of(expected.parent().unwrap(), &case);
    let differences = if case["script"].is_array() {
        watched::play(&folder, &case)
    } else {
        once::play(&folder, &case)
    };
    assert!(
        differences.is_empty(),
        "{}\n{}",
        case["what"],
        differences.join("\n")
    );
}
