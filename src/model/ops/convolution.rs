//! Convolution on the CPU as a matrix product, closed under differentiation.
//!
//! With x the images, w the kernels and y = x ⋆ w, three maps are each other's derivatives: y itself, the
//! gradient of the images and that of the kernels. Each is linear in both of its arguments, so the
//! gradients of any of them are the other two, and derivatives of every order are exact. candle's own
//! backward pass goes through a naive transposed convolution, which is many times slower.

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, WithDType, bail};
use nalgebra::{DMatrixView, DMatrixViewMut, Dyn, RealField};
use rayon::prelude::*;

/// Images that share a matrix of patches; blocks of them are spread over the threads.
const BLOCK: usize = 4;

/// Which of the three maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Map {
    /// (x, w) to x ⋆ w.
    Forward,
    /// (gradient of y, w) to the gradient of x.
    Images,
    /// (x, gradient of y) to the gradient of w.
    Kernels,
}

/// Extents of one convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extents {
    images: usize,
    inputs: usize,
    /// Height and width of the images.
    size: [usize; 2],
    outputs: usize,
    /// Height and width of the kernels.
    kernel: [usize; 2],
    stride: usize,
    padding: usize,
}

impl Extents {
    /// Height and width of the result.
    fn result(&self) -> [usize; 2] {
        [0, 1].map(|d| (self.size[d] + 2 * self.padding - self.kernel[d]) / self.stride + 1)
    }

    /// Elements of one image, of one result and of one kernel.
    fn image(&self) -> usize {
        self.inputs * self.size[0] * self.size[1]
    }

    fn plane(&self) -> usize {
        let [height, width] = self.result();
        height * width
    }

    fn taps(&self) -> usize {
        self.inputs * self.kernel[0] * self.kernel[1]
    }

    /// Whether an image is its own matrix of patches.
    fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == 1 && self.padding == 0
    }

    fn shape(&self, map: Map) -> Shape {
        let [height, width] = self.result();
        match map {
            Map::Forward => Shape::from((self.images, self.outputs, height, width)),
            Map::Images => Shape::from((self.images, self.inputs, self.size[0], self.size[1])),
            Map::Kernels => {
                Shape::from((self.outputs, self.inputs, self.kernel[0], self.kernel[1]))
            }
        }
    }

    /// Calls `each(row of the patches, start in its row, start in the image, count)` for all stretches
    /// of neighbouring pixels that a kernel's taps read along a row of the result.
    fn stretches(&self, mut each: impl FnMut(usize, usize, usize, usize)) {
        let [rows, columns] = self.result();
        let [height, width] = self.size;
        for tap in 0..self.taps() {
            let (channel, i, j) = (
                tap / (self.kernel[0] * self.kernel[1]),
                tap / self.kernel[1] % self.kernel[0],
                tap % self.kernel[1],
            );
            // The columns of the result whose tap lies inside the image.
            let first = self.padding.saturating_sub(j).div_ceil(self.stride);
            let last = (width + self.padding).saturating_sub(j + 1) / self.stride;
            let inside = (width + self.padding > j).then_some(last.min(columns - 1));
            let Some(last) = inside.filter(|last| first <= *last) else {
                continue;
            };
            for row in 0..rows {
                let Some(y) = (row * self.stride + i).checked_sub(self.padding) else {
                    continue;
                };
                if y < height {
                    let x = first * self.stride + j - self.padding;
                    let start = (channel * height + y) * width + x;
                    each(tap, row * columns + first, start, last - first + 1);
                }
            }
        }
    }
}

/// The patches of one image: taps × places of the result, row by row. Places outside the image are
/// left as they are: zero.
fn patches<T: RealField + Copy>(extents: &Extents, image: &[T], patches: &mut [T]) {
    let plane = extents.plane();
    extents.stretches(|tap, place, pixel, count| {
        let target = &mut patches[tap * plane + place..][..count];
        if extents.stride == 1 {
            target.copy_from_slice(&image[pixel..pixel + count]);
        } else {
            let source = image[pixel..].iter().step_by(extents.stride);
            target.iter_mut().zip(source).for_each(|(t, s)| *t = *s);
        }
    });
}

