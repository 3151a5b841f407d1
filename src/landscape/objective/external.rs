//! The loss by an evaluator of the user's own.

use std::fmt;
use std::sync::Arc;

use super::super::LandscapeError;
use super::super::evidence::Assumed;
use crate::data::Split;
use crate::evaluator::{Connection, SentPlane};
use crate::landscape::grid::surface::Measure;
use crate::loss::Score;
use crate::weights::{BatchNorm, Layout, Plane};

/// Name of the loss of an evaluator, which isoloss does not know.
const LOSS: &str = "evaluator";

/// An evaluator and the number of samples that are measured on.
#[derive(Clone)]
pub struct ExternalObjective {
    connection: Arc<Connection>,
    layout: Arc<Layout>,
    split: Split,
    samples: usize,
}

impl fmt::Debug for ExternalObjective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalObjective")
            .field("connection", &self.connection)
            .field("split", &self.split)
            .field("samples", &self.samples)
            .finish_non_exhaustive()
    }
}

impl ExternalObjective {
    /// Takes all samples of a split that an evaluator has, which is started if it does not run.
    ///
    /// # Errors
    /// The evaluator cannot be started, or has no such samples.
    pub fn new(
        connection: Arc<Connection>,
        layout: Arc<Layout>,
        split: Split,
    ) -> Result<Self, LandscapeError> {
        connection.open()?;
        let samples = connection.samples(split)?;
        Ok(Self {
            connection,
            layout,
            split,
            samples,
        })
    }

    /// Returns the same evaluator on its samples of another split.
    ///
    /// # Errors
    /// It has none.
    pub fn on_split(&self, split: Split) -> Result<Self, LandscapeError> {
        Ok(Self {
            split,
            samples: self.connection.samples(split)?,
            ..self.clone()
        })
    }

    /// Returns the program and its arguments.
    #[must_use]
    pub fn command(&self) -> String {
        self.connection.options().command.to_string()
    }

    /// Returns the function that is measured, as far as isoloss knows it: the evaluator decides.
    #[must_use]
    pub fn assumed(&self) -> Assumed {
        let command = &self.connection.options().command;
        Assumed {
            loss: LOSS.into(),
            evidence: format!("measured by {command}, which isoloss takes at its word"),
            evident: true,
            ..Assumed::default()
        }
    }

    /// Returns the score beside the loss; `None` if it has none.
    #[must_use]
    pub fn score(&self) -> Option<Score> {
        self.connection.score()
    }

    /// Returns the number of samples.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    pub(super) fn few(&self, count: usize) -> Self {
        Self {
            samples: count.min(self.samples),
            ..self.clone()
        }
    }

    pub(super) fn on(&self, plane: &SentPlane, at: [f64; 2]) -> Result<Measure, LandscapeError> {
        Ok(self
            .connection
            .measure_on_plane(plane, at, self.split, self.samples)?)
    }

    pub(super) fn at_flat(&self, flat: &[f32]) -> Result<Measure, LandscapeError> {
        let connection = &self.connection;
        Ok(connection.measure_weights(&self.layout, flat, self.split, self.samples)?)
    }

    pub(super) fn resident(&self, plane: &Plane) -> Result<SentPlane, LandscapeError> {
        if plane.batch_norm == BatchNorm::Recalibrated {
            return Err(LandscapeError::Recalibration);
        }
        Ok(self.connection.plane(plane)?)
    }
}
