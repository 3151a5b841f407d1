//! Convolutions of images that lie channel by channel, and the gradients of their kernels: the same loops over blocks of
//! channels, for passes of which the other layers are candle's.

use std::array::from_fn;

use pulp::{Simd, WithSimd};

use super::aligned::Aligned;
use super::blocked::Blocked;
use super::conv::{self, Conv, Shape};
use super::pooling::{self, Image};
use super::simd::{Level, Rectifier};

/// A convolution without groups and dilation. Height before width.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Planar {
    pub(in crate::model) inputs: usize,
    pub(in crate::model) size: [usize; 2],
    pub(in crate::model) outputs: usize,
    pub(in crate::model) result: [usize; 2],
    /// Width of the square kernel.
    pub(in crate::model) kernel: usize,
    /// 1 or 2.
    pub(in crate::model) stride: usize,
    pub(in crate::model) padding: usize,
}

/// Images and their results in blocks of channels; memory that is kept.
#[derive(Debug, Default)]
pub(in crate::model) struct Scratch {
    image: Aligned,
    result: Aligned,
}

/// Kernels in the order in which they are read.
pub(in crate::model) struct Laid {
    weights: Aligned,
    bias: Aligned,
}

impl Planar {
    /// Returns true if it is faster than a product of matrices for so many images together: most of the vectors' numbers
    /// are channels of the result, and each weight serves enough pixels to make up for its being laid elsewhere.
    pub(in crate::model) fn is_worth_it(&self, level: Level, images: usize) -> bool {
        let fills_lanes = self.outputs.next_multiple_of(level.lanes()) <= 2 * self.outputs;
        fills_lanes && images * self.result.iter().product::<usize>() >= FEWEST_PIXELS
    }

    /// Returns the numbers of an image, and of its result.
    fn lengths(&self) -> [usize; 2] {
        [(self.inputs, self.size), (self.outputs, self.result)]
            .map(|(channels, [height, width])| channels * height * width)
    }

    fn shape(&self, lanes: usize) -> Shape {
        let blocked = |channels, [height, width]: [usize; 2], halo| Blocked {
            channels,
            height,
            width,
            halo,
            lanes,
        };
        Shape {
            input: blocked(self.inputs, self.size, self.padding),
            output: blocked(self.outputs, self.result, 0),
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
            rectifier: Rectifier::Off,
        }
    }

    /// Lays kernels (outputs, inputs, k, k) and the numbers that are added to each output, which may be none.
    pub(in crate::model) fn lay(&self, level: Level, kernels: &[f32], bias: &[f32]) -> Laid {
        let (lanes, taps) = (level.lanes(), self.kernel * self.kernel);
        let mut laid = Laid {
            weights: Aligned::default(),
            bias: Aligned::default(),
        };
        let kernels = kernels
            .chunks(self.inputs * taps)
            .map(|kernel| (kernel, 1.0));
        conv::lay_kernels(
            kernels,
            [self.outputs, self.inputs, taps],
            lanes,
            &mut laid.weights,
        );
        laid.bias.resize(self.outputs.next_multiple_of(lanes));
        laid.bias[..bias.len()].copy_from_slice(bias);
        laid
    }

    /// Writes the results of some images, one after another.
    pub(in crate::model) fn forward(
        &self,
        level: Level,
        images: &[f32],
        laid: &Laid,
        results: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let shape = self.shape(level.lanes());
        let x = scratch.image.at_least(shape.input.len());
        let y = scratch.result.at_least(shape.output.len());
        let [image, result] = self.lengths();
        let results = results.chunks_exact_mut(result);
        for (image, result) in images.chunks_exact(image).zip(results) {
            pooling::block(image, shape.input, x);
            Conv {
                shape: &shape,
                x,
                weights: &laid.weights,
                bias: &laid.bias,
                residual: None,
            }
            .run(level, y);
            let values = &*y;
            pooling::flatten(
                Image {
                    at: shape.output,
                    values,
                },
                result,
            );
        }
    }

    /// Returns the gradient of the kernels (outputs, inputs, k, k), summed over some images with the gradients of their
    /// results.
    pub(in crate::model) fn kernels(
        &self,
        level: Level,
        images: &[f32],
        gradients: &[f32],
        scratch: &mut Scratch,
    ) -> Vec<f32> {
        let shape = self.shape(level.lanes());
        let [image, result] = self.lengths();
        let count = images.len() / image;
        let x = scratch.image.at_least(count * shape.input.len());
        let g = scratch.result.at_least(count * shape.output.len());
        let blocked = x.chunks_exact_mut(shape.input.len());
        for (image, x) in images.chunks_exact(image).zip(blocked) {
            pooling::block(image, shape.input, x);
        }
        let blocked = g.chunks_exact_mut(shape.output.len());
        for (gradient, g) in gradients.chunks_exact(result).zip(blocked) {
            pooling::block(gradient, shape.output, g);
        }
        let mut sum = vec![0.0; self.outputs * self.inputs * self.kernel * self.kernel];
        level.run(Kernels {
            shape: &shape,
            x,
            g,
            sum: &mut sum,
        });
        sum
    }
}

