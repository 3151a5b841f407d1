//! Convolutions as PyTorch defines them, by the operators that suit the device.

use candle_core::{Result, Tensor, bail};

use super::{at, convolution, unfold};

/// Way of a kernel over an image, as PyTorch's convolutions take it: height before width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvWindow<const D: usize = 2> {
    /// Step from one place of the kernel to the next.
    pub stride: [usize; D],
    /// Zeros on both sides of the image.
    pub padding: [usize; D],
    /// Distance of neighbouring taps of the kernel.
    pub dilation: [usize; D],
    /// Groups of channels that are convolved on their own.
    pub groups: usize,
}

impl<const D: usize> ConvWindow<D> {
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

    /// Returns the number of places of a kernel along each side of an image; `None` if it does not fit.
    #[must_use]
    pub fn places(&self, size: [usize; D], kernel: [usize; D]) -> Option<[usize; D]> {
        let mut places = [0; D];
        for (side, places) in places.iter_mut().enumerate() {
            let padding = self.padding[side].checked_mul(2)?;
            let room = size[side].checked_add(padding)?.checked_sub(1)?;
            let travel = room.checked_sub(self.reach(kernel, side)?)?;
            *places = travel.checked_div(self.stride[side])? + 1;
        }
        Some(places)
    }

    /// Returns the size of the image that a transposed convolution makes; `None` if there is none.
    #[must_use]
    pub fn transposed(
        &self,
        size: [usize; D],
        kernel: [usize; D],
        output_padding: [usize; D],
    ) -> Option<[usize; D]> {
        let mut image = [0; D];
        for (side, image) in image.iter_mut().enumerate() {
            let (stride, dilation) = (self.stride[side], self.dilation[side]);
            if output_padding[side] >= stride.max(dilation) || stride == 0 {
                return None;
            }
            let travel = size[side].checked_sub(1)?.checked_mul(stride)?;
            let len = travel.checked_add(self.reach(kernel, side)?)?;
            let len = len.checked_add(output_padding[side])?.checked_add(1)?;
            *image = len.checked_sub(self.padding[side].checked_mul(2)?)?;
            if *image == 0 {
                return None;
            }
        }
        Some(image)
    }

    /// Returns the distance of the first and the last tap.
    fn reach(&self, kernel: [usize; D], side: usize) -> Option<usize> {
        let dilation = Some(self.dilation[side]).filter(|dilation| *dilation > 0)?;
        kernel[side].checked_sub(1)?.checked_mul(dilation)
    }
}

impl ConvWindow<3> {
    /// Returns the way over each slice along the depth.
    fn plane(&self) -> ConvWindow {
        ConvWindow {
            stride: [self.stride[1], self.stride[2]],
            padding: [self.padding[1], self.padding[2]],
            dilation: [self.dilation[1], self.dilation[2]],
            groups: self.groups,
        }
    }
}

impl ConvWindow {
    /// Returns the height and width of a convolution's result, once all shapes fit.
    pub(super) fn result(&self, x: &Tensor, kernel: &Tensor) -> Result<[usize; 2]> {
        let (_, inputs, height, width) = x.dims4()?;
        let (outputs, of_group, k_height, k_width) = kernel.dims4()?;
        let divides = self.groups > 0 && outputs % self.groups == 0;
        match self.places([height, width], [k_height, k_width]) {
            Some(result) if divides && of_group.checked_mul(self.groups) == Some(inputs) => {
                Ok(result)
            }
            _ => bail!("kernels of {:?} on {:?}, {self:?}", kernel.dims(), x.dims()),
        }
    }

    /// Returns true if candle's own convolution takes it: both sides alike.
    fn is_even(&self) -> bool {
        let sides = [self.stride, self.padding, self.dilation];
        sides.iter().all(|[height, width]| height == width)
    }
}

