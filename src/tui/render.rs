//! One frame: the app's state, drawn. Nothing here waits, locks or changes anything.

use ratatui::Frame;

use crate::plot::raster::Marker;

use super::app::{App, View};
use super::ascii;
use super::layout::{Arrangement, arrange};
use super::view::{header, help, map, slices, status, trust};

/// Draws the whole screen.
pub fn render(app: &App, frame: &mut Frame<'_>) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    buffer.set_style(area, app.theme().base());
    match arrange(area, app.banner().is_some()) {
        Arrangement::Full {
            header,
            banner,
            map,
            slices,
            trust,
            status,
        } => {
            header::render(app, true, header, buffer);
            header::render_banner(app, banner, buffer);
            map::render(app, map, buffer);
            slices::render(app, slices, buffer);
            trust::render(app, trust, buffer);
            status::render(app, false, status, buffer);
        }
        Arrangement::Compact {
            header,
            banner,
            body,
            trust,
            status,
        } => {
            header::render(app, false, header, buffer);
            header::render_banner(app, banner, buffer);
            match app.view() {
                View::Map => map::render(app, body, buffer),
                View::Slices => slices::render(app, body, buffer),
            }
            status::render_trust(app, trust, buffer);
            status::render(app, true, status, buffer);
        }
        Arrangement::Tiny { map, status } => {
            map::render_plane(app, map, buffer);
            status::render_tiny(app, status, buffer);
        }
    }
    if app.is_helping() {
        help::render(app, area, buffer);
    }
    if app.look().marker == Marker::Ascii {
        ascii::simplify(buffer);
    }
}