/// Pixels of results from which on laying the kernels, or what was added up for them, takes little of the time. Measured
/// on layers of 3×3 kernels.
const FEWEST_PIXELS: usize = 128;

/// Taps whose sums are held in registers together.
const TAPS: usize = 9;
/// Blocks of outputs whose sums are, at most.
const BLOCKS: usize = 2;
/// Numbers of the widest vector.
const LANES: usize = 16;

/// The gradient of the kernels by some images, which is added to a sum.
struct Kernels<'a> {
    shape: &'a Shape,
    x: &'a [f32],
    g: &'a [f32],
    sum: &'a mut [f32],
}

impl WithSimd for Kernels<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let blocks = self.shape.output.blocks();
        let mut block = 0;
        while block < blocks {
            // The sums of two blocks, one of their gradients each and one number have to fit into the registers.
            if S::REGISTER_COUNT >= 32 && block + 1 < blocks {
                self.blocks::<S, BLOCKS>(simd, block);
                block += BLOCKS;
            } else {
                self.blocks::<S, 1>(simd, block);
                block += 1;
            }
        }
    }
}

impl Kernels<'_> {
    /// Adds the kernels of V blocks of outputs.
    #[inline(always)]
    fn blocks<S: Simd, const V: usize>(&mut self, simd: S, block: usize) {
        let Shape {
            input,
            output,
            kernel,
            ..
        } = *self.shape;
        let taps = input.channels * kernel * kernel;
        for first in (0..taps).step_by(TAPS) {
            // Beyond the last one it is taken again, and what comes of it is left.
            let tap = |t: usize| (first + t).min(taps - 1);
            let offsets = from_fn(|t| {
                let (channel, row, column) = (
                    tap(t) / (kernel * kernel),
                    tap(t) / kernel % kernel,
                    tap(t) % kernel,
                );
                channel / input.lanes * input.block()
                    + row * input.row()
                    + column * input.lanes
                    + channel % input.lanes
            });
            let mut sums = [0.0; BLOCKS * TAPS * LANES];
            simd.vectorize(Taps::<V> {
                kernels: self,
                block,
                offsets,
                sums: &mut sums,
            });
            for (at, sums) in sums.chunks_exact(output.lanes).take(V * TAPS).enumerate() {
                let (outputs, tap) = ((block + at / TAPS) * output.lanes, first + at % TAPS);
                for (output, sum) in (outputs..output.channels).zip(sums) {
                    if tap < taps {
                        self.sum[output * taps + tap] += sum;
                    }
                }
            }
        }
    }
}

/// Sums over all pixels of V blocks of gradients times what some taps read, (V, taps, lanes).
struct Taps<'a, 'b, 'c, const V: usize> {
    kernels: &'a Kernels<'b>,
    block: usize,
    offsets: [usize; TAPS],
    sums: &'c mut [f32],
}

impl<const V: usize> WithSimd for Taps<'_, '_, '_, V> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Kernels { shape, x, g, .. } = *self.kernels;
        let mut sums = [[simd.splat_f32s(0.0); TAPS]; V];
        let images = x.chunks_exact(shape.input.len());
        for (x, g) in images.zip(g.chunks_exact(shape.output.len())) {
            self.image(simd, x, g, &mut sums);
        }
        let (to, _) = S::as_mut_simd_f32s(self.sums);
        for (to, sum) in to.iter_mut().zip(sums.iter().flatten()) {
            *to = *sum;
        }
    }
}

impl<const V: usize> Taps<'_, '_, '_, V> {
    /// Adds one image's products.
    #[inline(always)]
    fn image<S: Simd>(&self, simd: S, x: &[f32], g: &[f32], to: &mut [[S::f32s; TAPS]; V]) {
        let shape = self.kernels.shape;
        let Shape { input, output, .. } = *shape;
        let corner = (input.halo - shape.padding) * (input.row() + input.lanes);
        let (g, _) = S::as_simd_f32s(g);
        let block = output.block() / output.lanes;
        let g: [&[S::f32s]; V] = from_fn(|v| &g[(self.block + v) * block..][..block]);
        // A copy, which stays in registers.
        let mut sums = *to;
        for row in 0..output.height {
            let x = &x[corner + row * shape.stride * input.row()..];
            let g: [&[S::f32s]; V] = from_fn(|v| &g[v][row * output.width..][..output.width]);
            for column in 0..output.width {
                let g: [S::f32s; V] = from_fn(|v| g[v][column]);
                let x = &x[column * shape.stride * input.lanes..];
                for (t, offset) in self.offsets.iter().enumerate() {
                    let x = simd.splat_f32s(x[*offset]);
                    for (sums, g) in sums.iter_mut().zip(g) {
                        sums[t] = simd.mul_add_e_f32s(x, g, sums[t]);
                    }
                }
            }
        }
        *to = sums;
    }
}
