//! From a program to the layers that the kernels know, each of which takes values that stand before it.

use crate::model::kernels::simd::Rectifier;
use crate::model::ops::Pool;
use crate::model::program::kind::Kind;
use crate::model::program::op::{
    self, Around, AxisSlice, Binary, Function, Mean, Op, Padding, Reduction,
};
use crate::model::program::trace::Trace;
use crate::model::program::{Node as Operation, Program, Size, Value as Operand};

/// The work of a layer on what it takes; tensors are slots of the layout.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Layer {
    /// Cross-correlation, and the batch norm that belongs to it.
    Conv(Conv),
    /// A fully connected layer on vectors.
    Linear(Linear),
    /// A batch norm of its own.
    Norm(Norm),
    /// max(x, 0), or that bounded above.
    Rectify(Rectifier),
    /// Largest value of each window.
    Max(Pool),
    /// Mean of each window.
    Average(Pool),
    /// Mean over the image: a vector of channels.
    GlobalAverage,
    /// Every `stride`-th pixel, zero channels on both sides.
    Padded {
        /// Every so many pixels.
        stride: usize,
        /// Channels with the zeros.
        channels: usize,
    },
    /// Channels, rows and columns as one vector, in this order.
    Flatten,
    /// Sum of two values.
    Add,
    /// Channels of the first, then those of the second value.
    Concat,
}

/// A convolution with square kernels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Conv {
    pub(super) weight: usize,
    pub(super) bias: Option<usize>,
    pub(super) norm: Option<Norm>,
    /// Width of the kernel.
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// True if each channel has a kernel of its own, and `inputs` is 1.
    pub(super) is_depthwise: bool,
}

/// A fully connected layer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Linear {
    pub(super) weight: usize,
    pub(super) bias: Option<usize>,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

/// A batch norm in evaluation mode.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Norm {
    pub(super) weight: usize,
    pub(super) bias: usize,
    pub(super) mean: usize,
    pub(super) variance: usize,
    pub(super) epsilon: f32,
}

/// The samples, or what a layer gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value(pub(super) usize);

/// A layer and what it takes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) layer: Layer,
    pub(super) takes: Vec<Value>,
}

/// Layers in the order in which they can be applied; value 0 is the samples, value i + 1 what layer i gives, and
/// the last layer gives the logits.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Layers {
    pub(super) nodes: Vec<Node>,
    /// Channels, height and width of the samples; a vector has its length as channels of one pixel.
    pub(super) sample: [usize; 3],
}

impl Layers {
    /// The samples.
    pub(super) const SAMPLES: Value = Value(0);

    /// Appends a layer.
    pub(super) fn push(&mut self, layer: Layer, takes: Vec<Value>) -> Value {
        self.nodes.push(Node { layer, takes });
        Value(self.nodes.len())
    }

    /// Returns the layers of a program whose output number `output` are logits; `None` if an operation is one
    /// that the kernels do not know.
    pub(super) fn of(program: &Program, trace: &Trace, output: usize) -> Option<Self> {
        let [input] = &program.inputs[..] else {
            return None;
        };
        let sample = trace.dims(program, Operand::Input(0))?;
        let sample = match (input.kind, sample) {
            (Kind::Float, &[_, channels, height, width]) => [channels, height, width],
            (Kind::Float, &[_, features]) => [features, 1, 1],
            _ => return None,
        };
        let mut reader = Reader {
            program,
            trace,
            values: vec![None; program.nodes.len()],
            layers: Self {
                nodes: Vec::new(),
                sample,
            },
        };
        let logits = program.outputs.get(output)?.value;
        let is_vector = trace.dims(program, logits)?.len() == 2;
        let live = program.live();
        for i in (0..program.nodes.len()).filter(|i| live[*i]) {
            reader.read(i)?;
        }
        let is_last = reader.value(logits)? == Value(reader.layers.nodes.len());
        (is_last && is_vector).then(|| reader.layers.padded_first())
    }

