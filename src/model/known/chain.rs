//! Chains of convolutions and fully connected layers in the order in which they are applied, with the norms between them.

use std::collections::BTreeMap;

use super::detect::{Inventory, Mismatch};
use super::layers::{Conv, ConvShape, Layer, Linear, Norm};
use super::pairing::{Paired, StoredModules, are_alike, gap, numbers, paired, place};
use crate::model::reading::NormPosition;
use crate::weights::Slot;

/// Words of modules that are no layer of a chain, without digits: parts of attention, what is added to another
/// result, and convolutions the other way about.
const ELSEWHERE: [&str; 23] = [
    "attn",
    "self_attn",
    "attention",
    "q",
    "k",
    "v",
    "query",
    "key",
    "value",
    "q_proj",
    "k_proj",
    "v_proj",
    "res",
    "resblock",
    "resblocks",
    "residual",
    "residuals",
    "shortcut",
    "shortcuts",
    "skip",
    "downsample",
    "deconv",
    "upconv",
];

/// A layer and the norm between it and the next one.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) layer: Layer,
    pub(super) norm: Option<Norm>,
    /// Modules without weights between the layer and its norm; `None` if names do not tell.
    pub(super) ahead: Option<u64>,
    /// Modules without weights between the norm and the next layer, likewise.
    behind: Option<u64>,
    /// All modules without weights between the layer and the next one, likewise.
    pub(super) between: Option<u64>,
}

/// Layers in the order in which they are applied.
#[derive(Debug)]
pub(super) struct Chain {
    /// A norm of the inputs.
    pub(super) first: Option<Norm>,
    pub(super) stages: Vec<Stage>,
}

impl Stage {
    /// Returns the norm's place as far as the numbers of modules tell it.
    pub(super) fn position(&self) -> Option<NormPosition> {
        match (self.ahead, self.behind) {
            (Some(0), Some(0)) => None,
            (Some(0), _) => Some(NormPosition::Before),
            (_, Some(0)) => Some(NormPosition::After),
            _ => None,
        }
    }
}

impl Chain {
    /// Says what a shortcut would leave no trace of: one around a layer whose result has the extents of its input.
    pub(super) fn untold(&self) -> Option<String> {
        let inner = self.stages.iter().take(self.stages.len().saturating_sub(1));
        let mut equal = inner.filter(|stage| stage.layer.inputs() == stage.layer.outputs());
        equal.next().map(|stage| {
            format!(
                "a shortcut around {} would leave no trace in a checkpoint, none is assumed: an export settles it",
                stage.layer.name()
            )
        })
    }

    /// Takes all layers and norms.
    pub(super) fn take(inventory: &mut Inventory) -> Result<Self, Mismatch> {
        let modules = inventory.slots().iter().filter_map(|slot| {
            let prefix = slot.name.strip_suffix("weight")?;
            Some((prefix.strip_suffix('.').unwrap_or(prefix), slot))
        });
        let modules: Vec<(&str, &Slot)> = modules.collect();
        let (mut convs, mut linears, mut norms) = (Vec::new(), Vec::new(), Vec::new());
        for (prefix, slot) in &modules {
            match slot.rank() {
                1 => norms.push(Norm::take_any(inventory, prefix)?),
                4 => convs.push((*prefix, Layer::Conv(conv(inventory, prefix, &slot.shape)?))),
                _ => {
                    let linear = Linear::take(inventory, prefix, None)?;
                    linears.push((*prefix, Layer::Linear(linear)));
                }
            }
        }
        inventory.finish()?;
        refuse_blocks(&convs)?;
        let mut layers = in_order(convs)?;
        layers.extend(in_order(linears)?);
        let stored = StoredModules::of(modules.iter().map(|(prefix, _)| *prefix));
        Self::of(layers, norms, &stored)
    }

