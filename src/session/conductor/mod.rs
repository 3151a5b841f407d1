//! The thread that folds what the others found into one snapshot, and plans what is measured next.
//!
//! ```text
//! scanner ─▶ scan     the lines of the checkpoints, and why there is no path
//! reader  ─▶ path     the path and its plane ──▶ plan    what is measured next
//! workers ─▶ results  what was measured      ──▶ shown   surface, slices and progress of the snapshot
//! ```

mod ahead;
mod path;
mod plan;
mod plane;
mod results;
mod scan;
mod shown;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::landscape::{CriticalStep, WorkerEvent, WorkerRequest};
use crate::loss::Measure;
use crate::run::{Checkpoint, RunEvent, Watcher};

use super::Options;
use super::analysis::Analysis;
use super::clock::Clock;
use super::inquiry::{self, InquirySchedule};
use super::reader::{Change, ReaderEvent};
use super::schedule::Schedule;
use super::snapshot::{CheckpointState, Command, PlaneWindow, Snapshot};
use super::throughput::{FirstLevel, Throughput};

use ahead::JobsAhead;
use plane::{CurrentPlane, NewestPath};

/// Snapshots are published at most this often; a screen draws ten a second where it is not told otherwise.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);
/// The rules about the plane are asked again at least this often, because time passes for them too.
const RULES_EVERY: Duration = Duration::from_secs(1);
/// Notices that are kept.
const NOTICES: usize = 20;
/// Time for which a notice stays whose trouble is over.
const PASSES_AFTER: Duration = Duration::from_secs(30);

/// A message to the conductor.
#[derive(Debug)]
pub(super) enum Input {
    /// By the scanner.
    Run(RunEvent),
    /// By the reader.
    Reader(ReaderEvent),
    /// By the workers.
    Worker(WorkerEvent),
    /// By the user.
    Command(Command),
    /// A worker panicked.
    Broken(String),
    /// The session is over.
    Stop,
}

/// The identity of a content: its path and its number there.
type Key = (PathBuf, u64);

fn key(checkpoint: &Checkpoint) -> Key {
    (checkpoint.path.clone(), checkpoint.arrival)
}

#[cfg(test)]
mod tests;

#[derive(Debug)]
pub(super) struct Conductor {
    options: Options,
    watcher: Watcher,
    clock: Clock,
    to_reader: Sender<Change>,
    to_workers: Sender<WorkerRequest>,
    publish: watch::Sender<Arc<Snapshot>>,
    snapshot: Snapshot,
    /// Findings of the scan that is under way, for the reader.
    change: Change,
    /// The path as it was read last.
    newest: Option<NewestPath>,
    plane: Option<CurrentPlane>,
    schedule: Option<Schedule>,
    /// True once the map of the snapshot is that of the schedule.
    is_shown: bool,
    generation: u64,
    /// Losses of checkpoints themselves: they hold for every plane.
    truths: HashMap<Key, Measure>,
    /// The critical step of each update, by its ends.
    updates: HashMap<[Key; 2], CriticalStep>,
    /// λmax of each checkpoint where it was measured.
    sharpness: HashMap<Key, f64>,
    /// Files of the run that are no checkpoints, in words.
    others: Option<String>,
    window: Option<PlaneWindow>,
    /// Number of samples that are measured everywhere, once the samples are known; `None` if all are.
    few: Option<usize>,
    /// The pictures that are wanted on demand.
    analysis: Option<Analysis>,
    /// Plans that come before the map.
    ahead: JobsAhead,
    /// The checkpoint that was planned on test samples last.
    tested: Option<Key>,
    throughput: Throughput,
    first_level: FirstLevel,
    /// Samples that the last picture took until it rested.
    expected: usize,
    /// Questions that were put to the path.
    inquiry: InquirySchedule,
    /// Notices of trouble that passes, and the times of their reports.
    passing: Vec<(Duration, String)>,
}

impl Conductor {
    pub(super) fn new(
        options: Options,
        watcher: Watcher,
        to_reader: Sender<Change>,
        to_workers: Sender<WorkerRequest>,
        publish: watch::Sender<Arc<Snapshot>>,
    ) -> Self {
        let snapshot = Snapshot {
            run: options.run.clone(),
            watching: watcher.mode(),
            batch_norm: options.batch_norm.name().into(),
            loss: options.setup.criterion.loss.clone(),
            ..Snapshot::default()
        };
        Self {
            options,
            watcher,
            clock: Clock::start(),
            to_reader,
            to_workers,
            publish,
            snapshot,
            change: Change::default(),
            newest: None,
            plane: None,
            schedule: None,
            is_shown: false,
            generation: 0,
            truths: HashMap::new(),
            updates: HashMap::new(),
            sharpness: HashMap::new(),
            others: None,
            window: None,
            few: None,
            analysis: None,
            ahead: JobsAhead::default(),
            tested: None,
            throughput: Throughput::default(),
            first_level: FirstLevel::default(),
            expected: 0,
            inquiry: InquirySchedule::default(),
            passing: Vec::new(),
        }
    }

