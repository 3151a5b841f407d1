//! Markers, colours and the lack of them.

use std::sync::Arc;

use super::drawn::*;
use super::synthetic;
use insta::assert_snapshot;
use isoloss::plot::{Layers, Marker};
use isoloss::session::Analysis;
use isoloss::terminal::Depth;
use isoloss::tui::{Action, App, Appearance, Quantizer, Themes};
use ratatui::style::Color;

/// Every view with what it shows all measured: its name, and the keys and the analysis that lead to it.
const VIEWS: [(&str, &[Action], Option<Analysis>); 13] = {
    use Action::{
        Help, NextDirections, ShowCompare, ShowCurvature, ShowMap, ShowPath, ShowRelief,
        ShowSlices, ShowWeights,
    };
    [
        ("map", &[ShowMap], None),
        ("random plane", &[NextDirections], Some(Analysis::Plane)),
        ("slices", &[ShowSlices], None),
        (
            "random slices",
            &[ShowSlices, NextDirections],
            Some(Analysis::Random),
        ),
        (
            "last update",
            &[ShowSlices, NextDirections, NextDirections],
            Some(Analysis::Update),
        ),
        (
            "line",
            &[ShowSlices, NextDirections, NextDirections, NextDirections],
            Some(Analysis::Line),
        ),
        ("path", &[ShowPath], None),
        ("weights", &[ShowWeights], None),
        ("histogram", &[ShowWeights, NextDirections], None),
        ("curvature", &[ShowCurvature], Some(Analysis::Curvature)),
        ("compare", &[ShowCompare], None),
        ("surface", &[ShowRelief], None),
        ("help", &[Help], None),
    ]
};

/// A view as [`VIEWS`] has it, with a second run beside the first.
fn as_looked_at(look: Appearance, keys: &[Action], analysis: Option<Analysis>) -> App {
    let snapshot = analysis.map_or_else(synthetic::snapshot, synthetic::studied);
    let mut app = with_look(look, snapshot, keys);
    app.receive_compared(vec![Arc::new(synthetic::snapshot())]);
    app
}

