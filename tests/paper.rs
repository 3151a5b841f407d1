//! The commands of docs/paper.md on one small run.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod program;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use program::{fixture, program};
use serde_json::Value;

/// A way to train of which the page has figures.
const WAY: &str = "sgd-128-wd0";

/// Runs a script of the page on these runs.
fn script(interpreter: &str, name: &str, runs: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(interpreter);
    let own = program();
    command
        .envs(
            own.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("ISOLOSS", env!("CARGO_BIN_EXE_isoloss"))
        .env("RUNS", runs)
        .env("DATA", fixture("fashion-mnist"))
        .env("SAMPLES", "32")
        .env("GRID", "5")
        .arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("examples/paper")
                .join(name),
        )
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn one_run_goes_through_the_page() {
    let runs = tempfile::tempdir().unwrap();
    let run = runs.path().join(format!("vgg9-{WAY}"));
    fs::create_dir(&run).unwrap();
    fs::write(run.join("manifest.json"), "{}").unwrap();
    for (epoch, step) in [0, 395, 1580].into_iter().enumerate() {
        let from = fixture(&format!("mlp-fashion/model_{step}.pt"));
        fs::copy(from, run.join(format!("epoch={epoch:02}.pt"))).unwrap();
    }
    let output = script("sh", "figures.sh", runs.path(), &["8", "9"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("was not trained").count(), 14, "{said}");
    let figures = runs.path().join("figures");
    for figure in ["8", "9"] {
        for (format, begins) in [
            ("json", "{"),
            ("svg", "<svg"),
            ("png", "\u{89}PNG"),
            ("text", "/"),
        ] {
            let file = figures.join(format!("{figure}-{WAY}.{format}"));
            let bytes = fs::read(&file).unwrap();
            let begin: Vec<u8> = begins.chars().map(|c| c as u8).collect();
            assert!(bytes.starts_with(&begin), "{}", file.display());
        }
    }
    let surface = fs::read_to_string(figures.join(format!("9-{WAY}.json"))).unwrap();
    let surface: Value = serde_json::from_str(&surface).unwrap();
    assert_eq!(surface["path"].as_array().unwrap().len(), 3);
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: no python3 for the table of claims");
        return;
    }
    let table = script(
        "python3",
        "claims.py",
        runs.path(),
        &[figures.to_str().unwrap()],
    );
    let (said, table) = (table.stderr, String::from_utf8(table.stdout).unwrap());
    let path = fs::read_to_string(figures.join(format!("8-{WAY}.json"))).unwrap();
    let path: Value = serde_json::from_str(&path).unwrap();
    let share = |at: usize| path["explained"][at].as_f64().unwrap();
    let held = 100.0 * (share(0) + share(1));
    let row = format!("| VGG-9, sgd, batch 128, wd 0 | {held:.1} % |");
    assert!(
        table.contains(&row),
        "{table}{}",
        String::from_utf8_lossy(&said)
    );
}
