//! A network as a list of layers, each of which takes values that stand before it.
//!
//! The architectures describe themselves so, once, and two engines run the list: this file with candle
//! (any device, any derivative), and the kernels (CPU, values only).

use candle_core::{Result, Tensor, bail};

use super::activation::Activation;
use super::layer::{Conv, Linear, Norm};
use super::ops::{self, Pool};
use super::{Network, Weights};

/// What a layer does with what it takes.
#[derive(Clone, Debug)]
pub(super) enum Layer {
    /// Cross-correlation, and the batch norm that belongs to it.
    Conv(Conv),
    /// A fully connected layer on vectors.
    Linear(Linear),
    /// A batch norm of its own.
    Norm(Norm),
    /// max(x, 0).
    Relu,
    /// Another activation.
    Activation(Activation),
    /// Largest value of each window.
    Max(Pool),
    /// Mean of each window.
    Average(Pool),
    /// Mean over the image: a vector of channels.
    GlobalAverage,
    /// The shortcut without parameters: every `stride`-th pixel, zero channels on both sides.
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

/// What the images or a layer gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value(pub(super) usize);

/// A layer and what it takes.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) layer: Layer,
    pub(super) takes: Vec<Value>,
}

/// Layers in the order in which they can be applied; value 0 is the images, value i + 1 what layer i
/// gives, and the last layer gives the logits.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(super) nodes: Vec<Node>,
}

impl Graph {
    /// The images, of shape (N, C, H, W).
    pub(super) const IMAGES: Value = Value(0);

    /// Appends a layer of one value.
    pub(super) fn then(&mut self, x: Value, layer: Layer) -> Value {
        self.push(layer, vec![x])
    }

    /// Appends a convolution.
    pub(super) fn conv(&mut self, x: Value, conv: &Conv) -> Value {
        self.then(x, Layer::Conv(conv.clone()))
    }

    /// Appends a ReLU.
    pub(super) fn relu(&mut self, x: Value) -> Value {
        self.then(x, Layer::Relu)
    }

    /// Appends a fully connected layer.
    pub(super) fn linear(&mut self, x: Value, linear: &Linear) -> Value {
        self.then(x, Layer::Linear(linear.clone()))
    }

    /// Appends a batch norm.
    pub(super) fn norm(&mut self, x: Value, norm: &Norm) -> Value {
        self.then(x, Layer::Norm(norm.clone()))
    }

    /// Appends the sum of two values.
    pub(super) fn add(&mut self, a: Value, b: Value) -> Value {
        self.push(Layer::Add, vec![a, b])
    }

    /// Appends the channels of `a` followed by those of `b`.
    pub(super) fn concat(&mut self, a: Value, b: Value) -> Value {
        self.push(Layer::Concat, vec![a, b])
    }

    fn push(&mut self, layer: Layer, takes: Vec<Value>) -> Value {
        self.nodes.push(Node { layer, takes });
        Value(self.nodes.len())
    }

    /// True where a layer normalizes by statistics of a batch.
    #[must_use]
    pub fn has_batch_norm(&self) -> bool {
        let mut layers = self.nodes.iter().map(|node| &node.layer);
        layers.any(|layer| match layer {
            Layer::Conv(conv) => conv.norm.is_some(),
            Layer::Norm(_) => true,
            _ => false,
        })
    }

    /// How many layers take each value; the logits count as taken once.
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

    /// Logits (N, classes) of images (N, C, H, W), with candle.
    pub(super) fn run(&self, weights: &Weights, images: &Tensor) -> Result<Tensor> {
        let mut takers = self.takers();
        let mut values = vec![None; self.nodes.len() + 1];
        values[0] = Some(images.clone());
        for (i, node) in self.nodes.iter().enumerate() {
            let mut taken = Vec::with_capacity(2);
            for value in &node.takes {
                takers[value.0] -= 1;
                // The last one to take a value frees its memory.
                let tensor = if takers[value.0] == 0 {
                    values[value.0].take()
                } else {
                    values[value.0].clone()
                };
                taken.extend(tensor);
            }
            values[i + 1] = Some(node.layer.apply(weights, &taken)?);
        }
        match values.pop().flatten() {
            Some(logits) => Ok(logits),
            None => bail!("a network without layers"),
        }
    }
}

impl Layer {
    fn apply(&self, weights: &Weights, taken: &[Tensor]) -> Result<Tensor> {
        match (self, taken) {
            (Self::Conv(conv), [x]) => conv.forward(weights, x),
            (Self::Linear(linear), [x]) => linear.forward(weights, x),
            (Self::Norm(norm), [x]) => norm.forward(weights, x),
            (Self::Relu, [x]) => ops::relu(x),
            (Self::Activation(activation), [x]) => activation.apply(x),
            (Self::Max(pool), [x]) => pool.max(x),
            (Self::Average(pool), [x]) => pool.average(x),
            (Self::GlobalAverage, [x]) => ops::global_average(x),
            (Self::Padded { stride, channels }, [x]) => ops::padded_shortcut(x, *stride, *channels),
            (Self::Flatten, [x]) => x.flatten_from(1),
            (Self::Add, [a, b]) => a + b,
            (Self::Concat, [a, b]) => Tensor::cat(&[a, b], 1),
            _ => bail!("{self:?} of {} values", taken.len()),
        }
    }
}

impl dyn Network + '_ {
    /// Logits of shape (N, classes) in evaluation mode, for images of shape (N, C, H, W), with candle.
    ///
    /// # Errors
    /// candle's; shapes were checked when the network was recognized.
    pub fn forward(&self, weights: &Weights, images: &Tensor) -> Result<Tensor> {
        let (_, channels, height, width) = images.dims4()?;
        self.graph([channels, height, width])?.run(weights, images)
    }
}
