//! The loss that is measured: `--loss` and the options that belong to it.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{ArgAction, Args, ValueEnum};

use crate::brief::brief;
use crate::loss::{Classes, Loss};
use crate::run::regular;

use super::output::Usage;

/// Bytes of a file of weights at most: a hundred thousand classes.
const LARGEST: u64 = 4 << 20;

/// The losses, as they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Cross-entropy of logits, with class ids or probabilities as targets
    CrossEntropy,
    /// Negative log-likelihood of log-probabilities, with class ids as targets
    Nll,
    /// Cross-entropy of the next token, with the input's own ids as targets
    NextToken,
    /// Mean squared error
    Mse,
    /// Mean absolute error
    L1,
    /// Squared below a bound, absolute above it
    Huber,
    /// Binary cross-entropy of logits
    Bce,
    /// The model's output is the loss
    Output,
}

/// The options that choose a loss.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Model")]
pub(super) struct LossArgs {
    /// The training loss
    #[arg(
        long,
        env = "ISOLOSS_LOSS",
        value_enum,
        value_name = "LOSS",
        default_value = "cross-entropy"
    )]
    loss: Kind,
    /// Class id of what does not count (-100); for cross-entropy, nll, next-token
    #[arg(
        long,
        env = "ISOLOSS_IGNORE_INDEX",
        value_name = "ID",
        allow_negative_numbers = true
    )]
    ignore_index: Option<i64>,
    /// Share of the target that is spread over all classes, 0 to 1; for cross-entropy, next-token
    #[arg(long, env = "ISOLOSS_LABEL_SMOOTHING", value_name = "SHARE")]
    label_smoothing: Option<f64>,
    /// File with the weight of each class, one number per line, or the weights with commas between them; for
    /// cross-entropy, nll, next-token
    #[arg(long, env = "ISOLOSS_CLASS_WEIGHTS", value_name = "FILE")]
    class_weights: Option<PathBuf>,
    /// The targets are shifted by one token already; for next-token
    #[arg(long, env = "ISOLOSS_SHIFTED")]
    shifted: bool,
    /// Error at which the Huber loss becomes linear (1); for huber
    #[arg(long, env = "ISOLOSS_HUBER_DELTA", value_name = "DELTA")]
    huber_delta: Option<f64>,
    /// Weight of a target of 1, one number, or one per class; for bce
    #[arg(
        long,
        env = "ISOLOSS_POS_WEIGHT",
        action = ArgAction::Set,
        value_delimiter = ',',
        value_name = "WEIGHT"
    )]
    pos_weight: Option<Vec<f32>>,
    /// Output of the model that the loss is of, by name or number from 0; by default `logits`, or the first
    #[arg(long, env = "ISOLOSS_OUTPUT", value_name = "NAME|N")]
    output: Option<String>,
    /// Column of the data that is the target; by default the labels
    #[arg(long, env = "ISOLOSS_TARGET", value_name = "NAME")]
    target: Option<String>,
}

impl LossArgs {
    /// Returns the loss that was asked for.
    ///
    /// # Errors
    /// An option does not belong to it or is out of range, or the file of weights cannot be read.
    pub(super) fn loss(&self) -> anyhow::Result<Loss> {
        self.check_belonging()?;
        Ok(match self.loss {
            Kind::CrossEntropy => Loss::CrossEntropy(self.classes()?),
            Kind::Nll => Loss::Nll(self.classes()?),
            Kind::NextToken => Loss::NextToken {
                classes: self.classes()?,
                shift: !self.shifted,
            },
            Kind::Mse => Loss::Mse,
            Kind::L1 => Loss::L1,
            Kind::Huber => Loss::Huber {
                delta: self.delta()?,
            },
            Kind::Bce => Loss::Bce {
                positive: self.positive()?,
            },
            Kind::Output => Loss::Output,
        })
    }

    /// Returns the output that the loss is of, by name or number; `None` if it is not said.
    #[must_use]
    pub(super) fn output(&self) -> Option<&str> {
        self.output.as_deref()
    }

    /// Returns the column of the data that is the target; `None` if it is not said.
    #[must_use]
    pub(super) fn target(&self) -> Option<&str> {
        self.target.as_deref()
    }

