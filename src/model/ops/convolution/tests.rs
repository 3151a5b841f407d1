//! The three maps against the sum that a convolution is, and against each other.

use super::*;

const PLAIN: Extents = Extents {
    images: 2,
    inputs: 3,
    size: [5, 4],
    outputs: 2,
    result: [5, 4],
    kernel: [3, 3],
    window: ConvWindow::plain(1, 1),
};

const CASES: [Extents; 9] = [
    PLAIN,
    Extents {
        images: 1,
        size: [7, 6],
        result: [4, 3],
        window: ConvWindow::plain(2, 1),
        ..PLAIN
    },
    Extents {
        result: [5, 4],
        kernel: [1, 1],
        window: ConvWindow::plain(1, 0),
        ..PLAIN
    },
    Extents {
        images: 1,
        inputs: 1,
        size: [2, 2],
        outputs: 1,
        result: [2, 2],
        kernel: [7, 5],
        window: ConvWindow::plain(3, 4),
    },
    // Another step, padding and distance on each side, in groups.
    Extents {
        inputs: 4,
        size: [9, 8],
        outputs: 6,
        result: [5, 2],
        kernel: [2, 3],
        window: ConvWindow {
            stride: [2, 3],
            padding: [1, 0],
            dilation: [1, 2],
            groups: 2,
        },
        ..PLAIN
    },
    // Mirrored, in groups.
    Extents {
        inputs: 4,
        outputs: 6,
        result: [5, 2],
        kernel: [3, 3],
        window: ConvWindow {
            padding: [2, 1],
            dilation: [2, 2],
            groups: 2,
            ..ConvWindow::plain(1, 0)
        },
        ..PLAIN
    },
    // Each channel on its own, twice.
    Extents {
        outputs: 6,
        window: ConvWindow {
            groups: 3,
            ..ConvWindow::plain(1, 1)
        },
        ..PLAIN
    },
    Extents {
        outputs: 3,
        result: [3, 2],
        window: ConvWindow {
            groups: 3,
            ..ConvWindow::plain(2, 1)
        },
        ..PLAIN
    },
    // A row and a column that no tap reads, as a transposed convolution has them.
    Extents {
        size: [6, 6],
        result: [2, 2],
        window: ConvWindow::plain(2, 0),
        ..PLAIN
    },
];

fn numbers(count: usize, seed: u64) -> Vec<f64> {
    (0..count as u64)
        .map(|i| ((i * 7919 + seed * 104_729) % 23) as f64 - 11.0)
        .collect()
}

fn arrays(extents: &Extents) -> [Vec<f64>; 3] {
    [Map::Images, Map::Kernels, Map::Forward]
        .map(|map| numbers(extents.shape(map).elem_count(), map as u64))
}

/// Returns the sum that a convolution is, place by place.
fn plain(extents: &Extents, x: &[f64], w: &[f64]) -> Vec<f64> {
    let [[height, width], [rows, columns], [kh, kw]] =
        [extents.size, extents.result, extents.kernel];
    let ConvWindow {
        stride,
        padding,
        dilation,
        groups,
    } = extents.window;
    let [inputs, outputs] = [extents.inputs, extents.outputs].map(|count| count / groups);
    let mut y = Vec::new();
    for place in 0..extents.images * extents.outputs * rows * columns {
        let (n, o, row, column) = (
            place / (extents.outputs * rows * columns),
            place / (rows * columns) % extents.outputs,
            place / columns % rows,
            place % columns,
        );
        let mut sum = 0.0;
        for tap in 0..inputs * kh * kw {
            let (c, i, j) = (tap / (kh * kw), tap / kw % kh, tap % kw);
            let a = (row * stride[0] + i * dilation[0]).checked_sub(padding[0]);
            let b = (column * stride[1] + j * dilation[1]).checked_sub(padding[1]);
            if let (Some(a), Some(b)) = (a, b)
                && a < height
                && b < width
            {
                let channel = n * extents.inputs + o / outputs * inputs + c;
                sum +=
                    x[(channel * height + a) * width + b] * w[((o * inputs + c) * kh + i) * kw + j];
            }
        }
        y.push(sum);
    }
    y
}

