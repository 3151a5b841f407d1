//! The screen, cell by cell: text and style, at three sizes and in every state that a run can be in.

#![allow(clippy::expect_used)]

mod synthetic;

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::ValueEnum;
use insta::assert_snapshot;
use isoloss::data::Split;
use isoloss::landscape::curvature::Extremes;
use isoloss::landscape::evidence::{Assumed, Function};
use isoloss::landscape::surface::Measure;
use isoloss::landscape::worker::protocol::Value;
use isoloss::loss::{Classes, Loss};
use isoloss::model::activation::Activation;
use isoloss::model::reading::Reading;
use isoloss::plot::map::Layers;
use isoloss::plot::raster::Marker;
use isoloss::run::hyper::Hyper;
use isoloss::run::log::{Clock, Logged, TrainingLog};
use isoloss::session::reader::KeptLine;
use isoloss::session::snapshot::{CheckpointState, Fidelity, Finding, MapPlane, Snapshot};
use isoloss::session::study::Study;
use isoloss::tui::action::Action;
use isoloss::tui::color::{Depth, Quantizer};
use isoloss::tui::invocation::Invocation;
use isoloss::tui::keymap::{self, Keymap};
use isoloss::tui::prompt::Entry;
use isoloss::tui::render::render;
use isoloss::tui::state::{App, Appearance};
use isoloss::tui::themes::Themes;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::Color;

fn screen(app: &App, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a test terminal");
    terminal.draw(|frame| render(app, frame)).expect("a frame");
    terminal.backend().buffer().clone()
}

fn app(snapshot: Snapshot, actions: &[Action]) -> App {
    with_look(Appearance::default(), snapshot, actions)
}

fn with_look(look: Appearance, snapshot: Snapshot, actions: &[Action]) -> App {
    let mut app = App::new(look).with_clock(|| synthetic::SAVED + Duration::from_secs(12));
    app.receive(Arc::new(snapshot));
    for action in actions {
        app.update(*action);
    }
    app
}

fn text(buffer: &Buffer) -> String {
    let rows = buffer.content.chunks(buffer.area.width.into());
    let lines = rows.map(|row| row.iter().map(Cell::symbol).collect::<String>());
    let lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

/// `ink on ground`, with attributes.
fn style(cell: &Cell) -> String {
    let colour = |colour: Color| match colour {
        Color::Rgb(r, g, b) => format!("{r:02x}{g:02x}{b:02x}"),
        other => format!("{other:?}").to_lowercase(),
    };
    let modifiers = format!("{:?}", cell.modifier).to_lowercase();
    let modifiers = if modifiers == "none" {
        String::new()
    } else {
        format!(" {modifiers}")
    };
    format!("{} on {}{modifiers}", colour(cell.fg), colour(cell.bg))
}

/// The text, then for every row its runs of equal style (`number×length`), then the styles.
fn dump(buffer: &Buffer) -> String {
    let mut styles: Vec<String> = Vec::new();
    let mut runs = String::new();
    for row in buffer.content.chunks(buffer.area.width.into()) {
        for run in row.chunk_by(|a, b| style(a) == style(b)) {
            let style = style(&run[0]);
            let number = styles
                .iter()
                .position(|known| *known == style)
                .unwrap_or_else(|| {
                    styles.push(style);
                    styles.len() - 1
                });
            write!(runs, "{number}×{} ", run.len()).expect("a String takes all");
        }
        runs.push('\n');
    }
    for (number, style) in styles.iter().enumerate() {
        write!(runs, "\n{number}: {style}").expect("a String takes all");
    }
    format!("{}\n{runs}\n", text(buffer))
}

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
        "not shown 2 left out",
        "model_64.pt: holds NaN",
    ] {
        assert!(full.contains(said), "{said} is missing in\n{full}");
    }
    assert!(!full.contains("unreadable") && !full.contains("an older reason"));
    assert!(text(&screen(&app, 80, 24)).contains("3 thinned"));
}

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
fn the_slices_where_one_view_has_room() {
    let app = app(synthetic::snapshot(), &[Action::ShowSlices]);
    assert_snapshot!(text(&screen(&app, 70, 20)));
}

