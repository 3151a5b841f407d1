//! The user's own program that measures: `--evaluator` and its time.

use std::ffi::OsString;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use crate::config::{Config, PROGRAM};
use crate::data::{Count, Split};
use crate::evaluator::{EvaluatorCommand, EvaluatorOptions};

use super::time::time_within;

/// Shortest and longest time of an answer.
const TIMES: [Duration; 2] = [Duration::from_millis(1), Duration::from_secs(24 * 3600)];

/// The evaluator.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Model")]
pub(super) struct EvaluatorArgs {
    /// Program that measures the loss, on samples of its own, in place of a model and --data: 'python eval.py';
    /// `isoloss help evaluator` tells what it has to do
    #[arg(long, env = "ISOLOSS_EVALUATOR", value_name = "COMMAND")]
    evaluator: Option<EvaluatorCommand>,
    /// Longest time that the evaluator may take for a point: 60s, 5m; ten times that for the first one
    #[arg(long, env = "ISOLOSS_EVALUATOR_TIMEOUT", value_name = "TIME", default_value = "60s", value_parser = time)]
    evaluator_timeout: Duration,
    /// The place in a file that names the evaluator
    #[arg(long, hide = true, value_name = "FILE:LINE")]
    evaluator_from: Option<String>,
}

impl EvaluatorArgs {
    /// Returns true if an evaluator measures.
    pub(super) fn is_given(&self) -> bool {
        self.evaluator.is_some()
    }

    /// Returns the evaluator with the samples that are asked for.
    pub(super) fn options(
        &self,
        split: Split,
        samples: Count,
        seed: u64,
    ) -> Option<EvaluatorOptions> {
        let command = self.evaluator.clone()?;
        Some(EvaluatorOptions {
            command,
            from: self.evaluator_from.clone(),
            timeout: self.evaluator_timeout,
            split,
            samples,
            seed,
        })
    }
}

/// Returns the option that tells from which place in a file an evaluator is taken; `None` if it is from none.
pub(super) fn place(config: &Config, matches: &ArgMatches) -> Option<OsString> {
    let (_, matches) = matches.subcommand()?;
    // Commands that do not measure lack the option.
    let source = matches
        .try_contains_id(PROGRAM)
        .ok()?
        .then(|| matches.value_source(PROGRAM));
    if source.flatten() != Some(ValueSource::DefaultValue) {
        return None;
    }
    let (value, file) = config.value(PROGRAM)?;
    Some(format!("--evaluator-from={}:{}", file.path.display(), value.line).into())
}

fn time(text: &str) -> Result<Duration, String> {
    let time = time_within(text, TIMES);
    time.ok_or_else(|| "expected a time from 1ms to 1d such as 60s or 5m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_one_that_a_program_may_take() {
        let milliseconds = |text: &str| time(text).ok().map(|time| time.as_millis());
        assert_eq!(
            ["60s", "5m", "90", "250ms"].map(milliseconds),
            [60_000, 300_000, 90_000, 250].map(Some)
        );
        for wrong in ["", "0", "2d", "-1s", "soon"] {
            assert_eq!(milliseconds(wrong), None, "{wrong}");
        }
    }
}
