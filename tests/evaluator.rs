//! Runs that a program of the user's own measures: the examples, agreement with the own forward pass, and failures.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");

/// Returns false, with a word, where Python lacks one of these modules.
fn has(modules: &[&str]) -> bool {
    let import = format!("import {}", modules.join(", "));
    let output = Command::new("python3").args(["-c", &import]).output();
    let has = output.is_ok_and(|output| output.status.success());
    if !has {
        eprintln!(
            "not tested: python3 with {} is not installed",
            modules.join(" and ")
        );
    }
    has
}

/// Runs a script of Python with the examples in its path; returns the last line that it prints.
fn python(script: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("python3");
    command
        .env("PYTHONPATH", EXAMPLES)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.arg(script).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let printed = String::from_utf8(output.stdout).unwrap();
    printed.lines().last().unwrap_or_default().to_owned()
}

fn losses(path: &Value) -> Vec<f64> {
    let points = path["path"].as_array().unwrap();
    points
        .iter()
        .map(|point| point["loss"].as_f64().unwrap())
        .collect()
}

#[test]
fn a_network_in_numpy_is_measured_in_every_view_but_curvature() {
    if !has(&["numpy", "safetensors"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let run = folder.path().join("numpy");
    python(
        &Path::new(EXAMPLES).join("run_numpy.py"),
        &[run.to_str().unwrap()],
    );
    let run = run.to_str().unwrap();
    let evaluator = format!("python3 -B {EXAMPLES}/evaluator_numpy.py");
    let with = |words: &[&str]| {
        let evaluator = ["--evaluator", evaluator.as_str(), "--format", "json"];
        program::json(&[words, &evaluator].concat())
    };
    let surface = with(&["surface", run, "--x=-1:1:3", "--y=-1:1:3"]);
    assert_eq!(surface["assumed"]["loss"], "evaluator");
    assert_eq!(surface["samples"], 256);
    // The same formula in float64, with the checkpoint's weights.
    let check = folder.path().join("check.py");
    fs::write(
        &check,
        "import sys, numpy as np\nfrom safetensors.numpy import load_file\nfrom run_numpy import inputs, targets\n\
         w = {name: x.astype('f8') for name, x in load_file(sys.argv[1]).items()}\n\
         y = np.tanh(inputs @ w['w1'] + w['b1']) @ w['w2'] + w['b2']\nprint(((y - targets) ** 2).mean())\n",
    )
    .unwrap();
    let last = format!("{run}/step_400.safetensors");
    let expected: f64 = python(&check, &[&last]).parse().unwrap();
    let found = *losses(&surface).last().unwrap();
    assert!(
        (found / expected - 1.0).abs() < 1e-5,
        "{found}, not {expected}"
    );
    let origin = surface["loss"][4]
        .as_f64()
        .or_else(|| surface["loss"][1][1].as_f64());
    assert!((origin.unwrap() / expected - 1.0).abs() < 1e-5, "{surface}");
    let line = with(&["line", &format!("{run}/step_000.safetensors"), &last]);
    assert_eq!(line["samples"], serde_json::json!([256, 0]));
    assert_eq!(flat(&line["train"]["loss"]).len(), 51);
    assert!(line["test"].is_null(), "{line}");
    for words in [
        &["average", run][..],
        &["sharpness", run],
        &["compare", run, &last, "--x=-1:1:3", "--y=-1:1:3"],
    ] {
        with(words);
    }
    let said = program::refusal(&["hessian", run, "--evaluator", &evaluator], 1);
    assert!(
        said.contains("an evaluator gives losses and no derivatives"),
        "{said}"
    );
}

/// The network of `run_convnet.py` with what it saved as samples.
const CONVNET: &str = r#"
import json, sys
import torch, torch.nn.functional as F
from isoloss_evaluator import serve
from run_convnet import Net

def columns(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        numbers = file.read()
    of = lambda name, dtype: torch.frombuffer(
        bytearray(numbers[slice(*header[name]["data_offsets"])]), dtype=dtype).view(header[name]["shape"])
    return torch.utils.data.TensorDataset(of("x", torch.float32), of("target", torch.int64))

def loss(model, batch):
    x, target = batch
    print("a library that prints")
    output = model(x)
    return F.nll_loss(output, target, reduction="sum"), (output.argmax(1) == target).sum(), len(x)

loaders = {split: torch.utils.data.DataLoader(columns(f"{sys.argv[1]}/{split}.safetensors"), batch_size=100)
           for split in ("train", "test")}
serve(Net(), loss, loaders, score="accuracy")
"#;

#[test]
fn an_evaluator_in_pytorch_agrees_with_the_own_forward_pass() {
    if !has(&["torch"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let run = folder.path().join("convnet");
    let run = run.to_str().unwrap();
    python(&Path::new(EXAMPLES).join("run_convnet.py"), &[run]);
    let script = folder.path().join("eval.py");
    fs::write(&script, CONVNET).unwrap();
    let evaluator = format!(
        "env PYTHONPATH={EXAMPLES} python3 -B {} {run}",
        script.display()
    );
    for split in ["train", "test"] {
        let words = [
            "surface",
            run,
            "--split",
            split,
            "--samples",
            "200",
            "--order",
            "first",
            "--x=-0.5:1:4",
            "--y=-1:1:3",
            "--exact",
            "--format",
            "json",
        ];
        let own = program::json(&words);
        let with = program::json(&[&words[..], &["--evaluator", &evaluator]].concat());
        let (own, with) = (Grid::of(&own), Grid::of(&with));
        assert_eq!(own.loss.len(), 12);
        own.assert_near(&with);
    }
}

/// Losses and accuracies of a surface and its path.
struct Grid {
    loss: Vec<f64>,
    path: Vec<f64>,
    accuracy: Vec<f64>,
}

impl Grid {
    fn of(found: &Value) -> Self {
        Self {
            loss: flat(&found["loss"]),
            path: losses(found),
            accuracy: flat(&found["accuracy"]),
        }
    }

    fn assert_near(&self, other: &Self) {
        let pairs = self
            .loss
            .iter()
            .chain(&self.path)
            .zip(other.loss.iter().chain(&other.path));
        for (own, other) in pairs {
            assert!((own / other - 1.0).abs() < 1e-4, "{own} and {other}");
        }
        assert_eq!(self.accuracy.len(), other.accuracy.len());
        for (own, other) in self.accuracy.iter().zip(&other.accuracy) {
            assert!((own - other).abs() < 0.011, "{own} and {other}");
        }
    }
}

/// The numbers of nested lists, in order.
fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        number => number.as_f64().into_iter().collect(),
    }
}

#[test]
fn a_point_without_a_loss_is_a_hole_and_the_rest_is_measured() {
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("failing.sh");
    let text = r#"while read -r line; do
  id=$(echo "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
  case "$line" in
    *'"hello"'*) echo '{"ready": {"protocol": 1, "samples": {"train": 8, "test": 8}}}' ;;
    *'"plane":{'*) echo "{\"plane\": {\"id\": $id}}" ;;
    *'"at":[1.0,1.0]'* | *'"at":[0.5,0.0],"split":"test"'*) echo "{\"failed\": {\"id\": $id, \"why\": \"no memory\"}}" ;;
    *) echo "{\"measured\": {\"id\": $id, \"loss\": 0.5}}" ;;
  esac
done
"#;
    fs::write(&script, text).unwrap();
    let run = program::fixture("digits-run");
    let evaluator = format!("sh {}", script.display());
    let words = [
        "surface",
        &run,
        "--evaluator",
        &evaluator,
        "--x=-1:1:3",
        "--y=-1:1:3",
        "--exact",
        "--format",
        "csv",
    ];
    let output = program::run(&words);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert_eq!(
        said.matches("no loss at (1.000, 1.000): no memory").count(),
        1,
        "{said}"
    );
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(table.matches(",0.5,").count(), 8, "{table}");
    // The samples of the other split, of the same evaluator, have holes too.
    let [first, last] = ["step_0000", "step_0240"].map(|step| format!("{run}/{step}.safetensors"));
    let line = program::json(&[
        "line",
        &first,
        &last,
        "--evaluator",
        &evaluator,
        "--x=0:1:3",
        "--format",
        "json",
    ]);
    assert_eq!(flat(&line["train"]["loss"]), [0.5; 3]);
    assert!(line["test"]["loss"][1].is_null(), "{line}");
    assert_eq!(flat(&line["test"]["loss"]), [0.5; 2]);
}

