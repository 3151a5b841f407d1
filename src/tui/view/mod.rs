//! The panes of the screen. Each draws what the app knows into its area of the buffer.

pub(super) mod compare;
pub(super) mod curvature;
pub(super) mod facts;
pub(super) mod header;
pub(super) mod help;
pub(super) mod map;
pub(super) mod path;
pub(super) mod slices;
pub(super) mod status;
pub(super) mod surface;
pub(super) mod trust;
pub(super) mod weights;

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, BorderType, Paragraph, Widget, Wrap};

use crate::plot::picture::{Cell, Picture};

use super::app::App;
use super::theme::terminal;

/// A frame with a title.
fn frame(app: &App, title: &str) -> Block<'static> {
    let theme = app.theme();
    Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.border())
        .title(Line::styled(format!(" {title} "), theme.strong()))
}

/// Draws a frame and returns the area within.
fn enclosed(frame: &Block<'_>, area: Rect, buffer: &mut Buffer) -> Rect {
    frame.render(area, buffer);
    frame.inner(area)
}

/// A framed pane with a sentence in the place of a picture that cannot be had.
fn render_sentence(app: &App, text: &str, area: Rect, buffer: &mut Buffer) {
    let text = Text::styled(text.to_owned(), app.theme().faint());
    Paragraph::new(text)
        .wrap(Wrap { trim: true })
        .render(padded(area), buffer);
}

/// Where a loss cannot be had, says in the place of `what` why, and how to give it; false where it can.
fn render_refusal(app: &App, what: &str, area: Rect, buffer: &mut Buffer) -> bool {
    let Some(reason) = facts::refusal(app.snapshot()) else {
        return false;
    };
    let text = Text::styled(format!("no {what}: {reason}"), app.theme().warn());
    Paragraph::new(text)
        .wrap(Wrap { trim: true })
        .render(padded(area), buffer);
    true
}

/// The area without its first and last column.
fn padded(area: Rect) -> Rect {
    area.inner(Margin::new(1, 0))
}

/// Copies a picture; what has no colour of its own keeps that of the screen.
fn paint(picture: &Picture, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    for (cells, row) in picture.rows().zip(area.rows()) {
        for (cell, place) in cells.iter().zip(row.columns()) {
            if let Some(target) = buffer.cell_mut(place.as_position()) {
                target.set_char(cell.symbol).set_style(style(cell));
            }
        }
    }
}

fn style(cell: &Cell) -> Style {
    let mut style = Style::new();
    style.fg = cell.foreground.map(terminal);
    style.bg = cell.background.map(terminal);
    for (set, modifier) in [
        (cell.bold, Modifier::BOLD),
        (cell.dim, Modifier::DIM),
        (cell.reverse, Modifier::REVERSED),
    ] {
        if set {
            style = style.add_modifier(modifier);
        }
    }
    style
}