    /// Moves each shortcut without parameters right behind what it takes, so that it stands where a convolution can
    /// add it to its sums.
    fn padded_first(self) -> Self {
        let is_padded = |node: &Node| matches!(node.layer, Layer::Padded { .. });
        let mut order = Vec::with_capacity(self.nodes.len());
        let padded_of = |value: Value| {
            let takes = move |(_, node): &(usize, &Node)| is_padded(node) && node.takes == [value];
            let found = self.nodes.iter().enumerate().filter(takes);
            found.map(|(i, _)| i).collect::<Vec<_>>()
        };
        order.extend(padded_of(Self::SAMPLES));
        for (i, node) in self.nodes.iter().enumerate() {
            if !is_padded(node) {
                order.push(i);
                order.extend(padded_of(Value(i + 1)));
            }
        }
        // A chain of shortcuts stays as it is.
        if order.len() != self.nodes.len() {
            return self;
        }
        let mut places = vec![Self::SAMPLES; self.nodes.len() + 1];
        for (place, i) in order.iter().enumerate() {
            places[i + 1] = Value(place + 1);
        }
        let nodes = order.iter().map(|&i| Node {
            layer: self.nodes[i].layer.clone(),
            takes: self.nodes[i]
                .takes
                .iter()
                .map(|taken| places[taken.0])
                .collect(),
        });
        Self {
            nodes: nodes.collect(),
            sample: self.sample,
        }
    }

    /// Counts the layers that take each value; the logits count as taken once.
    pub(super) fn takers(&self) -> Vec<usize> {
        let mut takers = vec![0; self.nodes.len() + 1];
        for value in self.nodes.iter().flat_map(|node| &node.takes) {
            takers[value.0] += 1;
        }
        if let Some(logits) = takers.last_mut() {
            *logits += 1;
        }
        takers
    }
}

struct Reader<'a> {
    program: &'a Program,
    trace: &'a Trace,
    /// The value of each operation that was read.
    values: Vec<Option<Read>>,
    layers: Layers,
}

/// The result of an operation.
#[derive(Clone, Copy)]
enum Read {
    /// The value of a layer.
    Value(Value),
    /// The value of an operation that becomes a layer with those that take it: a slice or a mean of another value.
    Part {
        of: Value,
        /// Every so many pixels of each side.
        strides: [usize; 2],
        /// The mean over the image.
        mean: bool,
    },
}

