//! Training's own log: loss and learning rate over steps, in the formats of the usual trainers.
//!
//! Logs are read while they are written: a last line or record that is cut off is not there yet. A defect is
//! reported in a sentence, and the entries before it count.

mod align;
mod follower;
mod metrics_csv;
mod quantities;
mod tensorboard;
mod tfrecord;
pub mod trainer_state;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::unicode;
pub use align::{LogClock, Logged};
pub(in crate::run) use follower::is_log;
pub use follower::{LogFollower, LogUpdate};
use quantities::LoggedQuantity;

/// Most bytes that are read of one log.
const LARGEST: u64 = 128 << 20;
/// Most values of one curve; later ones are left out.
const MOST: usize = 1 << 20;

/// One logged number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Training step.
    pub step: u64,
    /// Epochs at that step, where the log tells them.
    pub epoch: Option<f64>,
    /// The number; NaN where training logged one that is not finite.
    pub value: f64,
}

/// A number over training, by step; each step once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series(Vec<LogEntry>);

impl Series {
    /// Returns its entries, steps ascending.
    #[must_use]
    pub fn entries(&self) -> &[LogEntry] {
        &self.0
    }

    /// Returns the one that was logged last.
    #[must_use]
    pub fn last(&self) -> Option<&LogEntry> {
        self.0.last()
    }

    /// Adds an entry. A step that is not after the last one means that training went back to there, from
    /// a checkpoint: what was logged from that step on no longer counts.
    fn push(&mut self, step: u64, epoch: Option<f64>, value: f64) {
        while self.0.last().is_some_and(|last| last.step >= step) {
            self.0.pop();
        }
        if self.0.len() < MOST {
            let value = if value.is_finite() { value } else { f64::NAN };
            self.0.push(LogEntry { step, epoch, value });
        }
    }
}

impl FromIterator<(u64, f64)> for Series {
    /// Collects steps and values, without epochs.
    fn from_iter<T: IntoIterator<Item = (u64, f64)>>(pairs: T) -> Self {
        let mut series = Self::default();
        for (step, value) in pairs {
            series.push(step, None, value);
        }
        series
    }
}

/// The log of a training run, as far as it has been written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingLog {
    /// The file, or the folder of event files.
    #[serde(serialize_with = "unicode::path")]
    pub source: PathBuf,
    /// Loss on training samples.
    pub train: Series,
    /// Loss on held-out samples.
    pub eval: Series,
    /// Learning rate.
    pub rate: Series,
}

impl TrainingLog {
    fn of(source: &Path) -> Self {
        Self {
            source: source.to_path_buf(),
            ..Self::default()
        }
    }

    fn series_mut(&mut self, quantity: LoggedQuantity) -> &mut Series {
        match quantity {
            LoggedQuantity::Train => &mut self.train,
            LoggedQuantity::Eval => &mut self.eval,
            LoggedQuantity::Rate => &mut self.rate,
        }
    }

    fn all(&self) -> [&Series; 3] {
        [&self.train, &self.eval, &self.rate]
    }

    /// Says that it holds as much as is kept of a log; `None` if there may be more room.
    fn fullness(&self) -> Option<String> {
        let full = self
            .all()
            .into_iter()
            .find(|series| series.0.len() >= MOST)?;
        let last = full.last().map_or(0, |last| last.step);
        Some(format!(
            "{}: expected at most {MOST} entries, found as many by step {last}: later ones are not read",
            self.source.display()
        ))
    }

    /// Returns true if it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all().iter().all(|series| series.0.is_empty())
    }

    /// Returns the last step of which it tells anything.
    #[must_use]
    pub fn last_step(&self) -> Option<u64> {
        let last = |series: &&Series| Some(series.last()?.step);
        self.all().iter().filter_map(last).max()
    }
}

/// A log as it was read: what it tells, and a sentence about what could not be read of it.
#[derive(Clone, Debug, Default, PartialEq)]
struct ReadLog {
    log: TrainingLog,
    trouble: Option<String>,
}

/// Returns the log of a run, of the files that a scan found, and a sentence for each one that could not be read to its
/// end.
#[must_use]
pub fn read(run: &Path, logs: &[PathBuf]) -> LogUpdate {
    LogFollower::default().look(run, logs).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_full_says_so() {
        let of = |count: u64| TrainingLog {
            train: (0..count).map(|step| (step, 1.0)).collect(),
            ..TrainingLog::of(Path::new("metrics.csv"))
        };
        assert_eq!(of(MOST as u64 - 1).fullness(), None);
        let said = of(MOST as u64 + 5).fullness().unwrap_or_default();
        let last = format!("by step {}", MOST - 1);
        assert!(
            said.starts_with("metrics.csv: ") && said.contains(&last),
            "{said}"
        );
    }

    #[test]
    fn training_that_goes_back_to_a_checkpoint_logs_those_steps_anew() {
        let mut series = Series::default();
        for (step, value) in [
            (10, 1.0),
            (20, 2.0),
            (30, 3.0),
            (20, 4.0),
            (30, f64::INFINITY),
        ] {
            series.push(step, None, value);
        }
        let steps: Vec<u64> = series.entries().iter().map(|entry| entry.step).collect();
        assert_eq!(steps, [10, 20, 30]);
        assert_eq!(series.entries()[1].value, 4.0);
        assert!(series.entries()[2].value.is_nan());
    }
}
