//! Eigenvalues of the Hessian around the current checkpoint, as a map of its own.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Widget};

use crate::landscape::worker::protocol::CURVATURE_SAMPLES;
use crate::landscape::{Extremes, Surface};
use crate::loss::Measure;
use crate::plot::axis::short;
use crate::plot::{Extras, MapScene, SurfaceLayer, title};
use crate::session::{AnalysisResult, CurvatureMap};

use super::super::state::App;
use super::super::state::choice::Figure;
use super::{enclosed, frame_of_analysis, padded, paint, render_refusal, render_sentence, scene};

/// Draws the pane.
pub(crate) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    let snapshot = app.snapshot();
    let name = match app.figure() {
        Figure::Ratio => "|λmin/λmax|",
        Figure::Largest => "λmax",
        Figure::Smallest => "−λmin",
    };
    let title = format!("curvature · {name} · {CURVATURE_SAMPLES} samples");
    let inner = enclosed(&frame_of_analysis(app, &title, area.width), area, buffer);
    if render_refusal(app, "curvature", inner, buffer) {
        return;
    }
    let analysis = snapshot.analysis.as_ref();
    let found = analysis.and_then(AnalysisResult::curvature);
    let (Some(found), Some(trajectory), Some(window)) = (found, &snapshot.trajectory, app.window())
    else {
        let why = "Curvature is measured on demand on the plane of the path, which begins with the third \
                   checkpoint.";
        return render_sentence(app, why, inner, buffer);
    };
    let here = found.here.map_or_else(Vec::new, |here| eigenvalues(&here));
    let text = here.join(" · ");
    let room = usize::from(inner.width.saturating_sub(2));
    let text = title::lines(&text, " · ", room, usize::from(inner.height / 3));
    let rows = Constraint::Length(text.len() as u16);
    let [above, picture] = Layout::vertical([rows, Constraint::Min(0)]).areas(inner);
    let text: Vec<Line<'_>> = text.into_iter().map(Line::raw).collect();
    Paragraph::new(text)
        .style(app.theme().strong())
        .render(padded(above), buffer);
    let surface = surface(found, app.figure());
    let scene = MapScene {
        backdrop: Some(SurfaceLayer {
            surface: &surface,
            stale: false,
        }),
        extras: Extras {
            of: Some(name),
            ..Extras::default()
        },
        ..scene::of_session(app, snapshot, trajectory, window)
    };
    paint(&app.pictures().map(&scene, picture), picture, buffer);
}

/// Returns the eigenvalues at the checkpoint, one an item.
fn eigenvalues(here: &Extremes) -> Vec<String> {
    let ratio = format!("ratio {}", short(here.ratio()));
    let mut said = vec![
        format!("λmax {}", short(here.lambda_max)),
        format!("λmin {}", short(here.lambda_min)),
        ratio,
    ];
    if !here.converged {
        said.push("not converged".into());
    }
    said
}

/// Returns the figure as a surface; what has no logarithm is none of it: a bowl has no −λmin.
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
            score: 0.0,
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
