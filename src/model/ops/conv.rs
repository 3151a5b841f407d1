//! Convolutions as PyTorch defines them, by the operators that suit the device.

use candle_core::{Result, Tensor, bail};

use super::{convolution, unfold};

/// Way of a kernel over an image, as PyTorch's convolutions take it: height before width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window<const D: usize = 2> {
    /// Step from one place of the kernel to the next.
    pub stride: [usize; D],
    /// Zeros on both sides of the image.
    pub padding: [usize; D],
    /// Distance of neighbouring taps of the kernel.
    pub dilation: [usize; D],
    /// Groups of channels that are convolved on their own.
    pub groups: usize,
}

impl<const D: usize> Window<D> {
    /// Returns the same stride and padding for all sides, no dilation and one group.
    #[must_use]
    pub const fn plain(stride: usize, padding: usize) -> Self {
        Self {
            stride: [stride; D],
            padding: [padding; D],
            dilation: [1; D],
            groups: 1,
        }
    }
}

/// Cross-correlation, as PyTorch's `conv2d`: x (N, I, H, W), kernel (O, I, k, k), bias (O).
///
/// # Errors
/// candle's, for shapes that do not fit.
pub fn conv(x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>, window: &Window) -> Result<Tensor> {
    if window.stride[0] != window.stride[1]
        || window.padding[0] != window.padding[1]
        || window.dilation != [1; 2]
        || window.groups != 1
    {
        bail!("not yet: {window:?}");
    }
    let (stride, padding) = (window.stride[0], window.padding[0]);
    let (_, _, height, width) = x.dims4()?;
    let (outputs, _, k_height, k_width) = kernel.dims4()?;
    for (len, k) in [(height, k_height), (width, k_width)] {
        if stride == 0 || len + 2 * padding < k {
            bail!("a {k} wide kernel, stride {stride}, padding {padding} on {len} pixels");
        }
    }
    // A bias that no gradient goes to costs nothing on the way.
    let (inside, bias) = bias.map_or((None, None), |bias| {
        let is_constant = !bias.track_op() && convolution::fits(x, kernel);
        if is_constant {
            (Some(bias), None)
        } else {
            (None, Some(bias))
        }
    });
    let y = if convolution::fits(x, kernel) {
        convolution::convolve(x, kernel, inside, stride, padding)?
    } else if x.track_op() || kernel.track_op() {
        unfold::convolve(x, kernel, stride, padding)?
    } else {
        x.conv2d(kernel, padding, stride, 1, 1)?
    };
    match bias {
        Some(bias) => y.broadcast_add(&bias.reshape((1, outputs, 1, 1))?),
        None => Ok(y),
    }
}
