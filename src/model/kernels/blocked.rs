//! The layout of an image's numbers: channels in blocks of one vector, each block an image of its own
//! with a frame of zeros around it, so that a convolution never asks whether it stands at an edge.

/// Extents of an image value in the arena: (blocks, rows, columns, lanes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model) struct Blocked {
    pub(in crate::model) channels: usize,
    pub(in crate::model) height: usize,
    pub(in crate::model) width: usize,
    /// Width of the frame.
    pub(in crate::model) halo: usize,
    /// Channels of a block.
    pub(in crate::model) lanes: usize,
}

impl Blocked {
    pub(in crate::model) fn blocks(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// Returns the stride from a row to the next.
    pub(in crate::model) fn row(&self) -> usize {
        (self.width + 2 * self.halo) * self.lanes
    }

    /// Returns the stride from a block to the next.
    pub(in crate::model) fn block(&self) -> usize {
        (self.height + 2 * self.halo) * self.row()
    }

    pub(in crate::model) fn len(&self) -> usize {
        self.blocks() * self.block()
    }

    /// Returns the offset of pixel (row, column) of the first block.
    pub(in crate::model) fn pixel(&self, row: usize, column: usize) -> usize {
        (row + self.halo) * self.row() + (column + self.halo) * self.lanes
    }

    /// Returns the offset of one number.
    pub(in crate::model) fn place(&self, channel: usize, row: usize, column: usize) -> usize {
        channel / self.lanes * self.block() + self.pixel(row, column) + channel % self.lanes
    }
}
