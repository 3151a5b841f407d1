//! Maps of known surfaces: where bands, lines, labels and marks have to be.

use proptest::prelude::*;

use crate::landscape::Surface;
use crate::landscape::grid::survey::spread;
use crate::plot::picture::Cell;
use crate::plot::raster::Marker;
use crate::plot::test_scene::{TINTS, scene, surface};

use super::*;

fn cell(picture: &Picture, column: usize, row: usize) -> Cell {
    picture.rows().nth(row).unwrap()[column]
}

#[test]
fn bands_grow_lighter_with_the_loss_and_beta_points_upward() {
    let surface = surface(|_, y| (3.0 * y).exp());
    let picture = draw(&scene(&surface, &[]), 20, 10);
    let luma = |row: usize| cell(&picture, 5, row).background.unwrap().luma();
    let rows: Vec<f64> = (0..10).map(luma).collect();
    assert!(rows.is_sorted_by(|above, below| above >= below), "{rows:?}");
    assert!(rows[0] > rows[9] + 0.3);
}

#[test]
fn marks_are_where_their_points_are() {
    let surface = surface(|x, y| 0.2 + (x + 0.5).powi(2) + (y - 0.5).powi(2));
    let path = [[0.99, 0.99], [0.0, 0.0], [-0.99, -0.99]];
    let picture = draw(&scene(&surface, &path), 20, 10);
    assert_eq!(cell(&picture, 19, 0).symbol, '○');
    assert_eq!(cell(&picture, 10, 5).symbol, '•');
    assert_eq!(cell(&picture, 0, 9).symbol, '●');
    assert_eq!(cell(&picture, 5, 2).symbol, '✕');
    let scrubbed = MapScene {
        selected: 1,
        ..scene(&surface, &path)
    };
    assert_eq!(cell(&draw(&scrubbed, 20, 10), 10, 5).symbol, '◆');
}

#[test]
fn a_drop_stands_on_its_checkpoint_and_above_one_whose_cell_has_another_mark() {
    let surface = surface(|x, y| 0.2 + (x + 0.5).powi(2) + (y - 0.5).powi(2));
    let path = [[0.99, 0.99], [0.0, 0.0], [-0.99, -0.6], [-0.99, -0.61]];
    let with_drops = |drops| {
        let extras = Extras {
            drops,
            ..Extras::default()
        };
        let scene = MapScene {
            extras,
            ..scene(&surface, &path)
        };
        draw(&scene, 20, 10)
    };
    assert_eq!(cell(&with_drops(&[1]), 10, 5).symbol, '▼');
    let hidden = with_drops(&[2]);
    let newest = (0..10).find(|row| cell(&hidden, 0, *row).symbol == '●');
    let newest = newest.unwrap();
    assert_eq!(cell(&hidden, 0, newest - 1).symbol, '▼');
    // Nothing is above the first row.
    assert!(!with_drops(&[0]).text().contains('▼'));
}

#[test]
fn a_second_run_is_in_the_legend_where_there_is_one() {
    let surface = surface(|x, y| 0.1 + x * x + y * y);
    let alone = scene(&surface, &[[0.5, 0.5], [0.0, 0.0]]);
    let both = MapScene {
        extras: Extras {
            second_run: &[[-0.5, 0.5], [0.0, -0.5]],
            ..Extras::default()
        },
        ..alone.clone()
    };
    assert!(draw(&both, 70, 20).text().contains("■  2nd run"));
    assert!(!draw(&alone, 70, 20).text().contains("2nd run"));
}

#[test]
fn a_hole_has_no_band_and_a_sign_of_its_own() {
    let surface = surface(|x, y| if x > 0.0 { f64::NAN } else { 1.0 + y });
    let picture = draw(&scene(&surface, &[]), 20, 10);
    for row in 0..10 {
        for column in 11..20 {
            let cell = cell(&picture, column, row);
            assert!(cell.background.is_none() && "╳ ".contains(cell.symbol));
        }
        assert!(cell(&picture, 5, row).background.is_some());
    }
    assert!(picture.text().contains('╳'));
}

#[test]
fn what_was_not_measured_is_not_painted() {
    let empty = Surface::new(spread(-1.0, 1.0, 33), spread(-1.0, 1.0, 33));
    let picture = draw(&scene(&empty, &[]), 20, 10);
    assert!(
        picture
            .rows()
            .flatten()
            .all(|cell| cell.background.is_none())
    );
    assert!(picture.text().contains('·'));
}

#[test]
fn what_lies_above_the_top_level_is_marked_as_clipped() {
    let surface = surface(|x, _| if x > 0.9 { 1e6 } else { 2.0 + x });
    let picture = draw(&scene(&surface, &[]), 40, 10);
    let signs = |columns: std::ops::Range<usize>| {
        let rows = picture.rows().flat_map(|row| row[columns.clone()].to_vec());
        rows.filter(|cell| cell.symbol == '^').count()
    };
    assert!(signs(38..40) > 0);
    assert_eq!(signs(0..30), 0);
}

#[test]
fn a_label_stands_on_the_line_whose_value_it_is() {
    let surface = surface(|x, y| 0.1 + x * x + y * y);
    let lines = MapScene {
        layers: Layers::Lines,
        ..scene(&surface, &[])
    };
    let (width, height) = (40, 30);
    let text = draw(&lines, width, height).text();
    let mut labels = 0;
    for (row, line) in text.lines().enumerate() {
        let cells: Vec<char> = line.chars().collect();
        let is_digit = |c: &char| c.is_ascii_digit() || *c == '.';
        let Some(start) = cells.iter().position(is_digit) else {
            continue;
        };
        let label: String = cells[start..].iter().take_while(|c| is_digit(c)).collect();
        let middle = start as f64 + label.len() as f64 / 2.0;
        let (x, y) = (middle / 20.0 - 1.0, 1.0 - (row as f64 + 0.5) / 15.0);
        let radius = (label.parse::<f64>().unwrap() - 0.1).sqrt();
        assert!((x.hypot(y) - radius).abs() < 0.08, "{label} at {x}, {y}");
        labels += 1;
    }
    assert!(labels >= 4, "{text}");
}

#[test]
fn axes_say_their_names_and_explained_variance() {
    let surface = surface(|x, y| 1.0 + x * x + y * y);
    let text = draw(&scene(&surface, &[]), 80, 24).text();
    assert!(text.contains("PC1 73.4 %") && text.contains("18.3 %") && text.contains("loss"));
}

proptest! {
    #[test]
    fn any_size_any_path_and_any_losses_will_do(
        width in 0..90usize, height in 0..30usize, coloured: bool,
        path in prop::collection::vec(prop_oneof![
            8 => [-2.0..2.0f64, -2.0..2.0f64], 1 => Just([f64::NAN, 0.0]),
            1 => Just([f64::INFINITY, 1e300]),
        ], 0..9),
        loss in prop_oneof![Just(f64::NAN), Just(f64::INFINITY), 0.0..1e300f64],
        layers in prop_oneof![Just(Layers::Both), Just(Layers::Bands), Just(Layers::Lines)],
        marker in prop::sample::select(&Marker::ALL[..]),
    ) {
        let surface = surface(|x, y| if x > y { loss } else { 1.0 + x * x });
        let scene = MapScene {
            layers,
            marker,
            palette: coloured.then_some(TINTS),
            ..scene(&surface, &path)
        };
        let picture = draw(&scene, width, height);
        prop_assert_eq!(picture.width(), width);
        if marker.is_ascii() {
            prop_assert!(picture.text().is_ascii());
        }
    }
}
