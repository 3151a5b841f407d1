//! `trainer_state.json` of Hugging Face's trainer: one object with the log so far, written at checkpoints.

use std::fmt;
use std::io::Read;
use std::path::Path;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::run::regular;

use super::{LARGEST, ReadLog, Series, TrainingLog};

/// The file's name, in a checkpoint's folder and in the run's.
pub const NAME: &str = "trainer_state.json";

/// The parts of it that are read.
#[derive(Debug, Deserialize)]
pub struct TrainerState {
    /// Optimizer steps so far.
    pub global_step: Option<u64>,
    #[serde(default)]
    log_history: LogHistory,
}

/// The lines of a log as what they tell, each taken as it is read: an empty one costs a few bytes on disk only.
#[derive(Debug, Default)]
struct LogHistory {
    train: Series,
    eval: Series,
    rate: Series,
}

impl<'de> Deserialize<'de> for LogHistory {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(HistoryVisitor)
    }
}

struct HistoryVisitor;

impl<'de> Visitor<'de> for HistoryVisitor {
    type Value = LogHistory;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of log lines")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut lines: A) -> Result<LogHistory, A::Error> {
        let mut log = LogHistory::default();
        while let Some(line) = lines.next_element::<Line>()? {
            for (series, value) in [
                (&mut log.train, line.loss),
                (&mut log.eval, line.eval_loss),
                (&mut log.rate, line.learning_rate),
            ] {
                if let Some(value) = value {
                    series.push(line.step, line.epoch, value);
                }
            }
        }
        Ok(log)
    }
}

/// A line has a loss and a rate, or the figures of an evaluation; a number that Python wrote as `NaN` is
/// null here.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(default)]
    step: u64,
    epoch: Option<f64>,
    #[serde(default, deserialize_with = "null_as_nan")]
    loss: Option<f64>,
    #[serde(default, deserialize_with = "null_as_nan")]
    eval_loss: Option<f64>,
    #[serde(default, deserialize_with = "null_as_nan")]
    learning_rate: Option<f64>,
}

/// Returns NaN for a key that is there and null.
fn null_as_nan<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    Ok(Some(Option::deserialize(from)?.unwrap_or(f64::NAN)))
}

impl TrainerState {
    /// Reads the file of this path. `None` if it is not there or still being written.
    ///
    /// # Errors
    /// It is too large, or not what the trainer writes; the sentence names it.
    pub fn read(path: &Path) -> Result<Option<Self>, String> {
        let mut text = Vec::new();
        let opened =
            regular::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text));
        if opened.is_err() {
            return Ok(None);
        }
        if text.len() as u64 > LARGEST {
            let most = LARGEST >> 20;
            return Err(format!(
                "{}: expected at most {most} MB of log, found more",
                path.display()
            ));
        }
        match serde_json::from_slice(&without_nan(&text)) {
            Ok(state) => Ok(Some(state)),
            Err(error) if error.is_eof() => Ok(None),
            Err(error) => Err(format!(
                "{}: expected the state of a trainer with a log_history, found {error}",
                path.display()
            )),
        }
    }

    /// Returns the last learning rate that was logged.
    #[must_use]
    pub fn learning_rate(&self) -> Option<f64> {
        let rates = self.log_history.rate.entries().iter().rev();
        rates.map(|entry| entry.value).find(|rate| rate.is_finite())
    }
}

/// Reads the log of a trainer; `None` while it is being written.
pub(super) fn read(path: &Path) -> Result<Option<ReadLog>, String> {
    let Some(state) = TrainerState::read(path)? else {
        return Ok(None);
    };
    let LogHistory { train, eval, rate } = state.log_history;
    let log = TrainingLog {
        train,
        eval,
        rate,
        ..TrainingLog::of(path)
    };
    let trouble = log.fullness();
    Ok(Some(ReadLog { log, trouble }))
}

/// Makes JSON of what Python writes: `NaN`, `Infinity` and `-Infinity` become `null` outside of strings. A last
/// word or number that is cut off is left out, so that the text ends there: `5e` is no number to a parser of
/// JSON, and then it does not say that the text ended.
fn without_nan(text: &[u8]) -> Vec<u8> {
    const WORDS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let mut out = Vec::with_capacity(text.len());
    let (mut rest, mut quoted) = (text, false);
    while let [byte, after @ ..] = rest {
        let word = WORDS.iter().find(|word| !quoted && rest.starts_with(word));
        if let Some(word) = word {
            out.extend_from_slice(b"null");
            rest = &rest[word.len()..];
            continue;
        }
        if !quoted && WORDS.iter().any(|word| word.starts_with(rest)) {
            break;
        }
        let escape = quoted && *byte == b'\\' && !after.is_empty();
        quoted ^= *byte == b'"';
        let taken = 1 + usize::from(escape);
        out.extend_from_slice(&rest[..taken]);
        rest = &rest[taken..];
    }
    let digit = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    while !quoted && out.last().is_some_and(digit) {
        out.pop();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_words_are_no_numbers() {
        let blank =
            |text: &str| String::from_utf8(without_nan(text.as_bytes())).unwrap_or_default();
        assert_eq!(
            blank(r#"{"NaN": NaN, "a\"NaN": [-Infinity,Infinity], "b\\": NaN}"#),
            r#"{"NaN": null, "a\"NaN": [null,null], "b\\": null}"#
        );
        for cut in ["\"\\", "\"", "\"Na"] {
            assert_eq!(blank(cut), cut);
        }
        for cut in ["[N", "[Na", "[-", "[-Infinit"] {
            assert_eq!(blank(cut), "[");
        }
        for cut in ["[5", "[5e", "[-2.5e-", "[5e-05"] {
            assert_eq!(blank(cut), "[");
        }
        assert_eq!(blank("\"5e"), "\"5e");
    }
}
