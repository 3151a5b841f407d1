//! `inspect` without a screen.

use std::fmt::Write;

use serde::Serialize;

use crate::plot::axis::short;
use crate::run::{Series, TrainingLog};

use super::{WIDEST, cell, csv_rows, in_column};

/// One tensor of a checkpoint.
#[derive(Clone, Debug, Serialize)]
pub struct TensorReport {
    /// Name, prefixes stripped.
    pub name: String,
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Element type in the file.
    pub dtype: String,
    /// `parameter`, `running statistic` or `buffer`.
    pub role: &'static str,
    /// Frobenius norm; `None` for integers.
    pub norm: Option<f64>,
}

/// A checkpoint of the run that does not count.
#[derive(Clone, Debug, Serialize)]
pub struct LeftOutFile {
    /// The file or folder.
    pub path: String,
    /// Reason for it.
    pub reason: String,
}

/// The log that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Log {
    /// The file, or the folder of event files.
    pub path: String,
    /// The last step that it tells of.
    pub last_step: Option<u64>,
    /// The last training loss.
    pub train_loss: Option<f64>,
    /// The last loss on held-out samples.
    pub eval_loss: Option<f64>,
    /// The last learning rate.
    pub learning_rate: Option<f64>,
}

impl From<&TrainingLog> for Log {
    fn from(log: &TrainingLog) -> Self {
        let last = |series: &Series| Some(series.last()?.value);
        Self {
            path: log.source.display().to_string(),
            last_step: log.last_step(),
            train_loss: last(&log.train),
            eval_loss: last(&log.eval),
            learning_rate: last(&log.rate),
        }
    }
}

/// Contents of a checkpoint.
#[derive(Clone, Debug, Serialize)]
pub struct InspectReport {
    /// The file or folder that was inspected.
    pub path: String,
    /// Its training step, if it tells one.
    pub step: Option<u64>,
    /// The nested key of the state dict.
    pub key: Option<String>,
    /// Trainable parameters.
    pub parameters: usize,
    /// ‖θ‖ over the trainable parameters.
    pub norm: f64,
    /// The architecture, if it was recognized.
    pub model: Option<String>,
    /// Features that were seen, or why nothing was recognized.
    pub evidence: String,
    /// Its tensors in their own order.
    pub tensors: Vec<TensorReport>,
    /// Steps of the run that it belongs to; empty for a single checkpoint.
    pub steps: Vec<u64>,
    /// Checkpoints of the run that cannot be read.
    pub left_out: Vec<LeftOutFile>,
    /// Training's own log, where the run has one.
    pub log: Option<Log>,
}

impl InspectReport {
    /// Returns one row a tensor.
    ///
    /// # Errors
    /// Never: rows are written to memory.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let head = ["name", "shape", "dtype", "role", "norm"]
            .map(str::to_owned)
            .to_vec();
        let rows = self.tensors.iter().map(|tensor| {
            let norm = tensor.norm.map_or_else(String::new, cell);
            vec![
                tensor.name.clone(),
                extents(&tensor.shape),
                tensor.dtype.clone(),
                tensor.role.into(),
                norm,
            ]
        });
        csv_rows(std::iter::once(head).chain(rows))
    }

    /// Returns the summary and table.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.path);
        if let (Some(first), Some(last)) = (self.steps.first(), self.steps.last()) {
            let shown = match self.step.filter(|step| step != last) {
                Some(step) => format!("step {step} is shown, because it was written last"),
                None => "the last one is shown".into(),
            };
            let _ = writeln!(
                text,
                "run of {} checkpoints, steps {first} to {last}; {shown}",
                self.steps.len()
            );
        }
        let step = self
            .step
            .map_or_else(|| "no step".into(), |step| format!("step {step}"));
        let key = self
            .key
            .as_ref()
            .map_or_else(String::new, |key| format!(", state dict under {key}"));
        let _ = writeln!(
            text,
            "{step}, {} parameters, norm {:.4}{key}",
            self.parameters, self.norm
        );
        match &self.model {
            Some(model) => _ = writeln!(text, "model {model}: {}", self.evidence),
            None => _ = writeln!(text, "model not recognized: {}", self.evidence),
        }
        if let Some(log) = &self.log {
            let _ = writeln!(text, "log {}", log_line(log));
        }
        for left in &self.left_out {
            let _ = writeln!(text, "left out: {}", left.reason);
        }
        text.push('\n');
        text += &self.table();
        text
    }

    fn table(&self) -> String {
        let width = self
            .tensors
            .iter()
            .map(|tensor| tensor.name.chars().count())
            .max()
            .unwrap_or(0)
            .clamp(4, WIDEST);
        let mut text = format!(
            "{:width$}  {:>16}  {:>5}  {:>12}  role\n",
            "name", "shape", "type", "norm"
        );
        for tensor in &self.tensors {
            let norm = tensor
                .norm
                .map_or_else(String::new, |norm| format!("{norm:.6}"));
            let shape = extents(&tensor.shape);
            let _ = writeln!(
                text,
                "{:width$}  {shape:>16}  {:>5}  {norm:>12}  {}",
                in_column(&tensor.name),
                tensor.dtype,
                tensor.role
            );
        }
        text
    }
}

/// Returns its path, how far it reaches and what stands last in it.
pub(super) fn log_line(log: &Log) -> String {
    let step = log.last_step.unwrap_or_default();
    let mut line = format!("{}, to step {step}", log.path);
    for (name, value) in [
        ("train loss", log.train_loss),
        ("evaluation loss", log.eval_loss),
        ("learning rate", log.learning_rate),
    ] {
        if let Some(value) = value {
            let _ = write!(line, ", {name} {}", short(value));
        }
    }
    line
}

fn extents(shape: &[usize]) -> String {
    if shape.is_empty() {
        return "scalar".into();
    }
    shape
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("×")
}
