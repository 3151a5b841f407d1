//! Follows the one of a run's logs that counts, and reads it again when it has changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::tensorboard::{Events, MARK};
use super::{ReadLog, TrainingLog, metrics_csv, trainer_state};
use crate::run::fingerprint::Fingerprint;

/// Least time between two readings: some trainers write a line a step.
const EVERY: Duration = Duration::from_secs(2);
/// The folder for the checkpoints of a run, beside which its log lies.
const CHECKPOINTS: &str = "checkpoints";

/// Returns true if a file of this name may be a log.
#[must_use]
pub(in crate::run) fn is_log(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| {
        name == trainer_state::NAME || name == metrics_csv::NAME || name.contains(MARK)
    })
}

/// An update to a run's log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogUpdate {
    /// The log as it is now; `None` if there is none.
    pub log: Option<Arc<TrainingLog>>,
    /// A sentence for each log that could not be read to its end.
    pub warnings: Vec<String>,
}

/// The logs of a run as they were when they were last looked at.
#[derive(Debug, Default)]
pub struct LogFollower {
    fingerprints: Vec<(PathBuf, Fingerprint)>,
    read: Option<Instant>,
    events: (PathBuf, Events),
    known: LogUpdate,
}

impl LogFollower {
    /// Reads what has changed since the last look, at most every two seconds; `None` if nothing has. `logs` are
    /// those in the run folder; one that is called `checkpoints` may have them beside it.
    pub fn look(&mut self, run: &Path, logs: &[PathBuf]) -> Option<LogUpdate> {
        let beside = if logs.is_empty() {
            beside(run)
        } else {
            Vec::new()
        };
        let stamped = logs.iter().chain(&beside);
        let stamped = stamped.filter_map(|path| Some((path.clone(), Fingerprint::of(path).ok()?)));
        let mut fingerprints: Vec<(PathBuf, Fingerprint)> = stamped.collect();
        fingerprints.sort_by(|a, b| a.0.cmp(&b.0));
        let too_soon = self.read.is_some_and(|read| read.elapsed() < EVERY);
        if fingerprints == self.fingerprints || too_soon {
            return None;
        }
        self.read = Some(Instant::now());
        self.fingerprints = fingerprints;
        let news = self.choose();
        let changed = (news != self.known).then(|| news.clone());
        self.known = news;
        changed
    }

    /// Returns the first log that tells anything: the trainer's own, the table, the events. While one is being
    /// written the one that was known before stays.
    fn choose(&mut self) -> LogUpdate {
        let mut warnings = Vec::new();
        let mut waiting = false;
        for read in [Self::state, Self::table, Self::event_files] {
            match read(self) {
                None => {}
                Some(Err(trouble)) => warnings.push(trouble),
                Some(Ok(None)) => waiting = true,
                Some(Ok(Some(reading))) => {
                    warnings.extend(reading.trouble);
                    if !reading.log.is_empty() {
                        let log = Some(Arc::new(reading.log));
                        return LogUpdate { log, warnings };
                    }
                }
            }
        }
        let log = self.known.log.clone().filter(|_| waiting);
        LogUpdate { log, warnings }
    }

    /// Returns those of a name, the one that was changed last at the end.
    fn named(&self, is: impl Fn(&str) -> bool) -> Vec<&Path> {
        let named = |path: &Path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(&is)
        };
        let logs = self.fingerprints.iter().filter(|(path, _)| named(path));
        let mut logs: Vec<&(PathBuf, Fingerprint)> = logs.collect();
        logs.sort_by_key(|(_, fingerprint)| fingerprint.modified);
        logs.into_iter().map(|(path, _)| path.as_path()).collect()
    }

    /// Chooses the longer log: each checkpoint's folder has the log up to it, and the run's that of the last time it
    /// was saved.
    fn state(&mut self) -> Option<Result<Option<ReadLog>, String>> {
        let (of_checkpoints, others): (Vec<&Path>, Vec<&Path>) = self
            .named(|name| name == trainer_state::NAME)
            .into_iter()
            .partition(|path| step_of(path).is_some());
        let last = of_checkpoints.into_iter().max_by_key(|path| step_of(path));
        let read = last
            .into_iter()
            .chain(others.last().copied())
            .map(trainer_state::read);
        read.reduce(|a, b| match (a, b) {
            (Ok(Some(a)), Ok(Some(b))) => {
                let longer = a.log.last_step() >= b.log.last_step();
                Ok(Some(if longer { a } else { b }))
            }
            (Ok(Some(a)), _) => Ok(Some(a)),
            (_, b) => b,
        })
    }

    fn table(&mut self) -> Option<Result<Option<ReadLog>, String>> {
        let tables = self.named(|name| name == metrics_csv::NAME);
        tables.last().map(|path| metrics_csv::read(path))
    }

    /// Returns the event files of the folder in which the last one was written.
    fn event_files(&mut self) -> Option<Result<Option<ReadLog>, String>> {
        let files = self.named(|name| name.contains(MARK));
        let folder = files.last()?.parent()?.to_path_buf();
        let files = files
            .into_iter()
            .filter(|path| path.parent() == Some(&folder));
        let mut files: Vec<PathBuf> = files.map(Path::to_path_buf).collect();
        // Their names have the time at which each was begun.
        files.sort();
        if self.events.0 != folder {
            self.events = (folder.clone(), Events::default());
        }
        Some(Ok(Some(self.events.1.read(&folder, &files))))
    }
}

/// Returns the step of the checkpoint in whose folder a log lies.
fn step_of(log: &Path) -> Option<u64> {
    let folder = log.parent()?;
    let name = folder.file_name()?.to_str()?;
    let number = name.strip_prefix("checkpoint")?;
    number.trim_start_matches(['-', '_']).parse().ok()
}

/// Returns the logs beside a folder of checkpoints, as Lightning lays them.
fn beside(run: &Path) -> Vec<PathBuf> {
    let run = run.canonicalize().unwrap_or_else(|_| run.to_path_buf());
    if run.file_name().is_none_or(|name| name != CHECKPOINTS) {
        return Vec::new();
    }
    let entries = run.parent().map(std::fs::read_dir);
    let entries = entries.into_iter().flatten().flatten().flatten();
    let files = entries
        .map(|entry| entry.path())
        .filter(|path| is_log(path));
    files.collect()
}
