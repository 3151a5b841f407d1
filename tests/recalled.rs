//! Measured values are found again: after a kill, of a run that was copied, and never of another function.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod program;

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use isoloss::data::Split;
use isoloss::landscape::worker::serve;
use isoloss::landscape::{
    AssumedFunction, Hosting, Place, Plan, Position, Precision, Quantity, Query, Setup,
    WorkerEvent, WorkerRequest,
};
use isoloss::model::{Activation, Reading};
use isoloss::run::Checkpoint;
use isoloss::store::StorePlace;
use program::{bits, digits, fixture, program, random_plane};
use rstest::rstest;

/// Time within which a plan is done on a busy machine.
const SOON: Duration = Duration::from_secs(120);

/// A run of two checkpoints in a folder of its own.
fn run_in(folder: &Path) -> [Checkpoint; 2] {
    fs::create_dir_all(folder).unwrap();
    [0, 240].map(|step| {
        let name = format!("step_{step:04}.safetensors");
        let path = folder.join(&name);
        fs::copy(fixture(&format!("digits-run/{name}")), &path).unwrap();
        Checkpoint::new(step, path)
    })
}

/// Points of a plane, on all samples and on few, and a value of each other kind.
fn plan([from, to]: &[Checkpoint; 2], points: u32) -> Plan {
    let at = |i: u32| [f64::from(i % 7) / 7.0 - 0.3, f64::from(i / 7) / 9.0 - 0.2];
    let on_few = |i: u32| Query::on_few(at(i), 64);
    let all = (0..points).map(|i| Query::on_plane(at(i)));
    let others = [
        Query::of_checkpoint(to.clone()),
        Query::of(Quantity::Loss(Position::Mean(vec![
            from.clone(),
            to.clone(),
        ]))),
        Query::of(Quantity::CriticalStep {
            from: from.clone(),
            to: to.clone(),
        }),
    ];
    Plan {
        generation: 3,
        spec: random_plane(to),
        split: Split::Train,
        queries: (0..3).map(on_few).chain(all).chain(others).collect(),
    }
}

fn setup() -> Setup {
    digits(&[Place::Cpu], Precision::F32)
}

/// Every value by its index: the bits of its numbers, and true if it was measured before.
type Answers = HashMap<usize, (Vec<u64>, bool)>;

/// Measures a plan of a function with a store; `told` sees each value as it comes.
fn measured(
    setup: &Setup,
    store: &Path,
    (function, plan): (Option<AssumedFunction>, Plan),
    mut told: impl FnMut(usize, &[u64]),
) -> Answers {
    let hosting = Hosting {
        store: Some(StorePlace {
            path: store.to_path_buf(),
            room: 1 << 30,
        }),
        ..Hosting::default()
    };
    let ((requests, served), (send, reports)) = (channel(), channel());
    let setup = setup.clone();
    let pool = thread::spawn(move || {
        serve(&setup, &hosting, &served, |report| {
            send.send(report).is_ok()
        });
    });
    let mut answers = Answers::new();
    loop {
        match reports.recv_timeout(SOON).unwrap() {
            WorkerEvent::Data { .. } => {
                requests
                    .send(WorkerRequest::Assume(function.clone().unwrap_or_default()))
                    .unwrap();
                requests.send(WorkerRequest::Measure(plan.clone())).unwrap();
            }
            WorkerEvent::Measured {
                index,
                value,
                recalled,
                ..
            } => {
                let bits = bits(&value);
                told(index, &bits);
                assert!(
                    answers.insert(index, (bits, recalled)).is_none(),
                    "{index} twice"
                );
            }
            WorkerEvent::Done(_) => break,
            WorkerEvent::Failed { reason, .. }
            | WorkerEvent::NoData(reason)
            | WorkerEvent::Trouble(reason) => {
                panic!("{reason}")
            }
            _ => {}
        }
    }
    drop(requests);
    pool.join().unwrap();
    answers
}

/// The values alone.
fn values(answers: &Answers) -> HashMap<usize, Vec<u64>> {
    answers
        .iter()
        .map(|(index, (bits, _))| (*index, bits.clone()))
        .collect()
}

fn recalled(answers: &Answers) -> usize {
    answers.values().filter(|(_, recalled)| *recalled).count()
}

