//! The last line: what the device is doing, how long it will take, which keys there are.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use crate::landscape::refine::Estimate;
use crate::session::snapshot::Finding;

use super::super::action::Action;
use super::super::line::{Piece, fit};
use super::super::state::App;
use super::super::state::choice::{Plane, View};
use super::{cursor, facts, header, padded};

/// Columns of the progress bar.
const BAR: usize = 12;
/// Actions whose keys are worth a place on the screen, the most important first.
const HINTS: [(&[Action], &str); 8] = [
    (&[Action::Help], "help"),
    (&[Action::Quit], "quit"),
    (&[Action::ShowMap, Action::ShowSurface], "views"),
    (&[Action::Freeze], "freeze"),
    (&[Action::ScrubBack, Action::ScrubForward], "scrub"),
    (&[Action::Neighbourhood], "near"),
    (&[Action::WholePath], "whole path"),
    (
        &[Action::NextLayers, Action::NextScale, Action::NextMarker],
        "look",
    ),
];

/// What leads to actions, and what they do; none where an action has no key. `rank` as in [`Piece::new`].
fn hint(app: &App, rank: u8, actions: &[Action], does: &str) -> Option<Piece> {
    let keys = actions
        .iter()
        .map(|action| app.keymap().keys(*action).first());
    let keys: Vec<String> = keys
        .map(|key| key.map(ToString::to_string))
        .collect::<Option<_>>()?;
    // Between the first view and the last are the others.
    let between = if actions.contains(&Action::ShowMap) {
        "-"
    } else {
        " "
    };
    let theme = app.theme();
    let key = Span::styled(keys.join(between), theme.accent());
    let does = Span::styled(format!(" {does}"), theme.faint());
    Some(Piece::new(rank, vec![key, does]))
}

/// Draws the line. `device` tells whether the device belongs here or in the header.
pub(crate) fn render(app: &App, device: bool, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme();
    let area = padded(area);
    if let Some(line) = prompt(app) {
        return line.render(area, buffer);
    }
    let mut pieces = Vec::new();
    if device && !app.snapshot().device.is_empty() {
        let speed = Span::styled(header::speed(app), theme.faint());
        pieces.push(Piece::new(4, vec![speed]));
    }
    pieces.extend(progress(app));
    let left = fit(pieces, area.width.into());
    let used = left.width() as u16;
    left.render(area, buffer);
    let room = area.width.saturating_sub(used + 3);
    let ranks = HINTS.iter().zip(0..);
    let hints = ranks.filter_map(|((actions, does), rank)| hint(app, rank, actions, does));
    let hints = fit(hints.collect(), room.into());
    if hints.width() <= room.into() {
        let rest = Rect {
            x: area.right() - room,
            width: room,
            ..area
        };
        hints.right_aligned().render(rest, buffer);
    }
}

/// Draws the only line of a small screen, or of one that a view has for itself: where the run is, and whether more
/// is to come. What the cursor tells is here where the map has no frame.
pub(crate) fn render_tiny(app: &App, framed: bool, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme();
    let reading = || cursor::line(app, area.width).filter(|_| !framed);
    if let Some(line) = prompt(app).or_else(reading) {
        return line.render(area, buffer);
    }
    let mut pieces = Vec::new();
    if let Some(step) = facts::selected_step(app) {
        let loss = facts::loss(facts::measure(app));
        pieces.push(Piece::new(
            0,
            vec![Span::styled(format!("loss {loss}"), theme.strong())],
        ));
        pieces.push(Piece::new(1, vec![Span::raw(format!("step {step}"))]));
    }
    if app.lag().is_some() {
        pieces.push(Piece::new(2, vec![Span::styled("frozen", theme.warn())]));
    }
    if app.banner().is_some() {
        pieces.push(Piece::new(2, vec![Span::styled("!", theme.bad())]));
    }
    pieces.extend(progress(app));
    pieces.extend(hint(app, 6, &[Action::Help], "help"));
    fit(pieces, area.width.into()).render(area, buffer);
}

