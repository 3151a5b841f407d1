//! Convolution of candle's own operations, for devices other than the CPU: one gather of all patches (im2col)
//! and one matrix product, which candle differentiates to any order without its slow gradients of `conv2d`.

use candle_core::{Result, Tensor, bail};

use super::{ConvWindow, at};

/// Returns the cross-correlation of x (N, I, H, W) with kernels (O, I/groups, k, l).
///
/// # Errors
/// candle's, for shapes that do not fit.
pub(super) fn convolve(x: &Tensor, kernel: &Tensor, window: &ConvWindow) -> Result<Tensor> {
    let [rows, columns] = window.result(x, kernel)?;
    let (outputs, inputs, k_height, k_width) = kernel.dims4()?;
    let (taps, plane, groups) = (k_height * k_width, rows * columns, window.groups);
    let images = x.dim(0)?;
    let patches = patches(x, [k_height, k_width], window)?;
    // (N, I, taps, places) to (I, taps, N, places).
    let patches = patches.permute((1, 2, 0, 3))?.contiguous()?;
    let patches = patches.reshape((groups, inputs * taps, images * plane))?;
    let kernels = kernel.reshape((groups, outputs / groups, inputs * taps))?;
    let y = kernels.matmul(&patches)?;
    let y = y.reshape((outputs, images, rows, columns))?;
    y.transpose(0, 1)?.contiguous()
}

/// Returns the pixels under each place of a window: x (N, I, H, W) to (N, I, taps, places).
///
/// # Errors
/// candle's, or the window does not fit.
pub fn patches(x: &Tensor, [k_height, k_width]: [usize; 2], window: &ConvWindow) -> Result<Tensor> {
    let (images, channels, height, width) = x.dims4()?;
    let Some([rows, columns]) = window.places([height, width], [k_height, k_width]) else {
        bail!(
            "windows of {k_height}×{k_width} on {:?}, {window:?}",
            x.dims()
        );
    };
    let ConvWindow {
        stride,
        padding,
        dilation,
        ..
    } = *window;
    let x = x.pad_with_zeros(2, padding[0], padding[0])?;
    let x = x.pad_with_zeros(3, padding[1], padding[1])?;
    let width = x.dim(3)?;
    let (taps, plane) = (k_height * k_width, rows * columns);
    let pixel = |index: usize| {
        let (tap, place) = (index / plane, index % plane);
        let row = place / columns * stride[0] + tap / k_width * dilation[0];
        let column = place % columns * stride[1] + tap % k_width * dilation[1];
        (row * width + column) as u32
    };
    let pixels: Vec<u32> = (0..taps * plane).map(pixel).collect();
    let pixels = Tensor::from_vec(pixels, taps * plane, x.device())?;
    let patches = x.contiguous()?.flatten_from(2)?.index_select(&pixels, 2)?;
    patches.reshape((images, channels, taps, plane))
}

/// Returns the images and kernels of the plain convolution that equals a transposed one with a result of
/// this size: zeros between the pixels and around them, kernels (I, O/groups, k, l) turned about.
///
/// # Errors
/// candle's, for shapes that do not fit.
pub(super) fn spread(
    x: &Tensor,
    kernel: &Tensor,
    window: &ConvWindow,
    size: [usize; 2],
) -> Result<(Tensor, Tensor)> {
    let (inputs, outputs, k_height, k_width) = kernel.dims4()?;
    let kernel_size = [k_height, k_width];
    let (mut x, mut kernel) = (x.clone(), kernel.clone());
    for (side, dim) in [(0, 2), (1, 3)] {
        let (taps, len) = (kernel_size[side], x.dim(dim)?);
        let reach = window.dilation[side] * (taps - 1);
        // Behind the last pixel stands a zero, for every place that has none.
        let source = |place: usize| {
            let place = (place + window.padding[side]).checked_sub(reach)?;
            let pixel = place / window.stride[side];
            (place % window.stride[side] == 0 && pixel < len).then_some(pixel)
        };
        let places = (0..size[side] + reach).map(|place| source(place).unwrap_or(len));
        x = at(
            &x.pad_with_zeros(dim, 0, 1)?,
            dim,
            &places.collect::<Vec<_>>(),
        )?;
        kernel = at(&kernel, dim, &(0..taps).rev().collect::<Vec<_>>())?;
    }
    let shape = (window.groups, (), outputs, k_height, k_width);
    let kernel = kernel.reshape(shape)?.transpose(1, 2)?.contiguous()?;
    let groups = window.groups;
    let kernel = kernel.reshape((groups * outputs, inputs / groups, k_height, k_width))?;
    Ok((x, kernel))
}

#[cfg(test)]
mod tests {

    use candle_core::{DType, Device, Var};
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::*;
    use crate::model::ops::convolution;
    use crate::test_process::in_a_process_that_keeps_graphs;

    /// Images, channels of a group in and out; size, kernel, window; true for a transposed convolution.
    #[derive(Clone, Debug)]
    struct Case {
        counts: [usize; 3],
        size: [usize; 2],
        kernel: [usize; 2],
        window: ConvWindow,
        transposed: bool,
    }

    type Convolve = fn(&Tensor, &Tensor, &Case) -> Result<Tensor>;

    fn cases() -> impl Strategy<Value = Case> {
        let pair = |range: std::ops::Range<usize>| [range.clone(), range];
        let extents = ([1usize..6, 1..4, 1..4], pair(5..11), pair(1..5));
        let ways = (pair(1..4), pair(0..3), pair(1..3), 1usize..4);
        (extents, ways, any::<bool>()).prop_filter_map(
            "the kernel does not fit",
            |((counts, size, kernel), (stride, padding, dilation, groups), transposed)| {
                let window = ConvWindow {
                    stride,
                    padding,
                    dilation,
                    groups,
                };
                window.places(size, kernel)?;
                window.transposed(size, kernel, [0, 0])?;
                Some(Case {
                    counts,
                    size,
                    kernel,
                    window,
                    transposed,
                })
            },
        )
    }

