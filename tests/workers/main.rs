//! Worker processes measure what a thread measures, and no death of one ends a session.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod deaths;
mod launchers;
#[path = "../program/mod.rs"]
mod program;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use isoloss::data::Split;
use isoloss::landscape::worker::serve;
use isoloss::landscape::worker::wire::{self};
use isoloss::landscape::{
    Client, Hosting, Launch, Place, Plan, Position, Precision, Quantity, Query, QueryAnswer, Setup,
    WorkerEvent, WorkerOrder, WorkerRequest,
};
use isoloss::run::Checkpoint;
use program::{bits, digits, fixture, program, random_plane};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(120);

/// Points of a plane that a path of its own spans, that checkpoint, an update, and a curvature.
fn plan(points: u32) -> Plan {
    let checkpoint = |step: u64| {
        Checkpoint::new(
            step,
            fixture(&format!("digits-run/step_{step:04}.safetensors")),
        )
    };
    let [from, to] = [checkpoint(0), checkpoint(240)];
    let at = |i: u32| f64::from(i) / 7.0 - 0.3;
    let points = (0..points).map(|i| Query::on_plane([at(i % 5), at(i / 5)]));
    let others = [
        Query::of_checkpoint(to.clone()),
        Query::of(Quantity::CriticalStep {
            from,
            to: to.clone(),
        }),
        Query::curvature(Position::Plane([0.1, 0.0])),
    ];
    Plan {
        generation: 3,
        spec: random_plane(&to),
        split: Split::Train,
        queries: points.chain(others).collect(),
    }
}

fn setup() -> Setup {
    digits(&[Place::Cpu], Precision::F32)
}

/// The worker of this build; an argument that changes nothing tells those of one test.
fn worker(mark: &str) -> Launch {
    let own = env!("CARGO_BIN_EXE_isoloss");
    let state = std::env::temp_dir().join("isoloss-tests");
    let mark = format!("--memory-limit={mark}");
    Launch::new(
        vec![own.into(), "worker".into(), mark.into()],
        vec![("XDG_STATE_HOME".into(), state.into())],
    )
}

/// A shell's script in the place of a worker.
fn script(text: &str) -> Launch {
    Launch::new(vec!["sh".into(), "-c".into(), text.into()], Vec::new())
}

/// Measures a plan; `watch` sees every report as it comes.
fn measured(
    launch: Option<Launch>,
    plan: Plan,
    watch: impl FnMut(&WorkerEvent),
) -> Vec<WorkerEvent> {
    let hosting = Hosting {
        process: launch,
        ..Hosting::default()
    };
    measured_at(hosting, plan, watch)
}

/// Measures a plan by workers that are launched so.
fn measured_by(launches: Vec<Launch>, plan: Plan) -> Vec<WorkerEvent> {
    let hosting = Hosting {
        process: launches.first().cloned(),
        launches,
        ..Hosting::default()
    };
    measured_at(hosting, plan, |_| ())
}

fn measured_at(
    hosting: Hosting,
    plan: Plan,
    mut watch: impl FnMut(&WorkerEvent),
) -> Vec<WorkerEvent> {
    let ((requests, served), (send, reports)) = (channel(), channel());
    requests.send(WorkerRequest::Measure(plan)).unwrap();
    let setup = setup();
    let pool = thread::spawn(move || {
        serve(&setup, &hosting, &served, |report| {
            send.send(report).is_ok()
        });
    });
    let mut all = Vec::new();
    while !is_last(all.last()) {
        let report = reports.recv_timeout(SOON).unwrap();
        watch(&report);
        if !matches!(report, WorkerEvent::Cost(_) | WorkerEvent::Product { .. }) {
            all.push(report);
        }
    }
    drop(requests);
    pool.join().unwrap();
    all
}

fn is_last(report: Option<&WorkerEvent>) -> bool {
    matches!(
        report,
        Some(
            WorkerEvent::Done(_) | WorkerEvent::Failed { index: None, .. } | WorkerEvent::NoData(_)
        )
    )
}

/// Values by query; a hole is `None`.
fn values(reports: &[WorkerEvent], queries: usize) -> Vec<Option<QueryAnswer>> {
    let mut values = vec![None; queries];
    for report in reports {
        if let WorkerEvent::Measured { index, value, .. } = report {
            assert!(
                values[*index].replace(value.clone()).is_none(),
                "{index} twice"
            );
        }
    }
    values
}

/// The workers of this process that have a mark.
fn marked(mark: &str) -> Vec<Pid> {
    let mark = format!("--memory-limit={mark}");
    let marked = workers_of(std::process::id()).into_iter().filter(|id| {
        let arguments = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let mut words = arguments.split(|byte| *byte == 0);
        words.any(|word| word == mark.as_bytes())
    });
    marked
        .filter_map(|id| Pid::from_raw(id.cast_signed()))
        .collect()
}

/// Sends a signal to the workers of this process that have a mark; returns true if there is one.
fn signal(mark: &str, signal: Signal) -> bool {
    let pids = marked(mark).into_iter();
    pids.filter(|pid| kill_process(*pid, signal).is_ok())
        .count()
        > 0
}

#[test]
fn a_process_gives_what_a_thread_gives_to_the_bit() {
    let count = plan(25).queries.len();
    // Curvature needs a process that keeps its graphs, which this one is not.
    let here = measured(None, plan(25), |_| ());
    let there = measured(Some(worker("1003G")), plan(25), |_| ());
    let [mut here, mut there] = [here, there].map(|reports| values(&reports, count));
    let curvature = there.pop().unwrap();
    assert!(
        matches!(curvature, Some(QueryAnswer::Curvature(_))),
        "{curvature:?}"
    );
    here.pop();
    assert!(here.iter().all(Option::is_some), "{here:?}");
    let [here, there] = [here, there].map(|values| {
        let all = values.iter().flatten().map(bits);
        all.collect::<Vec<_>>()
    });
    assert_eq!(here, there);
}

/// Starts a worker and returns what it says.
fn started() -> (std::process::Child, Receiver<String>) {
    let mut child = program()
        .arg("worker")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (send, lines) = channel();
    thread::spawn(move || {
        let mut lines = stdout.lines().map_while(Result::ok);
        lines.all(|line| send.send(line).is_ok())
    });
    (child, lines)
}

#[test]
fn the_end_of_its_input_ends_a_worker_in_order() {
    let (mut child, lines) = started();
    let hello = lines.recv_timeout(SOON).unwrap();
    let hello: serde_json::Value = serde_json::from_str(&hello).unwrap();
    assert_eq!(hello["hello"]["protocol"], 1, "{hello}");
    assert!(hello["hello"]["host"].is_string(), "{hello}");
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let session = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(3);
    assert_eq!(
        session,
        Some(child.id().to_string().as_str()),
        "its own session"
    );
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(lines.recv_timeout(SOON).is_err());
}

#[test]
fn a_line_that_is_no_order_is_an_error_that_quotes_it() {
    let (mut child, _lines) = started();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"ls -l\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(r#"got "ls -l""#), "{stderr}");
}

/// Ids of worker processes whose parent is this one.
fn workers_of(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id: &u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let arguments = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let is_worker = arguments
            .split(|byte| *byte == 0)
            .any(|word| word == b"worker");
        is_worker && fields.split_whitespace().nth(1) == Some(&parent.to_string())
    })
    .collect()
}
