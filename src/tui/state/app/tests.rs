//! Sequences of actions, and the screen's state after them.

use crossterm::event::{KeyCode, KeyEvent};

use crate::session::{MapPlane, Snapshot};
use crate::weights::Trajectory;

use super::super::appearance::Appearance;
use super::super::playback::PICTURES;
use super::super::window::{PAN, ZOOM, middle};
use super::*;

fn snapshot(count: usize) -> Arc<Snapshot> {
    let last = count as f64 - 1.0;
    let trajectory = Trajectory {
        steps: (0..count as u64).collect(),
        coordinates: (0..count)
            .map(|i| [last - i as f64, (last - i as f64) / 2.0])
            .collect(),
        ..Trajectory::default()
    };
    Arc::new(Snapshot {
        trajectory: Some(Arc::new(trajectory)),
        ..Snapshot::default()
    })
}

fn app(count: usize) -> App {
    let mut app = App::new(Appearance::default());
    app.receive(snapshot(count));
    app
}

#[test]
fn scrubbing_goes_back_and_forward_and_then_follows_again() {
    let mut app = app(3);
    assert_eq!(app.selected(), Some(2));
    for expected in [1, 0, 0] {
        app.update(Action::ScrubBack);
        assert_eq!(app.selected(), Some(expected));
    }
    for _ in 0..4 {
        app.update(Action::ScrubForward);
    }
    app.receive(snapshot(5));
    assert_eq!(app.selected(), Some(4));
}

#[test]
fn a_window_and_the_cursor_stay_beside_their_checkpoint_when_the_plane_is_another() {
    let on_plane = |count: usize, shift: [f64; 2]| {
        let mut snapshot = Snapshot::clone(&snapshot(count));
        let mut path = Trajectory::clone(snapshot.trajectory.as_ref().unwrap());
        path.coordinates = (0..count)
            .map(|i| [i as f64 + shift[0], 2.0 * i as f64 + shift[1]])
            .collect();
        snapshot.trajectory = Some(Arc::new(path));
        snapshot.plane = Some(MapPlane {
            checkpoints: count,
            ..MapPlane::default()
        });
        Arc::new(snapshot)
    };
    let mut app = App::new(Appearance::default());
    assert!(app.receive(on_plane(5, [0.0, 0.0])).is_empty());
    app.update(Action::Neighbourhood);
    app.update(Action::Cursor);
    let (before, cursor) = (app.window().unwrap(), app.cursor().unwrap());
    assert!(
        app.receive(on_plane(5, [9.0, 9.0])).is_empty(),
        "the same plane"
    );
    assert_eq!(app.window(), Some(before));
    app.receive(on_plane(5, [0.0, 0.0]));
    let asked = app.receive(on_plane(6, [0.25, -3.0]));
    let moved = PlaneWindow {
        x: before.x.map(|at| at + 0.25),
        y: before.y.map(|at| at - 3.0),
    };
    assert_eq!(asked, [Command::Survey(Some(moved))]);
    assert_eq!(app.window(), Some(moved));
    assert_eq!(app.cursor().unwrap(), [cursor[0] + 0.25, cursor[1] - 3.0]);
    app.update(Action::WholePath);
    assert!(app.receive(on_plane(7, [1.0, 1.0])).is_empty());
}

#[test]
fn leaps_pass_ten_checkpoints() {
    let mut app = app(25);
    let mut at = |action| {
        app.update(action);
        app.selected().unwrap()
    };
    assert_eq!(
        [
            at(Action::LeapBack),
            at(Action::LeapBack),
            at(Action::LeapBack)
        ],
        [14, 4, 0]
    );
    assert_eq!(
        [
            at(Action::LeapForward),
            at(Action::LeapForward),
            at(Action::LeapForward)
        ],
        [10, 20, 24]
    );
}

#[test]
fn a_film_shows_every_checkpoint_and_then_follows_the_run() {
    let mut app = app(5);
    app.update(Action::Film);
    let mut seen = Vec::new();
    while app.is_filming() {
        seen.push(app.selected().unwrap());
        app.advance();
    }
    assert_eq!((seen, app.selected()), (vec![0, 1, 2, 3], Some(4)));
    // From where the user looks, and no further once told.
    app.update(Action::ScrubBack);
    app.update(Action::ScrubBack);
    app.update(Action::Film);
    assert_eq!(app.selected(), Some(2));
    app.update(Action::Close);
    assert!(!app.is_filming());
}

