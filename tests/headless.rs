//! Watching without a screen: frames and lines in a folder, never in the run.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![cfg(unix)]

mod program;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use program::{fixture, program, refusal, run};
use serde_json::Value;

/// A copy of the run whose checkpoints may be added to.
fn copied_run(at: &Path, checkpoints: usize) -> PathBuf {
    let run = at.join("run");
    fs::create_dir_all(&run).unwrap();
    for i in 0..checkpoints {
        let name = format!("step_{:04}.safetensors", 10 * i);
        fs::copy(fixture(&format!("digits-run/{name}")), run.join(&name)).unwrap();
    }
    run
}

/// Names and times of all in a folder.
fn listing(folder: &Path) -> Vec<(PathBuf, SystemTime)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut all: Vec<_> = entries
        .map(|entry| (entry.path(), entry.metadata().unwrap().modified().unwrap()))
        .collect();
    all.sort();
    all
}

fn watch(run: &Path, out: &Path, more: &[&str]) -> Child {
    let [run, out] = [run, out].map(|path| path.to_str().unwrap());
    let mut command = program();
    command.args(["watch", run, "--headless", "--out", out, "--every", "1s"]);
    command.args(["--data", "digits", "--samples", "64", "--size", "80x24"]);
    command.args(more).stderr(Stdio::piped()).spawn().unwrap()
}

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what}");
        sleep(Duration::from_millis(50));
    }
}

fn ends_well(mut child: Child) -> String {
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    std::io::read_to_string(child.stderr.take().unwrap()).unwrap()
}

fn lines(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("checkpoints.jsonl")).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn frames_and_lines_are_kept_and_the_run_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let run = copied_run(folder.path(), 4);
    let out = folder.path().join("deep/out");
    let before = listing(&run);
    let formats = ["--format", "text,svg"];
    let child = watch(&run, &out, &formats);
    wait_for("four lines", || lines(&out).len() == 4);
    wait_for("a map", || {
        let frame = fs::read_to_string(out.join("frame-000030.txt")).unwrap_or_default();
        frame.contains("at rest")
    });
    assert_eq!(ends_well(child), "");
    assert_eq!(listing(&run), before);
    let names: Vec<_> = listing(&out).into_iter().map(|(path, _)| path).collect();
    let expected = [
        "checkpoints.jsonl",
        "frame-000030.svg",
        "frame-000030.txt",
        "latest.svg",
        "latest.txt",
    ];
    assert_eq!(names, expected.map(|name| out.join(name)));
    let svg = fs::read_to_string(out.join("latest.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));

    // A later process goes on where this one ended.
    let child = watch(&run, &out, &formats);
    copied_run(folder.path(), 5);
    wait_for("the new line", || lines(&out).len() >= 5);
    wait_for("the new frame", || out.join("frame-000040.svg").exists());
    ends_well(child);
    let lines = lines(&out);
    let steps: Vec<u64> = lines
        .iter()
        .map(|line| line["step"].as_u64().unwrap())
        .collect();
    let mut sorted = steps.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [0, 10, 20, 30, 40], "one line a checkpoint");
    for line in &lines {
        assert!(line["loss"].is_f64() && line["plane_loss"].is_f64() && line["norm"].is_f64());
    }
}

#[test]
fn a_folder_that_is_gone_is_told_once_and_used_again_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let run = copied_run(folder.path(), 3);
    let out = folder.path().join("out");
    let mut child = watch(&run, &out, &[]);
    wait_for("a frame", || out.join("frame-000020.txt").exists());
    wait_for("three lines", || lines(&out).len() == 3);
    // A frame that is written meanwhile makes the folder not empty.
    wait_for("no folder", || fs::remove_dir_all(&out).is_ok());
    copied_run(folder.path(), 4);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    assert!(
        said.contains("cannot be written") && said.contains("it is tried again"),
        "{said}"
    );
    fs::create_dir(&out).unwrap();
    wait_for("the line", || lines(&out).len() == 1);
    wait_for("a frame", || out.join("frame-000030.txt").exists());
    child.stderr = Some(stderr.into_inner());
    ends_well(child);
}

#[test]
fn a_checkpoint_that_is_written_again_with_the_same_weights_is_no_resumed_training() {
    let folder = tempfile::tempdir().unwrap();
    let run = copied_run(folder.path(), 3);
    let out = folder.path().join("out");
    let child = watch(&run, &out, &[]);
    wait_for("three lines", || lines(&out).len() == 3);
    wait_for("a frame", || out.join("frame-000020.txt").exists());
    copied_run(folder.path(), 1);
    // The scans in between see a lower step that is newer than all others.
    sleep(Duration::from_secs(3));
    let name = "step_0030.safetensors";
    fs::copy(fixture(&format!("digits-run/{name}")), run.join(name)).unwrap();
    wait_for("a frame", || out.join("frame-000030.txt").exists());
    assert_eq!(ends_well(child), "");
    let steps: Vec<u64> = lines(&out)
        .iter()
        .map(|line| line["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, [0, 10, 20, 30]);
}

#[test]
fn nothing_is_written_into_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let run = copied_run(folder.path(), 1);
    std::os::unix::fs::symlink(&run, folder.path().join("link")).unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (option, inside) in [
        ("--out", "run/out"),
        ("--out", "link"),
        ("--record", "link/a.rec"),
    ] {
        let run = path("run");
        let inside = path(inside);
        let said = refusal(&["watch", &run, "--headless", option, &inside], 2);
        assert!(
            said.contains("is inside the run, where isoloss writes nothing"),
            "{said}"
        );
    }
    assert_eq!(listing(&run).len(), 1);
    let said = refusal(&["watch", &path("run"), "--out", &path("out")], 2);
    assert!(said.contains("--headless"), "{said}");
    let said = refusal(
        &["watch", "x", "--headless", "--out", "y", "--every", "often"],
        2,
    );
    assert!(said.contains("expected a time from 1s to 7d"), "{said}");
}

#[test]
fn a_recording_is_replayed_without_run_and_data() {
    let folder = tempfile::tempdir().unwrap();
    let run_folder = copied_run(folder.path(), 4);
    let out = folder.path().join("out");
    let file = folder.path().join("session.rec");
    let file = file.to_str().unwrap();
    let child = watch(&run_folder, &out, &["--record", file]);
    wait_for("a map at rest", || {
        let frame = fs::read_to_string(out.join("latest.txt")).unwrap_or_default();
        frame.contains("at rest")
    });
    ends_well(child);
    fs::remove_dir_all(&run_folder).unwrap();
    let output = run(&["replay", file]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for event in [
        "data digits: 64 train samples",
        "checkpoint step 30",
        "loss ",
        "map at rest",
    ] {
        assert!(text.contains(event), "{event}: {text}");
    }
    let said = refusal(&["replay", &fixture("digits-run/step_0000.safetensors")], 1);
    assert!(said.contains("expected a recording"), "{said}");
    let said = refusal(&["watch", "x", "--headless", "--record", file], 1);
    assert!(said.contains("cannot be made"), "{said}");
}
