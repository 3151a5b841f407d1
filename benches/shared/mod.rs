//! Parts that the benchmarks share: taking turns, a fixed source of numbers, the machine's own rate, CIFAR ResNets.

// Each benchmark uses a part of it.
#![allow(dead_code)]

use std::time::Instant;

use candle_core::{Device, Result, Tensor};
use isoloss::run::{Dtype, TensorInfo};
use rand::{Rng, SeedableRng};

/// Side of the square matrices whose product is the machine's rate.
const SIDE: usize = 2048;

/// Returns true if the table is wanted as one JSON object.
pub(crate) fn wants_json() -> bool {
    std::env::args().any(|argument| argument == "--json")
}

/// The same numbers in every run, in [0.01, 0.1): as weights of any kind they leave no NaN.
pub(crate) fn random(count: usize) -> Vec<f32> {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(0);
    (0..count).map(|_| random.random_range(0.01..0.1)).collect()
}

/// Median seconds of each pass: all take turns, so that a busy machine is busy for all.
pub(crate) fn in_turn<const N: usize>(
    rounds: usize,
    passes: &mut [&mut dyn FnMut(); N],
) -> [f64; N] {
    let start = Instant::now();
    in_turn_by(|| start.elapsed().as_secs_f64(), rounds, passes)
}

/// Seconds that all threads of this process have computed; NaN where the system does not tell.
pub(crate) fn processor_seconds() -> f64 {
    #[cfg(unix)]
    {
        use rustix::time::{ClockId, clock_gettime};
        let spent = clock_gettime(ClockId::ProcessCPUTime);
        spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
    }
    #[cfg(not(unix))]
    f64::NAN
}

/// The same by another clock.
pub(crate) fn in_turn_by<const N: usize>(
    clock: impl Fn() -> f64,
    rounds: usize,
    passes: &mut [&mut dyn FnMut(); N],
) -> [f64; N] {
    let mut seconds = [(); N].map(|()| Vec::with_capacity(rounds));
    for pass in passes.iter_mut() {
        pass();
    }
    for _ in 0..rounds {
        for (pass, seconds) in passes.iter_mut().zip(&mut seconds) {
            let start = clock();
            pass();
            seconds.push(clock() - start);
        }
    }
    seconds.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    })
}

/// Floating-point operations a second of candle's f32 matrix product.
///
/// # Errors
/// candle's.
pub(crate) fn matmul_rate() -> Result<f64> {
    let matrix = Tensor::from_vec(random(SIDE * SIDE), (SIDE, SIDE), &Device::Cpu)?;
    let [seconds] = in_turn(5, &mut [&mut || drop(matrix.matmul(&matrix))]);
    Ok(2.0 * (SIDE * SIDE * SIDE) as f64 / seconds)
}

/// A convolution of the benchmarks' networks: inputs, outputs, width of the image it makes, stride.
#[derive(Clone, Copy)]
pub(crate) struct Conv {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) width: usize,
    pub(crate) stride: usize,
}

/// A convolution with bias by candle alone.
pub(crate) fn conv(x: &Tensor, kernel: &Tensor, stride: usize) -> Result<Tensor> {
    let bias = Tensor::zeros((1, kernel.dim(0)?, 1, 1), x.dtype(), x.device())?;
    x.conv2d(kernel, 1, stride, 1, 1)?.broadcast_add(&bias)
}

/// Appends a tensor of f32 numbers.
pub(crate) fn named(tensors: &mut Vec<TensorInfo>, name: &str, shape: &[usize]) {
    tensors.push(TensorInfo {
        name: name.into(),
        shape: shape.to_vec(),
        dtype: Dtype::F32,
    });
}

/// Appends the tensors of a batch norm.
pub(crate) fn norm(tensors: &mut Vec<TensorInfo>, prefix: &str, channels: usize) {
    for name in ["weight", "bias", "running_mean", "running_var"] {
        named(tensors, &format!("{prefix}.{name}"), &[channels]);
    }
}

/// The ResNet of depth 6n + 2 for CIFAR, with shortcuts without parameters.
pub(crate) fn resnet(n: usize) -> (Vec<TensorInfo>, Vec<Conv>) {
    let (mut tensors, mut convs) = (Vec::new(), Vec::new());
    let mut push = |tensors: &mut Vec<TensorInfo>, prefix: &str, bn: &str, conv: Conv| {
        named(
            tensors,
            &format!("{prefix}.weight"),
            &[conv.outputs, conv.inputs, 3, 3],
        );
        norm(tensors, bn, conv.outputs);
        convs.push(conv);
    };
    let (mut inputs, mut width) = (16, 32);
    let stem = Conv {
        inputs: 3,
        outputs: 16,
        width,
        stride: 1,
    };
    push(&mut tensors, "conv1", "bn1", stem);
    for stage in 0..3 {
        for block in 0..n {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let outputs = 16 << stage;
            width /= stride;
            let prefix = format!("layer{}.{block}", stage + 1);
            for (number, inputs, stride) in [(1, inputs, stride), (2, outputs, 1)] {
                let conv = Conv {
                    inputs,
                    outputs,
                    width,
                    stride,
                };
                let (name, bn) = (
                    format!("{prefix}.conv{number}"),
                    format!("{prefix}.bn{number}"),
                );
                push(&mut tensors, &name, &bn, conv);
            }
            inputs = outputs;
        }
    }
    named(&mut tensors, "linear.weight", &[10, 64]);
    named(&mut tensors, "linear.bias", &[10]);
    (tensors, convs)
}

/// The same with candle's own layers, up to the mean over the image.
pub(crate) fn resnet_by_candle(
    kernels: &[Tensor],
    convs: &[Conv],
    images: &Tensor,
) -> Result<Tensor> {
    let mut x = conv(images, &kernels[0], 1)?.relu()?;
    for (kernels, convs) in kernels[1..].chunks(2).zip(convs[1..].chunks(2)) {
        let y = conv(&x, &kernels[0], convs[0].stride)?.relu()?;
        let y = conv(&y, &kernels[1], 1)?;
        if convs[0].stride == 2 {
            let added = (convs[0].outputs - convs[0].inputs) / 2;
            let every_second = Tensor::arange_step(0, 2 * convs[0].width as u32, 2, x.device())?;
            x = x.index_select(&every_second, 2)?;
            x = x.index_select(&every_second, 3)?;
            x = x.pad_with_zeros(1, added, added)?;
        }
        x = (x + y)?.relu()?;
    }
    x.flatten_from(2)?.mean(2)
}
