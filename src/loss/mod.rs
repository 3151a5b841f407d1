//! The number that training makes small, and the score that people read beside it.
//!
//! A loss has two forms. [`Loss::totals`] gives sums in f64 that add over batches: what a point of a map is
//! made of. [`Loss::sum`] gives the same sum as a tensor that may be differentiated twice. The formulas are
//! PyTorch's, and both are checked against it.

mod binary;
mod class_axis;
mod classes;
mod criterion;
pub(crate) mod cross_entropy;
mod error;
mod host_values;
mod long_sum;
mod regression;
mod score;
#[cfg(test)]
mod tests;
mod totals;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

pub use self::criterion::Criterion;
pub use self::error::LossError;
pub use self::long_sum::LongSum;
pub use self::score::Score;
pub use self::totals::{DeviationSums, Measure, ScoreSums, Totals};

use self::class_axis::ClassAxis;
use self::classes::{ClassLoss, Scale};
use self::error::TensorShape;

/// The function of a network's output and its target whose mean is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Loss {
    /// Cross-entropy of logits, with class ids or probabilities as targets.
    CrossEntropy(Classes),
    /// The same of log-probabilities, with class ids.
    Nll(Classes),
    /// Cross-entropy of tokens: logits (N, T, V), ids (N, T).
    NextToken {
        /// The rules by which ids count.
        classes: Classes,
        /// True where the ids are those of the input, so that each position is to tell the next one's.
        shift: bool,
    },
    /// Mean of the squared differences.
    Mse,
    /// Mean of the absolute differences.
    L1,
    /// Half the square of a difference below `delta`, a line beyond it.
    Huber {
        /// Difference at which the line begins.
        delta: f64,
    },
    /// Binary cross-entropy of logits.
    Bce {
        /// Weight of a target of 1: one number, or one a class (dimension 1).
        positive: Option<Vec<f32>>,
    },
    /// The output itself: one number, the mean over the batch, or one a sample.
    Output,
}

/// Rules by which class ids count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Classes {
    /// The id of items that do not count.
    pub ignore: i64,
    /// Share of the target that is spread evenly over all classes, 0 to 1.
    pub smoothing: f64,
    /// Weight of each class; `None` if all count alike.
    pub weights: Option<Vec<f32>>,
}

impl Default for Classes {
    fn default() -> Self {
        Self {
            ignore: -100,
            smoothing: 0.0,
            weights: None,
        }
    }
}

impl Default for Loss {
    fn default() -> Self {
        Self::CrossEntropy(Classes::default())
    }
}

