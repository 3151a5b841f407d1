//! The first line: which run, is it alive, where is it, how low is the loss.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use crate::plot::axis::short;

use super::super::line::{Piece, fit, tail};
use super::super::state::App;
use super::{facts, padded};

/// Columns that the run's folder may take.
const RUN_WIDTH: usize = 28;

/// Draws the line. `device` tells whether the device belongs here or in the status line.
pub(crate) fn render(app: &App, device: bool, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme();
    let snapshot = app.snapshot();
    let run = tail(&snapshot.run.display().to_string(), RUN_WIDTH);
    let mut pieces = vec![
        Piece::new(7, vec![Span::styled("isoloss", theme.accent())]),
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
        pieces.push(Piece::new(0, vec![Span::raw("loss "), loss]));
        if let Some(score) = snapshot.score() {
            let name = Span::raw(format!("{} ", score.short()));
            let value = Span::styled(facts::score(score, Some(measure)), theme.strong());
            pieces.push(Piece::new(4, vec![name, value]));
        }
    }
    pieces.extend(logged(app));
    pieces.extend(missing(app));
    if device && !snapshot.device.is_empty() {
        pieces.push(Piece::new(8, vec![Span::styled(speed(app), theme.faint())]));
    }
    let area = padded(area);
    fit(pieces, area.width.into()).render(area, buffer);
}

/// Whether the run is watched, and how.
fn state(app: &App) -> Vec<Piece> {
    let theme = app.theme();
    let snapshot = app.snapshot();
    if app.is_filming() {
        let text = Span::styled("▶ replaying", theme.accent());
        return vec![Piece::new(3, vec![text])];
    }
    match app.lag() {
        Some(newer) => {
            let mut text = String::from("● frozen");
            if newer > 0 {
                text = format!("{text}, {newer} newer");
            }
            vec![Piece::new(3, vec![Span::styled(text, theme.warn())])]
        }
        None if snapshot.trouble.is_some() => {
            // Without a path the view itself says why; a path that stands has lost its folder.
            let text = if snapshot.trajectory.is_some() {
                Span::styled("● folder out of reach", theme.bad())
            } else {
                Span::styled("● nothing usable yet", theme.warn())
            };
            vec![Piece::new(3, vec![text])]
        }
        None => vec![
            Piece::new(3, vec![Span::styled("● watching", theme.good())]),
            Piece::new(
                9,
                vec![Span::styled(snapshot.watching.clone(), theme.faint())],
            ),
        ],
    }
}

/// The loss that training logged there itself, and the learning rate beside it.
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

/// Checkpoints that are not on the path.
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
        pieces.push(Piece::new(8, vec![Span::styled(text, theme.faint())]));
    }
    if waiting > 0 {
        let text = format!("{waiting} being written");
        pieces.push(Piece::new(9, vec![Span::styled(text, theme.faint())]));
    }
    pieces
}

/// `cpu 31 pt/s`: the device and its pace.
pub(super) fn speed(app: &App) -> String {
    let snapshot = app.snapshot();
    let pace = snapshot.progress.points_per_second;
    if pace > 0.0 {
        let decimals = usize::from(pace < 10.0);
        format!("{} {pace:.decimals$} pt/s", snapshot.device)
    } else {
        snapshot.device.clone()
    }
}

/// The line under the header: what the last key did, else what went wrong last.
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
