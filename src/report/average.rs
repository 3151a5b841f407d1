//! `average` without a screen.

use std::fmt::Write;

use serde::Serialize;

use crate::data::Split;
use crate::landscape::Assumed;
use crate::loss::Measure;
use crate::loss::Score;
use crate::plot::axis::change;

use super::score::{self, Keyed};
use super::{cell, csv_rows, loss};

/// The loss of the average of the last few checkpoints.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AverageRow {
    /// Number of checkpoints that are averaged.
    pub last: usize,
    /// Mean loss.
    pub loss: f64,
    /// The score.
    #[serde(flatten)]
    pub score: Keyed<f64>,
    /// Loss less that of the last checkpoint alone: below 0 averaging helps.
    pub change: f64,
}

impl AverageRow {
    /// Compares the average of `last` checkpoints with the last one alone.
    #[must_use]
    pub fn of(last: usize, score: Option<Score>, found: Measure, alone: Measure) -> Self {
        Self {
            last,
            loss: found.loss,
            score: Keyed {
                score,
                numbers: found.score,
            },
            change: found.loss - alone.loss,
        }
    }
}

/// Averages of the last checkpoints of a run. Field names are other programs' to rely on.
#[derive(Clone, Debug, Serialize)]
pub struct AverageReport {
    /// The run folder.
    pub run: String,
    /// The architecture.
    pub model: String,
    /// Assumptions about the function that is measured, and the reasons for them.
    pub assumed: Assumed,
    /// Step of the last checkpoint.
    pub step: u64,
    /// Number of samples.
    pub samples: usize,
    /// Split of the samples.
    pub split: Split,
    /// Treatment of running statistics: averaged, or taken anew.
    pub bn: &'static str,
    /// The last checkpoint alone first.
    pub averages: Vec<AverageRow>,
}

impl AverageReport {
    /// Returns one row an average.
    ///
    /// # Errors
    /// Never: rows are written to memory.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let score = self.averages.first().and_then(|row| row.score.score);
        let head = score::head(&["last", "loss", "score", "change"], score);
        let rows = self.averages.iter().map(|row| {
            let start = [row.last.to_string(), cell(row.loss)].into_iter();
            let score = row.score.cell(|score| *score);
            start.chain(score).chain([cell(row.change)]).collect()
        });
        csv_rows(std::iter::once(head).chain(rows))
    }

    /// Returns a sentence an average.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}: {}, step {}, {} {} samples, running statistics {}\n",
            self.run,
            self.model,
            self.step,
            self.samples,
            self.split.name(),
            self.bn
        );
        text += &self.assumed.text();
        for row in &self.averages {
            let beside = score::behind(row.score.score, row.score.numbers);
            let _ = match row.last {
                1 => writeln!(text, "the last checkpoint: loss {}{beside}", loss(row.loss)),
                last => {
                    let loss = loss(row.loss);
                    let does = change(row.change, &loss).map_or_else(
                        || "would leave the loss at".to_owned(),
                        |by| format!("would change the loss by {by} to"),
                    );
                    writeln!(
                        text,
                        "the average of the last {last} checkpoints {does} {loss}{beside}"
                    )
                }
            };
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    fn report(score: Option<Score>) -> AverageReport {
        let measure = |loss| Measure { loss, score: 0.5 };
        AverageReport {
            run: "run".into(),
            model: "mlp".into(),
            assumed: Assumed::default(),
            step: 3,
            samples: 10,
            split: Split::Train,
            bn: "averaged",
            averages: vec![AverageRow::of(1, score, measure(0.25), measure(0.25))],
        }
    }

    #[test]
    fn a_score_has_its_own_name_everywhere_and_goes_where_there_is_none() {
        for (score, row, head, said) in [
            (
                Some(Score::Accuracy),
                r#"{"last":1,"loss":0.25,"accuracy":0.5,"change":0.0}"#,
                "last,loss,accuracy,change\n1,0.25,0.5,0\n",
                "the last checkpoint: loss 0.2500, accuracy 50.0 %\n",
            ),
            (
                Some(Score::RSquared),
                r#"{"last":1,"loss":0.25,"r2":0.5,"change":0.0}"#,
                "last,loss,r2,change\n1,0.25,0.5,0\n",
                "the last checkpoint: loss 0.2500, R² 0.500\n",
            ),
            (
                None,
                r#"{"last":1,"loss":0.25,"change":0.0}"#,
                "last,loss,change\n1,0.25,0\n",
                "the last checkpoint: loss 0.2500\n",
            ),
        ] {
            let report = report(score);
            let json = serde_json::to_string(&report.averages).unwrap();
            assert_eq!(json, format!("[{row}]"));
            assert_eq!(report.csv().unwrap(), head);
            assert!(report.text().ends_with(said), "{}", report.text());
        }
    }
}
