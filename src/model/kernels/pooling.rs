//! The passes over a blocked image other than convolution: pooling, batch norm of its own, and
//! moving channels about.

use pulp::{Simd, WithSimd};

use super::blocked::Blocked;
use super::simd::{Level, Rectifier};
use crate::model::ops::Pool;

/// A blocked image, or some of them one after another, with its extents.
#[derive(Clone, Copy)]
pub(in crate::model) struct Image<'a> {
    pub(in crate::model) at: Blocked,
    pub(in crate::model) values: &'a [f32],
}

impl Image<'_> {
    /// Returns one of some images.
    pub(in crate::model) fn nth(&self, n: usize) -> Self {
        Self {
            values: &self.values[n * self.at.len()..][..self.at.len()],
            ..*self
        }
    }
}

/// Largest value (NaN counts as the largest), or mean, of each window.
pub(in crate::model) struct Windows<'a> {
    pub(in crate::model) level: Level,
    pub(in crate::model) pool: Pool,
    pub(in crate::model) mean: bool,
    pub(in crate::model) from: Image<'a>,
    pub(in crate::model) to: Blocked,
}

impl Windows<'_> {
    /// Writes the result's pixels.
    pub(in crate::model) fn run(&self, y: &mut [f32]) {
        self.level.run(Pooling { windows: self, y });
    }
}

struct Pooling<'a, 'b> {
    windows: &'a Windows<'b>,
    y: &'a mut [f32],
}

impl WithSimd for Pooling<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Windows {
            pool,
            mean,
            from,
            to,
            ..
        } = self.windows;
        let share = simd.splat_f32s(1.0 / (pool.kernel[0] * pool.kernel[1]) as f32);
        // Positions of a window that lie in the image.
        let inside = |side: usize, index: usize, len: usize| {
            let (first, padding) = (index * pool.stride[side], pool.padding[side]);
            first.saturating_sub(padding)..(first + pool.kernel[side] - padding).min(len)
        };
        for block in 0..to.blocks() {
            let (x, _) = S::as_simd_f32s(&from.values[block * from.at.block()..]);
            for row in 0..to.height {
                for column in 0..to.width {
                    let mut pooled: Option<S::f32s> = None;
                    for i in inside(0, row, from.at.height) {
                        for j in inside(1, column, from.at.width) {
                            let value = x[from.at.pixel(i, j) / S::F32_LANES];
                            pooled = Some(match pooled {
                                None => value,
                                Some(sum) if *mean => simd.add_f32s(sum, value),
                                Some(largest) => {
                                    let is_less = simd.less_than_or_equal_f32s(value, largest);
                                    let is_number = simd.equal_f32s(largest, largest);
                                    let kept = simd.or_m32s(is_less, simd.not_m32s(is_number));
                                    simd.select_f32s(kept, largest, value)
                                }
                            });
                        }
                    }
                    let pooled = pooled.unwrap_or(simd.splat_f32s(0.0));
                    let at = block * to.block() + to.pixel(row, column);
                    let (out, _) = S::as_mut_simd_f32s(&mut self.y[at..][..S::F32_LANES]);
                    out[0] = if *mean {
                        simd.mul_f32s(pooled, share)
                    } else {
                        pooled
                    };
                }
            }
        }
    }
}

/// Batch norm of its own, and ReLU: scale and shift of every channel.
pub(in crate::model) struct Norm<'a> {
    pub(in crate::model) level: Level,
    pub(in crate::model) from: Image<'a>,
    pub(in crate::model) to: Blocked,
    /// (blocks, lanes).
    pub(in crate::model) scale: &'a [f32],
    /// (blocks, lanes).
    pub(in crate::model) shift: &'a [f32],
    pub(in crate::model) rectifier: Rectifier,
}

impl Norm<'_> {
    /// Writes the result's pixels.
    pub(in crate::model) fn run(&self, y: &mut [f32]) {
        self.level.run(Scaling { norm: self, y });
    }
}

struct Scaling<'a, 'b> {
    norm: &'a Norm<'b>,
    y: &'a mut [f32],
}

impl WithSimd for Scaling<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Norm { from, to, .. } = self.norm;
        let (scale, _) = S::as_simd_f32s(self.norm.scale);
        let (shift, _) = S::as_simd_f32s(self.norm.shift);
        for block in 0..to.blocks() {
            for row in 0..to.height {
                let pixels = to.width * S::F32_LANES;
                let x = &from.values[block * from.at.block() + from.at.pixel(row, 0)..][..pixels];
                let y = &mut self.y[block * to.block() + to.pixel(row, 0)..][..pixels];
                let pairs = S::as_simd_f32s(x)
                    .0
                    .iter()
                    .zip(S::as_mut_simd_f32s(y).0.iter_mut());
                for (x, y) in pairs {
                    let scaled = simd.mul_add_e_f32s(*x, scale[block], shift[block]);
                    *y = self.norm.rectifier.apply(simd, scaled);
                }
            }
        }
    }
}

/// Takes the mean over the image of each channel.
pub(in crate::model) fn global_average(from: Image, means: &mut [f32]) {
    let at = from.at;
    for (channel, mean) in means.iter_mut().enumerate() {
        let rows = (0..at.height).map(|row| {
            let first = at.place(channel, row, 0);
            let row = from.values[first..].iter().step_by(at.lanes);
            row.take(at.width).sum::<f32>()
        });
        *mean = rows.sum::<f32>() / (at.height * at.width) as f32;
    }
}

/// Lays channels, rows and columns in this order, without blocks and frame.
pub(in crate::model) fn flatten(from: Image, vector: &mut [f32]) {
    let at = from.at;
    for (line, out) in vector.chunks_exact_mut(at.width).enumerate() {
        let first = at.place(line / at.height, line % at.height, 0);
        let row = from.values[first..].iter().step_by(at.lanes);
        out.iter_mut().zip(row).for_each(|(out, x)| *out = *x);
    }
}

/// Does the opposite of [`flatten`].
pub(in crate::model) fn block(image: &[f32], to: Blocked, y: &mut [f32]) {
    for (line, row) in image.chunks_exact(to.width).enumerate() {
        let first = to.place(line / to.height, line % to.height, 0);
        let out = y[first..].iter_mut().step_by(to.lanes);
        out.zip(row).for_each(|(out, x)| *out = *x);
    }
}

/// Copies every `stride`-th pixel to the channels from `first` on.
pub(in crate::model) fn place(
    from: Image,
    stride: usize,
    first: usize,
    to: Blocked,
    y: &mut [f32],
) {
    let lanes = to.lanes;
    for row in 0..to.height {
        for channel in 0..from.at.channels {
            let source = from.values[from.at.place(channel, row * stride, 0)..].iter();
            let source = source.step_by(stride * lanes);
            let out = y[to.place(first + channel, row, 0)..].iter_mut();
            let out = out.step_by(lanes).take(to.width);
            out.zip(source).for_each(|(out, x)| *out = *x);
        }
    }
}
