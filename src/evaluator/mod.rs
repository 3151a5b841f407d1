//! Losses from a program of the user's own, for what no graph can carry: protocol 1 of `docs/evaluator.md`.
//!
//! ```text
//! plane, weights ─▶ files ─▶ connection ─▶ process ══ JSON lines ══▶ the user's program
//!                  (safetensors)  │  (starts it again)  ◀═══════════
//!                                 ▼
//!                              Measure
//! ```
//!
//! A plane goes once, as files; then a point is two numbers, and the program moves its weights in place, on its own
//! device. It owns the samples and the loss. isoloss knows no derivatives of it.

mod connection;
mod files;
pub mod message;
pub(crate) mod process;

pub(crate) use process::{Process, Silence, Spoken};

use std::fmt;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::data::{Count, Split};

pub use self::connection::{Connection, Tell};
pub use self::files::SentPlane;
pub use self::process::Stop;

/// The protocol that this isoloss speaks.
pub const PROTOCOL: u32 = 1;

/// An evaluator and the samples that it is to measure on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluatorOptions {
    /// The program and its arguments.
    pub command: EvaluatorCommand,
    /// Place in a file that names it, as `FILE:LINE`; `None` if the user named it at the start.
    #[serde(default)]
    pub from: Option<String>,
    /// Longest time until an answer; the first one of a process may take ten times as long.
    pub timeout: Duration,
    /// Train or test.
    pub split: Split,
    /// Number of samples that are wanted.
    pub samples: Count,
    /// Seed by which the evaluator may choose them.
    pub seed: u64,
}

impl EvaluatorOptions {
    /// Says which file has it run; `None` if the user named it at the start.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        let from = self.from.as_ref()?;
        Some(format!("evaluator {} is run as {from} says", self.command))
    }
}

/// A program and its arguments, as a shell would split them.
///
/// ```
/// use isoloss::evaluator::EvaluatorCommand;
///
/// let command: EvaluatorCommand = "python eval.py --name 'my run'".parse()?;
/// assert_eq!(command.words(), ["python", "eval.py", "--name", "my run"]);
/// assert!("python 'eval.py".parse::<EvaluatorCommand>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluatorCommand(Vec<String>);

impl std::str::FromStr for EvaluatorCommand {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match shlex::split(text) {
            Some(words) if !words.is_empty() => Ok(Self(words)),
            _ => Err(format!(
                "expected a command such as 'python eval.py', with quotes closed, got {text:?}"
            )),
        }
    }
}

impl EvaluatorCommand {
    /// Returns the program and its arguments.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.0
    }
}

/// As a shell takes it apart again.
impl fmt::Display for EvaluatorCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.0.iter().map(String::as_str);
        let joined = shlex::try_join(words).unwrap_or_else(|_| self.0.join(" "));
        f.write_str(&joined)
    }
}

/// Reasons why an evaluator gives no loss.
#[derive(Debug, thiserror::Error)]
pub enum EvaluatorError {
    /// The program cannot be started, or ends before it is ready.
    #[error("evaluator {command}: {why}")]
    NotReady {
        /// The program.
        command: EvaluatorCommand,
        /// The reason.
        why: String,
    },
    /// The program speaks another protocol.
    #[error(
        "evaluator {command}: it speaks protocol {theirs}, this isoloss speaks protocol {PROTOCOL}"
    )]
    Protocol {
        /// The program.
        command: EvaluatorCommand,
        /// Its protocol.
        theirs: u32,
    },
    /// The program has no such samples.
    #[error("evaluator {command}: expected {split} samples, it has those of {known}")]
    NoSplit {
        /// The program.
        command: EvaluatorCommand,
        /// The samples that were asked for.
        split: &'static str,
        /// The samples that it has.
        known: String,
    },
    /// The program has no loss at this point.
    #[error("evaluator {command}: {why}")]
    Point {
        /// The program.
        command: EvaluatorCommand,
        /// The program's own reason, or that it ended at the point twice.
        why: String,
    },
    /// The weights cannot be handed over.
    #[error("weights for the evaluator {command} cannot be written: {source}")]
    Files {
        /// The program.
        command: EvaluatorCommand,
        /// The reason.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_like_a_shell_would_and_written_so_again() {
        let command: Result<EvaluatorCommand, String> =
            "python3 'my eval.py' --lr=0.1 \"a b\"".parse();
        let words = ["python3", "my eval.py", "--lr=0.1", "a b"].map(str::to_owned);
        assert_eq!(
            command.as_ref().map(EvaluatorCommand::words),
            Ok(&words[..])
        );
        let written = command.map(|command| command.to_string());
        let again = written.and_then(|text| text.parse::<EvaluatorCommand>());
        assert_eq!(again.map(|again| again.0), Ok(words.to_vec()));
        for wrong in ["", "  ", "python 'eval.py"] {
            assert!(wrong.parse::<EvaluatorCommand>().is_err(), "{wrong}");
        }
    }
}