#[test]
fn every_view_in_mono() {
    let look = Appearance {
        themes: Themes::built_in(Depth::Mono),
        ..Appearance::default()
    };
    for (name, keys, analysis) in VIEWS {
        let app = as_looked_at(look.clone(), keys, analysis);
        for (width, height) in [(120, 40), (70, 20), (40, 12)] {
            let buffer = screen(&app, width, height);
            let coloured = (buffer.content.iter())
                .find(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
            assert_eq!(coloured, None, "{name} at {width}x{height}");
        }
        assert_snapshot!(format!("mono {name}"), sizes(&app));
    }
}

#[test]
fn every_view_in_7_bits() {
    let look = Appearance {
        marker: Marker::Ascii,
        ..Appearance::default()
    };
    for (name, keys, analysis) in VIEWS {
        let app = as_looked_at(look.clone(), keys, analysis);
        for (width, height) in [(120, 40), (70, 20), (40, 12)] {
            let text = text(&screen(&app, width, height));
            assert!(text.bytes().all(|byte| byte < 128), "{name}\n{text}");
            // What has no sign of its own among 7 bits becomes a question mark: nothing of ours does, but the
            // help names the key.
            let asked = text.matches('?').count() - text.matches("? help").count();
            assert!(asked == 0 || name == "help", "{name} {asked}\n{text}");
        }
    }
}

#[test]
fn every_marker_draws_contours_and_path_with_its_own_characters() {
    let blocks = |range: std::ops::RangeInclusive<u32>| move |c: char| range.contains(&(c as u32));
    let braille = blocks(0x2801..=0x28ff);
    let octant = blocks(0x1_CD00..=0x1_CDE5);
    let sextant = blocks(0x1_FB00..=0x1_FB3B);
    for marker in Marker::ALL {
        let look = Appearance {
            marker,
            ..Appearance::default()
        };
        let text = text(&screen(
            &with_look(look, synthetic::snapshot(), &[]),
            120,
            40,
        ));
        let count = |of: &dyn Fn(char) -> bool| text.chars().filter(|c| of(*c)).count();
        let found = [
            count(&braille),
            count(&octant),
            count(&sextant),
            count(&|c| "▚▞▙▛▜▟".contains(c)),
            count(&|c| "▀▄".contains(c)),
            count(&|c| c == '█'),
        ];
        // By the order of the markers, which kinds of characters each must have; it has none of the finer ones.
        let own = match marker {
            Marker::Ascii => None,
            marker => Some(marker as usize),
        };
        if let Some(own) = own {
            assert!(found[own] > 60, "{marker:?} {found:?}\n{text}");
        }
        let finer = &found[..own.unwrap_or(found.len())];
        assert_eq!(finer.iter().sum::<usize>(), 0, "{marker:?} {found:?}");
        assert!(marker.is_ascii() || text.contains('●'));
    }
}

#[test]
fn fewer_colours_have_fewer_bands_and_all_of_them_can_be_told_apart() {
    let mut counts = Vec::new();
    for depth in [Depth::TrueColor, Depth::TwoFiftySix, Depth::Sixteen] {
        let mut themes = Themes::built_in(depth);
        for _ in 0..themes.names().count() {
            themes.next();
            if themes.current().name() == "mono" {
                continue;
            }
            let look = Appearance {
                themes: themes.clone(),
                layers: Layers::Bands,
                ..Appearance::default()
            };
            let mut buffer = screen(&with_look(look, synthetic::snapshot(), &[]), 120, 40);
            Quantizer::default().quantize(depth, &mut buffer);
            // The samples of the legend stand below its title.
            let title =
                |left: &u16| -> String { (0..4).map(|i| buffer[(left + i, 2)].symbol()).collect() };
            let left = (60..79).find(|left| title(left) == "loss");
            let left = left.expect("a legend");
            let legend = (3..38).map(|row| buffer[(left, row)].bg);
            let mut colours: Vec<Color> = legend.collect();
            colours.dedup();
            let ground = buffer[(0, 0)].bg;
            colours.retain(|colour| *colour != ground);
            let mut distinct = colours.clone();
            distinct.sort_by_key(|colour| format!("{colour:?}"));
            distinct.dedup();
            let name = themes.current().name();
            assert_eq!(distinct.len(), colours.len(), "{name} {depth:?}");
            counts.push((depth, colours.len()));
        }
    }
    for (depth, count) in counts {
        let expected = match depth {
            Depth::TrueColor => 12..=16,
            Depth::TwoFiftySix => 8..=10,
            _ => 5..=6,
        };
        assert!(expected.contains(&count), "{depth:?}: {count}");
    }
}

#[test]
fn without_colours_everything_can_still_be_told_apart() {
    let look = Appearance {
        themes: Themes::built_in(Depth::Mono),
        ..Appearance::default()
    };
    let app = with_look(look, synthetic::snapshot(), &[]);
    let buffer = screen(&app, 70, 20);
    assert!(
        buffer
            .content
            .iter()
            .all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset)
    );
    assert_snapshot!(dump(&buffer));
}

#[test]
fn in_ascii_every_cell_has_7_bits() {
    let ascii = Appearance {
        marker: Marker::Ascii,
        ..Appearance::default()
    };
    for actions in [&[][..], &[Action::Help]] {
        for count in [0, 1, 2, 25] {
            let path = with_look(ascii.clone(), synthetic::path_only(count), actions);
            let whole = with_look(ascii.clone(), synthetic::snapshot(), actions);
            for app in [path, whole] {
                for (width, height) in [(120, 40), (70, 20), (30, 10)] {
                    let buffer = screen(&app, width, height);
                    let foreign = buffer.content.iter().find(|cell| !cell.symbol().is_ascii());
                    assert_eq!(foreign, None);
                }
            }
        }
    }
    let app = with_look(ascii, synthetic::snapshot(), &[]);
    assert_snapshot!(text(&screen(&app, 120, 40)));
}

#[test]
fn contour_lines_as_level_digits_in_ascii() {
    let look = Appearance {
        marker: Marker::Ascii,
        layers: Layers::Lines,
        ..Appearance::default()
    };
    let app = with_look(look, synthetic::snapshot(), &[]);
    assert_snapshot!(text(&screen(&app, 70, 20)));
}
