//! Reasons why a loss cannot be taken of an output and a target.

use std::fmt;

/// Reasons why a loss cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum LossError {
    /// Output and target are of shapes that do not belong together.
    #[error("{loss} of an output {output} and a target {target}: expected {expected}")]
    Shapes {
        /// The loss's name.
        loss: &'static str,
        /// Shape of the output.
        output: TensorShape,
        /// Shape of the target.
        target: TensorShape,
        /// Shapes that would fit.
        expected: String,
    },
    /// The classes may be in either of two dimensions.
    #[error(
        "{loss} of an output {output} and a target {target}: the classes may be in dimension 1 or in the last; --loss next-token --shifted takes the last"
    )]
    Ambiguous {
        /// The loss's name.
        loss: &'static str,
        /// Shape of the output.
        output: TensorShape,
        /// Shape of the target.
        target: TensorShape,
    },
    /// The output is not the loss itself.
    #[error("--loss {loss}: expected an output of one number or of one a sample, found {output}")]
    NotOne {
        /// The loss's name.
        loss: &'static str,
        /// Shape of the output.
        output: TensorShape,
    },
    /// There are not as many weights as classes.
    #[error("{option}: expected {classes} weights, one a class, found {given}")]
    Weights {
        /// The option that gave them.
        option: &'static str,
        /// Number of classes.
        classes: usize,
        /// Number of weights.
        given: usize,
    },
    /// No item of the target counts.
    #[error(
        "every target is {ignored}, the id that does not count (--ignore-index): expected classes"
    )]
    Ignored {
        /// The id.
        ignored: i64,
    },
    /// A class id that the output has no score for.
    #[error("the target is class {id} at {place}, and the output has {classes} classes, 0 to {}", classes.saturating_sub(1))]
    Class {
        /// The id.
        id: i64,
        /// Its place in the target of the batch.
        place: TensorShape,
        /// Number of classes.
        classes: usize,
    },
    /// The target holds numbers of the wrong kind.
    #[error("the target holds {found}, expected {expected}")]
    Kind {
        /// Kind of the values that it holds.
        found: &'static str,
        /// Kind of the values that it has to hold.
        expected: &'static str,
    },
    /// A tensor operation failed.
    #[error("the loss failed: {0}")]
    Candle(#[from] candle_core::Error),
}

/// Extents of a tensor, or a place in it, as PyTorch writes them: `(64, 10)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorShape(Vec<usize>);

impl From<&[usize]> for TensorShape {
    fn from(extents: &[usize]) -> Self {
        Self(extents.to_vec())
    }
}

impl TensorShape {
    /// Returns the place of the number at `index` of a tensor of these extents.
    pub(super) fn place(extents: &[usize], mut index: usize) -> Self {
        let mut place: Vec<usize> = extents
            .iter()
            .rev()
            .map(|&extent| {
                let at = index % extent.max(1);
                index /= extent.max(1);
                at
            })
            .collect();
        place.reverse();
        Self(place)
    }
}

impl fmt::Display for TensorShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extents: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        match extents.as_slice() {
            [one] => write!(f, "({one},)"),
            all => write!(f, "({})", all.join(", ")),
        }
    }
}

/// Checks that two shapes are equal: PyTorch spreads (N, 1) and (N) to (N, N), which nobody means.
pub(super) fn check_equal(
    (loss, output, target): (&'static str, &[usize], &[usize]),
) -> Result<(), LossError> {
    if output == target {
        return Ok(());
    }
    Err(LossError::Shapes {
        loss,
        output: output.into(),
        target: target.into(),
        expected: "equal shapes".into(),
    })
}
