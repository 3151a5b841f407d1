//! VGG networks (Simonyan & Zisserman 2015), with or without batch norm, of any widths and depth.
//!
//! `features.N` are the modules of a `Sequential`; those without weights leave gaps in N, and
//! the gaps tell where a ReLU (one place), a 2×2 max pool (two) and a dropout (three) stood.

use std::fmt::Write;
use std::sync::Arc;

use super::detect::{Inventory, Mismatch};
use super::layers::{Conv, ConvShape, Linear, Norm, Writer};
use super::{Recognized, count};
use crate::model::ops::Pool;
use crate::model::program::Program;
use crate::model::reading::Reading;

/// The names of the parts of the head, in the order in which they are applied.
const HEADS: [&str; 2] = ["fc", "classifier"];

#[derive(Debug)]
struct Vgg {
    features: Vec<Feature>,
    head: Vec<Dense>,
}

/// A convolution with ReLU, and perhaps a max pool after it.
#[derive(Debug)]
struct Feature {
    conv: Conv,
    pool: bool,
}

/// A Linear layer of the head, with its batch norm where there is one.
#[derive(Debug)]
struct Dense {
    linear: Linear,
    norm: Option<Norm>,
}

/// Facts about the pooling that the names do not tell, and the size of the image does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pooling {
    /// Windows may hang over the edge.
    ceil: bool,
    /// A max pool follows the last convolution.
    last: bool,
}

/// In order of preference: PyTorch's default rounding before `ceil_mode`, VGG's last pool before none.
const POOLINGS: [Pooling; 4] = [
    Pooling {
        ceil: false,
        last: true,
    },
    Pooling {
        ceil: false,
        last: false,
    },
    Pooling {
        ceil: true,
        last: true,
    },
    Pooling {
        ceil: true,
        last: false,
    },
];

impl Vgg {
    /// Returns the channels that the convolutions end with.
    fn channels(&self) -> usize {
        self.features.last().map_or(0, |last| last.conv.outputs)
    }

    /// Returns the length of the vector that the head takes.
    fn flattened(&self) -> usize {
        self.head.first().map_or(0, |first| first.linear.inputs)
    }

    /// Returns the pooling with which an image of this size fits the head.
    fn pooling(&self, height: usize, width: usize) -> Option<Pooling> {
        POOLINGS.into_iter().find(|pooling| {
            let inner = self.features.iter().filter(|feature| feature.pool).count();
            let mut pools = 0..inner + usize::from(pooling.last);
            let halving = Pool::halving(pooling.ceil);
            let size = pools.try_fold([height, width], |size, _| halving.windows(size));
            let length = size.and_then(|[h, w]| h.checked_mul(w)?.checked_mul(self.channels()));
            length == Some(self.flattened())
        })
    }
}

impl Vgg {
    /// Returns the pooling for these images.
    fn fitting(&self, [channels, height, width]: [usize; 3]) -> Result<Pooling, Mismatch> {
        self.pooling(height, width).ok_or_else(|| {
            Mismatch::Structure(format!(
                "its head takes {} values from {} channels, which no 2×2 pooling makes of an image of \
                 {channels}×{height}×{width}, rounding down or up",
                self.flattened(),
                self.channels()
            ))
        })
    }

    fn program(&self, channels: usize, pooling: Pooling) -> Arc<Program> {
        let pool = Pool::halving(pooling.ceil);
        let (mut writer, mut x) = Writer::of(&[Some(channels), None, None]);
        for (i, feature) in self.features.iter().enumerate() {
            x = writer.conv(x, &feature.conv);
            x = writer.relu(x);
            if feature.pool || (pooling.last && i + 1 == self.features.len()) {
                x = writer.max(x, pool);
            }
        }
        x = writer.flatten(x);
        for (i, dense) in self.head.iter().enumerate() {
            if i > 0 {
                x = writer.relu(x);
            }
            x = writer.linear(x, &dense.linear);
            if let Some(norm) = &dense.norm {
                x = writer.norm(x, norm);
            }
        }
        writer.finish(x)
    }
}

/// Returns true when the names are those of a chain of convolutions in a `Sequential`, and the first is no larger one.
pub(super) fn claims(inventory: &Inventory) -> bool {
    let first = inventory.shape("features.0.weight");
    first.is_some_and(|shape| shape.len() != 4 || shape[2..] == [3, 3])
}