    /// Refuses options that the loss has no use for.
    fn check_belonging(&self) -> anyhow::Result<()> {
        use Kind::{Bce, CrossEntropy, Huber, NextToken, Nll};
        let options: [(&str, bool, &[Kind]); 6] = [
            (
                "--ignore-index",
                self.ignore_index.is_some(),
                &[CrossEntropy, Nll, NextToken],
            ),
            (
                "--label-smoothing",
                self.label_smoothing.is_some(),
                &[CrossEntropy, NextToken],
            ),
            (
                "--class-weights",
                self.class_weights.is_some(),
                &[CrossEntropy, Nll, NextToken],
            ),
            ("--shifted", self.shifted, &[NextToken]),
            ("--huber-delta", self.huber_delta.is_some(), &[Huber]),
            ("--pos-weight", self.pos_weight.is_some(), &[Bce]),
        ];
        for (option, is_given, of) in options {
            if is_given && !of.contains(&self.loss) {
                let of: Vec<String> = of.iter().map(|kind| kind.name()).collect();
                let given = self.loss.name();
                bail!(Usage(format!(
                    "{option} belongs to --loss {}, and the loss is {given}",
                    of.join(" or ")
                )));
            }
        }
        Ok(())
    }

    fn classes(&self) -> anyhow::Result<Classes> {
        let usual = Classes::default();
        let smoothing = self.label_smoothing.unwrap_or(usual.smoothing);
        if !(0.0..=1.0).contains(&smoothing) {
            bail!(Usage(format!(
                "--label-smoothing {smoothing}: expected a share from 0 to 1"
            )));
        }
        Ok(Classes {
            ignore: self.ignore_index.unwrap_or(usual.ignore),
            smoothing,
            weights: self.class_weights.as_deref().map(weights).transpose()?,
        })
    }

    fn delta(&self) -> anyhow::Result<f64> {
        let delta = self.huber_delta.unwrap_or(1.0);
        if delta > 0.0 && delta.is_finite() {
            return Ok(delta);
        }
        bail!(Usage(format!(
            "--huber-delta {delta}: expected a number above 0"
        )))
    }

    fn positive(&self) -> anyhow::Result<Option<Vec<f32>>> {
        if let Some(weights) = &self.pos_weight
            && let Some(wrong) = weights.iter().find(|weight| !is_weight(**weight))
        {
            bail!(Usage(format!(
                "--pos-weight {wrong}: expected weights of 0 or more"
            )));
        }
        Ok(self.pos_weight.clone())
    }
}

impl Kind {
    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Returns the weights of a list; `None` if it is the name of a file.
fn given(list: &str) -> Option<Vec<f32>> {
    let weights = list.split(',').map(|weight| weight.trim().parse().ok());
    let weights: Vec<f32> = weights.collect::<Option<_>>()?;
    weights.iter().copied().all(is_weight).then_some(weights)
}

fn is_weight(weight: f32) -> bool {
    weight >= 0.0 && weight.is_finite()
}

/// Returns a weight for each class: those that are given, or those of a file, between spaces, commas or line ends.
fn weights(path: &Path) -> anyhow::Result<Vec<f32>> {
    if let Some(weights) = path.to_str().and_then(given) {
        return Ok(weights);
    }
    if path.is_dir() {
        bail!("{}: expected a file of class weights", path.display());
    }
    let text = regular::read_text(path, LARGEST).with_context(|| path.display().to_string())?;
    let words = text
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|word| !word.is_empty());
    let mut weights = Vec::new();
    for word in words {
        let weight = word.parse().ok().filter(|weight| is_weight(*weight));
        weights.push(weight.with_context(|| {
            format!(
                "{}: expected class weights of 0 or more, a number a line, found {}",
                path.display(),
                brief(word, 40)
            )
        })?);
    }
    if weights.is_empty() {
        bail!("{}: expected class weights, found none", path.display());
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        loss: LossArgs,
    }

    fn args(options: &str) -> LossArgs {
        let words = ["isoloss"].into_iter().chain(options.split_whitespace());
        Line::try_parse_from(words).unwrap().loss
    }

    fn loss(options: &str) -> Loss {
        args(options).loss().unwrap()
    }

    fn refused(options: &str) -> String {
        args(options).loss().unwrap_err().to_string()
    }

