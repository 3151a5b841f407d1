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
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use isoloss::cache::KeepLimit;
use isoloss::data::{Count, DataRequest};
use isoloss::landscape::Setup;
use isoloss::landscape::grid::surface::log_loss;
use isoloss::run::RunChoice;
use isoloss::session::{Fidelity, Options, Session, Snapshot};
use isoloss::weights::BatchNorm;
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
    watched.expect("not there yet, waited for");
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
    watched.expect("left the path step 0");
}

/// Waits until this number of checkpoints of a run are kept.
fn wait_for_kept(run: &str, count: u64) {
    let kept = || {
        let listed = program::json(&["cache", "list", "--format", "json"]);
        let runs = listed["runs"].as_array().unwrap().iter();
        let own = runs.filter(|one| one["run"].as_str() == Some(run));
        own.filter_map(|one| one["checkpoints"].as_u64())
            .sum::<u64>()
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while kept() != count {
        assert!(Instant::now() < deadline, "{} are kept", kept());
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_path_that_was_thinned_begins_thinned_and_commands_have_all_of_it() {
    let run = tempfile::tempdir().unwrap();
    let states: Vec<Vec<u8>> = (0..=240)
        .step_by(10)
        .map(|step| fs::read(fixture(&format!("digits-run/step_{step:04}.safetensors"))).unwrap())
        .collect();
    let file = |step: usize| run.path().join(format!("step_{step:04}.safetensors"));
    for step in 0..300 {
        let mut bytes = states[step * 24 / 300].clone();
        // The last number of the last tensor makes each a content of its own.
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&(step as f32 / 1e4).to_le_bytes());
        fs::write(file(step), bytes).unwrap();
    }
    let run_name = run.path().to_str().unwrap();
    let first = Watched::start(run.path(), &["--keep", "all"]);
    wait_for_kept(run_name, 300);
    for step in 0..290 {
        fs::remove_file(file(step)).unwrap();
    }
    for _ in 256..300 {
        first.expect("left the path step");
    }
    drop(first);
    let again = Watched::start(run.path(), &["--keep", "all"]);
    again.expect("checkpoint step 299");
    let lines = again.seen.borrow();
    let shown = lines
        .iter()
        .filter(|line| line.starts_with("checkpoint step"));
    // Those that lie there and both ends stay.
    assert_eq!(shown.count() + 1, 256, "{lines:#?}");
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("checkpoint step 0 "))
    );
    let whole = program::json(&["trajectory", run_name, "--format", "json"]);
    assert_eq!(whole["steps"].as_array().unwrap().len(), 300);
}

