//! Layers whose tensors are slots of a layout: found by name once, applied to any weights.
//!
//! Weights are f32 and become the images' type as the last step before they are used: what a norm is
//! folded into, and what a point of a plane is the sum of, would lose the digits that tell points apart.

use candle_core::{Result, Tensor};

use super::Weights;
use super::detect::{Inventory, Misfit};
use super::ops;

/// A fully connected layer.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    pub(super) weight: usize,
    pub(super) bias: Option<usize>,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

impl Linear {
    /// Takes `prefix.weight` (outputs, inputs) and, where it is there, `prefix.bias`.
    pub(super) fn take(
        inventory: &mut Inventory,
        prefix: &str,
        inputs: Option<usize>,
    ) -> std::result::Result<Self, Misfit> {
        let (weight, shape) = inventory.take(&member(prefix, "weight"), &[None, inputs])?;
        let (outputs, inputs) = (shape[0], shape[1]);
        let bias = inventory.take_if_there(&member(prefix, "bias"), &[Some(outputs)])?;
        Ok(Self {
            weight,
            bias: bias.map(|(index, _)| index),
            inputs,
            outputs,
        })
    }

    /// x (N, inputs) to (N, outputs).
    pub(super) fn forward(&self, weights: &Weights, x: &Tensor) -> Result<Tensor> {
        let slot = |slot| weights.slot(slot)?.to_dtype(x.dtype());
        let bias = self.bias.map(slot).transpose()?;
        ops::linear(x, &slot(self.weight)?, bias.as_ref())
    }
}

/// A batch norm in evaluation mode.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    pub(super) weight: usize,
    pub(super) bias: usize,
    pub(super) mean: usize,
    pub(super) variance: usize,
}

impl Norm {
    /// Takes `prefix.weight`, `.bias`, `.running_mean` and `.running_var`, each (channels).
    pub(super) fn take(
        inventory: &mut Inventory,
        prefix: &str,
        channels: usize,
    ) -> std::result::Result<Self, Misfit> {
        let mut vector = |name| {
            let taken = inventory.take(&member(prefix, name), &[Some(channels)]);
            taken.map(|(index, _)| index)
        };
        Ok(Self {
            weight: vector("weight")?,
            bias: vector("bias")?,
            mean: vector("running_mean")?,
            variance: vector("running_var")?,
        })
    }

    /// Normalizes x (N, C, …); while statistics are taken anew, by those of x itself, which are noted.
    pub(super) fn forward(&self, weights: &Weights, x: &Tensor) -> Result<Tensor> {
        let mut norm = self.at(weights)?;
        if weights.is_recalibrating() {
            let own = ops::Statistics::of(x)?;
            weights.note(self.mean, &own.mean);
            weights.note(self.variance, &own.unbiased_variance()?);
            (norm.mean, norm.variance) = (own.mean, own.variance);
        }
        norm.apply(x)
    }

    fn at(&self, weights: &Weights) -> Result<ops::BatchNorm> {
        Ok(ops::BatchNorm {
            weight: Some(weights.slot(self.weight)?),
            bias: Some(weights.slot(self.bias)?),
            mean: weights.slot(self.mean)?,
            variance: weights.slot(self.variance)?,
            epsilon: ops::BatchNorm::EPSILON,
        })
    }
}

/// A convolution, with the batch norm that follows it where there is one.
#[derive(Clone, Debug)]
pub(super) struct Conv {
    pub(super) kernel_slot: usize,
    pub(super) bias: Option<usize>,
    pub(super) norm: Option<Norm>,
    /// Width of the square kernel.
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
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
    ) -> std::result::Result<Self, Misfit> {
        let k = Some(shape.kernel);
        let expected = [shape.outputs, shape.inputs, k, k];
        let (kernel_slot, found) = inventory.take(&member(prefix, "weight"), &expected)?;
        let (outputs, inputs) = (found[0], found[1]);
        let bias = inventory.take_if_there(&member(prefix, "bias"), &[Some(outputs)])?;
        let norm = norm
            .map(|norm| Norm::take(inventory, norm, outputs))
            .transpose()?;
        Ok(Self {
            kernel_slot,
            kernel: shape.kernel,
            bias: bias.map(|(index, _)| index),
            norm,
            stride: shape.stride,
            padding: shape.kernel / 2,
            inputs,
            outputs,
        })
    }

    /// x (N, I, H, W) to (N, O, H', W').
    pub(super) fn forward(&self, weights: &Weights, x: &Tensor) -> Result<Tensor> {
        let mut kernel = weights.slot(self.kernel_slot)?;
        let mut bias = self.bias.map(|bias| weights.slot(bias)).transpose()?;
        let apart = self.norm.as_ref().filter(|_| weights.is_recalibrating());
        if let Some(norm) = self.norm.as_ref().filter(|_| apart.is_none()) {
            let (folded, shift) = norm.at(weights)?.fold(&kernel, bias.as_ref())?;
            (kernel, bias) = (folded, Some(shift));
        }
        let kernel = kernel.to_dtype(x.dtype())?;
        let bias = bias.map(|bias| bias.to_dtype(x.dtype())).transpose()?;
        let window = ops::Window::plain(self.stride, self.padding);
        let y = ops::conv(x, &kernel, bias.as_ref(), &window)?;
        match apart {
            Some(norm) => norm.forward(weights, &y),
            None => Ok(y),
        }
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
