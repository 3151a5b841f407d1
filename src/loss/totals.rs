//! The sums of a loss over batches, and the means that come of them.

use std::iter::Sum;
use std::ops::Add;

use serde::{Deserialize, Serialize};

use super::{LongSum, Score};

/// Mean loss and score of the fixed samples at one point. The loss may be not finite.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Measure {
    /// The mean loss.
    pub loss: f64,
    /// The loss's own score; NaN if it has none.
    #[serde(alias = "accuracy", default = "none")]
    pub score: f64,
}

/// Equal to the bit, so that NaN is equal to itself: what did not change is not shown again.
impl PartialEq for Measure {
    fn eq(&self, other: &Self) -> bool {
        let bits = |measure: &Self| [measure.loss.to_bits(), measure.score.to_bits()];
        bits(self) == bits(other)
    }
}

/// Returns the score of a loss that has none.
fn none() -> f64 {
    f64::NAN
}

/// The sums of a loss over some batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Sum of the losses.
    pub loss: LongSum,
    /// The number that the sum is divided by for the mean.
    pub weight: LongSum,
    /// The sums that the score is made of.
    pub score: ScoreSums,
}

/// The sums that scores are made of; a loss fills in those of its own score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreSums {
    /// Number of classified items, such as samples or pixels.
    pub items: u64,
    /// Number of those that are classified correctly.
    pub right: u64,
    /// Sum of the squared differences between output and target.
    pub residual: LongSum,
    /// The spread of the targets.
    pub target: DeviationSums,
}

/// The sums of some numbers from which their squared deviations follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviationSums {
    /// Number of the numbers.
    pub count: u64,
    /// Their sum.
    pub sum: LongSum,
    /// The sum of their squares.
    pub of_squares: LongSum,
}

impl DeviationSums {
    /// Returns the sums of one number.
    #[must_use]
    pub(super) fn of(value: f64) -> Self {
        Self {
            count: 1,
            sum: value.into(),
            of_squares: LongSum::product(value, value),
        }
    }

    /// Returns the sum of the squared differences from the mean; 0 if the numbers are all alike.
    #[must_use]
    pub fn squares(&self) -> f64 {
        let count = self.count as f64;
        let mean = self.sum.value() / count;
        // Σ (x − c)² = Σ x² − 2c Σ x + n c², with c as it was rounded.
        let squares = self.of_squares
            + self.sum.times(-2.0 * mean)
            + LongSum::product(mean, mean).times(count);
        let rounding = mean * f64::EPSILON;
        let squares = squares.value();
        if squares <= 4.0 * count * rounding * rounding {
            return 0.0;
        }
        squares
    }
}

impl Add for DeviationSums {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            of_squares: self.of_squares + other.of_squares,
        }
    }
}

impl Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (score, of_other) = (self.score, other.score);
        Self {
            loss: self.loss + other.loss,
            weight: self.weight + other.weight,
            score: ScoreSums {
                items: score.items + of_other.items,
                right: score.right + of_other.right,
                residual: score.residual + of_other.residual,
                target: score.target + of_other.target,
            },
        }
    }
}

impl Sum for Totals {
    fn sum<I: Iterator<Item = Self>>(totals: I) -> Self {
        totals.fold(Self::default(), Add::add)
    }
}

impl Totals {
    /// Returns the mean of the loss that these are sums of, and its score of a kind; `None` if it has none.
    #[must_use]
    pub fn measure(&self, score: Option<Score>) -> Measure {
        let mean = self.loss.value() / self.weight.value();
        let score = match score {
            Some(Score::Accuracy) => self.score.right as f64 / self.score.items as f64,
            Some(Score::Perplexity) => mean.exp(),
            // Targets that are all alike have no variance to explain.
            Some(Score::RSquared) => match self.score.target.squares() {
                0.0 => f64::NAN,
                squares => 1.0 - self.score.residual.value() / squares,
            },
            None => none(),
        };
        Measure { loss: mean, score }
    }
}