impl Reader<'_> {
    fn read(&mut self, i: usize) -> Option<()> {
        let node = &self.program.nodes[i];
        let first = node.operands.first().copied().flatten();
        let read = match &node.op {
            Op::Same | Op::Detach => self.get(first?)?,
            Op::Slice(slice) => self.slice(first?, slice)?,
            Op::AdaptivePool { to, max: false } if *to == [Some(1); 2] => self.mean(first?)?,
            Op::Reduce {
                by: Reduction::Mean,
                axes,
                ..
            } if is_over_image(axes) && self.rank(first?)? == 4 => {
                let mean = self.mean(first?)?;
                if self.result(i)?.len() == 2 {
                    Read::Value(self.finished(mean))
                } else {
                    mean
                }
            }
            _ => Read::Value(self.layer(i, node)?),
        };
        self.values[i] = Some(read);
        Some(())
    }

    /// Returns the layer of an operation that takes whole values.
    fn layer(&mut self, i: usize, node: &Operation) -> Option<Value> {
        let first = node.operands.first().copied().flatten()?;
        if let Op::Flatten(..) | Op::Reshape(_) | Op::Squeeze(_) = node.op {
            return self.vector(i, first);
        }
        if let Op::Pad { by, with } = &node.op {
            return self.padded(i, first, by, *with);
        }
        let second = node.operands.get(1).copied().flatten();
        let takes = vec![self.value(first)?];
        let takes = match (&node.op, second) {
            (Op::Binary(Binary::Add(1.0)), Some(second)) if self.is_same_shape(first, second) => {
                [takes, vec![self.value(second)?]].concat()
            }
            (Op::Cat(1), Some(second)) if node.operands.len() == 2 => {
                [takes, vec![self.value(second)?]].concat()
            }
            _ => takes,
        };
        let layer = match &node.op {
            Op::Conv(conv) => Layer::Conv(self.conv(conv, node, None)?),
            Op::ConvNorm { conv, epsilon } => {
                let norm = Self::norm(node, 3, *epsilon)?;
                Layer::Conv(self.conv(conv, node, Some(norm))?)
            }
            Op::BatchNorm { epsilon } => Layer::Norm(Self::norm(node, 1, *epsilon)?),
            Op::Linear => Layer::Linear(self.linear(node)?),
            Op::Function(function) => Layer::Rectify(rectifier(*function)?),
            Op::MaxPool(window) => Layer::Max(pool(window, None)?),
            Op::AveragePool(window, mean) => Layer::Average(pool(window, Some(*mean))?),
            Op::Binary(_) if takes.len() == 2 => Layer::Add,
            Op::Cat(_) if takes.len() == 2 => Layer::Concat,
            _ => return None,
        };
        Some(self.layers.push(layer, takes))
    }

    fn get(&self, operand: Operand) -> Option<Read> {
        match operand {
            Operand::Input(0) => Some(Read::Value(Layers::SAMPLES)),
            Operand::Node { node, output: 0 } => *self.values.get(node)?,
            _ => None,
        }
    }

    /// Returns the whole value of an operand.
    fn value(&self, operand: Operand) -> Option<Value> {
        match self.get(operand)? {
            Read::Value(value) => Some(value),
            Read::Part { .. } => None,
        }
    }

    fn rank(&self, operand: Operand) -> Option<usize> {
        self.trace.dims(self.program, operand).map(<[usize]>::len)
    }

    fn result(&self, i: usize) -> Option<&[usize]> {
        let value = Operand::Node { node: i, output: 0 };
        self.trace.dims(self.program, value)
    }

    fn is_same_shape(&self, a: Operand, b: Operand) -> bool {
        self.trace.dims(self.program, a) == self.trace.dims(self.program, b)
    }

    /// Returns the value whose pixels an operand has, and the steps between those that it takes.
    fn pixels(&self, operand: Operand) -> Option<(Value, [usize; 2])> {
        match self.get(operand)? {
            Read::Value(value) => Some((value, [1, 1])),
            Read::Part {
                of,
                strides,
                mean: false,
            } => Some((of, strides)),
            Read::Part { .. } => None,
        }
    }

    /// Returns every so many pixels of a side, which only the next slice or the padding of channels takes.
    fn slice(&self, x: Operand, slice: &AxisSlice) -> Option<Read> {
        let is_whole = slice.start == Size::Fixed(0)
            && matches!(slice.end, Size::Fixed(end) if end > i64::from(i32::MAX));
        if is_whole && slice.step == 1 {
            return self.get(x);
        }
        let (of, mut strides) = self.pixels(x)?;
        let side = match (self.rank(x)?, slice.axis) {
            (4, 2 | -2) => 0,
            (4, 3 | -1) => 1,
            _ => return None,
        };
        strides[side] = usize::try_from(slice.step).ok().filter(|_| is_whole)?;
        Some(Read::Part {
            of,
            strides,
            mean: false,
        })
    }

    /// Returns the channels of zeros on both sides.
    fn padded(&mut self, i: usize, x: Operand, by: &[Size], with: Padding) -> Option<Value> {
        let (of, strides) = self.pixels(x)?;
        let none = Size::Fixed(0);
        let is_even = match by {
            [a, b, c, d, before, after] => [a, b, c, d] == [&none; 4] && before == after,
            _ => false,
        };
        if !is_even || with != Padding::Constant(0.0) || strides[0] != strides[1] {
            return None;
        }
        let channels = *self.result(i)?.get(1)?;
        let stride = strides[0];
        Some(
            self.layers
                .push(Layer::Padded { stride, channels }, vec![of]),
        )
    }

    /// Returns the mean over the image, which a change of shape makes a vector.
    fn mean(&self, x: Operand) -> Option<Read> {
        Some(Read::Part {
            of: self.value(x)?,
            strides: [1, 1],
            mean: true,
        })
    }

    fn finished(&mut self, mean: Read) -> Value {
        match mean {
            Read::Part { of, .. } => self.layers.push(Layer::GlobalAverage, vec![of]),
            Read::Value(value) => value,
        }
    }

    /// Returns a change of shape from an image to a vector, or of none at all.
    fn vector(&mut self, i: usize, x: Operand) -> Option<Value> {
        let from = self.trace.dims(self.program, x)?;
        let to = self.result(i)?;
        let is_vector = matches!(to, [1, _]);
        match self.get(x)? {
            Read::Value(value) if from == to => Some(value),
            Read::Value(value) if is_vector && from.len() == 4 => {
                Some(self.layers.push(Layer::Flatten, vec![value]))
            }
            part @ Read::Part { mean: true, .. } if is_vector => Some(self.finished(part)),
            _ => None,
        }
    }

    fn conv(&self, conv: &op::Conv, node: &Operation, norm: Option<Norm>) -> Option<Conv> {
        let weight = slot(node, 1)?;
        let dims = self.trace.dims(self.program, Operand::Slot(weight))?;
        let &[outputs, inputs, height, width] = dims else {
            return None;
        };
        let one = |numbers: &[usize]| match *numbers {
            [both] => Some(both),
            [a, b] if a == b => Some(a),
            _ => None,
        };
        let stride = one(&conv.stride)?;
        let padding = match &conv.padding {
            Around::By(by) => one(by)?,
            Around::Same if width % 2 == 1 => width / 2,
            Around::Same => return None,
        };
        let is_depthwise = conv.groups > 1 && conv.groups == outputs && inputs == 1;
        let is_known = height == width
            && matches!(stride, 1 | 2)
            && padding < width.max(1)
            && one(&conv.dilation)? == 1
            && (conv.groups == 1 || is_depthwise)
            && conv.output_padding.is_none();
        is_known.then_some(Conv {
            weight,
            bias: bias(node, 2).ok()?,
            norm,
            kernel: width,
            stride,
            padding,
            inputs,
            outputs,
            is_depthwise,
        })
    }

    fn norm(node: &Operation, first: usize, epsilon: f64) -> Option<Norm> {
        Some(Norm {
            weight: slot(node, first)?,
            bias: slot(node, first + 1)?,
            mean: slot(node, first + 2)?,
            variance: slot(node, first + 3)?,
            epsilon: epsilon as f32,
        })
    }

    fn linear(&self, node: &Operation) -> Option<Linear> {
        let weight = slot(node, 1)?;
        let dims = self.trace.dims(self.program, Operand::Slot(weight))?;
        let &[outputs, inputs] = dims else {
            return None;
        };
        Some(Linear {
            weight,
            bias: bias(node, 2).ok()?,
            inputs,
            outputs,
        })
    }
}

