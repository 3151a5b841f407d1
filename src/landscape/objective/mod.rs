//! The loss at a point of weight space (docs/math.md 1, 2): by isoloss's own forward pass, or by the user's evaluator.

mod external;
mod model;

use std::sync::Arc;

pub use self::external::ExternalObjective;
pub use self::model::ModelObjective;

use super::LandscapeError;
use super::coupling::Coupling;
use super::plane::ResidentPlane;
use super::sharpness::{CriticalStep, critical_step};
use crate::data::Dataset;
use crate::landscape::device::Compute;
use crate::landscape::grid::surface::Measure;
use crate::loss::Criterion;
use crate::model::Recognized;
use crate::weights::{Layout, Plane};

/// The loss on fixed samples.
#[derive(Debug)]
pub enum Objective {
    /// By a model that isoloss knows.
    Model(Box<ModelObjective>),
    /// By a program of the user's own.
    External(ExternalObjective),
}

impl Objective {
    /// Copies the samples to the device of a model.
    ///
    /// # Errors
    /// There are no samples, they do not fit the model or the loss, or the device has no room.
    pub fn new(
        recognized: &Recognized,
        layout: Arc<Layout>,
        data: &Dataset,
        criterion: &Criterion,
        compute: &Compute,
    ) -> Result<Self, LandscapeError> {
        let model = ModelObjective::new(recognized, layout, data, criterion, compute)?;
        Ok(Self::Model(Box::new(model)))
    }

    /// Returns isoloss's own forward pass, whose derivatives are known.
    ///
    /// # Errors
    /// An evaluator measures, which gives losses alone.
    pub fn model(&self) -> Result<&ModelObjective, LandscapeError> {
        match self {
            Self::Model(model) => Ok(model),
            Self::External(_) => Err(LandscapeError::Curvature(
                "an evaluator gives losses and no derivatives; export the model (isoloss help model)".into(),
            )),
        }
    }

    /// Returns why the loss of all samples is not that of the batches, and their number; `None` if every sample has
    /// a loss of its own, all are in one batch, or an evaluator batches.
    #[must_use]
    pub fn coupled_batches(&self) -> Option<(Coupling, usize)> {
        match self {
            Self::Model(model) => model.coupled_batches(),
            Self::External(_) => None,
        }
    }

    /// Returns the number of samples that a forward pass takes at once; `None` if an evaluator batches.
    #[must_use]
    pub fn at_once(&self) -> Option<usize> {
        match self {
            Self::Model(model) => Some(model.at_once()),
            Self::External(_) => None,
        }
    }

    /// Returns the number of samples.
    #[must_use]
    pub fn samples(&self) -> usize {
        match self {
            Self::Model(model) => model.samples(),
            Self::External(external) => external.samples(),
        }
    }

    /// Returns the same objective on `count` of its samples alone, or on all where there are no more.
    ///
    /// # Errors
    /// candle's.
    pub fn few(&self, count: usize) -> Result<Self, LandscapeError> {
        Ok(match self {
            Self::Model(model) => Self::Model(Box::new(model.few(count)?)),
            Self::External(external) => Self::External(external.few(count)),
        })
    }

    /// Returns the loss and score at the point θ* + α·dx + β·dy of a plane that this objective made resident.
    ///
    /// # Errors
    /// The device or the evaluator failed.
    pub fn on(&self, plane: &ResidentPlane, at: [f64; 2]) -> Result<Measure, LandscapeError> {
        match (self, plane) {
            (Self::Model(model), ResidentPlane::Device(plane)) => model.on(plane, at),
            (Self::External(external), ResidentPlane::Sent(plane)) => external.on(plane, at),
            _ => Err(LandscapeError::OtherPlane),
        }
    }

    /// Returns the loss and score at a point that lies in memory.
    ///
    /// # Errors
    /// As [`Objective::on`].
    pub fn at_flat(&self, flat: &[f32]) -> Result<Measure, LandscapeError> {
        match self {
            Self::Model(model) => model.at_flat(flat),
            Self::External(external) => external.at_flat(flat),
        }
    }

    /// Returns the loss and score at a point that lies in memory, with running statistics taken anew.
    ///
    /// # Errors
    /// As [`Objective::on`]; an evaluator takes none.
    pub fn at_recalibrated(&self, flat: &[f32]) -> Result<Measure, LandscapeError> {
        match self {
            Self::Model(model) => model.at_recalibrated(flat),
            Self::External(_) => Err(LandscapeError::Recalibration),
        }
    }

    /// Returns the critical step from one point along the way to another; running statistics move along. Before every
    /// loss
    /// `go_on` is asked.
    ///
    /// # Errors
    /// As [`Objective::on`], or it was told to stop.
    pub fn critical(
        &self,
        from: &[f32],
        to: &[f32],
        go_on: impl Fn() -> bool,
    ) -> Result<CriticalStep, LandscapeError> {
        let start = self.at_flat(from)?.loss;
        critical_step(start, |step| {
            if !go_on() {
                return Err(LandscapeError::Stopped);
            }
            let ends = from.iter().zip(to);
            let along = |(from, to): (&f32, &f32)| from + step as f32 * (to - from);
            let point: Vec<f32> = ends.map(along).collect();
            self.at_flat(&point).map(|measure| measure.loss)
        })
    }

    /// Brings a plane to where its points are measured.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn resident(&self, plane: &Plane) -> Result<ResidentPlane, LandscapeError> {
        Ok(match self {
            Self::Model(model) => ResidentPlane::Device(model.resident(plane)?),
            Self::External(external) => ResidentPlane::Sent(external.resident(plane)?),
        })
    }
}
