//! Every layer against PyTorch: value, gradient and second derivative.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;

use candle_core::{DType, Device, Var};

use super::*;
use crate::test_device;
use crate::test_process::in_a_process_that_keeps_graphs;

type Layer = fn(&[Tensor]) -> Result<Tensor>;

fn norm(tensors: &[Tensor]) -> BatchNormTensors {
    BatchNormTensors {
        weight: Some(tensors[0].clone()),
        bias: Some(tensors[1].clone()),
        mean: tensors[2].clone(),
        variance: tensors[3].clone(),
        epsilon: BatchNormTensors::EPSILON,
    }
}

fn pool(kernel: usize, stride: usize, ceil: bool) -> Pool {
    Pool {
        ceil,
        ..Pool::square(kernel, stride)
    }
}

fn padded(kernel: usize, stride: usize, padding: usize, ceil: bool) -> Pool {
    Pool {
        padding: [padding; 2],
        ..pool(kernel, stride, ceil)
    }
}

fn window(
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
) -> ConvWindow {
    ConvWindow {
        stride,
        padding,
        dilation,
        groups,
    }
}

/// Pixels of x for each of the result, where the factors are 1.7 and 0.6.
const RATIOS: [f64; 2] = [1. / 1.7, 1. / 0.6];

/// The layers of tests/fixtures/models/make.py, by name.
const LAYERS: &[(&str, Layer)] = &[
    ("linear", |t| linear(&t[0], &t[1], Some(&t[2]))),
    ("conv", |t| {
        conv(&t[0], &t[1], Some(&t[2]), &ConvWindow::plain(1, 1))
    }),
    ("conv_stride", |t| {
        conv(&t[0], &t[1], None, &ConvWindow::plain(2, 1))
    }),
    ("conv_leftover", |t| {
        conv(&t[0], &t[1], None, &ConvWindow::plain(2, 1))
    }),
    ("conv_1x1_leftover", |t| {
        conv(&t[0], &t[1], None, &ConvWindow::plain(2, 0))
    }),
    ("conv_uneven", |t| {
        let window = window([2, 1], [0, 2], [1, 2], 1);
        conv(&t[0], &t[1], Some(&t[2]), &window)
    }),
    ("conv_dilated", |t| {
        conv(&t[0], &t[1], None, &window([1; 2], [2; 2], [2; 2], 1))
    }),
    ("conv_groups", |t| {
        let window = window([2; 2], [1; 2], [1; 2], 2);
        conv(&t[0], &t[1], Some(&t[2]), &window)
    }),
    ("conv_groups_1x1", |t| {
        conv(&t[0], &t[1], None, &window([1; 2], [0; 2], [1; 2], 2))
    }),
    ("conv_groups_mirrored", |t| {
        conv(&t[0], &t[1], None, &window([1; 2], [2, 1], [2, 1], 2))
    }),
    ("conv_depthwise", |t| {
        let window = window([1; 2], [1; 2], [1; 2], 3);
        conv(&t[0], &t[1], Some(&t[2]), &window)
    }),
    ("conv_depthwise_stride", |t| {
        conv(&t[0], &t[1], None, &window([2; 2], [2; 2], [1, 2], 3))
    }),
    ("conv_1d", |t| {
        let (x, kernel) = (t[0].unsqueeze(2)?, t[1].unsqueeze(2)?);
        let window = window([1, 2], [0, 3], [1, 2], 1);
        conv(&x, &kernel, Some(&t[2]), &window)?.squeeze(2)
    }),
    ("conv_3d", |t| {
        let window = ConvWindow {
            stride: [1, 2, 1],
            padding: [1, 0, 1],
            dilation: [2, 1, 1],
            groups: 2,
        };
        conv3d(&t[0], &t[1], Some(&t[2]), &window)
    }),
    ("conv_transpose", |t| {
        conv_transpose(&t[0], &t[1], Some(&t[2]), &ConvWindow::plain(2, 0), [0; 2])
    }),
    ("conv_transpose_uneven", |t| {
        let window = window([2, 3], [1, 2], [2, 1], 2);
        conv_transpose(&t[0], &t[1], None, &window, [1, 2])
    }),
    ("conv_transpose_stride_1", |t| {
        let window = window([1; 2], [2; 2], [2; 2], 1);
        conv_transpose(&t[0], &t[1], None, &window, [1; 2])
    }),
    ("conv_transpose_depthwise", |t| {
        let window = window([2; 2], [1; 2], [1; 2], 3);
        conv_transpose(&t[0], &t[1], None, &window, [1; 2])
    }),
    ("norm_after_conv", |t| {
        let (kernel, bias) = norm(&t[3..]).fold(&t[1], Some(&t[2]))?;
        conv(&t[0], &kernel, Some(&bias), &ConvWindow::plain(1, 1))
    }),
    ("norm", |t| norm(&t[1..]).apply(&t[0])),
    ("norm_of_features", |t| norm(&t[1..]).apply(&t[0])),
    ("norm_alone", |t| {
        let norm = BatchNormTensors {
            weight: None,
            bias: None,
            mean: t[1].clone(),
            variance: t[2].clone(),
            epsilon: 1e-2,
        };
        norm.apply(&t[0])
    }),
    ("relu", |t| relu(&t[0])? + 1.),
    ("max_pool_2", |t| pool(2, 2, false).max(&t[0])),
    ("max_pool_3_stride_2", |t| pool(3, 2, false).max(&t[0])),
    ("max_pool_2_ceil", |t| pool(2, 2, true).max(&t[0])),
    ("max_pool_2_stride_3_ceil", |t| pool(2, 3, true).max(&t[0])),
    ("max_pool_ties", |t| pool(2, 2, false).max(&t[0])? + 2.),
    ("max_pool_padded", |t| padded(3, 2, 1, false).max(&t[0])),
    ("max_pool_uneven", |t| {
        let pool = Pool {
            kernel: [3, 2],
            stride: [2, 1],
            padding: [1, 0],
            dilation: [2, 3],
            ..Pool::halving(true)
        };
        pool.max(&t[0])
    }),
    ("max_pool_padded_ceil", |t| padded(3, 3, 1, true).max(&t[0])),
    ("max_pool_padded_ties", |t| {
        padded(3, 1, 1, false).max(&t[0])? + 2.
    }),
    ("average_pool_padded", |t| {
        let pool = Pool {
            kernel: [3, 2],
            stride: [2, 1],
            ..padded(3, 2, 1, false)
        };
        pool.average(&t[0])
    }),
    ("average_pool_without_pad", |t| {
        let pool = Pool {
            count_include_pad: false,
            ..padded(3, 2, 1, false)
        };
        pool.average(&t[0])
    }),
    ("average_pool_ceil", |t| {
        padded(3, 2, 1, true).average(&t[0])
    }),
    ("average_pool_ceil_without_pad", |t| {
        let pool = Pool {
            kernel: [3, 4],
            stride: [2, 3],
            padding: [1, 0],
            count_include_pad: false,
            ..Pool::halving(true)
        };
        pool.average(&t[0])
    }),
    ("average_pool_divisor", |t| {
        let pool = Pool {
            divisor: Some(5.),
            ..padded(3, 2, 1, false)
        };
        pool.average(&t[0])
    }),
    ("adaptive_average", |t| {
        adaptive_average(&t[0], [Some(3), Some(7)])
    }),
    ("adaptive_average_even", |t| {
        adaptive_average(&t[0], [Some(2), None])
    }),
    ("adaptive_average_1", |t| {
        adaptive_average(&t[0], [Some(1); 2])
    }),
    ("adaptive_average_of_1", |t| {
        adaptive_average(&t[0], [Some(7), Some(2)])
    }),
    ("adaptive_max", |t| adaptive_max(&t[0], [Some(3), Some(7)])),
    ("adaptive_max_ties", |t| {
        adaptive_max(&t[0], [Some(4), Some(2)])? + 2.
    }),
    ("nearest", |t| upsample_nearest(&t[0], [7, 3], None)),
    ("nearest_factors", |t| {
        upsample_nearest(&t[0], [6, 3], Some(RATIOS))
    }),
    ("bilinear", |t| {
        upsample_bilinear(&t[0], [7, 3], false, None)
    }),
    ("bilinear_factors", |t| {
        upsample_bilinear(&t[0], [6, 3], false, Some(RATIOS))
    }),
    ("bilinear_corners", |t| {
        upsample_bilinear(&t[0], [7, 1], true, None)
    }),
    ("bicubic", |t| upsample_bicubic(&t[0], [7, 3], false, None)),
    ("bicubic_corners", |t| {
        upsample_bicubic(&t[0], [3, 8], true, None)
    }),
    ("average_pool_2", |t| pool(2, 2, false).average(&t[0])),
    ("average_pool_3_stride_2", |t| {
        pool(3, 2, false).average(&t[0])
    }),
    ("global_average", |t| global_average(&t[0])),
];

