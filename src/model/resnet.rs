//! CIFAR ResNets of depth 6n+2 (He et al. 2015, section 4.2): a 3×3 stem, three stages of n blocks of
//! two 3×3 convolutions, the second and third stage at half the size, global average, Linear.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::detect::{Inventory, Misfit};
use super::layer::{Conv, ConvShape, Linear};
use super::{Network, Recognized, Weights, count, ops};

const STAGES: usize = 3;

#[derive(Debug)]
struct ResNet {
    stem: Conv,
    blocks: Vec<Block>,
    head: Linear,
}

#[derive(Debug)]
struct Block {
    first: Conv,
    second: Conv,
    shortcut: Shortcut,
}

/// What is added to a block's second convolution.
#[derive(Debug)]
enum Shortcut {
    /// The block's input.
    Identity,
    /// The input, by a 1×1 convolution and batch norm.
    Projection(Box<Conv>),
    /// The input without parameters: every second pixel, and channels of zeros.
    Padded { stride: usize, channels: usize },
    /// Nothing: the networks without shortcuts.
    None,
}

impl Network for ResNet {
    fn forward(&self, weights: &Weights, images: &Tensor) -> Result<Tensor> {
        let mut x = ops::relu(&self.stem.forward(weights, images)?)?;
        for block in &self.blocks {
            x = block.forward(weights, &x)?;
        }
        self.head.forward(weights, &ops::global_average(&x)?)
    }
}

impl Block {
    fn forward(&self, weights: &Weights, x: &Tensor) -> Result<Tensor> {
        let y = ops::relu(&self.first.forward(weights, x)?)?;
        let y = self.second.forward(weights, &y)?;
        let y = match &self.shortcut {
            Shortcut::Identity => (y + x)?,
            Shortcut::Projection(conv) => (y + conv.forward(weights, x)?)?,
            Shortcut::Padded { stride, channels } => {
                (y + ops::padded_shortcut(x, *stride, *channels)?)?
            }
            Shortcut::None => y,
        };
        ops::relu(&y)
    }
}

/// True when the names are those of a ResNet of basic blocks.
pub(super) fn claims(inventory: &Inventory) -> bool {
    inventory.has("layer1.0.conv1.weight")
}

/// Reads a ResNet; `noshort` says that it has no shortcuts, which names alone cannot tell from
/// shortcuts without parameters.
pub(super) fn recognize(
    mut inventory: Inventory,
    noshort: bool,
) -> std::result::Result<Recognized, Misfit> {
    let n = blocks_per_stage(&inventory)?;
    let stem = conv3(&mut inventory, "conv1", "bn1", None, 1)?;
    let mut blocks = Vec::with_capacity(STAGES * n);
    let mut widths = Vec::with_capacity(STAGES);
    let mut channels = stem.outputs;
    for stage in 1..=STAGES {
        for i in 0..n {
            let stride = if stage > 1 && i == 0 { 2 } else { 1 };
            let prefix = format!("layer{stage}.{i}");
            let block = Block::take(&mut inventory, &prefix, channels, stride, noshort)?;
            channels = block.second.outputs;
            blocks.push(block);
        }
        widths.push(channels.to_string());
    }
    let head = if inventory.has("fc.weight") {
        "fc"
    } else {
        "linear"
    };
    let head = Linear::take(&mut inventory, head, Some(channels))?;
    inventory.finish()?;
    let shortcuts = shortcut_evidence(&blocks, n)?;
    let depth = 2 * STAGES * n + 2;
    Ok(Recognized {
        name: format!("resnet{depth}{}", if noshort { "-noshort" } else { "" }),
        evidence: format!(
            "{} named like a CIFAR ResNet: {STAGES} stages of {}, widths {}, {shortcuts}, {} classes",
            count(inventory.slots().len(), "tensor"),
            count(n, "block"),
            widths.join("-"),
            head.outputs,
        ),
        channels: Some(stem.inputs),
        features: None,
        classes: head.outputs,
        network: Arc::new(ResNet { stem, blocks, head }),
    })
}

