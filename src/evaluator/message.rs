//! The lines between isoloss and an evaluator, one JSON object each.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize, Serializer};

/// A line to the evaluator.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EvaluatorRequest<'a> {
    /// The first line.
    Hello(Hello<'a>),
    /// A plane, which points lie on from now on.
    Plane(PlaneFilesMessage<'a>),
    /// A point of a plane.
    Measure(PointMessage<'a>),
    /// Weights off every plane.
    Weights(WeightsMessage<'a>),
    /// The last line.
    Stop {},
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Hello<'a> {
    pub(super) protocol: u32,
    /// Version of isoloss.
    pub(super) isoloss: &'a str,
    /// Folder that the checkpoint lies in.
    #[serde(serialize_with = "path")]
    pub(super) run: &'a Path,
    /// The newest checkpoint.
    #[serde(serialize_with = "path")]
    pub(super) checkpoint: &'a Path,
    /// Number of samples that are wanted; `None` for all.
    pub(super) samples: Option<usize>,
    pub(super) seed: u64,
    /// The device that isoloss was asked for, e.g. `auto` or `cuda:1`.
    pub(super) device: &'a str,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct PlaneFilesMessage<'a> {
    pub(super) id: u64,
    /// The newest checkpoint.
    #[serde(serialize_with = "path")]
    pub(super) checkpoint: &'a Path,
    #[serde(serialize_with = "path")]
    pub(super) origin: &'a Path,
    #[serde(serialize_with = "path")]
    pub(super) x: &'a Path,
    #[serde(serialize_with = "path")]
    pub(super) y: &'a Path,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct PointMessage<'a> {
    pub(super) id: u64,
    pub(super) plane: u64,
    pub(super) at: [f64; 2],
    pub(super) split: &'a str,
    pub(super) samples: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct WeightsMessage<'a> {
    pub(super) id: u64,
    #[serde(serialize_with = "path")]
    pub(super) file: &'a Path,
    pub(super) split: &'a str,
    pub(super) samples: usize,
}

/// Serializes a path, of which JSON has none that is not UTF-8.
fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// A line of the evaluator: one of these is there, keys that are not known are left alone.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Line {
    ready: Option<Ready>,
    plane: Option<TakenPlane>,
    measured: Option<Measured>,
    failed: Option<Failed>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct TakenPlane {
    id: u64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Measured {
    id: u64,
    loss: Number,
    #[serde(default)]
    score: Option<Number>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Failed {
    id: u64,
    #[serde(default)]
    why: String,
}

/// A number, or a word for one that JSON does not have.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Word(NotFinite),
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
enum NotFinite {
    #[serde(rename = "nan", alias = "NaN")]
    Nan,
    #[serde(rename = "inf", alias = "Infinity")]
    Above,
    #[serde(rename = "-inf", alias = "-Infinity")]
    Below,
}

impl Number {
    fn value(&self) -> f64 {
        match self {
            Self::Finite(value) => *value,
            Self::Word(NotFinite::Nan) => f64::NAN,
            Self::Word(NotFinite::Above) => f64::INFINITY,
            Self::Word(NotFinite::Below) => f64::NEG_INFINITY,
        }
    }
}

/// The evaluator's introduction of itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Ready {
    /// The protocol that it speaks.
    pub protocol: u32,
    /// Name of the score beside the loss; `None` if there is none.
    #[serde(default)]
    pub score: Option<String>,
    /// Name of the device that it measures on.
    #[serde(default)]
    pub device: String,
    /// Number of samples of each split.
    pub samples: BTreeMap<String, usize>,
}

/// An answer of the evaluator.
#[derive(Clone, Debug, PartialEq)]
pub enum EvaluatorAnswer {
    /// The answer to `hello`.
    Ready(Ready),
    /// The plane of this id is taken.
    Plane(u64),
    /// The answer to a point.
    Measured {
        /// Number of the question.
        id: u64,
        /// The loss.
        loss: f64,
        /// The score; NaN if there is none.
        score: f64,
    },
    /// The point has no loss.
    Failed {
        /// Number of the question.
        id: u64,
        /// The reason, in its own words.
        why: String,
    },
}

impl EvaluatorAnswer {
    /// Returns true for a line that is meant as an answer to `hello` and is none.
    #[must_use]
    pub fn is_malformed_greeting(line: &str) -> bool {
        let line_is = |line: &serde_json::Value| {
            ["ready", "failed"]
                .iter()
                .any(|key| line.get(key).is_some())
        };
        let value = serde_json::from_str(line);
        value.is_ok_and(|value| line_is(&value)) && !matches!(Self::of(line), Some(Self::Ready(_)))
    }

    /// Reads a line; `None` if it is no answer.
    #[must_use]
    pub fn of(line: &str) -> Option<Self> {
        let line: Line = serde_json::from_str(line).ok()?;
        let measured = |found: Measured| Self::Measured {
            id: found.id,
            loss: found.loss.value(),
            score: found.score.map_or(f64::NAN, |score| score.value()),
        };
        let plane = line.plane.map(|plane| Self::Plane(plane.id));
        let failed = line
            .failed
            .map(|Failed { id, why }| Self::Failed { id, why });
        let answer = line.ready.map(Self::Ready).or(plane);
        answer.or(line.measured.map(measured)).or(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_lacks_are_words_and_unknown_keys_are_left_alone() {
        let loss = |text: &str| {
            let line =
                format!(r#"{{"measured": {{"id": 4, "loss": {text}, "time": 3}}, "by": 1}}"#);
            match EvaluatorAnswer::of(&line) {
                Some(EvaluatorAnswer::Measured { id: 4, loss, score }) if score.is_nan() => {
                    Some(loss)
                }
                _ => None,
            }
        };
        assert_eq!(loss("0.25"), Some(0.25));
        assert_eq!(loss("2"), Some(2.0));
        assert!(loss(r#""nan""#).is_some_and(f64::is_nan));
        assert_eq!(loss(r#""inf""#), Some(f64::INFINITY));
        assert_eq!(loss(r#""-inf""#), Some(f64::NEG_INFINITY));
        for wrong in ["null", r#""low""#, "[1]", "NaN"] {
            assert_eq!(loss(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_ready_that_lacks_something_is_told_from_banners() {
        for wrong in [
            r#"{"ready": {"samples": {"train": 3}}}"#,
            r#"{"ready": {"protocol": 1, "samples": {"train": -5}}}"#,
            r#"{"failed": {"id": 0, "why": "no data"}}"#,
        ] {
            assert!(EvaluatorAnswer::is_malformed_greeting(wrong), "{wrong}");
        }
        let right = r#"{"ready": {"protocol": 1, "samples": {"train": 3}}}"#;
        for other in [right, "welcome", r#"{"level": "info"}"#, "3"] {
            assert!(!EvaluatorAnswer::is_malformed_greeting(other), "{other}");
        }
    }

    #[test]
    fn a_line_without_an_answer_is_none() {
        for line in [
            "",
            "{}",
            "loading data",
            "[1, 2]",
            r#"{"measured": 3}"#,
            r#"{"ready": {}}"#,
        ] {
            assert_eq!(EvaluatorAnswer::of(line), None, "{line}");
        }
        let failed = EvaluatorAnswer::of(r#"{"failed": {"id": 3, "why": "no memory"}}"#);
        let why = "no memory".to_owned();
        assert_eq!(failed, Some(EvaluatorAnswer::Failed { id: 3, why }));
    }
}