/// Returns PyTorch's numbers and how near ours have to be: Metal has no f64.
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

/// Returns the largest difference, relative to the largest expected value.
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

/// Returns the objective of make.py: Σ c·y³.
fn objective(y: &Tensor, c: &Tensor) -> Tensor {
    (y * y.sqr().unwrap())
        .and_then(|cube| (cube * c)?.sum_all())
        .unwrap()
}

test_device!(values_and_gradients_are_those_of_pytorch);
fn values_and_gradients_are_those_of_pytorch(device: &Device) {
    let (values, bound) = values(device);
    let made = values.keys().filter_map(|name| name.strip_suffix(".y"));
    assert_eq!(made.count(), LAYERS.len());
    for (name, layer) in LAYERS.iter().copied() {
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

test_device!(second_derivatives_are_those_of_pytorch);
fn second_derivatives_are_those_of_pytorch(device: &Device) {
    let test = "model::ops::tests::second_derivatives_are_those_of_pytorch";
    if !in_a_process_that_keeps_graphs(&format!("{test}::{}", test_device::name(device))) {
        return;
    }
    let (values, bound) = values(device);
    for (name, layer) in LAYERS.iter().copied() {
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
    let norm = BatchNormTensors {
        weight: Some(of([1., 1.])),
        bias: Some(of([0., 0.])),
        mean: of([0., 0.]),
        variance: of([1., -0.5]),
        epsilon: BatchNormTensors::EPSILON,
    };
    let x = Tensor::ones((1, 2, 4, 4), DType::F32, device).unwrap();
    let kernel = Tensor::ones((2, 2, 1, 1), DType::F32, device).unwrap();
    let (kernel, bias) = norm.fold(&kernel, None).unwrap();
    let y = conv(&x, &kernel, Some(&bias), &ConvWindow::plain(1, 0)).unwrap();
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
fn a_size_that_stays_or_doubles_is_not_counted_by_the_factor() {
    let x = Tensor::arange(0f64, 9., &Device::Cpu).unwrap();
    let x = x.reshape((1, 1, 3, 3)).unwrap();
    let ratios = Some([1. / 1.3; 2]);
    for y in [
        upsample_nearest(&x, [3, 3], ratios).unwrap(),
        upsample_bilinear(&x, [3, 3], false, ratios).unwrap(),
    ] {
        assert_eq!(error(&y, &x), 0.);
    }
    // F.interpolate(x, scale_factor=2.3)
    let y = upsample_nearest(&x, [6, 6], Some([1. / 2.3; 2])).unwrap();
    let row = y.flatten_all().unwrap().narrow(0, 0, 6).unwrap();
    assert_eq!(row.to_vec1::<f64>().unwrap(), [0., 0., 1., 1., 2., 2.]);
}

#[test]
fn the_last_window_starts_inside_the_image_or_the_padding_before_it() {
    // The third window would start on the second zero behind the image.
    let windows = padded(2, 3, 1, true).windows([5, 6]);
    assert_eq!(windows, Some([2, 3]));
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
        for (ceil, count) in [(false, floor), (true, ceil)] {
            let windows = pool(kernel, stride, ceil).windows([len, len]);
            assert_eq!(windows, count.map(|n| [n, n]), "{len}");
        }
    }
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
        let found = conv::in_pieces(&x, most, layer).unwrap();
        assert!(error(&found, &layer(&x).unwrap()) < 1e-6, "{most}");
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let x = Tensor::zeros((1, 3, 4, 4), DType::F32, &Device::Cpu).unwrap();
    let kernel = Tensor::zeros((2, 3, 7, 7), DType::F32, &Device::Cpu).unwrap();
    assert!(conv(&x, &kernel, None, &ConvWindow::plain(1, 0)).is_err());
    assert!(conv(&x, &kernel, None, &ConvWindow::plain(0, 3)).is_err());
    assert!(pool(5, 2, false).max(&x).is_err());
    assert!(pool(0, 1, false).max(&x).is_err());
    assert!(pool(2, 0, false).max(&x).is_err());
    assert!(padded(2, 2, 2, false).max(&x).is_err());
    assert!(adaptive_average(&x, [Some(0), Some(1)]).is_err());
    assert!(adaptive_max(&x, [None, Some(0)]).is_err());
    let kernel = Tensor::zeros((2, 3, 3, 3), DType::F32, &Device::Cpu).unwrap();
    for groups in [0, 2, 3] {
        let window = window([1; 2], [0; 2], [1; 2], groups);
        assert!(conv(&x, &kernel, None, &window).is_err());
    }
    let dilated = window([1; 2], [0; 2], [2; 2], 1);
    assert!(conv(&x, &kernel, None, &dilated).is_err());
    let kernel = Tensor::zeros((3, 2, 3, 3), DType::F32, &Device::Cpu).unwrap();
    let transposed = |padding, output_padding, groups| {
        let window = window([1; 2], [padding; 2], [1; 2], groups);
        conv_transpose(&x, &kernel, None, &window, [output_padding; 2]).is_ok()
    };
    assert!(transposed(0, 0, 1));
    assert!(!transposed(3, 0, 1) && !transposed(0, 1, 1) && !transposed(0, 0, 2));
    let volume = x.unsqueeze(2).unwrap();
    let kernel = Tensor::zeros((2, 3, 2, 3, 3), DType::F32, &Device::Cpu).unwrap();
    assert!(conv3d(&volume, &kernel, None, &ConvWindow::plain(1, 0)).is_err());
    let transposed = |kernel: (usize, usize, usize, usize, usize), added| {
        let kernel = Tensor::zeros(kernel, DType::F32, &Device::Cpu).unwrap();
        conv_transpose3d(&volume, &kernel, None, &ConvWindow::plain(1, 0), added).is_ok()
    };
    assert!(transposed((3, 2, 2, 3, 3), [0; 3]));
    assert!(!transposed((3, 2, 2, 3, 3), [1, 0, 0]) && !transposed((2, 2, 2, 3, 3), [0; 3]));
    assert!(!transposed((3, 2, 0, 3, 3), [0; 3]));
}