/// Reads a VGG; `image` (channels, height, width) decides what the names leave open.
pub(super) fn recognize(
    mut inventory: Inventory,
    image: Option<[usize; 3]>,
) -> Result<Recognized, Mismatch> {
    let features = features(&mut inventory)?;
    let head = head(&mut inventory)?;
    let (Some(first), Some(_)) = (features.first(), head.first()) else {
        let part = if features.is_empty() {
            "features.0"
        } else {
            "classifier"
        };
        return Err(Mismatch::Missing(format!("{part}.weight")));
    };
    let channels = first.conv.inputs;
    inventory.finish()?;
    let vgg = Vgg { features, head };
    if !vgg.flattened().is_multiple_of(vgg.channels()) {
        return Err(Mismatch::Structure(format!(
            "the first Linear layer takes {} values, not a multiple of the {} channels before it",
            vgg.flattened(),
            vgg.channels()
        )));
    }
    let pooling = image.map(|image| vgg.fitting(image)).transpose()?;
    Ok(Recognized {
        name: format!("vgg{}", depth(vgg.features.len(), vgg.head.len())),
        evidence: evidence(&vgg, inventory.slots().len(), pooling),
        reading: Reading::default(),
        readings: Vec::new(),
        activations: Vec::new(),
        kept: None,
        untold: None,
        program: vgg.program(channels, pooling.unwrap_or(POOLINGS[0])),
    })
}

/// Returns the number in the name. The paper's counts include three Linear layers, and CIFAR variants with
/// fewer keep the name; otherwise all layers with weights count.
fn depth(convolutions: usize, linears: usize) -> usize {
    match convolutions {
        8 | 10 | 13 | 16 => convolutions + 3,
        _ => convolutions + linears,
    }
}

fn features(inventory: &mut Inventory) -> Result<Vec<Feature>, Mismatch> {
    let mut numbers = inventory.numbers("features").into_iter().peekable();
    let mut features: Vec<Feature> = Vec::new();
    // The last module with weights, and the channels that come from it.
    let mut before: Option<(usize, usize)> = None;
    while let Some(number) = numbers.next() {
        // Of modules with weights, only a batch norm stands right after a convolution.
        let norm = numbers.next_if(|next| next - 1 == number);
        let norm_name = norm.map(|norm| format!("features.{norm}"));
        let shape = ConvShape {
            outputs: None,
            inputs: before.map(|(_, channels)| channels),
            kernel: 3,
            stride: 1,
        };
        let name = format!("features.{number}");
        let conv = Conv::take(inventory, &name, norm_name.as_deref(), shape)?;
        if let (Some((from, _)), Some(last)) = (before, features.last_mut()) {
            last.pool = pool_between(from, number)?;
        }
        before = Some((norm.unwrap_or(number), conv.outputs));
        features.push(Feature { conv, pool: false });
    }
    Ok(features)
}

/// Returns true if a max pool stood between two modules with weights, next to the ReLU.
fn pool_between(from: usize, to: usize) -> Result<bool, Mismatch> {
    match to - from - 1 {
        1 => Ok(false),
        2 | 3 => Ok(true),
        modules => Err(Mismatch::Structure(format!(
            "{modules} modules without weights stand between features.{from} and features.{to}, \
             expected a ReLU and at most a max pool and a dropout"
        ))),
    }
}

/// Returns `fc` and `classifier`, each a Linear layer or a `Sequential` of them with batch norms.
fn head(inventory: &mut Inventory) -> Result<Vec<Dense>, Mismatch> {
    let mut head: Vec<Dense> = Vec::new();
    for part in HEADS {
        if inventory.has(&format!("{part}.weight")) {
            let inputs = head.last().map(|dense| dense.linear.outputs);
            let linear = Linear::take(inventory, part, inputs)?;
            head.push(Dense { linear, norm: None });
            continue;
        }
        let mut before: Option<usize> = None;
        for number in inventory.numbers(part) {
            let name = format!("{part}.{number}");
            let follows = before.and_then(|before| before.checked_add(1)) == Some(number);
            match head.last_mut().filter(|_| follows) {
                Some(dense) if dense.norm.is_none() => {
                    dense.norm = Some(Norm::take(inventory, &name, dense.linear.outputs)?);
                }
                Some(_) => {
                    return Err(Mismatch::Structure(format!(
                        "{name} follows a batch norm directly, expected a ReLU between them"
                    )));
                }
                None => {
                    let inputs = head.last().map(|dense| dense.linear.outputs);
                    let linear = Linear::take(inventory, &name, inputs)?;
                    head.push(Dense { linear, norm: None });
                }
            }
            before = Some(number);
        }
    }
    Ok(head)
}

fn evidence(vgg: &Vgg, tensors: usize, pooling: Option<Pooling>) -> String {
    let mut widths = String::new();
    for feature in &vgg.features {
        let pool = if feature.pool { "-pool" } else { "" };
        let _ = write!(widths, "-{}{pool}", feature.conv.outputs);
    }
    let pooling = match pooling {
        None => "",
        Some(Pooling { ceil, last }) => match (ceil, last) {
            (true, true) => ", rounding up, and once more at the end",
            (true, false) => ", rounding up",
            (false, true) => ", and once more at the end",
            (false, false) => "",
        },
    };
    format!(
        "{} named like a VGG: {}, widths {} (2×2 max pools told by gaps in the numbers{pooling}), {}, {} classes",
        count(tensors, "tensor"),
        count(vgg.features.len(), "3×3 convolution"),
        widths.trim_start_matches('-'),
        count(vgg.head.len(), "Linear layer"),
        vgg.head.last().map_or(0, |last| last.linear.outputs),
    )
}