/// The adjoint of [`patches`]: adds what was taken from each pixel.
fn gather<T: RealField + Copy>(extents: &Extents, patches: &[T], image: &mut [T]) {
    let plane = extents.plane();
    extents.stretches(|tap, place, pixel, count| {
        let source = &patches[tap * plane + place..][..count];
        let target = image[pixel..].iter_mut().step_by(extents.stride);
        target.zip(source).for_each(|(t, s)| *t += *s);
    });
}

/// A matrix that lies column by column.
fn matrix<T: RealField>(values: &[T], rows: usize, columns: usize) -> DMatrixView<'_, T> {
    DMatrixView::from_slice(values, rows, columns)
}

/// The transpose of a matrix that lies column by column with so many rows and columns. To be used on the
/// right of a product alone: small products of nalgebra 0.35 write past their result where the rows of the
/// left side lie apart.
fn transpose<T: RealField>(
    values: &[T],
    rows: usize,
    columns: usize,
) -> DMatrixView<'_, T, Dyn, Dyn> {
    DMatrixView::from_slice_with_strides(values, columns, rows, rows, 1)
}

impl Map {
    /// The map of two contiguous arrays; to the result of [`Map::Forward`] a number is added for each
    /// output.
    fn of<T: RealField + Copy>(self, extents: &Extents, a: &[T], b: &[T], bias: &[T]) -> Vec<T> {
        let mut result = vec![T::zero(); extents.shape(self).elem_count()];
        let image = (BLOCK * extents.image()).max(1);
        let place = (BLOCK * extents.outputs * extents.plane()).max(1);
        match self {
            Self::Forward => {
                let blocks = a.par_chunks(image).zip(result.par_chunks_mut(place));
                blocks.for_each(|(images, results)| extents.forward(images, b, bias, results));
            }
            Self::Images if extents.is_mirrored() => {
                let (mirrored, kernels) = (extents.mirrored(), extents.flipped(b));
                return Self::Forward.of(&mirrored, a, &kernels, &[]);
            }
            Self::Images => {
                let blocks = a.par_chunks(place).zip(result.par_chunks_mut(image));
                blocks.for_each(|(gradients, images)| extents.images(gradients, b, images));
            }
            Self::Kernels => {
                let blocks = a.par_chunks(image).zip(b.par_chunks(place));
                let blocks = blocks.map(|(images, gradients)| extents.kernels(images, gradients));
                // In the order of the images, whatever thread was first.
                for block in blocks.collect::<Vec<_>>() {
                    result.iter_mut().zip(block).for_each(|(r, b)| *r += b);
                }
            }
        }
        result
    }
}

/// Without a stride, the gradient of the images is a convolution too: of the gradient of the result with
/// every kernel turned about, inputs and outputs in each other's place.
impl Extents {
    fn is_mirrored(&self) -> bool {
        let [height, width] = self.kernel;
        self.stride == 1 && height == width && self.padding < height
    }

    fn mirrored(&self) -> Self {
        Self {
            inputs: self.outputs,
            outputs: self.inputs,
            size: self.result(),
            padding: self.kernel[0] - 1 - self.padding,
            ..*self
        }
    }

    /// (O, I, k, k) to (I, O, k, k), the taps from last to first.
    fn flipped<T: RealField + Copy>(&self, kernels: &[T]) -> Vec<T> {
        let taps = self.kernel[0] * self.kernel[1];
        let of_input = |input: usize| {
            let kernels = kernels.chunks_exact(taps).skip(input);
            kernels.step_by(self.inputs)
        };
        (0..self.inputs)
            .flat_map(of_input)
            .flat_map(|kernel| kernel.iter().rev().copied())
            .collect()
    }
}

