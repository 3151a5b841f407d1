//! The function that a model's output goes through last, where it leaves no logits.

use super::op::{Function, Op};
use super::{Program, Value};

/// A function past which an output holds no logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Shares of 1 over an axis.
    Softmax,
    /// Their logarithms.
    LogSoftmax,
    /// Shares of 1, each by itself.
    Sigmoid,
    /// Their logarithms.
    LogSigmoid,
}

impl Program {
    /// Returns the softmax or sigmoid that an output comes from, through nothing but other shapes, selections, casts
    /// and bounds, with its place in the model; `None` if there is none.
    #[must_use]
    pub fn ending(&self, output: usize) -> Option<(Ending, &str)> {
        let mut value = self.outputs.get(output)?.value;
        // Applied to what is found last: log(softmax) and exp(log_softmax) are the other one each.
        let mut outer = None;
        while let Value::Node { node, output } = value {
            let node = self.nodes.get(node)?;
            match &node.op {
                Op::Function(function @ (Function::Log | Function::Exp)) if outer.is_none() => {
                    outer = Some(*function);
                }
                op if is_passed(op) => {}
                op => {
                    let found = Ending::of(op).filter(|_| output == 0)?;
                    return Some((found.behind(outer)?, &node.label));
                }
            }
            value = node.operands.first().copied().flatten()?;
        }
        None
    }
}

impl Ending {
    fn of(op: &Op) -> Option<Self> {
        match op {
            Op::Softmax { log: true, .. } => Some(Self::LogSoftmax),
            Op::Softmax { log: false, .. } => Some(Self::Softmax),
            Op::Function(Function::Sigmoid | Function::Hardsigmoid) => Some(Self::Sigmoid),
            Op::Function(Function::LogSigmoid) => Some(Self::LogSigmoid),
            _ => None,
        }
    }

    /// Returns the function together with a logarithm or an exponential behind it; `None` if that is none of these.
    fn behind(self, outer: Option<Function>) -> Option<Self> {
        match (self, outer) {
            (found, None) => Some(found),
            (Self::Softmax, Some(Function::Log)) => Some(Self::LogSoftmax),
            (Self::Sigmoid, Some(Function::Log)) => Some(Self::LogSigmoid),
            (Self::LogSoftmax, Some(Function::Exp)) => Some(Self::Softmax),
            (Self::LogSigmoid, Some(Function::Exp)) => Some(Self::Sigmoid),
            _ => None,
        }
    }
}

/// Returns true for operations whose results are numbers of their first operand, or bounds of them.
fn is_passed(op: &Op) -> bool {
    matches!(
        op,
        Op::Same
            | Op::Detach
            | Op::Cast(_)
            | Op::CastAs
            | Op::Clamp
            | Op::Reshape(_)
            | Op::ReshapeAs
            | Op::Flatten(..)
            | Op::Unflatten(..)
            | Op::Squeeze(_)
            | Op::Unsqueeze(_)
            | Op::Transpose(..)
            | Op::Permute(_)
            | Op::Reverse
            | Op::MoveAxes(..)
            | Op::Expand(_)
            | Op::ExpandAs
            | Op::Slice(_)
            | Op::Select(..)
            | Op::Split(..)
            | Op::SplitEvery(..)
            | Op::Chunk(..)
            | Op::Unbind(_)
            | Op::Index
            | Op::IndexSelect(_)
            | Op::Flip(_)
    )
}

#[cfg(test)]
mod tests {
    use super::super::{Output, Size};
    use super::*;

    /// Returns the ending of a program of these operations one after another.
    fn ending(ops: &[Op]) -> Option<Ending> {
        let mut program = Program::default();
        let mut value = Value::Input(0);
        for op in ops {
            value = program.push(op.clone(), vec![Some(value)], format!("{op:?}"));
        }
        program.outputs.push(Output { name: None, value });
        let (ending, label) = program.ending(0)?;
        assert!(
            label.contains("oftmax") || label.contains("igmoid"),
            "{label}"
        );
        Some(ending)
    }

    fn softmax(log: bool) -> Op {
        Op::Softmax { axis: -1, log }
    }

    #[test]
    fn a_softmax_is_found_behind_views_and_casts_and_not_behind_a_layer() {
        let views = [
            softmax(false),
            Op::Cast(super::super::kind::Kind::Float),
            Op::Reshape(vec![Size::Fixed(-1)]),
            Op::Select(1, Size::Fixed(0)),
            Op::Chunk(2, 1),
        ];
        assert_eq!(ending(&views), Some(Ending::Softmax));
        assert_eq!(ending(&[softmax(true)]), Some(Ending::LogSoftmax));
        let sigmoid = Op::Function(Function::Sigmoid);
        assert_eq!(ending(&[sigmoid.clone(), Op::Clamp]), Some(Ending::Sigmoid));
        for behind in [Op::Linear, Op::Function(Function::Relu), Op::MatMul] {
            assert_eq!(ending(&[softmax(false), behind.clone()]), None);
            assert_eq!(ending(&[sigmoid.clone(), behind]), None);
        }
        assert_eq!(ending(&[]), None);
    }

    #[test]
    fn a_logarithm_and_an_exponential_change_what_it_is() {
        let (log, exp) = (Op::Function(Function::Log), Op::Function(Function::Exp));
        let of = |first: Op, second: &Op| ending(&[first, Op::Squeeze(None), second.clone()]);
        assert_eq!(of(softmax(false), &log), Some(Ending::LogSoftmax));
        assert_eq!(of(softmax(true), &exp), Some(Ending::Softmax));
        let sigmoid = |function| Op::Function(function);
        assert_eq!(
            of(sigmoid(Function::Sigmoid), &log),
            Some(Ending::LogSigmoid)
        );
        assert_eq!(
            of(sigmoid(Function::LogSigmoid), &exp),
            Some(Ending::Sigmoid)
        );
        assert_eq!(of(softmax(true), &log), None);
        assert_eq!(ending(&[softmax(false), log.clone(), log]), None);
    }
}
