//! The graph on cases that are drawn by hand, and on values that are hardly numbers.

use super::*;

fn curve<'a>(x: &'a [f64], y: &'a [f64], side: AxisSide, stroke: Stroke) -> Curve<'a> {
    Curve { x, y, side, stroke }
}

fn graph<'a>(curves: Vec<Curve<'a>>, marks: &[(f64, &str)]) -> Graph<'a> {
    let mark = |&(at, label): &(f64, &str)| Mark {
        at,
        label: label.into(),
    };
    Graph {
        title: "loss",
        right: "accuracy",
        curves,
        largest: [f64::INFINITY; 2],
        marks: marks.iter().map(mark).collect(),
        ticks: false,
        marker: Marker::Braille,
        palette: None,
    }
}

fn one<'a>(x: &'a [f64], y: &'a [f64]) -> Graph<'a> {
    graph(
        vec![curve(x, y, AxisSide::Left, Stroke::Solid)],
        &[(0.0, "0")],
    )
}

#[test]
fn a_curve_runs_from_its_highest_to_its_lowest_value() {
    let picture = one(&[-1.0, 0.0, 1.0], &[2.0, 1.0, 2.0]).draw(8, 3);
    assert_eq!(picture.text(), "loss\n⠉⠢⡀   ⡠⠊\n  ⠈⠢●⠊\n");
}

#[test]
fn a_value_that_is_not_a_number_is_a_gap() {
    let x = [-2.0, -1.0, 0.0, 1.0, 2.0];
    let picture = one(&x, &[1.0, 1.0, f64::NAN, 1.0, 1.0]).draw(8, 2);
    let row = picture.text().lines().nth(1).map(str::to_owned);
    assert_eq!(row.as_deref(), Some("⠤⠤⠄   ⠤⠤"));
}

#[test]
fn a_broken_line_has_the_same_gaps_however_it_is_cut() {
    let row = |x: &[f64]| {
        let y = vec![1.0; x.len()];
        let graph = graph(vec![curve(x, &y, AxisSide::Left, Stroke::Dashed)], &[]);
        graph.draw(10, 2).text().lines().nth(1).map(str::to_owned)
    };
    assert_eq!(row(&[0.0, 1.0]).as_deref(), Some("⠤⠄ ⠤⠄ ⠤⠄ ⠤"));
    assert_eq!(row(&[0.0, 1.0]), row(&[0.0, 0.3, 0.7, 1.0]));
}

#[test]
fn both_scales_have_their_numbers_and_the_marks_their_labels() {
    let (x, loss, accuracy) = (
        [-0.5, 0.0, 1.0, 1.5],
        [3.0, 1.0, 2.0, 4.0],
        [0.1, 0.9, 0.8, 0.2],
    );
    let curves = vec![
        curve(&x, &loss, AxisSide::Left, Stroke::Solid),
        curve(&x, &accuracy, AxisSide::Right, Stroke::Solid),
    ];
    let graph = Graph {
        ticks: true,
        ..graph(curves, &[(0.0, "A"), (1.0, "B")])
    };
    let text = graph.draw(40, 8).text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("loss") && lines[0].ends_with("accuracy"));
    assert!(
        lines[1].starts_with("      4 ") && lines[1].ends_with(" 0.9"),
        "{text}"
    );
    assert!(
        lines[6].starts_with("      1 ") && lines[6].ends_with(" 0.1"),
        "{text}"
    );
    // 24 columns for 2 units: A a quarter, B three quarters of the way.
    let columns: Vec<char> = lines[7].chars().collect();
    assert_eq!((columns[8 + 6], columns[8 + 18]), ('A', 'B'), "{text}");
    assert_eq!(text.matches('●').count(), 4);
}

#[test]
fn the_names_of_both_scales_stand_beside_their_curves_and_on_none() {
    let x = [0.0, 1.0, 2.0, 3.0, 4.0];
    let (loss, test) = ([3.0, 1.0, 2.0, 4.0, 4.0], [2.5, 1.5, 2.5, 3.0, 3.5]);
    let accuracy = [0.1, 0.9, 0.8, 0.2, 0.3];
    let drawn = |title| {
        let curves = vec![
            curve(&x, &loss, AxisSide::Left, Stroke::Solid),
            curve(&x, &accuracy, AxisSide::Right, Stroke::Solid),
            curve(&x, &test, AxisSide::Left, Stroke::Dashed),
        ];
        let right = if title == "loss" { "accuracy" } else { "" };
        Graph {
            title,
            right,
            ..graph(curves, &[])
        }
        .draw(60, 12)
    };
    let (named, bare) = (drawn("loss"), drawn(""));
    let cells = |picture: &Picture| -> Vec<char> {
        let plot = picture.rows().skip(1).flatten();
        plot.map(|cell| cell.symbol).collect()
    };
    let text = named.text();
    let plot = text.split_once('\n').map_or("", |(_, plot)| plot);
    assert!(
        plot.contains(" loss ") && plot.contains(" accuracy\n"),
        "{text}"
    );
    // Every stroke of the curves is still there.
    for (bare, named) in cells(&bare).into_iter().zip(cells(&named)) {
        assert!(bare == ' ' || bare == named, "{text}");
    }
}