/// The maps of a few images. Matrices that lie row by row are read as their transposes, column by column.
impl Extents {
    /// Room for the patches of one image.
    fn scratch<T: RealField + Copy>(&self) -> Vec<T> {
        let is_needed = !self.is_pointwise();
        vec![T::zero(); usize::from(is_needed) * self.taps() * self.plane()]
    }

    /// The patches of one image, in `scratch` unless the image is them.
    fn columns<'a, T: RealField + Copy>(&self, image: &'a [T], scratch: &'a mut [T]) -> &'a [T] {
        if self.is_pointwise() {
            return image;
        }
        patches(self, image, scratch);
        scratch
    }

    fn forward<T: RealField + Copy>(
        &self,
        images: &[T],
        kernels: &[T],
        bias: &[T],
        results: &mut [T],
    ) {
        let (taps, plane) = (self.taps(), self.plane());
        let mut scratch = self.scratch();
        let results = results.chunks_exact_mut(self.outputs * plane);
        for (image, result) in images.chunks_exact(self.image()).zip(results) {
            for (channel, bias) in result.chunks_exact_mut(plane).zip(bias) {
                channel.fill(*bias);
            }
            let columns = matrix(self.columns(image, &mut scratch), plane, taps);
            let kernels = matrix(kernels, taps, self.outputs);
            let mut result = DMatrixViewMut::from_slice(result, plane, self.outputs);
            result.gemm(T::one(), &columns, &kernels, T::one());
        }
    }

    fn images<T: RealField + Copy>(&self, gradients: &[T], kernels: &[T], images: &mut [T]) {
        let (taps, plane) = (self.taps(), self.plane());
        let kernels = transpose(kernels, taps, self.outputs);
        let mut scratch = self.scratch();
        let images = images.chunks_exact_mut(self.image());
        for (gradient, image) in gradients.chunks_exact(self.outputs * plane).zip(images) {
            let gradient = matrix(gradient, plane, self.outputs);
            let columns = if self.is_pointwise() {
                &mut *image
            } else {
                &mut scratch
            };
            DMatrixViewMut::from_slice(columns, plane, taps).gemm(
                T::one(),
                &gradient,
                &kernels,
                T::zero(),
            );
            if !self.is_pointwise() {
                gather(self, &scratch, image);
            }
        }
    }

    fn kernels<T: RealField + Copy>(&self, images: &[T], gradients: &[T]) -> Vec<T> {
        let (taps, plane) = (self.taps(), self.plane());
        let mut scratch = self.scratch();
        let mut result = vec![T::zero(); taps * self.outputs];
        let mut sum =
            DMatrixViewMut::from_slice_with_strides_mut(&mut result, self.outputs, taps, taps, 1);
        let gradients = gradients.chunks_exact(self.outputs * plane);
        for (image, gradient) in images.chunks_exact(self.image()).zip(gradients) {
            let columns = matrix(self.columns(image, &mut scratch), plane, taps);
            let gradient = matrix(gradient, plane, self.outputs).transpose();
            sum.gemm(T::one(), &gradient, &columns, T::one());
        }
        result
    }
}

/// One of the three maps, for one convolution.
#[derive(Clone, Debug)]
struct Convolution {
    map: Map,
    extents: Extents,
    /// What the forward map adds to each output.
    bias: Option<Tensor>,
}