/// Returns the cross-correlation, as PyTorch's `conv2d`: x (N, I, H, W), kernel (O, I/groups, k, l),
/// bias (O).
///
/// # Errors
/// candle's, for shapes that do not fit.
pub fn conv(
    x: &Tensor,
    kernel: &Tensor,
    bias: Option<&Tensor>,
    window: &ConvWindow,
) -> Result<Tensor> {
    window.result(x, kernel)?;
    if convolution::fits(x, kernel) {
        // A bias that no gradient goes to costs nothing on the way.
        let inside = bias.filter(|bias| !bias.track_op());
        let y = convolution::convolve(x, kernel, inside, window)?;
        return biased(y, bias.filter(|bias| bias.track_op()));
    }
    let y = if x.track_op() || kernel.track_op() || !window.is_even() {
        unfold::convolve(x, kernel, window)?
    } else {
        unfolded_in_pieces(x, kernel, window)?
    };
    biased(y, bias)
}

/// Bytes of the buffer of patches that a convolution on a GPU makes at once, candle's im2col.
pub(crate) const BUFFER: usize = 512 << 20;

/// Returns candle's convolution, of as many images at once as keep a GPU's buffer of patches within [`BUFFER`],
/// because its kernels count in 32 bits: of more numbers they would leave some as they were, without a word.
fn unfolded_in_pieces(x: &Tensor, kernel: &Tensor, window: &ConvWindow) -> Result<Tensor> {
    let ConvWindow {
        stride: [stride, _],
        padding: [padding, _],
        dilation: [dilation, _],
        groups,
    } = *window;
    let whole = |x: &Tensor| x.conv2d(kernel, padding, stride, dilation, groups);
    let [rows, columns] = window.result(x, kernel)?;
    let (images, inputs, ..) = x.dims4()?;
    let (_, _, k_height, k_width) = kernel.dims4()?;
    let patches = rows * columns * (inputs / groups) * k_height * k_width;
    let most = (BUFFER / (patches * x.dtype().size_in_bytes()).max(1)).max(1);
    if x.device().is_cpu() || images <= most {
        return whole(x);
    }
    in_pieces(x, most, whole)
}

/// Applies a layer to the images of x, at most so many at once.
pub(super) fn in_pieces(
    x: &Tensor,
    most: usize,
    layer: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let images = x.dim(0)?;
    let starts = (0..images).step_by(most);
    let pieces =
        starts.map(|start| layer(&x.narrow(0, start, most.min(images - start))?.contiguous()?));
    Tensor::cat(&pieces.collect::<Result<Vec<_>>>()?, 0)
}

/// Returns the transposed convolution, as PyTorch's `conv_transpose2d`: x (N, I, H, W), kernel
/// (I, O/groups, k, l), bias (O).
///
/// # Errors
/// candle's, for shapes that do not fit.
pub fn conv_transpose(
    x: &Tensor,
    kernel: &Tensor,
    bias: Option<&Tensor>,
    window: &ConvWindow,
    output_padding: [usize; 2],
) -> Result<Tensor> {
    let (_, inputs, height, width) = x.dims4()?;
    let (rows, _, k_height, k_width) = kernel.dims4()?;
    let divides = window.groups > 0 && inputs % window.groups == 0;
    let size = window.transposed([height, width], [k_height, k_width], output_padding);
    let Some(size) = size.filter(|_| divides && rows == inputs) else {
        bail!(
            "transposed kernels of {:?} on {:?}, {window:?}",
            kernel.dims(),
            x.dims()
        );
    };
    let y = if convolution::fits(x, kernel) {
        convolution::transposed(x, kernel, window, size)?
    } else {
        let (x, kernel) = unfold::spread(x, kernel, window, size)?;
        let inner = ConvWindow {
            dilation: window.dilation,
            groups: window.groups,
            ..ConvWindow::plain(1, 0)
        };
        conv(&x, &kernel, None, &inner)?
    };
    biased(y, bias)
}

