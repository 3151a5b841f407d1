//! Convolution on the CPU, closed under differentiation.
//!
//! With x the images, w the kernels and y = x ⋆ w, three maps are each other's derivatives: y itself, the
//! gradient of the images and that of the kernels. Each is linear in both of its arguments, so the
//! gradients of any of them are the other two, and derivatives of every order are exact. candle's own
//! backward pass goes through a naive transposed convolution, which is many times slower. A transposed
//! convolution is the map to the images. Each is a product of matrices (`dense`), or a sum by vectors of channels
//! where that is faster (`vectors`).

mod dense;
mod depthwise;
mod extents;
#[cfg(test)]
mod tests;
mod vectors;

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, WithDType, bail};
use nalgebra::RealField;
use rayon::prelude::*;

use self::extents::Extents;
use super::ConvWindow;
use crate::model::kernels::simd::Level;

/// Images that share a matrix of patches; blocks of them are spread over the threads.
const BLOCK: usize = 4;

/// The maps of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Map {
    /// (x, w) to x ⋆ w.
    Forward,
    /// (gradient of y, w) to the gradient of x.
    Images,
    /// (x, gradient of y) to the gradient of w.
    Kernels,
}

impl Map {
    /// Returns the map of two contiguous arrays; to the result of [`Map::Forward`] a number is added for
    /// each output.
    fn of<T: RealField + Copy>(self, extents: &Extents, a: &[T], b: &[T], bias: &[T]) -> Vec<T> {
        let mirrored = extents.mirrored().filter(|_| !extents.is_depthwise());
        if let (Self::Images, Some(mirrored)) = (self, mirrored) {
            return Self::Forward.of(&mirrored, a, &extents.flipped(b), &[]);
        }
        let zeros = || vec![T::zero(); extents.shape(self).elem_count()];
        let image = (BLOCK * extents.image()).max(1);
        let place = (BLOCK * extents.outputs * extents.plane()).max(1);
        match self {
            Self::Forward => {
                let mut result = zeros();
                let blocks = a.par_chunks(image).zip(result.par_chunks_mut(place));
                blocks.for_each(|(images, results)| extents.forward(images, b, bias, results));
                result
            }
            Self::Images => {
                let mut result = zeros();
                let blocks = a.par_chunks(place).zip(result.par_chunks_mut(image));
                blocks.for_each(|(gradients, images)| extents.images(gradients, b, images));
                result
            }
            Self::Kernels => {
                let blocks = a.par_chunks(image).zip(b.par_chunks(place));
                let blocks = blocks.map(|(images, gradients)| extents.kernels(images, gradients));
                in_order(blocks, extents)
            }
        }
    }
}

/// Adds up the kernels' gradients of blocks in the order of the images, whatever thread was first.
fn in_order<T: RealField + Copy>(
    blocks: impl IndexedParallelIterator<Item = Vec<T>>,
    extents: &Extents,
) -> Vec<T> {
    let mut sum = vec![T::zero(); extents.shape(Map::Kernels).elem_count()];
    for block in blocks.collect::<Vec<_>>() {
        sum.iter_mut().zip(block).for_each(|(sum, b)| *sum += b);
    }
    sum
}

/// The maps of a few images.
impl Extents {
    fn forward<T: RealField + Copy>(&self, images: &[T], kernels: &[T], bias: &[T], y: &mut [T]) {
        let plane = self.plane();
        let results = y.chunks_exact_mut(self.outputs * plane);
        for (image, result) in images.chunks_exact(self.image()).zip(results) {
            for (channel, bias) in result.chunks_exact_mut(plane).zip(bias) {
                channel.fill(*bias);
            }
            if self.is_depthwise() {
                depthwise::forward(self, image, kernels, result);
            } else {
                dense::forward(self, image, kernels, result);
            }
        }
    }

    fn images<T: RealField + Copy>(&self, gradients: &[T], kernels: &[T], images: &mut [T]) {
        let gradients = gradients.chunks_exact(self.outputs * self.plane());
        for (gradient, image) in gradients.zip(images.chunks_exact_mut(self.image())) {
            if self.is_depthwise() {
                depthwise::image(self, gradient, kernels, image);
            } else {
                dense::image(self, gradient, kernels, image);
            }
        }
    }

    fn kernels<T: RealField + Copy>(&self, images: &[T], gradients: &[T]) -> Vec<T> {
        let mut kernels = vec![T::zero(); self.outputs * self.taps()];
        let gradients = gradients.chunks_exact(self.outputs * self.plane());
        for (image, gradient) in images.chunks_exact(self.image()).zip(gradients) {
            if self.is_depthwise() {
                depthwise::kernels(self, image, gradient, &mut kernels);
            } else {
                dense::kernels(self, image, gradient, &mut kernels);
            }
        }
        kernels
    }
}

