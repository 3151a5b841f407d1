//! Layers as functions of tensors, right in value and in both derivatives where candle's own are not.
//!
//! Each is built from candle operations whose derivatives were checked against PyTorch, lets NaN
//! through (a NaN weight must never end as a plausible loss), and runs on every device.

use candle_core::{D, Result, Tensor, bail};

use super::{convolution, gate, unfold};

/// What PyTorch's batch norm adds to the variance.
const EPSILON: f64 = 1e-5;

/// `x · weightᵀ + bias`: x (N, inputs), weight (outputs, inputs), bias (outputs).
///
/// # Errors
/// candle's, for shapes that do not fit.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    // candle's CPU product silently ignores the row stride of a transposed left side.
    let y = x.contiguous()?.matmul(&weight.t()?)?;
    match bias {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}

/// Cross-correlation, as PyTorch's `conv2d`: x (N, I, H, W), kernel (O, I, k, k), bias (O).
///
/// # Errors
/// candle's, for shapes that do not fit.
pub fn conv(
    x: &Tensor,
    kernel: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
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
        unfolded_in_pieces(x, kernel, stride, padding)?
    };
    match bias {
        Some(bias) => y.broadcast_add(&bias.reshape((1, outputs, 1, 1))?),
        None => Ok(y),
    }
}

/// Bytes of the buffer of patches that a convolution on a GPU makes at once, candle's im2col.
pub(crate) const BUFFER: usize = 512 << 20;

/// candle's convolution of as many images at once as keep a GPU's buffer of patches within [`BUFFER`].
/// Its kernels count in 32 bits: of more numbers they would leave some as they were, without a word.
fn unfolded_in_pieces(
    x: &Tensor,
    kernel: &Tensor,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let whole = |x: &Tensor| x.conv2d(kernel, padding, stride, 1, 1);
    let (images, inputs, height, width) = x.dims4()?;
    let (_, _, k_height, k_width) = kernel.dims4()?;
    let places = ((height + 2 * padding - k_height) / stride + 1)
        * ((width + 2 * padding - k_width) / stride + 1);
    let patches = places * inputs * k_height * k_width * x.dtype().size_in_bytes();
    let most = (BUFFER / patches.max(1)).max(1);
    if x.device().is_cpu() || images <= most {
        return whole(x);
    }
    in_pieces(x, most, whole)
}

/// Applies a layer to the images of x, at most so many at once.
fn in_pieces(x: &Tensor, most: usize, layer: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let images = x.dim(0)?;
    let starts = (0..images).step_by(most);
    let pieces =
        starts.map(|start| layer(&x.narrow(0, start, most.min(images - start))?.contiguous()?));
    Tensor::cat(&pieces.collect::<Result<Vec<_>>>()?, 0)
}

/// A batch norm's tensors, each of shape (channels).
#[derive(Clone, Debug)]
pub struct BatchNorm {
    /// γ.
    pub weight: Tensor,
    /// β.
    pub bias: Tensor,
    /// Mean that is subtracted: the running one in evaluation mode.
    pub mean: Tensor,
    /// Variance that is divided by; where it is below −ε the result is NaN.
    pub variance: Tensor,
}

impl BatchNorm {
    /// y = scale·x + shift for each channel: scale = γ/√(σ² + ε), shift = β − µ·scale.
    fn affine(&self) -> Result<(Tensor, Tensor)> {
        let scale = (&self.weight / (&self.variance + EPSILON)?.sqrt()?)?;
        let shift = (&self.bias - (&self.mean * &scale)?)?;
        Ok((scale, shift))
    }

    /// Normalizes the channels (dimension 1) of x (N, C, …), in the type of x.
    ///
    /// # Errors
    /// candle's, for shapes that do not fit.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let mut shape = vec![1; x.rank()];
        shape[1] = x.dim(1)?;
        let (scale, shift) = self.affine()?;
        let along = |t: Tensor| t.reshape(shape.as_slice())?.to_dtype(x.dtype());
        x.broadcast_mul(&along(scale)?)?
            .broadcast_add(&along(shift)?)
    }

    /// Kernel and bias of the one convolution that equals this norm after a convolution with
    /// `kernel` (O, I, k, k) and `bias` (O).
    ///
    /// # Errors
    /// candle's, for shapes that do not fit.
    pub fn fold(&self, kernel: &Tensor, bias: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
        let (scale, shift) = self.affine()?;
        let folded = kernel.broadcast_mul(&scale.reshape(((), 1, 1, 1))?)?;
        let bias = match bias {
            Some(bias) => ((bias * scale)? + shift)?,
            None => shift,
        };
        Ok((folded, bias))
    }
}

