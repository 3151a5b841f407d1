//! Extents of a convolution, and which pixels its taps read.

use candle_core::Shape;

use super::Map;
use crate::model::ops::ConvWindow;

/// Extents of one convolution: height before width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extents {
    pub(super) images: usize,
    /// Channels of the images, and their height and width.
    pub(super) inputs: usize,
    pub(super) size: [usize; 2],
    /// Channels of the result, and its height and width.
    pub(super) outputs: usize,
    pub(super) result: [usize; 2],
    pub(super) kernel: [usize; 2],
    pub(super) window: ConvWindow,
}

/// Neighbouring places of a row of the result, and what one tap of the kernels reads for them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    /// Channel, row and column of the kernel, counted through.
    pub(super) tap: usize,
    /// First place of the result.
    pub(super) place: usize,
    /// First pixel of the image; the others follow at the distance of the stride.
    pub(super) pixel: usize,
    pub(super) count: usize,
}

impl Extents {
    /// Returns the elements of one image.
    pub(super) fn image(&self) -> usize {
        self.inputs * self.size[0] * self.size[1]
    }

    /// Returns the elements of one channel of the result.
    pub(super) fn plane(&self) -> usize {
        self.result[0] * self.result[1]
    }

    /// Returns the elements of one kernel: it reads the channels of its group.
    pub(super) fn taps(&self) -> usize {
        self.inputs / self.window.groups * self.kernel[0] * self.kernel[1]
    }

    /// Returns the extents of one group of channels.
    pub(super) fn group(&self) -> Self {
        let groups = self.window.groups;
        Self {
            inputs: self.inputs / groups,
            outputs: self.outputs / groups,
            window: ConvWindow {
                groups: 1,
                ..self.window
            },
            ..*self
        }
    }

    /// Returns true if an image is its own matrix of patches.
    pub(super) fn is_pointwise(&self) -> bool {
        let ConvWindow {
            stride, padding, ..
        } = self.window;
        self.kernel == [1; 2] && stride == [1; 2] && padding == [0; 2] && self.result == self.size
    }

    pub(super) fn shape(&self, map: Map) -> Shape {
        let Self { size, result, .. } = self;
        match map {
            Map::Forward => Shape::from((self.images, self.outputs, result[0], result[1])),
            Map::Images => Shape::from((self.images, self.inputs, size[0], size[1])),
            Map::Kernels => Shape::from((
                self.outputs,
                self.inputs / self.window.groups,
                self.kernel[0],
                self.kernel[1],
            )),
        }
    }

    /// Calls `each` for all stretches of a single group.
    pub(super) fn stretches(&self, mut each: impl FnMut(Stretch)) {
        let [k_height, k_width] = self.kernel;
        let [height, width] = self.size;
        let ConvWindow {
            stride,
            padding,
            dilation,
            ..
        } = self.window;
        for tap in 0..self.taps() {
            let (channel, i, j) = (
                tap / (k_height * k_width),
                tap / k_width % k_height * dilation[0],
                tap % k_width * dilation[1],
            );
            let Some((first, last)) = self.inside(j) else {
                continue;
            };
            for row in 0..self.result[0] {
                let y = (row * stride[0] + i).checked_sub(padding[0]);
                if let Some(y) = y.filter(|y| *y < height) {
                    let x = first * stride[1] + j - padding[1];
                    each(Stretch {
                        tap,
                        place: row * self.result[1] + first,
                        pixel: (channel * height + y) * width + x,
                        count: last - first + 1,
                    });
                }
            }
        }
    }

    /// Returns the first and last column of the result whose tap, so far from the kernel's edge, lies
    /// inside the image.
    fn inside(&self, offset: usize) -> Option<(usize, usize)> {
        let (stride, padding) = (self.window.stride[1], self.window.padding[1]);
        let first = padding.saturating_sub(offset).div_ceil(stride);
        let room = (self.size[1] + padding).checked_sub(offset + 1)?;
        let last = (room / stride).min(self.result[1].checked_sub(1)?);
        (first <= last).then_some((first, last))
    }
}

/// Without a stride, the gradient of the images is a convolution too: of the gradient of the result with
/// every kernel turned about, inputs and outputs in each other's place.
impl Extents {
    /// Returns the extents of that convolution; `None` if there is none.
    pub(super) fn mirrored(&self) -> Option<Self> {
        let ConvWindow {
            padding, dilation, ..
        } = self.window;
        let around = |side: usize| {
            let reach = dilation[side] * (self.kernel[side] - 1);
            reach.checked_sub(padding[side])
        };
        let padding = [around(0)?, around(1)?];
        (self.window.stride == [1; 2]).then_some(Self {
            inputs: self.outputs,
            outputs: self.inputs,
            size: self.result,
            result: self.size,
            window: ConvWindow {
                padding,
                ..self.window
            },
            ..*self
        })
    }

    /// Returns (O, I/groups, k, l) as (I, O/groups, k, l), the taps from last to first.
    pub(super) fn flipped<T: Copy>(&self, kernels: &[T]) -> Vec<T> {
        let area = self.kernel[0] * self.kernel[1];
        let group = self.group();
        let of_input = |kernels: &[T], input: usize| {
            let kernels = kernels.chunks_exact(area).skip(input).step_by(group.inputs);
            let flipped = kernels.flat_map(|kernel| kernel.iter().rev().copied());
            flipped.collect::<Vec<_>>()
        };
        kernels
            .chunks_exact(group.outputs * group.taps())
            .flat_map(|kernels| (0..group.inputs).flat_map(move |input| of_input(kernels, input)))
            .collect()
    }
}