/// One of the three maps, for one convolution.
#[derive(Clone, Debug)]
struct Convolution {
    map: Map,
    extents: Extents,
    /// Numbers that the forward map adds to its output, one a channel.
    bias: Option<Tensor>,
}

impl Convolution {
    /// Returns a map of the same convolution, if anything that it is wanted for depends on a variable.
    fn gradient(&self, of: &Tensor, map: Map, a: &Tensor, b: &Tensor) -> Result<Option<Tensor>> {
        if !of.track_op() {
            return Ok(None);
        }
        let op = Self {
            map,
            extents: self.extents,
            bias: None,
        };
        a.contiguous()?.apply_op2(&b.contiguous()?, op).map(Some)
    }

    fn bias<T: WithDType>(&self) -> Result<Vec<T>> {
        let bias = self.bias.as_ref().map(Tensor::to_vec1);
        Ok(bias.transpose()?.unwrap_or_default())
    }
}

impl CustomOp2 for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (Some(a_range), Some(b_range)) =
            (a_layout.contiguous_offsets(), b_layout.contiguous_offsets())
        else {
            bail!("a convolution of arrays with gaps");
        };
        let (a_range, b_range) = (a_range.0..a_range.1, b_range.0..b_range.1);
        let (map, extents) = (self.map, &self.extents);
        let shape = extents.shape(map);
        let result = match (a, b) {
            (CpuStorage::F32(a), CpuStorage::F32(b)) => {
                let (a, b, bias) = (&a[a_range], &b[b_range], self.bias()?);
                let by_vectors = vectors::of(map, extents, a, b, &bias, Level::best());
                CpuStorage::F32(by_vectors.unwrap_or_else(|| map.of(extents, a, b, &bias)))
            }
            (CpuStorage::F64(a), CpuStorage::F64(b)) => {
                CpuStorage::F64(map.of(extents, &a[a_range], &b[b_range], &self.bias()?))
            }
            _ => bail!("a convolution of other numbers than f32 or f64"),
        };
        Ok((result, shape))
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok(match self.map {
            Map::Forward => (
                self.gradient(a, Map::Images, gradient, b)?,
                self.gradient(b, Map::Kernels, a, gradient)?,
            ),
            Map::Images => (
                self.gradient(a, Map::Forward, gradient, b)?,
                self.gradient(b, Map::Kernels, gradient, a)?,
            ),
            Map::Kernels => (
                self.gradient(a, Map::Images, b, gradient)?,
                self.gradient(b, Map::Forward, a, gradient)?,
            ),
        })
    }
}

/// Returns true if [`convolve`] and [`transposed`] can take these.
pub(super) fn fits(x: &Tensor, kernel: &Tensor) -> bool {
    let known = |t: &Tensor| matches!(t.dtype(), DType::F32 | DType::F64);
    x.device().is_cpu() && known(x) && x.dtype() == kernel.dtype()
}

/// Returns the cross-correlation of x (N, I, H, W) with kernels (O, I/groups, k, l), on the CPU, plus a
/// constant bias (O), to which no gradient goes.
///
/// # Errors
/// candle's, for shapes that do not fit.
pub(super) fn convolve(
    x: &Tensor,
    kernel: &Tensor,
    bias: Option<&Tensor>,
    window: &ConvWindow,
) -> Result<Tensor> {
    let result = window.result(x, kernel)?;
    let (images, inputs, height, width) = x.dims4()?;
    let (outputs, _, k_height, k_width) = kernel.dims4()?;
    let op = Convolution {
        map: Map::Forward,
        extents: Extents {
            images,
            inputs,
            size: [height, width],
            outputs,
            result,
            kernel: [k_height, k_width],
            window: *window,
        },
        bias: bias.cloned(),
    };
    x.contiguous()?.apply_op2(&kernel.contiguous()?, op)
}

/// Returns the images (N, O, H, W), of this size, whose convolution with the kernels (I, O/groups, k, l)
/// has x (N, I, H', W') as the gradient of its result.
///
/// # Errors
/// candle's, for shapes that do not fit.
pub(super) fn transposed(
    x: &Tensor,
    kernel: &Tensor,
    window: &ConvWindow,
    size: [usize; 2],
) -> Result<Tensor> {
    let (images, outputs, height, width) = x.dims4()?;
    let (_, inputs, k_height, k_width) = kernel.dims4()?;
    let op = Convolution {
        map: Map::Images,
        extents: Extents {
            images,
            inputs: inputs * window.groups,
            size,
            outputs,
            result: [height, width],
            kernel: [k_height, k_width],
            window: *window,
        },
        bias: None,
    };
    x.contiguous()?.apply_op2(&kernel.contiguous()?, op)
}