    fn of(layers: Vec<Layer>, norms: Vec<Norm>, stored: &StoredModules) -> Result<Self, Mismatch> {
        let Paired { first, behind } = paired(&layers, norms, stored)?;
        let names: Vec<String> = layers.iter().map(|layer| layer.name().into()).collect();
        let stages = layers.into_iter().zip(behind).enumerate();
        let stages = stages.map(|(i, (layer, norm))| {
            let (own, next) = (&names[i], names.get(i + 1));
            let to_next = |name: &str| gap(name, next?);
            let between = to_next(own);
            let of_norm = norm.as_ref().map(|norm| norm.name.as_str());
            // The norm itself is no module without weights.
            let is_within = of_norm.is_some_and(|norm| gap(own, norm).is_some());
            Stage {
                ahead: of_norm.and_then(|norm| gap(own, norm)),
                behind: of_norm.and_then(to_next),
                between: between.map(|between| between.saturating_sub(is_within.into())),
                layer,
                norm,
            }
        });
        let stages: Vec<Stage> = stages.collect();
        if let Some(norm) = stages.iter().find_map(Stage::other_norm) {
            return Err(Mismatch::Structure(format!(
                "{} stands behind a convolution without running statistics, and names do not tell what it normalizes: \
                 export the model (--model model.pt2)",
                norm.name
            )));
        }
        Ok(Self { first, stages })
    }

    /// Returns the usual place of norms where names leave it open; `None` if they leave none open.
    pub(super) fn open_position(&self) -> Option<NormPosition> {
        let inner = &self.stages[..self.stages.len().saturating_sub(1)];
        let with_norm = inner.iter().filter(|stage| stage.norm.is_some());
        let mut open = with_norm.filter(|stage| stage.position().is_none());
        let first = open.next()?;
        let is_apart = |stage: &Stage| stage.ahead.is_some_and(|ahead| ahead > 0);
        Some(if is_apart(first) || open.any(is_apart) {
            NormPosition::After
        } else {
            NormPosition::Before
        })
    }

    /// Returns the norms that are there, in words; empty if there are none.
    pub(super) fn norms(&self) -> String {
        let own = self.stages.iter().filter_map(|stage| stage.norm.as_ref());
        let (batch, layer): (Vec<&Norm>, Vec<&Norm>) =
            own.chain(&self.first).partition(|norm| norm.is_batch());
        let kinds = [(batch.len(), "batch norm"), (layer.len(), "layer norm")];
        let kinds = kinds.into_iter().filter(|(count, _)| *count > 0);
        let kinds: Vec<String> = kinds.map(|(n, kind)| super::count(n, kind)).collect();
        kinds.join(" and ")
    }
}

impl Stage {
    /// Returns a norm of channels that is no batch norm by its statistics.
    fn other_norm(&self) -> Option<&Norm> {
        let is_conv = matches!(self.layer, Layer::Conv(_));
        let norm = self.norm.as_ref();
        norm.filter(|norm| is_conv && !norm.is_batch())
    }
}

/// Returns the names of the tensors that cannot belong to a chain.
pub(super) fn unknown(inventory: &Inventory) -> Vec<String> {
    let is_unknown = |slot: &&Slot| {
        let (module, member) = slot.name.rsplit_once('.').unwrap_or(("", &slot.name));
        let has = |name: &str| match module {
            "" => inventory.has(name),
            module => inventory.has(&format!("{module}.{name}")),
        };
        let fits = match (member, slot.rank()) {
            ("weight", 2 | 4) => true,
            ("weight", 1) => has("bias"),
            ("bias", 1) => has("weight"),
            ("running_mean" | "running_var", 1) => has("weight") && has("bias"),
            _ => false,
        };
        let mut words = module.split('.').map(without_digits);
        !fits || words.any(|word| ELSEWHERE.contains(&word))
    };
    let unknown = inventory.slots().iter().filter(is_unknown);
    unknown.map(|slot| slot.name.clone()).collect()
}