#[test]
fn a_wide_range_of_losses_is_logarithmic() {
    let scale = |y: &[f64]| {
        one(&[0.0, 1.0], y)
            .scale(AxisSide::Left)
            .map(|s| s.share(1.0))
    };
    assert!(scale(&[0.01, 100.0]).is_some_and(|share| (share - 0.5).abs() < 1e-12));
    assert_eq!(scale(&[0.0, 2.0]), Some(0.5));
}

#[test]
fn a_spike_does_not_flatten_what_is_below_it() {
    let x: Vec<f64> = (0..12).map(f64::from).collect();
    let logarithmic = |y: &[f64]| {
        one(&x, y)
            .scale(AxisSide::Left)
            .is_some_and(|s| s.logarithmic)
    };
    let mut sharpness = [1.5; 12];
    sharpness[4] = 1.9;
    assert!(!logarithmic(&sharpness));
    sharpness[3] = 40.0;
    assert!(logarithmic(&sharpness));
    // A loss that falls has no spike.
    let falling: Vec<f64> = x.iter().map(|x| 2.3 * (-0.25 * x).exp()).collect();
    assert!(!logarithmic(&falling));
}

#[test]
fn bars_stand_on_zero_and_the_last_edge_is_the_end_of_the_axis() {
    let (edges, counts) = ([0.0, 1.0, 2.0, 4.0], [50.0, f64::NAN, 100.0]);
    let graph = graph(
        vec![curve(&edges, &counts, AxisSide::Left, Stroke::Bars)],
        &[],
    );
    let scale = graph.scale(AxisSide::Left).map(|scale| scale.range);
    assert_eq!(scale, Some([0.0, 100.0]));
    let text = graph.draw(8, 3).text();
    assert_eq!(text, "loss\n    ⡏⠉⠉⢹\n⡏⠉⡇ ⡇  ⢸\n", "{text}");
}

#[test]
fn no_value_or_place_is_too_large_or_too_small() {
    let x = [-f64::MAX, 0.0, f64::MAX];
    for y in [
        [-f64::MAX, 0.0, f64::MAX],
        [1e308, 1e308, 1e308],
        [0.0, 0.0, 0.0],
        [5e-324, 1e-300, 1e300],
        [f64::NAN, 3.0, f64::INFINITY],
        [1e9, 1e9 + 1.0, 1e9],
    ] {
        for x in [x, [1e15, 1e15 + 1.0, 1e15 + 2.0], [7.0; 3]] {
            for stroke in [Stroke::Solid, Stroke::Dashed, Stroke::Points, Stroke::Bars] {
                let text = graph(vec![curve(&x, &y, AxisSide::Left, stroke)], &[])
                    .draw(40, 8)
                    .text();
                let plot = text.split_once('\n').map_or("", |(_, plot)| plot);
                let is_ink = |c: char| c == '●' || ('\u{2801}'..='\u{28ff}').contains(&c);
                assert!(plot.contains(is_ink), "{x:?} {y:?} {stroke:?}\n{text}");
            }
        }
    }
}

#[test]
fn a_logarithmic_axis_says_so() {
    let drawn = |y: &[f64]| one(&[0.0, 1.0], y).draw(40, 8).text();
    assert!(drawn(&[0.01, 100.0]).starts_with("    log loss"));
    assert!(drawn(&[1.0, 2.0]).starts_with("        loss"));
}

#[test]
fn a_rate_is_drawn_in_steps() {
    let x = [0.0, 1.0, 2.0];
    let y = [2.0, 2.0, 1.0];
    let picture = graph(vec![curve(&x, &y, AxisSide::Left, Stroke::Steps)], &[]).draw(8, 3);
    assert_eq!(picture.text(), "loss\n⠉⠉⠉⠉⠉⠉⠉⢹\n       ⢸\n");
}