#[test]
fn learning_rates_of_kept_checkpoints_outlive_a_session_and_their_files() {
    let run = tempfile::tempdir().unwrap();
    let file = |step: usize| run.path().join(format!("step={step}.ckpt"));
    for step in [0, 632] {
        fs::copy(
            fixture(&format!("resnet8-fashion/step={step}.ckpt")),
            file(step),
        )
        .unwrap();
    }
    let run_name = run.path().to_str().unwrap();
    let rates =
        || program::json(&["weights", run_name, "--format", "json"])["learning_rate"].take();
    let before = rates();
    assert!(before[0].is_f64(), "{before}");
    let data = fixture("fashion-mnist");
    let options = ["--keep", "all", "--data", &data, "--samples", "16"];
    let first = Watched::start(run.path(), &options);
    wait_for_kept(run_name, 2);
    drop(first);
    fs::remove_file(file(0)).unwrap();
    assert_eq!(rates(), before);
    let again = Watched::start(run.path(), &options);
    again.expect("%, lr 0.1");
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
fn settings_that_the_run_gets_later_are_taken() {
    let run = tempfile::tempdir().unwrap();
    let watched = Watched::start(run.path(), &[]);
    watched.expect("no surface: no data given");
    add(run.path(), 0);
    let data = fixture("fashion-mnist");
    let settings = format!("data = {data:?}\nsamples = 64\n");
    // As the export helper does it: nobody reads half of a file.
    fs::write(run.path().join("settings"), settings).unwrap();
    fs::rename(run.path().join("settings"), run.path().join("isoloss.toml")).unwrap();
    watched.expect("model mlp");
    watched.expect("at step 0 (model_0.pt), accuracy");
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
    // The newest says what the model is, also where it is followed by one of the old shape.
    watched.expect(
        "model_200.pt (step 200) has tensors of other names or shapes: the path begins anew",
    );
    watched.expect("checkpoint step 200");
    add(run.path(), 395);
    watched.expect("model_395.pt (step 395) has tensors of other names or shapes");
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

#[test]
fn few_samples_everywhere_are_told_and_more_than_there_are_are_refused() {
    let (run, all) = (
        fixture("digits-run"),
        ["--data", "digits", "--samples", "all"],
    );
    let watched = |fidelity| {
        Watched::start(
            Path::new(&run),
            &[&all[..], &["--fidelity", fidelity]].concat(),
        )
    };
    watched("1437").expect(
        "notice: --fidelity 1437: expected fewer than the 1437 samples, or `all`; all are measured everywhere",
    );
    watched("200").expect("points, 1437 samples, estimated from 200, ");
}

/// The snapshot of a session at rest, of all digits, with so many samples everywhere.
fn at_rest(run: &str, fidelity: usize) -> Arc<Snapshot> {
    let session = Session::start(Options {
        run: run.into(),
        choice: RunChoice::default(),
        keep: KeepLimit::Nothing,
        disk_only: true,
        hosting: isoloss::landscape::worker::Hosting::default(),
        setup: Setup::of(DataRequest::whole("digits")),
        batch_norm: BatchNorm::Frozen,
        fidelity: Some(Count::At(fidelity)),
    })
    .unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let snapshot = session.snapshots.borrow().clone();
        let last = snapshot.checkpoints.first();
        let is_measured = last.is_some_and(|line| line.truth.is_some() && line.on_plane.is_some());
        if snapshot.progress.rests && is_measured {
            return snapshot;
        }
        assert!(Instant::now() < deadline, "{:?}", snapshot.progress);
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_map_of_few_samples_agrees_with_the_exact_surface_of_all_within_its_error() {
    let run = fixture("digits-run");
    let snapshot = at_rest(&run, 200);
    let map = snapshot.map.as_ref().unwrap();
    let Some(Fidelity::Estimate {
        few: 200, points, ..
    }) = map.fidelity
    else {
        panic!("{:?}", map.fidelity)
    };
    assert!([25, 81].contains(&points), "{points}");
    let range = |lines: &[f64]| format!("{}:{}:17", lines[0], lines[lines.len() - 1]);
    let [x, y] = [map.surface.x(), map.surface.y()].map(range);
    let output = program()
        .args([
            "surface",
            &run,
            "--data",
            "digits",
            "--samples",
            "all",
            "--order",
            "first",
        ])
        .args([
            &format!("--x={x}"),
            &format!("--y={y}"),
            "--exact",
            "--format",
            "json",
        ])
        .output()
        .unwrap();
    let exact: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let numbers = |value: &serde_json::Value| -> Vec<f64> {
        let numbers = value.as_array().unwrap().iter();
        numbers.map(|number| number.as_f64().unwrap()).collect()
    };
    let [x, y] = ["x", "y"].map(|axis| numbers(&exact[axis]));
    let rows = exact["loss"].as_array().unwrap().iter();
    let exact: Vec<f64> = rows.flat_map(numbers).map(log_loss).collect();
    let [min, max] = [f64::min, f64::max].map(|of| exact.iter().copied().reduce(of).unwrap());
    let found = map.surface.sample(&x, &y).loss;
    let off = found
        .iter()
        .zip(&exact)
        .map(|(found, exact)| (log_loss(*found) - exact).abs());
    let mean = off.sum::<f64>() / exact.len() as f64 / (max - min);
    let stated = snapshot.progress.error.unwrap();
    assert!(mean <= stated && stated < 0.03, "{mean} {stated}");
    for line in &snapshot.checkpoints {
        let (truth, on_plane) = (line.truth.unwrap(), line.on_plane.unwrap());
        let whole = |share: f64| (share * 1437.0 - (share * 1437.0).round()).abs() < 1e-9;
        assert!(
            whole(truth.score) && whole(on_plane.score),
            "of all samples"
        );
    }
}

#[test]
fn a_watch_whose_reader_is_gone_ends_also_when_nothing_happens() {
    let run = fixture("digits-run");
    let mut child = program()
        .args(["watch", &run, "--data", "digits", "--samples", "64"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let rests = |line: &String| line.contains("map at rest");
    // The pipe is closed with its lines.
    assert!(lines.map_while(Result::ok).any(|line| rests(&line)));
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "it waits for a reader");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(child.wait().unwrap().success());
}
