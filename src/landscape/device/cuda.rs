//! The state of an NVIDIA GPU as candle's own handle of it tells it, and the way in which candle uses it.

use candle_core::Device;

/// An NVIDIA GPU.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::landscape) struct Card {
    /// e.g. `NVIDIA H200`.
    pub(in crate::landscape) name: String,
    /// Compute capability, e.g. (9, 0).
    pub(in crate::landscape) capability: (i32, i32),
    /// Bytes of its memory that no process has taken.
    pub(in crate::landscape) free: usize,
    /// Bytes of its memory.
    pub(in crate::landscape) total: usize,
}

/// Returns the card behind a device; `None` if it is no NVIDIA GPU, or its driver does not tell.
pub(in crate::landscape) fn card(device: &Device) -> Option<Card> {
    build::card(device)
}

/// Keeps what this thread sends to a GPU in small pieces, as long as the result lives, and sends it once: candle sends
/// the shapes of its operands before almost every kernel, and those of one network are always the same.
pub(in crate::landscape) fn keep_shapes(device: &Device) -> Option<impl Sized + use<>> {
    build::keep_shapes(device)
}

#[cfg(feature = "cuda")]
mod build {
    use super::{Card, Device};

    pub(in crate::landscape) fn card(device: &Device) -> Option<Card> {
        let stream = device.as_cuda_device().ok()?.cuda_stream();
        let context = stream.context();
        let (free, total) = context.mem_get_info().ok()?;
        Some(Card {
            name: context.name().ok()?,
            capability: context.compute_capability().ok()?,
            free,
            total,
        })
    }

    pub(in crate::landscape) fn keep_shapes(device: &Device) -> Option<impl Sized + use<>> {
        let device = device.as_cuda_device().ok()?;
        Some(device.enable_cuda_graph_htod_cache())
    }
}

#[cfg(not(feature = "cuda"))]
mod build {
    use super::{Card, Device};

    pub(in crate::landscape) fn card(_device: &Device) -> Option<Card> {
        None
    }

    pub(in crate::landscape) fn keep_shapes(_device: &Device) -> Option<()> {
        None
    }
}