#[test]
fn a_curve_within_its_standard_error_looks_flat() {
    let x = [0.0, 1.0, 2.0];
    let y = [1.0, 1.01, 1.0];
    let [low, high] = [-0.02, 0.02].map(|by| y.map(|y| y + by));
    let curves = || {
        vec![
            curve(&x, &low, AxisSide::Left, Stroke::Band),
            curve(&x, &high, AxisSide::Left, Stroke::Band),
            curve(&x, &y, AxisSide::Left, Stroke::Solid),
        ]
    };
    let text = graph(curves(), &[]).draw(12, 13).text();
    let rows: Vec<&str> = text.lines().skip(1).collect();
    // 0.01 of 0.12 is one of twelve rows; the band of 0.04 has four or five, in the middle.
    let of_curve = rows
        .iter()
        .filter(|row| row.chars().any(|c| ('⠁'..='⣿').contains(&c)));
    assert!(of_curve.count() <= 2, "{text}");
    let shaded = rows.iter().filter(|row| row.contains('░')).count();
    assert!((4..=6).contains(&shaded), "{text}");
    // Without a band the same curve has the whole height.
    let bare = graph(curves().split_off(2), &[]).draw(12, 13).text();
    assert_eq!(
        bare.lines().skip(1).filter(|row| !row.is_empty()).count(),
        12
    );
    // Nothing is drawn below nothing.
    let scale = graph(
        vec![
            curve(&x, &[0.0; 3], AxisSide::Left, Stroke::Band),
            curve(&x, &[0.2; 3], AxisSide::Left, Stroke::Band),
            curve(&x, &[0.1; 3], AxisSide::Left, Stroke::Solid),
        ],
        &[],
    );
    assert_eq!(
        scale.scale(AxisSide::Left).map(|scale| scale.range[0]),
        Some(0.0)
    );
    // Nor above what a number can be.
    let accuracy = Graph {
        largest: [100.0; 2],
        ..graph(
            vec![
                curve(&x, &[96.0; 3], AxisSide::Left, Stroke::Band),
                curve(&x, &[100.0; 3], AxisSide::Left, Stroke::Band),
            ],
            &[],
        )
    };
    assert_eq!(
        accuracy.scale(AxisSide::Left).map(|scale| scale.range),
        Some([92.0, 100.0])
    );
}

#[test]
fn a_logarithmic_scale_ends_where_the_curve_does_not_where_its_band_does() {
    let (x, y) = ([0.0, 1.0, 2.0], [0.2, 2.0, 0.01]);
    let scale = |low: f64| {
        let low = [low, 1.9, 0.009];
        let scale = graph(
            vec![
                curve(&x, &low, AxisSide::Left, Stroke::Band),
                curve(&x, &[0.4, 2.1, 0.011], AxisSide::Left, Stroke::Band),
                curve(&x, &y, AxisSide::Left, Stroke::Solid),
            ],
            &[],
        );
        let text = scale.draw(24, 9).text();
        let foot = text.lines().last().unwrap_or_default().to_owned();
        (scale.scale(AxisSide::Left), foot)
    };
    for low in [0.0, 1e-6] {
        let (scale, foot) = scale(low);
        let scale = scale.unwrap();
        assert!(scale.logarithmic);
        assert_eq!(scale.range, [0.01, 2.0]);
        // The band goes down to the foot of the scale.
        assert!(foot.contains('░'), "{foot}");
    }
    // A curve within its own error is no reason for a logarithm, however small its lowest value.
    let within = graph(
        vec![
            curve(&x, &[0.0; 3], AxisSide::Left, Stroke::Band),
            curve(&x, &[0.1; 3], AxisSide::Left, Stroke::Band),
            curve(&x, &[1e-4, 0.02, 1e-3], AxisSide::Left, Stroke::Solid),
        ],
        &[],
    );
    assert!(!within.scale(AxisSide::Left).unwrap().logarithmic);
}

#[test]
fn a_curve_far_below_another_has_a_scale_that_shows_it() {
    let x = [0.0, 1.0, 2.0];
    let beside = |high: f64| {
        let high = [high; 3];
        let curves = vec![
            curve(&x, &high, AxisSide::Left, Stroke::DashedSteps),
            curve(&x, &[20.0, 15.0, 18.0], AxisSide::Left, Stroke::Solid),
        ];
        let scale = graph(curves, &[]).scale(AxisSide::Left);
        scale.unwrap().logarithmic
    };
    assert!(beside(200.0));
    assert!(!beside(190.0));
}

#[test]
fn nothing_measured_is_said() {
    let picture = one(&[-1.0, 0.0], &[f64::NAN, f64::NAN]).draw(20, 3);
    assert!(picture.text().contains("not measured yet"));
    assert!(
        graph(Vec::new(), &[])
            .draw(20, 3)
            .text()
            .contains("not measured yet")
    );
}

#[test]
fn any_size_will_do() {
    for width in 0..40 {
        for height in 0..8 {
            let (x, y) = ([-1.0, 0.0, 1.0], [2.0, f64::NAN, 3.0]);
            let both = [AxisSide::Left, AxisSide::Right];
            let curves = both
                .map(|side| curve(&x, &y, side, Stroke::Dashed))
                .to_vec();
            let ticks = Graph {
                ticks: true,
                ..graph(curves, &[(0.0, "0")])
            };
            assert_eq!(ticks.draw(width, height).width(), width);
        }
    }
}
