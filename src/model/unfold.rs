//! Convolution of candle's own operations, for devices other than the CPU: one gather of all patches and one
//! matrix product, which candle differentiates to any order without its slow gradients of `conv2d`.

use candle_core::{Result, Tensor};

/// Cross-correlation of x (N, I, H, W) with kernels (O, I, k, l), which fit into the padded images.
///
/// # Errors
/// candle's, for shapes that do not fit.
pub(super) fn convolve(
    x: &Tensor,
    kernel: &Tensor,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let x = x.pad_with_zeros(2, padding, padding)?;
    let x = x.pad_with_zeros(3, padding, padding)?;
    let (images, inputs, height, width) = x.dims4()?;
    let (outputs, _, k_height, k_width) = kernel.dims4()?;
    let (rows, columns) = (
        (height - k_height) / stride + 1,
        (width - k_width) / stride + 1,
    );
    let (taps, plane) = (k_height * k_width, rows * columns);
    let pixel = |index: usize| {
        let (tap, place) = (index / plane, index % plane);
        let row = place / columns * stride + tap / k_width;
        (row * width + place % columns * stride + tap % k_width) as u32
    };
    let pixels: Vec<u32> = (0..taps * plane).map(pixel).collect();
    let pixels = Tensor::from_vec(pixels, taps * plane, x.device())?;
    // (N, I, taps, places) to (I, taps, N, places).
    let patches = x.flatten_from(2)?.index_select(&pixels, 2)?;
    let patches = patches.reshape((images, inputs, taps, plane))?;
    let patches = patches.permute((1, 2, 0, 3))?.contiguous()?;
    let patches = patches.reshape((inputs * taps, images * plane))?;
    let y = kernel.reshape((outputs, inputs * taps))?.matmul(&patches)?;
    let y = y.reshape((outputs, images, rows, columns))?;
    y.transpose(0, 1)?.contiguous()
}
