//! CIFAR ResNets of depth 6n+2 (He et al. 2015, section 4.2): a 3×3 stem, three stages of n blocks of
//! two 3×3 convolutions, the second and third stage at half the size, global average, Linear.

use super::block::{Block, Kind, Shortcut, residual_network};
use super::detect::{Inventory, Mismatch};
use super::layers::{Conv, ConvShape, Linear};
use super::{Recognized, count};
use crate::model::reading::{Reading, Shortcuts};

const STAGES: usize = 3;

/// Returns true when the names are those of a ResNet of three stages.
pub(super) fn claims(inventory: &Inventory) -> bool {
    inventory.has("layer1.0.conv1.weight") && !inventory.has("layer4.0.conv1.weight")
}

/// Reads a ResNet; `noshort` says that it has no shortcuts, which names alone cannot tell from
/// shortcuts without parameters.
pub(super) fn recognize(mut inventory: Inventory, noshort: bool) -> Result<Recognized, Mismatch> {
    let n = blocks_per_stage(&inventory)?;
    let stem = ConvShape {
        outputs: None,
        inputs: None,
        kernel: 3,
        stride: 1,
    };
    let stem = Conv::take(&mut inventory, "conv1", Some("bn1"), stem)?;
    let mut blocks = Vec::with_capacity(STAGES * n);
    let mut widths = Vec::with_capacity(STAGES);
    let mut channels = stem.outputs;
    for stage in 1..=STAGES {
        for i in 0..n {
            let stride = if stage > 1 && i == 0 { 2 } else { 1 };
            let prefix = format!("layer{stage}.{i}");
            let kind = Kind::Basic;
            let block = Block::take(&mut inventory, &prefix, kind, channels, stride, noshort)?;
            channels = block.outputs();
            blocks.push(block);
        }
        widths.push(channels);
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
        name: name(depth, stem.outputs, &widths, noshort),
        evidence: format!(
            "{} named like a CIFAR ResNet: {STAGES} stages of {}, widths {}, {shortcuts}, {} classes",
            count(inventory.slots().len(), "tensor"),
            count(n, "block"),
            widths
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("-"),
            head.outputs,
        ),
        reading: Reading {
            shortcuts: shortcuts_taken(&blocks, n),
            ..Reading::default()
        },
        readings: Vec::new(),
        activations: Vec::new(),
        kept: None,
        untold: None,
        program: residual_network(&stem, None, &blocks, &head),
    })
}

/// Returns `wrn56-2` when every stage is 2, 4 or 8 times as wide as He et al.'s 16-32-64 (the wide networks of Li
/// et al. 2018), else `resnet56`.
fn name(depth: usize, stem: usize, widths: &[usize], noshort: bool) -> String {
    let ending = if noshort { "-noshort" } else { "" };
    let wide = [2, 4, 8]
        .into_iter()
        .find(|k| stem == 16 * k && widths == [16 * k, 32 * k, 64 * k]);
    match wide {
        Some(k) => format!("wrn{depth}-{k}{ending}"),
        None => format!("resnet{depth}{ending}"),
    }
}

/// Returns n, when there are three stages of n blocks each.
fn blocks_per_stage(inventory: &Inventory) -> Result<usize, Mismatch> {
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
    Err(Mismatch::Structure(format!(
        "layer1 to layer4 have {} blocks, expected three stages of equally many",
        counts.join(", ")
    )))
}

/// Returns the one of the shortcuts that names cannot tell apart; `None` if there are projections.
fn shortcuts_taken(blocks: &[Block], n: usize) -> Option<Shortcuts> {
    match (&blocks.first()?.shortcut, &blocks.get(n)?.shortcut) {
        (Shortcut::None, _) => Some(Shortcuts::None),
        (_, Shortcut::Projection(_)) => None,
        _ => Some(Shortcuts::Padded),
    }
}

/// Says which kind of shortcut joins the stages; a mixture is no CIFAR ResNet.
fn shortcut_evidence(blocks: &[Block], n: usize) -> Result<&'static str, Mismatch> {
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
        _ => Err(Mismatch::Structure(format!(
            "{projections} of the {} joints between stages has a 1×1 convolution as its shortcut, expected all or none",
            STAGES - 1
        ))),
    }
}
