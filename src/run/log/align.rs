//! Aligns the log with checkpoints: these are numbered by steps or by epochs, and a number of the one kind must
//! never be looked up among the other.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{LogEntry, Series, TrainingLog, trainer_state};
use crate::run::Checkpoint;
use crate::run::names::{StepUnit, arrange};

/// Unit of the numbers of a run's checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogClock {
    /// The steps of the log.
    Steps,
    /// Its epochs.
    Epochs,
}

/// Values logged at a checkpoint, or last before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    /// Loss on training samples; NaN where that was logged.
    pub train: Option<f64>,
    /// Loss on held-out samples, likewise.
    pub eval: Option<f64>,
    /// Learning rate.
    pub rate: Option<f64>,
}

impl LogClock {
    /// Returns the unit of a run's checkpoints; `None` if it cannot be known. Names that do not say it count
    /// steps if the log does not lead far beyond them.
    #[must_use]
    pub fn of(log: &TrainingLog, members: &[Checkpoint], run: &Path) -> Option<Self> {
        let last = members.last()?;
        let is_of_trainer = log
            .source
            .file_name()
            .is_some_and(|name| name == trainer_state::NAME);
        let reaches = || {
            let steps = members
                .windows(2)
                .map(|pair| pair[1].step.saturating_sub(pair[0].step));
            let apart = steps.max().unwrap_or(last.step).max(1);
            log.last_step()?
                .le(&last.step.saturating_add(apart.saturating_mul(2)))
                .then_some(Self::Steps)
        };
        let has_epochs = log
            .all()
            .iter()
            .any(|series| series.entries().iter().any(|entry| entry.epoch.is_some()));
        let names: Vec<PathBuf> = members
            .iter()
            .map(|member| member.path.strip_prefix(run).unwrap_or(&member.path).into())
            .collect();
        match arrange(&names).unit {
            StepUnit::Epoch if has_epochs => Some(Self::Epochs),
            StepUnit::Step => Some(Self::Steps),
            StepUnit::Unspecified if is_of_trainer => Some(Self::Steps),
            _ => reaches(),
        }
    }

    /// Returns the place of an entry among the numbers of the checkpoints.
    #[must_use]
    pub fn place(self, entry: &LogEntry) -> f64 {
        match self {
            Self::Steps => entry.step as f64,
            Self::Epochs => entry.epoch.unwrap_or(f64::NAN),
        }
    }

    /// Returns the logged values at each of these.
    #[must_use]
    pub fn logged(self, log: &TrainingLog, members: &[Checkpoint]) -> Vec<Logged> {
        let [train, eval, rate] = log.all().map(|series| self.at(series, members));
        let rows = train.into_iter().zip(eval).zip(rate);
        rows.map(|((train, eval), rate)| Logged {
            train,
            eval,
            rate: rate.filter(|rate| rate.is_finite()),
        })
        .collect()
    }

    /// Returns the last entry up to each checkpoint; `None` if the log had stopped for longer than it ever
    /// does.
    fn at(self, series: &Series, members: &[Checkpoint]) -> Vec<Option<f64>> {
        // A table may tell the epoch in some rows alone.
        let placed = series.entries().iter();
        let placed = placed.map(|entry| (self.place(entry), entry.value));
        let placed = placed.filter(|(place, _)| place.is_finite());
        let (places, values): (Vec<f64>, Vec<f64>) = placed.unzip();
        let first = places.first().copied().unwrap_or_default();
        let apart = places
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .fold(first.max(1.0), f64::max);
        let at = |member: &Checkpoint| {
            let number = member.step as f64;
            let after = places.partition_point(|place| *place <= number);
            let entry = after.checked_sub(1)?;
            let is_near = number - places.get(entry)? <= apart;
            is_near.then(|| values.get(entry).copied()).flatten()
        };
        members.iter().map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(names: &[(&str, u64)]) -> Vec<Checkpoint> {
        let member = |(name, step): &(&str, u64)| Checkpoint::new(*step, format!("run/{name}"));
        names.iter().map(member).collect()
    }

    /// Returns a loss every 10 steps, an epoch every 100: 3 − step/1000.
    fn log(steps: u64) -> TrainingLog {
        let mut log = TrainingLog::of(Path::new("run/metrics.csv"));
        for step in (9..steps).step_by(10) {
            let epoch = Some((step / 100) as f64);
            log.train.push(step, epoch, 3.0 - step as f64 / 1000.0);
        }
        log
    }

    fn train(log: &TrainingLog, members: &[Checkpoint]) -> Option<Vec<Option<f64>>> {
        let clock = LogClock::of(log, members, Path::new("run"))?;
        let logged = clock.logged(log, members).into_iter();
        Some(logged.map(|logged| logged.train).collect())
    }

    #[test]
    fn steps_are_looked_up_among_steps_and_epochs_among_epochs() {
        let log = log(400);
        let steps = members(&[
            ("step=0.ckpt", 0),
            ("step=100.ckpt", 100),
            ("step=205.ckpt", 205),
        ]);
        assert_eq!(
            train(&log, &steps),
            Some(vec![None, Some(2.901), Some(2.801)])
        );
        let epochs = members(&[("epoch=0.ckpt", 0), ("epoch=2.ckpt", 2)]);
        assert_eq!(train(&log, &epochs), Some(vec![Some(2.901), Some(2.701)]));
    }

    #[test]
    fn rows_without_an_epoch_are_passed_over() {
        let mut log = TrainingLog::of(Path::new("run/metrics.csv"));
        for (step, epoch) in [
            (0, None),
            (10, Some(1.0)),
            (20, None),
            (30, Some(3.0)),
            (40, None),
        ] {
            log.train.push(step, epoch, step as f64);
        }
        let names = [("epoch=1.pt", 1), ("epoch=2.pt", 2), ("epoch=3.pt", 3)];
        let found = train(&log, &members(&names));
        assert_eq!(found, Some(vec![Some(10.0), Some(10.0), Some(30.0)]));
    }

    #[test]
    fn numbers_that_may_be_epochs_are_not_taken_for_steps() {
        let log = log(400);
        let unknown = members(&[("model_1.pt", 1), ("model_2.pt", 2)]);
        assert_eq!(train(&log, &unknown), None);
        let steps = members(&[("model_100.pt", 100), ("model_300.pt", 300)]);
        assert_eq!(train(&log, &steps), Some(vec![Some(2.901), Some(2.701)]));
        // And the log of a hundred steps tells nothing of step 5000.
        let far = members(&[("step=5000.ckpt", 5000)]);
        assert_eq!(train(&log, &far), Some(vec![None]));
    }
}
