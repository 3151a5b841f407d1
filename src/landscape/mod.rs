//! The loss around a checkpoint: where to measure next, what was measured, who measures it.

pub mod crew;
pub mod curvature;
pub mod device;
pub mod evidence;
pub mod explore;
pub mod fidelity;
pub mod field;
pub mod interpolate;
pub mod line;
pub mod objective;
pub mod refine;
pub mod sharpness;
pub mod surface;
pub mod survey;
pub mod surveyor;

use std::path::PathBuf;

use crate::data::DataError;
use crate::model::ModelError;
use crate::weights::WeightsError;

/// Why a loss could not be measured.
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
    /// The data are not images or a table with a class each, which the built-in architectures take.
    #[error("{0}: expected images or a table, with a class for each sample, found other columns")]
    NoImages(String),
    /// A label that the model has no output for.
    #[error("{data}: expected labels below {classes}, the outputs of {model}, found label {label}")]
    Label {
        /// The data set.
        data: String,
        /// The largest label.
        label: u32,
        /// The model.
        model: String,
        /// Its number of outputs.
        classes: usize,
    },
    /// The user gave no data.
    #[error(
        "no data given, so there is no loss to measure: add --data FOLDER, with idx, CIFAR, .npz or .safetensors files, or --data digits"
    )]
    NoData,
    /// More samples were to be measured everywhere than there are, or all of them.
    #[error("--fidelity {few}: expected fewer than the {samples} samples, or `all`")]
    Fidelity {
        /// What was asked for.
        few: usize,
        /// How many there are.
        samples: usize,
    },
    /// The samples cannot be loaded.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The architecture is not recognized.
    #[error("{}: {source}", path.display())]
    Model {
        /// The checkpoint whose tensors were looked at.
        path: PathBuf,
        /// What is wrong with them.
        source: ModelError,
    },
    /// The plane cannot be made.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Second derivatives cannot be had.
    #[error("curvature: {0}")]
    Curvature(String),
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
    /// A tensor operation failed.
    #[error("the forward pass failed: {0}")]
    Candle(#[from] candle_core::Error),
}
