//! Reliefs of surfaces whose shape is known.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::f64::consts::SQRT_2;

use proptest::prelude::*;

use crate::landscape::Surface;
use crate::landscape::grid::surface::log_loss;
use crate::landscape::grid::survey::spread;

use super::super::levels::Levels;
use super::super::picture::Rgb;
use super::super::test_scene::{self, TINTS, surface};
use super::mesh::Heights;
use super::*;

const ABOVE: ViewAngle = ViewAngle {
    turn: 0.0,
    tilt: 90.0,
};

fn scene<'a>(surface: &'a Surface, path: &'a [[f64; 2]]) -> MapScene<'a> {
    MapScene {
        layers: Layers::Lines,
        palette: None,
        ..test_scene::scene(surface, path)
    }
}

/// Returns the dots of a picture in braille, as (column, row).
fn dots(picture: &Picture) -> BTreeSet<(usize, usize)> {
    let places = [
        (0, 0),
        (0, 1),
        (0, 2),
        (1, 0),
        (1, 1),
        (1, 2),
        (0, 3),
        (1, 3),
    ];
    let mut dots = BTreeSet::new();
    for (row, cells) in picture.rows().enumerate() {
        for (column, cell) in cells.iter().enumerate() {
            let bits = (cell.symbol as usize).wrapping_sub(0x2800);
            let set = |bit: &usize| bits < 0x100 && bits >> bit & 1 == 1;
            let set = (0..8).filter(set).map(|bit| places[bit]);
            dots.extend(set.map(|(right, down)| (2 * column + right, 4 * row + down)));
        }
    }
    dots
}

fn cell_of(picture: &Picture, symbol: char) -> Option<(usize, usize)> {
    let index = picture.rows().flatten().position(|c| c.symbol == symbol)?;
    Some((index % picture.width(), index / picture.width()))
}

/// Returns a ridge in front (y < 0) of a valley (y > 0).
fn ridge(_: f64, y: f64) -> f64 {
    0.3 + 4.0 * (-8.0 * (y + 0.5).powi(2)).exp()
}

/// Returns the dots of the mesh that are in sight, cell by cell.
fn mesh_in_sight(
    scene: &MapScene<'_>,
    view: ViewAngle,
    width: usize,
    height: usize,
) -> Canvas<Ink> {
    let model = Model::new(scene, view, width, height);
    let mut canvas = Canvas::new(width, height, Marker::Braille);
    model.trace_mesh(&mut canvas, &ReliefPath::of(&model, width, height));
    canvas
}

#[test]
fn heights_are_log_losses_between_the_lowest_and_the_top_level() {
    let surface = surface(|x, y| 0.2 + x * x + y * y);
    let mesh = Mesh::of(
        &scene(&surface, &[]),
        MeshDensity {
            spaces: 8,
            pieces: 4,
        },
    );
    let top = *mesh.levels.values().last().unwrap();
    let height = |loss: f64| mesh.heights.height(loss);
    assert_eq!((height(0.2), height(top)), (Some(0.0), Some(1.0)));
    assert_eq!(height(1e9), Some(1.0));
    assert_eq!((height(f64::NAN), height(f64::INFINITY)), (None, None));
    let share = (log_loss(0.5) - log_loss(0.2)) / (log_loss(top) - log_loss(0.2));
    assert!((height(0.5).unwrap() - share).abs() < 1e-12);
    assert!(mesh.clipped);
    assert_eq!(Heights::of(&Levels::default()).height(3.0), None);
}

#[test]
fn between_its_points_the_mesh_is_linear() {
    let surface = surface(|x, y| (2.0 * x - y).exp() - 1e-3);
    let density = MeshDensity {
        spaces: 7,
        pieces: 3,
    };
    let mesh = Mesh::of(&scene(&surface, &[]), density);
    let height = |a: f64, b: f64| mesh.height([a, b]).unwrap();
    let z = |a: f64, b: f64| 2.0 * (2.0 * a - 1.0) - (2.0 * b - 1.0);
    let range = log_loss(*mesh.levels.values().last().unwrap()) + 3.0;
    for (a, b) in [(0.0, 1.0), (0.31, 0.77), (0.5, 0.5), (0.613, 0.0)] {
        assert!((height(a, b) - (z(a, b) + 3.0) / range).abs() < 1e-9);
    }
    assert_eq!(mesh.height([1.01, 0.5]), None);
    assert_eq!(mesh.height([f64::NAN, 0.5]), None);
}

