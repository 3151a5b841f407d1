//! Screens of a made-up run: drawn, as text and with their colours.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use super::synthetic;
use isoloss::run::{LogClock, Logged, TrainingLog};
use isoloss::session::{Analysis, Snapshot};
use isoloss::tui::render::render;
use isoloss::tui::{Action, App, Appearance};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::Color;

pub(crate) fn screen(app: &App, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a test terminal");
    terminal.draw(|frame| render(app, frame)).expect("a frame");
    terminal.backend().buffer().clone()
}

pub(crate) fn app(snapshot: Snapshot, actions: &[Action]) -> App {
    with_look(Appearance::default(), snapshot, actions)
}

pub(crate) fn with_look(look: Appearance, snapshot: Snapshot, actions: &[Action]) -> App {
    let mut app = App::new(look).with_clock(|| synthetic::SAVED + Duration::from_secs(12));
    app.receive(Arc::new(snapshot));
    for action in actions {
        app.update(*action);
    }
    app
}

pub(crate) fn text(buffer: &Buffer) -> String {
    let rows = buffer.content.chunks(buffer.area.width.into());
    let lines = rows.map(|row| row.iter().map(Cell::symbol).collect::<String>());
    let lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

/// `ink on ground`, with attributes.
pub(crate) fn style(cell: &Cell) -> String {
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
pub(crate) fn dump(buffer: &Buffer) -> String {
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

/// A view with what it shows all measured.
pub(crate) fn view(keys: &[Action], analysis: Option<Analysis>) -> App {
    let snapshot = analysis.map_or_else(synthetic::snapshot, synthetic::studied);
    app(snapshot, keys)
}

/// Full, compact and tiny, as text.
pub(crate) fn sizes(app: &App) -> String {
    let sizes = [(120, 40), (80, 24), (40, 12)];
    sizes
        .map(|(width, height)| text(&screen(app, width, height)))
        .join("\n")
}

/// A run with a log of its own, whose learning rate falls tenfold half-way, and λmax at every third
/// checkpoint, which rises to 2/η.
pub(crate) fn with_a_log() -> Snapshot {
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
    snapshot.clock = Some(LogClock::Steps);
    snapshot.training = Some(Arc::new(log));
    let every_third = path.steps.iter().rev().step_by(3).rev();
    let sharpness = |step: u64| 40.0 * (step as f64 / last as f64) + 2.0;
    snapshot.lambda_max = every_third.map(|step| (*step, sharpness(*step))).collect();
    snapshot
}