impl Loss {
    /// Returns the name, as `--loss` takes it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::CrossEntropy(_) => "cross-entropy",
            Self::Nll(_) => "nll",
            Self::NextToken { .. } => "next-token",
            Self::Mse => "mse",
            Self::L1 => "l1",
            Self::Huber { .. } => "huber",
            Self::Bce { .. } => "bce",
            Self::Output => "output",
        }
    }

    /// Returns the score that belongs to it; `None` if it has none.
    #[must_use]
    pub fn score(&self) -> Option<Score> {
        match self {
            Self::CrossEntropy(_) | Self::Nll(_) | Self::Bce { .. } => Some(Score::Accuracy),
            Self::NextToken { .. } => Some(Score::Perplexity),
            Self::Mse => Some(Score::RSquared),
            Self::L1 | Self::Huber { .. } | Self::Output => None,
        }
    }

    /// Checks that outputs and targets of these shapes, the batch's extent included, fit together.
    ///
    /// # Errors
    /// They do not, or there are not as many weights as classes.
    pub fn check(&self, output: &[usize], target: &[usize]) -> Result<(), LossError> {
        if self.of_classes(output, target)?.is_some() {
            return Ok(());
        }
        let pair = (self.name(), output, target);
        match self {
            Self::Output => check_output(pair),
            Self::Bce { positive } => {
                error::check_equal(pair)?;
                binary::check_weights(positive.as_deref(), output)
            }
            _ => error::check_equal(pair),
        }
    }

    /// Checks a target for an output of this shape, its class ids included; returns the number of items that count.
    ///
    /// # Errors
    /// As [`Loss::totals`].
    pub fn check_target(&self, output: &[usize], target: &Tensor) -> Result<usize, LossError> {
        self.check(output, target.dims())?;
        match self.of_classes(output, target.dims())? {
            Some(loss) if !loss.axis.has_probabilities => {
                let classes = output.get(loss.axis.axis).copied().unwrap_or(0);
                return Ok(loss.ids(target, classes)?.count());
            }
            Some(loss) => classes::check_probabilities(target, loss.axis.axis)?,
            None if matches!(self, Self::Bce { .. }) => binary::check_targets(target)?,
            None => {}
        }
        Ok(target.elem_count())
    }

    /// Returns the class id that does not count; `None` for a loss without classes.
    pub(crate) fn ignored(&self) -> Option<i64> {
        match self {
            Self::CrossEntropy(classes) | Self::Nll(classes) | Self::NextToken { classes, .. } => {
                Some(classes.ignore)
            }
            _ => None,
        }
    }

    /// Returns true if its target may hold class ids.
    #[must_use]
    pub fn is_of_classes(&self) -> bool {
        matches!(
            self,
            Self::CrossEntropy(_) | Self::Nll(_) | Self::NextToken { .. }
        )
    }

    /// Returns the number of classes of an output, with a target of these shapes; `None` if it has none.
    #[must_use]
    pub fn classes(&self, output: &[usize], target: &[usize]) -> Option<usize> {
        let axis = self.of_classes(output, target).ok()??.axis.axis;
        output.get(axis).copied()
    }

    /// Returns the sums over a batch, which add over batches.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use isoloss::loss::{Loss, Score};
    ///
    /// let outputs = Tensor::new(&[[1f32], [3.0]], &Device::Cpu)?;
    /// let targets = Tensor::new(&[[0f32], [1.0]], &Device::Cpu)?;
    /// let measure = Loss::Mse.totals(&outputs, &targets)?.measure(None::<Score>);
    /// assert_eq!(measure.loss, (1.0 + 4.0) / 2.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// The target holds class ids (integers) or values (floats) and lies on the
    /// output's device. A loss that is NaN stays so.
    ///
    /// # Errors
    /// The shapes do not fit, an id is of no class, or candle's.
    pub fn totals(&self, output: &Tensor, target: &Tensor) -> Result<Totals, LossError> {
        self.check(output.dims(), target.dims())?;
        if let Some(loss) = self.of_classes(output.dims(), target.dims())? {
            return loss.totals(output, target);
        }
        match self {
            Self::Output => output_totals(output, target),
            Self::Bce { positive } => binary::totals(positive.as_deref(), output, target),
            _ => regression::totals(self, output, target),
        }
    }

    /// Returns the sum of which [`Totals::loss`] is the value, as one number that can be differentiated twice
    /// by the output.
    ///
    /// # Errors
    /// As [`Loss::totals`].
    pub fn sum(&self, output: &Tensor, target: &Tensor) -> candle_core::Result<Tensor> {
        self.differentiable(output, target)
            .map_err(|error| match error {
                LossError::Candle(error) => error,
                error => candle_core::Error::Msg(error.to_string()),
            })
    }

    fn differentiable(&self, output: &Tensor, target: &Tensor) -> Result<Tensor, LossError> {
        self.check(output.dims(), target.dims())?;
        if let Some(loss) = self.of_classes(output.dims(), target.dims())? {
            return loss.sum(output, target);
        }
        Ok(match self {
            Self::Output => (output.sum_all()? * repeats(output, target))?,
            Self::Bce { positive } => {
                binary::terms(positive.as_deref(), output, target)?.sum_all()?
            }
            _ => regression::terms(self, output, target)?.sum_all()?,
        })
    }

    /// Returns the loss of classes for an output and a target of these shapes; `None` if it is another.
    fn of_classes(
        &self,
        output: &[usize],
        target: &[usize],
    ) -> Result<Option<ClassLoss<'_>>, LossError> {
        let pair = (self.name(), output, target);
        let (classes, axis, scale) = match self {
            Self::CrossEntropy(classes) => (classes, ClassAxis::of(pair, true)?, Scale::Logits),
            Self::Nll(classes) => {
                let axis = ClassAxis::of(pair, false)?;
                (classes, axis, Scale::LogProbabilities)
            }
            Self::NextToken { classes, shift } => {
                (classes, ClassAxis::of_tokens(pair, *shift)?, Scale::Logits)
            }
            _ => return Ok(None),
        };
        class_axis::check_weights(classes, output, axis.axis)?;
        Ok(Some(ClassLoss {
            classes,
            axis,
            scale,
            shift: matches!(self, Self::NextToken { shift: true, .. }),
        }))
    }
}

/// Checks an output that is the loss itself; of the target only the number of samples counts.
fn check_output(
    (loss, output, target): (&'static str, &[usize], &[usize]),
) -> Result<(), LossError> {
    let numbers: usize = output.iter().product();
    if numbers == 1 || (output.len() == 1 && output.first() == target.first()) {
        return Ok(());
    }
    Err(LossError::NotOne {
        loss,
        output: TensorShape::from(output),
    })
}

/// Returns the number of samples that each number of an output stands for that is the loss itself.
fn repeats(output: &Tensor, target: &Tensor) -> f64 {
    let samples = target.dims().first().copied().unwrap_or(1);
    samples as f64 / output.elem_count().max(1) as f64
}

fn output_totals(output: &Tensor, target: &Tensor) -> Result<Totals, LossError> {
    let sum: LongSum = host_values::numbers(output)?.into_iter().sum();
    let repeats = repeats(output, target);
    Ok(Totals {
        loss: sum.times(repeats),
        weight: LongSum::product(output.elem_count() as f64, repeats),
        score: ScoreSums::default(),
    })
}