/// n, when there are three stages of n blocks each.
fn blocks_per_stage(inventory: &Inventory) -> std::result::Result<usize, Misfit> {
    let blocks = |stage: usize| {
        let block = |i: &usize| inventory.has(&format!("layer{stage}.{i}.conv1.weight"));
        (0..inventory.slots().len()).take_while(block).count()
    };
    let counts: Vec<usize> = (1..=STAGES + 1).map(blocks).collect();
    let n = counts[0];
    if n > 0 && counts == [n, n, n, 0] {
        return Ok(n);
    }
    let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
    Err(Misfit::Structure(format!(
        "layer1 to layer4 have {} blocks, expected three stages of equally many",
        counts.join(", ")
    )))
}

/// A 3×3 convolution with its batch norm.
fn conv3(
    inventory: &mut Inventory,
    name: &str,
    norm: &str,
    inputs: Option<usize>,
    stride: usize,
) -> std::result::Result<Conv, Misfit> {
    let shape = ConvShape {
        outputs: None,
        inputs,
        kernel: 3,
        stride,
    };
    Conv::take(inventory, name, Some(norm), shape)
}

impl Block {
    fn take(
        inventory: &mut Inventory,
        prefix: &str,
        inputs: usize,
        stride: usize,
        noshort: bool,
    ) -> std::result::Result<Self, Misfit> {
        let mut conv = |i, inputs, stride| {
            let (name, norm) = (format!("{prefix}.conv{i}"), format!("{prefix}.bn{i}"));
            conv3(inventory, &name, &norm, Some(inputs), stride)
        };
        let first = conv(1, inputs, stride)?;
        let second = conv(2, first.outputs, 1)?;
        let shape = ConvShape {
            outputs: Some(second.outputs),
            inputs: Some(inputs),
            kernel: 1,
            stride,
        };
        let shortcut = if noshort {
            Shortcut::None
        } else if let Some(conv) = projection(inventory, prefix, shape)? {
            Shortcut::Projection(Box::new(conv))
        } else if stride == 1 && inputs == second.outputs {
            Shortcut::Identity
        } else {
            padded(prefix, inputs, second.outputs, stride)?
        };
        Ok(Self {
            first,
            second,
            shortcut,
        })
    }
}

/// The 1×1 convolution and batch norm `shortcut.0/1` or `downsample.0/1`, where they are there.
fn projection(
    inventory: &mut Inventory,
    block: &str,
    shape: ConvShape,
) -> std::result::Result<Option<Conv>, Misfit> {
    let names = ["shortcut", "downsample"].map(|name| format!("{block}.{name}"));
    let found = |name: &&String| inventory.has(&format!("{name}.0.weight"));
    let Some(name) = names.iter().find(found) else {
        return Ok(None);
    };
    let (conv, norm) = (format!("{name}.0"), format!("{name}.1"));
    Conv::take(inventory, &conv, Some(&norm), shape).map(Some)
}

/// The shortcut without parameters, where channels of zeros can be added evenly on both sides.
fn padded(
    block: &str,
    inputs: usize,
    outputs: usize,
    stride: usize,
) -> std::result::Result<Shortcut, Misfit> {
    let added = outputs.checked_sub(inputs);
    if added.is_some_and(|added| added % 2 == 0) {
        return Ok(Shortcut::Padded {
            stride,
            channels: outputs,
        });
    }
    Err(Misfit::Structure(format!(
        "{block} goes from {inputs} to {outputs} channels, and neither {block}.shortcut.0.weight nor \
         {block}.downsample.0.weight is there, nor can half of the difference be zeros on each side"
    )))
}

/// Says which kind of shortcut joins the stages; a mixture is no CIFAR ResNet.
fn shortcut_evidence(blocks: &[Block], n: usize) -> std::result::Result<&'static str, Misfit> {
    let joints = blocks.iter().skip(n).step_by(n);
    let projections = joints
        .filter(|block| matches!(block.shortcut, Shortcut::Projection(_)))
        .count();
    match (projections, &blocks[0].shortcut) {
        (_, Shortcut::None) => Ok("without shortcuts"),
        (0, _) => Ok(
            "shortcuts without parameters assumed (names cannot tell: add -noshort to --model if it has none)",
        ),
        (p, _) if p == STAGES - 1 => Ok("1×1-convolution shortcuts"),
        _ => Err(Misfit::Structure(format!(
            "{projections} of the {} joints between stages has a 1×1 convolution as its shortcut, expected all or none",
            STAGES - 1
        ))),
    }
}
