//! Layers whose tensors were found by name, and the programs that are written with them.

use std::sync::Arc;

use super::detect::{Inventory, Mismatch};
use crate::model::ops::{BatchNormTensors, Pool};
use crate::model::program::kind::Kind;
use crate::model::program::op::{self, Around, AxisSlice, Binary, Function, Mean, Op, Padding};
use crate::model::program::{Input, Output, Program, Size, Value};

/// Name of the argument that the known architectures take.
const ARGUMENT: &str = "images";
/// Name of their output.
const LOGITS: &str = "logits";

/// A fully connected layer.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    pub(super) name: String,
    weight: Value,
    bias: Option<Value>,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

impl Linear {
    /// Takes `prefix.weight` (outputs, inputs) and, where it is there, `prefix.bias`.
    pub(super) fn take(
        inventory: &mut Inventory,
        prefix: &str,
        inputs: Option<usize>,
    ) -> Result<Self, Mismatch> {
        let (weight, shape) = inventory.take(&member(prefix, "weight"), &[None, inputs])?;
        let (outputs, inputs) = (shape[0], shape[1]);
        let bias = inventory.take_if_there(&member(prefix, "bias"), &[Some(outputs)])?;
        Ok(Self {
            name: prefix.into(),
            weight: Value::Slot(weight),
            bias: bias.map(|(index, _)| Value::Slot(index)),
            inputs,
            outputs,
        })
    }
}

/// A batch norm or a layer norm.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    pub(super) name: String,
    /// γ and β; a layer norm may have neither bias nor weight.
    affine: [Option<Value>; 2],
    /// Running mean and variance of a batch norm; `None` for a layer norm.
    running: Option<[Value; 2]>,
    /// Number of values that are normalized.
    pub(super) width: usize,
}

impl Norm {
    /// Takes `prefix.weight`, `.bias`, `.running_mean` and `.running_var`, each (channels).
    pub(super) fn take(
        inventory: &mut Inventory,
        prefix: &str,
        channels: usize,
    ) -> Result<Self, Mismatch> {
        let affine = ["weight", "bias"].map(|name| vector(inventory, prefix, name, Some(channels)));
        let [weight, bias] = affine;
        Ok(Self {
            name: prefix.into(),
            affine: [Some(weight?.0), Some(bias?.0)],
            running: Some(Self::running(inventory, prefix, channels)?),
            width: channels,
        })
    }

    /// Takes `prefix.weight` and `.bias` of one length, with running statistics where they are there.
    pub(super) fn take_any(inventory: &mut Inventory, prefix: &str) -> Result<Self, Mismatch> {
        let (weight, width) = vector(inventory, prefix, "weight", None)?;
        let (bias, _) = vector(inventory, prefix, "bias", Some(width))?;
        let is_batch = inventory.has(&member(prefix, "running_mean"));
        let running = is_batch.then(|| Self::running(inventory, prefix, width));
        Ok(Self {
            name: prefix.into(),
            affine: [Some(weight), Some(bias)],
            running: running.transpose()?,
            width,
        })
    }

    /// Takes `prefix.weight` and, where it is there, `prefix.bias` of a layer norm.
    pub(super) fn take_layer(
        inventory: &mut Inventory,
        prefix: &str,
        width: usize,
    ) -> Result<Self, Mismatch> {
        let (weight, _) = vector(inventory, prefix, "weight", Some(width))?;
        let bias = inventory.take_if_there(&member(prefix, "bias"), &[Some(width)])?;
        Ok(Self {
            name: prefix.into(),
            affine: [Some(weight), bias.map(|(index, _)| Value::Slot(index))],
            running: None,
            width,
        })
    }

    fn running(
        inventory: &mut Inventory,
        prefix: &str,
        channels: usize,
    ) -> Result<[Value; 2], Mismatch> {
        let running = ["running_mean", "running_var"];
        let [mean, variance] = running.map(|name| vector(inventory, prefix, name, Some(channels)));
        Ok([mean?.0, variance?.0])
    }

    /// Returns true for a batch norm.
    pub(super) fn is_batch(&self) -> bool {
        self.running.is_some()
    }
}

/// Takes a vector, of this length where it is given.
fn vector(
    inventory: &mut Inventory,
    prefix: &str,
    name: &str,
    length: Option<usize>,
) -> Result<(Value, usize), Mismatch> {
    let (index, shape) = inventory.take(&member(prefix, name), &[length])?;
    Ok((Value::Slot(index), shape[0]))
}

