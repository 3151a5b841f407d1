//! The help screen: the table of keys, and what the signs of the map mean.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph, Widget};

use crate::plot::raster::Marker;

use super::super::app::App;
use super::super::keymap::KEYMAP;
use super::{enclosed, frame};

/// Columns of the keys.
const KEYS: usize = 10;
/// Columns of the whole pane.
const WIDTH: u16 = 52;
/// Signs of the map, in braille and block, and in 7-bit characters.
const SIGNS: [[&str; 3]; 4] = [
    ["○ ● ◆", "S O &", "start, current, looked at"],
    ["✕", "X", "lowest loss that was measured"],
    ["╳ ^", "! ^", "not a number, above the top level"],
    ["dim", "dim", "not yet measured at this level"],
];

/// Draws the pane in the middle of the screen.
pub(crate) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme();
    let row = |keys: &str, help: &str| {
        Line::from(vec![
            Span::styled(format!(" {keys:KEYS$}"), theme.accent()),
            Span::raw(help.to_owned()),
        ])
    };
    let mut lines: Vec<Line<'static>> = KEYMAP.iter().map(|r| row(r.keys, r.help)).collect();
    lines.push(Line::default());
    let ascii = app.look().marker == Marker::Ascii;
    lines.extend(
        SIGNS.map(|[signs, plain, meaning]| row(if ascii { plain } else { signs }, meaning)),
    );
    let width = WIDTH.min(area.width);
    let height = (lines.len() as u16 + 2).min(area.height);
    let pane = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    Clear.render(pane, buffer);
    buffer.set_style(pane, theme.base());
    let inner = enclosed(&frame(app, "keys"), pane, buffer);
    Paragraph::new(lines).render(inner, buffer);
}
