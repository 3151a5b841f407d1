//! Maps of one image whose channels are convolved each on its own (MobileNet, ConvNeXt): a loop over taps
//! and rows, which a matrix product of one column would only slow down.

use nalgebra::{DVectorView, Dyn, RealField};

use super::extents::Extents;
use crate::model::ops::ConvWindow;

impl Extents {
    /// Returns true if each group has one channel of the images.
    pub(super) fn is_depthwise(&self) -> bool {
        self.window.groups > 1 && self.window.groups == self.inputs
    }

    /// Returns the extents of one channel of the result.
    fn channel(&self) -> Self {
        Self {
            inputs: 1,
            outputs: 1,
            window: ConvWindow {
                groups: 1,
                ..self.window
            },
            ..*self
        }
    }

    /// Returns the number of channels of the result for each channel of an image.
    fn multiplier(&self) -> usize {
        self.outputs / self.inputs
    }
}

/// Adds the convolution of an image to the result.
pub(super) fn forward<T: RealField + Copy>(
    extents: &Extents,
    image: &[T],
    kernels: &[T],
    result: &mut [T],
) {
    let (channel, multiplier) = (extents.channel(), extents.multiplier());
    let stride = channel.window.stride[1];
    let results = result.chunks_exact_mut(channel.plane());
    let kernels = kernels.chunks_exact(channel.taps());
    for (output, (result, kernel)) in results.zip(kernels).enumerate() {
        let image = &image[output / multiplier * channel.image()..][..channel.image()];
        // A NaN that meets nothing but zeros around the image counts all the same.
        if kernel.iter().any(|weight| !weight.is_finite()) {
            result.fill(T::zero() / T::zero());
        }
        channel.stretches(|at| {
            let (weight, result) = (kernel[at.tap], &mut result[at.place..][..at.count]);
            if stride == 1 {
                let source = &image[at.pixel..][..at.count];
                let pairs = result.iter_mut().zip(source);
                pairs.for_each(|(y, x)| *y += weight * *x);
            } else {
                let source = image[at.pixel..].iter().step_by(stride);
                let pairs = result.iter_mut().zip(source);
                pairs.for_each(|(y, x)| *y += weight * *x);
            }
        });
    }
}

/// Adds the gradient of an image to it.
pub(super) fn image<T: RealField + Copy>(
    extents: &Extents,
    gradient: &[T],
    kernels: &[T],
    image: &mut [T],
) {
    let (channel, multiplier) = (extents.channel(), extents.multiplier());
    let stride = channel.window.stride[1];
    let gradients = gradient.chunks_exact(channel.plane());
    let kernels = kernels.chunks_exact(channel.taps());
    for (output, (gradient, kernel)) in gradients.zip(kernels).enumerate() {
        let image = &mut image[output / multiplier * channel.image()..][..channel.image()];
        channel.stretches(|at| {
            let (weight, source) = (kernel[at.tap], &gradient[at.place..][..at.count]);
            if stride == 1 {
                let pairs = image[at.pixel..][..at.count].iter_mut().zip(source);
                pairs.for_each(|(x, y)| *x += weight * *y);
            } else {
                let pairs = image[at.pixel..].iter_mut().step_by(stride).zip(source);
                pairs.for_each(|(x, y)| *x += weight * *y);
            }
        });
    }
}

/// Adds the gradient of the kernels to what other images gave.
pub(super) fn kernels<T: RealField + Copy>(
    extents: &Extents,
    image: &[T],
    gradient: &[T],
    kernels: &mut [T],
) {
    let (channel, multiplier) = (extents.channel(), extents.multiplier());
    let stride = channel.window.stride[1];
    let gradients = gradient.chunks_exact(channel.plane());
    let kernels = kernels.chunks_exact_mut(channel.taps());
    for (output, (gradient, kernel)) in gradients.zip(kernels).enumerate() {
        let image = &image[output / multiplier * channel.image()..][..channel.image()];
        channel.stretches(|at| {
            let places = DVectorView::from_slice(&gradient[at.place..], at.count);
            let pixels = &image[at.pixel..];
            let pixels =
                DVectorView::<T, Dyn, Dyn>::from_slice_with_strides(pixels, at.count, stride, 1);
            kernel[at.tap] += places.dot(&pixels);
        });
    }
}
