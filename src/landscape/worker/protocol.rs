//! The messages between those who want losses and the workers that measure them.
//!
//! They are plain serde messages, so that a worker can run in another process with nothing but the
//! transport changed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data::{self, Split};
use crate::evaluator::EvaluatorOptions;
use crate::loss::{Criterion, Score, Totals};
use crate::model::Reading;
use crate::run::Checkpoint;
use crate::store::Digest;
use crate::weights::{BatchNorm, PlaneFiles, PlaneSpec};

use super::super::curvature::density::Density;
use super::super::curvature::{Effort, Extremes, RESOLUTION};
use super::super::evidence::{Assumed, AssumedFunction};
use super::super::sharpness::CriticalStep;
use crate::landscape::device::{Place, Precision};
use crate::landscape::grid::surface::Measure;

use super::cost::OwnCost;

/// Settings that stay the same for a whole session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The samples; without them, and without an evaluator, there is a path and no surface.
    pub data: Option<data::DataRequest>,
    /// The user's own program that measures in place of a model.
    #[serde(default)]
    pub evaluator: Option<EvaluatorOptions>,
    /// The loss that is measured.
    #[serde(default)]
    pub criterion: Criterion,
    /// `auto`, the name of an architecture, or the file of an exported program.
    pub model: String,
    /// The user's answers to what names leave open.
    #[serde(default)]
    pub reading: Reading,
    /// Each has a worker.
    pub devices: Vec<Place>,
    /// The type in which layers are computed.
    pub precision: Precision,
    /// Samples a forward pass takes at once.
    pub batch: Option<usize>,
    /// The folder in which planes are kept for other workers; `None` if each makes its own.
    #[serde(default)]
    pub planes: Option<PlaneFiles>,
    /// The folder in which relative paths begin; `None` if that is where whoever reads this is.
    #[serde(default)]
    pub folder: Option<PathBuf>,
}

impl Setup {
    /// Returns the usual setup for these samples: a model that names tell, measured on the CPU in f32.
    #[must_use]
    pub fn of(data: data::DataRequest) -> Self {
        Self {
            data: Some(data),
            evaluator: None,
            criterion: Criterion::default(),
            model: "auto".into(),
            reading: Reading::default(),
            devices: vec![Place::Cpu],
            precision: Precision::F32,
            batch: None,
            planes: None,
            folder: None,
        }
    }

    /// Returns the seed of the samples, and of random directions.
    #[must_use]
    pub fn seed(&self) -> u64 {
        let evaluator = self.evaluator.as_ref().map(|evaluator| evaluator.seed);
        let data = self.data.as_ref().map(|data| data.seed);
        evaluator.or(data).unwrap_or(0)
    }

    /// Returns the part of the samples that is measured.
    #[must_use]
    pub fn split(&self) -> Split {
        let evaluator = self.evaluator.as_ref().map(|evaluator| evaluator.split);
        let data = self.data.as_ref().map(|data| data.split);
        evaluator.or(data).unwrap_or_default()
    }
}

/// A quantity that is wanted, and the samples on which it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Query {
    /// The quantity, with the weights at which it is wanted.
    pub quantity: Quantity,
    /// The samples, of those of the plan's split.
    pub samples: Subset,
}

/// Some of the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subset {
    /// All of them.
    All,
    /// The same ones for each query that wants this number, or all if there are fewer.
    Few(usize),
    /// One of several parts of equal size; only the sums of a loss are measured on it.
    Part {
        /// Number of the part, from 0.
        part: usize,
        /// Number of parts.
        of: usize,
    },
}