/// The step that is being typed, and the checkpoint that is nearest to it.
fn prompt(app: &App) -> Option<Line<'static>> {
    let theme = app.theme();
    let prompt = app.prompt()?;
    let steps = app.steps().unwrap_or_default();
    let typed = format!("{}▏", prompt.typed());
    let mut spans = vec![
        Span::styled("step ", theme.accent()),
        Span::styled(typed, theme.strong()),
    ];
    let nearest = prompt.nearest(steps).and_then(|at| steps.get(at));
    let hint = match (nearest, steps.first(), steps.last()) {
        (Some(step), ..) => format!("  enter: step {step}"),
        (None, Some(first), Some(last)) => format!("  {first} to {last}"),
        _ => String::new(),
    };
    spans.push(Span::styled(format!("{hint}  esc"), theme.faint()));
    Some(Line::from(spans))
}

/// The level that is being measured, how far it is and how far off.
fn progress(app: &App) -> Vec<Piece> {
    let theme = app.theme();
    let snapshot = app.snapshot();
    let progress = &snapshot.progress;
    if app.is_paused() || progress.paused {
        return vec![Piece::new(3, vec![Span::styled("paused", theme.warn())])];
    }
    if snapshot.trajectory.is_none()
        || matches!(snapshot.data, Finding::Not(_))
        || matches!(snapshot.model, Finding::Not(_))
    {
        return Vec::new();
    }
    if app.view() == View::Map && app.plane() != Plane::Principal {
        return progress_of_study(app);
    }
    let Some(lines) = progress.lines else {
        return Vec::new();
    };
    // How far off the map is expected to be between its points.
    let error = progress
        .error
        .map(|error| Piece::new(5, vec![Span::raw(facts::error(error))]));
    if progress.rests {
        let text = Span::styled("at rest", theme.faint());
        return std::iter::once(Piece::new(3, vec![text]))
            .chain(error)
            .collect();
    }
    let share = progress.done as f64 / progress.planned.max(1) as f64;
    let filled = (share.clamp(0.0, 1.0) * BAR as f64) as usize;
    let mut pieces = vec![
        Piece::new(3, vec![Span::raw(format!("{lines}×{lines}"))]),
        Piece::new(
            7,
            vec![
                Span::styled("█".repeat(filled), theme.good()),
                Span::styled("░".repeat(BAR - filled), theme.border()),
            ],
        ),
        Piece::new(5, vec![Span::raw(format!("{:.0} %", share * 100.0))]),
    ];
    pieces.extend(error);
    if let Some(seconds) = progress.seconds_left {
        let left = format!("{} left", facts::duration(seconds));
        pieces.push(Piece::new(8, vec![Span::styled(left, theme.faint())]));
    }
    pieces
}

fn at_rest(app: &App) -> Piece {
    let text = Span::styled("at rest", app.theme().faint());
    Piece::new(3, vec![text])
}

/// How far the random plane is, which is measured on demand, and how far off.
fn progress_of_study(app: &App) -> Vec<Piece> {
    let study = app.snapshot().study.as_ref();
    let Some((study, surface)) = study.and_then(|study| Some((study, study.plane.as_ref()?)))
    else {
        return Vec::new();
    };
    let error = Estimate::of(surface).expected();
    let error = error.map(|error| Piece::new(5, vec![Span::raw(facts::error(error))]));
    let left = match study.left {
        0 => at_rest(app),
        left => Piece::new(3, vec![Span::raw(format!("{left} points left"))]),
    };
    std::iter::once(left).chain(error).collect()
}

/// The line of a compact screen that stands for the trust pane.
pub(crate) fn render_trust(app: &App, area: Rect, buffer: &mut Buffer) {
    let pieces = super::trust::brief(app);
    let area = padded(area);
    fit(pieces, area.width.into()).render(area, buffer);
}
