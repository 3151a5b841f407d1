//! The kernels against candle's layers, on every vector width that the machine has.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use proptest::prelude::*;

use super::*;
use crate::model::graph::{Layer, Value};
use crate::model::layer::{Conv, Linear, Norm};
use crate::model::ops::Pool;
use crate::run::format::{Dtype, TensorInfo};
use crate::weights::layout::Layout;

/// A network of every kind of layer, some of them left out.
#[derive(Clone, Debug)]
struct Sketch {
    image: [usize; 3],
    widths: [usize; 2],
    /// Kernels of the first two convolutions.
    kernels: [usize; 2],
    stride: usize,
    /// No shortcut, the one without parameters, or a projection.
    shortcut: usize,
    /// No pooling, largest (three ways), or mean.
    pool: usize,
    /// The norm before the second convolution, and the one behind the first Linear layer.
    norms: [bool; 2],
    concat: bool,
    average: bool,
    samples: usize,
    seed: u64,
}

fn sketches() -> impl Strategy<Value = Sketch> {
    let kernel = || prop_oneof![Just(1usize), Just(3), Just(5)];
    (
        (1usize..5, 5usize..20, 5usize..20),
        // From 64 on a 3×3 convolution is Winograd's.
        (prop_oneof![1usize..40, 62usize..70], 1usize..40),
        (kernel(), kernel(), 1usize..3),
        (0usize..3, 0usize..5),
        any::<[bool; 4]>(),
        (1usize..9, any::<u64>()),
    )
        .prop_map(
            |(image, (first, second), (a, b, stride), (shortcut, pool), flags, (samples, seed))| {
                Sketch {
                    image: image.into(),
                    widths: [first, second],
                    kernels: [a, b],
                    stride,
                    shortcut,
                    pool,
                    norms: [flags[0], flags[1]],
                    concat: flags[2],
                    average: flags[3],
                    samples,
                    seed,
                }
            },
        )
}

/// Shapes of the tensors that layers ask for, in the order in which they do.
#[derive(Default)]
struct Slots(Vec<TensorInfo>);

impl Slots {
    fn slot(&mut self, shape: &[usize], ending: &str) -> usize {
        self.0.push(TensorInfo {
            name: format!("t{}.{ending}", self.0.len()),
            shape: shape.to_vec(),
            dtype: Dtype::F32,
        });
        self.0.len() - 1
    }

    fn norm(&mut self, channels: usize) -> Norm {
        Norm {
            weight: self.slot(&[channels], "weight"),
            bias: self.slot(&[channels], "bias"),
            mean: self.slot(&[channels], "mean"),
            variance: self.slot(&[channels], "variance"),
        }
    }

    fn conv(
        &mut self,
        [inputs, outputs]: [usize; 2],
        kernel: usize,
        stride: usize,
        norm: bool,
    ) -> Conv {
        Conv {
            kernel_slot: self.slot(&[outputs, inputs, kernel, kernel], "weight"),
            bias: Some(self.slot(&[outputs], "bias")),
            norm: norm.then(|| self.norm(outputs)),
            kernel,
            stride,
            padding: kernel / 2,
            inputs,
            outputs,
        }
    }

    fn linear(&mut self, inputs: usize, outputs: usize) -> Linear {
        Linear {
            weight: self.slot(&[outputs, inputs], "weight"),
            bias: Some(self.slot(&[outputs], "bias")),
            inputs,
            outputs,
        }
    }
}

const POOLS: [Pool; 3] = [
    Pool::halving(false),
    Pool {
        padding: [1; 2],
        ..Pool::square(3, 2)
    },
    Pool::halving(true),
];

fn network(sketch: &Sketch) -> (Graph, Slots) {
    let (mut graph, mut slots) = (Graph::default(), Slots::default());
    let [channels, mut height, mut width] = sketch.image;
    let [first, mut second] = sketch.widths;
    if sketch.shortcut == 1 {
        second = first + 2 * (second / 4);
    }
    let stem = slots.conv([channels, first], sketch.kernels[0], 1, true);
    let x = graph.conv(Graph::IMAGES, &stem);
    let mut x = graph.relu(x);
    if sketch.norms[0] {
        let norm = slots.norm(first);
        x = graph.norm(x, &norm);
        x = graph.relu(x);
    }
    let shortcut = match sketch.shortcut {
        0 => None,
        1 => Some(graph.then(
            x,
            Layer::Padded {
                stride: sketch.stride,
                channels: second,
            },
        )),
        _ => {
            let projection = slots.conv([first, second], 1, sketch.stride, true);
            Some(graph.conv(x, &projection))
        }
    };
    let conv = slots.conv([first, second], sketch.kernels[1], sketch.stride, false);
    x = graph.conv(x, &conv);
    if let Some(shortcut) = shortcut {
        x = graph.add(x, shortcut);
        x = graph.relu(x);
    }
    (height, width) = (
        height.div_ceil(sketch.stride),
        width.div_ceil(sketch.stride),
    );
    if sketch.concat {
        let more = slots.conv([second, 5], 3, 1, false);
        let new = graph.conv(x, &more);
        x = graph.concat(new, x);
        second += 5;
    }
    let pool = POOLS
        .get(sketch.pool.wrapping_sub(1))
        .copied()
        .unwrap_or(POOLS[0]);
    if sketch.pool > 0 {
        let layer = if sketch.pool == 4 {
            Layer::Average
        } else {
            Layer::Max
        };
        x = graph.then(x, layer(pool));
        [height, width] = pool.windows([height, width]).unwrap();
    }
    let (layer, length) = if sketch.average {
        (Layer::GlobalAverage, second)
    } else {
        (Layer::Flatten, second * height * width)
    };
    x = graph.then(x, layer);
    head(&mut graph, &mut slots, x, length, sketch.norms[1]);
    (graph, slots)
}

