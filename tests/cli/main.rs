//! The command line: formats, exit codes and one clear sentence for bad input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

mod compare;
mod completions;
mod curvature;
mod doctor;
mod line;
#[path = "../program/mod.rs"]
mod program;
mod surface;
mod trajectory;
mod usage;

use std::fs;
use std::path::Path;

use program::{fixture, json, run};

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

/// The text of a command over the digits.
fn digits_text(command: &[&str]) -> String {
    let measure = ["--data", "digits", "--samples", "60"];
    stdout(&[command, &measure[..]].concat())
}

const SMALL: [&str; 6] = [
    "--samples",
    "64",
    "--order",
    "first",
    "--x=-1:1:5",
    "--y=-1:1:3",
];
