//! Fully connected layers on a group of vectors: each weight vector is read once for up to eight samples.

use pulp::{Simd, WithSimd};

use super::simd::{Level, Rectifier};

/// Vectors beside one another: one row of `stride` numbers each.
#[derive(Clone, Copy)]
pub(in crate::model) struct Rows<'a> {
    pub(in crate::model) values: &'a [f32],
    pub(in crate::model) stride: usize,
}

/// A fully connected layer.
#[derive(Clone, Copy)]
pub(in crate::model) struct Dense<'a> {
    pub(in crate::model) x: Rows<'a>,
    pub(in crate::model) inputs: usize,
    /// (output blocks, inputs, lanes).
    pub(in crate::model) weights: &'a [f32],
    /// From the weights of a block to those of the next.
    pub(in crate::model) step: usize,
    /// (output blocks, lanes).
    pub(in crate::model) bias: &'a [f32],
    pub(in crate::model) rectifier: Rectifier,
}

impl Dense<'_> {
    /// Writes (samples, output blocks, lanes).
    pub(in crate::model) fn run(&self, level: Level, samples: usize, y: &mut [f32]) {
        level.run(Whole {
            dense: self,
            samples,
            y,
        });
    }
}

/// Lays rows beside one another as the kernel reads weights, each times its factor: as many as there are lanes become
/// (inputs, lanes). Lanes without a row stay as they are.
pub(in crate::model) fn lay<'a>(
    block: &mut [f32],
    lanes: usize,
    rows: impl Iterator<Item = (&'a [f32], f32)>,
) {
    for (lane, (row, factor)) in rows.enumerate() {
        let column = block[lane..].iter_mut().step_by(lanes);
        column
            .zip(row)
            .for_each(|(to, weight)| *to = weight * factor);
    }
}

struct Whole<'a, 'b> {
    dense: &'a Dense<'b>,
    samples: usize,
    y: &'a mut [f32],
}

impl WithSimd for Whole<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { dense, samples, y } = self;
        let blocks = dense.bias.len() / S::F32_LANES;
        for block in (0..blocks).step_by(2) {
            let pair = block + 1 < blocks;
            let mut sample = 0;
            while sample < samples {
                let from = (sample, block);
                // Sums of two blocks, their weights and one input number have to fit into the registers.
                let left = (samples - sample).min(if S::REGISTER_COUNT >= 32 { 8 } else { 6 });
                let taken = match (left, pair) {
                    (8.., true) => strip::<S, 8, 2>(simd, dense, from, y),
                    (6.., true) => strip::<S, 6, 2>(simd, dense, from, y),
                    (4.., true) => strip::<S, 4, 2>(simd, dense, from, y),
                    (_, true) => strip::<S, 1, 2>(simd, dense, from, y),
                    (8.., false) => strip::<S, 8, 1>(simd, dense, from, y),
                    (6.., false) => strip::<S, 6, 1>(simd, dense, from, y),
                    (4.., false) => strip::<S, 4, 1>(simd, dense, from, y),
                    (_, false) => strip::<S, 1, 1>(simd, dense, from, y),
                };
                sample += taken;
            }
        }
    }
}

/// Computes P samples, V blocks of outputs; gives P.
#[inline(always)]
fn strip<S: Simd, const P: usize, const V: usize>(
    simd: S,
    dense: &Dense,
    (sample, block): (usize, usize),
    y: &mut [f32],
) -> usize {
    let lanes = S::F32_LANES;
    let (weights, _) = S::as_simd_f32s(dense.weights);
    let (bias, _) = S::as_simd_f32s(dense.bias);
    let (inputs, step) = (dense.inputs, dense.step / lanes);
    let weights: [&[S::f32s]; V] =
        std::array::from_fn(|v| &weights[(block + v) * step..][..inputs]);
    let x: [&[f32]; P] =
        std::array::from_fn(|p| &dense.x.values[(sample + p) * dense.x.stride..][..inputs]);
    let mut sums: [[S::f32s; P]; V] = std::array::from_fn(|v| [bias[block + v]; P]);
    for i in 0..inputs {
        let weights: [S::f32s; V] = std::array::from_fn(|v| weights[v][i]);
        for p in 0..P {
            let x = simd.splat_f32s(x[p][i]);
            for v in 0..V {
                sums[v][p] = simd.mul_add_e_f32s(x, weights[v], sums[v][p]);
            }
        }
    }
    let row = dense.bias.len();
    for (v, sums) in sums.into_iter().enumerate() {
        for (p, sum) in sums.into_iter().enumerate() {
            let from = (sample + p) * row + (block + v) * lanes;
            let (out, _) = S::as_mut_simd_f32s(&mut y[from..][..lanes]);
            out[0] = dense.rectifier.apply(simd, sum);
        }
    }
    P
}
