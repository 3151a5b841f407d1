//! Forward passes of the known architectures, and how they are recognized from a state dict.

use std::fmt;
use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::weights::layout::Layout;

/// All weights of a model at one point: a flat vector on the device, seen through its layout.
#[derive(Clone, Debug)]
pub struct Weights {
    flat: Tensor,
    layout: Arc<Layout>,
}

impl Weights {
    /// `flat` is contiguous, of shape (`layout.len()`,).
    #[must_use]
    pub fn new(flat: Tensor, layout: Arc<Layout>) -> Self {
        Self { flat, layout }
    }

    /// The tensor of a slot, in its own shape: a view, nothing is copied.
    ///
    /// # Errors
    /// candle's, when the flat vector is not as long as the layout says.
    pub fn slot(&self, index: usize) -> Result<Tensor> {
        let slot = &self.layout.slots()[index];
        self.flat
            .narrow(0, slot.offset, slot.len())?
            .reshape(slot.shape.as_slice())
    }
}

/// A forward pass whose weights are given anew at every call.
pub trait Network: Send + Sync + fmt::Debug {
    /// Logits of shape (N, classes) in evaluation mode, for images of shape (N, C, H, W).
    ///
    /// # Errors
    /// candle's; shapes were checked when the network was recognized.
    fn forward(&self, weights: &Weights, images: &Tensor) -> Result<Tensor>;
}

/// An architecture that was recognized in a state dict.
#[derive(Clone, Debug)]
pub struct Recognized {
    /// The name that `--model` takes, e.g. `resnet20`.
    pub name: String,
    /// What was seen, in a sentence, with what had to be assumed.
    pub evidence: String,
    /// Channels of the input images, where the first layer tells (convolutions).
    pub channels: Option<usize>,
    /// Length of the flattened image, where the first layer tells (MLPs).
    pub features: Option<usize>,
    /// Number of classes.
    pub classes: usize,
    /// The forward pass.
    pub network: Arc<dyn Network>,
}

/// Why no architecture was recognized.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {}

/// Finds the architecture of a state dict; `model` is `auto` or a name that `--model` takes.
/// `image` is (channels, height, width) of the samples; what does not fit them is an error.
///
/// # Errors
/// The name is unknown, names or shapes do not fit it, or the samples do not fit the model.
pub fn recognize(
    _layout: &Layout,
    _model: &str,
    _image: Option<[usize; 3]>,
) -> std::result::Result<Recognized, ModelError> {
    todo!()
}
