//! The last line: what the device is doing, how long it will take, which keys there are.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use crate::report::condition;

use super::super::state::App;
use super::super::state::choice::{Figure, ShownPlane, SliceKind, View, WeightsTab};
use super::{cursor, facts, header, padded, progress};
use crate::tui::input::action::Action;
use crate::tui::view::fitted_line::{Piece, fit};

/// Actions with a word for what their keys do.
type Hint = (&'static [Action], &'static str);

/// Returns the keys that are worth a place on the screen where the user looks now, the most important first.
fn hints(app: &App) -> Vec<Hint> {
    let on_map = app.view() == View::Map;
    let has_checkpoints = app.checkpoints() > 1;
    let has_window = matches!(app.view(), View::Map | View::Relief | View::Curvature);
    let all: [(bool, Hint); 12] = [
        (true, (&[Action::Help], "help")),
        (true, (&[Action::Quit], "quit")),
        (
            directions(app).is_some(),
            (&[Action::NextDirections], directions(app).unwrap_or("")),
        ),
        (on_map && has_checkpoints, (&[Action::Cursor], "cursor")),
        (app.is_filming(), (&[Action::Film], "stop")),
        (
            !app.is_filming() && has_checkpoints && matches!(app.view(), View::Map | View::Relief),
            (&[Action::Film], "replay"),
        ),
        (true, (&[Action::ShowMap, Action::ShowRelief], "views")),
        (!app.is_zoomed(), (&[Action::ZoomView], "whole screen")),
        (true, (&[Action::Freeze], "freeze")),
        (
            has_checkpoints,
            (&[Action::ScrubBack, Action::ScrubForward], "step"),
        ),
        (
            has_window && !app.is_whole_path(),
            (&[Action::WholePath], "whole path"),
        ),
        (
            has_window && has_checkpoints,
            (&[Action::Neighbourhood], "zoom to step"),
        ),
    ];
    let shown = all.into_iter().filter(|(is_of_use, _)| *is_of_use);
    shown.map(|(_, hint)| hint).collect()
}

/// Names what else the view can show; `None` if there is nothing.
fn directions(app: &App) -> Option<&'static str> {
    Some(match app.view() {
        View::Map if app.plane() == ShownPlane::Principal => "random plane",
        View::Map => "PCA plane",
        View::Slices => match app.slice_kind() {
            SliceKind::Components => "random directions",
            SliceKind::Random => "last update",
            SliceKind::Update => "line from the first",
            SliceKind::Line => "PC1 and PC2",
        },
        View::Weights => match app.weights_tab() {
            WeightsTab::Norms => "histogram",
            WeightsTab::Histogram => "stability",
            WeightsTab::Stability => "norms",
        },
        View::Curvature => match app.figure() {
            Figure::Ratio => "λmax",
            Figure::Largest => "−λmin",
            Figure::Smallest => "ratio",
        },
        View::Path | View::Compare | View::Relief => return None,
    })
}

/// Returns the keys of actions and what they do; `None` if an action has no key. `rank` as in [`Piece::new`].
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

/// Draws the line. `alone` is true if there is no trust pane, which has the device and the map's error.
pub(crate) fn render(app: &App, alone: bool, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme();
    let area = padded(area);
    if let Some(line) = prompt(app) {
        return line.render(area, buffer);
    }
    let mut pieces = Vec::new();
    pieces.extend(progress::of_map(app));
    pieces.extend(progress::neighbours(app));
    if alone {
        pieces.extend(progress::error(app));
        let pace = facts::pace(app.snapshot());
        let pace = pace.map(|pace| format!("{pace} on {}", app.snapshot().device));
        pieces.extend(pace.map(|pace| Piece::new(6, vec![Span::styled(pace, theme.faint())])));
    }
    let cost = facts::own_cost(app.snapshot());
    pieces.extend(cost.map(|cost| Piece::new(7, vec![Span::styled(cost, theme.faint())])));
    let left = fit(pieces, area.width.into());
    let used = left.width() as u16;
    left.render(area, buffer);
    let room = area.width.saturating_sub(used + 3);
    let ranks = hints(app).into_iter().zip(0..);
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
        let measure = facts::measure(app);
        let loss = format!("loss {}", facts::loss(measure));
        pieces.push(Piece::new(0, vec![Span::styled(loss, theme.strong())]));
        // A dash depends on nothing.
        if let Some(condition) = measure.and_then(|_| condition::of_loss(app.snapshot())) {
            pieces.push(Piece::new(1, vec![Span::styled(condition, theme.faint())]));
        }
        pieces.push(Piece::new(1, vec![Span::raw(format!("step {step}"))]));
    }
    pieces.extend(header::brief_age(app));
    if app.lag().is_some() {
        pieces.push(Piece::new(2, vec![Span::styled("frozen", theme.warn())]));
    }
    if app.banner().is_some() {
        pieces.push(Piece::new(2, vec![Span::styled("!", theme.bad())]));
    }
    pieces.extend(progress::of_map(app));
    pieces.extend(progress::error(app));
    pieces.extend(hint(app, 6, &[Action::Help], "help"));
    fit(pieces, area.width.into()).render(area, buffer);
}

/// Returns the step that is being typed, and the checkpoint that is nearest to it.
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

/// Draws the line of a compact screen that stands for the trust pane.
pub(crate) fn render_trust(app: &App, area: Rect, buffer: &mut Buffer) {
    let pieces = super::trust::brief(app);
    let area = padded(area);
    fit(pieces, area.width.into()).render(area, buffer);
}
