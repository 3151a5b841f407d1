//! A first computation on a device, beside the CPU: one that opens may still have no kernels, or round what it should
//! not.

use candle_core::{DType, Device, Result, Tensor, bail};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::model::ConvWindow;
use crate::model::ops::{self};

/// Channels of the images and of the kernels: a sum of 9 · 16 products is long enough that rounded ones show.
const CHANNELS: usize = 16;
/// Side of the images, in pixels.
const SIDE: usize = 8;

/// Computes a convolution, a ReLU and a product of matrices on a device.
///
/// # Errors
/// The device cannot, or its results are off those of the CPU by more than the type allows.
pub(in crate::landscape) fn run(device: &Device, dtype: DType) -> Result<()> {
    let exact = outputs(&Device::Cpu, DType::F32)?;
    let found = outputs(device, dtype)?;
    let off = distance(&exact, &found);
    if off <= tolerance(dtype) {
        return Ok(());
    }
    bail!("a first computation was off the CPU's by {off:.1e} of the largest result, in {dtype:?}")
}

/// Returns the largest error as a share of the largest exact result; NaN if one is.
fn distance(exact: &[f32], found: &[f32]) -> f32 {
    let largest = exact.iter().map(|value| value.abs()).fold(0.0, f32::max);
    let errors = exact.iter().zip(found);
    let errors = errors.map(|(exact, found)| (exact - found).abs() / largest);
    errors.fold(0.0, |most, error| {
        if error.is_nan() || error > most {
            error
        } else {
            most
        }
    })
}

/// Returns the largest error, as a share of the largest result. In f32 it is far below what products of 11 bits cost,
/// as tensor cores compute them where they are let.
fn tolerance(dtype: DType) -> f32 {
    match dtype {
        DType::BF16 => 3e-2,
        DType::F16 => 5e-3,
        _ => 1e-5,
    }
}

fn outputs(device: &Device, dtype: DType) -> Result<Vec<f32>> {
    // Without order, so that sums are as large as their errors are small.
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut tensor = |shape: &[usize]| {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| random.random_range(-1.0..1.0)).collect();
        Tensor::from_vec(values, shape, device)?.to_dtype(dtype)
    };
    let x = tensor(&[2, CHANNELS, SIDE, SIDE])?;
    let kernel = tensor(&[CHANNELS, CHANNELS, 3, 3])?;
    let head = tensor(&[CHANNELS * SIDE * SIDE, CHANNELS])?;
    let x = ops::relu(&ops::conv(&x, &kernel, None, &ConvWindow::plain(1, 1))?)?;
    let x = x.flatten_from(1)?.matmul(&head)?;
    x.flatten_all()?.to_dtype(DType::F32)?.to_vec1()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    test_device!(a_first_computation_is_that_of_the_cpu);
    fn a_first_computation_is_that_of_the_cpu(device: &Device) {
        for dtype in [DType::F32, DType::F16] {
            run(device, dtype).unwrap();
        }
    }

    #[test]
    fn fewer_digits_than_the_type_has_are_noticed() {
        // Tensor cores round to 11 bits where they are let, as f16 has them.
        let exact = outputs(&Device::Cpu, DType::F32).unwrap();
        let rough = outputs(&Device::Cpu, DType::F16).unwrap();
        let off = distance(&exact, &rough);
        assert!(
            off > 10.0 * tolerance(DType::F32) && off < tolerance(DType::F16),
            "{off}"
        );
    }

    #[test]
    fn a_nan_is_noticed() {
        assert!(distance(&[1.0, 2.0, 3.0], &[1.0, f32::NAN, 3.0]).is_nan());
        assert!(distance(&[1.0, 2.0], &[1.0, 2.5]) > 0.2);
    }
}
