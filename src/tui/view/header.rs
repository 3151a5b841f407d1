//! The first line: which run, whether it goes on, where it is, how low its loss is.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use crate::plot::axis::short;
use crate::report::condition;
use crate::session::{Snapshot, record};

use super::super::state::App;
use super::{facts, padded};
use crate::tui::view::age::{Age, Saving};
use crate::tui::view::fitted_line::{Piece, fit, tail};

/// Columns that the run's folder may take.
const RUN_WIDTH: usize = 28;

/// Draws the line.
pub(crate) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme();
    let snapshot = app.snapshot();
    let run = tail(&snapshot.run.display().to_string(), RUN_WIDTH);
    let mut pieces = vec![
        Piece::new(8, vec![Span::styled("isoloss", theme.accent())]),
        Piece::new(2, vec![Span::styled(run, theme.strong())]),
    ];
    pieces.extend(state(app));
    if let Some(step) = facts::selected_step(app) {
        let (selected, count) = (app.selected().map_or(0, |i| i + 1), app.checkpoints());
        let place = match (selected, count) {
            (_, 1) => "1 checkpoint".into(),
            _ if selected < count => format!("{selected} of {count}"),
            _ => format!("{count} checkpoints"),
        };
        let step = Span::styled(step.to_string(), theme.strong());
        pieces.push(Piece::new(1, vec![Span::raw("step "), step]));
        pieces.push(Piece::new(6, vec![Span::styled(place, theme.faint())]));
    }
    if let Some(measure) = facts::measure(app) {
        let loss = Span::styled(facts::loss(Some(measure)), theme.strong());
        let loss = vec![Span::raw("loss "), loss];
        let alone = Piece::new(0, loss.clone());
        pieces.push(match condition::of_loss(snapshot) {
            Some(condition) => {
                let condition = Span::styled(format!(" {condition}"), theme.faint());
                // It gives way after the score and before the age: the trust pane or line says it too.
                Piece::new(4, [loss, vec![condition]].concat()).or(alone)
            }
            None => alone,
        });
        if let Some(score) = snapshot.score() {
            let name = Span::raw(format!("{} ", score.short()));
            let value = Span::styled(facts::score(score, Some(measure)), theme.strong());
            pieces.push(Piece::new(5, vec![name, value]));
        }
    }
    if let Some((step, measure)) = facts::last_measured(app) {
        let condition = condition::of_loss(snapshot);
        let condition = condition.map_or(String::new(), |condition| format!(" {condition}"));
        let loss = facts::loss(Some(measure));
        let said = format!("loss {loss} at step {step}{condition}");
        pieces.push(Piece::new(0, vec![Span::styled(said, theme.faint())]));
    }
    pieces.extend(logged(app));
    pieces.extend(missing(app));
    let area = padded(area);
    fit(pieces, area.width.into()).render(area, buffer);
}

/// Says if the run is followed and goes on, and how old its newest checkpoint is.
fn state(app: &App) -> Vec<Piece> {
    let theme = app.theme();
    let (state, style) = match app.lag() {
        _ if app.is_filming() => ("▶ replaying".into(), theme.accent()),
        Some(0) => ("● frozen".into(), theme.warn()),
        Some(newer) => (format!("● frozen, {newer} newer"), theme.warn()),
        None => following(app),
    };
    let mut pieces = vec![Piece::new(3, vec![Span::styled(state, style)])];
    let is_shown = !app.is_filming() && app.snapshot().trouble.is_none();
    if let Some(age) = app.age().filter(|_| is_shown) {
        pieces.push(age_of(app, age));
    }
    if app.lag().is_none() && is_shown && !is_recording(app.snapshot()) {
        let means = format!("({})", app.snapshot().watching);
        pieces.push(Piece::new(10, vec![Span::styled(means, theme.faint())]));
    }
    pieces
}