/// Returns true when convolutions are among the tensors.
pub(super) fn has_convolutions(inventory: &Inventory) -> bool {
    let mut slots = inventory.slots().iter();
    slots.any(|slot| slot.rank() == 4)
}

/// Takes a convolution of a square kernel.
fn conv(inventory: &mut Inventory, prefix: &str, shape: &[usize]) -> Result<Conv, Mismatch> {
    let shape = ConvShape {
        outputs: None,
        inputs: None,
        kernel: shape.last().copied().unwrap_or(0),
        stride: 1,
    };
    Conv::take(inventory, prefix, None, shape)
}

/// Refuses several blocks of several named convolutions each: such have shortcuts as a rule, which leave no trace.
fn refuse_blocks(convs: &[(&str, Layer)]) -> Result<(), Mismatch> {
    let mut blocks: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, _) in convs.iter().filter(|(name, _)| place(name).is_none()) {
        if let Some((block, _)) = name.rsplit_once('.') {
            *blocks.entry(block).or_default() += 1;
        }
    }
    let of_several = blocks.values().filter(|count| **count > 1).count();
    match blocks.keys().next() {
        Some(first) if of_several > 1 => Err(Mismatch::Structure(format!(
            "names do not tell if there are shortcuts around its blocks, such as {first}: export the model \
             (--model model.pt2)"
        ))),
        _ => Ok(()),
    }
}

/// Returns the layers of a kind in the order in which they are applied. Layers that differ only in a number are
/// ordered by it (`.safetensors` files are sorted by name: `net.10` before `net.2`); others
/// are in the checkpoint's order, or where that is no chain, in the one their widths allow.
fn in_order(mut layers: Vec<(&str, Layer)>) -> Result<Vec<Layer>, Mismatch> {
    let names: Vec<&str> = layers.iter().map(|(name, _)| *name).collect();
    if are_alike(&names) {
        layers.sort_by_key(|(name, _)| numbers(name));
    }
    let mut pairs = layers.windows(2).map(|pair| [&pair[0], &pair[1]]);
    let broken = pairs.find(|[(_, a), (_, b)]| a.outputs() != b.inputs());
    let broken = broken.map(|[(before, a), (after, b)]| {
        let unit = match a {
            Layer::Conv(_) => "channels",
            Layer::Linear(_) => "values",
        };
        let (outputs, inputs) = (a.outputs(), b.inputs());
        format!("{after} takes {inputs} {unit}, {before} before it gives {outputs}")
    });
    let layers: Vec<Layer> = layers.into_iter().map(|(_, layer)| layer).collect();
    match broken {
        None => Ok(layers),
        Some(broken) => by_width(layers).ok_or(Mismatch::Structure(broken)),
    }
}

/// Returns a word without the digits at its end.
fn without_digits(word: &str) -> &str {
    word.trim_end_matches(|c: char| c.is_ascii_digit())
}

/// Follows the widths from the layer that no other feeds: at each width first the layers that
/// keep it, then the one that leaves. `None` if widths leave a choice or do not connect.
fn by_width(layers: Vec<Layer>) -> Option<Vec<Layer>> {
    let count = layers.len();
    let (mut keeping, mut leaving) = (BTreeMap::<usize, Vec<Layer>>::new(), BTreeMap::new());
    for layer in layers {
        let [inputs, outputs] = layer.widths();
        if inputs == outputs {
            keeping.entry(inputs).or_default().push(layer);
        } else if leaving.insert(inputs, layer).is_some() {
            return None;
        }
    }
    let fed = |width| {
        let mut leaving = leaving.values();
        leaving.any(|layer: &Layer| layer.outputs() == width)
    };
    let mut width = *leaving.keys().find(|width| !fed(**width))?;
    let mut chain = Vec::with_capacity(count);
    loop {
        chain.extend(keeping.remove(&width).unwrap_or_default());
        let Some(layer) = leaving.remove(&width) else {
            break;
        };
        width = layer.outputs();
        chain.push(layer);
    }
    (chain.len() == count).then_some(chain)
}
