//! The screen without a terminal: what it shows at a size, as a picture.

use ratatui::buffer::{self, Buffer};
use ratatui::layout::{Rect, Size};
use ratatui::style::{Color, Modifier};

use crate::plot::{Cell, Picture, Rgb};

use super::render::draw;
use super::state::App;

/// Returns the whole screen at this size, in columns and rows.
#[must_use]
pub fn still(app: &App, size: Size) -> Picture {
    let area = Rect::from((ratatui::layout::Position::ORIGIN, size));
    let mut buffer = Buffer::empty(area);
    draw(app, area, &mut buffer);
    let mut picture = Picture::new(size.width.into(), size.height.into());
    for (place, drawn) in area.positions().zip(&buffer.content) {
        if let Some(cell) = picture.cell_mut(place.x.into(), place.y.into()) {
            *cell = printed(drawn);
        }
    }
    picture
}

fn printed(cell: &buffer::Cell) -> Cell {
    let has = |modifier| cell.modifier.contains(modifier);
    Cell {
        symbol: cell.symbol().chars().next().unwrap_or(' '),
        foreground: colour(cell.fg),
        background: colour(cell.bg),
        bold: has(Modifier::BOLD),
        dim: has(Modifier::DIM),
        reverse: has(Modifier::REVERSED),
    }
}

/// Returns a colour of the theme. The screen draws with no others; they are fitted to a terminal's palette later.
fn colour(colour: Color) -> Option<Rgb> {
    match colour {
        Color::Rgb(r, g, b) => Some(Rgb(r, g, b)),
        _ => None,
    }
}