/// A convolution, with the batch norm that follows it where there is one.
#[derive(Clone, Debug)]
pub(super) struct Conv {
    pub(super) name: String,
    weight: Value,
    bias: Option<Value>,
    norm: Option<Norm>,
    stride: usize,
    /// Zeros around the image.
    padding: usize,
    /// Width of the square kernel.
    pub(super) kernel: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

/// Extents of a convolution, as far as its surroundings tell them.
#[derive(Clone, Copy)]
pub(super) struct ConvShape {
    pub(super) outputs: Option<usize>,
    pub(super) inputs: Option<usize>,
    /// Odd; the padding keeps the image's size.
    pub(super) kernel: usize,
    pub(super) stride: usize,
}

impl Conv {
    /// Takes `prefix.weight` (O, I, k, k), where it is there `prefix.bias`, and the norm.
    pub(super) fn take(
        inventory: &mut Inventory,
        prefix: &str,
        norm: Option<&str>,
        shape: ConvShape,
    ) -> Result<Self, Mismatch> {
        let k = Some(shape.kernel);
        let expected = [shape.outputs, shape.inputs, k, k];
        let (weight, found) = inventory.take(&member(prefix, "weight"), &expected)?;
        let (outputs, inputs) = (found[0], found[1]);
        let bias = inventory.take_if_there(&member(prefix, "bias"), &[Some(outputs)])?;
        let norm = norm
            .map(|norm| Norm::take(inventory, norm, outputs))
            .transpose()?;
        Ok(Self {
            name: prefix.into(),
            weight: Value::Slot(weight),
            bias: bias.map(|(index, _)| Value::Slot(index)),
            norm,
            stride: shape.stride,
            padding: shape.kernel / 2,
            kernel: shape.kernel,
            inputs,
            outputs,
        })
    }

    /// Returns the same convolution with another stride and padding.
    pub(super) fn with(&self, stride: usize, padding: usize) -> Self {
        Self {
            stride,
            padding,
            ..self.clone()
        }
    }
}

/// Returns `prefix.name`, or `name` alone for a layer that is the whole model.
fn member(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.into()
    } else {
        format!("{prefix}.{name}")
    }
}

/// A layer with weights.
#[derive(Debug)]
pub(super) enum Layer {
    Conv(Conv),
    Linear(Linear),
}

impl Layer {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Conv(conv) => &conv.name,
            Self::Linear(linear) => &linear.name,
        }
    }

    pub(super) fn widths(&self) -> [usize; 2] {
        match self {
            Self::Conv(conv) => [conv.inputs, conv.outputs],
            Self::Linear(linear) => [linear.inputs, linear.outputs],
        }
    }

    pub(super) fn inputs(&self) -> usize {
        self.widths()[0]
    }

    pub(super) fn outputs(&self) -> usize {
        self.widths()[1]
    }
}

/// A program while it is written, layer by layer.
#[derive(Debug)]
pub(super) struct Writer {
    program: Program,
}

impl Writer {
    /// Begins a program of samples of these extents, without the batch; `None` for any.
    pub(super) fn of(sample: &[Option<usize>]) -> (Self, Value) {
        let shape = std::iter::once(None).chain(sample.iter().copied());
        let input = Input {
            name: ARGUMENT.into(),
            kind: Kind::Float,
            shape: shape.collect(),
        };
        let program = Program {
            inputs: vec![input],
            ..Program::default()
        };
        (Self { program }, Value::Input(0))
    }

    /// Begins a program of samples that are lists of ids of any length.
    pub(super) fn of_ids(name: &str) -> (Self, Value) {
        let (mut writer, ids) = Self::of(&[None]);
        for input in &mut writer.program.inputs {
            input.name = name.into();
            input.kind = Kind::Int;
        }
        (writer, ids)
    }

    /// Ends it with the logits.
    pub(super) fn finish(mut self, logits: Value) -> Arc<Program> {
        self.program.outputs.push(Output {
            name: Some(LOGITS.into()),
            value: logits,
        });
        Arc::new(self.program.joined())
    }

    /// Appends an operation of operands that are all there.
    pub(super) fn push(&mut self, op: Op, operands: &[Value], label: &str) -> Value {
        let operands = operands.iter().copied().map(Some);
        self.program.push(op, operands.collect(), label)
    }

