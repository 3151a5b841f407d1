//! Multi-layer perceptrons: a chain of Linear layers with ReLU between them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::detect::{Inventory, Misfit};
use super::layers::{Linear, Writer};
use super::{Recognized, count};
use crate::model::activation::Activation;
use crate::model::program::Program;
use crate::model::reading::Reading;

fn program(layers: &[Linear]) -> Arc<Program> {
    let features = layers.first().map(|first| first.inputs);
    let (mut writer, mut x) = Writer::of(&[features]);
    for (i, layer) in layers.iter().enumerate() {
        if i > 0 {
            x = writer.relu(x);
        }
        x = writer.linear(x, layer);
    }
    writer.finish(x)
}

/// Names of the tensors that cannot be a Linear layer's.
pub(super) fn strangers(inventory: &Inventory) -> Vec<String> {
    let stranger = |slot: &&crate::weights::layout::Slot| {
        let member = slot.name.rsplit('.').next();
        !matches!(
            (member, slot.rank()),
            (Some("weight"), 2) | (Some("bias"), 1)
        )
    };
    let strangers = inventory.slots().iter().filter(stranger);
    strangers.map(|slot| slot.name.clone()).collect()
}

/// Reads an MLP of any layer names.
pub(super) fn recognize(
    mut inventory: Inventory,
    activation: Option<Activation>,
) -> Result<Recognized, Misfit> {
    let prefixes = inventory.slots().iter().filter_map(|slot| {
        let prefix = slot.name.strip_suffix("weight")?;
        Some(prefix.strip_suffix('.').unwrap_or(prefix))
    });
    let mut layers = Vec::new();
    for prefix in prefixes {
        layers.push((prefix, Linear::take(&mut inventory, prefix, None)?));
    }
    inventory.finish()?;
    let layers = in_order(layers)?;
    let Some(first) = layers.first() else {
        return Err(Misfit::Missing("a Linear layer's weight".into()));
    };
    let widths: Vec<String> = std::iter::once(first.inputs)
        .chain(layers.iter().map(|layer| layer.outputs))
        .map(|width| width.to_string())
        .collect();
    Ok(Recognized {
        name: "mlp".into(),
        evidence: format!(
            "{} of {}, widths {}{}",
            count(inventory.slots().len(), "tensor"),
            count(layers.len(), "Linear layer"),
            widths.join("-"),
            activation.map_or(
                "; names do not tell the activation".into(),
                |activation| format!(", {activation} between them")
            ),
        ),
        kept: None,
        program: program(&layers),
        reading: Reading::default(),
        readings: Vec::new(),
        activations: Vec::new(),
    })
}

/// The layers in the order in which they are applied. Layers that differ only in a number are
/// ordered by it (`.safetensors` files are sorted by name: `net.10` before `net.2`); others
/// are in the checkpoint's order, or where that is no chain, in the one their widths allow.
fn in_order(mut layers: Vec<(&str, Linear)>) -> Result<Vec<Linear>, Misfit> {
    let template = |name: &str| name.replace(|c: char| c.is_ascii_digit(), "");
    let first = layers.first().map(|(name, _)| template(name));
    if layers.iter().all(|(name, _)| Some(template(name)) == first) {
        layers.sort_by_key(|(name, _)| numbers(name));
    }
    let broken = layers
        .windows(2)
        .find(|pair| pair[0].1.outputs != pair[1].1.inputs)
        .map(|pair| {
            let [(before, a), (after, b)] = [&pair[0], &pair[1]];
            let (outputs, inputs) = (a.outputs, b.inputs);
            format!("{after} takes {inputs} values, {before} before it gives {outputs}")
        });
    let layers: Vec<Linear> = layers.into_iter().map(|(_, layer)| layer).collect();
    match broken {
        None => Ok(layers),
        Some(broken) => by_width(layers).ok_or(Misfit::Structure(broken)),
    }
}

/// The numbers in a name, in order.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// Follows the widths from the layer that no other feeds: at each width first the layers that
/// keep it, then the one that leaves. None where widths leave a choice or do not connect.
fn by_width(layers: Vec<Linear>) -> Option<Vec<Linear>> {
    let count = layers.len();
    let (mut keeping, mut leaving) = (BTreeMap::<usize, Vec<Linear>>::new(), BTreeMap::new());
    for layer in layers {
        if layer.inputs == layer.outputs {
            keeping.entry(layer.inputs).or_default().push(layer);
        } else if leaving.insert(layer.inputs, layer).is_some() {
            return None;
        }
    }
    let fed = |width| {
        leaving
            .values()
            .any(|layer: &Linear| layer.outputs == width)
    };
    let mut width = *leaving.keys().find(|width| !fed(**width))?;
    let mut chain = Vec::with_capacity(count);
    loop {
        chain.extend(keeping.remove(&width).unwrap_or_default());
        let Some(layer) = leaving.remove(&width) else {
            break;
        };
        width = layer.outputs;
        chain.push(layer);
    }
    (chain.len() == count).then_some(chain)
}
