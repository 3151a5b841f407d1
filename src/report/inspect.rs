//! `inspect` without a screen.

use std::fmt::Write;

use serde::Serialize;

use super::{cell, csv_rows};

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
    /// Frobenius norm; none for integers.
    pub norm: Option<f64>,
}

/// A checkpoint of the run that does not count.
#[derive(Clone, Debug, Serialize)]
pub struct LeftOut {
    /// The file or folder.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// What a checkpoint holds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
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
    /// What was seen, or why nothing was recognized.
    pub evidence: String,
    /// Its tensors in their own order.
    pub tensors: Vec<TensorReport>,
    /// Steps of the run that it belongs to; empty for a single checkpoint.
    pub steps: Vec<u64>,
    /// Checkpoints of the run that cannot be read.
    pub left_out: Vec<LeftOut>,
}

impl Report {
    /// One row a tensor.
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

    /// Summary and table.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.path);
        if let (Some(first), Some(last)) = (self.steps.first(), self.steps.last()) {
            let _ = writeln!(
                text,
                "run of {} checkpoints, steps {first} to {last}; the last one is shown",
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
            .max(4);
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
                tensor.name, tensor.dtype, tensor.role
            );
        }
        text
    }
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