#[test]
fn forward_is_the_sum_over_taps_and_channels() {
    for extents in CASES {
        let [x, w, _] = arrays(&extents);
        assert_eq!(
            Map::Forward.of(&extents, &x, &w, &[]),
            plain(&extents, &x, &w),
            "{extents:?}"
        );
    }
}

#[test]
fn the_three_maps_are_adjoint() {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for extents in CASES {
        let [x, w, g] = arrays(&extents);
        let through = dot(&Map::Forward.of(&extents, &x, &w, &[]), &g);
        assert_eq!(
            through,
            dot(&Map::Images.of(&extents, &g, &w, &[]), &x),
            "{extents:?}"
        );
        assert_eq!(
            through,
            dot(&Map::Kernels.of(&extents, &x, &g, &[]), &w),
            "{extents:?}"
        );
    }
}

#[test]
fn a_nan_weight_counts_where_it_meets_nothing_but_zeros() {
    for groups in [1, 2] {
        let extents = Extents {
            images: 1,
            inputs: 2,
            outputs: 2,
            size: [1, 1],
            result: [1, 1],
            window: ConvWindow {
                groups,
                ..ConvWindow::plain(1, 1)
            },
            ..PLAIN
        };
        let mut w = vec![1.0; 36 / groups];
        w[0] = f64::NAN;
        let y = Map::Forward.of(&extents, &[1.0, 1.0], &w, &[]);
        assert!(y[0].is_nan() && !y[1].is_nan(), "{y:?}");
    }
}

#[test]
fn maps_by_vectors_are_the_sums_too() {
    let square = |[inputs, outputs]: [usize; 2], size: [usize; 2], kernel, window: ConvWindow| {
        let [padding, stride] = [window.padding[0], window.stride[0]];
        Extents {
            images: 5,
            inputs,
            size,
            outputs,
            result: size.map(|side| (side + 2 * padding - kernel) / stride + 1),
            kernel: [kernel; 2],
            window,
        }
    };
    let cases = [
        square([3, 16], [9, 7], 3, ConvWindow::plain(1, 1)),
        square([16, 33], [6, 8], 3, ConvWindow::plain(1, 1)),
        square([17, 24], [13, 15], 3, ConvWindow::plain(2, 1)),
        square([20, 16], [7, 6], 1, ConvWindow::plain(1, 0)),
        square([18, 40], [16, 12], 1, ConvWindow::plain(2, 0)),
        square([16, 16], [9, 9], 5, ConvWindow::plain(1, 3)),
        square([1, 12], [12, 11], 7, ConvWindow::plain(2, 3)),
        // Columns at the end that no tap reads.
        square([12, 12], [14, 14], 3, ConvWindow::plain(2, 0)),
    ];
    for level in Level::all() {
        for extents in &cases {
            let [x, w, g] = arrays(extents);
            for (map, a, b) in [
                (Map::Forward, &x, &w),
                (Map::Images, &g, &w),
                (Map::Kernels, &x, &g),
            ] {
                let [a32, b32] = [a, b].map(|v| v.iter().map(|v| *v as f32).collect::<Vec<_>>());
                let Some(found) = vectors::of(map, extents, &a32, &b32, &[], level) else {
                    let is_narrow = extents.inputs < 4 || extents.window.stride != [1; 2];
                    assert!(map == Map::Images && is_narrow, "{map:?} {extents:?}");
                    continue;
                };
                // Whole numbers whose sums a f32 holds exactly.
                let exact: Vec<f32> = map
                    .of(extents, a, b, &[])
                    .iter()
                    .map(|v| *v as f32)
                    .collect();
                assert_eq!(found, exact, "{map:?} {extents:?} {}", level.name());
            }
        }
    }
}

#[test]
fn a_bias_is_added_by_vectors_too() {
    let extents = Extents {
        images: 8,
        outputs: 16,
        ..PLAIN
    };
    let [x, w, _] = arrays(&extents).map(|v| v.iter().map(|v| *v as f32).collect::<Vec<_>>());
    let bias: Vec<f32> = (0..16).map(|i| i as f32 - 7.0).collect();
    let found = vectors::of(Map::Forward, &extents, &x, &w, &bias, Level::best()).unwrap();
    assert_eq!(found, Map::Forward.of(&extents, &x, &w, &bias));
}
