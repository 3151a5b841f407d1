//! A run that grows while it is watched.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

mod program;

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use program::{fixture, program};

/// A watching program and the lines that it prints.
struct Watched {
    child: Child,
    lines: Receiver<String>,
    seen: RefCell<Vec<String>>,
}

impl Watched {
    fn start(run: &Path, more: &[&str]) -> Self {
        let mut child = program()
            .args(["watch", run.to_str().unwrap()])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .all(|line| send.send(line).is_ok())
        });
        Self {
            child,
            lines,
            seen: RefCell::default(),
        }
    }

    /// Waits for a line that holds these words; each line is taken once, in whatever order they come.
    fn expect(&self, words: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut seen = self.seen.borrow_mut();
        loop {
            if let Some(at) = seen.iter().position(|line| line.contains(words)) {
                seen.remove(at);
                return;
            }
            match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => seen.push(line),
                Err(error) => panic!("{error}: no line with {words:?} in {seen:#?}"),
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn add(run: &Path, step: u64) {
    let name = format!("model_{step}.pt");
    fs::copy(fixture(&format!("mlp-fashion/{name}")), run.join(&name)).unwrap();
}

#[test]
fn checkpoints_arrive_one_by_one_and_a_half_written_one_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let data = fixture("fashion-mnist");
    let watched = Watched::start(&run, &["--data", &data, "--samples", "64"]);
    watched.expect("expected a run folder");
    fs::create_dir(&run).unwrap();
    add(&run, 0);
    watched.expect("checkpoint step 0 (model_0.pt)");
    watched.expect("model mlp");
    watched.expect("at step 0 (model_0.pt), accuracy");
    let bytes = fs::read(fixture("mlp-fashion/model_395.pt")).unwrap();
    fs::write(run.join("model_395.pt"), &bytes[..bytes.len() / 2]).unwrap();
    watched.expect("unreadable");
    add(&run, 1580);
    watched.expect("checkpoint step 1580 (model_1580.pt)");
    fs::write(run.join("model_395.pt"), &bytes).unwrap();
    watched.expect("checkpoint step 395 (model_395.pt)");
    // A fast machine is past the coarse levels before the next line is printed.
    watched.expect("map at rest");
    fs::remove_file(run.join("model_0.pt")).unwrap();
    watched.expect("gone step 0");
}

#[test]
fn without_data_or_a_known_model_the_path_is_told_all_the_same() {
    let run = tempfile::tempdir().unwrap();
    add(run.path(), 0);
    let watched = Watched::start(run.path(), &[]);
    watched.expect("no surface: no data given");
    watched.expect("checkpoint step 0");
    drop(watched);
    fs::copy(fixture("torch/plain.pt"), run.path().join("model_0.pt")).unwrap();
    let watched = Watched::start(run.path(), &["--data", "digits"]);
    watched.expect("checkpoint step 0");
    watched.expect("no known architecture has such tensors");
}

#[test]
fn a_checkpoint_of_another_shape_is_named_and_stops_nothing() {
    let run = tempfile::tempdir().unwrap();
    add(run.path(), 0);
    let watched = Watched::start(run.path(), &[]);
    watched.expect("checkpoint step 0");
    fs::copy(
        fixture("resnet8-fashion/step=0.ckpt"),
        run.path().join("model_200.pt"),
    )
    .unwrap();
    watched.expect("unreadable");
    add(run.path(), 395);
    watched.expect("checkpoint step 395");
}

#[test]
fn two_devices_share_a_map_and_a_third_that_does_not_open_is_told() {
    let run = tempfile::tempdir().unwrap();
    for step in [0, 395, 1580] {
        add(run.path(), step);
    }
    let data = fixture("fashion-mnist");
    let more = ["--data", &data, "--samples", "64", "--device"];
    let more = [&more[..], &["cpu,cuda:4096,cpu"]].concat();
    let watched = Watched::start(run.path(), &more);
    watched.expect("device cpu,cpu");
    watched.expect("notice: device cuda:4096: ");
    watched.expect("map at rest");
}
