//! Residual blocks: two or three convolutions, and the value that is added to the last one's result; and the
//! program of a network of them.

use std::sync::Arc;

use super::detect::{Inventory, Mismatch};
use super::layers::{Conv, ConvShape, Linear, Writer};
use crate::model::ops::Pool;
use crate::model::program::{Program, Value};

/// A block of a ResNet.
#[derive(Debug)]
pub(super) struct Block {
    /// Each with its batch norm; ReLU between them.
    convs: Vec<Conv>,
    pub(super) shortcut: Shortcut,
}

/// Shortcut that is added to a block's last convolution.
#[derive(Debug)]
pub(super) enum Shortcut {
    /// The block's input.
    Identity,
    /// The input, by a 1×1 convolution and batch norm.
    Projection(Box<Conv>),
    /// The input without parameters: every second pixel, and channels of zeros.
    Padded {
        /// Distance between the pixels that are taken.
        stride: usize,
        /// Channels of zeros on each side.
        added: usize,
    },
    /// Nothing: the networks without shortcuts.
    None,
}

/// The convolutions of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// 3×3, 3×3; the first one takes the stride.
    Basic,
    /// 1×1, 3×3, 1×1; the second one takes the stride.
    Bottleneck,
}

impl Block {
    /// Takes `prefix.conv1`, `.bn1`, … and the shortcut.
    pub(super) fn take(
        inventory: &mut Inventory,
        prefix: &str,
        kind: Kind,
        inputs: usize,
        stride: usize,
        noshort: bool,
    ) -> std::result::Result<Self, Mismatch> {
        let kernels: &[(usize, usize)] = match kind {
            Kind::Basic => &[(3, stride), (3, 1)],
            Kind::Bottleneck => &[(1, 1), (3, stride), (1, 1)],
        };
        let mut convs: Vec<Conv> = Vec::with_capacity(kernels.len());
        for (i, &(kernel, stride)) in kernels.iter().enumerate() {
            let (name, norm) = (
                format!("{prefix}.conv{}", i + 1),
                format!("{prefix}.bn{}", i + 1),
            );
            let shape = ConvShape {
                outputs: None,
                inputs: Some(convs.last().map_or(inputs, |conv| conv.outputs)),
                kernel,
                stride,
            };
            convs.push(Conv::take(inventory, &name, Some(&norm), shape)?);
        }
        let mut block = Self {
            convs,
            shortcut: Shortcut::None,
        };
        if !noshort {
            block.shortcut = shortcut(inventory, prefix, inputs, block.outputs(), stride)?;
        }
        Ok(block)
    }

    /// Returns the channels of its result.
    pub(super) fn outputs(&self) -> usize {
        self.convs.last().map_or(0, |conv| conv.outputs)
    }

    /// Appends the block. The shortcut stands first, so that a kernel can add it to the convolutions' sum.
    pub(super) fn write(&self, writer: &mut Writer, x: Value) -> Value {
        let shortcut = match &self.shortcut {
            Shortcut::Identity => Some(x),
            Shortcut::Projection(conv) => Some(writer.conv(x, conv)),
            &Shortcut::Padded { stride, added } => Some(writer.padded(x, stride, added)),
            Shortcut::None => None,
        };
        let mut y = x;
        for (i, conv) in self.convs.iter().enumerate() {
            if i > 0 {
                y = writer.relu(y);
            }
            y = writer.conv(y, conv);
        }
        if let Some(shortcut) = shortcut {
            y = writer.add(y, shortcut);
        }
        writer.relu(y)
    }
}

/// Writes stem, ReLU, max pooling if any, blocks, global average and a fully connected layer.
pub(super) fn residual_network(
    stem: &Conv,
    pool: Option<Pool>,
    blocks: &[Block],
    head: &Linear,
) -> Arc<Program> {
    let (mut writer, images) = Writer::of(&[Some(stem.inputs), None, None]);
    let mut x = writer.conv(images, stem);
    x = writer.relu(x);
    if let Some(pool) = pool {
        x = writer.max(x, pool);
    }
    for block in blocks {
        x = block.write(&mut writer, x);
    }
    x = writer.global_average(x);
    let logits = writer.linear(x, head);
    writer.finish(logits)
}

fn shortcut(
    inventory: &mut Inventory,
    prefix: &str,
    inputs: usize,
    outputs: usize,
    stride: usize,
) -> std::result::Result<Shortcut, Mismatch> {
    let shape = ConvShape {
        outputs: Some(outputs),
        inputs: Some(inputs),
        kernel: 1,
        stride,
    };
    if let Some(conv) = projection(inventory, prefix, shape)? {
        Ok(Shortcut::Projection(Box::new(conv)))
    } else if stride == 1 && inputs == outputs {
        Ok(Shortcut::Identity)
    } else {
        padded(prefix, inputs, outputs, stride)
    }
}

/// Returns true if a block has the tensors of a projection.
pub(super) fn has_projection(inventory: &Inventory, block: &str) -> bool {
    ["shortcut", "downsample"]
        .iter()
        .any(|name| inventory.has(&format!("{block}.{name}.0.weight")))
}

/// Returns the 1×1 convolution and batch norm `shortcut.0/1` or `downsample.0/1`, where they are there.
fn projection(
    inventory: &mut Inventory,
    block: &str,
    shape: ConvShape,
) -> std::result::Result<Option<Conv>, Mismatch> {
    let names = ["shortcut", "downsample"].map(|name| format!("{block}.{name}"));
    let found = |name: &&String| inventory.has(&format!("{name}.0.weight"));
    let Some(name) = names.iter().find(found) else {
        return Ok(None);
    };
    let (conv, norm) = (format!("{name}.0"), format!("{name}.1"));
    Conv::take(inventory, &conv, Some(&norm), shape).map(Some)
}

/// Returns the shortcut without parameters, where channels of zeros can be added evenly on both sides.
fn padded(
    block: &str,
    inputs: usize,
    outputs: usize,
    stride: usize,
) -> std::result::Result<Shortcut, Mismatch> {
    if let Some(added) = outputs.checked_sub(inputs).filter(|added| added % 2 == 0) {
        return Ok(Shortcut::Padded {
            stride,
            added: added / 2,
        });
    }
    Err(Mismatch::Structure(format!(
        "{block} goes from {inputs} to {outputs} channels, and neither {block}.shortcut.0.weight nor \
         {block}.downsample.0.weight is there, nor can half of the difference be zeros on each side"
    )))
}
