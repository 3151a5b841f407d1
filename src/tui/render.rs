//! One frame: the app's state, drawn. Nothing here waits, locks or changes what is shown.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::report::visible;

use super::ascii;
use super::state::App;
use super::state::choice::{ShownPlane, View};
use super::view::{
    command, compare, curvature, has_slices, header, help, map, path, relief, slices, status,
    trust, weights,
};
use crate::tui::view::layout::{Parts, ScreenLayout, arrange};

/// Draws the whole screen into a frame of a terminal.
pub fn render(app: &App, frame: &mut Frame<'_>) {
    draw(app, frame.area(), frame.buffer_mut());
}

/// Draws the whole screen into an area of a buffer.
pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    draw_arranged(app, area, buffer);
    replace_hidden(buffer);
}

/// Replaces what a terminal would obey rather than show: names of files and tensors are others' words.
fn replace_hidden(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if cell.symbol().contains(visible::is_hidden) {
            cell.set_char(char::REPLACEMENT_CHARACTER);
        }
    }
}

fn draw_arranged(app: &App, area: Rect, buffer: &mut Buffer) {
    buffer.set_style(area, app.theme().base());
    match arranged(app, area) {
        ScreenLayout::Full {
            header,
            banner,
            map,
            slices,
            trust,
            status,
        } => {
            header::render(app, header, buffer);
            header::render_banner(app, banner, buffer);
            render_view(app, map, buffer);
            if !slices.is_empty() {
                // What the body shows need not stand beside it again.
                match app.view() {
                    View::Slices => map::render(app, slices, buffer),
                    _ => slices::render_components(app, slices, buffer),
                }
            }
            trust::render(app, trust, buffer);
            status::render(app, false, status, buffer);
        }
        ScreenLayout::Compact {
            header,
            banner,
            body,
            trust,
            status,
        } => {
            header::render(app, header, buffer);
            header::render_banner(app, banner, buffer);
            render_view(app, body, buffer);
            status::render_trust(app, trust, buffer);
            status::render(app, true, status, buffer);
        }
        ScreenLayout::Zoomed {
            banner,
            body,
            status,
        } => {
            header::render_banner(app, banner, buffer);
            render_view(app, body, buffer);
            status::render_tiny(app, true, status, buffer);
        }
        ScreenLayout::Tiny { map, status } => {
            match app.view() {
                View::Map if app.plane() == ShownPlane::Principal => {
                    map::render_plane(app, map, buffer);
                }
                _ => render_view(app, map, buffer),
            }
            status::render_tiny(app, false, status, buffer);
        }
    }
    if app.is_helping() {
        help::render(app, area, buffer);
    }
    if app.shows_command() {
        command::render(app, area, buffer);
    }
    if app.appearance().marker.is_ascii() {
        ascii::simplify(buffer);
    }
}

/// Divides the screen for what the app has to show.
pub(super) fn arranged(app: &App, area: Rect) -> ScreenLayout {
    let parts = Parts {
        banner: app.message().or(app.banner()).is_some(),
        zoomed: app.is_zoomed(),
        slices: app.view() == View::Slices || has_slices(app),
    };
    arrange(area, parts)
}

/// Draws the view that is looked at.
fn render_view(app: &App, area: Rect, buffer: &mut Buffer) {
    match app.view() {
        View::Map => map::render(app, area, buffer),
        View::Slices => slices::render(app, area, buffer),
        View::Path => path::render(app, area, buffer),
        View::Weights => weights::render(app, area, buffer),
        View::Curvature => curvature::render(app, area, buffer),
        View::Compare => compare::render(app, area, buffer),
        View::Relief => relief::render(app, area, buffer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_never_holds_what_a_terminal_obeys() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 4, 1));
        for (cell, symbol) in
            (buffer.content.iter_mut()).zip(["a\u{202e}", "\u{9b}", "\u{7f}", "é"])
        {
            cell.set_symbol(symbol);
        }
        replace_hidden(&mut buffer);
        let symbols: Vec<&str> = buffer
            .content
            .iter()
            .map(ratatui::buffer::Cell::symbol)
            .collect();
        assert_eq!(symbols, ["\u{fffd}", "\u{fffd}", "\u{fffd}", "é"]);
    }
}