/// A view with what it shows all measured.
fn view(keys: &[Action], study: Option<Study>) -> App {
    let snapshot = study.map_or_else(synthetic::snapshot, synthetic::studied);
    app(snapshot, keys)
}

/// Full, compact and tiny, as text.
fn sizes(app: &App) -> String {
    let sizes = [(120, 40), (80, 24), (40, 12)];
    sizes
        .map(|(width, height)| text(&screen(app, width, height)))
        .join("\n")
}

#[test]
fn random_slices_overlaid() {
    let keys = [Action::ShowSlices, Action::NextDirections];
    assert_snapshot!(sizes(&view(&keys, Some(Study::Random))));
}

#[test]
fn the_line_from_the_first_checkpoint() {
    let next = Action::NextDirections;
    let keys = [Action::ShowSlices, next, next, next];
    assert_snapshot!(sizes(&view(&keys, Some(Study::Line))));
}

/// The points of a line that an expression is asked of, with what is measured there.
fn with_line_values(at: impl Fn(f64) -> Option<Measure>) -> App {
    let next = Action::NextDirections;
    let mut snapshot = synthetic::studied(Study::Line);
    let study = snapshot.study.as_mut().expect("a study");
    let line = &mut study.lines[0];
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

/// A run with a log of its own, whose learning rate falls tenfold half-way, and λmax at every third
/// checkpoint, which rises to 2/η.
fn with_a_log() -> Snapshot {
    let mut snapshot = synthetic::snapshot();
    let path = snapshot.trajectory.clone().expect("a path");
    let last = *path.steps.last().expect("a step");
    let rate = |step: u64| if 2 * step < last { 0.05 } else { 0.005 };
    let loss = |step: u64| 0.3 + 2.0 * (-(step as f64) / 90.0).exp();
    let log = TrainingLog {
        source: "run/metrics.csv".into(),
        train: (1..=last).map(|step| (step, loss(step))).collect(),
        eval: (1..=last)
            .step_by(20)
            .map(|step| (step, 0.1 + loss(step)))
            .collect(),
        rate: (1..=last).map(|step| (step, rate(step))).collect(),
    };
    snapshot.hyper.clear();
    let logged = path.steps.iter().map(|step| Logged {
        train: Some(loss(*step)),
        eval: Some(0.1 + loss(*step)),
        rate: Some(rate(*step)),
    });
    snapshot.logged = logged.collect();
    snapshot.clock = Some(Clock::Steps);
    snapshot.training = Some(Arc::new(log));
    let every_third = path.steps.iter().rev().step_by(3).rev();
    let sharpness = |step: u64| 40.0 * (step as f64 / last as f64) + 2.0;
    snapshot.lambda_max = every_third.map(|step| (*step, sharpness(*step))).collect();
    snapshot
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
fn a_random_plane() {
    assert_snapshot!(sizes(&view(&[Action::NextDirections], Some(Study::Plane))));
}

#[test]
fn the_curvature_map() {
    assert_snapshot!(sizes(&view(
        &[Action::ShowCurvature],
        Some(Study::Curvature)
    )));
}

#[test]
fn the_relief_turned() {
    assert_snapshot!(sizes(&view(&[Action::ShowSurface, Action::PanRight], None)));
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
    let (mut findings, plans) =
        synthetic::planned(Study::Curvature, &snapshot).expect("a path with a plane");
    for index in 0..12 {
        let found = Extremes {
            lambda_max: 20.0,
            lambda_min: -1.0,
            iterations: 22,
            converged: true,
        };
        assert!(findings.take(plans[0].generation, index, Value::Curvature(found)));
    }
    findings.seconds_left = Some(45.0);
    snapshot.study = Some(findings);
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
            "60000 samples from 1024 everywhere",
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
    assert!(said(&[Action::ShowSurface], early()).contains("third checkpoint"));
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
    let views: [(&[Action], Option<Study>); 9] = [
        (&[Action::ShowMap], None),
        (&[next], Some(Study::Plane)),
        (&[Action::ShowSlices], None),
        (&[Action::ShowSlices, next], Some(Study::Random)),
        (&[Action::ShowSlices, next, next], Some(Study::Update)),
        (&[Action::ShowSlices, next, next, next], Some(Study::Line)),
        (&[Action::ShowCurvature], Some(Study::Curvature)),
        (&[Action::ShowSurface], None),
        (&[Action::ShowWeights, next, next], Some(Study::Stability)),
    ];
    for (keys, study) in views {
        let app = app(synthetic::without_data(study), keys);
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

/// Every view with what it shows all measured: its name, and the keys and the study that lead to it.
const VIEWS: [(&str, &[Action], Option<Study>); 13] = {
    use Action::{
        Help, NextDirections, ShowCompare, ShowCurvature, ShowMap, ShowPath, ShowSlices,
        ShowSurface, ShowWeights,
    };
    [
        ("map", &[ShowMap], None),
        ("random plane", &[NextDirections], Some(Study::Plane)),
        ("slices", &[ShowSlices], None),
        (
            "random slices",
            &[ShowSlices, NextDirections],
            Some(Study::Random),
        ),
        (
            "last update",
            &[ShowSlices, NextDirections, NextDirections],
            Some(Study::Update),
        ),
        (
            "line",
            &[ShowSlices, NextDirections, NextDirections, NextDirections],
            Some(Study::Line),
        ),
        ("path", &[ShowPath], None),
        ("weights", &[ShowWeights], None),
        ("histogram", &[ShowWeights, NextDirections], None),
        ("curvature", &[ShowCurvature], Some(Study::Curvature)),
        ("compare", &[ShowCompare], None),
        ("surface", &[ShowSurface], None),
        ("help", &[Help], None),
    ]
};

/// A view as [`VIEWS`] has it, with a second run beside the first.
fn as_looked_at(look: Appearance, keys: &[Action], study: Option<Study>) -> App {
    let snapshot = study.map_or_else(synthetic::snapshot, synthetic::studied);
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
    for (name, keys, study) in VIEWS {
        let app = as_looked_at(look.clone(), keys, study);
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
    for (name, keys, study) in VIEWS {
        let app = as_looked_at(look.clone(), keys, study);
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
fn a_run_that_has_not_begun_is_not_out_of_reach() {
    let mut snapshot = synthetic::path_only(0);
    snapshot.trouble = Some("runs/resnet20: expected a run folder, found nothing there".into());
    assert!(header(snapshot, None, 120).contains("○ not begun yet"));
    let mut lost = synthetic::snapshot();
    lost.trouble = Some("runs/resnet20: permission denied".into());
    assert!(header(lost, None, 120).contains("○ folder cannot be read"));
}

/// Every state of a run that has rows of its own in the trust pane.
fn of_every_trust() -> Vec<Snapshot> {
    let assumed = Assumed {
        function: Function {
            reading: Reading {
                activation: Some(Activation::LeakyRelu),
                ..Reading::default()
            },
            ..Function::default()
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
    rests.study = synthetic::planned(Study::Curvature, &rests).map(|planned| planned.0);
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
fn a_zoomed_view_has_the_screen_for_itself() {
    let app = app(
        synthetic::snapshot(),
        &[Action::ShowSlices, Action::ZoomView],
    );
    assert_snapshot!(sizes(&app));
}

#[test]
fn the_cursor_tells_what_is_known_where_it_stands() {
    let mut keys = vec![Action::Cursor];
    keys.extend([Action::PanUp; 9]);
    keys.extend([Action::PanRight; 5]);
    assert_snapshot!(sizes(&app(synthetic::snapshot(), &keys)));
}

#[test]
fn the_step_that_is_typed_and_the_nearest_one_are_shown() {
    let mut app = app(synthetic::snapshot(), &[Action::Jump]);
    let empty = text(&screen(&app, 70, 20));
    app.enter(Entry::Digit('4'));
    app.enter(Entry::Digit('3'));
    let typed = sizes(&app);
    assert_snapshot!(format!("{empty}\n{typed}"));
}

#[test]
fn a_film_shows_the_path_up_to_its_checkpoint() {
    let mut app = app(synthetic::snapshot(), &[Action::Film]);
    (0..4).for_each(|_| app.advance());
    assert_snapshot!(sizes(&app));
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