#[test]
fn a_second_session_finds_every_value_to_the_bit_wherever_the_run_lies() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("cache/measured.sqlite");
    let here = run_in(&folder.path().join("here"));
    let measure =
        |run: &[Checkpoint; 2]| measured(&setup(), &store, (None, plan(run, 35)), |_, _| {});
    let first = measure(&here);
    assert_eq!((first.len(), recalled(&first)), (41, 0));
    let second = measure(&here);
    assert_eq!(values(&second), values(&first));
    assert_eq!(recalled(&second), 41);
    // The contents of a copy are not known by its files, and are read while it is measured.
    let there = run_in(&folder.path().join("there"));
    assert_eq!(values(&measure(&there)), values(&first));
    let again = measure(&there);
    assert_eq!((values(&again), recalled(&again)), (values(&first), 41));
}

#[test]
fn a_file_that_was_overwritten_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("measured.sqlite");
    let run = run_in(&folder.path().join("run"));
    let measure =
        |run: &[Checkpoint; 2]| measured(&setup(), &store, (None, plan(run, 7)), |_, _| {});
    let first = measure(&run);
    fs::copy(fixture("digits-run/step_0120.safetensors"), &run[1].path).unwrap();
    let other = measure(&run);
    assert_eq!(recalled(&other), 0);
    assert!(
        first
            .iter()
            .all(|(index, (bits, _))| other[index].0 != *bits)
    );
}

#[test]
fn another_function_type_or_choice_of_samples_has_values_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("measured.sqlite");
    let run = run_in(&folder.path().join("run"));
    let measure = |setup: &Setup, function: Option<AssumedFunction>| {
        recalled(&measured(
            setup,
            &store,
            (function, plan(&run, 7)),
            |_, _| {},
        ))
    };
    let few = |count: usize| {
        let mut setup = setup();
        if let Some(data) = &mut setup.data {
            data.count = isoloss::data::Count::At(count);
        }
        setup
    };
    let gelu = AssumedFunction {
        reading: Reading {
            activation: Some(Activation::Gelu),
            ..Reading::default()
        },
        pixels: None,
    };
    let half = digits(&[Place::Cpu], Precision::F16);
    let cases = [
        (setup(), None),
        (setup(), Some(gelu.clone())),
        (half, None),
        (few(300), None),
        (few(301), None),
    ];
    for (setup, function) in &cases {
        assert_eq!(measure(setup, function.clone()), 0);
    }
    for (setup, function) in &cases {
        assert_eq!(measure(setup, function.clone()), 13);
    }
}

/// The environment of the process that is killed.
const STORE: &str = "ISOLOSS_TEST_STORE";

/// Measures and prints each value, for the test that kills it.
#[test]
fn the_process_that_is_killed() {
    let Some(folder) = std::env::var_os(STORE).map(PathBuf::from) else {
        return;
    };
    let run = [0, 240].map(|step| {
        let name = format!("run/step_{step:04}.safetensors");
        Checkpoint::new(step, folder.join(name))
    });
    let store = folder.join("measured.sqlite");
    let told = |index: usize, bits: &[u64]| println!("\nshown {index} {bits:?}");
    measured(&setup(), &store, (None, plan(&run, 600)), told);
}

