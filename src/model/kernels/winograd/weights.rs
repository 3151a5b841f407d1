//! The weights of Winograd's products: G g Gᵀ of each kernel.

use pulp::{Simd, WithSimd};

use super::transforms::of_taps;
use super::{Line, column};

/// Numbers in the widest vector.
const WIDEST: usize = 16;

/// The kernels of one block of output channels, for tiles that read N×N pixels.
pub(in crate::model) struct OfBlock<'a, const N: usize> {
    /// (outputs, inputs); at most as many outputs as there are lanes.
    pub(in crate::model) kernels: &'a [[f32; 9]],
    pub(in crate::model) inputs: usize,
    /// Factors of the outputs.
    pub(in crate::model) scale: &'a [f32],
    /// (products, inputs, lanes).
    pub(in crate::model) to: &'a mut [f32],
}

impl<const N: usize> WithSimd for OfBlock<'_, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (to, _) = S::as_mut_simd_f32s(self.to);
        // Lanes without an output stay zero.
        let Line(taps) = &mut Line([[0.0; WIDEST]; 9]);
        for input in 0..self.inputs {
            let of_outputs = self.kernels[input..].iter().step_by(self.inputs);
            for (lane, (kernel, scale)) in of_outputs.zip(self.scale).enumerate() {
                for (tap, weight) in taps.iter_mut().zip(kernel) {
                    tap[lane] = weight * scale;
                }
            }
            let Line(rows) = &mut Line([[simd.splat_f32s(0.0); N]; 3]);
            for (row, taps) in rows.iter_mut().zip(taps.as_chunks::<3>().0) {
                let tap = |j: usize| S::as_simd_f32s(&taps[j]).0[0];
                *row = of_taps(simd, [tap(0), tap(1), tap(2)]);
            }
            for j in 0..N {
                let places: [_; N] = of_taps(simd, column(rows, j));
                for (i, place) in places.into_iter().enumerate() {
                    to[(N * i + j) * self.inputs + input] = place;
                }
            }
        }
    }
}
