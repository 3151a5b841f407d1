//! The first line and the trust pane.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::drawn::*;
use super::synthetic;
use isoloss::landscape::{Assumed, AssumedFunction};
use isoloss::loss::Measure;
use isoloss::model::{Activation, Reading};
use isoloss::session::{CheckpointState, Fidelity, Finding, KeptLine, MapPlane, Snapshot};
use isoloss::tui::{Action, App, Appearance};

#[test]
fn a_scrubbed_frozen_paused_screen_with_a_banner_says_so() {
    let mut snapshot = synthetic::snapshot();
    snapshot.notices =
        vec!["the reader stopped: index out of range; what was found so far stays".into()];
    snapshot.checkpoints[24].state = CheckpointState::Unreadable("model_384.pt: cut".into());
    let actions = [
        Action::Freeze,
        Action::Pause,
        Action::ScrubBack,
        Action::ScrubBack,
    ];
    let mut app = app(snapshot, &actions);
    let mut newer = synthetic::path_only(26);
    newer.notices.clone_from(&app.snapshot().notices);
    app.receive(Arc::new(newer));
    let text = text(&screen(&app, 120, 40));
    for said in [
        "the reader stopped",
        "frozen, 1 newer",
        "step 352",
        "23 of 25",
        "1 unreadable",
        "paused",
        "◆",
        "6 % of extent here",
    ] {
        assert!(text.contains(said), "{said} is missing in\n{text}");
    }
}