/// Folders in memory that processes of these numbers have left.
#[cfg(target_os = "linux")]
fn left_by(process: u32) -> usize {
    let entries = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name.starts_with(&format!("isoloss-{process}-")))
        .count()
}

#[cfg(target_os = "linux")]
#[test]
fn a_watch_that_is_ended_leaves_neither_files_nor_processes() {
    let folder = TempDir::new().unwrap();
    let (script, number) = (folder.path().join("hang.sh"), folder.path().join("number"));
    let text = format!(
        r#"trap '' TERM INT
echo $$ > '{}'
while read -r line; do
  id=$(echo "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
  case "$line" in
    *'"hello"'*) echo '{{"ready": {{"protocol": 1, "samples": {{"train": 8}}}}}}' ;;
    *'"plane":{{'*) echo "{{\"plane\": {{\"id\": $id}}}}" ;;
    *) sleep 600 ;;
  esac
done
"#,
        number.display()
    );
    fs::write(&script, text).unwrap();
    let run = program::fixture("digits-run");
    let mut child = program::program()
        .args([
            "watch",
            &run,
            "--evaluator",
            &format!("sh {}", script.display()),
        ])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begin = std::time::Instant::now();
    let patience = std::time::Duration::from_secs(60);
    let pause = || std::thread::sleep(std::time::Duration::from_millis(50));
    let hangs = || number.exists() && left_by(child.id()) > 0;
    while !hangs() && begin.elapsed() < patience {
        pause();
    }
    assert!(hangs(), "the evaluator was not asked");
    pause();
    let number: u32 = fs::read_to_string(&number).unwrap().trim().parse().unwrap();
    let process = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    child.wait().unwrap();
    let is_there = || {
        let stat = fs::read_to_string(format!("/proc/{number}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    let begin = std::time::Instant::now();
    while is_there() && begin.elapsed() < std::time::Duration::from_secs(5) {
        pause();
    }
    assert!(!is_there(), "the evaluator lives on");
    assert_eq!(left_by(child.id()), 0);
}

/// An evaluator that ends at its fifth answer the first time it is run.
fn failing(folder: &Path) -> PathBuf {
    let path = folder.join("failing.sh");
    let mark = folder.join("failed");
    let text = format!(
        r#"count=0
while read -r line; do
  id=$(echo "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
  case "$line" in
    *'"hello"'*) echo '{{"ready": {{"protocol": 1, "device": "abacus", "samples": {{"train": 8}}}}}}' ;;
    *'"plane":{{'*) echo "{{\"plane\": {{\"id\": $id}}}}" ;;
    *'"stop"'*) exit 0 ;;
    *) count=$((count + 1))
       if [ $count = 5 ] && [ ! -e '{mark}' ]; then touch '{mark}'; echo out of luck >&2; exit 1; fi
       echo "{{\"measured\": {{\"id\": $id, \"loss\": 0.5}}}}" ;;
  esac
done
"#,
        mark = mark.display()
    );
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn an_evaluator_that_ends_is_told_and_every_point_is_measured() {
    let folder = TempDir::new().unwrap();
    let script = failing(folder.path());
    let run = program::fixture("digits-run");
    let output = program::run(&[
        "surface",
        &run,
        "--evaluator",
        &format!("sh {}", script.display()),
        "--x=-1:1:5",
        "--y=-1:1:5",
        "--exact",
        "--format",
        "json",
    ]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("it ended (exit status: 1): out of luck; it is started again in 1 s"),
        "{said}"
    );
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(flat(&found["loss"]), [0.5; 25]);
    assert!(found.get("accuracy").is_none());
}