    /// Folds inputs until the session is over, publishing what changed.
    pub(super) fn run(mut self, inputs: &Receiver<Input>) {
        let mut published = Instant::now();
        let mut ruled = Instant::now();
        let mut dirty = true;
        loop {
            let wait = if dirty {
                PUBLISH_EVERY.saturating_sub(published.elapsed())
            } else {
                RULES_EVERY
            };
            match inputs.recv_timeout(wait) {
                Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(input) => dirty |= self.fold(input),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if ruled.elapsed() >= RULES_EVERY {
                dirty |= self.tick();
                ruled = Instant::now();
            }
            dirty |= self.has_come_to_rest();
            if dirty && published.elapsed() >= PUBLISH_EVERY {
                self.show();
                self.publish.send_replace(Arc::new(self.snapshot.clone()));
                published = Instant::now();
                dirty = false;
            }
        }
    }

    /// Asks again the rules for which time passes, and tells if the plane is another one.
    fn tick(&mut self) -> bool {
        let is_another = self.refit_if_due();
        let is_hastened = self.hasten();
        let has_passed = self.let_pass();
        self.ask();
        is_another || is_hastened || has_passed
    }

    /// Brings the snapshot up to what is known.
    fn show(&mut self) {
        let schedule = self.schedule.as_ref();
        let shown = schedule.map(|schedule| schedule.pictures.shown());
        self.show_progress(shown.as_ref());
        self.show_pictures(shown);
        inquiry::weigh(&mut self.snapshot);
    }

    /// Returns true if the rate that was shown last is that of a time gone by.
    fn has_come_to_rest(&self) -> bool {
        self.throughput.rests(self.clock.now()) && self.snapshot.progress.points_per_second > 0.0
    }

    /// Folds an input, and tells whether there may be something new to publish: a screen is drawn for
    /// each snapshot, and a folder in which nothing happens is scanned all the time.
    fn fold(&mut self, input: Input) -> bool {
        match input {
            Input::Run(event) => return self.run_event(event),
            Input::Reader(ReaderEvent::Path(reading)) => self.path(*reading),
            Input::Reader(ReaderEvent::Rejected {
                checkpoint,
                reason,
                is_unreadable,
            }) => {
                let line = self.line(&checkpoint.path, 0);
                line.step = Some(checkpoint.step);
                line.state = if is_unreadable {
                    CheckpointState::Unreadable(reason)
                } else {
                    CheckpointState::LeftOut(reason)
                };
            }
            Input::Reader(ReaderEvent::Remark(remark)) => self.notice(remark),
            Input::Reader(ReaderEvent::Kept(kept)) => self.snapshot.kept = Some(kept),
            Input::Worker(event) => self.fold_worker(event),
            Input::Command(command) => self.command(command),
            Input::Broken(reason) => self.notice(reason),
            Input::Stop => {}
        }
        true
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Pause(pause) => {
                self.snapshot.progress.paused = pause;
                let _ = self.to_workers.send(WorkerRequest::Pause(pause));
            }
            Command::Survey(window) => {
                if self.window != window {
                    self.window = window;
                    self.plan();
                }
            }
            Command::Analyze(analysis) => {
                if self.analysis != analysis {
                    self.analysis = analysis;
                    self.plan_analysis();
                }
            }
            Command::Rescan => self.watcher.rescan(),
        }
    }

    /// Tells of trouble that is over once something is measured again.
    fn notice_passing(&mut self, notice: String) {
        self.passing.push((self.clock.now(), notice.clone()));
        self.notice(notice);
    }

    /// Takes back the notices of trouble that was over for a while; returns true if there were some.
    fn let_pass(&mut self) -> bool {
        let now = self.clock.now();
        let measures = self.snapshot.progress.points_per_second > 0.0 || self.has_rest();
        let is_over = |(told, _): &mut (Duration, String)| {
            measures && now.saturating_sub(*told) > PASSES_AFTER
        };
        let over: Vec<String> = self
            .passing
            .extract_if(.., is_over)
            .map(|one| one.1)
            .collect();
        self.snapshot
            .notices
            .retain(|notice| !over.contains(notice));
        !over.is_empty()
    }

    fn has_rest(&self) -> bool {
        self.schedule.as_ref().is_some_and(Schedule::rests)
    }

    fn notice(&mut self, notice: String) {
        if self.snapshot.notices.last() != Some(&notice) {
            self.snapshot.notices.push(notice);
            self.snapshot.noticed += 1;
        }
        let surplus = self.snapshot.notices.len().saturating_sub(NOTICES);
        self.snapshot.notices.drain(..surplus);
    }
}

/// Returns the ends of the update that led to checkpoint `i`.
fn update(members: &[Checkpoint], i: usize) -> [Key; 2] {
    [i.saturating_sub(1), i].map(|i| key(&members[i]))
}