#[test]
fn a_flat_surface_is_straight_lines_from_above_and_one_from_the_side() {
    let surface = surface(|_, _| 2.0);
    let scene = scene(&surface, &[]);
    let lines = Model::new(&scene, ABOVE, 40, 11).mesh.density.spaces + 1;
    let seen = |view| {
        let mut picture = Picture::new(40, 11);
        for (column, row, dots, _) in mesh_in_sight(&scene, view, 40, 11).cells() {
            let symbol = Marker::Braille.stroke(dots).unwrap();
            picture.cell_mut(column, row).unwrap().symbol = symbol;
        }
        dots(&picture)
    };
    let from_above = seen(ABOVE);
    let columns: BTreeSet<usize> = from_above.iter().map(|dot| dot.0).collect();
    let rows: BTreeSet<usize> = from_above.iter().map(|dot| dot.1).collect();
    let full = |column: usize| rows.iter().all(|row| from_above.contains(&(column, *row)));
    let upright: Vec<usize> = columns.iter().copied().filter(|c| full(*c)).collect();
    let level = |row: usize| columns.iter().all(|c| from_above.contains(&(*c, row)));
    let level: Vec<usize> = rows.iter().copied().filter(|r| level(*r)).collect();
    assert_eq!((upright.len(), level.len()), (lines, lines));
    let on_line = |dot: &(usize, usize)| upright.contains(&dot.0) || level.contains(&dot.1);
    assert!(from_above.iter().all(on_line));
    let side = ViewAngle { tilt: 0.0, ..ABOVE };
    let rows: BTreeSet<usize> = seen(side).iter().map(|dot| dot.1).collect();
    assert_eq!(rows.len(), 1);
}

#[test]
fn a_ridge_in_front_hides_the_valley_behind_it() {
    let (surface, low) = (surface(ridge), 0);
    let scene = scene(&surface, &[[0.0, -0.5], [0.0, 0.5]]);
    let seen = |turn, tilt| {
        let view = ViewAngle { turn, tilt };
        let model = Model::new(&scene, view, 60, 24);
        [0, 1].map(|i| !model.is_hidden(scene.path[i]))
    };
    assert_eq!(seen(0.0, 15.0), [true, false]);
    assert_eq!(seen(0.0, 90.0), [true, true]);
    assert_eq!(seen(180.0, 15.0), [true, true]);
    let bands = |turn| -> BTreeSet<usize> {
        let canvas = mesh_in_sight(&scene, ViewAngle { turn, tilt: 30.0 }, 60, 24);
        let bands = canvas.cells().filter_map(|(_, _, _, ink)| match ink {
            Ink::Surface(tone) => Some(tone.band),
            Ink::Outline => None,
        });
        bands.collect()
    };
    // The foot of the ridge on this side is half way up; only the valley is as low as this.
    assert!(!bands(0.0).contains(&low), "{:?}", bands(0.0));
    assert!(bands(180.0).contains(&low), "{:?}", bands(180.0));
}

#[test]
fn through_a_hole_one_sees_what_is_behind() {
    let whole = surface(ridge);
    let holed = surface(|x, y| {
        if y < 0.0 && x.abs() < 0.5 {
            f64::NAN
        } else {
            ridge(x, y)
        }
    });
    let hides = |surface: &Surface, x: f64| {
        let view = ViewAngle {
            turn: 0.0,
            tilt: 30.0,
        };
        Model::new(&scene(surface, &[]), view, 60, 24).is_hidden([x, 0.9])
    };
    assert!(hides(&whole, 0.0) && hides(&whole, 0.8));
    assert!(!hides(&holed, 0.0) && hides(&holed, 0.8));
}

#[test]
fn a_whole_turn_is_the_same_picture() {
    let surface = surface(|x, y| 0.2 + x * x + 0.3 * y * y);
    let scene = scene(&surface, &[[0.9, 0.9], [0.0, 0.1]]);
    let at = |turn| draw(&scene, ViewAngle { turn, tilt: 35.0 }, 80, 24);
    assert_eq!(at(30.0), at(390.0));
    assert_ne!(at(30.0), at(210.0));
}

#[test]
fn marks_are_where_their_points_are_and_the_end_is_seen_from_everywhere() {
    let surface = surface(|x, y| 0.2 + (x + 0.5).powi(2) + (y - 0.5).powi(2));
    let path = [[0.9, 0.9], [0.5, 0.5], [0.5, -0.5]];
    let scene = scene(&surface, &path);
    let picture = draw(&scene, ABOVE, 40, 11);
    // From above the height has no say: dots from the middle (40, 22), half sides of 79 and 43 / 2√2.
    let place = |x: f64, y: f64| {
        let half = [79.0, 43.0].map(|room| room / (2.0 * SQRT_2));
        let half = [half[0].min(half[1] * 1.35), half[1]];
        let [across, down] = [40.0 + x * half[0], 22.0 - y * half[1]];
        Some((across as usize / 2, down as usize / 4))
    };
    assert_eq!(cell_of(&picture, '○'), place(0.9, 0.9));
    assert_eq!(cell_of(&picture, '●'), place(0.5, -0.5));
    assert_eq!(cell_of(&picture, '✕'), place(-0.5, 0.5));
    for turn in (0..360).step_by(15) {
        for tilt in [0.0, 10.0, 45.0, 90.0] {
            let turn = f64::from(turn);
            let picture = draw(&scene, ViewAngle { turn, tilt }, 40, 11);
            assert!(cell_of(&picture, '●').is_some(), "{turn}, {tilt}");
        }
    }
}