/// What batch norm in training mode takes from x (N, C, …): per channel, of shape (C).
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Mean.
    pub mean: Tensor,
    /// Mean squared distance from it.
    pub variance: Tensor,
    /// Values a channel.
    count: usize,
}

impl Statistics {
    /// Means are taken image by image first: one long sum in f32 would lose digits.
    ///
    /// # Errors
    /// candle's, for a tensor of rank below 2.
    pub fn of(x: &Tensor) -> Result<Self> {
        let channels = x.dim(1)?;
        let images = x.reshape((x.dim(0)?, channels, ()))?;
        let average = |x: &Tensor| x.mean(D::Minus1)?.mean(0);
        let mean = average(&images)?;
        let distance = images.broadcast_sub(&mean.reshape((1, channels, 1))?)?;
        Ok(Self {
            variance: average(&distance.sqr()?)?,
            mean,
            count: x.elem_count() / channels.max(1),
        })
    }

    /// The variance that PyTorch keeps as the running one: over n − 1.
    ///
    /// # Errors
    /// candle's.
    pub fn unbiased_variance(&self) -> Result<Tensor> {
        let n = self.count as f64;
        &self.variance * (n / (n - 1.0))
    }
}

/// max(x, 0), with derivative 0 at 0 as in PyTorch (candle's is 1 there, and drops NaN).
///
/// # Errors
/// candle's.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    if gate::fits(x) {
        return gate::relu(x);
    }
    let zero = Tensor::zeros((), x.dtype(), x.device())?.broadcast_as(x.shape())?;
    x.le(&zero)?.where_cond(&zero, x)
}

/// A square pooling window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Width of the window.
    pub kernel: usize,
    /// Step from one window to the next.
    pub stride: usize,
    /// How far the first and last windows may hang over the edge, less than the kernel; max pooling
    /// only.
    pub padding: usize,
    /// The last window may hang over the edge (PyTorch's `ceil_mode`); max pooling only.
    pub ceil: bool,
}

impl Pool {
    /// The usual halving: 2×2 windows side by side.
    #[must_use]
    pub fn halving(ceil: bool) -> Self {
        Self {
            kernel: 2,
            stride: 2,
            padding: 0,
            ceil,
        }
    }

    /// Number of windows along `len` pixels; none where not even one fits.
    #[must_use]
    pub fn windows(self, len: usize) -> Option<usize> {
        let len = len + 2 * self.padding;
        let travel = match len.checked_sub(self.kernel) {
            Some(travel) => travel,
            // One window, hanging over the edge.
            None if self.ceil && len > 0 => return Some(1),
            None => return None,
        };
        let whole = travel.checked_div(self.stride)? + 1;
        let overhangs = self.ceil && travel % self.stride > 0 && whole * self.stride < len;
        Some(whole + usize::from(overhangs))
    }

    /// Largest value in each window of x (N, C, H, W); the gradient goes to the first largest.
    ///
    /// # Errors
    /// candle's, or the window is larger than the image.
    pub fn max(self, x: &Tensor) -> Result<Tensor> {
        self.fold(x, larger)
    }

    /// Mean of each window of x (N, C, H, W).
    ///
    /// # Errors
    /// candle's, the window is larger than the image, or windows may hang over the edge.
    pub fn average(self, x: &Tensor) -> Result<Tensor> {
        if self.ceil || self.padding > 0 {
            bail!("average pooling over the edge is not defined here");
        }
        let area = (self.kernel * self.kernel) as f64;
        self.fold(x, |sum, other| sum + other)? / area
    }

    /// Combines each window's values, row by row: one tensor for each place in the window.
    fn fold(
        self,
        x: &Tensor,
        combine: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let (_, _, height, width) = x.dims4()?;
        let (Some(rows), Some(columns)) = (self.windows(height), self.windows(width)) else {
            bail!("{self:?} does not fit into {height}×{width} pixels");
        };
        let mut pooled: Option<Tensor> = None;
        for i in 0..self.kernel {
            let row = every(x, 2, (i, self.padding), self.stride, rows)?;
            for j in 0..self.kernel {
                let value = every(&row, 3, (j, self.padding), self.stride, columns)?;
                pooled = Some(match pooled {
                    Some(pooled) => combine(&pooled, &value)?,
                    None => value,
                });
            }
        }
        pooled.ok_or_else(|| candle_core::Error::Msg("a pooling window of width 0".into()))
    }
}

