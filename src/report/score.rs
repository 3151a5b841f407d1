//! The score of a loss in reports: under its own key for programs, by its own name for people.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::loss::Measure;
use crate::loss::Score;

use super::{cell, loss, percent};

/// Numbers under the key of their score; nothing if there is none. It stands flattened in what is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keyed<T> {
    /// The score.
    pub score: Option<Score>,
    /// Its numbers.
    pub numbers: T,
}

impl<T> Keyed<T> {
    /// Returns the cell that one of the numbers has in a table; `None` if there is no score.
    pub(super) fn cell(&self, number: impl FnOnce(&T) -> f64) -> Option<String> {
        self.score.map(|_| cell(number(&self.numbers)))
    }
}

impl<T: Serialize> Serialize for Keyed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(usize::from(self.score.is_some())))?;
        if let Some(score) = self.score {
            map.serialize_entry(score.key(), &self.numbers)?;
        }
        map.end()
    }
}

/// Returns a score for people: `91.2 %`, `23.4`, `0.912`.
pub(super) fn number(score: Score, value: f64) -> String {
    match score {
        Score::Accuracy => percent(value),
        Score::Perplexity => loss(value),
        Score::RSquared if value.is_finite() => format!("{value:.3}"),
        Score::RSquared => "not a number".into(),
    }
}

/// Returns a score behind a loss: `, accuracy 91.2 %`; empty if there is none.
pub(super) fn behind(score: Option<Score>, value: f64) -> String {
    score.map_or_else(String::new, |score| {
        format!(", {} {}", score.name(), number(score, value))
    })
}

/// Returns the result on test samples: `test error 8.8 %`, `test perplexity 23.4`, `test loss 0.12`.
pub(super) fn on_test(score: Option<Score>, measure: Measure) -> String {
    match score {
        Some(Score::Accuracy) => format!("test error {}", percent(1.0 - measure.score)),
        Some(score) => format!("test {} {}", score.name(), number(score, measure.score)),
        None => format!("test loss {}", loss(measure.loss)),
    }
}

/// Returns the columns of a table with that of the score among them, which `columns` has as `score`; without it if
/// there is none.
pub(super) fn head(columns: &[&str], score: Option<Score>) -> Vec<String> {
    let named = columns.iter().filter_map(|column| {
        if !column.ends_with("score") {
            return Some((*column).to_owned());
        }
        score.map(|score| column.replace("score", score.key()))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Serialize)]
    struct Row {
        loss: f64,
        #[serde(flatten)]
        score: Keyed<f64>,
        change: f64,
    }

    fn json(score: Option<Score>) -> Option<String> {
        let row = Row {
            loss: 1.0,
            score: Keyed {
                score,
                numbers: 0.5,
            },
            change: 0.25,
        };
        serde_json::to_string(&row).ok()
    }

    #[test]
    fn numbers_stand_under_the_key_of_their_score_in_their_place() {
        for (score, expected) in [
            (
                Some(Score::Accuracy),
                r#"{"loss":1.0,"accuracy":0.5,"change":0.25}"#,
            ),
            (
                Some(Score::Perplexity),
                r#"{"loss":1.0,"perplexity":0.5,"change":0.25}"#,
            ),
            (
                Some(Score::RSquared),
                r#"{"loss":1.0,"r2":0.5,"change":0.25}"#,
            ),
            (None, r#"{"loss":1.0,"change":0.25}"#),
        ] {
            assert_eq!(json(score).as_deref(), Some(expected));
        }
    }

    #[test]
    fn columns_are_named_by_the_score() {
        let columns = ["x", "loss", "train_score", "measured"];
        assert_eq!(
            head(&columns, Some(Score::RSquared)),
            ["x", "loss", "train_r2", "measured"]
        );
        assert_eq!(head(&columns, None), ["x", "loss", "measured"]);
    }

    #[test]
    fn people_read_each_score_in_its_own_way() {
        assert_eq!(behind(Some(Score::Accuracy), 0.9123), ", accuracy 91.2 %");
        assert_eq!(
            behind(Some(Score::Perplexity), 23.412),
            ", perplexity 23.41"
        );
        assert_eq!(behind(Some(Score::RSquared), 0.91234), ", R² 0.912");
        assert_eq!(behind(Some(Score::RSquared), f64::NAN), ", R² not a number");
        assert_eq!(behind(None, 0.5), "");
    }
}
