//! What the benchmarks share: taking turns, a fixed source of numbers, the machine's own rate.

// Each benchmark uses a part of it.
#![allow(dead_code)]

use std::time::Instant;

use candle_core::{Device, Result, Tensor};
use rand::{Rng, SeedableRng};

/// Side of the square matrices whose product is the machine's rate.
const SIDE: usize = 2048;

/// Whether the table is wanted as one JSON object.
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
    let mut seconds = [(); N].map(|()| Vec::with_capacity(rounds));
    for pass in passes.iter_mut() {
        pass();
    }
    for _ in 0..rounds {
        for (pass, seconds) in passes.iter_mut().zip(&mut seconds) {
            let start = Instant::now();
            pass();
            seconds.push(start.elapsed().as_secs_f64());
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
