//! The products of Winograd's tiles: at each of their places a matrix product over the channels.

use pulp::{Simd, WithSimd};

use super::stride_of;
use crate::model::kernels::conv::Shape;

/// Tiles whose sums are in registers together: each weight that is read serves so many.
pub(super) const GROUP: usize = 8;
/// Input channels whose products are summed by themselves, and the sums then: most of the error is that of long sums.
const CHANNELS: usize = 32;

/// Groups of tiles of N×N places.
pub(super) struct Products<'a, const N: usize> {
    pub(super) shape: &'a Shape,
    pub(super) groups: usize,
    /// (groups, places, [`stride_of`] the inputs, lanes).
    pub(super) x: &'a [f32],
    /// (output blocks, places, inputs, lanes).
    pub(super) weights: &'a [f32],
    /// (groups, places, [`stride_of`] the outputs, lanes).
    pub(super) y: &'a mut [f32],
}

impl<const N: usize> WithSimd for Products<'_, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let blocks = self.shape.output.blocks();
        // Sixteen sums, their weights and one input number fit into 32 registers.
        let most = if S::REGISTER_COUNT >= 32 { 2 } else { 1 };
        for place in 0..N * N {
            for block in (0..blocks).step_by(most) {
                let together = most.min(blocks - block);
                for first in (0..self.shape.input.channels).step_by(CHANNELS) {
                    let at = Start {
                        place,
                        block,
                        group: 0,
                        first,
                    };
                    self.every_group(simd, at, together, most);
                }
            }
        }
    }
}

impl<const N: usize> Products<'_, N> {
    /// Sums `blocks` blocks of outputs for all groups; two groups together where only one block is left of two that
    /// the registers have room for.
    #[inline(always)]
    fn every_group<S: Simd>(&mut self, simd: S, mut at: Start, blocks: usize, most: usize) {
        while at.group < self.groups {
            let groups = (most / blocks).min(self.groups - at.group);
            let products = &mut *self;
            match (groups, blocks) {
                (_, 2..) => simd.vectorize(Strip::<N, 1, 2> { products, at }),
                (2.., _) => simd.vectorize(Strip::<N, 2, 1> { products, at }),
                _ => simd.vectorize(Strip::<N, 1, 1> { products, at }),
            }
            at.group += groups;
        }
    }
}

/// The place, the first output block, the first group and the first input channel of a strip.
#[derive(Clone, Copy)]
struct Start {
    place: usize,
    block: usize,
    group: usize,
    first: usize,
}

/// G groups of tiles and V blocks of outputs at one place, summed over some channels.
struct Strip<'a, 'b, const N: usize, const G: usize, const V: usize> {
    products: &'a mut Products<'b, N>,
    at: Start,
}

impl<const N: usize, const G: usize, const V: usize> WithSimd for Strip<'_, '_, N, G, V> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { products, at } = self;
        let lanes = S::F32_LANES;
        let Shape { input, output, .. } = products.shape;
        let inputs = input.channels;
        // From a group to the next, in vectors.
        let [stride_in, stride_out] = [input, output].map(|at| stride_of(at.blocks()));
        let [step_in, step_out] = [stride_in * N * N, stride_out * N * N];
        let count = CHANNELS.min(inputs - at.first);
        let (weights, _) = S::as_simd_f32s(products.weights);
        let weights: [&[S::f32s]; V] = std::array::from_fn(|v| {
            let row = (at.block + v) * N * N + at.place;
            &weights[row * inputs + at.first..][..count]
        });
        let (y, _) = S::as_mut_simd_f32s(products.y);
        let place = |v: usize, g: usize| {
            (at.group + g) * step_out + at.place * stride_out + (at.block + v) * GROUP
        };
        let mut sums = [[[simd.splat_f32s(0.0); GROUP]; G]; V];
        for start in (0..count).step_by(lanes) {
            let block = (at.first + start) / lanes;
            let from = at.group * step_in + at.place * stride_in + block * GROUP;
            let x: [&[f32]; G] = std::array::from_fn(|g| {
                &products.x[(from + g * step_in) * lanes..][..GROUP * lanes]
            });
            let channels = lanes.min(count - start);
            let weights: [&[S::f32s]; V] =
                std::array::from_fn(|v| &weights[v][start..][..channels]);
            for channel in 0..channels {
                let weights: [S::f32s; V] = std::array::from_fn(|v| weights[v][channel]);
                for g in 0..G {
                    for p in 0..GROUP {
                        let x = simd.splat_f32s(x[g][p * lanes + channel]);
                        for v in 0..V {
                            sums[v][g][p] = simd.mul_add_e_f32s(x, weights[v], sums[v][g][p]);
                        }
                    }
                }
            }
        }
        for v in 0..V {
            for g in 0..G {
                let y = &mut y[place(v, g)..][..GROUP];
                for (y, sum) in y.iter_mut().zip(sums[v][g]) {
                    *y = if at.first > 0 {
                        simd.add_f32s(*y, sum)
                    } else {
                        sum
                    };
                }
            }
        }
    }
}
