//! ResNets of four stages (He et al. 2015, table 1): ResNet-18, -34, -50, -101 and -152, with the stem of
//! ImageNet (7×7, max pooling) or that of CIFAR (3×3), named as in torchvision or with `shortcut`.

use super::block::{Block, Kind, has_projection, residual_network};
use super::detect::{Inventory, Mismatch};
use super::layers::{Conv, ConvShape, Linear};
use super::{Recognized, count};
use crate::model::ops::Pool;
use crate::model::reading::{Reading, Stem};

const STAGES: usize = 4;

/// Blocks of each stage, and what they are made of.
const DEPTHS: [(&str, Kind, [usize; STAGES]); 5] = [
    ("resnet18", Kind::Basic, [2, 2, 2, 2]),
    ("resnet34", Kind::Basic, [3, 4, 6, 3]),
    ("resnet50", Kind::Bottleneck, [3, 4, 6, 3]),
    ("resnet101", Kind::Bottleneck, [3, 4, 23, 3]),
    ("resnet152", Kind::Bottleneck, [3, 8, 36, 3]),
];

/// The names that `--model` takes.
pub(super) const NAMES: [&str; 5] = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"];

/// The pooling after ImageNet's stem.
const POOL: Pool = Pool {
    padding: [1; 2],
    ..Pool::square(3, 2)
};

/// Returns true when the names are those of a ResNet of four stages.
pub(super) fn claims(inventory: &Inventory) -> bool {
    inventory.has("layer1.0.conv1.weight") && inventory.has("layer4.0.conv1.weight")
}

/// Reads a ResNet of four stages. Without a single projection it is one of the networks without
/// shortcuts: no known one of this kind has shortcuts without parameters.
pub(super) fn recognize(
    mut inventory: Inventory,
    noshort: bool,
    stem: Option<Stem>,
) -> Result<Recognized, Mismatch> {
    let (name, kind, counts) = depth(&inventory)?;
    let noshort = noshort || !has_projection(&inventory, "layer2.0");
    let (kind_of_stem, stem) = take_stem(&mut inventory, stem)?;
    let pool = kind_of_stem.is_pooled().then_some(POOL);
    let width = stem.kernel;
    let mut blocks = Vec::new();
    let mut widths = Vec::with_capacity(STAGES);
    let mut channels = stem.outputs;
    for (stage, count) in (1..).zip(counts) {
        for i in 0..count {
            let stride = if stage > 1 && i == 0 { 2 } else { 1 };
            let prefix = format!("layer{stage}.{i}");
            let block = Block::take(&mut inventory, &prefix, kind, channels, stride, noshort)?;
            channels = block.outputs();
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
    Ok(Recognized {
        name: format!("{name}{}", if noshort { "-noshort" } else { "" }),
        evidence: format!(
            "{} named like a ResNet of four stages: {} blocks, widths {}, {}, {width}×{width} stem{}, {} classes",
            count(inventory.slots().len(), "tensor"),
            counts.map(|count| count.to_string()).join("-"),
            widths.join("-"),
            if noshort {
                "without shortcuts"
            } else {
                "1×1-convolution shortcuts"
            },
            match (kind_of_stem, width) {
                (Stem::Plain, 3) => ", stride 1 without pooling assumed",
                (Stem::Plain, _) => ", stride 1 without pooling",
                (Stem::Strided, _) => ", stride 2 without pooling",
                (Stem::Pooled, _) => ", stride 1, with max pooling",
                (Stem::StridedPooled, 7) => " with max pooling",
                (Stem::StridedPooled, _) => ", stride 2, with max pooling",
            },
            head.outputs,
        ),
        reading: Reading {
            stem: Some(kind_of_stem),
            ..Reading::default()
        },
        readings: Vec::new(),
        activations: Vec::new(),
        kept: None,
        untold: None,
        program: residual_network(&stem, pool, &blocks, &head),
    })
}

/// Returns the stem: as the user says, else its kernel tells whether it is ImageNet's or CIFAR's.
fn take_stem(inventory: &mut Inventory, asked: Option<Stem>) -> Result<(Stem, Conv), Mismatch> {
    let large = inventory
        .shape("conv1.weight")
        .is_some_and(|shape| shape.last() == Some(&7));
    let stem = asked.unwrap_or(if large {
        Stem::StridedPooled
    } else {
        Stem::Plain
    });
    let shape = ConvShape {
        outputs: None,
        inputs: None,
        kernel: if large { 7 } else { 3 },
        stride: stem.stride(),
    };
    Ok((stem, Conv::take(inventory, "conv1", Some("bn1"), shape)?))
}

/// Returns the known network that has these numbers of blocks.
fn depth(inventory: &Inventory) -> Result<(&'static str, Kind, [usize; STAGES]), Mismatch> {
    let blocks = |stage: usize| {
        let block = |i: &usize| inventory.has(&format!("layer{stage}.{i}.conv1.weight"));
        (0..inventory.slots().len()).take_while(block).count()
    };
    let found = [1, 2, 3, 4].map(blocks);
    let kind = if inventory.has("layer1.0.conv3.weight") {
        Kind::Bottleneck
    } else {
        Kind::Basic
    };
    let known = DEPTHS
        .iter()
        .find(|(_, k, counts)| *k == kind && *counts == found);
    known.copied().ok_or_else(|| {
        Mismatch::Structure(format!(
            "layer1 to layer4 have {} blocks of {} convolutions, expected 2, 2, 2, 2 or 3, 4, 6, 3 of two, or \
             3, 4, 6, 3, or 3, 4, 23, 3, or 3, 8, 36, 3 of three",
            found.map(|count| count.to_string()).join(", "),
            if kind == Kind::Basic { "two" } else { "three" },
        ))
    })
}
