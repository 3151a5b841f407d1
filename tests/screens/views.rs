//! The other views.

use std::sync::Arc;

use super::drawn::*;
use super::synthetic;
use insta::assert_snapshot;
use isoloss::data::Split;
use isoloss::landscape::{Extremes, QueryAnswer};
use isoloss::loss::Measure;
use isoloss::loss::{Classes, Loss};
use isoloss::run::Hyper;
use isoloss::session::{Analysis, AnalysisPicture, Finding, Snapshot};
use isoloss::tui::{Action, App};

#[test]
fn the_slices_where_one_view_has_room() {
    let app = app(synthetic::snapshot(), &[Action::ShowSlices]);
    assert_snapshot!(text(&screen(&app, 70, 20)));
}

#[test]
fn random_slices_overlaid() {
    let keys = [Action::ShowSlices, Action::NextDirections];
    assert_snapshot!(sizes(&view(&keys, Some(Analysis::Random))));
}

#[test]
fn the_line_from_the_first_checkpoint() {
    let next = Action::NextDirections;
    let keys = [Action::ShowSlices, next, next, next];
    assert_snapshot!(sizes(&view(&keys, Some(Analysis::Line))));
}

/// The points of a line that an expression is asked of, with what is measured there.
fn with_line_values(at: impl Fn(f64) -> Option<Measure>) -> App {
    let next = Action::NextDirections;
    let mut snapshot = synthetic::studied(Analysis::Line);
    let analysis = snapshot.analysis.as_mut().expect("an analysis");
    let AnalysisPicture::Lines(lines) = &mut analysis.picture else {
        panic!("{:?}", analysis.picture)
    };
    let line = &mut lines[0];
    for (alpha, value) in line.alpha.iter().zip(&mut line.values) {
        *value = at(*alpha);
    }
    app(snapshot, &[Action::ShowSlices, next, next, next])
}

#[test]
fn the_barrier_is_that_between_the_ends() {
    // A hill of 0.5 in the middle, on a slope from 1 to 2.
    let hill = |alpha: f64| 1.0 + alpha + 2.0 * alpha * (1.0 - alpha);
    let loss = |loss| Measure { loss, score: 0.5 };
    let diverges_outside = |alpha: f64| {
        let between = (0.0..=1.0).contains(&alpha);
        Some(loss(if between { hill(alpha) } else { f64::NAN }))
    };
    let said = |app: &App| text(&screen(app, 120, 40));
    assert!(said(&with_line_values(diverges_outside)).contains("barrier 0.5 · train —, test - -"));
    let hole = |alpha: f64| Some(loss(if alpha == 0.5 { f64::NAN } else { hill(alpha) }));
    assert!(said(&with_line_values(hole)).contains("barrier not a number"));
    let half = |alpha: f64| (alpha < 0.5).then(|| loss(hill(alpha)));
    assert!(!said(&with_line_values(half)).contains("barrier"));
}

#[test]
fn both_planes_of_the_path_have_a_scale_at_every_size() {
    let app = view(&[Action::ShowPath], None);
    for (width, height) in [(120, 40), (80, 24)] {
        let said = text(&screen(&app, width, height));
        for axis in ["PC1", "PC2", "random 1", "random"] {
            assert!(said.contains(axis), "{axis}\n{said}");
        }
        // The window of the synthetic path has the origin and 5 among its round numbers.
        let ticks = said.lines().filter(|line| line.contains('╶'));
        assert!(ticks.count() >= 2, "{said}");
    }
    // The path with a fifth of its extent on each side.
    let tiny = text(&screen(&app, 40, 12));
    assert!(tiny.contains("11.2 wide · 3.01 high"), "{tiny}");
}

#[test]
fn the_path_on_both_planes() {
    assert_snapshot!(sizes(&view(&[Action::ShowPath], None)));
}

#[test]
fn the_weights_over_training() {
    assert_snapshot!(sizes(&view(&[Action::ShowWeights], None)));
}

#[test]
fn the_weights_as_histograms() {
    let keys = [Action::ShowWeights, Action::NextDirections];
    assert_snapshot!(sizes(&view(&keys, None)));
}

#[test]
fn the_log_beside_the_losses_and_sharpness_against_the_edge() {
    let next = Action::NextDirections;
    let app = app(with_a_log(), &[Action::ShowWeights, next, next]);
    assert_snapshot!(sizes(&app));
}

#[test]
fn what_training_logged_stands_in_the_header_and_beside_the_true_loss() {
    let app = app(with_a_log(), &[]);
    let wide = text(&screen(&app, 160, 40));
    let header = wide.lines().next().expect("a line");
    assert!(
        header.contains("logged 0.3") && header.contains("lr 0.005"),
        "{header}"
    );
    let words = text(&screen(&app, 120, 40));
    let row = words
        .lines()
        .skip(1)
        .find(|line| line.contains("logged"))
        .expect("a row");
    assert!(row.contains("0.328 eval 0.428 lr 0.005"), "{row}");
}

