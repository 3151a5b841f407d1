//! Points of whole networks on a device other than the CPU, beside the device's own rate of matrix products.

use std::error::Error;
use std::sync::Arc;

use candle_core::Tensor;
use isoloss::data::Dataset;
use isoloss::data::column::Column;
use isoloss::landscape::{Compute, Objective, Place, Precision};
use isoloss::loss::Criterion;
use isoloss::model::recognize;
use isoloss::run::TensorInfo;
use isoloss::weights::{BatchNorm, Layout, Plane};
use serde_json::{Value, json};

use super::bench::{in_turn, random};

const SAMPLES: usize = 1024;
const IMAGE: [usize; 3] = [3, 32, 32];
const ROUNDS: usize = 7;
/// Side of the square matrices whose product is the device's rate.
const SIDE: usize = 8192;

/// A row for a type: milliseconds a point of 1024 images, images a second, and the share of the device's own rate of
/// matrix products of that type. `work` is the floating-point operations of an image.
pub(crate) fn measure(
    tensors: &[TensorInfo],
    work: usize,
    place: Place,
    precision: Precision,
) -> Result<Value, Box<dyn Error>> {
    let (compute, _) = Compute::open(place, precision, None)?;
    let layout = Arc::new(Layout::of(tensors));
    let pixels = random(SAMPLES * IMAGE.iter().product::<usize>());
    let labels: Vec<u32> = (0..SAMPLES as u32).map(|sample| sample % 10).collect();
    let images = vec![Column::images(IMAGE, pixels)];
    let data = Dataset::of("random", images, Some(Column::labels(&labels)));
    let recognized = recognize(&layout, "auto", data.image())?;
    let criterion = Criterion::default();
    let objective = Objective::new(
        &recognized,
        Arc::clone(&layout),
        &data,
        &criterion,
        &compute,
    )?;
    let plane = objective.resident(&Plane {
        origin: random(layout.len()),
        directions: [random(layout.len()), random(layout.len())],
        batch_norm: BatchNorm::Frozen,
        layout,
    })?;
    let mut at = 0.0;
    let mut point = || {
        at += 0.01;
        drop(objective.on(&plane, [at, -at]));
    };
    let [seconds] = in_turn(ROUNDS, &mut [&mut point]);
    let rate = rate(&compute)?;
    Ok(json!({
        "milliseconds_per_point": seconds * 1e3,
        "images_per_second": SAMPLES as f64 / seconds,
        "of_matmul": (SAMPLES * work) as f64 / seconds / rate,
        "matmul_tflops": rate / 1e12,
    }))
}

/// Floating-point operations a second of candle's matrix product on the device.
fn rate(compute: &Compute) -> candle_core::Result<f64> {
    let (device, dtype) = (&compute.device, compute.precision.dtype());
    let matrix = Tensor::rand(0f32, 1.0, (SIDE, SIDE), device)?.to_dtype(dtype)?;
    let mut product = || {
        drop(matrix.matmul(&matrix));
        drop(device.synchronize());
    };
    let [seconds] = in_turn(3, &mut [&mut product]);
    Ok(2.0 * (SIDE as f64).powi(3) / seconds)
}
