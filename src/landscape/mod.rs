//! The loss around a checkpoint: where to measure next, what was measured, who measures it.

pub mod coupling;
pub mod curvature;
pub mod device;
pub mod evidence;
pub mod forward;
pub mod grid;
pub mod line;
pub mod objective;
pub mod plane;
pub mod samples;
pub mod sharpness;
pub mod worker;

pub use curvature::density::Density;
pub use curvature::{Effort, Extremes};
pub use device::{Compute, Place, Precision};
pub use evidence::{Assumed, AssumedFunction};
pub use grid::explore::Until;
pub use grid::fidelity::Complement;
pub use grid::field::{Field, Origin};
pub use grid::lattice::{Lattice, LatticeWindow};
pub use grid::refine::Estimate;
pub use grid::surface::Surface;
pub use grid::survey::GridSide;
pub use line::Barrier;
pub use objective::Objective;
pub use plane::ResidentPlane;
pub use sharpness::{Beyond, CriticalStep};
pub use worker::budget::Budget;
pub use worker::client::{Client, MeasuredFunction, Step};
pub use worker::protocol::{
    Introduction, Plan, Position, Quantity, Query, QueryAnswer, Setup, Subset, TimedValue,
    WorkerEvent, WorkerRequest,
};
pub use worker::wire::{Loaded, WorkerAnswer, WorkerOrder};
pub use worker::yielding::{Contest, Honoured};
pub use worker::{Hosting, Launch, OwnCost};
#[cfg(test)]
pub(crate) use worker::{Queue, Task, WorkerNumber};

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::data::{DataError, Dataset};
use crate::evaluator::EvaluatorError;
use crate::loss::LossError;
use crate::model::{ModelError, Pt2Error};
use crate::weights::WeightsError;

/// Reasons why a loss could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum LandscapeError {
    /// The device does not open.
    #[error("device {place}: {why}")]
    Device {
        /// As the user gave it.
        place: device::Place,
        /// The reason.
        why: String,
    },
    /// The data set is empty.
    #[error("{0}: expected samples, found none")]
    NoSamples(String),
    /// The data have nothing that the model should give.
    #[error(
        "{data}: expected an array that the model should give, for --loss {loss}, found none; name it with --target"
    )]
    NoTarget {
        /// The data set.
        data: String,
        /// The loss.
        loss: &'static str,
    },
    /// The target and the model's output do not belong together.
    #[error("{data}: {source}")]
    Target {
        /// The data set.
        data: String,
        /// The reason.
        source: LossError,
    },
    /// `--output` names nothing that the model gives.
    #[error("--output {asked}: {model} has the outputs {known}, by name or number")]
    Output {
        /// The model.
        model: String,
        /// The output that was asked for.
        asked: String,
        /// Names or numbers of its outputs.
        known: String,
    },
    /// A label that the model has no output for.
    #[error("{data}: expected labels from 0 to {}, the outputs of {model}, found label {label}", classes.saturating_sub(1))]
    Label {
        /// The data set.
        data: String,
        /// The label.
        label: i64,
        /// The model.
        model: String,
        /// Its number of outputs.
        classes: usize,
    },
    /// Cross-entropy of one output is always 0.
    #[error(
        "{data}: {model} has one output, of which cross-entropy is always 0: export the model and name its loss (--loss mse, bce …), see `isoloss help model`"
    )]
    OneClass {
        /// The data set.
        data: String,
        /// The model.
        model: String,
    },
    /// The user gave no data.
    #[error(
        "no data given, so there is no loss to measure: add --data FOLDER, with idx, CIFAR, .npz or .safetensors files, or --data digits; or export model and samples, see `isoloss help model`"
    )]
    NoData,
    /// More samples were to be measured everywhere than there are, or all of them.
    #[error("--fidelity {few}: expected fewer than the {samples} samples, or `all`")]
    Fidelity {
        /// The number that was asked for.
        few: usize,
        /// The number that there is.
        samples: usize,
    },
    /// The samples cannot be loaded.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The architecture is not recognized.
    #[error("{}: {source}{}{images}", path.display(), remedy(source))]
    Model {
        /// The checkpoint whose tensors were looked at.
        path: PathBuf,
        /// The defect of its tensors.
        source: Box<ModelError>,
        /// Words for the images that do not fit; empty if they are not to blame.
        images: String,
    },
    /// The plane cannot be made.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Second derivatives cannot be had.
    #[error("curvature: {0}")]
    Curvature(String),
    /// Running statistics would have to be taken anew by an evaluator.
    #[error(
        "batch norm's statistics can be taken anew by isoloss's own forward pass alone, and an evaluator measures; expected --bn frozen or states"
    )]
    Recalibration,
    /// A plane was made resident elsewhere than its points are measured.
    #[error("the plane is not where its points are measured")]
    OtherPlane,
    /// The user's evaluator gives no loss.
    #[error(transparent)]
    Evaluator(#[from] EvaluatorError),
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
    /// A worker process told it, or died of it.
    #[error("{reason}")]
    Worker {
        /// The reason.
        reason: String,
        /// The part whose fault it is.
        fault: Fault,
    },
    /// The loss cannot be taken.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// An exported program cannot be measured.
    #[error(transparent)]
    Program(Box<Pt2Error>),
    /// A tensor operation failed.
    #[error("the forward pass failed: {}", in_a_line(.0))]
    Candle(candle_core::Error),
}

