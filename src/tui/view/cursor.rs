//! The cursor on the map, and what is known where it stands.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use crate::loss::Measure;
use crate::plot::MapScene;
use crate::plot::axis::short;
use crate::plot::map::{self};

use super::super::state::App;
use super::super::state::choice::{ShownPlane, View};
use super::super::state::cursor::CursorReading;
use super::facts;
use crate::tui::view::fitted_line::{Piece, fit};

/// Puts the mark on a map that was drawn into this area.
pub(super) fn mark(app: &App, scene: &MapScene<'_>, area: Rect, buffer: &mut Buffer) {
    let Some(at) = app.cursor().filter(|_| app.view() == View::Map) else {
        return;
    };
    let size = [area.width.into(), area.height.into()];
    if let Some([column, row]) = map::cell(scene, size, at) {
        let place = (area.x + column as u16, area.y + row as u16);
        if let Some(cell) = buffer.cell_mut(place) {
            let style = app.theme().strong().add_modifier(Modifier::REVERSED);
            cell.set_char('+').set_style(style);
        }
    }
}

/// Returns `α 0.12  β -0.4  loss 0.312  acc 88.2 %  nearest step 376  off plane 3 % of extent`: what has room. None
/// without a cursor.
pub(crate) fn line(app: &App, width: u16) -> Option<Line<'static>> {
    let at = app.cursor().filter(|_| app.view() == View::Map)?;
    let scene = super::scene::shown(app)?;
    let score = app.snapshot().score();
    let mut reading = CursorReading::at(at, score, scene.backdrop.as_ref(), scene.path);
    let on_checkpoint = reading
        .nearest
        .filter(|nearest| scene.path.get(*nearest) == Some(&at));
    // There the plane's loss was measured itself, not between points of the map.
    if let Some(known) = on_checkpoint.and_then(|nearest| on_plane(app, nearest)) {
        (reading.loss, reading.score) = (Some(known.loss), Some(known.score));
        reading.certain = true;
    }
    let theme = app.theme();
    let piece = |rank, name: &'static str, value: String| {
        Piece::new(
            rank,
            vec![
                Span::styled(name, theme.faint()),
                Span::styled(value, theme.strong()),
            ],
        )
    };
    let about = if reading.certain { "" } else { "~" };
    let number = |value: Option<f64>| {
        value.map_or_else(|| "–".into(), |value| format!("{about}{}", short(value)))
    };
    let mut pieces = vec![
        piece(2, "α ", short(at[0])),
        piece(2, "β ", short(at[1])),
        piece(0, "loss ", number(reading.loss)),
    ];
    if let Some((score, value)) = score.zip(reading.score) {
        let value = format!("{about}{}", facts::of_score(score, value));
        pieces.push(piece(3, score.short(), format!(" {value}")));
    }
    let step = reading.nearest.and_then(|at| app.steps()?.get(at));
    if let Some(step) = step {
        pieces.push(piece(1, "nearest step ", step.to_string()));
    }
    if let Some(distance) = reading.nearest.and_then(|at| distance(app, at)) {
        let off = format!("{} of extent", facts::whole_percent(distance));
        pieces.push(piece(4, "off plane ", off));
    }
    let mut line = fit(pieces, width.into());
    line.spans.insert(0, Span::raw(" "));
    line.spans.push(Span::raw(" "));
    Some(line)
}

/// Returns the loss at the projection of a checkpoint onto the path's own plane, if that is shown.
fn on_plane(app: &App, checkpoint: usize) -> Option<Measure> {
    let step = *app.steps()?.get(checkpoint)?;
    let mut lines = app.snapshot().checkpoints.iter();
    let line = lines.find(|line| line.step == Some(step))?;
    line.on_plane
        .filter(|_| app.plane() == ShownPlane::Principal)
}

/// Returns the distance of a checkpoint from the path's own plane, if that is shown: a share of the path's
/// extent.
fn distance(app: &App, checkpoint: usize) -> Option<f64> {
    let path = app.snapshot().trajectory.as_ref();
    let path = path.filter(|_| app.plane() == ShownPlane::Principal)?;
    facts::distances(path).get(checkpoint).copied()
}