#[test]
fn a_kill_loses_nothing_that_was_shown() {
    for count in [1, 7, 40, 150] {
        let folder = tempfile::tempdir().unwrap();
        let run = run_in(&folder.path().join("run"));
        let store = folder.path().join("measured.sqlite");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_process_that_is_killed", "--nocapture"])
            .env(STORE, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let shown = lines.map_while(Result::ok);
        let shown = shown.filter(|line| line.starts_with("shown "));
        let shown: Vec<String> = shown.take(count).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(shown.len(), count);
        let again = measured(&setup(), &store, (None, plan(&run, 600)), |_, _| {});
        for line in &shown {
            let index: usize = line.split(' ').nth(1).unwrap().parse().unwrap();
            let (bits, recalled) = &again[&index];
            assert!(recalled, "{line} was lost");
            assert_eq!(*line, format!("shown {index} {bits:?}"));
        }
    }
}

/// Lines of a log of orders that ask for a value.
fn asked(log: &Path) -> usize {
    let orders = fs::read_to_string(log).unwrap_or_default();
    let orders = orders.lines();
    orders
        .filter(|order| order.starts_with(r#"{"measure""#))
        .count()
}

#[rstest]
#[case::surface("surface RUN --x=-1:1:9 --y=-1:1:9 --exact")]
#[case::on_few("surface RUN --x=-1:1:9 --y=-1:1:9 --fidelity 32")]
#[case::compare("compare RUN RUN --x=-1:1:5 --y=-1:1:5")]
#[case::line("line RUN --x=-1:1:9 --along pc1,random")]
#[case::hessian("hessian RUN --density --probes 2 --iterations 20 --map --x=-1:1:2 --y=-1:1:2")]
#[case::average("average RUN --last 1,2,3")]
#[case::recalibrated("average RUN --last 2 --recalibrate")]
#[case::sharpness("sharpness RUN")]
fn a_command_gives_the_same_by_several_workers_and_what_was_measured_before(#[case] command: &str) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("orders");
    let digits = fixture("digits-run");
    let common = ["--data", "digits", "--samples", "64", "--format", "json"];
    let measure = |more: &[&str]| {
        let words = command.split(' ').map(|word| match word {
            "RUN" => digits.as_str(),
            word => word,
        });
        let mut program = program();
        program.env("XDG_CACHE_HOME", folder.path().join("cache"));
        program.env_remove("ISOLOSS_NO_CACHE");
        let output = program
            .args(words)
            .args(common)
            .args(more)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        output.stdout
    };
    let alone = measure(&["--in-process", "--no-cache"]);
    let launcher = format!("sh -c 'tee -a {} | {{}}'", log.display());
    let by_workers = ["--worker", &launcher, "--workers", "3"];
    assert!(measure(&by_workers) == alone);
    let first = asked(&log);
    assert!(first > 0);
    assert!(measure(&by_workers) == alone);
    assert_eq!(asked(&log), first);
    // The program and its workers have made the plane once.
    let planes = fs::read_dir(folder.path().join("cache/isoloss/planes"));
    let planes = planes.map_or(0, |planes| {
        let names = planes.map(|entry| entry.unwrap().path());
        names
            .filter(|name| name.extension() == Some("safetensors".as_ref()))
            .count()
    });
    let is_principal = command.starts_with("surface") || command.starts_with("hessian");
    assert!(!is_principal || planes == 1, "{planes}");
    // Gradients are summed in f32 over batches, whose size is that of a worker's part of the cores.
    if !command.starts_with("hessian") {
        let split = ["--workers", "3", "--split-samples", "--no-cache"];
        assert!(measure(&split) == alone);
    }
}

/// Changes the last weight of a file, which then looks as it was.
fn change_unseen(file: &Path) {
    let modified = fs::metadata(file).unwrap().modified().unwrap();
    let mut bytes = fs::read(file).unwrap();
    let last = bytes.len() - size_of::<f32>();
    bytes[last..].copy_from_slice(&0.5_f32.to_le_bytes());
    fs::write(file, bytes).unwrap();
    let file = fs::File::options().write(true).open(file).unwrap();
    file.set_modified(modified).unwrap();
}

#[test]
fn dot_products_of_checkpoints_are_taken_from_the_store_and_not_from_their_weights() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    fs::create_dir(&run).unwrap();
    let steps = [0, 60, 120, 180, 240].map(|step| format!("step_{step:04}.safetensors"));
    let copy = |name: &String| {
        fs::copy(fixture(&format!("digits-run/{name}")), run.join(name)).unwrap();
    };
    steps.iter().for_each(copy);
    let newest = run.join(&steps[4]);
    fs::rename(&newest, folder.path().join("newest")).unwrap();
    let placed = |no_cache: &str| {
        let output = program()
            .arg("trajectory")
            .arg(&run)
            .args(["--format", "json"])
            .env("XDG_CACHE_HOME", folder.path())
            .env("ISOLOSS_NO_CACHE", no_cache)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let first = placed("false");
    assert_eq!(first["steps"].as_array().unwrap().len(), 4);
    for name in &steps[..4] {
        change_unseen(&run.join(name));
    }
    assert_eq!(placed("false"), first);
    assert_ne!(placed("true"), first);
    // One is gone and one is new. The others are of their contents, which are read once more where the files are others.
    steps[..4].iter().for_each(copy);
    assert_eq!(placed("false"), first);
    for name in &steps[..4] {
        change_unseen(&run.join(name));
    }
    fs::remove_file(run.join(&steps[1])).unwrap();
    fs::rename(folder.path().join("newest"), &newest).unwrap();
    let found = placed("false");
    assert_eq!(found["steps"], serde_json::json!([0, 120, 180, 240]));
    for (found, before) in found["norm"].as_array().unwrap()[..3].iter().zip([0, 2, 3]) {
        assert_eq!(*found, first["norm"][before]);
    }
}