/// The part that an error is a fault of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// A point that has no value.
    Point,
    /// A point at which a worker process died again and again, or somebody killed it.
    Death,
    /// A file that cannot be read.
    File,
    /// The device, or what was computed on it.
    Device,
    /// Nobody's: it was told to stop.
    Stopped,
    /// The model, the samples or the options.
    Other,
}

/// Says what to do about a model that is not known.
fn remedy(error: &ModelError) -> &'static str {
    match error {
        ModelError::Adapter(_) => ", in three lines, see `isoloss help model`",
        ModelError::Misfit { misfit, .. } if misfit.to_string().contains("export the model") => {
            ", in three lines, see `isoloss help model`"
        }
        ModelError::NotRecognized { .. } | ModelError::Misfit { .. } => {
            "; export it: three lines, see `isoloss help model`"
        }
        _ => "",
    }
}

impl From<candle_core::Error> for LandscapeError {
    fn from(error: candle_core::Error) -> Self {
        Self::Candle(error)
    }
}

/// Returns candle's error without the backtrace that it takes where `RUST_BACKTRACE` is set.
fn in_a_line(error: &candle_core::Error) -> String {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => in_a_line(inner),
        candle_core::Error::Context { inner, context } => {
            format!("{context}: {}", in_a_line(inner))
        }
        candle_core::Error::WrappedContext { wrapped, context } => {
            let inner = wrapped.downcast_ref();
            let inner = inner.map_or_else(|| wrapped.to_string(), in_a_line);
            format!("{context}: {inner}")
        }
        other => other.to_string(),
    }
}

impl LandscapeError {
    /// Returns the part that it is a fault of.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Evaluator(EvaluatorError::Point { .. }) => Fault::Point,
            Self::Weights(_) => Fault::File,
            Self::Candle(_) => Fault::Device,
            Self::Stopped => Fault::Stopped,
            Self::Worker { fault, .. } => *fault,
            _ => Fault::Other,
        }
    }

    /// Says why the model of a checkpoint is not known for these samples; an exported program speaks for itself.
    #[must_use]
    pub fn of_model(path: &Path, source: ModelError, data: Option<&Dataset>) -> Self {
        let images = data
            .filter(|_| matches!(source, ModelError::Image { .. }))
            .map(|data| {
                format!(
                    "; they are the {} samples of {}",
                    data.split.name(),
                    data.name
                )
            });
        match source {
            ModelError::Program(error) => Self::Program(Box::new(error)),
            source => Self::Model {
                path: path.to_path_buf(),
                source: Box::new(source),
                images: images.unwrap_or_default(),
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{Context, Error};

    use super::*;

    #[test]
    fn an_error_of_candle_is_told_once_and_in_a_line() {
        let traced = Error::WithBacktrace {
            inner: Box::new(Error::Msg("no room".into())),
            backtrace: Box::new(std::backtrace::Backtrace::force_capture()),
        };
        let wrapped = Err::<(), _>(traced).context("aten.einsum.default");
        let error = wrapped.map_err(LandscapeError::from).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the forward pass failed: aten.einsum.default: no room"
        );
        assert!(std::error::Error::source(&error).is_none());
    }
}
