//! Logs as the libraries wrote them (`tests/logs`), and what is left of them when they are cut or damaged.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

use std::fs;
use std::path::{Path, PathBuf};

use isoloss::run::scan::training_log;
use isoloss::run::{FolderScanner, LogClock, LogUpdate, Series, TrainingLog};
use proptest::prelude::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/logs")
        .join(name)
}

fn read(name: &str) -> TrainingLog {
    let news = training_log(&fixture(name));
    assert_eq!(news.warnings, [] as [String; 0], "{name}");
    TrainingLog::clone(&news.log.expect(name))
}

fn pairs(series: &Series) -> Vec<(u64, f64)> {
    let entries = series.entries().iter();
    entries.map(|entry| (entry.step, entry.value)).collect()
}

/// Within the digits of a float.
fn assert_close(found: &Series, expected: &[(u64, f64)]) {
    let found = pairs(found);
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.0, expected.0);
        let apart = (found.1 - expected.1).abs();
        assert!(apart <= 1e-6 * expected.1.abs(), "{found:?} {expected:?}");
    }
}

#[test]
fn pytorch_s_event_files_are_read_with_their_gap() {
    let log = read("torch");
    let steps = (0..6_u32).map(|i| (u64::from(i) * 10, f64::from(i)));
    let (steps, i): (Vec<u64>, Vec<f64>) = steps.unzip();
    let of = |value: fn(f64) -> f64| -> Vec<(u64, f64)> {
        steps
            .iter()
            .copied()
            .zip(i.iter().map(|i| value(*i)))
            .collect()
    };
    let train = pairs(&log.train);
    assert_eq!(
        train.last().map(|(step, value)| (*step, value.is_nan())),
        Some((60, true))
    );
    let finite: Series = train
        .into_iter()
        .filter(|(_, value)| value.is_finite())
        .collect();
    assert_close(&finite, &of(|i| 2.0 / (i + 1.0)));
    assert_close(&log.eval, &of(|i| 2.5 / (i + 1.0)));
    assert_close(&log.rate, &of(|i| 0.1 * 0.5_f64.powf(i)));
}

#[test]
fn both_forms_of_scalars_are_read() {
    let tensors = read("tf2");
    assert_close(
        &tensors.train,
        &[(0, 1.5), (100, 1.25), (200, 1.0), (300, 0.75)],
    );
    assert_eq!(tensors.rate.entries().len(), 4);
    assert_close(&read("tensorboardx").train, &[(0, 3.0), (1, 2.0), (2, 1.0)]);
}

#[test]
fn the_newest_state_of_hugging_face_s_trainer_has_all_and_its_bare_nan_is_a_gap() {
    let log = read("hugging-face");
    assert!(log.source.ends_with("checkpoint-30/trainer_state.json"));
    let steps: Vec<u64> = log.train.entries().iter().map(|entry| entry.step).collect();
    assert_eq!(steps, [5, 10, 15, 20, 25, 30]);
    assert!(log.train.last().unwrap().value.is_nan());
    assert!(log.train.entries()[4].value.is_finite());
    assert!((log.rate.last().unwrap().value - 5e-6 / 3.0).abs() < 1e-18);
    let evaluated: Vec<u64> = log.eval.entries().iter().map(|entry| entry.step).collect();
    assert_eq!(evaluated, [10, 20, 30]);
}

#[test]
fn lightning_s_table_is_read_from_the_run_and_from_its_checkpoints() {
    let log = read("lightning");
    assert_close(&log.rate, &[(0, 0.1), (10, 0.01), (20, 0.001)]);
    assert_eq!(log.train.entries().len(), 6);
    assert_eq!(
        log.train.entries()[1].value,
        "0.32689788937568665".parse::<f64>().unwrap()
    );
    assert_eq!(log.train.last().unwrap().epoch, Some(2.0));
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = folder.path().join("version_0/checkpoints");
    fs::create_dir_all(&checkpoints).unwrap();
    let table = fixture("lightning/version_0/metrics.csv");
    fs::copy(table, folder.path().join("version_0/metrics.csv")).unwrap();
    let beside = training_log(&checkpoints).log.unwrap();
    assert_eq!(beside.train, log.train);
}

