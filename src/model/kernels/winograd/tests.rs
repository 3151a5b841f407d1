//! The error of both tile sizes, against sums in f64 and beside that of the sum over taps.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::model::kernels::blocked::Blocked;
use crate::model::kernels::pooling::Image;
use crate::model::kernels::simd::Rectifier;

/// A convolution of 3×3 taps with everything around it.
struct Case {
    shape: Shape,
    /// (outputs, inputs).
    kernels: Vec<[f32; 9]>,
    bias: Vec<f32>,
    x: Vec<f32>,
    residual: Vec<f32>,
}

const IMAGES: usize = 3;

/// Returns the images of numbers that are no less than 0, as behind a ReLU, with a frame of zeros.
fn case(level: Level, [inputs, outputs]: [usize; 2], [height, width]: [usize; 2]) -> Case {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let lanes = level.lanes();
    let at = |channels| Blocked {
        channels,
        height,
        width,
        halo: 1,
        lanes,
    };
    let shape = Shape {
        input: at(inputs),
        output: at(outputs),
        kernel: 3,
        stride: 1,
        padding: 1,
        rectifier: Rectifier::Off,
    };
    let mut normal = |scale: f32| {
        let number: f32 = StandardNormal.sample(&mut random);
        number * scale
    };
    let scale = (2.0 / (9 * inputs) as f32).sqrt();
    let kernels = (0..inputs * outputs)
        .map(|_| std::array::from_fn(|_| normal(scale)))
        .collect();
    let mut images = |at: Blocked| {
        let mut values = vec![0.0; IMAGES * at.len()];
        for n in 0..IMAGES {
            each(at, |channel, row, column| {
                values[n * at.len() + at.place(channel, row, column)] = normal(1.0).max(0.0);
            });
        }
        values
    };
    let (x, residual) = (images(shape.input), images(shape.output));
    let mut bias: Vec<f32> = (0..outputs)
        .map(|_| random.random_range(-1.0..1.0))
        .collect();
    bias.resize(outputs.next_multiple_of(lanes), 0.0);
    Case {
        shape,
        kernels,
        bias,
        x,
        residual,
    }
}

fn each(at: Blocked, mut visit: impl FnMut(usize, usize, usize)) {
    for channel in 0..at.channels {
        for row in 0..at.height {
            for column in 0..at.width {
                visit(channel, row, column);
            }
        }
    }
}

impl Case {
    fn conv<'a>(&'a self, weights: &'a [f32]) -> Conv<'a> {
        Conv {
            shape: &self.shape,
            x: &self.x,
            weights,
            bias: &self.bias,
            residual: Some(Image {
                at: self.shape.output,
                values: &self.residual,
            }),
        }
    }

    /// Returns the weights by place, (output blocks, places, inputs, lanes).
    fn transformed<const N: usize>(&self, level: Level) -> Vec<f32> {
        let (inputs, lanes) = (self.shape.input.channels, self.shape.input.lanes);
        let size = N * N * inputs * lanes;
        let mut weights = vec![0.0; self.shape.output.blocks() * size];
        let kernels = self.kernels.chunks(inputs * lanes);
        for (to, kernels) in weights.chunks_mut(size).zip(kernels) {
            level.run(OfBlock::<N> {
                kernels,
                inputs,
                scale: &[1.0; 16],
                to,
            });
        }
        weights
    }

    /// Returns the weights by tap, (output blocks, input blocks, taps, lanes in, lanes out).
    fn by_tap(&self) -> Vec<f32> {
        let Shape { input, output, .. } = self.shape;
        let lanes = input.lanes;
        let mut weights = vec![0.0; output.blocks() * self.shape.weights_per_block()];
        for (i, kernel) in self.kernels.iter().enumerate() {
            let (o, i) = (i / input.channels, i % input.channels);
            for (tap, weight) in kernel.iter().enumerate() {
                let block = (o / lanes * input.blocks() + i / lanes) * 9 + tap;
                weights[(block * lanes + i % lanes) * lanes + o % lanes] = *weight;
            }
        }
        weights
    }

