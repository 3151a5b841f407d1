//! The panes of the screen. Each draws what the app knows into its area of the buffer.

pub(super) mod age;
pub(super) mod command;
pub(super) mod compare;
pub(super) mod cursor;
pub(super) mod curvature;
pub(super) mod facts;
pub(super) mod fitted_line;
pub(super) mod header;
pub(super) mod help;
pub mod layout;
pub(super) mod map;
pub(super) mod path;
pub(super) mod pictures;
mod progress;
pub(super) mod relief;
mod scene;
pub(super) mod slices;
mod stability;
pub(super) mod status;
pub(super) mod trust;
pub(super) mod weights;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Margin, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, BorderType, Clear, Paragraph, Widget, Wrap};

use crate::plot::{Cell, Picture, title};

use super::state::App;
use crate::tui::theme::terminal;

/// Returns a frame of this width with as much of a title as it has room for; ` · ` stands between its items.
fn frame(app: &App, title: &str, width: u16) -> Block<'static> {
    let theme = app.theme();
    let title = title::fit(title, " · ", width.saturating_sub(4).into());
    Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.border())
        .title(Line::styled(format!(" {title} "), theme.strong()))
}

/// Returns the same of a view that shows pictures which are measured on demand: with their progress, until they are
/// done.
fn frame_of_analysis(app: &App, title: &str, width: u16) -> Block<'static> {
    let frame = frame(app, title, width);
    match progress::of_analysis(app, width.saturating_sub(2)) {
        Some(line) => frame.title_bottom(line),
        None => frame,
    }
}

/// Clears a pane of at most this size in the middle of the screen, and returns it.
fn cleared(app: &App, [width, height]: [u16; 2], screen: Rect, buffer: &mut Buffer) -> Rect {
    let (width, height) = (width.min(screen.width), height.min(screen.height));
    let pane = Rect {
        x: screen.x + (screen.width - width) / 2,
        y: screen.y + (screen.height - height) / 2,
        width,
        height,
    };
    Clear.render(pane, buffer);
    buffer.set_style(pane, app.theme().base());
    pane
}

/// Draws a frame and returns the area within.
fn enclosed(frame: &Block<'_>, area: Rect, buffer: &mut Buffer) -> Rect {
    frame.render(area, buffer);
    frame.inner(area)
}

/// Draws a framed pane with a sentence in the place of a picture that cannot be had.
fn render_sentence(app: &App, text: &str, area: Rect, buffer: &mut Buffer) {
    let text = Text::styled(text.to_owned(), app.theme().faint());
    Paragraph::new(text)
        .wrap(Wrap { trim: true })
        .render(padded(area), buffer);
}

/// Writes a sentence below a picture, in at most half of the area; returns what is left for the picture.
fn render_foot(text: &str, style: Style, area: Rect, buffer: &mut Buffer) -> Rect {
    let [picture, below] = above_foot(text, area);
    Paragraph::new(Text::styled(text.to_owned(), style))
        .wrap(Wrap { trim: true })
        .render(padded(below), buffer);
    picture
}

/// Returns the area divided between a picture and the sentence below it.
fn above_foot(text: &str, area: Rect) -> [Rect; 2] {
    let rows: u16 = text.lines().map(|line| rows_for(line, area.width)).sum();
    let rows = rows.min(area.height / 2);
    Layout::vertical([Constraint::Min(0), Constraint::Length(rows)]).areas(area)
}

/// Returns the rows of a sentence that is wrapped at blanks; a word that is too long is broken.
fn rows_for(text: &str, width: u16) -> u16 {
    let room = usize::from(width.saturating_sub(2)).max(1);
    let (mut rows, mut used) = (1, 0);
    for word in text.split_whitespace().map(|word| word.chars().count()) {
        if used > 0 && used + 1 + word > room {
            (rows, used) = (rows + 1, 0);
        }
        used += word + usize::from(used > 0);
        let broken = used.saturating_sub(1) / room;
        rows += broken;
        used -= broken * room;
    }
    rows as u16
}

/// Says, if a loss cannot be had, in the place of `what` why, and how to give it. Returns false if it can.
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

/// Returns true if there are slices of the loss, or may be.
pub(super) fn has_slices(app: &App) -> bool {
    facts::refusal(app.snapshot()).is_none()
}

/// Returns the area without its first and last column.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_has_the_rows_that_it_takes_to_wrap_it() {
        let text = "One checkpoint is a point.";
        assert_eq!(
            [40, 28, 27, 12, 7].map(|width| rows_for(text, width)),
            [1, 1, 2, 4, 6]
        );
        assert_eq!(rows_for("", 10), 1);
        assert_eq!(rows_for("a", 0), 1);
    }
}
