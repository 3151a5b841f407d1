//! The help screen: the table of keys, and what the signs of the map mean.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph, Widget};

use crate::plot::raster::Marker;
use crate::plot::title;

use super::super::app::App;
use super::super::keymap::KEYMAP;
use super::{enclosed, frame};

/// Columns of the keys.
const KEYS: usize = 12;
/// Columns of the whole pane.
const WIDTH: u16 = 56;
/// Signs of the map, in braille and block, and in 7-bit characters.
const SIGNS: [[&str; 3]; 6] = [
    ["○ ● ◆", "S O &", "start, current, looked at"],
    ["✕", "X", "lowest loss that was measured"],
    ["• ·", "o ,", "checkpoint; one that the map is untrue of"],
    ["▼", "v", "the learning rate fell"],
    ["╳ ^", "! ^", "not a number, above the top level"],
    ["dim", "dim", "not yet measured finely enough"],
];
/// Rows by which an arrow key scrolls.
const SCROLL: usize = 3;
/// How often that can be done until the last rows are at the top.
pub(in crate::tui) const SCROLLS: usize = (KEYMAP.len() + SIGNS.len()) / SCROLL;

/// Draws the pane in the middle of the screen.
pub(crate) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme();
    let width = WIDTH.min(area.width);
    let room = usize::from(width).saturating_sub(KEYS + 4);
    let rows = rows(app.look().marker);
    // The words that have no room beside their keys stand below the others.
    let lines = |[keys, help]: [&'static str; 2]| {
        let words = title::lines(help, " ", room, usize::MAX).into_iter();
        words.enumerate().map(move |(line, words)| {
            let keys = if line == 0 { keys } else { "" };
            let keys = Span::styled(format!(" {keys:KEYS$}"), theme.accent());
            Line::from(vec![keys, Span::raw(words)])
        })
    };
    let count = rows.iter().copied().flat_map(lines).count();
    let height = (count as u16 + 2).min(area.height);
    let pane = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    Clear.render(pane, buffer);
    buffer.set_style(pane, theme.base());
    let (title, first) = if count + 2 <= height.into() {
        ("keys", 0)
    } else {
        ("keys · ↑ ↓ scroll", SCROLL * app.scrolled())
    };
    let inner = enclosed(&frame(app, title, width), pane, buffer);
    let shown: Vec<Line<'_>> = rows.into_iter().skip(first).flat_map(lines).collect();
    Paragraph::new(shown).render(inner, buffer);
}

/// Keys and signs, each with what it does or means.
fn rows(marker: Marker) -> Vec<[&'static str; 2]> {
    let keys = KEYMAP.iter().map(|row| [row.keys, row.help]);
    let signs = SIGNS.map(|[signs, plain, meaning]| {
        let signs = if marker == Marker::Ascii {
            plain
        } else {
            signs
        };
        [signs, meaning]
    });
    keys.chain([["", ""]]).chain(signs).collect()
}
