//! Maps of one image as matrix products, group by group. Matrices that lie row by row are read as their
//! transposes, column by column.

use nalgebra::{DMatrixView, DMatrixViewMut, Dyn, RealField};

use super::extents::Extents;

/// Adds the convolution of an image to the result.
pub(super) fn forward<T: RealField + Copy>(
    extents: &Extents,
    image: &[T],
    kernels: &[T],
    result: &mut [T],
) {
    let group = extents.group();
    let (taps, plane) = (group.taps(), group.plane());
    let mut scratch = scratch(&group);
    let parts = image.chunks_exact(group.image());
    let parts = parts.zip(kernels.chunks_exact(group.outputs * taps));
    let results = result.chunks_exact_mut(group.outputs * plane);
    for ((image, kernels), result) in parts.zip(results) {
        let columns = matrix(columns(&group, image, &mut scratch), plane, taps);
        let kernels = matrix(kernels, taps, group.outputs);
        let mut result = DMatrixViewMut::from_slice(result, plane, group.outputs);
        result.gemm(T::one(), &columns, &kernels, T::one());
    }
}

/// Writes the gradient of an image, which is zero before.
pub(super) fn image<T: RealField + Copy>(
    extents: &Extents,
    gradient: &[T],
    kernels: &[T],
    image: &mut [T],
) {
    let group = extents.group();
    let (taps, plane) = (group.taps(), group.plane());
    let mut scratch = scratch(&group);
    let parts = gradient.chunks_exact(group.outputs * plane);
    let parts = parts.zip(kernels.chunks_exact(group.outputs * taps));
    for ((gradient, kernels), image) in parts.zip(image.chunks_exact_mut(group.image())) {
        let gradient = matrix(gradient, plane, group.outputs);
        let kernels = transpose(kernels, taps, group.outputs);
        let columns = if group.is_pointwise() {
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
        if !group.is_pointwise() {
            gather(&group, &scratch, image);
        }
    }
}

/// Adds the gradient of the kernels to what other images gave.
pub(super) fn kernels<T: RealField + Copy>(
    extents: &Extents,
    image: &[T],
    gradient: &[T],
    sum: &mut [T],
) {
    let group = extents.group();
    let (taps, plane) = (group.taps(), group.plane());
    let mut scratch = scratch(&group);
    let parts = image.chunks_exact(group.image());
    let parts = parts.zip(gradient.chunks_exact(group.outputs * plane));
    for ((image, gradient), sum) in parts.zip(sum.chunks_exact_mut(group.outputs * taps)) {
        let columns = matrix(columns(&group, image, &mut scratch), plane, taps);
        let gradient = matrix(gradient, plane, group.outputs).transpose();
        let mut sum =
            DMatrixViewMut::from_slice_with_strides_mut(sum, group.outputs, taps, taps, 1);
        sum.gemm(T::one(), &gradient, &columns, T::one());
    }
}

/// Returns room for the patches of one image.
fn scratch<T: RealField + Copy>(group: &Extents) -> Vec<T> {
    let is_needed = !group.is_pointwise();
    vec![T::zero(); usize::from(is_needed) * group.taps() * group.plane()]
}

/// Returns the patches of one image, in `scratch` unless the image is them.
fn columns<'a, T: RealField + Copy>(
    group: &Extents,
    image: &'a [T],
    scratch: &'a mut [T],
) -> &'a [T] {
    if group.is_pointwise() {
        return image;
    }
    patches(group, image, scratch);
    scratch
}

/// Writes the patches of one image: taps × places of the result, row by row. Places outside the image are
/// left as they are: zero.
fn patches<T: RealField + Copy>(group: &Extents, image: &[T], patches: &mut [T]) {
    let (plane, stride) = (group.plane(), group.window.stride[1]);
    group.stretches(|at| {
        let target = &mut patches[at.tap * plane + at.place..][..at.count];
        if stride == 1 {
            target.copy_from_slice(&image[at.pixel..at.pixel + at.count]);
        } else {
            let source = image[at.pixel..].iter().step_by(stride);
            target.iter_mut().zip(source).for_each(|(t, s)| *t = *s);
        }
    });
}

/// Adds to each pixel what was taken from it: the adjoint of [`patches`].
fn gather<T: RealField + Copy>(group: &Extents, patches: &[T], image: &mut [T]) {
    let (plane, stride) = (group.plane(), group.window.stride[1]);
    group.stretches(|at| {
        let source = &patches[at.tap * plane + at.place..][..at.count];
        let target = image[at.pixel..].iter_mut().step_by(stride);
        target.zip(source).for_each(|(t, s)| *t += *s);
    });
}

/// Returns a matrix that lies column by column.
fn matrix<T: RealField>(values: &[T], rows: usize, columns: usize) -> DMatrixView<'_, T> {
    DMatrixView::from_slice(values, rows, columns)
}

/// Returns the transpose of a matrix that lies column by column with so many rows and columns. To be used
/// on the right of a product alone: small products of nalgebra 0.35 write past their result where the rows
/// of the left side lie apart.
fn transpose<T: RealField>(
    values: &[T],
    rows: usize,
    columns: usize,
) -> DMatrixView<'_, T, Dyn, Dyn> {
    DMatrixView::from_slice_with_strides(values, columns, rows, rows, 1)
}