impl Convolution {
    /// A map of the same convolution, if anything that it is wanted for depends on a variable.
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
                CpuStorage::F32(map.of(extents, &a[a_range], &b[b_range], &self.bias()?))
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

/// Whether [`convolve`] can take these.
pub(super) fn fits(x: &Tensor, kernel: &Tensor) -> bool {
    let known = |t: &Tensor| matches!(t.dtype(), DType::F32 | DType::F64);
    x.device().is_cpu() && known(x) && x.dtype() == kernel.dtype()
}

/// Cross-correlation of x (N, I, H, W) with kernels (O, I, k, l), on the CPU, plus a constant bias (O),
/// to which no gradient goes.
///
/// # Errors
/// candle's, for shapes that do not fit.
pub(super) fn convolve(
    x: &Tensor,
    kernel: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let (images, inputs, height, width) = x.dims4()?;
    let (outputs, channels, k_height, k_width) = kernel.dims4()?;
    let has_room = |len: usize, k: usize| k > 0 && len + 2 * padding >= k;
    if channels != inputs || stride == 0 || !has_room(height, k_height) || !has_room(width, k_width)
    {
        bail!(
            "kernels of {:?}, stride {stride}, padding {padding}, on {:?}",
            kernel.dims(),
            x.dims()
        );
    }
    let extents = Extents {
        images,
        inputs,
        size: [height, width],
        outputs,
        kernel: [k_height, k_width],
        stride,
        padding,
    };
    let op = Convolution {
        map: Map::Forward,
        extents,
        bias: bias.cloned(),
    };
    x.contiguous()?.apply_op2(&kernel.contiguous()?, op)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: [Extents; 4] = [
        Extents {
            images: 2,
            inputs: 3,
            size: [5, 4],
            outputs: 2,
            kernel: [3, 3],
            stride: 1,
            padding: 1,
        },
        Extents {
            images: 1,
            inputs: 2,
            size: [7, 6],
            outputs: 3,
            kernel: [3, 3],
            stride: 2,
            padding: 1,
        },
        Extents {
            images: 2,
            inputs: 2,
            size: [4, 5],
            outputs: 2,
            kernel: [1, 1],
            stride: 1,
            padding: 0,
        },
        Extents {
            images: 1,
            inputs: 1,
            size: [2, 2],
            outputs: 1,
            kernel: [7, 5],
            stride: 3,
            padding: 4,
        },
    ];

    fn numbers(count: usize, seed: u64) -> Vec<f64> {
        (0..count as u64)
            .map(|i| ((i * 7919 + seed * 104_729) % 23) as f64 - 11.0)
            .collect()
    }

    fn arrays(extents: &Extents) -> [Vec<f64>; 3] {
        [Map::Images, Map::Kernels, Map::Forward]
            .map(|map| numbers(extents.shape(map).elem_count(), map as u64))
    }

    /// The sum that a convolution is, place by place.
    fn plain(extents: &Extents, x: &[f64], w: &[f64]) -> Vec<f64> {
        let Extents {
            images,
            inputs,
            size: [height, width],
            outputs,
            kernel: [kh, kw],
            stride,
            padding,
        } = *extents;
        let [rows, columns] = extents.result();
        let mut y = Vec::new();
        for place in 0..images * outputs * rows * columns {
            let (n, o, row, column) = (
                place / (outputs * rows * columns),
                place / (rows * columns) % outputs,
                place / columns % rows,
                place % columns,
            );
            let mut sum = 0.0;
            for tap in 0..inputs * kh * kw {
                let (c, i, j) = (tap / (kh * kw), tap / kw % kh, tap % kw);
                let at = [row * stride + i, column * stride + j].map(|p| p.checked_sub(padding));
                if let [Some(a), Some(b)] = at
                    && a < height
                    && b < width
                {
                    sum += x[((n * inputs + c) * height + a) * width + b]
                        * w[((o * inputs + c) * kh + i) * kw + j];
                }
            }
            y.push(sum);
        }
        y
    }

    #[test]
    fn forward_is_the_sum_over_taps_and_channels() {
        for extents in CASES {
            let [x, w, _] = arrays(&extents);
            assert_eq!(
                Map::Forward.of(&extents, &x, &w, &[]),
                plain(&extents, &x, &w),
                "{extents:?}"
            );
        }
    }

    #[test]
    fn the_three_maps_are_adjoint() {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        for extents in CASES {
            let [x, w, g] = arrays(&extents);
            let through = dot(&Map::Forward.of(&extents, &x, &w, &[]), &g);
            assert_eq!(
                through,
                dot(&Map::Images.of(&extents, &g, &w, &[]), &x),
                "{extents:?}"
            );
            assert_eq!(
                through,
                dot(&Map::Kernels.of(&extents, &x, &g, &[]), &w),
                "{extents:?}"
            );
        }
    }
}