#[test]
fn a_long_film_leaves_checkpoints_out_but_never_the_last() {
    let mut app = app(1000);
    app.update(Action::Film);
    let mut pictures = 1;
    while app.is_filming() {
        app.advance();
        pictures += 1;
    }
    assert!((100..=PICTURES).contains(&pictures), "{pictures}");
    assert_eq!(app.selected(), Some(999));
}

fn types(app: &mut App, keys: &[KeyCode]) {
    for code in keys {
        app.enter(PromptKey::of(KeyEvent::from(*code)).unwrap());
    }
}

#[test]
fn a_step_that_is_typed_is_looked_at() {
    let mut app = app(50);
    app.update(Action::Jump);
    types(&mut app, &[KeyCode::Char('1'), KeyCode::Char('2')]);
    assert_eq!(app.prompt().unwrap().typed(), "12");
    types(&mut app, &[KeyCode::Enter]);
    assert_eq!((app.selected(), app.prompt()), (Some(12), None));
    app.update(Action::Jump);
    types(&mut app, &[KeyCode::Char('3'), KeyCode::Esc]);
    assert_eq!((app.selected(), app.prompt()), (Some(12), None));
}

#[test]
fn the_cursor_starts_at_the_checkpoint_and_stays_in_the_window() {
    let mut app = app(5);
    app.update(Action::ShowWeights);
    assert_eq!(app.update(Action::Cursor), [Command::Analyze(None)]);
    assert_eq!((app.view(), app.cursor()), (View::Map, Some([0.0, 0.0])));
    let window = app.window().unwrap();
    for _ in 0..200 {
        assert_eq!(app.update(Action::PanRight), []);
    }
    assert_eq!(app.cursor(), Some([window.x[1], 0.0]));
    app.update(Action::ZoomIn);
    assert_eq!(
        app.window().unwrap().x[1],
        window.x[1],
        "zoomed around the cursor"
    );
    app.update(Action::Close);
    assert_eq!(app.cursor(), None);
}

#[test]
fn a_checkpoint_that_is_looked_at_stays_when_new_ones_come() {
    let mut app = app(4);
    app.update(Action::ScrubBack);
    app.receive(snapshot(9));
    assert_eq!(app.selected(), Some(2));
    app.receive(snapshot(2));
    assert_eq!(app.selected(), Some(1));
}

#[test]
fn a_frozen_picture_stands_still_and_counts_what_came_since() {
    let mut app = app(4);
    app.update(Action::Freeze);
    app.receive(snapshot(6));
    assert_eq!((app.checkpoints(), app.lag()), (4, Some(2)));
    app.update(Action::Freeze);
    assert_eq!((app.checkpoints(), app.lag()), (6, None));
}

#[test]
fn zoom_and_pan_have_the_new_window_surveyed() {
    let mut app = app(5);
    let whole = app.window().unwrap();
    let commands = app.update(Action::ZoomIn);
    let window = app.window().unwrap();
    assert_eq!(commands, [Command::Survey(Some(window))]);
    let extent = |w: PlaneWindow| w.x[1] - w.x[0];
    assert!((extent(whole) / extent(window) - ZOOM).abs() < 1e-12);
    app.update(Action::PanRight);
    let moved = app.window().unwrap();
    assert!((moved.x[0] - window.x[0] - PAN * extent(window)).abs() < 1e-12);
    assert_eq!(app.update(Action::WholePath), [Command::Survey(None)]);
    assert_eq!(app.update(Action::WholePath), []);
    assert_eq!(app.window(), Some(whole));
}

#[test]
fn the_point_that_is_zoomed_at_stays_where_it_is() {
    let mut app = app(5);
    let before = app.window().unwrap();
    let point = [
        before.x[0] + 0.25 * (before.x[1] - before.x[0]),
        before.y[1],
    ];
    let asked = app.zoom_at(point, true);
    let after = app.window().unwrap();
    assert_eq!(asked, [Command::Survey(Some(after))]);
    let share = (point[0] - after.x[0]) / (after.x[1] - after.x[0]);
    assert!((share - 0.25).abs() < 1e-12, "{after:?}");
    assert!((after.y[1] - before.y[1]).abs() < 1e-12, "{after:?}");
    let extent = |window: PlaneWindow| window.x[1] - window.x[0];
    assert!((extent(before) / extent(after) - ZOOM).abs() < 1e-12);
    app.zoom_at(point, false);
    assert!((extent(app.window().unwrap()) - extent(before)).abs() < 1e-12);
}