#[test]
fn what_is_wrong_is_told_by_name_and_what_stands_before_it_counts() {
    let folder = tempfile::tempdir().unwrap();
    let says = |text: &str| -> LogUpdate {
        fs::write(folder.path().join("metrics.csv"), text).unwrap();
        training_log(folder.path())
    };
    let cell = says("step,loss\n1,0.5\n2,many\n3,0.1\n");
    assert_eq!(pairs(&cell.log.unwrap().train), [(1, 0.5)]);
    let said = &cell.warnings[0];
    assert!(
        said.ends_with("metrics.csv: line 3: expected a number under loss, found many"),
        "{said}"
    );
    let head = says("time,accuracy\n1,0.5\n");
    assert!(head.warnings[0].ends_with("found time, accuracy") && head.log.is_none());
    // A line without an end is still being written.
    let cut = says("step,loss\n1,0.5\n2,0.2");
    assert_eq!(
        (pairs(&cut.log.unwrap().train), cut.warnings.len()),
        (vec![(1, 0.5)], 0)
    );
    fs::remove_file(folder.path().join("metrics.csv")).unwrap();
    fs::write(
        folder.path().join("trainer_state.json"),
        "{\"log_history\": 3}",
    )
    .unwrap();
    let state = training_log(folder.path());
    assert!(state.warnings[0].contains("expected the state of a trainer with a log_history"));
    fs::write(
        folder.path().join("trainer_state.json"),
        "{\"log_history\": [{\"loss\"",
    )
    .unwrap();
    assert_eq!(training_log(folder.path()), LogUpdate::default());
}

#[test]
fn lightning_s_losses_stand_at_its_checkpoints() {
    let run = fixture("lightning");
    let log = read("lightning");
    let member = |step: u64| {
        let name = format!("epoch={}-step={step}.ckpt", step / 10 - 1);
        isoloss::run::Checkpoint::new(step, run.join("version_0/checkpoints").join(name))
    };
    let members = [member(10), member(20), member(30)];
    let logged = LogClock::of(&log, &members, &run)
        .unwrap()
        .logged(&log, &members);
    // The tenth step is step 9 in Lightning's count, the rate is noted when an epoch begins.
    assert_eq!(logged[0].train, Some(log.train.entries()[1].value));
    assert_eq!(logged[2].rate, Some(log.rate.entries()[2].value));
}

/// The fixtures' files, by name.
fn files() -> Vec<(String, Vec<u8>)> {
    let names = ["torch", "tf2", "tensorboardx", "hugging-face", "lightning"];
    let logs = names
        .iter()
        .flat_map(|name| FolderScanner::default().scan(&fixture(name)).unwrap().logs);
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read(&path).unwrap())
    };
    logs.map(read).collect()
}

#[test]
fn a_trainer_s_state_that_is_cut_off_anywhere_is_not_broken() {
    for (name, bytes) in files().iter().filter(|(name, _)| name.ends_with("json")) {
        for cut in 0..bytes.len() {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(name), &bytes[..cut]).unwrap();
            let news = training_log(folder.path());
            assert_eq!(news.warnings, [] as [String; 0], "cut at {cut}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn cut_and_damaged_logs_never_panic(
        which in 0_usize..7,
        cut in 0.0..1.0_f64,
        damage in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 0..6),
    ) {
        let (name, mut bytes) = files().swap_remove(which);
        bytes.truncate((cut * bytes.len() as f64) as usize);
        for (at, byte) in &damage {
            let at = (at * bytes.len() as f64) as usize;
            if let Some(place) = bytes.get_mut(at) {
                *place = *byte;
            }
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(&name), &bytes).unwrap();
        let news = training_log(folder.path());
        prop_assert!(news.warnings.iter().all(|said| said.contains(&name)));
        if damage.is_empty() && !name.ends_with("csv") {
            // A file that is only cut off is not broken.
            prop_assert_eq!(news.warnings.len(), 0);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for name in ["events.out.tfevents.1.host", "metrics.csv", "trainer_state.json"] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(name), &bytes).unwrap();
            let news = training_log(folder.path());
            prop_assert!(news.log.is_none_or(|log| !log.is_empty()));
        }
    }
}
