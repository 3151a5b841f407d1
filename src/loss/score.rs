//! The score that stands beside a loss.

use serde::{Deserialize, Serialize};

/// A number that tells more to people than the loss it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Score {
    /// Share of the items that are classified correctly, 0 to 1.
    Accuracy,
    /// The number e to the power of a token's mean loss.
    Perplexity,
    /// Share of the targets' variance that is explained, at most 1.
    RSquared,
}

impl Score {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Accuracy, Self::Perplexity, Self::RSquared];

    /// Returns the name as people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Perplexity => "perplexity",
            Self::RSquared => "R²",
        }
    }

    /// Returns the name for where there is little room.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Self::Accuracy => "acc",
            Self::Perplexity => "ppl",
            Self::RSquared => "R²",
        }
    }

    /// Returns the name as files and other programs write it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Perplexity => "perplexity",
            Self::RSquared => "r2",
        }
    }

    /// Returns the name of the scale that [`Score::on_scale`] gives the numbers of.
    #[must_use]
    pub fn scale(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy %",
            Self::Perplexity | Self::RSquared => self.name(),
        }
    }

    /// Returns a score as it is drawn on a scale: an accuracy in percent.
    #[must_use]
    pub fn on_scale(self, score: f64) -> f64 {
        match self {
            Self::Accuracy => 100.0 * score,
            Self::Perplexity | Self::RSquared => score,
        }
    }

    /// Returns the largest number on that scale; infinite if there is none.
    #[must_use]
    pub fn largest(self) -> f64 {
        match self {
            Self::Accuracy => 100.0,
            Self::Perplexity => f64::INFINITY,
            Self::RSquared => 1.0,
        }
    }

    /// Returns the score that is expected where a measured one is taken to change by so much, and the loss to
    /// be `loss` then.
    #[must_use]
    pub fn estimate(self, score: f64, change: f64, loss: f64) -> f64 {
        match self {
            Self::Accuracy => (score + change).clamp(0.0, 1.0),
            // It spans many powers of ten, and the loss tells it.
            Self::Perplexity => loss.exp(),
            Self::RSquared => (score + change).min(1.0),
        }
    }
}
