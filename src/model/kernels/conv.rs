//! Convolution, bias, residual and ReLU in one pass over a blocked image.
//!
//! A strip of up to eight neighbouring pixels of one or two blocks of output channels is summed up in
//! registers. Each weight vector is read once a strip, each input number is spread over a vector as it
//! is read. Frames of zeros make every strip of a kind the same.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::aligned::Aligned;
use super::blocked::Blocked;
use super::pooling::Image;
use super::simd::{Level, Rectifier};

/// A convolution, as far as it does not change with the weights.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Shape {
    pub(in crate::model) input: Blocked,
    pub(in crate::model) output: Blocked,
    /// Width of the square kernel.
    pub(in crate::model) kernel: usize,
    /// 1 or 2.
    pub(in crate::model) stride: usize,
    pub(in crate::model) padding: usize,
    pub(in crate::model) rectifier: Rectifier,
}

impl Shape {
    /// Returns the weights of one block of output channels: (input blocks, k, k, lanes in, lanes out).
    pub(in crate::model) fn weights_per_block(&self) -> usize {
        let lanes = self.input.lanes;
        self.input.blocks() * self.kernel * self.kernel * lanes * lanes
    }
}

/// One convolution of some images.
#[derive(Clone, Copy)]
pub(in crate::model) struct Conv<'a> {
    pub(in crate::model) shape: &'a Shape,
    /// Images, one after another.
    pub(in crate::model) x: &'a [f32],
    /// (output blocks, input blocks, k, k, lanes in, lanes out).
    pub(in crate::model) weights: &'a [f32],
    /// (output blocks, lanes).
    pub(in crate::model) bias: &'a [f32],
    /// The numbers that are added to the sums before the ReLU, of all images.
    pub(in crate::model) residual: Option<Image<'a>>,
}

impl Conv<'_> {
    pub(in crate::model) fn images(&self) -> usize {
        self.x.len() / self.shape.input.len()
    }

    /// Returns the convolution of one of them.
    fn image(&self, n: usize) -> Self {
        let image = Image {
            at: self.shape.input,
            values: self.x,
        };
        Self {
            x: image.nth(n).values,
            residual: self.residual.map(|residual| residual.nth(n)),
            ..*self
        }
    }

    /// Writes the results' pixels; their frames stay as they are.
    pub(in crate::model) fn run(&self, level: Level, y: &mut [f32]) {
        level.run(Whole { conv: self, y });
    }
}

struct Whole<'a, 'b> {
    conv: &'a Conv<'b>,
    y: &'a mut [f32],
}

impl WithSimd for Whole<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let shape = self.conv.shape;
        let (blocks, width) = (shape.output.blocks(), shape.output.width);
        // Sums of two blocks, their weights and one input number have to fit into the registers.
        let longest = if S::REGISTER_COUNT >= 32 { 8 } else { 6 };
        let strips = width.div_ceil(longest);
        let (short, longer) = (width / strips, width % strips);
        // Strips of the longer kind first; the two kinds differ by one pixel.
        let split = longer * (short + 1);
        for block in (0..blocks).step_by(2) {
            let pair = block + 1 < blocks;
            for (n, y) in self.y.chunks_exact_mut(shape.output.len()).enumerate() {
                let conv = self.conv.image(n);
                for (columns, length) in [(0..split, short + 1), (split..width, short)] {
                    if !columns.is_empty() {
                        rows(simd, &conv, y, (block, pair), columns, length);
                    }
                }
            }
        }
    }
}

/// Picks the code for a length of strips, a number of blocks and a stride.
#[inline(always)]
fn rows<S: Simd>(
    simd: S,
    conv: &Conv,
    y: &mut [f32],
    (block, pair): (usize, bool),
    columns: Range<usize>,
    length: usize,
) {
    macro_rules! pick {
        ($($length:literal)*) => {
            match (length, pair, conv.shape.stride) {
                $(($length, false, 1) => simd.vectorize(Rows::<$length, 1, 1> { conv, y, block, columns }),
                ($length, true, 1) => simd.vectorize(Rows::<$length, 2, 1> { conv, y, block, columns }),
                ($length, false, _) => simd.vectorize(Rows::<$length, 1, 2> { conv, y, block, columns }),
                ($length, true, _) => simd.vectorize(Rows::<$length, 2, 2> { conv, y, block, columns }),)*
                _ => {}
            }
        };
    }
    pick!(1 2 3 4 5 6 7 8);
}

/// Every row of some columns, in strips of P pixels, for V blocks of output channels.
struct Rows<'a, 'b, const P: usize, const V: usize, const STRIDE: usize> {
    conv: &'a Conv<'b>,
    y: &'a mut [f32],
    block: usize,
    columns: Range<usize>,
}

