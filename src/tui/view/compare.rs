//! The runs of a comparison side by side, on one colour scale.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::plot::map::MapScene;
use crate::plot::map::panels::Panel;
use crate::session::agenda::whole_path;
use crate::session::snapshot::{Snapshot, Window};

use super::super::app::App;
use super::{enclosed, facts, frame, map, paint, render_sentence};

/// Draws the pane.
pub(crate) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    let inner = enclosed(
        &frame(app, "compare · one scale and one range"),
        area,
        buffer,
    );
    if app.rivals().is_empty() {
        let why = "There is one run here. Give others behind it, up to six in all: isoloss watch RUN RUN …; \
                   or compare checkpoints and runs on random planes without a screen: isoloss compare RUN RUN …";
        return render_sentence(app, why, inner, buffer);
    }
    let runs: Vec<&Snapshot> = std::iter::once(app.snapshot())
        .chain(app.rivals().iter().map(AsRef::as_ref))
        .collect();
    let window = widest(&runs);
    let panels: Vec<Panel<'_>> = runs
        .iter()
        .filter_map(|snapshot| {
            let trajectory = snapshot.trajectory.as_deref()?;
            Some(Panel {
                title: title(snapshot),
                scene: MapScene {
                    // Which checkpoint is looked at is the first run's affair.
                    selected: trajectory.steps.len().saturating_sub(1),
                    ..map::scene(app, snapshot, trajectory, window?)
                },
            })
        })
        .collect();
    if panels.is_empty() {
        return render_sentence(app, "No checkpoint yet.", inner, buffer);
    }
    paint(&app.pictures().panels(&panels, inner), inner, buffer);
}

/// The window that holds the paths of all runs.
fn widest(runs: &[&Snapshot]) -> Option<Window> {
    let windows = runs.iter().filter_map(|snapshot| {
        snapshot
            .trajectory
            .as_ref()
            .map(|path| whole_path(&path.coordinates))
    });
    let both = |a: [f64; 2], b: [f64; 2]| [a[0].min(b[0]), a[1].max(b[1])];
    windows.reduce(|a, b| Window {
        x: both(a.x, b.x),
        y: both(a.y, b.y),
    })
}

/// What differs: the run's name, batch size and weight decay where its checkpoints tell, the loss.
fn title(snapshot: &Snapshot) -> String {
    let name = snapshot.run.file_name().map_or_else(
        || snapshot.run.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    );
    let told = snapshot.hyper.last().map(crate::run::hyper::Hyper::label);
    let last = snapshot
        .trajectory
        .as_ref()
        .and_then(|path| path.steps.last());
    let line = snapshot
        .checkpoints
        .iter()
        .rev()
        .find(|line| line.step.as_ref() == last);
    let measure = line.and_then(|line| line.truth);
    let accuracy = measure.map(|_| format!("accuracy {}", facts::accuracy(measure)));
    let parts = [Some(name), told.filter(|told| !told.is_empty()), accuracy];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
