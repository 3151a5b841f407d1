//! One frame: the app's state, drawn. Nothing here waits, locks or changes what is shown.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::plot::raster::Marker;

use super::app::App;
use super::ascii;
use super::choice::{Plane, View};
use super::layout::{Arrangement, arrange};
use super::view::{
    command, compare, curvature, header, help, map, path, slices, status, surface, trust, weights,
};

/// Draws the whole screen into a frame of a terminal.
pub fn render(app: &App, frame: &mut Frame<'_>) {
    draw(app, frame.area(), frame.buffer_mut());
}

/// Draws the whole screen into an area of a buffer.
pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    buffer.set_style(area, app.theme().base());
    match arrange(area, app.told().or(app.banner()).is_some(), app.is_zoomed()) {
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
            render_view(app, map, buffer);
            // What the body shows need not stand beside it again.
            match app.view() {
                View::Slices => map::render(app, slices, buffer),
                _ => slices::render_components(app, slices, buffer),
            }
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
            render_view(app, body, buffer);
            status::render_trust(app, trust, buffer);
            status::render(app, true, status, buffer);
        }
        Arrangement::Zoomed {
            banner,
            body,
            status,
        } => {
            header::render_banner(app, banner, buffer);
            render_view(app, body, buffer);
            status::render_tiny(app, true, status, buffer);
        }
        Arrangement::Tiny { map, status } => {
            match app.view() {
                View::Map if app.plane() == Plane::Principal => map::render_plane(app, map, buffer),
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
    if app.look().marker == Marker::Ascii {
        ascii::simplify(buffer);
    }
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
        View::Surface => surface::render(app, area, buffer),
    }
}
