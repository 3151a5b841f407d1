//! The plane that is measured now.

use std::sync::Arc;

use crate::run::Checkpoint;
use crate::weights::plane_spec::{BatchNorm, Directions, PlaneSpec};
use crate::weights::run_checkpoint::Shape;
use crate::weights::trajectory::Fit;

use super::super::measure_cache::MeasureCache;
use super::super::reader::PathReading;

/// The plane of the path as it is now.
#[derive(Debug)]
pub(super) struct CurrentPlane {
    /// Trainable parameters of the model.
    pub(super) parameters: usize,
    pub(super) spec: PlaneSpec,
    pub(super) members: Vec<Checkpoint>,
    pub(super) fit: Arc<Fit>,
    /// What was measured on it.
    pub(super) known: MeasureCache,
}

impl CurrentPlane {
    /// The plane of a path on which nothing is measured yet; `None` without checkpoints.
    pub(super) fn new(
        shape: Option<Shape>,
        members: Vec<Checkpoint>,
        fit: Arc<Fit>,
        batch_norm: BatchNorm,
    ) -> Option<Self> {
        let (shape, origin) = (shape?, members.last()?.clone());
        let directions = Directions::Principal {
            members: members.clone(),
            combinations: fit.combinations.clone(),
        };
        Some(Self {
            parameters: shape.layout.parameters(),
            spec: PlaneSpec {
                shape,
                origin,
                directions,
                batch_norm,
            },
            members,
            fit,
            known: MeasureCache::default(),
        })
    }

    /// Returns true if a path spans this plane: the same contents in the same order.
    pub(super) fn is_of(&self, reading: &PathReading) -> bool {
        let mut pairs = self.members.iter().zip(&reading.members);
        self.members.len() == reading.members.len()
            && pairs.all(|(old, new)| old.is(new) && old.step == new.step)
            && self.fit == reading.fit
            && reading.shape.as_ref() == Some(&self.spec.shape)
    }

    /// Reads the same contents from other files from the next plan on: from the copies of those that went.
    pub(super) fn read_from(&mut self, members: Vec<Checkpoint>) {
        if let Some(origin) = members.last() {
            self.spec.origin = origin.clone();
        }
        if let Directions::Principal { members: known, .. } = &mut self.spec.directions {
            known.clone_from(&members);
        }
        self.members = members;
    }
}
