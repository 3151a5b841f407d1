//! The surface as a relief, turned and tilted with the arrow keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::plot::{Extras, MapScene};

use super::super::state::App;
use super::{enclosed, facts, frame, paint, render_refusal, render_sentence, scene};

/// Draws the pane.
pub(crate) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    let snapshot = app.snapshot();
    let mut frame = frame(app, "relief · height is log loss", area.width);
    let camera = app.camera();
    let caption = format!(
        " turn {:.0}° tilt {:.0}° · arrows ",
        camera.turn, camera.tilt
    );
    frame = frame.title_bottom(Line::styled(caption, app.theme().faint()).right_aligned());
    let inner = enclosed(&frame, area, buffer);
    if render_refusal(app, "relief", inner, buffer) {
        return;
    }
    let (Some(trajectory), Some(window), Some(_)) =
        (&snapshot.trajectory, app.window(), &snapshot.map)
    else {
        let why = "There is no relief yet: it begins with the third checkpoint.";
        return render_sentence(app, why, inner, buffer);
    };
    let gone = facts::gone(snapshot);
    let scene = scene::of_session(app, snapshot, trajectory, window);
    let extras = Extras {
        gone: &gone,
        ..scene.extras
    };
    let scene = MapScene { extras, ..scene };
    let picture = app.pictures().relief(&scene, camera, inner);
    paint(&picture, inner, buffer);
}
