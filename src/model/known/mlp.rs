//! Multi-layer perceptrons: a chain of Linear layers with an activation between them, and perhaps norms.

use std::sync::Arc;

use super::chain::{Chain, Stage};
use super::detect::{Inventory, Mismatch};
use super::layers::{Layer, Writer};
use super::{Recognized, count};
use crate::model::program::{Program, Value};
use crate::model::reading::{NormPosition, Reading};

fn program(chain: &Chain, position: NormPosition) -> Arc<Program> {
    let features = chain.stages.first().map(|first| first.layer.inputs());
    let (mut writer, mut x) = Writer::of(&[features]);
    if let Some(norm) = &chain.first {
        x = writer.norm(x, norm);
    }
    x = write(&mut writer, x, &chain.stages, position);
    writer.finish(x)
}

/// Appends Linear layers with norms and activations between them.
pub(super) fn write(
    writer: &mut Writer,
    mut x: Value,
    stages: &[Stage],
    position: NormPosition,
) -> Value {
    for (i, stage) in stages.iter().enumerate() {
        if let Layer::Linear(linear) = &stage.layer {
            x = writer.linear(x, linear);
        }
        let is_last = i + 1 == stages.len();
        let position = stage.position().unwrap_or(position);
        if !is_last && position == NormPosition::After {
            x = writer.relu(x);
        }
        if let Some(norm) = &stage.norm {
            x = writer.norm(x, norm);
        }
        if !is_last && position == NormPosition::Before {
            x = writer.relu(x);
        }
    }
    x
}

/// Returns the widths of layers, e.g. `784-64-10`.
pub(super) fn widths(stages: &[Stage]) -> String {
    let first = stages.first().map(|first| first.layer.inputs());
    let outputs = stages.iter().map(|stage| stage.layer.outputs());
    let widths = first.into_iter().chain(outputs);
    let widths: Vec<String> = widths.map(|width| width.to_string()).collect();
    widths.join("-")
}

/// Reads an MLP of any layer names.
pub(super) fn recognize(mut inventory: Inventory, asked: Reading) -> Result<Recognized, Mismatch> {
    let chain = Chain::take(&mut inventory)?;
    if chain.stages.is_empty() {
        return Err(Mismatch::Missing("a Linear layer's weight".into()));
    }
    let mut stages = chain.stages.iter();
    if let Some(stage) = stages.find(|stage| matches!(stage.layer, Layer::Conv(_))) {
        let name = stage.layer.name();
        return Err(Mismatch::Structure(format!("{name} is a convolution")));
    }
    let usual = chain.open_position();
    let position = asked.norm_position.or(usual).unwrap_or_default();
    Ok(Recognized {
        name: "mlp".into(),
        evidence: format!(
            "{} of {}, widths {}{}{}",
            count(inventory.slots().len(), "tensor"),
            count(chain.stages.len(), "Linear layer"),
            widths(&chain.stages),
            norms(&chain, asked),
            asked.activation.map_or(
                "; names do not tell the activation".into(),
                |activation| format!(", {activation} between them")
            ),
        ),
        kept: None,
        untold: chain.untold(),
        program: program(&chain, position),
        reading: Reading {
            norm_position: usual.map(|_| position),
            ..Reading::default()
        },
        readings: Vec::new(),
        activations: Vec::new(),
    })
}

/// Says which norms there are, and what is assumed of them; empty if there are none.
pub(super) fn norms(chain: &Chain, asked: Reading) -> String {
    let norms = chain.norms();
    if norms.is_empty() {
        return norms;
    }
    let position = match (chain.open_position(), asked.norm_position) {
        (None, _) => "",
        (Some(_), Some(NormPosition::Before)) => " before the activation",
        (Some(_), Some(NormPosition::After)) => " after the activation",
        (Some(NormPosition::Before), None) => " before the activation assumed",
        (Some(NormPosition::After), None) => " after the activation assumed",
    };
    format!(", {norms}{position}, ε 0.00001 assumed")
}