/// Returns the state of a run that is followed; one that goes on has a filled mark.
fn following(app: &App) -> (String, Style) {
    let theme = app.theme();
    let snapshot = app.snapshot();
    let (state, style) = match app.age().map(Age::saving) {
        // A path that stands has lost its folder; without one the view itself says why.
        _ if snapshot.trouble.is_some() => {
            if snapshot.trajectory.is_some() {
                ("○ folder cannot be read", theme.bad())
            } else if snapshot.checkpoints.is_empty() {
                ("○ not begun yet", theme.warn())
            } else {
                ("○ nothing usable yet", theme.warn())
            }
        }
        _ if is_recording(snapshot) => ("● recording", theme.accent()),
        Some(Saving::Overdue) => ("○ overdue", theme.warn()),
        Some(Saving::Over) => ("○ ended or stopped", theme.warn()),
        Some(Saving::Usual) | None => ("● watching", theme.good()),
    };
    (state.into(), style)
}

/// Returns true if the session is a recording that is replayed.
fn is_recording(snapshot: &Snapshot) -> bool {
    snapshot.watching == record::WATCHING
}

/// Returns `saved 4 min ago, usually every 30 s`, the same without `usually`, or the first part alone.
fn age_of(app: &App, age: Age) -> Piece {
    let style = style_of(app, age);
    let piece = |rank, words| Piece::new(rank, vec![Span::styled(words, style)]);
    piece(7, age.words()).or(piece(6, age.brief()).or(piece(3, age.saved())))
}

/// Returns the style of an age: a checkpoint that should have come long ago is not to be overlooked.
fn style_of(app: &App, age: Age) -> Style {
    match age.saving() {
        Saving::Usual => app.theme().faint(),
        Saving::Overdue | Saving::Over => app.theme().warn(),
    }
}

/// Returns the age for a line that stands alone: `4 min ago`.
pub(super) fn brief_age(app: &App) -> Option<Piece> {
    let is_shown = !app.is_filming() && app.snapshot().trouble.is_none();
    let age = app.age().filter(|_| is_shown)?;
    let ago = Span::styled(age.ago(), style_of(app, age));
    Some(Piece::new(2, vec![ago]))
}

/// Returns the loss that training logged there itself, and the learning rate beside it.
fn logged(app: &App) -> Vec<Piece> {
    let theme = app.theme();
    let logged = facts::logged(app);
    if logged.train.is_none() {
        return Vec::new();
    }
    let told = [("logged ", logged.train, 7), ("lr ", logged.rate, 8)];
    let told = told.into_iter().filter_map(|(name, value, rank)| {
        let value = Span::styled(short(value?), theme.strong());
        Some(Piece::new(rank, vec![Span::raw(name), value]))
    });
    told.collect()
}

/// Returns the checkpoints that are not on the path.
fn missing(app: &App) -> Vec<Piece> {
    let theme = app.theme();
    let (unreadable, waiting) = facts::missing(app.snapshot());
    let mut pieces = Vec::new();
    if unreadable > 0 {
        let text = format!("{unreadable} unreadable");
        pieces.push(Piece::new(5, vec![Span::styled(text, theme.warn())]));
    }
    // Where nothing is on the path, the sentence about that has the count.
    if let Some((count, _)) = facts::left_out(app.snapshot())
        && app.snapshot().trouble.is_none()
    {
        let text = format!("{count} left out");
        pieces.push(Piece::new(5, vec![Span::styled(text, theme.faint())]));
    }
    if waiting > 0 {
        let text = format!("{waiting} being written");
        pieces.push(Piece::new(9, vec![Span::styled(text, theme.faint())]));
    }
    pieces
}

/// Draws the line under the header: what the last key did, else what went wrong last.
pub(crate) fn render_banner(app: &App, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme();
    let (banner, sign, ink) = match (app.message(), app.banner()) {
        (Some(told), _) => (told, " · ", theme.good()),
        (None, Some(banner)) => (banner, " ! ", theme.warn()),
        (None, None) => return,
    };
    let close = "  esc";
    let room = usize::from(area.width).saturating_sub(3 + close.len());
    let mut text: String = banner
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().count() > room {
        text = text
            .chars()
            .take(room.saturating_sub(1))
            .chain(['…'])
            .collect();
    }
    let line = Line::from(vec![
        Span::styled(
            sign,
            if app.message().is_some() {
                ink
            } else {
                theme.bad()
            },
        ),
        Span::styled(text, ink),
        Span::styled(close, theme.faint()),
    ]);
    line.render(area, buffer);
}
