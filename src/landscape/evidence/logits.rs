//! Outputs that a loss takes for logits or log-probabilities, and that are something else.

use crate::loss::Loss;
use crate::model::Ending;

use super::super::forward::Forward;

/// Returns the sentence about an output that a softmax or sigmoid gives to a loss which has its own; `None` where
/// the loss takes it for what it is. A log-softmax before cross-entropy changes nothing, because the softmax of
/// log-probabilities is that of the logits.
pub(super) fn doubt(forward: &Forward) -> Option<String> {
    let loss = &forward.loss;
    let (ending, place) = forward.program.ending(forward.output)?;
    let wrong = match (loss, ending) {
        (Loss::CrossEntropy(_) | Loss::NextToken { .. } | Loss::Nll(_), Ending::LogSoftmax)
        | (Loss::Mse | Loss::L1 | Loss::Huber { .. } | Loss::Output, _) => return None,
        (Loss::Nll(_), Ending::Softmax | Ending::Sigmoid) => {
            "takes probabilities for their logarithms"
        }
        (Loss::Nll(_), Ending::LogSigmoid) => "takes what does not add up to 1 for probabilities",
        (Loss::Bce { .. }, _) => "takes it for logits and applies a sigmoid to it again",
        (Loss::CrossEntropy(_) | Loss::NextToken { .. }, _) => {
            "takes it for logits and applies a softmax to it again"
        }
    };
    let remedy = match (loss, ending) {
        (Loss::Bce { .. }, Ending::LogSoftmax) => "give --loss nll, which takes it for what it is",
        (Loss::Nll(_), Ending::Softmax) => {
            "export the model without the softmax and give --loss cross-entropy"
        }
        (_, Ending::Softmax | Ending::LogSoftmax) => "export the model without the softmax",
        (_, Ending::Sigmoid | Ending::LogSigmoid) => "export the model without the sigmoid",
    };
    Some(format!(
        "the output is that of {place}, and --loss {} {wrong}: unless training did so too, {remedy}",
        loss.name()
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::landscape::device::{Compute, Place, Precision};
    use crate::loss::{Classes, Criterion};
    use crate::model::{Function, Node, Op, Output, Program, Reading, Recognized, Value};

    fn said(op: Op, loss: Loss) -> Option<String> {
        let node = Node {
            op,
            operands: vec![Some(Value::Input(0))],
            label: "aten.op at m.py:3".into(),
        };
        let value = Value::Node { node: 0, output: 0 };
        let program = Program {
            nodes: vec![node],
            outputs: vec![Output { name: None, value }],
            ..Program::default()
        };
        let recognized = Recognized {
            name: "m.pt2".into(),
            evidence: String::new(),
            program: Arc::new(program),
            kept: None,
            untold: None,
            reading: Reading::default(),
            readings: Vec::new(),
            activations: Vec::new(),
        };
        let (compute, _) = Compute::open(Place::Cpu, Precision::F32, None).unwrap();
        let criterion = Criterion { loss, output: None };
        doubt(&Forward::new(&recognized, &criterion, &compute).unwrap())
    }

    fn losses() -> [Loss; 4] {
        let classes = Classes::default();
        [
            Loss::CrossEntropy(classes.clone()),
            Loss::NextToken {
                classes: classes.clone(),
                shift: true,
            },
            Loss::Nll(classes),
            Loss::Bce { positive: None },
        ]
    }

    #[test]
    fn a_loss_that_does_the_model_s_last_step_again_is_told_with_its_remedy() {
        let softmax = |log| Op::Softmax { axis: 1, log };
        let sigmoid = Op::Function(Function::Sigmoid);
        let without = |what: &str| format!("export the model without the {what}");
        let [entropy, token, nll, bce] = losses();
        let nll_remedy = "without the softmax and give --loss cross-entropy".to_owned();
        let cases = [
            (softmax(false), &entropy, without("softmax")),
            (softmax(false), &token, without("softmax")),
            (softmax(false), &nll, nll_remedy),
            (softmax(false), &bce, without("softmax")),
            (softmax(true), &bce, "give --loss nll".to_owned()),
            (sigmoid.clone(), &entropy, without("sigmoid")),
            (sigmoid.clone(), &nll, without("sigmoid")),
            (sigmoid, &bce, without("sigmoid")),
        ];
        for (op, loss, remedy) in cases {
            let said = said(op, loss.clone()).unwrap();
            let start = format!(
                "the output is that of aten.op at m.py:3, and --loss {} takes ",
                loss.name()
            );
            assert!(said.starts_with(&start), "{said}");
            assert!(said.contains(&remedy), "{said}");
        }
    }

    #[test]
    fn log_probabilities_are_right_for_nll_and_change_nothing_before_cross_entropy() {
        let [entropy, token, nll, _] = losses();
        for loss in [entropy, token, nll, Loss::Mse, Loss::Output] {
            assert_eq!(said(Op::Softmax { axis: 1, log: true }, loss), None);
        }
        assert_eq!(
            said(
                Op::Softmax {
                    axis: 1,
                    log: false
                },
                Loss::Mse
            ),
            None
        );
        for loss in losses() {
            assert_eq!(said(Op::Linear, loss), None);
        }
    }
}