#[test]
fn the_checkpoint_nearest_to_a_point_is_looked_at() {
    let mut app = app(5);
    app.point_at([3.1, 1.4]);
    assert_eq!(app.selected(), Some(1));
    app.point_at([0.2, 0.0]);
    app.receive(snapshot(7));
    assert_eq!(app.selected(), Some(6), "the last one is followed");
    app.update(Action::Cursor);
    app.point_at([3.1, 1.4]);
    assert_eq!((app.selected(), app.cursor()), (Some(6), Some([3.1, 1.4])));
}

#[test]
fn zooming_ends_where_there_is_nothing_left_to_see() {
    let mut app = app(5);
    let whole = app.window().unwrap();
    let extent = |w: PlaneWindow| w.x[1] - w.x[0];
    for (action, ratio) in [(Action::ZoomIn, 1e-5), (Action::ZoomOut, 100.0)] {
        app.update(Action::WholePath);
        let mut count = 0;
        while !app.update(action).is_empty() {
            count += 1;
        }
        let reached = extent(app.window().unwrap()) / extent(whole);
        assert!(
            count > 5 && (ratio / ZOOM..=ratio * ZOOM).contains(&reached),
            "{reached}"
        );
    }
}

#[test]
fn freezing_stops_a_film_and_going_on_follows_the_run() {
    let mut app = app(9);
    app.update(Action::Film);
    app.advance();
    app.update(Action::Freeze);
    assert!(!app.is_filming() && app.selected() == Some(1) && app.lag() == Some(0));
    app.update(Action::Freeze);
    assert_eq!((app.selected(), app.lag()), (Some(8), None));
}

#[test]
fn a_cursor_that_would_be_out_of_sight_starts_in_the_middle() {
    let mut app = app(9);
    for action in [Action::ZoomIn, Action::ZoomIn, Action::ZoomIn] {
        app.update(action);
    }
    app.update(Action::Cursor);
    assert_eq!(app.cursor(), app.window().map(middle));
}

#[test]
fn without_a_path_nothing_moves() {
    let mut app = App::new(Appearance::default());
    for action in [
        Action::ZoomIn,
        Action::PanUp,
        Action::Neighbourhood,
        Action::ScrubBack,
    ] {
        assert_eq!(app.update(action), []);
    }
    assert_eq!((app.window(), app.selected()), (None, None));
}

#[test]
fn views_go_round_both_ways() {
    let mut app = app(2);
    app.update(Action::PreviousView);
    assert_eq!(app.view(), View::Relief);
    app.update(Action::PreviousView);
    assert_eq!(app.view(), View::Compare);
    app.update(Action::NextView);
    app.update(Action::NextView);
    assert_eq!(app.view(), View::Map);
}

#[test]
fn pausing_twice_goes_on() {
    let mut app = app(2);
    assert_eq!(app.update(Action::Pause), [Command::Pause(true)]);
    assert_eq!(app.update(Action::Pause), [Command::Pause(false)]);
}

#[test]
fn a_dismissed_banner_comes_back_only_with_news() {
    let with = |notices: &[&str]| {
        Arc::new(Snapshot {
            notices: notices.iter().map(|n| (*n).to_owned()).collect(),
            ..Snapshot::default()
        })
    };
    let mut app = App::new(Appearance::default());
    app.receive(with(&["first"]));
    assert_eq!(app.banner(), Some("first"));
    app.update(Action::Close);
    assert_eq!(app.banner(), None);
    app.receive(with(&["first", "second"]));
    assert_eq!(app.banner(), Some("second"));
}

#[test]
fn what_was_wrong_at_the_start_is_told_one_by_one_after_the_news() {
    let mut app = App::new(Appearance::default());
    app.warn(vec!["one".into(), "two".into()]);
    app.receive(Arc::new(Snapshot {
        notices: vec!["news".into()],
        ..Snapshot::default()
    }));
    for expected in [Some("news"), Some("two"), Some("one"), None, None] {
        assert_eq!(app.banner(), expected);
        app.update(Action::Close);
    }
}
