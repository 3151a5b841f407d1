//! Images with a class each, as they lie in files.

use super::scale::PixelScale;

/// Pixels before normalization, 0 to 1, with their labels: a whole split.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Images {
    pub(super) name: String,
    /// Channels, height, width.
    pub(super) shape: [usize; 3],
    /// (N, C, H, W).
    pub(super) pixels: Vec<f32>,
    pub(super) labels: Vec<u32>,
}

/// Samples of a split that were taken, and what all of them are like.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chosen {
    /// Their places in the file, ascending.
    pub(super) indices: Vec<usize>,
    /// Mean over the pixels of all.
    pub(super) brightness: f32,
    /// One more than the largest label of all.
    pub(super) classes: usize,
    /// Scales that training may have given the features of a table; `None` if they are pixels.
    pub(super) scales: Option<Vec<PixelScale>>,
}

impl Images {
    pub(super) fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns the mean of all pixels.
    pub(super) fn brightness(&self) -> f32 {
        let sum: f64 = self.pixels.iter().map(|&pixel| f64::from(pixel)).sum();
        (sum / self.pixels.len().max(1) as f64) as f32
    }
}
