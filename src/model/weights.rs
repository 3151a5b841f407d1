//! All weights of a model at one point of weight space.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};

use crate::weights::Layout;

/// A flat vector of weights on the device, seen through its layout.
#[derive(Clone, Debug)]
pub struct Weights {
    pub(super) flat: Tensor,
    pub(super) layout: Arc<Layout>,
    /// Tensors that count instead of those of the flat vector, by slot.
    instead: HashMap<usize, Tensor>,
}

impl Weights {
    /// Sees a flat vector through its layout; it is contiguous, of shape (`layout.len()`,).
    #[must_use]
    pub fn new(flat: Tensor, layout: Arc<Layout>) -> Self {
        Self {
            flat,
            layout,
            instead: HashMap::new(),
        }
    }

    /// Returns weights that are all 0, on the CPU.
    ///
    /// # Errors
    /// candle's.
    pub fn zeros(layout: Arc<Layout>) -> Result<Self> {
        let flat = Tensor::zeros(layout.len(), DType::F32, &Device::Cpu)?;
        Ok(Self::new(flat, layout))
    }

    /// Returns the same weights with other tensors in some slots.
    #[must_use]
    pub fn with(&self, tensors: impl IntoIterator<Item = (usize, Tensor)>) -> Self {
        let mut other = self.clone();
        other.instead.extend(tensors);
        other
    }

    /// Copies them to a device; a copy to where they are costs nothing.
    ///
    /// # Errors
    /// The device has no room.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let instead = self.instead.iter();
        let instead = instead.map(|(slot, tensor)| Ok((*slot, tensor.to_device(device)?)));
        Ok(Self {
            flat: self.flat.to_device(device)?,
            layout: Arc::clone(&self.layout),
            instead: instead.collect::<Result<_>>()?,
        })
    }

    /// Returns the numbers of a slot, in memory.
    pub(super) fn values(&self, index: usize) -> Result<Vec<f32>> {
        self.slot(index)?.flatten_all()?.to_vec1()
    }

    /// Returns the tensor of a slot, in its own shape.
    ///
    /// # Errors
    /// candle's, when the flat vector is not as long as the layout says.
    pub fn slot(&self, index: usize) -> Result<Tensor> {
        if let Some(tensor) = self.instead.get(&index) {
            return Ok(tensor.clone());
        }
        let slot = &self.layout.slots()[index];
        self.flat
            .narrow(0, slot.offset, slot.len())?
            .reshape(slot.shape.as_slice())
    }
}