    /// Returns the root mean square of the difference from sums in f64, relative to that of those.
    fn error(&self, found: &[f32]) -> f64 {
        let Shape { input, output, .. } = self.shape;
        let (mut difference, mut size) = (0.0, 0.0);
        for n in 0..IMAGES {
            let x = &self.x[n * input.len()..][..input.len()];
            each(output, |o, row, column| {
                let own = n * output.len() + output.place(o, row, column);
                let mut sum = f64::from(self.bias[o]) + f64::from(self.residual[own]);
                for i in 0..input.channels {
                    let first = input.place(i, row, column) - input.row() - input.lanes;
                    let kernel = &self.kernels[o * input.channels + i];
                    for (tap, weight) in kernel.iter().enumerate() {
                        let x = x[first + tap / 3 * input.row() + tap % 3 * input.lanes];
                        sum += f64::from(x) * f64::from(*weight);
                    }
                }
                difference += (f64::from(found[own]) - sum).powi(2);
                size += sum.powi(2);
            });
        }
        (difference / size).sqrt()
    }

    fn by_tiles(&self, tile: Tile, level: Level) -> Vec<f32> {
        let weights = match tile {
            Tile::Two => self.transformed::<4>(level),
            Tile::Four => self.transformed::<6>(level),
        };
        let mut y = vec![0.0; IMAGES * self.shape.output.len()];
        run(
            &self.conv(&weights),
            tile,
            level,
            &mut Scratch::default(),
            &mut y,
        );
        y
    }
}

#[test]
fn the_error_is_at_most_two_and_a_half_times_that_of_the_sum_over_taps() {
    for level in Level::all() {
        for (channels, size) in [
            ([16, 16], [12, 12]),
            ([64, 20], [8, 8]),
            ([130, 64], [8, 4]),
        ] {
            let case = case(level, channels, size);
            let mut y = vec![0.0; IMAGES * case.shape.output.len()];
            case.conv(&case.by_tap()).run(level, &mut y);
            let direct = case.error(&y);
            for (tile, bound) in [(Tile::Two, 1.3), (Tile::Four, 2.5)] {
                let own = case.error(&case.by_tiles(tile, level));
                assert!(
                    own < bound * direct && own < 1e-6,
                    "{tile:?} {channels:?} {level:?}: {own:e}, the sum over taps {direct:e}"
                );
            }
        }
    }
}

#[test]
fn images_of_any_size_and_any_number_of_channels_are_covered() {
    for level in Level::all() {
        for (channels, size) in [
            ([1, 1], [4, 4]),
            ([3, 17], [5, 7]),
            ([33, 40], [6, 9]),
            ([300, 9], [4, 11]),
        ] {
            let case = case(level, channels, size);
            for tile in [Tile::Two, Tile::Four] {
                let error = case.error(&case.by_tiles(tile, level));
                assert!(error < 2e-6, "{tile:?} {channels:?} {size:?}: {error:e}");
            }
        }
    }
}

#[test]
fn an_image_has_the_same_bits_whatever_goes_along_with_it() {
    let level = Level::best();
    let mut case = case(level, [20, 40], [8, 12]);
    let together = case.by_tiles(Tile::Four, level);
    let len = case.shape.input.len();
    let own = case.shape.output.len();
    case.x.drain(..len);
    case.residual.drain(..own);
    case.x.extend_from_slice(&vec![f32::NAN; len]);
    case.residual.extend_from_slice(&vec![0.0; own]);
    let apart = case.by_tiles(Tile::Four, level);
    assert_eq!(together[own..], apart[..2 * own]);
}

#[test]
fn tiles_are_taken_where_they_save_more_than_their_transforms_cost() {
    let level = Level::best();
    let cheapest = |channels, size| Tile::cheapest(&case(level, channels, size).shape, 56);
    assert_eq!(cheapest([3, 64], [32, 32]), None);
    assert_eq!(cheapest([64, 64], [8, 8]), Some(Tile::Four));
    assert_eq!(cheapest([256, 256], [2, 2]), Some(Tile::Two));
    assert_eq!(cheapest([256, 256], [1, 1]), None);
    let deep = case(level, [64, 64], [8, 8]);
    assert_eq!(Tile::cheapest(&deep.shape, 110), Some(Tile::Two));
}
