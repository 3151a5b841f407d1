//! The dimension of an output that its classes are in.

use super::Classes;
use super::error::{LossError, TensorShape};

/// The dimension of the classes, and what the target tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClassAxis {
    /// The dimension.
    pub(super) axis: usize,
    /// True where the target has a probability for each class instead of an id.
    pub(super) has_probabilities: bool,
}

impl ClassAxis {
    /// Finds the dimension from the shapes of an output and a target: that which the target lacks. PyTorch has
    /// classes in dimension 1, language models in the last of three.
    pub(super) fn of(
        (loss, output, target): (&'static str, &[usize], &[usize]),
        may_be_probabilities: bool,
    ) -> Result<Self, LossError> {
        let at = |axis| Self {
            axis,
            has_probabilities: false,
        };
        let (rank, last) = (output.len(), output.len().saturating_sub(1));
        let fits = |axis: usize| rank >= 2 && lacks(output, axis) == target;
        match (fits(1), fits(last)) {
            (true, true) if rank == 3 && output.get(2) == output.get(1) => {
                Err(LossError::Ambiguous {
                    loss,
                    output: output.into(),
                    target: target.into(),
                })
            }
            (true, _) => Ok(at(1)),
            (false, true) if rank == 3 => Ok(at(last)),
            _ if may_be_probabilities && rank >= 2 && output == target => Ok(Self {
                axis: 1,
                has_probabilities: true,
            }),
            _ => Err(LossError::Shapes {
                loss,
                output: output.into(),
                target: target.into(),
                expected: expected(output, may_be_probabilities),
            }),
        }
    }

    /// Checks the shapes of logits (N, T, V) and ids (N, T), and finds the dimension of the vocabulary.
    pub(super) fn of_tokens(
        (loss, output, target): (&'static str, &[usize], &[usize]),
        shift: bool,
    ) -> Result<Self, LossError> {
        let wrong = |expected: String| LossError::Shapes {
            loss,
            output: output.into(),
            target: target.into(),
            expected,
        };
        if output.len() != 3 {
            return Err(wrong("logits (N, T, V) and ids (N, T)".into()));
        }
        if lacks(output, 2) != target {
            return Err(wrong(format!(
                "a target {}",
                TensorShape::from(&output[..2])
            )));
        }
        if shift && output[1] < 2 {
            return Err(wrong("two positions or more".into()));
        }
        Ok(Self {
            axis: 2,
            has_probabilities: false,
        })
    }
}

/// Returns the extents without those of one dimension.
fn lacks(output: &[usize], axis: usize) -> Vec<usize> {
    let others = output.iter().enumerate().filter(|(at, _)| *at != axis);
    others.map(|(_, extent)| *extent).collect()
}

/// Returns the targets that an output takes.
fn expected(output: &[usize], may_be_probabilities: bool) -> String {
    if output.len() < 2 {
        return "an output (N, classes)".into();
    }
    let mut targets = vec![lacks(output, 1)];
    if output.len() == 3 {
        targets.push(lacks(output, 2));
    }
    targets.dedup();
    let ids: Vec<String> = targets
        .iter()
        .map(|target| TensorShape::from(target.as_slice()).to_string())
        .collect();
    let ids = format!("class ids {}", ids.join(" or "));
    if may_be_probabilities {
        format!("{ids}, or probabilities {}", TensorShape::from(output))
    } else {
        ids
    }
}

/// Checks that there is a weight for each class.
pub(super) fn check_weights(
    classes: &Classes,
    output: &[usize],
    axis: usize,
) -> Result<(), LossError> {
    let extent = output.get(axis).copied().unwrap_or(0);
    match &classes.weights {
        Some(weights) if weights.len() != extent => Err(LossError::Weights {
            option: "--class-weights",
            classes: extent,
            given: weights.len(),
        }),
        _ => Ok(()),
    }
}