    fn tensors(case: &Case) -> Result<[Tensor; 2]> {
        let ([images, inputs, outputs], groups) = (case.counts, case.window.groups);
        let ([height, width], [k_height, k_width]) = (case.size, case.kernel);
        let kernels = if case.transposed {
            [inputs * groups, outputs, k_height, k_width]
        } else {
            [outputs * groups, inputs, k_height, k_width]
        };
        let x = numbers(1, &[images, inputs * groups, height, width])?;
        Ok([x, numbers(2, &kernels)?])
    }

    fn numbers(seed: usize, shape: &[usize]) -> Result<Tensor> {
        let count: usize = shape.iter().product();
        let number = |i: usize| ((i * 7919 + seed * 104_729) % 23) as f32 / 23.0 - 0.48;
        Tensor::from_vec((0..count).map(number).collect(), shape, &Device::Cpu)
    }

    fn of_candle(x: &Tensor, w: &Tensor, case: &Case) -> Result<Tensor> {
        if !case.transposed {
            return convolve(x, w, &case.window);
        }
        let size = case
            .window
            .transposed(case.size, case.kernel, [0, 0])
            .unwrap();
        let (x, w) = spread(x, w, &case.window, size)?;
        let window = ConvWindow {
            dilation: case.window.dilation,
            groups: case.window.groups,
            ..ConvWindow::plain(1, 0)
        };
        convolve(&x, &w, &window)
    }

    fn of_the_cpu(x: &Tensor, w: &Tensor, case: &Case) -> Result<Tensor> {
        if !case.transposed {
            return convolution::convolve(x, w, None, &case.window);
        }
        let size = case
            .window
            .transposed(case.size, case.kernel, [0, 0])
            .unwrap();
        convolution::transposed(x, w, &case.window, size)
    }

    /// Returns y, the gradients of c·y³, and those of their squares' sum: by x, and by the kernels.
    fn derivatives(
        convolve: Convolve,
        case: &Case,
        told: impl Fn(Tensor) -> Result<Tensor>,
    ) -> Result<[Tensor; 5]> {
        let [x, w] = tensors(case)?;
        let (x, w) = (Var::from_tensor(&told(x)?)?, Var::from_tensor(&told(w)?)?);
        let y = convolve(x.as_tensor(), w.as_tensor(), case)?;
        let weighted = (&y * told(numbers(3, y.dims())?)?)?;
        let first = (weighted * y.sqr()?)?.sum_all()?.backward()?;
        let (by_x, by_w) = (first.get(&x).unwrap(), first.get(&w).unwrap());
        let squares = (by_x.sqr()?.sum_all()? + by_w.sqr()?.sum_all()?)?;
        let second = squares.backward()?;
        Ok([
            y.clone(),
            by_x.clone(),
            by_w.clone(),
            second.get(&x).unwrap().clone(),
            second.get(&w).unwrap().clone(),
        ])
    }

    /// Returns the largest difference, relative to the largest expected value.
    fn error(found: &Tensor, expected: &Tensor) -> f64 {
        assert_eq!(found.dims(), expected.dims());
        largest(&(found - expected).unwrap()) / largest(expected).max(1e-3)
    }

    fn largest(t: &Tensor) -> f64 {
        let t = t.abs().and_then(|t| t.flatten_all()?.max(0));
        t.and_then(|t| t.to_dtype(DType::F64)?.to_scalar::<f64>())
            .unwrap()
    }

    #[test]
    fn operators_of_the_cpu_have_its_values_and_both_derivatives() {
        let test =
            "model::ops::unfold::tests::operators_of_the_cpu_have_its_values_and_both_derivatives";
        if !in_a_process_that_keeps_graphs(test) {
            return;
        }
        let config = Config {
            failure_persistence: None,
            ..Config::default()
        };
        let checked = TestRunner::new(config).run(&cases(), |case| {
            let found = derivatives(of_the_cpu, &case, Ok).unwrap();
            let expected = derivatives(of_candle, &case, |t| t.to_dtype(DType::F64)).unwrap();
            // Sums of the same products without their signs: rounding is as large as these, not as the sums, which may
            // cancel to almost nothing.
            let summed = derivatives(of_candle, &case, |t| t.to_dtype(DType::F64)?.abs()).unwrap();
            for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let found = found.to_dtype(DType::F64).unwrap();
                let error = largest(&(found - expected).unwrap()) / largest(&summed[i]);
                prop_assert!(error < 1e-6, "{error} in {i}");
            }
            Ok(())
        });
        checked.unwrap();
    }

    proptest! {
        #[test]
        fn values_are_those_of_candles_convolution(case in cases()) {
            let [x, w] = tensors(&Case { transposed: false, ..case.clone() }).unwrap();
            let ConvWindow { stride, padding, dilation, groups } = case.window;
            let window = ConvWindow {
                stride: [stride[0]; 2],
                padding: [padding[0]; 2],
                dilation: [dilation[0]; 2],
                groups,
            };
            prop_assume!(window.places(case.size, case.kernel).is_some());
            let expected = x.conv2d(&w, padding[0], stride[0], dilation[0], groups).unwrap();
            let error = error(&convolve(&x, &w, &window).unwrap(), &expected);
            prop_assert!(error < 1e-5, "{error}");
        }
    }
}