impl<const P: usize, const V: usize, const STRIDE: usize> WithSimd for Rows<'_, '_, P, V, STRIDE> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { conv, y, .. } = self;
        let shape = conv.shape;
        let (weights, _) = S::as_simd_f32s(conv.weights);
        let (bias, _) = S::as_simd_f32s(conv.bias);
        let per_block = shape.weights_per_block() / S::F32_LANES;
        let weights: [&[S::f32s]; V] =
            std::array::from_fn(|v| &weights[(self.block + v) * per_block..][..per_block]);
        let bias: [S::f32s; V] = std::array::from_fn(|v| bias[self.block + v]);
        let corner = (shape.input.halo - shape.padding) * (shape.input.row() + S::F32_LANES);
        for row in 0..shape.output.height {
            for column in self.columns.clone().step_by(P) {
                let from =
                    corner + row * STRIDE * shape.input.row() + column * STRIDE * S::F32_LANES;
                let mut sums = [[simd.splat_f32s(0.0); P]; V];
                for v in 0..V {
                    sums[v] = [bias[v]; P];
                }
                strip::<S, P, V, STRIDE>(simd, shape, &conv.x[from..], &weights, &mut sums);
                for (v, sums) in sums.iter_mut().enumerate() {
                    let block = self.block + v;
                    if let Some(residual) = &conv.residual {
                        let from = block * residual.at.block() + residual.at.pixel(row, column);
                        let (add, _) =
                            S::as_simd_f32s(&residual.values[from..][..P * S::F32_LANES]);
                        for (sum, add) in sums.iter_mut().zip(add) {
                            *sum = simd.add_f32s(*sum, *add);
                        }
                    }
                    let from = block * shape.output.block() + shape.output.pixel(row, column);
                    let (out, _) = S::as_mut_simd_f32s(&mut y[from..][..P * S::F32_LANES]);
                    for (out, sum) in out.iter_mut().zip(sums) {
                        *out = shape.rectifier.apply(simd, *sum);
                    }
                }
            }
        }
    }
}

/// Adds the kernel's products to the sums of one strip; `x` begins at its first pixel's first tap.
#[inline(always)]
fn strip<S: Simd, const P: usize, const V: usize, const STRIDE: usize>(
    simd: S,
    shape: &Shape,
    x: &[f32],
    weights: &[&[S::f32s]; V],
    sums: &mut [[S::f32s; P]; V],
) {
    let lanes = S::F32_LANES;
    let mut acc = *sums;
    let mut tap = 0;
    for block in 0..shape.input.blocks() {
        // Lanes without a channel are skipped: what lies there must not count, not even as 0·∞.
        let channels = lanes.min(shape.input.channels - block * lanes);
        for i in 0..shape.kernel {
            for j in 0..shape.kernel {
                let from = block * shape.input.block() + i * shape.input.row() + j * lanes;
                let x = &x[from..][..((P - 1) * STRIDE + 1) * lanes];
                let weights: [&[S::f32s]; V] = std::array::from_fn(|v| &weights[v][tap..][..lanes]);
                for channel in 0..channels.min(lanes) {
                    let weights: [S::f32s; V] = std::array::from_fn(|v| weights[v][channel]);
                    for p in 0..P {
                        let x = simd.splat_f32s(x[p * STRIDE * lanes + channel]);
                        for v in 0..V {
                            acc[v][p] = simd.mul_add_e_f32s(x, weights[v], acc[v][p]);
                        }
                    }
                }
                tap += lanes;
            }
        }
    }
    *sums = acc;
}

/// Lays the kernels of O outputs, each (I, k, k) and times its scale, as (output blocks, input blocks, k, k, lanes in,
/// lanes out).
pub(in crate::model) fn lay_kernels<'a>(
    kernels: impl Iterator<Item = (&'a [f32], f32)>,
    [outputs, inputs, taps]: [usize; 3],
    lanes: usize,
    to: &mut Aligned,
) {
    let blocks = inputs.div_ceil(lanes);
    to.resize(outputs.div_ceil(lanes) * blocks * taps * lanes * lanes);
    to.fill(0.0);
    for (output, (kernel, scale)) in kernels.enumerate() {
        let block = output / lanes * blocks;
        for (input, kernel) in kernel.chunks(taps).enumerate() {
            let first = (block + input / lanes) * taps * lanes + input % lanes;
            for (tap, weight) in kernel.iter().enumerate() {
                to[(first + tap * lanes) * lanes + output % lanes] = weight * scale;
            }
        }
    }
}
