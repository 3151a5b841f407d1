//! The events between snapshots, in words.

use std::sync::Arc;

use super::*;
use crate::landscape::Surface;
use crate::run::{Logged, TrainingLog};
use crate::session::{Map, MapPlane, Progress};
use crate::weights::Trajectory;

fn line(step: u64, state: CheckpointState) -> CheckpointLine {
    CheckpointLine {
        step: Some(step),
        state,
        ..CheckpointLine::new(format!("run/model_{step}.pt").as_ref())
    }
}

#[test]
fn a_loss_that_is_measured_anew_is_told_again() {
    let measured = |loss| {
        let mut snapshot = snapshot(vec![line(10, CheckpointState::OnPath)]);
        snapshot.checkpoints[0].truth = Some(Measure { loss, score: 0.25 });
        snapshot
    };
    let told = changes(&measured(0.5), &measured(0.75));
    assert_eq!(
        told,
        ["loss 0.7500 at step 10 (model_10.pt), accuracy 25.0 %"]
    );
    assert!(changes(&measured(f64::NAN), &measured(f64::NAN)).is_empty());
}

#[test]
fn the_loss_that_training_logged_stands_beside_the_measured_one() {
    let mut before = snapshot(vec![line(10, CheckpointState::OnPath)]);
    before.trajectory = Some(Arc::new(Trajectory {
        steps: vec![10],
        ..Trajectory::default()
    }));
    let mut after = before.clone();
    after.checkpoints[0].truth = Some(Measure {
        loss: 0.5,
        score: 0.25,
    });
    after.logged = vec![Logged {
        train: Some(0.525),
        eval: None,
        rate: Some(1e-3),
    }];
    after.training = Some(Arc::new(TrainingLog {
        source: "run/metrics.csv".into(),
        train: [(10, 0.525)].into_iter().collect(),
        ..TrainingLog::default()
    }));
    let expected = [
        "log run/metrics.csv, to step 10, train loss 0.525",
        "loss 0.5000 at step 10 (model_10.pt), accuracy 25.0 %, logged 0.5250, lr 0.001",
    ];
    assert_eq!(changes(&before, &after), expected);
}

fn snapshot(checkpoints: Vec<CheckpointLine>) -> Snapshot {
    Snapshot {
        checkpoints,
        ..Snapshot::default()
    }
}

#[test]
fn each_event_is_one_line_and_nothing_new_is_none() {
    let before = snapshot(vec![
        line(1, CheckpointState::OnPath),
        line(2, CheckpointState::Waiting),
    ]);
    let mut after = before.clone();
    assert!(changes(&before, &after).is_empty());
    after.checkpoints[1].state = CheckpointState::OnPath;
    after.checkpoints[0].truth = Some(Measure {
        loss: 0.5,
        score: 0.25,
    });
    after.checkpoints.push(line(
        3,
        CheckpointState::Unreadable("model_3.pt: cut".into()),
    ));
    let expected = [
        "loss 0.5000 at step 1 (model_1.pt), accuracy 25.0 %",
        "checkpoint step 2 (model_2.pt)",
        "unreadable model_3.pt: cut",
    ];
    assert_eq!(changes(&before, &after), expected);
}

#[test]
fn a_map_is_told_when_it_rests_and_again_when_the_plane_is_another() {
    let mut surface = Surface::new(vec![-1.0, 1.0], vec![0.0, 2.0]);
    let measure = Measure {
        loss: 0.25,
        score: 1.0,
    };
    surface.record(1, 0, measure);
    let at_rest = |origin: u64| Snapshot {
        map: Some(Map {
            surface: surface.clone(),
            fidelity: None,
            stale: false,
        }),
        plane: Some(MapPlane {
            origin,
            ..MapPlane::default()
        }),
        progress: Progress {
            rests: true,
            lines: Some(2),
            error: Some(0.004),
            ..Progress::default()
        },
        ..Snapshot::default()
    };
    let expected =
        "map at rest: 1 points, mean error 0.40 % expected, lowest loss 0.2500 at 1.0000, 0.0000";
    let (first, second) = (at_rest(1), at_rest(2));
    assert_eq!(changes(&Snapshot::default(), &first), [expected]);
    assert!(changes(&first, &first).is_empty());
    assert_eq!(changes(&first, &second), [expected]);
}

#[test]
fn a_level_is_told_when_all_its_points_stand_and_a_finer_one_when_the_next_is_begun() {
    let mut surface = Surface::new(vec![0.0, 1.0], vec![0.0]);
    surface.record(
        1,
        0,
        Measure {
            loss: 0.25,
            score: 1.0,
        },
    );
    let at = |lines: usize, whole: Option<usize>| Snapshot {
        map: Some(Map {
            surface: surface.clone(),
            fidelity: None,
            stale: false,
        }),
        progress: Progress {
            lines: Some(lines),
            whole,
            ..Progress::default()
        },
        ..Snapshot::default()
    };
    let told = [
        (5, None, None),
        (5, Some(5), Some("map 5×5")),
        (9, Some(5), None),
        (9, Some(9), Some("map 9×9")),
        (17, Some(9), None),
        (33, Some(9), Some("map 17×17")),
    ];
    let mut before = at(5, None);
    for (lines, whole, expected) in told {
        let after = at(lines, whole);
        let news = changes(&before, &after);
        let names = news.iter().map(|line| line.split(':').next());
        assert_eq!(
            names.collect::<Vec<_>>(),
            Vec::from_iter(expected.map(Some))
        );
        before = after;
    }
}

#[test]
fn what_is_missing_is_said_once() {
    let before = snapshot(Vec::new());
    let mut after = before.clone();
    after.model = Finding::Not("unknown names".into());
    assert_eq!(changes(&before, &after), ["no surface: unknown names"]);
    assert!(changes(&after, &after).is_empty());
}
