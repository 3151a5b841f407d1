//! `average` without a screen.

use std::fmt::Write;

use serde::Serialize;

use crate::data::Split;
use crate::landscape::evidence::Assumed;
use crate::landscape::surface::Measure;
use crate::plot::axis::short;

use super::{cell, csv_rows, loss, percent};

/// The loss of the average of the last few checkpoints.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Row {
    /// How many checkpoints are averaged.
    pub last: usize,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Fraction correct.
    pub accuracy: f64,
    /// Loss less that of the last checkpoint alone: below 0 averaging helps.
    pub change: f64,
}

impl Row {
    /// What was measured of the average of `last` checkpoints, beside the last one alone.
    #[must_use]
    pub fn of(last: usize, found: Measure, alone: Measure) -> Self {
        Self {
            last,
            loss: found.loss,
            accuracy: found.accuracy,
            change: found.loss - alone.loss,
        }
    }
}

/// Averages of the last checkpoints of a run. Field names are other programs' to rely on.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The run folder.
    pub run: String,
    /// The architecture.
    pub model: String,
    /// What was taken for granted of the function that is measured, and why.
    pub assumed: Assumed,
    /// Step of the last checkpoint.
    pub step: u64,
    /// Number of samples.
    pub samples: usize,
    /// Where they are from.
    pub split: Split,
    /// What became of running statistics: averaged, or taken anew.
    pub bn: &'static str,
    /// The last checkpoint alone first.
    pub averages: Vec<Row>,
}

impl Report {
    /// One row an average.
    ///
    /// # Errors
    /// Never: rows are written to memory.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let head = ["last", "loss", "accuracy", "change"]
            .map(str::to_owned)
            .to_vec();
        let rows = self.averages.iter().map(|row| {
            let values = [row.loss, row.accuracy, row.change].map(cell);
            [vec![row.last.to_string()], values.to_vec()].concat()
        });
        csv_rows(std::iter::once(head).chain(rows))
    }

    /// A sentence an average.
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
            let accuracy = percent(row.accuracy);
            let _ = match row.last {
                1 => writeln!(
                    text,
                    "the last checkpoint: loss {}, accuracy {accuracy}",
                    loss(row.loss)
                ),
                last => writeln!(
                    text,
                    "the average of the last {last} checkpoints would change the loss by {}{} to {}, accuracy {accuracy}",
                    if row.change < 0.0 { "-" } else { "+" },
                    short(row.change.abs()),
                    loss(row.loss),
                ),
            };
        }
        text
    }
}
