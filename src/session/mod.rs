//! A live session: the threads that watch, read and measure, and what they have found so far.
//!
//! ```text
//! scanner ──RunEvent──▶ ┌───────────┐ ──Arc<Snapshot>──▶ screen, plain lines
//! reader  ◀──Change──── │ conductor │
//!       ──ReaderEvent─▶ │  (folds)  │ ◀──Command──────── keys
//! workers ◀─WorkerRequest└───────────┘
//!       ──WorkerEvent─▶
//! ```
//!
//! There is a worker for each compute device.
//!
//! The conductor folds every message into one [`Snapshot`] and decides what is measured next. Nobody
//! waits for it and it waits for nobody; a reader or pool that panics becomes a notice.

pub mod analysis;
mod clock;
mod conductor;
mod earlier;
mod inquiry;
mod item;
pub mod job;
mod keeper;
pub mod measure_cache;
mod patch;
pub mod pictures;
pub mod reader;
pub mod record;
pub mod refit;
pub mod schedule;
pub mod snapshot;
mod thinning;
mod throughput;
mod validate;

pub use analysis::{
    Analysis, AnalysisPicture, AnalysisResult, AnalysisSubject, AnalysisTarget, CurvatureMap,
    LineCurve,
};
pub use job::Job;
pub use keeper::KeptLine;
pub use record::{Cut, Moment, RecordError, Recorder, Recording};
pub use snapshot::{
    CheckpointLine, CheckpointState, Command, DataLine, Fidelity, Finding, Map, MapPlane,
    ModelLine, OtherWork, PlaneWindow, Progress, Slice, Snapshot,
};

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

use crate::cache::KeepLimit;
use crate::data::Count;
use crate::landscape::worker::{self, message};
use crate::landscape::{Hosting, Setup, WorkerEvent};
use crate::model;
use crate::run::scanner::spawn;
use crate::run::{RunChoice, Watcher};
use crate::weights::BatchNorm;

use conductor::{Conductor, Input};
use reader::ReaderOptions;

/// The run of a session and the options of its measurements.
#[derive(Clone, Debug)]
pub struct Options {
    /// The run folder.
    pub run: PathBuf,
    /// The choice of files, and of the state dict in each.
    pub choice: RunChoice,
    /// Limit of what is kept of the files that were read.
    pub keep: KeepLimit,
    /// True if what was kept before is left alone.
    pub disk_only: bool,
    /// Samples, model and devices.
    pub setup: Setup,
    /// The place of the workers, and what they may take of the machine.
    pub hosting: Hosting,
    /// Treatment of batch norm's running statistics.
    pub batch_norm: BatchNorm,
    /// Samples that are measured everywhere on the map, all only on a coarse grid; `None` leaves it to the
    /// number of all.
    pub fidelity: Option<Count>,
}

/// A running session. Dropping it stops its threads, each after what it is at.
#[derive(Debug)]
pub struct Session {
    /// The latest snapshot; it changes at most some twenty times a second.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    inputs: Sender<Input>,
    /// Closed when evaluators and worker processes have ended; `None` without any.
    children: Option<Receiver<()>>,
}

/// Longest time for which the end of evaluators and worker processes is waited: a signal leaves the screen little more.
const LAST_WAIT: Duration = Duration::from_millis(1200);

impl Session {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(options: Options) -> std::io::Result<Self> {
        let (inputs, received) = channel();
        let (to_reader, changes) = channel();
        let (to_workers, requests) = channel();
        let (publish, snapshots) = watch::channel(Arc::new(Snapshot::default()));
        let watcher = start_scanner(&options, inputs.clone())?;
        let reading = ReaderOptions {
            run: options.run.clone(),
            choice: options.choice.clone(),
            // The workers report why a model cannot be read.
            roles: model::roles(&options.setup.model).unwrap_or_default(),
            seed: options.setup.seed(),
            keep: options.keep,
            disk_only: options.disk_only,
            store: options.hosting.store.clone(),
        };
        start("reader", inputs.clone(), move |inputs| {
            reader::serve(reading, &changes, |event| {
                inputs.send(Input::Reader(event)).is_ok()
            });
        })?;
        let setup = options.setup.clone();
        let (alive, ended) = channel();
        let hosting = options.hosting.clone();
        let has_children = setup.evaluator.is_some() || hosting.process.is_some();
        let children = has_children.then_some(ended);
        start("worker pool", inputs.clone(), move |inputs| {
            let _alive: Sender<()> = alive;
            worker::serve(&setup, &hosting, &requests, |event| {
                inputs.send(Input::Worker(event)).is_ok()
            });
        })?;
        let conductor = Conductor::new(options, watcher, to_reader, to_workers, publish);
        thread::Builder::new()
            .name("conductor".into())
            .spawn(move || conductor.run(&received))?;
        Ok(Self {
            snapshots,
            inputs,
            children,
        })
    }

    /// Asks something of the session; a session that has ended ignores it.
    pub fn command(&self, command: Command) {
        let _ = self.inputs.send(Input::Command(command));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.inputs.send(Input::Stop);
        // Neither a worker nor the user's program with its files outlives the session.
        if let Some(children) = &self.children {
            let _ = children.recv_timeout(LAST_WAIT);
        }
    }
}

fn start_scanner(options: &Options, inputs: Sender<Input>) -> std::io::Result<Watcher> {
    spawn(options.run.clone(), options.choice.clone(), move |event| {
        inputs.send(Input::Run(event)).is_ok()
    })
}

/// Starts a named thread. Its panic is caught and reported: the session lives on without it.
fn start(
    name: &'static str,
    inputs: Sender<Input>,
    work: impl FnOnce(&Sender<Input>) + Send + 'static,
) -> std::io::Result<()> {
    let body = move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(&inputs))) {
            let reason = format!(
                "the {name} stopped: {}; what was found so far stays",
                message(&*panic)
            );
            tracing::error!("{reason}");
            let _ = inputs.send(Input::Broken(reason));
        }
    };
    thread::Builder::new()
        .name(name.into())
        .spawn(body)
        .map(drop)
}

/// Returns the bytes as people read them, e.g. `2.00 GiB`.
#[must_use]
pub fn size_in_words(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// Name of the samples that an evaluator has.
const SAMPLES_OF_EVALUATOR: &str = "the evaluator's";

/// Returns the workers' finding about their samples, as the screen shows it.
fn data_finding(setup: &Setup, event: &WorkerEvent) -> Option<Finding<DataLine>> {
    match (event, &setup.data) {
        (
            WorkerEvent::Data {
                split,
                name,
                samples,
                ..
            },
            Some(request),
        ) if *split == request.split => Some(Finding::Is(DataLine {
            name: name.clone(),
            split: request.split,
            samples: *samples,
            seed: request.seed,
        })),
        (WorkerEvent::Evaluator(evaluator), _) => Some(Finding::Is(DataLine {
            name: SAMPLES_OF_EVALUATOR.into(),
            split: setup.split(),
            samples: evaluator.samples,
            seed: setup.seed(),
        })),
        (WorkerEvent::NoData(reason), _) => Some(Finding::Not(reason.clone())),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_panics_is_reported_with_its_reason() {
        let (inputs, received) = channel();
        start("reader", inputs, |_| panic!("no room")).unwrap();
        let Ok(Input::Broken(reason)) = received.recv() else {
            panic!("nothing was reported");
        };
        assert_eq!(
            reason,
            "the reader stopped: no room; what was found so far stays"
        );
    }
}