    #[test]
    fn each_loss_is_named_as_it_is_asked_for() {
        assert_eq!(loss(""), Loss::default());
        for kind in Kind::value_variants() {
            let name = kind.name();
            assert_eq!(loss(&format!("--loss {name}")).name(), name);
        }
    }

    #[test]
    fn options_reach_their_loss() {
        let classes = |ignore, smoothing| Classes {
            ignore,
            smoothing,
            weights: None,
        };
        assert_eq!(
            loss("--ignore-index -1 --label-smoothing 0.1"),
            Loss::CrossEntropy(classes(-1, 0.1))
        );
        assert_eq!(
            loss("--loss nll --ignore-index 255"),
            Loss::Nll(classes(255, 0.0))
        );
        for (option, shift) in [("", true), ("--shifted", false)] {
            let classes = classes(-100, 0.0);
            assert_eq!(
                loss(&format!("--loss next-token {option}")),
                Loss::NextToken { classes, shift }
            );
        }
        assert_eq!(loss("--loss huber"), Loss::Huber { delta: 1.0 });
        assert_eq!(
            loss("--loss huber --huber-delta 0.5"),
            Loss::Huber { delta: 0.5 }
        );
        assert_eq!(
            loss("--loss bce --pos-weight 2,0.5"),
            Loss::Bce {
                positive: Some(vec![2.0, 0.5])
            }
        );
        let named = args("--output logits --target y");
        assert_eq!(
            (named.output(), named.target()),
            (Some("logits"), Some("y"))
        );
        assert_eq!((args("").output(), args("").target()), (None, None));
    }

    #[test]
    fn options_of_other_losses_are_refused() {
        let cases = [
            (
                "--loss mse --ignore-index 0",
                "--ignore-index belongs to --loss cross-entropy or nll or next-token, and the loss is mse",
            ),
            (
                "--loss nll --label-smoothing 0.1",
                "--label-smoothing belongs to --loss cross-entropy or next-token, and the loss is nll",
            ),
            (
                "--loss bce --class-weights w.txt",
                "--class-weights belongs to --loss cross-entropy or nll or next-token, and the loss is bce",
            ),
            (
                "--shifted",
                "--shifted belongs to --loss next-token, and the loss is cross-entropy",
            ),
            (
                "--loss l1 --huber-delta 1",
                "--huber-delta belongs to --loss huber, and the loss is l1",
            ),
            (
                "--loss output --pos-weight 1",
                "--pos-weight belongs to --loss bce, and the loss is output",
            ),
        ];
        for (options, said) in cases {
            assert_eq!(refused(options), said);
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let cases = [
            (
                "--label-smoothing 1.5",
                "--label-smoothing 1.5: expected a share from 0 to 1",
            ),
            (
                "--label-smoothing nan",
                "--label-smoothing NaN: expected a share from 0 to 1",
            ),
            (
                "--loss huber --huber-delta 0",
                "--huber-delta 0: expected a number above 0",
            ),
            (
                "--loss bce --pos-weight 1,inf",
                "--pos-weight inf: expected weights of 0 or more",
            ),
        ];
        for (options, said) in cases {
            assert_eq!(refused(options), said);
        }
    }

    #[test]
    fn class_weights_are_numbers_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weights.txt");
        let of = |text: &str| {
            std::fs::write(&file, text).unwrap();
            weights(&file).map_err(|error| {
                let said = format!("{error:#}");
                said.replace(&file.display().to_string(), "FILE")
            })
        };
        assert_eq!(of("0.5\n2\n1e-1\n"), Ok(vec![0.5, 2.0, 0.1]));
        assert_eq!(of("1, 2,3"), Ok(vec![1.0, 2.0, 3.0]));
        assert_eq!(
            of("1\n-2\n"),
            Err("FILE: expected class weights of 0 or more, a number a line, found -2".into())
        );
        assert_eq!(
            of("\n"),
            Err("FILE: expected class weights, found none".into())
        );
        assert_eq!(
            of(&"1 ".repeat(LARGEST as usize / 2 + 1)),
            Err("FILE: expected at most 4194304 bytes, found more".into())
        );
        let folder = weights(folder.path()).unwrap_err().to_string();
        assert!(
            folder.ends_with("expected a file of class weights"),
            "{folder}"
        );
    }
}
