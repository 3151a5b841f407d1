//! The messages between those who want losses and the workers that measure them.
//!
//! They are plain serde messages, so that a worker can run in another process with nothing but the
//! transport changed.

use serde::{Deserialize, Serialize};

use crate::data::{self, Split};
use crate::loss::Criterion;
use crate::model::reading::Reading;
use crate::run::Checkpoint;
use crate::weights::plane_spec::PlaneSpec;

use super::super::curvature::Extremes;
use super::super::device::{Place, Precision};
use super::super::evidence::{Assumed, Function};
use super::super::sharpness::CriticalStep;
use super::super::surface::Measure;

/// What stays the same for a whole session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The samples; without them there is a path and no surface.
    pub data: Option<data::Request>,
    /// The loss that is measured.
    #[serde(default)]
    pub criterion: Criterion,
    /// `auto`, the name of an architecture, or the file of an exported program.
    pub model: String,
    /// What the user answers of what names leave open.
    #[serde(default)]
    pub reading: Reading,
    /// Each has a worker.
    pub devices: Vec<Place>,
    /// The type in which layers are computed.
    pub precision: Precision,
    /// Samples a forward pass takes at once.
    pub batch: Option<usize>,
}

impl Setup {
    /// Seed of the samples, and of random directions.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.data.as_ref().map_or(0, |data| data.seed)
    }
}

/// A place where the loss is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Query {
    /// (α, β) on the plane.
    OnPlane([f64; 2]),
    /// (α, β) on the plane, on few of the samples alone.
    OnFew {
        /// (α, β).
        at: [f64; 2],
        /// How many samples.
        samples: usize,
    },
    /// A checkpoint itself, with its own running statistics.
    Checkpoint(Checkpoint),
    /// The mean of the weights and running statistics of several checkpoints.
    Average(Vec<Checkpoint>),
    /// The critical step along the update from one checkpoint to the next.
    Update {
        /// Where the update began.
        from: Checkpoint,
        /// Where it ended.
        to: Checkpoint,
    },
    /// The ends of the Hessian's spectrum at (α, β), on [`CURVATURE_SAMPLES`] of the samples.
    Curvature([f64; 2]),
    /// Likewise at a checkpoint itself, with its own running statistics.
    CurvatureOf(Checkpoint),
    /// Which function a path of these checkpoints followed; the answer is told as [`Report::Assumed`].
    Evidence(Vec<Checkpoint>),
}

/// A product with the Hessian costs as much as some ten losses, and an eigenvalue some twenty products.
pub const CURVATURE_SAMPLES: usize = 64;

/// What was found at a query.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// Loss and score; the loss is NaN where it is not a number.
    Measure(Measure),
    /// The critical step along an update.
    Critical(CriticalStep),
    /// The ends of the Hessian's spectrum.
    Curvature(Extremes),
    /// The path was asked; what it answered is told by itself.
    Assumed,
}

/// A plan of points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Number of the plan; answers carry it.
    pub generation: u64,
    /// The plane.
    pub spec: PlaneSpec,
    /// The samples.
    pub split: Split,
    /// Where to measure, in this order.
    pub queries: Vec<Query>,
}

/// What the worker is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Measure these points; forget the plan before.
    Measure(Plan),
    /// Measure these first, then go on; forget those that were to come first before.
    First(Vec<Plan>),
    /// Have a path asked, soon: when there is a first picture, or nothing else is to be done.
    Ask(Plan),
    /// Measure this function from now on; forget all plans.
    Assume(Function),
    /// Stop measuring, or go on.
    Pause(bool),
}

/// What the worker answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Report {
    /// The devices that were opened.
    Device(String),
    /// A device did not open or broke; one sentence says which and why.
    Lost(String),
    /// The samples that were loaded: name and number.
    Data {
        /// What they are.
        name: String,
        /// How many.
        samples: usize,
    },
    /// There are no samples to measure on; one sentence says why.
    NoData(String),
    /// The architecture that was recognized.
    Model {
        /// The name that `--model` takes.
        name: String,
        /// What was seen, in a sentence.
        evidence: String,
    },
    /// What is taken for granted of the function that is measured.
    Assumed(Box<Assumed>),
    /// No forward pass is known for these checkpoints; one sentence says why.
    NoModel(String),
    /// The value at `queries[index]` of a plan.
    Measured {
        /// The plan.
        generation: u64,
        /// Index of the query.
        index: usize,
        /// What was found.
        value: Value,
    },
    /// The plan is done.
    Done(u64),
    /// The plan, or one of its queries, could not be measured; one sentence says why.
    Failed {
        /// The plan.
        generation: u64,
        /// The query, where only that one failed.
        index: Option<usize>,
        /// The reason.
        reason: String,
    },
}
