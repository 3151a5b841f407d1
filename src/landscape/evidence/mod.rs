//! Asks the path which function a run minimized, if names and shapes leave that open.
//!
//! Training moves against the gradient of what it minimizes. So of several readings of the same weights the
//! one is taken whose negative gradients the recorded updates follow best. Batch norm's inputs are scaled
//! away by the statistics of a batch, and there the loss in evaluation mode tells how pixels were normalized.

mod answers;
mod decide;
#[cfg(test)]
mod decide_tests;
mod effort;
mod follow;
mod inquiry;
mod logged;
mod logits;
mod own_scale;
mod question;
mod scales;
mod statistics;
mod verdict;
mod words;

use serde::{Deserialize, Serialize};

use crate::data::scale::PixelScale;
use crate::model::Reading;

pub use self::answers::Answers;
pub use self::question::Question;

/// A function of weights and samples, as far as names do not tell it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AssumedFunction {
    /// The meaning of the forward pass.
    #[serde(flatten)]
    pub reading: Reading,
    /// Scale by which pixels were normalized; `None` if it is as the samples were loaded.
    pub pixels: Option<PixelScale>,
}

/// Ground on which an assumption stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// It is what the field does, and nothing told for or against it.
    #[default]
    Usual,
    /// The updates of the path follow its gradient best.
    Path,
    /// Its loss is the lowest by far.
    Loss,
    /// The running statistics of batch norm fit it best.
    Statistics,
}

/// A reading that the path cannot tell from the one that is assumed, and its loss.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Alternative {
    /// The answers in which it differs: `gelu`, `tanh and pixels -1 to 1`.
    pub reading: String,
    /// Loss of the checkpoint that was the newest when the path was asked.
    pub loss: f64,
}

/// The function that is measured, with what speaks for it. Field names are other programs' to rely on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Assumed {
    /// The function that is assumed.
    #[serde(flatten)]
    pub function: AssumedFunction,
    /// Normalization of pixels, in words.
    pub normalization: String,
    /// Name of the loss that is measured.
    pub loss: String,
    /// Ground on which it stands.
    pub basis: Basis,
    /// Reason why it was taken, in a sentence for each question.
    pub evidence: String,
    /// Mean cosine between the negative gradients and the updates.
    pub cosine: Option<f64>,
    /// Its standard error.
    pub cosine_error: Option<f64>,
    /// Number of updates that were looked at.
    pub intervals: usize,
    /// Number of samples that were looked at.
    pub samples: usize,
    /// Other readings that the path cannot tell from it.
    pub tied: Vec<String>,
    /// Lowest and highest loss of the newest checkpoint over it and these.
    pub loss_range: Option<[f64; 2]>,
    /// The readings at the ends of that range, the one whose loss is farther from its own first; it itself is none.
    pub alternatives: Vec<Alternative>,
    /// Step of the checkpoint that was the newest when the path was asked.
    pub asked_at: Option<u64>,
    /// The path does not follow the gradient of this model on these samples, or its losses are not those of
    /// the function that was minimized.
    pub doubtful: bool,
    /// Advice what to check then, in a sentence.
    pub warning: Option<String>,
    /// Questions to which the usual answer was taken without asking, because it would have cost too much.
    pub unasked: Vec<String>,
    /// A sentence about what leaves no trace in a checkpoint, so that nobody can ask for it.
    pub untold: Option<String>,
    /// The updates follow this reading clearly, or nothing was left to be assumed.
    pub evident: bool,
    /// A sentence about a model that ends with a softmax or sigmoid which the loss has too.
    pub output: Option<String>,
    /// A sentence about a loss that depends on how the samples are cut into batches.
    pub batches: Option<String>,
    /// That training's own log tells quite other losses, in a sentence.
    pub logged: Option<String>,
    /// Intervals that the path had when it was asked.
    pub asked_of: usize,
}

impl Assumed {
    /// Returns true where the loss of this function is that of the run's own beyond doubt.
    #[must_use]
    pub fn is_known(&self) -> bool {
        let is_settled = self.tied.is_empty() && self.unasked.is_empty() && self.untold.is_none();
        self.evident && is_settled && !self.doubtful && self.warnings().next().is_none()
    }
}
