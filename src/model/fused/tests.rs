//! The kernels against candle's layers, on every vector width that the machine has.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use proptest::prelude::*;

use super::*;
use crate::model::ops::Pool;
use crate::model::program::datum::{Datum, FloatPlace};
use crate::model::program::kind::Kind;
use crate::model::program::op::{self, Around, Binary, Function, Op, Padding};
use crate::model::program::run::Norms;
use crate::model::program::{Input, Output, Program, Size, Value};
use crate::run::{Dtype, TensorInfo};
use crate::weights::Layout;

/// A network of every kind of layer, some of them left out.
#[derive(Clone, Debug)]
struct Sketch {
    image: [usize; 3],
    widths: [usize; 2],
    /// FusedNetwork of the first two convolutions.
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
    /// A convolution of each channel by itself behind the second, with ReLU6.
    depthwise: bool,
    samples: usize,
    seed: u64,
}

fn sketches() -> impl Strategy<Value = Sketch> {
    let kernel = || prop_oneof![Just(1usize), Just(3), Just(5)];
    (
        (1usize..5, 5usize..20, 5usize..20),
        // From some twenty on a 3×3 convolution is Winograd's.
        (prop_oneof![1usize..40, 62usize..70], 1usize..40),
        (kernel(), kernel(), 1usize..3),
        (0usize..3, 0usize..5),
        any::<[bool; 5]>(),
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
                    depthwise: flags[4],
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
}

/// A program while it is written, with its slots.
#[derive(Default)]
struct Net {
    program: Program,
    slots: Slots,
}

impl Net {
    fn of(sample: &[usize]) -> (Self, Value) {
        let mut net = Self::default();
        net.program.inputs.push(Input {
            name: "x".into(),
            kind: Kind::Float,
            shape: std::iter::once(None)
                .chain(sample.iter().copied().map(Some))
                .collect(),
        });
        (net, Value::Input(0))
    }

    fn then(&mut self, op: Op, takes: &[Value]) -> Value {
        let takes = takes.iter().copied().map(Some);
        self.program.push(op, takes.collect(), "")
    }

    fn relu(&mut self, x: Value) -> Value {
        self.then(Op::Function(Function::Relu), &[x])
    }

    fn norm(&mut self, x: Value, channels: usize) -> Value {
        let slots = ["weight", "bias", "mean", "variance"]
            .map(|name| Value::Slot(self.slots.slot(&[channels], name)));
        let takes: Vec<Value> = [x].into_iter().chain(slots).collect();
        self.then(Op::BatchNorm { epsilon: 1e-5 }, &takes)
    }

    fn conv(
        &mut self,
        x: Value,
        [inputs, outputs]: [usize; 2],
        [kernel, stride]: [usize; 2],
        norm: bool,
    ) -> Value {
        let shape = [outputs, inputs, kernel, kernel];
        let weight = Value::Slot(self.slots.slot(&shape, "weight"));
        let bias = Value::Slot(self.slots.slot(&[outputs], "bias"));
        let op = Op::Conv(op::Conv {
            stride: vec![stride; 2],
            padding: Around::By(vec![kernel / 2; 2]),
            dilation: vec![1; 2],
            groups: 1,
            output_padding: None,
        });
        let y = self.then(op, &[x, weight, bias]);
        if norm { self.norm(y, outputs) } else { y }
    }

    fn depthwise(&mut self, x: Value, channels: usize, kernel: usize, stride: usize) -> Value {
        let weight = Value::Slot(self.slots.slot(&[channels, 1, kernel, kernel], "weight"));
        let bias = Value::Slot(self.slots.slot(&[channels], "bias"));
        let op = Op::Conv(op::Conv {
            stride: vec![stride; 2],
            padding: Around::By(vec![kernel / 2; 2]),
            dilation: vec![1; 2],
            groups: channels,
            output_padding: None,
        });
        let y = self.then(op, &[x, weight, bias]);
        self.norm(y, channels)
    }

    fn padded(&mut self, x: Value, stride: usize, added: usize) -> Value {
        let mut x = x;
        for axis in [2, 3] {
            let slice = op::AxisSlice {
                axis,
                start: Size::Fixed(0),
                end: Size::Fixed(i64::MAX),
                step: stride.cast_signed() as i64,
            };
            x = self.then(Op::Slice(slice), &[x]);
        }
        let mut by = vec![Size::Fixed(0); 4];
        by.extend([Size::Fixed(added.cast_signed() as i64); 2]);
        let with = Padding::Constant(0.0);
        self.then(Op::Pad { by, with }, &[x])
    }

    fn linear(&mut self, x: Value, inputs: usize, outputs: usize) -> Value {
        let weight = Value::Slot(self.slots.slot(&[outputs, inputs], "weight"));
        let bias = Value::Slot(self.slots.slot(&[outputs], "bias"));
        self.then(Op::Linear, &[x, weight, bias])
    }

    fn pool(&mut self, x: Value, pool: Pool, mean: bool) -> Value {
        let window = op::PoolWindow {
            kernel: pool.kernel.to_vec(),
            stride: pool.stride.to_vec(),
            padding: pool.padding.to_vec(),
            dilation: pool.dilation.to_vec(),
            ceil: pool.ceil,
        };
        let of_padding = op::Mean {
            counts_padding: true,
            divisor: None,
        };
        let op = if mean {
            Op::AveragePool(window, of_padding)
        } else {
            Op::MaxPool(window)
        };
        self.then(op, &[x])
    }

    fn average(&mut self, x: Value) -> Value {
        let to = vec![Some(1); 2];
        let x = self.then(Op::AdaptivePool { to, max: false }, &[x]);
        self.then(Op::Flatten(1, -1), &[x])
    }

    fn head(&mut self, x: Value, length: usize, norm: bool) -> Value {
        let mut x = self.linear(x, length, 21);
        if norm {
            x = self.norm(x, 21);
        }
        x = self.relu(x);
        self.linear(x, 21, 10)
    }

    fn finish(mut self, logits: Value) -> (Program, Slots) {
        self.program.outputs.push(Output {
            name: None,
            value: logits,
        });
        (self.program.joined(), self.slots)
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

fn network(sketch: &Sketch) -> (Program, Slots) {
    let (mut net, images) = Net::of(&sketch.image);
    let [channels, mut height, mut width] = sketch.image;
    let [first, mut second] = sketch.widths;
    if sketch.shortcut == 1 {
        second = first + 2 * (second / 4);
    }
    let x = net.conv(images, [channels, first], [sketch.kernels[0], 1], true);
    let mut x = net.relu(x);
    if sketch.norms[0] {
        x = net.norm(x, first);
        x = net.relu(x);
    }
    let shortcut = match sketch.shortcut {
        0 => None,
        1 => Some(net.padded(x, sketch.stride, (second - first) / 2)),
        _ => Some(net.conv(x, [first, second], [1, sketch.stride], true)),
    };
    let kernel = [sketch.kernels[1], sketch.stride];
    x = net.conv(x, [first, second], kernel, false);
    if let Some(shortcut) = shortcut {
        x = net.then(Op::Binary(Binary::Add(1.0)), &[x, shortcut]);
        x = net.relu(x);
    }
    (height, width) = (
        height.div_ceil(sketch.stride),
        width.div_ceil(sketch.stride),
    );
    if sketch.depthwise {
        x = net.depthwise(x, second, sketch.kernels[0], sketch.stride);
        x = net.then(Op::Function(Function::Hardtanh(0.0, 0.3)), &[x]);
        (height, width) = (
            height.div_ceil(sketch.stride),
            width.div_ceil(sketch.stride),
        );
    }
    if sketch.concat {
        let new = net.conv(x, [second, 5], [3, 1], false);
        x = net.then(Op::Cat(1), &[new, x]);
        second += 5;
    }
    let pool = POOLS
        .get(sketch.pool.wrapping_sub(1))
        .copied()
        .unwrap_or(POOLS[0]);
    if sketch.pool > 0 {
        x = net.pool(x, pool, sketch.pool == 4);
        [height, width] = pool.windows([height, width]).unwrap();
    }
    let length = if sketch.average {
        x = net.average(x);
        second
    } else {
        x = net.then(Op::Flatten(1, -1), &[x]);
        second * height * width
    };
    let logits = net.head(x, length, sketch.norms[1]);
    net.finish(logits)
}

fn kernels(program: &Program, weights: &Weights, sample: &[usize], level: Level) -> FusedNetwork {
    let one: Vec<usize> = std::iter::once(1).chain(sample.iter().copied()).collect();
    let one = Tensor::zeros(one, candle_core::DType::F32, &Device::Cpu).unwrap();
    let trace = program.trace(&weights.layout, &[Datum::float(one)]);
    let layers = Layers::of(program, &trace.unwrap(), 0).unwrap();
    FusedNetwork::at_level(&layers, level).unwrap()
}

fn by_candle(program: &Program, weights: &Weights, x: Tensor) -> Vec<f32> {
    let place = FloatPlace {
        device: Device::Cpu,
        dtype: candle_core::DType::F32,
    };
    let prepared = program.prepare(vec![Datum::float(x)], &place).unwrap();
    let outputs = program.run(weights, &prepared, &place, &mut Norms::Stored);
    let logits = outputs.unwrap()[0].tensor().flatten_all().unwrap();
    logits.to_vec1().unwrap()
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

/// Returns the largest difference between the kernels and candle, relative to the largest logit.
fn error(
    program: &Program,
    weights: &Weights,
    sample: &[usize],
    samples: usize,
    level: Level,
) -> f32 {
    let pixels = numbers(samples * sample.iter().product::<usize>(), 7);
    let shape: Vec<usize> = std::iter::once(samples)
        .chain(sample.iter().copied())
        .collect();
    let images = Tensor::from_slice(&pixels, shape, &Device::Cpu).unwrap();
    let expected = by_candle(program, weights, images);
    let kernels = kernels(program, weights, sample, level);
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
        let (program, slots) = network(&sketch);
        let weights = weights(&slots, sketch.seed);
        for level in Level::all() {
            let error = error(&program, &weights, &sketch.image, sketch.samples, level);
            prop_assert!(error < 2e-5, "{error} with {level:?}");
        }
    }
}

fn of_vectors() -> (Program, Slots) {
    let (mut net, x) = Net::of(&[90]);
    let logits = net.head(x, 90, false);
    net.finish(logits)
}

#[test]
fn vectors_of_many_samples_have_candle_s_logits() {
    let (program, slots) = of_vectors();
    let weights = weights(&slots, 3);
    for level in Level::all() {
        let error = error(&program, &weights, &[90], 331, level);
        assert!(error < 2e-5, "{error} with {level:?}");
    }
}

#[test]
fn the_first_layer_of_three_points_gives_the_logits_of_their_combination() {
    let (program, slots) = of_vectors();
    let points = [1, 2, 3].map(|seed| weights(&slots, seed));
    let coefficients = [1.0, 0.5, -0.75];
    let flat = points.iter().zip(coefficients);
    let flat = flat.map(|(point, c)| (&point.flat * f64::from(c)).unwrap());
    let combined = flat.reduce(|a, b| (a + b).unwrap()).unwrap();
    let combined = Weights::new(combined, Arc::clone(&points[0].layout));
    let pixels = numbers(50 * 90, 7);
    for level in Level::all() {
        let kernels = kernels(&program, &points[0], &[90], level);
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
    let (mut net, mut x) = Net::of(&[128, 6, 10]);
    // Winograd's, one with a stride, and one on images of odd width.
    for (inputs, stride) in [(128, 1), (128, 2), (128, 1)] {
        x = net.conv(x, [inputs, 128], [3, stride], true);
        x = net.relu(x);
    }
    x = net.average(x);
    let logits = net.head(x, 128, false);
    let (program, slots) = net.finish(logits);
    let weights = weights(&slots, 5);
    for level in Level::all() {
        let error = error(&program, &weights, &[128, 6, 10], 19, level);
        assert!(error < 2e-5, "{error} with {level:?}");
    }
}