fn slot(node: &Operation, i: usize) -> Option<usize> {
    bias(node, i).ok().flatten()
}

/// Returns the slot of an operand, `None` if it is left out.
///
/// # Errors
/// It is no tensor of the weights.
fn bias(node: &Operation, i: usize) -> Result<Option<usize>, ()> {
    match node.operands.get(i).copied().flatten() {
        None => Ok(None),
        Some(Operand::Slot(slot)) => Ok(Some(slot)),
        Some(_) => Err(()),
    }
}

fn rectifier(function: Function) -> Option<Rectifier> {
    match function {
        Function::Relu => Some(Rectifier::Relu),
        Function::Hardtanh(least, most) if least == 0.0 && most > 0.0 => {
            Some(Rectifier::Capped(most as f32))
        }
        _ => None,
    }
}

fn is_over_image(axes: &[i64]) -> bool {
    matches!(axes, [2, 3] | [3, 2] | [-2, -1] | [-1, -2])
}

/// Returns the windows that the kernels pool; `None` for dilated ones, and for means beyond the image.
fn pool(window: &op::PoolWindow, mean: Option<Mean>) -> Option<Pool> {
    let two = |numbers: &[usize]| match *numbers {
        [both] => Some([both; 2]),
        [height, width] => Some([height, width]),
        _ => None,
    };
    let kernel = two(&window.kernel)?;
    let pool = Pool {
        kernel,
        stride: if window.stride.is_empty() {
            kernel
        } else {
            two(&window.stride)?
        },
        padding: two(&window.padding)?,
        dilation: two(&window.dilation)?,
        ceil: window.ceil,
        count_include_pad: mean.is_none_or(|mean| mean.counts_padding),
        divisor: mean.and_then(|mean| mean.divisor),
    };
    let is_inside = pool.padding == [0; 2] && !pool.ceil && pool.divisor.is_none();
    let is_known = pool.dilation == [1; 2] && (is_inside || mean.is_none());
    is_known.then_some(pool)
}
