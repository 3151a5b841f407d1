//! DenseNet-121 for CIFAR (Huang et al. 2016): every layer of a block sees what all before it made.

use std::sync::Arc;

use super::detect::{Inventory, Mismatch};
use super::layers::{Conv, ConvShape, Linear, Norm, Writer};
use super::{Recognized, count};
use crate::model::ops::Pool;
use crate::model::program::{Program, Value};
use crate::model::reading::Reading;

/// Layers of each dense block.
const BLOCKS: [usize; 4] = [6, 12, 24, 16];

#[derive(Debug)]
struct DenseNet {
    stem: Conv,
    stages: Vec<Stage>,
    norm: Norm,
    head: Linear,
}

/// A dense block, and the transition behind it.
#[derive(Debug)]
struct Stage {
    layers: Vec<[Unit; 2]>,
    transition: Option<Unit>,
}

/// Batch norm, ReLU and a convolution, in this order: the norm cannot be folded into a convolution.
#[derive(Debug)]
struct Unit {
    norm: Norm,
    conv: Conv,
}

impl Unit {
    fn take(
        inventory: &mut Inventory,
        prefix: &str,
        [norm, conv]: [&str; 2],
        inputs: usize,
        kernel: usize,
    ) -> Result<Self, Mismatch> {
        let shape = ConvShape {
            outputs: None,
            inputs: Some(inputs),
            kernel,
            stride: 1,
        };
        Ok(Self {
            norm: Norm::take(inventory, &format!("{prefix}.{norm}"), inputs)?,
            conv: Conv::take(inventory, &format!("{prefix}.{conv}"), None, shape)?,
        })
    }

    fn write(&self, writer: &mut Writer, x: Value) -> Value {
        let x = writer.norm(x, &self.norm);
        let x = writer.relu(x);
        writer.conv(x, &self.conv)
    }
}

impl DenseNet {
    fn program(&self) -> Arc<Program> {
        let (mut writer, images) = Writer::of(&[Some(self.stem.inputs), None, None]);
        let mut x = writer.conv(images, &self.stem);
        for stage in &self.stages {
            for [first, second] in &stage.layers {
                let between = first.write(&mut writer, x);
                let new = second.write(&mut writer, between);
                // What is new stands before what was there.
                x = writer.concat(new, x);
            }
            if let Some(transition) = &stage.transition {
                x = transition.write(&mut writer, x);
                x = writer.average(x, Pool::halving(false));
            }
        }
        x = writer.norm(x, &self.norm);
        x = writer.relu(x);
        x = writer.global_average(x);
        let logits = writer.linear(x, &self.head);
        writer.finish(logits)
    }
}

/// Returns true when the names are those of a DenseNet.
pub(super) fn claims(inventory: &Inventory) -> bool {
    inventory.has("dense1.0.conv1.weight")
}

/// Reads a DenseNet-121 of any growth.
pub(super) fn recognize(mut inventory: Inventory) -> Result<Recognized, Mismatch> {
    let found = [1, 2, 3, 4].map(|block| inventory.numbers(&format!("dense{block}")).len());
    if found != BLOCKS {
        return Err(Mismatch::Structure(format!(
            "dense1 to dense4 have {} layers, expected {}",
            found.map(|count| count.to_string()).join(", "),
            BLOCKS.map(|count| count.to_string()).join(", ")
        )));
    }
    let stem = ConvShape {
        outputs: None,
        inputs: None,
        kernel: 3,
        stride: 1,
    };
    let stem = Conv::take(&mut inventory, "conv1", None, stem)?;
    let (mut channels, mut growth) = (stem.outputs, 0);
    let mut stages = Vec::with_capacity(BLOCKS.len());
    for (number, layers) in (1..).zip(BLOCKS) {
        let mut stage = Stage {
            layers: Vec::with_capacity(layers),
            transition: None,
        };
        for i in 0..layers {
            let prefix = format!("dense{number}.{i}");
            let first = Unit::take(&mut inventory, &prefix, ["bn1", "conv1"], channels, 1)?;
            let between = first.conv.outputs;
            let second = Unit::take(&mut inventory, &prefix, ["bn2", "conv2"], between, 3)?;
            growth = second.conv.outputs;
            channels += growth;
            stage.layers.push([first, second]);
        }
        if number < BLOCKS.len() {
            let prefix = format!("trans{number}");
            let transition = Unit::take(&mut inventory, &prefix, ["bn", "conv"], channels, 1)?;
            channels = transition.conv.outputs;
            stage.transition = Some(transition);
        }
        stages.push(stage);
    }
    let norm = Norm::take(&mut inventory, "bn", channels)?;
    let head = Linear::take(&mut inventory, "linear", Some(channels))?;
    inventory.finish()?;
    let densenet = DenseNet {
        stem,
        stages,
        norm,
        head,
    };
    Ok(Recognized {
        name: "densenet121".into(),
        evidence: format!(
            "{} named like a CIFAR DenseNet: blocks of 6-12-24-16 layers, growth {growth}, {} classes",
            count(inventory.slots().len(), "tensor"),
            densenet.head.outputs,
        ),
        reading: Reading::default(),
        readings: Vec::new(),
        activations: Vec::new(),
        kept: None,
        untold: None,
        program: densenet.program(),
    })
}
