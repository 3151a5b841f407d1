//! Layers whose tensors were found by name, and the programs that are written with them.

use std::sync::Arc;

use super::detect::{Inventory, Misfit};
use crate::model::ops::{BatchNorm, Pool};
use crate::model::program::datum::Kind;
use crate::model::program::op::{self, Around, Binary, Function, Mean, Op, Padding, Slice};
use crate::model::program::{Input, Output, Program, Size, Value};

/// Name of the argument that the known architectures take.
const ARGUMENT: &str = "images";
/// Name of their output.
const LOGITS: &str = "logits";

/// A fully connected layer.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    name: String,
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
    ) -> Result<Self, Misfit> {
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

/// A batch norm.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    name: String,
    /// γ, β, mean and variance.
    tensors: [Value; 4],
}

impl Norm {
    /// Takes `prefix.weight`, `.bias`, `.running_mean` and `.running_var`, each (channels).
    pub(super) fn take(
        inventory: &mut Inventory,
        prefix: &str,
        channels: usize,
    ) -> Result<Self, Misfit> {
        let mut vector = |name| {
            let taken = inventory.take(&member(prefix, name), &[Some(channels)]);
            taken.map(|(index, _)| Value::Slot(index))
        };
        Ok(Self {
            name: prefix.into(),
            tensors: [
                vector("weight")?,
                vector("bias")?,
                vector("running_mean")?,
                vector("running_var")?,
            ],
        })
    }
}

/// A convolution, with the batch norm that follows it where there is one.
#[derive(Clone, Debug)]
pub(super) struct Conv {
    name: String,
    weight: Value,
    bias: Option<Value>,
    norm: Option<Norm>,
    stride: usize,
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
    ) -> Result<Self, Misfit> {
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
            kernel: shape.kernel,
            inputs,
            outputs,
        })
    }
}

/// `prefix.name`, or `name` alone for a layer that is the whole model.
fn member(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.into()
    } else {
        format!("{prefix}.{name}")
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

    /// Ends it with the logits.
    pub(super) fn finish(mut self, logits: Value) -> Arc<Program> {
        self.program.outputs.push(Output {
            name: Some(LOGITS.into()),
            value: logits,
        });
        Arc::new(self.program.joined())
    }

    fn then(&mut self, x: Value, op: Op, label: &str) -> Value {
        self.program.push(op, vec![Some(x)], label)
    }

    /// Appends a convolution with its norm.
    pub(super) fn conv(&mut self, x: Value, conv: &Conv) -> Value {
        let op = Op::Conv(op::Conv {
            stride: vec![conv.stride; 2],
            padding: Around::By(vec![conv.kernel / 2; 2]),
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

    /// Appends a batch norm.
    pub(super) fn norm(&mut self, x: Value, norm: &Norm) -> Value {
        let op = Op::BatchNorm {
            epsilon: BatchNorm::EPSILON,
        };
        let operands = [x].into_iter().chain(norm.tensors).map(Some);
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
                let slice = Slice {
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

fn window(pool: Pool) -> op::Window {
    op::Window {
        kernel: pool.kernel.to_vec(),
        stride: pool.stride.to_vec(),
        padding: pool.padding.to_vec(),
        dilation: pool.dilation.to_vec(),
        ceil: pool.ceil,
    }
}