/// The first line of the screen at this time after the newest checkpoint, if there is a clock.
fn header(snapshot: Snapshot, clock: Option<fn() -> SystemTime>, width: u16) -> String {
    let mut app = App::new(Appearance::default());
    if let Some(clock) = clock {
        app = app.with_clock(clock);
    }
    app.receive(Arc::new(snapshot));
    let text = text(&screen(&app, width, 40));
    text.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn the_header_says_how_old_the_newest_checkpoint_is_and_if_one_is_overdue() {
    let said = |clock: fn() -> SystemTime| header(synthetic::snapshot(), Some(clock), 120);
    let usual = said(|| synthetic::SAVED + Duration::from_secs(12));
    assert!(
        usual.contains("● watching  saved 12 s ago, usually every 30 s"),
        "{usual}"
    );
    let overdue = said(|| synthetic::SAVED + Duration::from_secs(240));
    assert!(
        overdue.contains("○ overdue  saved 4 min ago, usually every 30 s"),
        "{overdue}"
    );
    let over = said(|| synthetic::SAVED + Duration::from_secs(3 * 3600));
    assert!(over.contains("○ ended or stopped  saved 3 h ago"), "{over}");
    // A recording has no clock, and says nothing of an age.
    let recording = Snapshot {
        watching: isoloss::session::record::WATCHING.into(),
        ..synthetic::snapshot()
    };
    let replayed = header(recording, None, 120);
    assert!(
        replayed.contains("● recording") && !replayed.contains("ago"),
        "{replayed}"
    );
    let small = header(
        synthetic::snapshot(),
        Some(|| synthetic::SAVED + Duration::from_secs(12)),
        80,
    );
    assert!(
        small.contains("saved 12 s ago  ") && small.contains("acc 90.4 %"),
        "{small}"
    );
}

#[test]
fn the_header_has_the_newest_loss_that_is_known_with_its_step() {
    let mut snapshot = synthetic::snapshot();
    let lines = &mut snapshot.checkpoints;
    let newest = lines.len() - 1;
    for line in &mut lines[newest - 1..] {
        (line.truth, line.on_plane) = (None, None);
    }
    let known = &lines[newest - 2];
    let (step, loss) = (known.step.unwrap(), known.truth.unwrap().loss);
    let said = format!("loss {} at step {step}", isoloss::plot::axis::short(loss));
    let header = header(snapshot, None, 120);
    assert!(header.contains(&said), "{said}: {header}");
}

#[test]
fn an_assumption_gives_way_to_the_age_and_the_score_to_an_assumption() {
    let mut snapshot = synthetic::snapshot();
    if let Some(assumed) = &mut snapshot.assumed {
        assumed.tied = vec!["gelu".into()];
        assumed.function.reading.activation = Some(Activation::LeakyRelu);
        assumed.normalization = "mean 0.286 std 0.353 (fashion-mnist)".into();
    }
    let at = |width| {
        let clock = || synthetic::SAVED + Duration::from_secs(12);
        let header = header(snapshot.clone(), Some(clock), width);
        ["saved 12 s ago", "loss 0.234", "loss 0.234 assumed", "acc"]
            .map(|said| header.contains(said))
    };
    assert_eq!(at(120), [true; 4]);
    assert_eq!(at(76), [true, true, true, false]);
    assert_eq!(at(68), [true, true, false, false]);
}

#[test]
fn a_run_that_has_not_begun_is_not_out_of_reach() {
    let mut snapshot = synthetic::path_only(0);
    snapshot.trouble = Some("runs/resnet20: not there yet, waited for".into());
    assert!(header(snapshot, None, 120).contains("○ not begun yet"));
    let mut lost = synthetic::snapshot();
    lost.trouble = Some("runs/resnet20: permission denied".into());
    assert!(header(lost, None, 120).contains("○ folder cannot be read"));
}

/// Every state of a run that has rows of its own in the trust pane.
fn of_every_trust() -> Vec<Snapshot> {
    let assumed = Assumed {
        function: AssumedFunction {
            reading: Reading {
                activation: Some(Activation::LeakyRelu),
                ..Reading::default()
            },
            ..AssumedFunction::default()
        },
        normalization: "mean 0.2860, std 0.3530 (fashion-mnist: the set's own)".into(),
        cosine: Some(0.31),
        cosine_error: Some(0.05),
        intervals: 12,
        tied: vec!["tanh".into(), "gelu".into(), "silu".into(), "sigmoid".into()],
        loss_range: Some([0.1712, 0.2134]),
        doubtful: true,
        warning: Some("the path does not follow the gradient of this model on these samples: check the labels".into()),
        ..Assumed::default()
    };
    let doubtful = Snapshot {
        assumed: Some(assumed),
        ..synthetic::rotated(9)
    };
    let mut perfect = synthetic::snapshot();
    for line in &mut perfect.checkpoints {
        let all = Some(Measure {
            loss: 1.234e-9,
            score: 1.0,
        });
        (line.truth, line.on_plane) = (all, all);
    }
    perfect.test = perfect.checkpoints[0].truth;
    perfect.assumed = None;
    let mut random = synthetic::snapshot();
    if let Some(path) = &mut random.trajectory {
        let path = Arc::make_mut(path);
        path.lissajous = vec![0.99; 4];
        path.distance
            .iter_mut()
            .for_each(|distance| *distance = 1e3);
    }
    random.plane = Some(MapPlane {
        origin: 123_456_789,
        checkpoints: 12,
        explained: 1.0,
        best: 1.0,
        newest: 0.123,
    });
    let mut broken = synthetic::rotated(2);
    broken.kept = Some(KeptLine {
        checkpoints: 9999,
        bytes: 1_072_000_000,
        room: Some((5 << 30) / 2),
        thinned: 1234,
        ..KeptLine::default()
    });
    broken.checkpoints[3].state = CheckpointState::Unreadable("a/long/path/".repeat(9));
    broken.checkpoints[4].state = CheckpointState::LeftOut("a reason of many words ".repeat(9));
    if let Finding::Is(model) = &mut broken.model {
        model.name = "python -m a.very.long.evaluator --with=options".into();
        model.parameters = 7_000_000_000;
    }
    if let Finding::Is(data) = &mut broken.data {
        (data.samples, data.name) = (1_281_167, "imagenet-1k-resized-to-64".into());
    }
    broken.map.as_mut().expect("a map").fidelity = Some(Fidelity::Estimate {
        of: None,
        few: 16_384,
        points: 12_345,
        error: 0.1,
    });
    let mut logged = with_a_log();
    for logged in &mut logged.logged {
        (logged.train, logged.eval, logged.rate) = (Some(1.2e-5), Some(3.4e-7), Some(5.6e-8));
    }
    let refused = synthetic::without_data(None);
    vec![
        doubtful,
        perfect,
        random,
        broken,
        logged,
        refused,
        synthetic::resumed(),
    ]
}

#[test]
fn no_row_of_the_trust_pane_ever_has_a_second_line() {
    for snapshot in of_every_trust() {
        for keys in [&[][..], &[Action::ScrubBack]] {
            let app = app(snapshot.clone(), keys);
            let text = text(&screen(&app, 120, 40));
            let mut pane = text.lines().skip_while(|line| !line.contains("╭ trust"));
            let pane = pane.by_ref().skip(1).take_while(|line| !line.contains('╰'));
            // Each line has a name of its own, or goes on below the value of one: nothing is cut at the frame.
            for line in pane {
                let row: Vec<char> = line.chars().skip(81).take(38).collect();
                assert_eq!((row.len(), row[0], row[37]), (38, ' ', ' '), "{text}");
                let name: String = row[1..11].iter().collect();
                assert!(
                    name.ends_with(' ') || name.trim().is_empty(),
                    "{line}\n{text}"
                );
            }
        }
    }
}
