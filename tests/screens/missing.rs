//! Sentences where something is missing: samples, a model, checkpoints.

use super::drawn::*;
use super::synthetic;
use insta::assert_snapshot;
use isoloss::session::{Analysis, CheckpointState, Finding, Snapshot};
use isoloss::tui::Action;

#[test]
fn where_nothing_is_usable_the_view_says_why_at_every_size_and_once() {
    let why = "runs/resnet20: 12 files, none usable yet: all hold NaN or infinite weights";
    let mut snapshot = synthetic::path_only(0);
    snapshot.trouble = Some(why.into());
    snapshot.notices = vec!["model_0.pt: holds NaN".into()];
    let app = app(snapshot, &[]);
    for (width, height) in [(120, 40), (80, 24), (40, 12), (24, 10)] {
        let text = text(&screen(&app, width, height));
        let blank = |c: char| c.is_whitespace() || "│╭╮╰╯─".contains(c);
        let words: Vec<&str> = text.split(blank).filter(|word| !word.is_empty()).collect();
        let words = words.join(" ");
        assert_eq!(words.matches("none usable yet").count(), 1, "{text}");
        assert!(words.contains("infinite weights"), "{text}");
        assert!(!words.contains("cannot be read"), "{text}");
    }
    assert_snapshot!(sizes(&app));
}

#[test]
fn a_view_without_its_input_says_what_is_missing() {
    let said = |keys: &[Action], snapshot: Snapshot| text(&screen(&app(snapshot, keys), 70, 20));
    let early = || synthetic::path_only(1);
    assert!(
        said(&[Action::ShowCompare], synthetic::snapshot())
            .contains("isoloss watch runs/resnet20 OTHER")
    );
    assert!(said(&[Action::ShowPath], early()).contains("third checkpoint"));
    assert!(said(&[Action::ShowWeights], early()).contains("second checkpoint"));
    assert!(said(&[Action::ShowCurvature], early()).contains("third checkpoint"));
    assert!(said(&[Action::ShowRelief], early()).contains("third checkpoint"));
    let line = [
        Action::ShowSlices,
        Action::NextDirections,
        Action::NextDirections,
    ];
    assert!(said(&line, early()).contains("second checkpoint"));
}

#[test]
fn without_data_every_view_of_the_loss_says_how_to_give_it() {
    let next = Action::NextDirections;
    let views: [(&[Action], Option<Analysis>); 9] = [
        (&[Action::ShowMap], None),
        (&[next], Some(Analysis::Plane)),
        (&[Action::ShowSlices], None),
        (&[Action::ShowSlices, next], Some(Analysis::Random)),
        (&[Action::ShowSlices, next, next], Some(Analysis::Update)),
        (
            &[Action::ShowSlices, next, next, next],
            Some(Analysis::Line),
        ),
        (&[Action::ShowCurvature], Some(Analysis::Curvature)),
        (&[Action::ShowRelief], None),
        (
            &[Action::ShowWeights, next, next],
            Some(Analysis::Stability),
        ),
    ];
    for (keys, analysis) in views {
        let app = app(synthetic::without_data(analysis), keys);
        for (width, height) in [(120, 40), (80, 24), (40, 12)] {
            // The view itself is at the left; of the frames only words are left.
            let text = text(&screen(&app, width, height));
            let left = text.lines().map(|line| line.chars().take(79).collect());
            let left = left.collect::<Vec<String>>().join(" ").replace('│', " ");
            let words = left.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains("add --data FOLDER"), "{keys:?}\n{text}");
            for promise in ["not measured yet", "being measured", "0 of"] {
                assert!(!words.contains(promise), "{keys:?}\n{text}");
            }
        }
    }
    let app = app(synthetic::without_data(None), &[Action::ShowWeights]);
    assert!(text(&screen(&app, 120, 40)).contains("no critical sharpness: no data"));
}

#[test]
fn before_the_first_checkpoint() {
    let mut snapshot = synthetic::path_only(0);
    snapshot.model = Finding::Pending;
    snapshot.data = Finding::Pending;
    assert_snapshot!(text(&screen(&app(snapshot, &[]), 70, 20)));
}

#[test]
fn only_checkpoints_that_cannot_be_read() {
    let mut snapshot = synthetic::path_only(3);
    snapshot.trajectory = None;
    for line in &mut snapshot.checkpoints {
        line.state = CheckpointState::Waiting;
    }
    snapshot.checkpoints[0].state = CheckpointState::Unreadable(
        "runs/resnet20/model_0.pt: expected 1048576 bytes by its own header, found 4096".into(),
    );
    assert_snapshot!(text(&screen(&app(snapshot, &[]), 70, 20)));
}

#[test]
fn one_checkpoint_is_a_point() {
    assert_snapshot!(text(&screen(&app(synthetic::path_only(1), &[]), 70, 20)));
}

#[test]
fn two_checkpoints_are_a_line() {
    assert_snapshot!(text(&screen(&app(synthetic::path_only(2), &[]), 70, 20)));
}

#[test]
fn without_a_model_the_path_is_drawn_and_the_reason_stands_below() {
    let mut snapshot = synthetic::path_only(25);
    snapshot.model = Finding::Not(
        "no known architecture has the tensors encoder.layer.0.attention.self.query.weight and 196 more: \
         name one with --model"
            .into(),
    );
    let buffer = screen(&app(snapshot, &[]), 120, 40);
    let text = text(&buffer);
    assert!(text.contains("no loss surface: no known architecture") && text.contains("PC1 73.4 %"));
    assert_snapshot!(text);
}