#[test]
fn the_path_is_dotted_where_it_is_hidden() {
    let surface = surface(ridge);
    let path = [[-0.8, 0.5], [0.8, 0.5]];
    let scene = scene(&surface, &path);
    let traced = |turn| {
        let view = ViewAngle { turn, tilt: 15.0 };
        let model = Model::new(&scene, view, 60, 24);
        let trail = ReliefPath::of(&model, 60, 24);
        let mut picture = Picture::new(60, 24);
        let course = model.course(&picture, &trail);
        course.ink(&mut picture, scene.selected);
        dots(&picture).len()
    };
    let (hidden, seen) = (traced(0.0), traced(180.0));
    assert!((hidden * 2).abs_diff(seen) <= 4, "{hidden} of {seen}");
}

#[test]
fn lines_are_lighter_the_higher_they_are() {
    let surface = surface(|_, y| (3.0 * y).exp());
    let scene = MapScene {
        palette: Some(TINTS),
        ..scene(&surface, &[])
    };
    let picture = draw(&scene, ABOVE, 20, 11);
    let luma: Vec<f64> = picture
        .rows()
        .filter_map(|row| row[10].foreground.map(Rgb::luma))
        .collect();
    assert!(luma.len() >= 5 && luma.is_sorted_by(|above, below| above >= below));
    assert!(luma[0] > luma[luma.len() - 1] + 0.3);
}

#[test]
fn faces_take_the_colour_of_their_height_and_lines_can_be_left_out() {
    // So flat in the middle that the face there is of the lowest band, wherever its corners lie.
    let surface = surface(|x, y| 0.2 + (x * x + y * y).powi(2));
    let faces = MapScene {
        palette: Some(TINTS),
        layers: Layers::Bands,
        ..scene(&surface, &[])
    };
    let picture = draw(&faces, ABOVE, 40, 11);
    let centre = picture.rows().nth(5).unwrap()[20];
    let lowest = band_colour(&TINTS, 0, 13, false).towards(TINTS.ground, FACE);
    println!(
        "{:?}",
        faces.levels(
            surface
                .sample(&spread(-1.0, 1.0, 81), &spread(-1.0, 1.0, 81))
                .loss
        )
    );
    assert_eq!(centre.background.or(centre.foreground), Some(lowest));
    let text = picture.text();
    let strokes = text.lines().skip(2).take(7);
    assert!(
        strokes
            .flat_map(str::chars)
            .all(|c| !('⠁'..='⣿').contains(&c)),
        "{text}"
    );
}

#[test]
fn titles_and_numbers_stand_at_every_turn() {
    let surface = surface(|x, y| 0.25 + x * x + y * y);
    let scene = scene(&surface, &[]);
    for turn in (0..360).step_by(5) {
        for tilt in [10.0, 35.0, 60.0] {
            for (width, height) in [(120, 40), (80, 24), (60, 16)] {
                let turn = f64::from(turn);
                let text = draw(&scene, ViewAngle { turn, tilt }, width, height).text();
                for label in ["PC1 ", " 73.4 %", "PC2 ", " 18.3 %", "loss", "0.25", "≥"] {
                    assert!(text.contains(label), "{label} at {turn}, {tilt}:\n{text}");
                }
            }
        }
    }
}

#[test]
fn without_a_surface_the_path_lies_on_the_ground() {
    let empty = Surface::new(vec![], vec![]);
    let path = [[-0.9, -0.9], [0.9, 0.9]];
    let scene = MapScene {
        backdrop: None,
        ..scene(&empty, &path)
    };
    let picture = draw(&scene, ViewAngle::default(), 40, 11);
    let camera = Model::new(&scene, ViewAngle::default(), 40, 11).camera;
    let [across, down, _] = camera.place([0.95, 0.95, 0.0]);
    let end = (across as usize / 2, down as usize / 4);
    assert_eq!(cell_of(&picture, '●'), Some(end));
}

#[test]
fn a_bowl_at_60_by_24() {
    let surface = surface(|x, y| 0.25 + x * x + y * y);
    let path = [[0.9, 0.6], [0.5, 0.7], [0.1, 0.4], [0.0, 0.0]];
    let text = draw(&scene(&surface, &path), ViewAngle::default(), 60, 24).text();
    insta::assert_snapshot!(text);
}

#[test]
fn the_largest_screens_will_do() {
    let surface = surface(|x, y| 0.25 + x * x + y * y);
    let picture = draw(&scene(&surface, &[]), ViewAngle::default(), 300, 100);
    assert_eq!((picture.width(), picture.height()), (300, 100));
    assert!(dots(&picture).len() > 10_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn any_size_any_view_any_path_and_any_losses_will_do(
        width in 0..90usize, height in 0..30usize, coloured: bool,
        turn in -720.0..720.0f64, tilt in -180.0..180.0f64,
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
        let picture = draw(&scene, ViewAngle { turn, tilt }, width, height);
        prop_assert_eq!(picture.width(), width);
        if marker.is_ascii() {
            prop_assert!(picture.text().is_ascii());
        }
    }
}
