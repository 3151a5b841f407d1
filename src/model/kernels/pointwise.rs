//! Convolution with kernels of one pixel: strips go over the pixels of all images, whatever rows they are in, so that
//! images of a few pixels fill the registers too.

use pulp::{Simd, WithSimd};

use super::conv::Conv;
use super::simd::Level;

/// Writes the results' pixels; their frames stay as they are. Weights are those of [`Conv`].
pub(in crate::model) fn run(conv: &Conv<'_>, level: Level, y: &mut [f32]) {
    let (input, output) = (conv.shape.input, conv.shape.output);
    let mut places = Vec::with_capacity(conv.images() * output.height * output.width);
    for n in 0..conv.images() {
        for row in 0..output.height {
            for column in 0..output.width {
                let stride = conv.shape.stride;
                places.push(Place {
                    x: n * input.len() + input.pixel(row * stride, column * stride),
                    y: n * output.len() + output.pixel(row, column),
                    residual: conv.residual.map_or(0, |residual| {
                        n * residual.at.len() + residual.at.pixel(row, column)
                    }),
                });
            }
        }
    }
    level.run(Whole {
        conv,
        places: &places,
        y,
    });
}

/// Places of a pixel's first block.
#[derive(Clone, Copy)]
struct Place {
    x: usize,
    y: usize,
    residual: usize,
}

struct Whole<'a, 'b> {
    conv: &'a Conv<'b>,
    places: &'a [Place],
    y: &'a mut [f32],
}

impl WithSimd for Whole<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let blocks = self.conv.shape.output.blocks();
        // Sums of two blocks, their weights and one input number have to fit into the registers.
        let longest = if S::REGISTER_COUNT >= 32 { 8 } else { 6 };
        for block in (0..blocks).step_by(2) {
            let pair = block + 1 < blocks;
            for places in self.places.chunks(longest) {
                strips(simd, self.conv, self.y, places, (block, pair));
            }
        }
    }
}

/// Picks the code for a number of pixels and of blocks.
#[inline(always)]
fn strips<S: Simd>(
    simd: S,
    conv: &Conv<'_>,
    y: &mut [f32],
    places: &[Place],
    (block, pair): (usize, bool),
) {
    macro_rules! pick {
        ($($length:literal)*) => {
            match (places.len(), pair) {
                $(($length, false) => simd.vectorize(Strip::<$length, 1> { conv, y, places, block }),
                ($length, true) => simd.vectorize(Strip::<$length, 2> { conv, y, places, block }),)*
                _ => {}
            }
        };
    }
    pick!(1 2 3 4 5 6 7 8);
}

/// P pixels of V blocks of output channels.
struct Strip<'a, 'b, const P: usize, const V: usize> {
    conv: &'a Conv<'b>,
    y: &'a mut [f32],
    places: &'a [Place],
    block: usize,
}

impl<const P: usize, const V: usize> WithSimd for Strip<'_, '_, P, V> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (conv, shape) = (self.conv, self.conv.shape);
        let lanes = S::F32_LANES;
        let (weights, _) = S::as_simd_f32s(conv.weights);
        let (bias, _) = S::as_simd_f32s(conv.bias);
        let per_block = shape.weights_per_block() / lanes;
        let weights: [&[S::f32s]; V] =
            std::array::from_fn(|v| &weights[(self.block + v) * per_block..][..per_block]);
        let places: [Place; P] = std::array::from_fn(|p| self.places[p]);
        let mut sums: [[S::f32s; P]; V] = std::array::from_fn(|v| [bias[self.block + v]; P]);
        for block in 0..shape.input.blocks() {
            // Lanes without a channel are skipped: what lies there must not count, not even as 0·∞.
            let channels = lanes.min(shape.input.channels - block * lanes);
            let from = block * shape.input.block();
            let x: [&[f32]; P] = std::array::from_fn(|p| &conv.x[places[p].x + from..][..lanes]);
            let weights: [&[S::f32s]; V] =
                std::array::from_fn(|v| &weights[v][block * lanes..][..lanes]);
            for channel in 0..channels {
                let weights: [S::f32s; V] = std::array::from_fn(|v| weights[v][channel]);
                for (p, x) in x.iter().enumerate() {
                    let x = simd.splat_f32s(x[channel]);
                    for v in 0..V {
                        sums[v][p] = simd.mul_add_e_f32s(x, weights[v], sums[v][p]);
                    }
                }
            }
        }
        for (v, sums) in sums.iter().enumerate() {
            let block = self.block + v;
            for (place, sum) in places.iter().zip(sums) {
                let mut sum = *sum;
                if let Some(residual) = &conv.residual {
                    let from = block * residual.at.block() + place.residual;
                    let (add, _) = S::as_simd_f32s(&residual.values[from..][..lanes]);
                    sum = simd.add_f32s(sum, add[0]);
                }
                let to = block * shape.output.block() + place.y;
                let (out, _) = S::as_mut_simd_f32s(&mut self.y[to..][..lanes]);
                out[0] = shape.rectifier.apply(simd, sum);
            }
        }
    }
}
