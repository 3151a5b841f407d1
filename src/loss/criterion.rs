//! The loss that is measured, and the output of the model that it is of.

use serde::{Deserialize, Serialize};

use super::Loss;

/// A loss of one of a model's outputs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Criterion {
    /// The loss.
    pub loss: Loss,
    /// The output, by name or by number from 0; `None` for the usual one.
    pub output: Option<String>,
}

/// Name of the output that a loss is usually of.
const LOGITS: &str = "logits";
/// Name of the output that is the loss itself.
const LOSS: &str = "loss";

impl Criterion {
    /// Returns the number of the output among those of these names; `None` if there is no such output.
    #[must_use]
    pub fn place(&self, names: &[Option<String>]) -> Option<usize> {
        let named = |wanted: &str| {
            names
                .iter()
                .position(|name| name.as_deref() == Some(wanted))
        };
        if let Some(wanted) = &self.output {
            let by_number = wanted.parse().ok();
            let by_number = by_number.filter(|number| *number < names.len());
            return named(wanted).or(by_number);
        }
        let usual = match self.loss {
            Loss::Output => LOSS,
            _ => LOGITS,
        };
        named(usual).or((!names.is_empty()).then_some(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_found_by_its_name_then_by_its_number() {
        let names = ["loss", "logits", "2"].map(|name| Some(name.to_owned()));
        let place = |loss: Loss, output: Option<&str>| {
            let output = output.map(str::to_owned);
            Criterion { loss, output }.place(&names)
        };
        assert_eq!(place(Loss::default(), None), Some(1));
        assert_eq!(place(Loss::Output, None), Some(0));
        assert_eq!(place(Loss::default(), Some("loss")), Some(0));
        assert_eq!(place(Loss::default(), Some("2")), Some(2));
        assert_eq!(place(Loss::default(), Some("0")), Some(0));
        assert_eq!(place(Loss::default(), Some("3")), None);
        assert_eq!(place(Loss::default(), Some("hidden")), None);
        assert_eq!(Criterion::default().place(&[None, None]), Some(0));
        assert_eq!(Criterion::default().place(&[]), None);
    }
}
