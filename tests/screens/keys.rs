//! Help, hints and the keys.

use super::drawn::*;
use super::synthetic;
use clap::ValueEnum;
use insta::assert_snapshot;
use isoloss::session::CheckpointState;
use isoloss::tui::input::keymap::{self};
use isoloss::tui::{Action, Invocation, Keymap, PromptKey};

#[test]
fn the_help_has_every_row_of_the_table() {
    let text = text(&screen(
        &app(synthetic::snapshot(), &[Action::Help]),
        120,
        40,
    ));
    for row in keymap::rows() {
        let keys = Keymap::default().printed(row);
        let line = format!("{keys:14}{}", row.help);
        assert!(text.contains(&line), "{line}");
        assert!(!keys.is_empty() && keys.chars().count() < 14);
    }
    assert_snapshot!(text);
}

#[test]
fn where_the_help_has_no_room_the_arrows_scroll_to_each_of_its_lines() {
    for (width, height) in [(80, 24), (40, 12)] {
        let mut app = app(synthetic::snapshot(), &[Action::Help]);
        let mut seen = String::new();
        for _ in 0..20 {
            let page = text(&screen(&app, width, height));
            assert!(page.contains("keys · ↑ ↓ scroll"), "{page}");
            seen += &page;
            assert_eq!(app.update(Action::PanDown), []);
        }
        for row in keymap::rows() {
            let first = row.help.split(' ').next().unwrap_or_default();
            let line = format!("{:14}{first}", Keymap::default().printed(row));
            assert!(seen.contains(&line), "{line}");
            // No word is cut.
            for word in row.help.split(' ') {
                assert!(seen.split_whitespace().any(|seen| seen == word), "{word}");
            }
        }
        assert!(seen.contains("not yet measured"));
        let last = text(&screen(&app, width, height));
        assert!(last.contains("not yet measured"), "{last}");
        for _ in 0..20 {
            app.update(Action::PanUp);
        }
        assert!(text(&screen(&app, width, height)).contains("map, slices, path"));
    }
}

#[test]
fn help_and_hints_show_the_keys_in_force() {
    let changes = [
        (Action::Help, vec!["f1".parse().unwrap()]),
        (Action::ShowCommand, vec![]),
    ];
    let keymap = Keymap::default().rebound(&changes).unwrap();
    let app = app(synthetic::snapshot(), &[Action::Help]).with_keys(keymap);
    let text = text(&screen(&app, 160, 40));
    assert!(text.contains(&format!("{:14}these keys", "f1")), "{text}");
    assert!(text.contains("f1 help"), "{text}");
    assert!(!text.contains("reproduces"), "{text}");
}

#[test]
fn no_size_is_refused() {
    let unreadable = || {
        let mut snapshot = synthetic::snapshot();
        snapshot.checkpoints[3].state = CheckpointState::Unreadable("a reason".repeat(9));
        snapshot.notices = vec!["a notice ".repeat(30)];
        snapshot
    };
    let snapshots = [0, 1, 2, 25].map(synthetic::path_only).into_iter();
    let more = [synthetic::rotated(3), synthetic::resumed()];
    let snapshots: Vec<_> = snapshots
        .chain([synthetic::snapshot(), unreadable()])
        .chain(more)
        .collect();
    let mut sizes: Vec<(u16, u16)> = (1..=40)
        .flat_map(|w| (1..=12).map(move |h| (w, h)))
        .collect();
    sizes.extend([
        (0, 0),
        (0, 5),
        (5, 0),
        (44, 11),
        (58, 11),
        (60, 16),
        (99, 60),
        (100, 30),
    ]);
    for snapshot in snapshots {
        for actions in [
            &[][..],
            &[Action::Help],
            &[Action::NextMarker, Action::ShowSlices],
        ] {
            let app = app(snapshot.clone(), actions);
            for &(width, height) in &sizes {
                assert_eq!(
                    screen(&app, width, height).content.len(),
                    usize::from(width * height)
                );
            }
        }
    }
    screen(&app(synthetic::snapshot(), &[]), 300, 100);
}

#[test]
fn the_step_that_is_typed_and_the_nearest_one_are_shown() {
    let mut app = app(synthetic::snapshot(), &[Action::Jump]);
    let empty = text(&screen(&app, 70, 20));
    app.enter(PromptKey::Digit('4'));
    app.enter(PromptKey::Digit('3'));
    let typed = sizes(&app);
    assert_snapshot!(format!("{empty}\n{typed}"));
}

#[test]
fn the_command_can_be_copied() {
    let invocation = Invocation {
        run: "runs/a folder".into(),
        measure: ["--data", "digits", "--samples", "256", "--seed", "0"]
            .map(str::to_owned)
            .to_vec(),
        batch_norm: ["--bn", "frozen"].map(str::to_owned).to_vec(),
        ..Invocation::default()
    };
    let mut app = app(synthetic::snapshot(), &[Action::ShowCommand]).of(invocation);
    let map = sizes(&app);
    app.update(Action::ShowSlices);
    assert_snapshot!(format!("{map}\n{}", text(&screen(&app, 120, 40))));
}

#[test]
fn a_command_says_which_axes_it_has_the_other_way() {
    let said = |sign: f64| {
        let mut snapshot = synthetic::snapshot();
        let path = snapshot.trajectory.as_deref().cloned();
        let mut path = path.expect("a path");
        for at in &mut path.coordinates {
            at[1] *= sign;
        }
        snapshot.trajectory = Some(path.into());
        let invocation = Invocation {
            run: "runs/a".into(),
            ..Invocation::default()
        };
        let app = app(snapshot, &[Action::ShowCommand]).of(invocation);
        text(&screen(&app, 120, 40))
    };
    assert!(said(-1.0).contains("# mirrored along PC2"));
    assert!(!said(1.0).contains("mirrored"));
}

/// Keys after which an action has something to do.
fn before(action: Action) -> &'static [Action] {
    match action {
        Action::ShowMap => &[Action::ShowSlices],
        Action::ScrubForward => &[Action::LeapBack],
        Action::LeapForward => &[Action::LeapBack, Action::LeapBack],
        Action::WholePath => &[Action::ZoomIn],
        Action::Close => &[Action::Help],
        _ => &[],
    }
}

#[test]
fn every_key_of_the_table_does_something_that_can_be_seen() {
    let keymap = Keymap::default();
    for action in Action::value_variants() {
        assert!(!keymap.keys(*action).is_empty(), "{action} has no key");
        // Theirs who have the terminal and the files; tests/pty and tests/export.rs press them.
        if [Action::Suspend, Action::Export].contains(action) {
            continue;
        }
        let mut app = app(synthetic::snapshot(), before(*action));
        let shown = dump(&screen(&app, 120, 40));
        let asked = app.update(*action);
        let changed = dump(&screen(&app, 120, 40)) != shown;
        assert!(changed || !asked.is_empty() || app.is_over(), "{action}");
    }
}
