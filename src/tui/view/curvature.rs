//! Eigenvalues of the Hessian around the current checkpoint, as a map of its own.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Widget};

use crate::landscape::curvature::Extremes;
use crate::landscape::surface::{Measure, Surface};
use crate::landscape::surveyor::CURVATURE_SAMPLES;
use crate::plot::axis::short;
use crate::plot::map::{Backdrop, Extras, MapScene};
use crate::session::study::CurvatureMap;

use super::super::app::{App, Figure};
use super::{enclosed, frame, map, padded, paint, render_sentence};

/// Draws the pane.
pub(crate) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    let snapshot = app.snapshot();
    let name = match app.figure() {
        Figure::Ratio => "|λmin/λmax|",
        Figure::Largest => "λmax",
        Figure::Smallest => "−λmin",
    };
    let title = format!("curvature · {name} · first {CURVATURE_SAMPLES} samples · d: next figure");
    let inner = enclosed(&frame(app, &title), area, buffer);
    let study = snapshot.study.as_ref();
    let found = study.and_then(|study| study.curvature.as_ref());
    let (Some(found), Some(trajectory), Some(window)) = (found, &snapshot.trajectory, app.window())
    else {
        let why = "Curvature is measured on demand on the plane of the path, so it needs three checkpoints, \
                   --data and a known model. The map (1) says what is missing.";
        return render_sentence(app, why, inner, buffer);
    };
    let [line, picture] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(inner);
    let known = found.values.iter().flatten().count();
    let progress = format!(" · {known} of {} points", found.values.len());
    let text = found
        .here
        .map_or_else(|| "being measured".into(), |here| sentence(&here))
        + &progress;
    Paragraph::new(Line::styled(text, app.theme().strong())).render(padded(line), buffer);
    let surface = surface(found, app.figure());
    let scene = MapScene {
        backdrop: Some(Backdrop {
            surface: &surface,
            shift: [0.0, 0.0],
            stale: false,
        }),
        extras: Extras {
            of: Some(name),
            ..Extras::default()
        },
        ..map::scene(app, snapshot, trajectory, window)
    };
    paint(&app.pictures().map(&scene, picture), picture, buffer);
}

fn sentence(here: &Extremes) -> String {
    format!(
        "here: λmax {}, λmin {}, ratio {}{}",
        short(here.lambda_max),
        short(here.lambda_min),
        short(here.ratio()),
        if here.converged {
            ""
        } else {
            " (not converged)"
        },
    )
}

/// The figure as a surface; what has no logarithm is none of it: a bowl has no −λmin.
fn surface(found: &CurvatureMap, figure: Figure) -> Surface {
    let mut surface = Surface::new(found.x.clone(), found.y.clone());
    let columns = found.x.len();
    for (at, extremes) in found.values.iter().enumerate() {
        let Some(extremes) = extremes else { continue };
        let value = match figure {
            Figure::Ratio => extremes.ratio(),
            Figure::Largest => extremes.lambda_max,
            Figure::Smallest => -extremes.lambda_min,
        };
        let measure = Measure {
            loss: value.max(0.0),
            accuracy: 0.0,
        };
        let measure = if value.is_nan() {
            Measure {
                loss: value,
                ..measure
            }
        } else {
            measure
        };
        surface.record(at % columns, at / columns, measure);
    }
    surface
}
