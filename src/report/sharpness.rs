//! `sharpness` without a screen.

use std::fmt::Write;

use serde::Serialize;

use crate::data::Split;
use crate::landscape::sharpness::REACH;
use crate::landscape::{Assumed, Beyond};
use crate::plot::axis::short;

use super::{cell, csv_rows, graph};

/// The critical step along one update.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SharpnessRow {
    /// Step of the checkpoint that the update led to.
    pub step: u64,
    /// Step, in lengths of the update, up to which the loss stayed below where it began; null if it was not
    /// found.
    pub critical_step: f64,
    /// Two over that: above 2 the update went uphill.
    pub sharpness: f64,
    /// Bound, if the critical step is only bounded: `below` the one that is given, or `above` all that were
    /// tried.
    pub beyond: Option<Beyond>,
    /// Losses that were measured.
    pub evaluations: usize,
    /// The learning rate of the update, where checkpoints or training's log tell it: those at both its ends differ by less
    /// than a quarter.
    pub learning_rate: Option<f64>,
}

/// Critical steps over training. Field names are other programs' to rely on.
#[derive(Clone, Debug, Serialize)]
pub struct SharpnessReport {
    /// The run folder.
    pub run: String,
    /// The architecture.
    pub model: String,
    /// Assumptions about the function that is measured, and the reasons for them.
    pub assumed: Assumed,
    /// Number of samples.
    pub samples: usize,
    /// Split of the samples.
    pub split: Split,
    /// One an update.
    pub updates: Vec<SharpnessRow>,
}

impl SharpnessReport {
    /// Returns one row an update.
    ///
    /// # Errors
    /// Never: rows are written to memory.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let head = [
            "step",
            "critical_step",
            "sharpness",
            "beyond",
            "evaluations",
            "learning_rate",
        ]
        .map(str::to_owned)
        .to_vec();
        let rows = self.updates.iter().map(|row| {
            let values = [cell(row.critical_step), cell(row.sharpness)];
            [
                vec![row.step.to_string()],
                values.to_vec(),
                vec![row.beyond.map_or("", side).to_owned()],
                vec![row.evaluations.to_string()],
                vec![row.learning_rate.map_or(String::new(), cell)],
            ]
            .concat()
        });
        csv_rows(std::iter::once(head).chain(rows))
    }

    /// Returns the last update in words, and all of them as a graph.
    #[must_use]
    pub fn text(&self, width: usize) -> String {
        let mut text = format!(
            "{}: {}, {} {} samples\n",
            self.run,
            self.model,
            self.samples,
            self.split.name()
        );
        text += &self.assumed.text();
        if let Some(last) = self.updates.last() {
            let _ = writeln!(text, "{}", sentence(last));
            if let Some(rate) = last.learning_rate {
                let _ = writeln!(text, "{}", at_rate(last, rate));
            }
        }
        let bounded = self
            .updates
            .iter()
            .filter(|row| row.beyond == Some(Beyond::Below));
        let bounded = bounded.count();
        if bounded > 0 {
            let _ = writeln!(
                text,
                "{bounded} of {} updates rose at once: drawn at {}, their sharpness is above it",
                self.updates.len(),
                short(2.0 / REACH[0])
            );
        }
        let steps: Vec<f64> = self.updates.iter().map(|row| row.step as f64).collect();
        let sharpness: Vec<f64> = self.updates.iter().map(|row| row.sharpness).collect();
        let curves = vec![graph::curve(&steps, &sharpness)];
        let graph = graph::plain("critical sharpness over steps", "", curves, Vec::new());
        let _ = write!(text, "\n{}", graph::text(&graph, width));
        text
    }
}

fn sentence(row: &SharpnessRow) -> String {
    let [shortest, longest] = REACH;
    let (step, losses) = (row.step, row.evaluations);
    match row.beyond {
        _ if row.critical_step.is_nan() => {
            format!("the update to step {step} began where the loss is not a number")
        }
        None => format!(
            "the update to step {step} could have been {} times as long before the loss rose: critical sharpness {} ({losses} losses)",
            short(row.critical_step),
            short(row.sharpness),
        ),
        Some(Beyond::Below) => format!(
            "the update to step {step} rose even at {} of its length, the shortest that was tried: critical sharpness above {} ({losses} losses)",
            short(shortest),
            short(2.0 / shortest),
        ),
        Some(Beyond::Above) => format!(
            "the update to step {step} found no rise within {} times its length: critical sharpness below {} ({losses} losses)",
            short(longest),
            short(2.0 / longest),
        ),
    }
}

/// Returns the same as learning rates: the update is as long as the rate is high. Sharpness above 2 in lengths of
/// the update is sharpness above 2/η along it.
fn at_rate(row: &SharpnessRow, rate: f64) -> String {
    let critical = row.critical_step * rate;
    let critical = if row.beyond.is_none() && critical.is_finite() {
        format!(", the critical one {}", short(critical))
    } else {
        String::new()
    };
    format!(
        "its learning rate was {}, 2/η {}{critical}",
        short(rate),
        short(2.0 / rate)
    )
}

fn side(beyond: Beyond) -> &'static str {
    match beyond {
        Beyond::Below => "below",
        Beyond::Above => "above",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::CriticalStep;
    use crate::report::PAGE;

    /// Creates the report of an update whose critical step was found at `step`.
    fn report(step: f64) -> SharpnessReport {
        let found = CriticalStep {
            step,
            evaluations: 5,
        };
        let row = SharpnessRow {
            step: 10,
            critical_step: step,
            sharpness: found.sharpness(),
            beyond: found.beyond(),
            evaluations: 5,
            learning_rate: Some(0.5),
        };
        SharpnessReport {
            run: "run".into(),
            model: "mlp".into(),
            assumed: Assumed::default(),
            samples: 9,
            split: Split::Train,
            updates: vec![row],
        }
    }

    #[test]
    fn a_bound_is_not_told_as_a_measurement() {
        let says = |step: f64, words: &str, json: &str| {
            let report = report(step);
            assert!(report.text(PAGE).contains(words), "{}", report.text(PAGE));
            let found = crate::report::json(&report).unwrap_or_default();
            assert!(found.contains(&format!("\"beyond\":{json}")), "{found}");
        };
        says(0.5, "could have been 0.5 times as long", "null");
        says(
            0.5,
            "learning rate was 0.5, 2/η 4, the critical one 0.25",
            "null",
        );
        says(REACH[0], "learning rate was 0.5, 2/η 4\n", "\"below\"");
        says(REACH[0], "critical sharpness above 32", "\"below\"");
        says(
            REACH[0],
            "1 of 1 updates rose at once: drawn at 32",
            "\"below\"",
        );
        says(f64::INFINITY, "critical sharpness below 0.125", "\"above\"");
        says(f64::NAN, "is not a number", "null");
        let csv = report(REACH[0]).csv().unwrap_or_default();
        assert!(csv.ends_with("10,0.0625,32,below,5,0.5\n"), "{csv}");
    }
}