#[test]
fn without_a_log_the_view_says_which_are_read() {
    let next = Action::NextDirections;
    let mut snapshot = synthetic::snapshot();
    snapshot.hyper.clear();
    snapshot.lambda_max = vec![(
        *snapshot
            .trajectory
            .clone()
            .expect("a path")
            .steps
            .last()
            .expect("a step"),
        3.0,
    )];
    let app = app(snapshot, &[Action::ShowWeights, next, next]);
    let said = text(&screen(&app, 120, 40));
    for words in [
        "trainer_state.json, metrics.csv",
        "2/lr needs a learning rate",
    ] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn the_curvature_map() {
    assert_snapshot!(sizes(&view(
        &[Action::ShowCurvature],
        Some(Analysis::Curvature)
    )));
}

#[test]
fn the_relief_turned() {
    assert_snapshot!(sizes(&view(&[Action::ShowRelief, Action::PanRight], None)));
}

#[test]
fn two_runs_side_by_side() {
    let mut app = view(&[Action::ShowCompare], None);
    app.receive_compared(vec![Arc::new(synthetic::snapshot())]);
    assert_snapshot!(sizes(&app));
    // A plane through two runs needs one architecture.
    let mut stranger = synthetic::snapshot();
    if let Finding::Is(model) = &mut stranger.model {
        model.name = "vgg9".into();
    }
    app.receive_compared(vec![Arc::new(stranger)]);
    assert!(!sizes(&app).contains("--shared"));
}

#[test]
fn on_test_samples_the_title_of_a_run_is_its_test_error() {
    let mut snapshot = synthetic::snapshot();
    // Test samples beside others are measured only where the map is of others.
    snapshot.test = None;
    if let Finding::Is(data) = &mut snapshot.data {
        data.split = Split::Test;
    }
    snapshot.hyper = vec![Hyper {
        batch_size: Some(128.0),
        weight_decay: Some(5e-4),
        ..Hyper::default()
    }];
    let mut app = app(snapshot, &[Action::ShowCompare]);
    app.receive_compared(vec![Arc::new(synthetic::without_data(None))]);
    // The synthetic run ends at an accuracy of 90.4 %.
    let wide = text(&screen(&app, 120, 40));
    assert!(wide.contains("resnet20, bs 128, wd 0.0005, test error 9.6 %"));
    assert!(wide.contains("no loss surface: no data given"), "{wide}");
    app.receive_compared(vec![Arc::new(synthetic::snapshot())]);
    let beside = text(&screen(&app, 120, 40));
    assert!(beside.contains("test error 11.4 %"), "{beside}");
    let tiny = text(&screen(&app, 40, 12));
    for whole in ["resnet20, bs 128 ", "wd 0.0005 ", "test error 9.6 %"] {
        assert!(tiny.contains(whole), "{tiny}");
    }
}

#[test]
fn a_score_stands_under_its_own_name_and_goes_where_there_is_none() {
    let shown = |loss: Loss| {
        let snapshot = Snapshot {
            loss,
            ..synthetic::snapshot()
        };
        let mut screens = String::new();
        for actions in [&[][..], &[Action::Cursor], &[Action::ShowCompare]] {
            screens += &text(&screen(&app(snapshot.clone(), actions), 120, 40));
        }
        screens
    };
    let next_token = Loss::NextToken {
        classes: Classes::default(),
        shift: true,
    };
    let words = ["accuracy", "acc ", "perplexity", "ppl ", "R²", "right"];
    for (loss, expected) in [
        (Loss::default(), &["accuracy", "acc ", "right"][..]),
        (next_token, &["perplexity", "ppl "]),
        (Loss::Mse, &["R²"]),
        (Loss::L1, &[]),
    ] {
        let screens = shown(loss);
        for word in words {
            let is_there = screens.contains(word);
            assert_eq!(is_there, expected.contains(&word), "{word}\n{screens}");
        }
        assert!(screens.contains("loss along PC1"), "{screens}");
    }
}

#[test]
fn a_curvature_map_that_is_being_measured_says_how_far_it_is() {
    let mut snapshot = synthetic::path_only(25);
    let (mut findings, jobs) =
        synthetic::planned(Analysis::Curvature, &snapshot).expect("a path with a plane");
    for (_, target) in &jobs[0].tasks[..12] {
        let found = Extremes {
            lambda_max: 20.0,
            lambda_min: -1.0,
            iterations: 22,
            converged: true,
        };
        findings.take(*target, &QueryAnswer::Curvature(found));
    }
    findings.seconds_left = Some(45.0);
    snapshot.analysis = Some(findings);
    let mut app = app(snapshot, &[Action::ShowCurvature]);
    for (width, height) in [(120, 40), (80, 24), (40, 12)] {
        let said = text(&screen(&app, width, height));
        // The checkpoint itself is one of them, beside the grid of 81.
        assert!(said.contains("12 of 82 points  45 s left"), "{said}");
        assert!(said.contains("λmax 20 · λmin -1 · ratio 0.05"), "{said}");
    }
    let mut paused = app.snapshot().clone();
    paused.progress.paused = true;
    app.receive(Arc::new(paused));
    assert!(text(&screen(&app, 40, 12)).contains("12 of 82 points  paused"));
}

#[test]
fn a_zoomed_view_has_the_screen_for_itself() {
    let app = app(
        synthetic::snapshot(),
        &[Action::ShowSlices, Action::ZoomView],
    );
    assert_snapshot!(sizes(&app));
}

#[test]
fn a_film_shows_the_path_up_to_its_checkpoint() {
    let mut app = app(synthetic::snapshot(), &[Action::Film]);
    (0..4).for_each(|_| app.advance());
    assert_snapshot!(sizes(&app));
}
