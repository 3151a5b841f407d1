//! The thread that reads checkpoints: Gram rows in, the fitted path out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use crate::run::Checkpoint;
use crate::weights::WeightsError;
use crate::weights::gram::Gram;
use crate::weights::member::{Member, Shape};
use crate::weights::trajectory::{Fit, Trajectory, fit};

/// What changed on disk since the last request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Checkpoints that settled, new ones or new contents of old ones.
    pub settled: Vec<Checkpoint>,
    /// Checkpoints that are gone.
    pub gone: Vec<PathBuf>,
}

/// What the reader found.
#[derive(Clone, Debug)]
pub enum Reading {
    /// The path of all readable checkpoints. None are left when `members` is empty.
    Path {
        /// Names and shapes of the run.
        shape: Option<Shape>,
        /// The checkpoints on the path, by step.
        members: Vec<Checkpoint>,
        /// Where they lie.
        fit: Arc<Fit>,
    },
    /// A checkpoint that does not belong on the path, with the reason.
    Rejected {
        /// The checkpoint.
        path: PathBuf,
        /// One sentence.
        reason: String,
    },
}

/// Serves changes until their sender is gone or `report` returns false. Changes that came while
/// one was being read are read together, so that opening a run reads each file once.
pub fn serve(
    key: Option<String>,
    changes: &Receiver<Change>,
    mut report: impl FnMut(Reading) -> bool,
) {
    let mut reader = Reader {
        key,
        ..Reader::default()
    };
    while let Ok(mut change) = changes.recv() {
        for more in changes.try_iter() {
            change.settled.extend(more.settled);
            change.gone.extend(more.gone);
        }
        for reading in reader.apply(change) {
            if !report(reading) {
                return;
            }
        }
    }
}

/// The run as far as it was read.
#[derive(Debug, Default)]
struct Reader {
    key: Option<String>,
    shape: Option<Shape>,
    gram: Gram,
    /// The checkpoint of each row of the Gram matrix, in order of arrival.
    rows: Vec<Checkpoint>,
    /// Settled, but could not be read; tried again with the next change.
    deferred: Vec<Checkpoint>,
    trajectory: Option<Trajectory>,
}

impl Reader {
    fn apply(&mut self, change: Change) -> Vec<Reading> {
        let mut settled = std::mem::take(&mut self.deferred);
        settled.retain(|old| change.settled.iter().all(|new| new.path != old.path));
        settled.extend(change.settled);
        for path in settled
            .iter()
            .map(|checkpoint| &checkpoint.path)
            .chain(&change.gone)
        {
            self.forget(path);
        }
        settled.retain(|checkpoint| !change.gone.contains(&checkpoint.path));
        settled.sort_by_key(|checkpoint| checkpoint.step);
        let mut readings = Vec::new();
        let fitting = settled
            .into_iter()
            .filter(|checkpoint| {
                self.fits(checkpoint)
                    .map_err(|e| readings.push(rejected(checkpoint, &e)))
                    .is_ok()
            })
            .collect();
        self.add(fitting, &mut readings);
        readings.push(self.path());
        readings
    }

    /// Takes a checkpoint out; with the last one the run's names and shapes are open again.
    fn forget(&mut self, path: &Path) {
        while let Some(row) = self
            .rows
            .iter()
            .position(|checkpoint| checkpoint.path == path)
        {
            self.gram.remove(row);
            self.rows.remove(row);
        }
        if self.rows.is_empty() {
            self.shape = None;
            self.trajectory = None;
        }
    }

    /// Whether a checkpoint has the run's names and shapes; the first one sets them.
    fn fits(&mut self, checkpoint: &Checkpoint) -> Result<(), WeightsError> {
        match &self.shape {
            Some(shape) => Member::open(checkpoint, shape).map(drop),
            None => {
                Shape::of(checkpoint, self.key.as_deref()).map(|shape| self.shape = Some(shape))
            }
        }
    }

    /// Adds all at once; if that fails, one by one, so that one bad file stops no other.
    fn add(&mut self, mut fitting: Vec<Checkpoint>, readings: &mut Vec<Reading>) {
        if self.extend(&fitting).is_ok() {
            self.rows.append(&mut fitting);
        }
        for checkpoint in fitting {
            match self.extend(std::slice::from_ref(&checkpoint)) {
                Ok(()) => self.rows.push(checkpoint),
                Err(error) => {
                    readings.push(rejected(&checkpoint, &error));
                    if matches!(error, WeightsError::Format(_)) {
                        self.deferred.push(checkpoint);
                    }
                }
            }
        }
        if self.rows.is_empty() {
            self.shape = None;
        }
    }

    fn extend(&mut self, new: &[Checkpoint]) -> Result<(), WeightsError> {
        let Some(shape) = &self.shape else {
            return Ok(());
        };
        let all: Vec<&Checkpoint> = self.rows.iter().chain(new).collect();
        let open = |row: usize| Member::open(all[row], shape);
        let not_finite = |row: usize, slot: usize| WeightsError::NotFinite {
            path: all[row].path.clone(),
            tensor: shape.layout.slots()[slot].name.clone(),
        };
        self.gram.extend(&shape.layout, all.len(), open, not_finite)
    }

    fn path(&mut self) -> Reading {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|&row| self.rows[row].step);
        let steps: Vec<(u64, usize)> = order
            .iter()
            .map(|&row| (self.rows[row].step, row))
            .collect();
        let fit = fit(&self.gram, &steps, self.trajectory.as_ref());
        self.trajectory = Some(fit.trajectory.clone());
        Reading::Path {
            shape: self.shape.clone(),
            members: order.iter().map(|&row| self.rows[row].clone()).collect(),
            fit: Arc::new(fit),
        }
    }
}

fn rejected(checkpoint: &Checkpoint, error: &WeightsError) -> Reading {
    Reading::Rejected {
        path: checkpoint.path.clone(),
        reason: error.to_string(),
    }
}