/// The larger of two, the first of equals, to which the gradient goes; NaN counts as the largest.
pub(super) fn larger(largest: &Tensor, other: &Tensor) -> Result<Tensor> {
    // `>` alone would drop a NaN that is not the first value.
    let replaces = (other.gt(largest)? + other.ne(other)?)?;
    replaces.where_cond(&other.contiguous()?, &largest.contiguous()?)
}

/// `count` positions along `dim`, `step` apart, from `start` less `padding` on. A position over an edge
/// takes the one at the edge instead, which lies in the same window and so changes no maximum.
fn every(
    x: &Tensor,
    dim: usize,
    (start, padding): (usize, usize),
    step: usize,
    count: usize,
) -> Result<Tensor> {
    let last = x.dim(dim)? - 1;
    let positions: Vec<u32> = (0..count)
        .map(|window| (start + window * step).saturating_sub(padding).min(last) as u32)
        .collect();
    x.index_select(&Tensor::new(positions, x.device())?, dim)
}

/// Mean over the image of each channel: (N, C, H, W) to (N, C).
///
/// # Errors
/// candle's.
pub fn global_average(x: &Tensor) -> Result<Tensor> {
    x.flatten_from(2)?.mean(D::Minus1)
}

/// The shortcut without parameters (option A of He et al. 2015, CIFAR ResNets): every second
/// pixel when `stride` is 2, and zero channels on both sides until there are `channels`.
///
/// # Errors
/// candle's, or the added channels cannot be split evenly.
pub fn padded_shortcut(x: &Tensor, stride: usize, channels: usize) -> Result<Tensor> {
    let (_, inputs, height, width) = x.dims4()?;
    let added = match channels.checked_sub(inputs) {
        Some(added) if added % 2 == 0 => added / 2,
        _ => bail!("{inputs} channels cannot be padded evenly to {channels}"),
    };
    let x = if stride == 1 {
        x.clone()
    } else {
        let x = every(x, 2, (0, 0), stride, height.div_ceil(stride))?;
        every(&x, 3, (0, 0), stride, width.div_ceil(stride))?
    };
    x.pad_with_zeros(1, added, added)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::collections::HashMap;
    use std::process::Command;

    use candle_core::{DType, Device, Var};

    use super::*;

    type Layer = fn(&[Tensor]) -> Result<Tensor>;

    fn norm(tensors: &[Tensor]) -> BatchNorm {
        BatchNorm {
            weight: tensors[0].clone(),
            bias: tensors[1].clone(),
            mean: tensors[2].clone(),
            variance: tensors[3].clone(),
        }
    }

    fn pool(kernel: usize, stride: usize, ceil: bool) -> Pool {
        Pool {
            kernel,
            stride,
            padding: 0,
            ceil,
        }
    }

    /// The layers of tests/fixtures/models/make.py, by name.
    const LAYERS: [(&str, Layer); 18] = [
        ("linear", |t| linear(&t[0], &t[1], Some(&t[2]))),
        ("conv", |t| conv(&t[0], &t[1], Some(&t[2]), 1, 1)),
        ("conv_stride", |t| conv(&t[0], &t[1], None, 2, 1)),
        ("conv_leftover", |t| conv(&t[0], &t[1], None, 2, 1)),
        ("conv_1x1_leftover", |t| conv(&t[0], &t[1], None, 2, 0)),
        ("norm_after_conv", |t| {
            let (kernel, bias) = norm(&t[3..]).fold(&t[1], Some(&t[2]))?;
            conv(&t[0], &kernel, Some(&bias), 1, 1)
        }),
        ("norm", |t| norm(&t[1..]).apply(&t[0])),
        ("norm_of_features", |t| norm(&t[1..]).apply(&t[0])),
        ("relu", |t| relu(&t[0])? + 1.),
        ("max_pool_2", |t| pool(2, 2, false).max(&t[0])),
        ("max_pool_3_stride_2", |t| pool(3, 2, false).max(&t[0])),
        ("max_pool_2_ceil", |t| pool(2, 2, true).max(&t[0])),
        ("max_pool_2_stride_3_ceil", |t| pool(2, 3, true).max(&t[0])),
        ("max_pool_ties", |t| pool(2, 2, false).max(&t[0])? + 2.),
        ("average_pool_2", |t| pool(2, 2, false).average(&t[0])),
        ("average_pool_3_stride_2", |t| {
            pool(3, 2, false).average(&t[0])
        }),
        ("global_average", |t| global_average(&t[0])),
        ("padded_shortcut", |t| padded_shortcut(&t[0], 2, 7)),
    ];

    /// PyTorch's numbers and how near ours have to be: Metal has no f64.
    fn values(device: &Device) -> (HashMap<String, Tensor>, f64) {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/models/layers.safetensors"
        );
        let (dtype, bound) = if device.is_metal() {
            (DType::F32, 1e-4)
        } else {
            (DType::F64, 1e-12)
        };
        let values = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
        let values = values.into_iter().map(|(name, value)| {
            let value = value.to_dtype(dtype).unwrap();
            (name, value.to_device(device).unwrap())
        });
        (values.collect(), bound)
    }

    /// Largest difference, relative to the largest expected value.
    fn error(found: &Tensor, expected: &Tensor) -> f64 {
        let largest = |t: Tensor| {
            let t = t.to_device(&Device::Cpu).unwrap();
            let t = t.to_dtype(DType::F64).unwrap().abs().unwrap();
            let t = t.flatten_all().unwrap().max(0).unwrap();
            t.to_scalar::<f64>().unwrap()
        };
        assert_eq!(found.dims(), expected.dims());
        largest((found - expected).unwrap()) / largest(expected.clone()).max(1.0)
    }

    fn inputs(values: &HashMap<String, Tensor>, layer: &str) -> Vec<Var> {
        (0..)
            .map_while(|i| values.get(&format!("{layer}.x{i}")))
            .map(|x| Var::from_tensor(x).unwrap())
            .collect()
    }

    /// The objective of make.py: Σ c·y³.
    fn objective(y: &Tensor, c: &Tensor) -> Tensor {
        (y * y.sqr().unwrap())
            .and_then(|cube| (cube * c)?.sum_all())
            .unwrap()
    }

    test_device!(a_convolution_is_the_same_in_pieces);
    fn a_convolution_is_the_same_in_pieces(device: &Device) {
        let numbers = |shape: &[usize]| {
            let count = shape.iter().product::<usize>();
            let numbers: Vec<f32> = (0..count).map(|i| (i as f32).sin()).collect();
            Tensor::from_vec(numbers, shape, device).unwrap()
        };
        let (x, kernel) = (numbers(&[5, 3, 9, 8]), numbers(&[4, 3, 3, 3]));
        let layer = |x: &Tensor| x.conv2d(&kernel, 1, 2, 1, 1);
        for most in [1, 2, 3, 5, 9] {
            let found = in_pieces(&x, most, layer).unwrap();
            assert!(error(&found, &layer(&x).unwrap()) < 1e-6, "{most}");
        }
    }

    test_device!(values_and_gradients_are_those_of_pytorch);
    fn values_and_gradients_are_those_of_pytorch(device: &Device) {
        let (values, bound) = values(device);
        for (name, layer) in LAYERS {
            let vars = inputs(&values, name);
            let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
            let y = layer(&tensors).unwrap();
            assert!(error(&y, &values[&format!("{name}.y")]) < bound, "{name}");
            let gradients = objective(&y, &values[&format!("{name}.c")])
                .backward()
                .unwrap();
            for (i, var) in vars.iter().enumerate() {
                let expected = &values[&format!("{name}.g{i}")];
                let found = gradients.get(var).expect(name);
                assert!(error(found, expected) < bound, "{name}, input {i}");
            }
        }
    }

    /// candle keeps gradients differentiable only when this variable is set before a thread's first
    /// backward pass, so the test runs itself in a child process that has it.
    const KEEP_GRAPH: &str = "CANDLE_GRAD_DO_NOT_DETACH";

    test_device!(second_derivatives_are_those_of_pytorch);
    fn second_derivatives_are_those_of_pytorch(device: &Device) {
        if std::env::var_os(KEEP_GRAPH).is_none() {
            let name = match device {
                Device::Cpu => "cpu",
                Device::Cuda(_) => "cuda",
                Device::Metal(_) => "metal",
            };
            let test = "model::ops::tests::second_derivatives_are_those_of_pytorch";
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", &format!("{test}::{name}")])
                .env(KEEP_GRAPH, "1")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&child.stdout);
            assert!(
                child.status.success() && said.contains("1 passed"),
                "{said}"
            );
            return;
        }
        let (values, bound) = values(device);
        for (name, layer) in LAYERS {
            let vars = inputs(&values, name);
            let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
            let y = layer(&tensors).unwrap();
            let gradients = objective(&y, &values[&format!("{name}.c")])
                .backward()
                .unwrap();
            let squares = vars.iter().map(|var| {
                let gradient = gradients.get(var).expect(name);
                gradient.sqr().and_then(|square| square.sum_all()).unwrap()
            });
            let total = squares.reduce(|a, b| (a + b).unwrap()).unwrap();
            let second = total.backward().unwrap();
            for (i, var) in vars.iter().enumerate() {
                let expected = &values[&format!("{name}.h{i}")];
                let found = second.get(var).expect(name);
                assert!(error(found, expected) < 10.0 * bound, "{name}, input {i}");
            }
        }
    }

    test_device!(a_variance_below_zero_gives_nan_and_nothing_after_it_hides_that);
    fn a_variance_below_zero_gives_nan_and_nothing_after_it_hides_that(device: &Device) {
        let of = |values: [f32; 2]| Tensor::new(&values, device).unwrap();
        let norm = BatchNorm {
            weight: of([1., 1.]),
            bias: of([0., 0.]),
            mean: of([0., 0.]),
            variance: of([1., -0.5]),
        };
        let x = Tensor::ones((1, 2, 4, 4), DType::F32, device).unwrap();
        let kernel = Tensor::ones((2, 2, 1, 1), DType::F32, device).unwrap();
        let (kernel, bias) = norm.fold(&kernel, None).unwrap();
        let y = conv(&x, &kernel, Some(&bias), 1, 0).unwrap();
        for y in [y, norm.apply(&x).unwrap()] {
            let y = relu(&y).and_then(|y| Pool::halving(false).max(&y)).unwrap();
            let y = y.flatten_from(2).unwrap().to_vec3::<f32>().unwrap();
            assert!(y[0][0].iter().all(|y| y.is_finite()), "{y:?}");
            assert!(y[0][1].iter().all(|y| y.is_nan()), "{y:?}");
        }
    }

    test_device!(max_pool_keeps_a_nan_wherever_it_stands_in_the_window);
    fn max_pool_keeps_a_nan_wherever_it_stands_in_the_window(device: &Device) {
        for place in 0..4 {
            let mut window = [1f32; 4];
            window[place] = f32::NAN;
            let x = Tensor::from_slice(&window, (1, 1, 2, 2), device).unwrap();
            let y = Pool::halving(false).max(&x).unwrap();
            assert!(y.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0].is_nan());
        }
    }

    #[test]
    fn windows_are_counted_as_pytorch_counts_them() {
        // (length, kernel, stride, floor, ceil)
        let cases = [
            (7, 2, 2, Some(3), Some(4)),
            (8, 3, 2, Some(3), Some(4)),
            (6, 2, 3, Some(2), Some(2)),
            (7, 2, 3, Some(2), Some(3)),
            (1, 2, 2, None, Some(1)),
            (0, 2, 2, None, None),
        ];
        for (len, kernel, stride, floor, ceil) in cases {
            assert_eq!(pool(kernel, stride, false).windows(len), floor, "{len}");
            assert_eq!(pool(kernel, stride, true).windows(len), ceil, "{len}");
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors() {
        let x = Tensor::zeros((1, 3, 4, 4), DType::F32, &Device::Cpu).unwrap();
        let kernel = Tensor::zeros((2, 3, 7, 7), DType::F32, &Device::Cpu).unwrap();
        assert!(conv(&x, &kernel, None, 1, 0).is_err());
        assert!(conv(&x, &kernel, None, 0, 3).is_err());
        assert!(pool(5, 2, false).max(&x).is_err());
        assert!(pool(0, 1, false).max(&x).is_err());
        assert!(pool(2, 0, false).max(&x).is_err());
        assert!(pool(2, 2, true).average(&x).is_err());
        assert!(padded_shortcut(&x, 2, 2).is_err());
        assert!(padded_shortcut(&x, 2, 6).is_err());
    }
}