/// Returns the cross-correlation of volumes, as PyTorch's `conv3d`: x (N, I, D, H, W), kernel
/// (O, I/groups, j, k, l), bias (O). It is the sum of a convolution of images for each tap along the depth.
///
/// # Errors
/// candle's, for shapes that do not fit.
pub fn conv3d(
    x: &Tensor,
    kernel: &Tensor,
    bias: Option<&Tensor>,
    window: &ConvWindow<3>,
) -> Result<Tensor> {
    let (images, inputs, depth, height, width) = x.dims5()?;
    let (outputs, _, taps, k_height, k_width) = kernel.dims5()?;
    let places = window.places([depth, height, width], [taps, k_height, k_width]);
    let Some([depths, rows, columns]) = places else {
        bail!(
            "kernels of {:?} on {:?}, {window:?}",
            kernel.dims(),
            x.dims()
        );
    };
    let (stride, padding, dilation) = (window.stride[0], window.padding[0], window.dilation[0]);
    let x = x.pad_with_zeros(2, padding, padding)?;
    let y = sum_over_taps(kernel, |tap, kernel| {
        let slices = (0..depths).map(|place| place * stride + tap * dilation);
        let slices = at(&x, 2, &slices.collect::<Vec<_>>())?.transpose(1, 2)?;
        let slices = slices.reshape((images * depths, inputs, height, width))?;
        conv(&slices, kernel, None, &window.plane())
    })?;
    let y = y.reshape((images, depths, outputs, rows, columns))?;
    biased(y.transpose(1, 2)?.contiguous()?, bias)
}

/// Returns the transposed convolution of volumes, as PyTorch's `conv_transpose3d`: x (N, I, D, H, W), kernel
/// (I, O/groups, j, k, l), bias (O). It is the sum of a transposed convolution of images for each tap along the
/// depth.
///
/// # Errors
/// candle's, for shapes that do not fit.
pub fn conv_transpose3d(
    x: &Tensor,
    kernel: &Tensor,
    bias: Option<&Tensor>,
    window: &ConvWindow<3>,
    output_padding: [usize; 3],
) -> Result<Tensor> {
    let (images, inputs, depth, height, width) = x.dims5()?;
    let (_, _, taps, k_height, k_width) = kernel.dims5()?;
    let kernel_size = [taps, k_height, k_width];
    let size = window.transposed([depth, height, width], kernel_size, output_padding);
    let Some([depths, ..]) = size else {
        bail!(
            "transposed kernels of {:?} on {:?}, {window:?}",
            kernel.dims(),
            x.dims()
        );
    };
    let (stride, padding, dilation) = (window.stride[0], window.padding[0], window.dilation[0]);
    let added = [output_padding[1], output_padding[2]];
    let slices = x.transpose(1, 2)?.contiguous()?;
    let slices = slices.reshape((images * depth, inputs, height, width))?;
    let y = sum_over_taps(kernel, |tap, kernel| {
        let y = conv_transpose(&slices, kernel, None, &window.plane(), added)?;
        let (_, outputs, rows, columns) = y.dims4()?;
        let y = y.reshape((images, depth, outputs, rows, columns))?;
        // Behind the last slice stands one of zeros, for every place that this tap does not write to.
        let source = |place: usize| {
            let place = (place + padding).checked_sub(tap * dilation)?;
            let slice = place / stride;
            (place % stride == 0 && slice < depth).then_some(slice)
        };
        let sources = (0..depths).map(|place| source(place).unwrap_or(depth));
        at(&y.pad_with_zeros(1, 0, 1)?, 1, &sources.collect::<Vec<_>>())
    })?;
    biased(y.transpose(1, 2)?.contiguous()?, bias)
}

/// Returns the sum over the taps along the depth (dimension 2) of kernels; `of` takes a tap's number and its kernels
/// of images.
fn sum_over_taps(kernel: &Tensor, of: impl Fn(usize, &Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let taps = kernel.dim(2)?;
    let of_tap = |tap: usize| of(tap, &kernel.narrow(2, tap, 1)?.squeeze(2)?);
    let Some(others) = taps.checked_sub(1) else {
        bail!("kernels without depth");
    };
    (1..=others).try_fold(of_tap(0)?, |sum, tap| sum + of_tap(tap)?)
}

/// Adds a number to each channel (dimension 1).
fn biased(y: Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let Some(bias) = bias else { return Ok(y) };
    let mut shape = vec![1; y.rank()];
    shape[1] = y.dim(1)?;
    y.broadcast_add(&bias.reshape(shape)?)
}
