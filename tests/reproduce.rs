//! The commands that the screen shows give the numbers that the screen shows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

mod program;

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use isoloss::cache::KeepLimit;
use isoloss::data::{Count, DataRequest};
use isoloss::landscape::{Setup, Surface};
use isoloss::run::RunChoice;
use isoloss::session::{Options, Session, Snapshot};
use isoloss::tui::reproduce::commands;
use isoloss::tui::{Action, App, Appearance, Invocation};
use isoloss::weights::BatchNorm;
use serde_json::Value;

use program::{fixture, json, run};

/// A live session and its screen, with a seed that is not the default.
struct Live {
    session: Session,
    app: App,
}

impl Live {
    fn start() -> Self {
        let options = Options {
            run: fixture("digits-run").into(),
            choice: RunChoice::default(),
            keep: KeepLimit::Nothing,
            disk_only: true,
            hosting: isoloss::landscape::worker::Hosting::default(),
            setup: Setup::of(DataRequest {
                count: Count::At(100),
                order: isoloss::data::SampleOrder::Random,
                seed: 3,
                ..DataRequest::whole("digits")
            }),
            batch_norm: BatchNorm::Frozen,
            fidelity: None,
        };
        let app = App::new(Appearance::default()).of(Invocation::of(&options, &[]));
        let session = Session::start(options).unwrap();
        Self { session, app }
    }

    /// Presses keys, and waits until what they ask for is there.
    fn press(&mut self, actions: &[Action], there: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        for action in actions {
            for command in self.app.update(*action) {
                self.session.command(command);
            }
        }
        let deadline = Instant::now() + Duration::from_secs(240);
        loop {
            let snapshot = Arc::clone(&self.session.snapshots.borrow());
            if there(&snapshot) {
                self.app.receive(Arc::clone(&snapshot));
                return snapshot;
            }
            assert!(Instant::now() < deadline, "{:?}", snapshot.progress);
            sleep(Duration::from_millis(20));
        }
    }

    /// Returns what the only command of the view prints.
    fn printed(&self) -> Value {
        let commands = commands(&self.app);
        assert_eq!(commands.len(), 1);
        printed(&commands[0])
    }
}

fn printed(command: &[String]) -> Value {
    assert_eq!(command[0], "isoloss");
    let arguments = command[1..].iter().map(String::as_str);
    json(&arguments.chain(["--format", "json"]).collect::<Vec<_>>())
}

fn numbers(value: &Value) -> Vec<f64> {
    let entries = value.as_array().unwrap().iter();
    entries
        .map(|entry| entry.as_f64().unwrap_or(f64::NAN))
        .collect()
}

/// Compares what both have measured; what is between is interpolated from that.
fn same(surface: &Surface, printed: &Value) {
    for (own, axis) in [(surface.x(), "x"), (surface.y(), "y")] {
        let lines = numbers(&printed[axis]);
        assert_eq!(lines.len(), own.len());
        let scale = lines
            .iter()
            .fold(0.0_f64, |most, line| most.max(line.abs()));
        assert!(
            own.iter()
                .zip(&lines)
                .all(|(a, b)| (a - b).abs() <= 1e-9 * scale),
            "{axis}: {own:?} {lines:?}"
        );
    }
    let mut compared = 0;
    for j in 0..surface.y().len() {
        let (losses, measured) = (numbers(&printed["loss"][j]), &printed["measured"][j]);
        for (i, loss) in losses.iter().enumerate() {
            let Some(own) = surface.get(i, j).filter(|_| measured[i] == true) else {
                continue;
            };
            assert!(
                (own.loss - loss).abs() <= 1e-5 * loss,
                "({i}, {j}): {} {loss}",
                own.loss
            );
            compared += 1;
        }
    }
    // A window of its own has other cells than a grid that is made at once; they share a level.
    assert!(compared >= 25, "{compared} points");
}

#[test]
fn the_command_of_a_view_gives_what_the_view_shows() {
    let mut live = Live::start();
    let snapshot = live.press(&[], |snapshot| snapshot.progress.rests);
    let map = snapshot.map.as_ref().unwrap();
    same(&map.surface, &live.printed());

    // A window of its own.
    let snapshot = live.press(&[Action::ZoomIn, Action::PanLeft], |snapshot| {
        let surface = snapshot.map.as_ref().map(|map| &map.surface);
        snapshot.progress.rests && surface.is_some_and(|surface| surface.x() != map.surface.x())
    });
    same(&snapshot.map.as_ref().unwrap().surface, &live.printed());

    // Slices along both components.
    live.press(&[Action::ShowSlices], |_| true);
    for (slice, command) in snapshot.slices.iter().zip(commands(&live.app)) {
        let printed = &printed(&command);
        let (alpha, loss) = (
            numbers(&printed["alpha"]),
            numbers(&printed["train"]["loss"]),
        );
        let mut compared = 0;
        for (offset, value) in slice.offset.iter().zip(&slice.values) {
            let at = alpha.iter().position(|alpha| (alpha - offset).abs() < 1e-9);
            if let Some((at, value)) = at.zip(*value) {
                assert!(
                    (loss[at] - value.loss).abs() <= 1e-5 * value.loss,
                    "{offset}"
                );
                compared += 1;
            }
        }
        assert!(compared + 1 >= slice.offset.len(), "{compared}");
    }

    // The random plane, which is measured on demand.
    let snapshot = live.press(&[Action::ShowMap, Action::NextDirections], |snapshot| {
        let analysis = snapshot.analysis.as_ref();
        analysis.is_some_and(|analysis| analysis.plane().is_some() && analysis.left == 0)
    });
    let analysis = snapshot.analysis.as_ref().unwrap();
    same(analysis.plane().unwrap(), &live.printed());
}

#[test]
fn every_view_has_a_command_that_runs() {
    let mut live = Live::start();
    live.press(&[], |snapshot| {
        snapshot.trajectory.is_some() && !snapshot.slices.is_empty()
    });
    for view in [
        Action::ShowSlices,
        Action::ShowPath,
        Action::ShowWeights,
        Action::ShowRelief,
    ] {
        let mut actions = vec![view];
        // As many turns of `d` as a view has anything for.
        for _ in 0..4 {
            live.press(&actions, |_| true);
            for command in commands(&live.app) {
                let output = run(&command[1..].iter().map(String::as_str).collect::<Vec<_>>());
                let stderr = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{command:?}: {stderr}");
            }
            actions = vec![Action::NextDirections];
        }
    }
}