    fn then(&mut self, x: Value, op: Op, label: &str) -> Value {
        self.push(op, &[x], label)
    }

    /// Appends a convolution with its norm.
    pub(super) fn conv(&mut self, x: Value, conv: &Conv) -> Value {
        let op = Op::Conv(op::Conv {
            stride: vec![conv.stride; 2],
            padding: Around::By(vec![conv.padding; 2]),
            dilation: vec![1; 2],
            groups: 1,
            output_padding: None,
        });
        let operands = vec![Some(x), Some(conv.weight), conv.bias];
        let y = self.program.push(op, operands, conv.name.as_str());
        match &conv.norm {
            Some(norm) => self.norm(y, norm),
            None => y,
        }
    }

    /// Appends a norm: a layer norm is over the last axis.
    pub(super) fn norm(&mut self, x: Value, norm: &Norm) -> Value {
        let epsilon = BatchNormTensors::EPSILON;
        let op = if norm.is_batch() {
            Op::BatchNorm { epsilon }
        } else {
            Op::Norm(op::Normalization::Layer(1, epsilon))
        };
        let running = norm.running.into_iter().flatten().map(Some);
        let operands = [Some(x)].into_iter().chain(norm.affine).chain(running);
        self.program
            .push(op, operands.collect(), norm.name.as_str())
    }

    /// Appends a ReLU.
    pub(super) fn relu(&mut self, x: Value) -> Value {
        self.then(x, Op::Function(Function::Relu), "relu")
    }

    /// Appends a fully connected layer.
    pub(super) fn linear(&mut self, x: Value, linear: &Linear) -> Value {
        let operands = vec![Some(x), Some(linear.weight), linear.bias];
        self.program
            .push(Op::Linear, operands, linear.name.as_str())
    }

    /// Appends the sum of two values.
    pub(super) fn add(&mut self, a: Value, b: Value) -> Value {
        let op = Op::Binary(Binary::Add(1.0));
        self.program.push(op, vec![Some(a), Some(b)], "add")
    }

    /// Appends the channels of `a` followed by those of `b`.
    pub(super) fn concat(&mut self, a: Value, b: Value) -> Value {
        self.program.push(Op::Cat(1), vec![Some(a), Some(b)], "cat")
    }

    /// Appends the largest value of each window.
    pub(super) fn max(&mut self, x: Value, pool: Pool) -> Value {
        self.then(x, Op::MaxPool(window(pool)), "max_pool2d")
    }

    /// Appends the mean of each window.
    pub(super) fn average(&mut self, x: Value, pool: Pool) -> Value {
        let mean = Mean {
            counts_padding: pool.count_include_pad,
            divisor: pool.divisor,
        };
        self.then(x, Op::AveragePool(window(pool), mean), "avg_pool2d")
    }

    /// Appends the mean over the image: a vector of channels.
    pub(super) fn global_average(&mut self, x: Value) -> Value {
        let op = Op::AdaptivePool {
            to: vec![Some(1); 2],
            max: false,
        };
        let x = self.then(x, op, "adaptive_avg_pool2d");
        self.flatten(x)
    }

    /// Appends channels, rows and columns as one vector, in this order.
    pub(super) fn flatten(&mut self, x: Value) -> Value {
        self.then(x, Op::Flatten(1, -1), "flatten")
    }

    /// Appends the shortcut without parameters (option A of He et al. 2015): every `stride`-th pixel, and
    /// `added` channels of zeros on each side.
    pub(super) fn padded(&mut self, x: Value, stride: usize, added: usize) -> Value {
        let mut x = x;
        if stride > 1 {
            for axis in [2, 3] {
                let slice = AxisSlice {
                    axis,
                    start: Size::Fixed(0),
                    end: Size::Fixed(i64::MAX),
                    step: stride.cast_signed() as i64,
                };
                x = self.then(x, Op::Slice(slice), "slice");
            }
        }
        let added = Size::Fixed(added.cast_signed() as i64);
        let none = Size::Fixed(0);
        let op = Op::Pad {
            by: vec![none, none, none, none, added, added],
            with: Padding::Constant(0.0),
        };
        self.then(x, op, "pad")
    }
}

fn window(pool: Pool) -> op::PoolWindow {
    op::PoolWindow {
        kernel: pool.kernel.to_vec(),
        stride: pool.stride.to_vec(),
        padding: pool.padding.to_vec(),
        dilation: pool.dilation.to_vec(),
        ceil: pool.ceil,
    }
}
