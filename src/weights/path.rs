//! The checkpoints of a run as they come in: which belong on the path, and their Gram rows.

use std::path::Path;
use std::sync::Arc;

use crate::run::Checkpoint;

use super::WeightsError;
use super::gram::Gram;
use super::growth::Growth;
use super::member::{Member, Shape};
use super::trajectory::{Fit, Trajectory, fit};

/// A checkpoint that has no place on the path, with the reason.
#[derive(Debug)]
pub struct Rejected {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Why.
    pub error: WeightsError,
}

/// A run as far as it was read.
#[derive(Debug, Default)]
pub struct RunPath {
    key: Option<String>,
    shape: Option<Shape>,
    gram: Gram,
    /// The checkpoint of each row of the Gram matrix, in order of arrival.
    rows: Vec<Checkpoint>,
    previous: Option<Trajectory>,
}

impl RunPath {
    /// An empty path; `key` names the state dict inside nested dicts.
    #[must_use]
    pub fn new(key: Option<String>) -> Self {
        Self {
            key,
            ..Self::default()
        }
    }

    /// Names and shapes of the run, those of the first checkpoint that was read.
    #[must_use]
    pub fn shape(&self) -> Option<&Shape> {
        self.shape.as_ref()
    }

    /// Reads checkpoints onto the path, all in one pass. Those that do not fit are returned.
    pub fn add(&mut self, checkpoints: Vec<Checkpoint>) -> Vec<Rejected> {
        self.add_telling(checkpoints, |_, _| {})
    }

    /// The same; `told` hears now and then how many weights have been read, and of how many.
    pub fn add_telling(
        &mut self,
        mut checkpoints: Vec<Checkpoint>,
        told: impl Fn(usize, usize),
    ) -> Vec<Rejected> {
        let mut rejected = Vec::new();
        checkpoints.sort_by_key(|checkpoint| checkpoint.step);
        checkpoints.retain(|checkpoint| match self.fits(checkpoint) {
            Ok(()) => true,
            Err(error) => {
                rejected.push(Rejected {
                    checkpoint: checkpoint.clone(),
                    error,
                });
                false
            }
        });
        if self.extend(&checkpoints, &told).is_ok() {
            self.rows.append(&mut checkpoints);
        }
        // One by one where all at once failed, so that one bad file stops no other.
        for checkpoint in checkpoints {
            match self.extend(std::slice::from_ref(&checkpoint), &told) {
                Ok(()) => self.rows.push(checkpoint),
                Err(error) => rejected.push(Rejected { checkpoint, error }),
            }
        }
        self.forget_shape_of_nothing();
        rejected
    }

    /// Takes a checkpoint off the path, if it is on it.
    pub fn remove(&mut self, path: &Path) {
        while let Some(row) = self
            .rows
            .iter()
            .position(|checkpoint| checkpoint.path == path)
        {
            self.gram.remove(row);
            self.rows.remove(row);
        }
        self.forget_shape_of_nothing();
    }

    /// The checkpoints on the path by step, and where they lie. Signs of the axes stay as they were
    /// at the last fit.
    pub fn fit(&mut self) -> (Vec<Checkpoint>, Arc<Fit>) {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|&row| self.rows[row].step);
        let steps: Vec<(u64, usize)> = order
            .iter()
            .map(|&row| (self.rows[row].step, row))
            .collect();
        let fit = fit(&self.gram, &steps, self.previous.as_ref());
        self.previous = Some(fit.trajectory.clone());
        let members = order.iter().map(|&row| self.rows[row].clone()).collect();
        (members, Arc::new(fit))
    }

    /// Norms by layer and angles between updates of the checkpoints on the path.
    #[must_use]
    pub fn growth(&self) -> Growth {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|&row| self.rows[row].step);
        self.shape.as_ref().map_or_else(Growth::default, |shape| {
            Growth::of(&self.gram, &shape.layout, &order)
        })
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

    fn extend(
        &mut self,
        new: &[Checkpoint],
        told: impl Fn(usize, usize),
    ) -> Result<(), WeightsError> {
        let Some(shape) = self.shape.as_ref().filter(|_| !new.is_empty()) else {
            return Ok(());
        };
        let all: Vec<&Checkpoint> = self.rows.iter().chain(new).collect();
        let open = |row: usize| Member::open(all[row], shape);
        let not_finite = |row: usize, slot: usize| WeightsError::NotFinite {
            path: all[row].path.clone(),
            tensor: shape.layout.slots()[slot].name.clone(),
        };
        self.gram
            .extend(&shape.layout, all.len(), open, not_finite, told)
    }

    fn forget_shape_of_nothing(&mut self) {
        if self.rows.is_empty() {
            self.shape = None;
            self.previous = None;
        }
    }
}
