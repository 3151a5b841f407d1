//! `sharpness` without a screen.

use std::fmt::Write;

use serde::Serialize;

use crate::data::Split;
use crate::plot::axis::short;

use super::{cell, csv_rows, graph};

/// The critical step along one update.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Row {
    /// Step of the checkpoint that the update led to.
    pub step: u64,
    /// How far it could have gone before the loss rose above where it began, in lengths of the update;
    /// null where it was not found.
    pub critical_step: f64,
    /// Two over that: above 2 the update went uphill.
    pub sharpness: f64,
    /// Losses that were measured.
    pub evaluations: usize,
}

/// Critical steps over training. Field names are other programs' to rely on.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The run folder.
    pub run: String,
    /// The architecture.
    pub model: String,
    /// Number of samples.
    pub samples: usize,
    /// Where they are from.
    pub split: Split,
    /// One an update.
    pub updates: Vec<Row>,
}

impl Report {
    /// One row an update.
    ///
    /// # Errors
    /// Never: rows are written to memory.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let head = ["step", "critical_step", "sharpness", "evaluations"]
            .map(str::to_owned)
            .to_vec();
        let rows = self.updates.iter().map(|row| {
            let values = [cell(row.critical_step), cell(row.sharpness)];
            [
                vec![row.step.to_string()],
                values.to_vec(),
                vec![row.evaluations.to_string()],
            ]
            .concat()
        });
        csv_rows(std::iter::once(head).chain(rows))
    }

    /// The last update in words, and all of them as a graph.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}: {}, {} {} samples\n",
            self.run,
            self.model,
            self.samples,
            self.split.name()
        );
        if let Some(last) = self.updates.last() {
            let _ = if last.critical_step.is_finite() {
                writeln!(
                    text,
                    "the update to step {} could have been {} times as long before the loss rose: critical sharpness {} ({} losses)",
                    last.step,
                    short(last.critical_step),
                    short(last.sharpness),
                    last.evaluations
                )
            } else {
                writeln!(
                    text,
                    "the update to step {} found no rise within 16 times its length",
                    last.step
                )
            };
        }
        let steps: Vec<f64> = self.updates.iter().map(|row| row.step as f64).collect();
        let sharpness: Vec<f64> = self.updates.iter().map(|row| row.sharpness).collect();
        let curve = graph::curve(&steps, &sharpness);
        let _ = write!(
            text,
            "\n{}",
            graph::text("critical sharpness over steps", "", vec![curve], Vec::new())
        );
        text
    }
}