/// A quantity that is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Quantity {
    /// Loss and score.
    Loss(Position),
    /// Loss and score at the mean of the weights of several checkpoints, with running statistics taken anew from the
    /// samples.
    RecalibratedLoss(Vec<Checkpoint>),
    /// The critical step along the update from one checkpoint to the next.
    CriticalStep {
        /// Checkpoint where the update began.
        from: Checkpoint,
        /// Checkpoint where it ended.
        to: Checkpoint,
    },
    /// The ends of the Hessian's spectrum.
    Extremes {
        /// The weights.
        at: Position,
        /// Condition for ending the search for them.
        effort: Effort,
    },
    /// The density of the Hessian's spectrum as one random vector sees it.
    Density {
        /// The weights.
        at: Position,
        /// Products with the Hessian.
        steps: usize,
        /// Seed of the vector.
        seed: u64,
    },
    /// The function that a path of these checkpoints followed; the answer is reported as [`WorkerEvent::Assumed`].
    Function(Vec<Checkpoint>),
}

/// A point of weight space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Position {
    /// (α, β) on the plan's plane.
    Plane([f64; 2]),
    /// A checkpoint itself, with its own running statistics.
    Checkpoint(Checkpoint),
    /// The mean of the weights and running statistics of several checkpoints.
    Mean(Vec<Checkpoint>),
}

/// Samples for curvature on the screen: few, because a product with the Hessian costs as much as some ten losses, and an
/// eigenvalue some twenty products.
pub const CURVATURE_SAMPLES: usize = 64;
/// The curvature that the screen needs, on [`CURVATURE_SAMPLES`].
const SEEN: Effort = Effort {
    tolerance: 0.02,
    resolution: RESOLUTION,
    iterations: 80,
    seed: 0,
};

impl Query {
    /// Returns a quantity on all samples.
    #[must_use]
    pub fn of(quantity: Quantity) -> Self {
        Self {
            quantity,
            samples: Subset::All,
        }
    }

    /// Returns the loss at (α, β), on all samples.
    #[must_use]
    pub fn on_plane(at: [f64; 2]) -> Self {
        Self::of(Quantity::Loss(Position::Plane(at)))
    }

    /// Returns the loss at (α, β), on this number of samples.
    #[must_use]
    pub fn on_few(at: [f64; 2], count: usize) -> Self {
        Self {
            samples: Subset::Few(count),
            ..Self::on_plane(at)
        }
    }

    /// Returns the loss of a checkpoint itself, on all samples.
    #[must_use]
    pub fn of_checkpoint(checkpoint: Checkpoint) -> Self {
        Self::of(Quantity::Loss(Position::Checkpoint(checkpoint)))
    }

    /// Returns the ends of the Hessian's spectrum, as exactly as the screen needs them.
    #[must_use]
    pub fn curvature(at: Position) -> Self {
        Self {
            quantity: Quantity::Extremes { at, effort: SEEN },
            samples: Subset::Few(CURVATURE_SAMPLES),
        }
    }

    /// Returns true if its value is a mean over the samples of each for itself, so that parts of them can be measured
    /// apart.
    #[must_use]
    pub fn adds_up(&self, spec: &PlaneSpec) -> bool {
        match (&self.quantity, self.samples) {
            (Quantity::Loss(Position::Plane(_)), Subset::All) => {
                spec.batch_norm != BatchNorm::Recalibrated
            }
            (Quantity::Loss(_), Subset::All) => true,
            _ => false,
        }
    }
}

impl Quantity {
    /// Returns (α, β) on the plan's plane; `None` if it does not depend on the plane.
    #[must_use]
    pub fn plane_point(&self) -> Option<[f64; 2]> {
        match self {
            Self::Loss(Position::Plane(at))
            | Self::Extremes {
                at: Position::Plane(at),
                ..
            }
            | Self::Density {
                at: Position::Plane(at),
                ..
            } => Some(*at),
            _ => None,
        }
    }