fn head(graph: &mut Graph, slots: &mut Slots, x: Value, length: usize, norm: bool) {
    let mut x = graph.linear(x, &slots.linear(length, 21));
    if norm {
        x = graph.norm(x, &slots.norm(21));
    }
    x = graph.relu(x);
    graph.linear(x, &slots.linear(21, 10));
}

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    use rand::{Rng, SeedableRng};
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
}

fn weights(slots: &Slots, seed: u64) -> Weights {
    let layout = Layout::of(&slots.0);
    let mut flat = numbers(layout.len(), seed);
    for slot in layout.slots() {
        let values = &mut flat[slot.offset..slot.offset + slot.len()];
        let fan_in = slot.len() as f32 / slot.shape[0] as f32;
        for value in values {
            if slot.name.ends_with("variance") {
                *value = 1.0 + *value / 2.0;
            } else {
                *value /= fan_in.sqrt();
            }
        }
    }
    let len = flat.len();
    Weights::new(
        Tensor::from_vec(flat, len, &Device::Cpu).unwrap(),
        Arc::new(layout),
    )
}

/// Largest difference between the kernels and candle, relative to the largest logit.
fn error(graph: &Graph, weights: &Weights, image: [usize; 3], samples: usize, level: Level) -> f32 {
    let [channels, height, width] = image;
    let pixels = numbers(samples * channels * height * width, 7);
    let images =
        Tensor::from_slice(&pixels, (samples, channels, height, width), &Device::Cpu).unwrap();
    let logits = graph.run(weights, &images).unwrap();
    let expected: Vec<f32> = logits.flatten_all().unwrap().to_vec1().unwrap();
    let kernels = Kernels::at_level(graph, image, level).unwrap();
    let found = kernels.logits(weights, &[&pixels]).unwrap();
    assert_eq!(found.len(), expected.len());
    let largest = expected
        .iter()
        .fold(1e-3f32, |largest, x| largest.max(x.abs()));
    let pairs = found.iter().zip(&expected);
    pairs
        .map(|(a, b)| (a - b).abs() / largest)
        .fold(0.0, f32::max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn networks_of_any_shape_have_candle_s_logits(sketch in sketches()) {
        let (graph, slots) = network(&sketch);
        let weights = weights(&slots, sketch.seed);
        for level in Level::all() {
            let error = error(&graph, &weights, sketch.image, sketch.samples, level);
            prop_assert!(error < 2e-5, "{error} with {level:?}");
        }
    }
}

#[test]
fn vectors_of_many_samples_have_candle_s_logits() {
    let (mut graph, mut slots) = (Graph::default(), Slots::default());
    let x = graph.then(Graph::IMAGES, Layer::Flatten);
    head(&mut graph, &mut slots, x, 90, false);
    let weights = weights(&slots, 3);
    for level in Level::all() {
        let error = error(&graph, &weights, [2, 5, 9], 331, level);
        assert!(error < 2e-5, "{error} with {level:?}");
    }
}

#[test]
fn the_first_layer_of_three_points_gives_the_logits_of_their_combination() {
    let (mut graph, mut slots) = (Graph::default(), Slots::default());
    let x = graph.then(Graph::IMAGES, Layer::Flatten);
    head(&mut graph, &mut slots, x, 90, false);
    let points = [1, 2, 3].map(|seed| weights(&slots, seed));
    let coefficients = [1.0, 0.5, -0.75];
    let flat = points.iter().zip(coefficients);
    let flat = flat.map(|(point, c)| (&point.flat * f64::from(c)).unwrap());
    let combined = flat.reduce(|a, b| (a + b).unwrap()).unwrap();
    let combined = Weights::new(combined, Arc::clone(&points[0].layout));
    let pixels = numbers(50 * 90, 7);
    for level in Level::all() {
        let kernels = Kernels::at_level(&graph, [2, 5, 9], level).unwrap();
        assert!(kernels.begins_linear());
        let expected = kernels.logits(&combined, &[&pixels]).unwrap();
        let first = points
            .each_ref()
            .map(|point| kernels.first_layer(point, &[&pixels]).unwrap());
        let found = kernels
            .logits_from(&combined, &first, coefficients)
            .unwrap();
        assert_eq!(found.len(), expected.len());
        let differences = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        let error = differences.fold(0.0, f32::max);
        assert!(error < 1e-6, "{error} with {level:?}");
    }
}

#[test]
fn samples_that_share_large_weights_have_candle_s_logits() {
    let (mut graph, mut slots) = (Graph::default(), Slots::default());
    let mut x = Graph::IMAGES;
    // Winograd's, one with a stride, and one on images of odd width.
    for (inputs, stride) in [(128, 1), (128, 2), (128, 1)] {
        let conv = slots.conv([inputs, 128], 3, stride, true);
        x = graph.conv(x, &conv);
        x = graph.relu(x);
    }
    x = graph.then(x, Layer::GlobalAverage);
    head(&mut graph, &mut slots, x, 128, false);
    let weights = weights(&slots, 5);
    for level in Level::all() {
        let error = error(&graph, &weights, [128, 6, 10], 19, level);
        assert!(error < 2e-5, "{error} with {level:?}");
    }
}
