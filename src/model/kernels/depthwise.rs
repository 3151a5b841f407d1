//! Convolution of each channel with a kernel of its own, with bias and rectifier, on a blocked image.

use pulp::{Simd, WithSimd};

use super::conv::Conv;
use super::simd::Level;

/// Writes the results' pixels; their frames stay as they are. Weights are (blocks, k, k, lanes).
pub(in crate::model) fn run(conv: &Conv<'_>, level: Level, y: &mut [f32]) {
    level.run(Whole { conv, y });
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
        let images = self.conv.x.chunks_exact(shape.input.len());
        for (x, y) in images.zip(self.y.chunks_exact_mut(shape.output.len())) {
            for block in 0..shape.output.blocks() {
                for row in 0..shape.output.height {
                    let line = Line {
                        conv: self.conv,
                        x,
                        block,
                        row,
                    };
                    if shape.stride == 1 {
                        line.run::<S, 1>(simd, y);
                    } else {
                        line.run::<S, 2>(simd, y);
                    }
                }
            }
        }
    }
}

/// One row of one block of channels of an image.
struct Line<'a, 'b> {
    conv: &'a Conv<'b>,
    x: &'a [f32],
    block: usize,
    row: usize,
}

impl Line<'_, '_> {
    /// Computes the row in strips of as many pixels as fit.
    #[inline(always)]
    fn run<S: Simd, const STRIDE: usize>(&self, simd: S, y: &mut [f32]) {
        let width = self.conv.shape.output.width;
        let mut column = 0;
        while column < width {
            column += match width - column {
                8.. => self.strip::<S, 8, STRIDE>(simd, y, column),
                4.. => self.strip::<S, 4, STRIDE>(simd, y, column),
                2.. => self.strip::<S, 2, STRIDE>(simd, y, column),
                _ => self.strip::<S, 1, STRIDE>(simd, y, column),
            };
        }
    }

    /// Computes P pixels from a column on.
    #[inline(always)]
    fn strip<S: Simd, const P: usize, const STRIDE: usize>(
        &self,
        simd: S,
        y: &mut [f32],
        column: usize,
    ) -> usize {
        let (conv, shape) = (self.conv, self.conv.shape);
        let (kernel, lanes) = (shape.kernel, S::F32_LANES);
        let (weights, _) = S::as_simd_f32s(conv.weights);
        let weights = &weights[self.block * kernel * kernel..][..kernel * kernel];
        let (bias, _) = S::as_simd_f32s(conv.bias);
        let mut sums = [bias[self.block]; P];
        let corner = (shape.input.halo - shape.padding) * (shape.input.row() + lanes);
        let from = self.block * shape.input.block()
            + corner
            + self.row * STRIDE * shape.input.row()
            + column * STRIDE * lanes;
        for i in 0..kernel {
            let line = &self.x[from + i * shape.input.row()..];
            let (line, _) = S::as_simd_f32s(&line[..((P - 1) * STRIDE + kernel) * lanes]);
            for (j, weight) in weights[i * kernel..(i + 1) * kernel].iter().enumerate() {
                for (p, sum) in sums.iter_mut().enumerate() {
                    *sum = simd.mul_add_e_f32s(line[p * STRIDE + j], *weight, *sum);
                }
            }
        }
        let to = self.block * shape.output.block() + shape.output.pixel(self.row, column);
        let (out, _) = S::as_mut_simd_f32s(&mut y[to..][..P * lanes]);
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = shape.rectifier.apply(simd, sum);
        }
        P
    }
}
