//! The path on its principal plane and on a random one, which shows why the former is used.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget};

use crate::plot::axis::{rough, short};
use crate::plot::map::has_axes;
use crate::plot::{AxisTitle, Extras, MapScene};
use crate::session::schedule::whole_path;

use super::super::state::App;
use super::{enclosed, facts, frame, padded, paint, render_sentence, scene};

/// From this width on the planes stand side by side.
const SIDE_BY_SIDE: u16 = 60;

/// Draws the pane.
pub(crate) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    let snapshot = app.snapshot();
    let inner = enclosed(
        &frame(app, "path · PCA plane and a random plane", area.width),
        area,
        buffer,
    );
    let (Some(trajectory), Some(projection)) = (&snapshot.trajectory, &snapshot.random_projection)
    else {
        let why = "Both planes begin with the third checkpoint. A run of more than 50 million weights in all \
                   checkpoints is not read again for the random one while it is watched: isoloss trajectory \
                   RUN --plane random does it without a screen.";
        return render_sentence(app, why, inner, buffer);
    };
    let each = [Constraint::Fill(1), Constraint::Fill(1)];
    let areas: [Rect; 2] = if inner.width >= SIDE_BY_SIDE {
        Layout::horizontal(each).spacing(2).areas(inner)
    } else {
        Layout::vertical(each).areas(inner)
    };
    let caught: f64 = trajectory.explained.iter().take(2).sum();
    let (gone, old_branches) = (facts::gone(snapshot), facts::old_branches(app));
    let extras = Extras {
        gone: &gone,
        ..Extras::default()
    };
    let own = MapScene {
        backdrop: None,
        extras: Extras {
            old_branches: &old_branches,
            ..extras
        },
        ..scene::of_session(
            app,
            snapshot,
            trajectory,
            whole_path(&trajectory.coordinates),
        )
    };
    let window = whole_path(&projection.coordinates);
    let title = |name: &str| AxisTitle {
        name: name.into(),
        share: None,
    };
    let random = MapScene {
        x: window.x,
        y: window.y,
        path: &projection.coordinates,
        extras,
        axes: [title("random 1"), title("random 2")],
        ..own.clone()
    };
    let cosine = format!(
        "cosine {}, expected {}",
        rough(projection.cosine.abs()),
        rough(projection.expected())
    );
    let null: f64 = trajectory.explained_walk().iter().take(2).sum();
    let walk = format!("a random walk has {}", percent(null));
    let planes = [(own, caught, walk), (random, projection.explained, cosine)];
    for (plane, area) in planes.into_iter().zip(areas) {
        render_plane(app, plane, area, buffer);
    }
}

/// Draws the path on a plane, below its share of the variance and what that is to be compared with.
fn render_plane(
    app: &App,
    (scene, share, rest): (MapScene<'_>, f64, String),
    area: Rect,
    buffer: &mut Buffer,
) {
    let [lines, picture] =
        Layout::vertical([Constraint::Length(2), Constraint::Min(0)]).areas(area);
    let faint = app.theme().faint();
    let rest = if has_axes(&scene, picture.width.into(), picture.height.into()) {
        rest
    } else {
        extent(&scene)
    };
    let caught = Line::from(vec![
        Span::styled(percent(share), app.theme().strong()),
        Span::styled(" of the variance", faint),
    ]);
    Paragraph::new(vec![caught, Line::styled(rest, faint)]).render(padded(lines), buffer);
    paint(&app.pictures().map(&scene, picture), picture, buffer);
}

/// Returns the extent of the plane in a picture without axes.
fn extent(scene: &MapScene<'_>) -> String {
    let [wide, high] = [scene.x, scene.y].map(|[min, max]| short(max - min));
    format!("{wide} wide · {high} high")
}

/// Returns a share that may be tiny: `98.5 %`, `0.004 %`.
fn percent(share: f64) -> String {
    if share < 0.01 {
        return format!("{} %", rough(100.0 * share));
    }
    format!("{} %", short(100.0 * share))
}