    /// Returns the checkpoints that it is of, beside those of its plane.
    #[must_use]
    pub fn checkpoints(&self) -> Vec<&Checkpoint> {
        match self {
            Self::Loss(at) | Self::Extremes { at, .. } | Self::Density { at, .. } => match at {
                Position::Plane(_) => Vec::new(),
                Position::Checkpoint(one) => vec![one],
                Position::Mean(all) => all.iter().collect(),
            },
            Self::RecalibratedLoss(all) | Self::Function(all) => all.iter().collect(),
            Self::CriticalStep { from, to } => vec![from, to],
        }
    }
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum QueryAnswer {
    /// Loss and score; the loss may be NaN.
    Measure(Measure),
    /// The critical step along an update.
    Critical(CriticalStep),
    /// The ends of the Hessian's spectrum.
    Curvature(Extremes),
    /// The density of the Hessian's spectrum.
    Density(Density),
    /// The path was asked; its answer is reported separately.
    Assumed,
    /// The sums over a part of the samples.
    Part(PartSums),
}

/// The sums of a loss over a part of the samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartSums {
    /// The sums.
    pub totals: Totals,
    /// The score that is made of them; `None` if there is none.
    pub score: Option<Score>,
}

/// A value with the time that it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimedValue {
    /// The answer.
    pub value: QueryAnswer,
    /// Seconds of the evaluation alone: the model, its samples and the plane were there before.
    pub seconds: f64,
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
    /// The queries, in the order in which they are measured.
    pub queries: Vec<Query>,
}

/// A request to the workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum WorkerRequest {
    /// Measure these points; forget the plan before.
    Measure(Plan),
    /// Measure these first, then go on; forget those that were to come first before and are not among them. One
    /// that is under way goes on.
    First(Vec<Plan>),
    /// Have a path asked before what is measured goes on; `None` breaks the question off.
    Ask(Option<Plan>),
    /// Measure this function from now on; forget all plans.
    Assume(AssumedFunction),
    /// Stop measuring, or go on.
    Pause(bool),
}

/// An evaluator's introduction of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Introduction {
    /// The program and its arguments.
    pub command: String,
    /// Its name of the device.
    pub device: String,
    /// Number of samples.
    pub samples: usize,
    /// The score beside the loss; `None` if it has none.
    pub score: Option<Score>,
}

/// A report of the workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum WorkerEvent {
    /// The devices that were opened.
    Device(String),
    /// A device did not open or broke for good; one sentence says which and why.
    Lost(String),
    /// A worker or an evaluator died and starts again, is silent, or moves to another device: measuring goes on by
    /// itself. One sentence says which and why.
    Trouble(String),
    /// The samples that were loaded: name and number.
    Data {
        /// The part of the data set that they are of.
        split: Split,
        /// Name of the data set.
        name: String,
        /// Number of samples.
        samples: usize,
        /// Digest of their content.
        #[serde(default)]
        content: Option<Digest>,
    },
    /// There are no samples to measure on; one sentence says why.
    NoData(String),
    /// The evaluator that measures.
    Evaluator(Introduction),
    /// The architecture that was recognized.
    Model {
        /// The name that `--model` takes.
        name: String,
        /// Features by which it was recognized, in a sentence.
        evidence: String,
        /// A sentence about weights that no checkpoint holds; `None` if all are in checkpoints.
        kept: Option<String>,
        /// The score beside the loss; `None` if it has none.
        score: Option<Score>,
    },
    /// Assumptions about the function that is measured.
    Assumed(Box<Assumed>),
    /// No forward pass is known for these checkpoints; one sentence says why.
    NoModel(String),
    /// The value at `queries[index]` of a plan.
    Measured {
        /// The plan.
        generation: u64,
        /// Index of the query.
        index: usize,
        /// The answer.
        value: QueryAnswer,
        /// True if it was measured before, and found again.
        recalled: bool,
    },
    /// A query at a plan's `queries[index]` has taken some of its products with the Hessian.
    Product {
        /// The plan.
        generation: u64,
        /// Index of the query.
        index: usize,
        /// Products so far.
        done: usize,
        /// Products at most; fewer where the ends of the spectrum stand earlier.
        of: usize,
    },
    /// The cost of measuring to the machine since the last such report.
    Cost(OwnCost),
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
