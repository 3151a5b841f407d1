//! The map, and what stands in it and below it.

use super::drawn::*;
use super::synthetic;
use insta::assert_snapshot;
use isoloss::landscape::OwnCost;
use isoloss::session::{Analysis, CheckpointState, Fidelity, Finding, Snapshot};
use isoloss::tui::Action;
use ratatui::buffer::Buffer;
use ratatui::style::Color;

#[test]
fn the_map_at_120_by_40() {
    assert_snapshot!(dump(&screen(&app(synthetic::snapshot(), &[]), 120, 40)));
}

#[test]
fn the_map_at_70_by_20() {
    assert_snapshot!(dump(&screen(&app(synthetic::snapshot(), &[]), 70, 20)));
}

#[test]
fn the_map_at_30_by_10() {
    assert_snapshot!(dump(&screen(&app(synthetic::snapshot(), &[]), 30, 10)));
}

#[test]
fn what_the_run_deleted_is_hollow_and_what_is_kept_is_counted() {
    let app = app(synthetic::rotated(9), &[]);
    let full = text(&screen(&app, 120, 40));
    for said in [
        "◦  deleted",
        "kept      25 copies, 26 MiB of 2 GiB",
        "deleted   16 of 25 checkpoints",
    ] {
        assert!(full.contains(said), "{said} is missing in\n{full}");
    }
    assert_snapshot!(sizes(&app));
}

#[test]
fn a_branch_that_a_resumed_run_has_left_is_dotted() {
    let app = app(synthetic::resumed(), &[]);
    // Its checkpoints have steps of the path, and are not those that are looked at.
    assert!(text(&screen(&app, 120, 40)).contains("┄  old"));
    assert_snapshot!(sizes(&app));
}

#[test]
fn a_path_that_was_thinned_and_what_is_left_out_are_said() {
    let mut snapshot = synthetic::rotated(2);
    if let Some(kept) = &mut snapshot.kept {
        kept.thinned = 3;
    }
    snapshot.checkpoints[4].state = CheckpointState::LeftOut("model_64.pt: holds NaN".into());
    snapshot.checkpoints[3].state = CheckpointState::LeftOut("an older reason".into());
    let app = app(snapshot, &[]);
    let full = text(&screen(&app, 120, 40));
    for said in [
        "thinned   3, copies are full",
        "  2 left out",
        "not shown 2 left out",
        "model_64.pt: holds NaN",
    ] {
        assert!(full.contains(said), "{said} is missing in\n{full}");
    }
    assert!(!full.contains("unreadable") && !full.contains("an older reason"));
    assert!(text(&screen(&app, 80, 24)).contains("3 thinned"));
}

#[test]
fn a_random_plane() {
    assert_snapshot!(sizes(&view(
        &[Action::NextDirections],
        Some(Analysis::Plane)
    )));
}

#[test]
fn a_map_of_few_samples_says_so_and_so_does_its_estimate_of_all() {
    let said = |fidelity, width, height| {
        let mut snapshot = synthetic::snapshot();
        if let Finding::Is(data) = &mut snapshot.data {
            data.samples = 60_000;
        }
        snapshot.map.as_mut().unwrap().fidelity = Some(fidelity);
        text(&screen(&app(snapshot, &[]), width, height))
    };
    let estimate = Fidelity::Estimate {
        of: None,
        few: 1024,
        points: 25,
        error: 0.004,
    };
    for (fidelity, title, row) in [
        (
            Fidelity::Few(1024),
            "1024 of 60000 samples",
            "1024 samples alone so far",
        ),
        (
            estimate,
            "60000 samples, estimated from 1024",
            "1024 samples, all at 25",
        ),
    ] {
        let wide = said(fidelity, 120, 40);
        assert!(wide.contains(title) && wide.contains(row), "{wide}");
        let small = said(fidelity, 80, 24);
        assert!(small.contains(title), "{small}");
    }
}

#[test]
fn one_bar_goes_to_the_end_of_the_picture_and_rest_is_said_when_nothing_is_wanted() {
    let foot = |snapshot: Snapshot, keys: &[Action]| {
        let text = text(&screen(&app(snapshot, keys), 120, 40));
        text.lines().last().unwrap_or_default().to_owned()
    };
    let said = foot(synthetic::snapshot(), &[]);
    assert!(
        said.contains("35 %  2 min left") && said.contains("█"),
        "{said}"
    );
    let mut rests = synthetic::snapshot();
    (rests.progress.rests, rests.progress.share) = (true, 1.0);
    assert!(foot(rests.clone(), &[]).contains("at rest"));
    // What is asked for beside the map is not measured yet.
    rests.analysis = synthetic::planned(Analysis::Curvature, &rests).map(|planned| planned.0);
    let keys = [Action::ShowCurvature];
    assert!(!foot(rests.clone(), &keys).contains("at rest"));
    let own = text(&screen(&app(rests.clone(), &keys), 120, 40));
    assert!(
        own.contains("░ 0 of 82 points") || own.contains("0 of 82 points"),
        "{own}"
    );
    rests.progress.rests = false;
    assert!(foot(rests, &keys).contains("map waits"));
}

#[test]
fn an_earlier_surface_is_dim_and_named() {
    let mut snapshot = synthetic::snapshot();
    if let Some(map) = &mut snapshot.map {
        map.stale = true;
    }
    let fresh = screen(&app(synthetic::snapshot(), &[]), 120, 40);
    let stale = screen(&app(snapshot, &[]), 120, 40);
    assert!(text(&stale).contains("earlier surface"));
    let brightness = |buffer: &Buffer| {
        let grounds = buffer.content.iter().filter_map(|cell| match cell.bg {
            Color::Rgb(r, g, b) => Some(u32::from(r) + u32::from(g) + u32::from(b)),
            _ => None,
        });
        grounds.sum::<u32>()
    };
    assert!(brightness(&stale) < brightness(&fresh));
}

#[test]
fn zooming_into_what_was_never_measured_shows_that_it_is_unknown() {
    let app = app(synthetic::snapshot(), &[Action::ZoomOut, Action::ZoomOut]);
    let text = text(&screen(&app, 120, 40));
    assert!(text.contains("·  not yet"), "{text}");
}

#[test]
fn the_cursor_tells_what_is_known_where_it_stands() {
    let mut keys = vec![Action::Cursor];
    keys.extend([Action::PanUp; 9]);
    keys.extend([Action::PanRight; 5]);
    assert_snapshot!(sizes(&app(synthetic::snapshot(), &keys)));
}

#[test]
fn a_map_that_waits_for_other_programs_says_so() {
    let said = |is_beside_others, rests, width| {
        let mut snapshot = synthetic::snapshot();
        snapshot.progress.rests = rests;
        snapshot.progress.other_work = None;
        snapshot.progress.cost = Some(OwnCost {
            is_beside_others,
            ..OwnCost::default()
        });
        text(&screen(&app(snapshot, &[]), width, 24)).contains("yields to other programs")
    };
    assert!(said(true, false, 120) && said(true, false, 80));
    assert!(!said(false, false, 120) && !said(true, true, 120));
}
