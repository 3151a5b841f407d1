//! The question which function a run minimized, and what there is to choose from.

use crate::data::Dataset;
use crate::loss::Criterion;
use crate::model::{self, Reading, Recognized};
use crate::run::Checkpoint;
use crate::weights::{RunCheckpoint, RunShape, direction};

use super::super::LandscapeError;
use super::super::forward::Forward;
use super::answers::Answers;
use super::{Assumed, AssumedFunction, logits};
use crate::landscape::device::{Compute, Precision};

/// The question to a run's path.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Names and shapes.
    pub shape: &'a RunShape,
    /// The path, by step.
    pub members: &'a [Checkpoint],
    /// The samples.
    pub data: &'a Dataset,
    /// `auto`, the name of an architecture, or the file of an exported program.
    pub model: &'a str,
    /// The loss.
    pub criterion: &'a Criterion,
    /// The user's answers.
    pub asked: Reading,
    /// Device and type of the computation.
    pub compute: &'a Compute,
    /// Answers to earlier questions about the same model and samples.
    pub answers: &'a Answers,
}

/// A reading that fits, with its forward pass.
pub(super) struct Candidate {
    pub(super) recognized: Recognized,
    /// Index of the scale.
    pub(super) scale: usize,
}

impl Question<'_> {
    /// Returns the usual reading, where the path was not asked.
    #[must_use]
    pub fn unasked(&self) -> Assumed {
        let found = self.recognize(self.asked).ok();
        let forward = found.as_ref().and_then(|found| self.forward(found).ok());
        Assumed {
            untold: found.as_ref().and_then(|found| found.untold.clone()),
            function: AssumedFunction {
                reading: found.map_or(self.asked, |found| found.reading),
                pixels: None,
            },
            normalization: self.data.normalization_in_words(),
            loss: self.criterion.loss.name().into(),
            output: forward.as_ref().and_then(logits::doubt),
            ..Assumed::default()
        }
    }

    pub(super) fn recognize(&self, reading: Reading) -> Result<Recognized, LandscapeError> {
        let image = self.data.image();
        let told = Reading::of_settings(&self.shape.settings);
        model::recognize_as(&self.shape.layout, self.model, image, reading, told)
            .map_err(|source| LandscapeError::of_model(&self.shape.newest, source, Some(self.data)))
    }

    /// Returns a reading with its loss, in f32.
    pub(super) fn forward(&self, recognized: &Recognized) -> Result<Forward, LandscapeError> {
        Forward::new(recognized, self.criterion, &self.exact())
    }

    /// Returns the same device, with all digits.
    pub(super) fn exact(&self) -> Compute {
        Compute {
            precision: Precision::F32,
            ..self.compute.clone()
        }
    }

    pub(super) fn flat(&self, member: usize) -> Result<Vec<f32>, LandscapeError> {
        let member = RunCheckpoint::open(&self.members[member], self.shape)?;
        Ok(direction::flat(&self.shape.layout, &member)?)
    }

    pub(super) fn is_on_cpu(&self) -> bool {
        self.compute.device.is_cpu()
    }

    /// Returns the newest checkpoint.
    pub(super) fn newest(&self) -> Option<usize> {
        self.members.len().checked_sub(1)
    }
}
