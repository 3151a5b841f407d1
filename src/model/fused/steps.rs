//! Steps on buffers of images, and the ways in which a convolution is computed.

use super::layers;
use crate::model::kernels::conv::Shape;
use crate::model::kernels::simd::Rectifier;
use crate::model::kernels::winograd::Tile;
use crate::model::ops::Pool;

/// A step on images; numbers are those of buffers.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The samples' pixels into a buffer.
    Load { to: usize },
    /// Convolution with everything that follows it at once.
    Conv {
        conv: layers::Conv,
        shape: Shape,
        way: Way,
        from: usize,
        residual: Option<usize>,
        to: usize,
    },
    /// Pooling: the mean or the largest.
    Pool {
        pool: Pool,
        mean: bool,
        from: usize,
        to: usize,
    },
    /// A batch norm of its own.
    Norm {
        norm: layers::Norm,
        rectifier: Rectifier,
        from: usize,
        to: usize,
    },
    /// Copies of channels: source, every how many pixels, first channel that they become.
    Place {
        parts: Vec<(usize, usize, usize)>,
        to: usize,
    },
}

impl Step {
    /// Returns the buffers that it reads.
    pub(super) fn from(&self) -> Vec<usize> {
        match self {
            Self::Load { .. } => Vec::new(),
            Self::Conv { from, residual, .. } => std::iter::once(*from).chain(*residual).collect(),
            Self::Pool { from, .. } | Self::Norm { from, .. } => vec![*from],
            Self::Place { parts, .. } => parts.iter().map(|part| part.0).collect(),
        }
    }

    /// Returns the buffer that it writes.
    pub(super) fn to(&self) -> usize {
        match self {
            Self::Load { to }
            | Self::Conv { to, .. }
            | Self::Pool { to, .. }
            | Self::Norm { to, .. }
            | Self::Place { to, .. } => *to,
        }
    }

    /// Returns the packed weights that it reads for each image.
    pub(super) fn weights(&self) -> usize {
        let Self::Conv { conv, way, .. } = self else {
            return 0;
        };
        let taps = match way {
            Way::Winograd(tile) => tile.products(),
            _ => conv.kernel * conv.kernel,
        };
        conv.inputs * conv.outputs * taps
    }
}

/// The way in which a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Taps of all channels at once.
    Direct,
    /// The same of kernels of one pixel.
    Pointwise,
    /// Each channel by itself.
    Depthwise,
    /// By the products of Winograd's tiles.
    Winograd(Tile),
}

impl Way {
    /// Picks the way for a convolution of a network of `depth` convolutions.
    pub(super) fn of(conv: &layers::Conv, shape: &Shape, depth: usize) -> Self {
        if conv.is_depthwise {
            Self::Depthwise
        } else if let Some(tile) = Tile::cheapest(shape, depth) {
            Self::Winograd(tile)
        } else if (conv.kernel, conv.padding) == (1, 0) {
            Self::Pointwise
        } else {
            Self::Direct
        }
    }
}

/// The way from an image to the vector that the head takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Features {
    /// The samples' own numbers.
    Raw,
    /// A buffer's numbers in the order channel, row, column.
    Flatten(usize),
    /// A buffer's means by channel.
    Average(usize),
}
