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

#[cfg(test)]
mod tests {
    use std::process::Command;

    use candle_core::{DType, Device, Var};
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::super::convolution;
    use super::*;

    /// candle keeps gradients differentiable only when this is set before a thread's first backward pass.
    const KEEP_GRAPH: &str = "CANDLE_GRAD_DO_NOT_DETACH";

    type Convolve = fn(&Tensor, &Tensor, usize, usize) -> Result<Tensor>;

    /// (images, inputs, outputs), (height, width), kernel, stride, padding.
    type Case = ([usize; 3], [usize; 2], usize, usize, usize);

    fn cases() -> impl Strategy<Value = Case> {
        let extents = ([1usize..7, 1..6, 1..6], [5usize..11, 5..11]);
        (extents, 1usize..6, 1usize..4).prop_flat_map(|((counts, size), kernel, stride)| {
            (Just((counts, size, kernel, stride)), 0..=kernel).prop_map(
                |((counts, size, kernel, stride), padding)| (counts, size, kernel, stride, padding),
            )
        })
    }

    /// y, the gradients of c·y³, and those of their squares' sum: by x, and by the kernels.
    fn derivatives(convolve: Convolve, case: &Case) -> Result<[Tensor; 5]> {
        let ([images, inputs, outputs], [height, width], kernel, stride, padding) = *case;
        let numbers = |seed: usize, shape: &[usize]| {
            let count: usize = shape.iter().product();
            let number = |i: usize| ((i * 7919 + seed * 104_729) % 23) as f32 / 23.0 - 0.48;
            Tensor::from_vec((0..count).map(number).collect(), shape, &Device::Cpu)
        };
        let x = Var::from_tensor(&numbers(1, &[images, inputs, height, width])?)?;
        let w = Var::from_tensor(&numbers(2, &[outputs, inputs, kernel, kernel])?)?;
        let y = convolve(x.as_tensor(), w.as_tensor(), stride, padding)?;
        let weighted = (&y * numbers(3, y.dims())?)?;
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

    /// Largest difference, relative to the largest expected value.
    fn error(found: &Tensor, expected: &Tensor) -> f32 {
        let largest = |t: Tensor| {
            let t = t.abs().and_then(|t| t.flatten_all()?.max(0));
            t.and_then(|t| t.to_dtype(DType::F32)?.to_scalar::<f32>())
                .unwrap()
        };
        assert_eq!(found.dims(), expected.dims());
        largest((found - expected).unwrap()) / largest(expected.clone()).max(1e-3)
    }

    #[test]
    fn the_cpu_s_operators_have_its_values_and_both_derivatives() {
        if std::env::var_os(KEEP_GRAPH).is_none() {
            let name = "model::ops::unfold::tests::the_cpu_s_operators_have_its_values_and_both_derivatives";
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", name])
                .env(KEEP_GRAPH, "1")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&child.stdout);
            let passed = child.status.success() && said.contains("1 passed");
            assert!(passed, "{said}");
            return;
        }
        let operators: Convolve =
            |x, w, stride, padding| convolution::convolve(x, w, None, stride, padding);
        let config = Config {
            failure_persistence: None,
            ..Config::default()
        };
        let checked = TestRunner::new(config).run(&cases(), |case| {
            let expected = derivatives(convolve, &case).unwrap();
            let found = derivatives(operators, &case).unwrap();
            for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let error = error(found, expected);
                prop_assert!(error < 1e-5, "{error} in {i}");
            }
            Ok(())
        });
        checked.unwrap();
    }

    proptest! {
        #[test]
        fn values_are_those_of_candle_s_convolution(case in cases()) {
            let by_candle: Convolve = |x, w, stride, padding| x.conv2d(w, padding, stride, 1, 1);
            let of = |convolve: Convolve| {
                let ([images, inputs, outputs], [height, width], kernel, stride, padding) = case;
                let number = |i: usize| (i * 7919 % 23) as f32 / 23.0 - 0.48;
                let x: Vec<f32> = (0..images * inputs * height * width).map(number).collect();
                let w: Vec<f32> = (0..outputs * inputs * kernel * kernel).map(number).collect();
                let x = Tensor::from_vec(x, (images, inputs, height, width), &Device::Cpu).unwrap();
                let w = Tensor::from_vec(w, (outputs, inputs, kernel, kernel), &Device::Cpu).unwrap();
                convolve(&x, &w, stride, padding).unwrap()
            };
            let error = error(&of(convolve), &of(by_candle));
            prop_assert!(error < 1e-5, "{error}");
        }
    }
}
