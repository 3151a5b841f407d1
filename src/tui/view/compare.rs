//! The runs of a comparison side by side, on one colour scale.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Widget, Wrap};

use crate::data::Split;
use crate::loss::Measure;
use crate::loss::Score;
use crate::plot::{MapScene, Panel, title};
use crate::run::Hyper;
use crate::session::schedule::whole_path;
use crate::session::{Finding, PlaneWindow, Snapshot};

use super::super::state::App;
use super::{enclosed, facts, frame, padded, paint, render_foot, render_sentence, scene};
use crate::tui::view::fitted_line::tail;

/// The command that shows a pair of runs on a plane on which both lie.
const SHARED: &str = "isoloss compare RUN RUN --shared · both paths on one plane";

/// Columns that the run may take in a command.
const OFFERED: usize = 24;

/// Draws the pane.
pub(crate) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    let mut frame = frame(app, "compare · one scale and one range", area.width);
    if let [other] = app.compared()
        && may_share_a_plane(app.snapshot(), other)
    {
        let room = area.width.saturating_sub(4).into();
        let caption = format!(" {} ", title::fit(SHARED, " · ", room));
        frame = frame.title_bottom(Line::styled(caption, app.theme().faint()).right_aligned());
    }
    let inner = enclosed(&frame, area, buffer);
    if app.compared().is_empty() {
        return render_offer(app, inner, buffer);
    }
    let runs: Vec<&Snapshot> = std::iter::once(app.snapshot())
        .chain(app.compared().iter().map(AsRef::as_ref))
        .collect();
    let window = widest(&runs);
    let panels: Vec<Panel<'_>> = runs
        .iter()
        .filter_map(|snapshot| {
            let trajectory = snapshot.trajectory.as_deref()?;
            Some(Panel {
                title: title_line(snapshot),
                scene: MapScene {
                    // Which checkpoint is looked at is the first run's affair.
                    selected: trajectory.steps.len().saturating_sub(1),
                    ..scene::of_session(app, snapshot, trajectory, window?)
                },
            })
        })
        .collect();
    if panels.is_empty() {
        return render_sentence(app, "No checkpoint yet.", inner, buffer);
    }
    let refused = runs.iter().find_map(|snapshot| facts::refusal(snapshot));
    let picture = refused.map_or(inner, |reason| {
        let sentence = format!("no loss surface: {reason}");
        render_foot(&sentence, app.theme().warn(), inner, buffer)
    });
    paint(&app.pictures().panels(&panels, picture), picture, buffer);
}

/// Says what to do where there is nothing to compare yet.
fn render_offer(app: &App, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme();
    let run = tail(&app.snapshot().run.display().to_string(), OFFERED);
    let command = |text: String| Line::styled(format!("  {text}"), theme.strong());
    let said = |text: &'static str| Line::styled(text, theme.faint());
    let lines = vec![
        said("One run is open: there is nothing beside it."),
        Line::default(),
        said("Runs side by side, up to six:"),
        command(format!("isoloss watch {run} OTHER")),
        said("Both paths on one plane, without a screen:"),
        command(format!("isoloss compare {run} OTHER --shared")),
    ];
    Paragraph::new(lines)
        .wrap(Wrap { trim: false })
        .render(padded(area), buffer);
}

/// Returns true if nothing is known that speaks against a plane through both runs.
fn may_share_a_plane(one: &Snapshot, other: &Snapshot) -> bool {
    match (&one.model, &other.model) {
        (Finding::Is(one), Finding::Is(other)) => one.name == other.name,
        _ => true,
    }
}

/// Returns the window that holds the paths of all runs.
fn widest(runs: &[&Snapshot]) -> Option<PlaneWindow> {
    let windows = runs.iter().filter_map(|snapshot| {
        snapshot
            .trajectory
            .as_ref()
            .map(|path| whole_path(&path.coordinates))
    });
    let both = |a: [f64; 2], b: [f64; 2]| [a[0].min(b[0]), a[1].max(b[1])];
    windows.reduce(|a, b| PlaneWindow {
        x: both(a.x, b.x),
        y: both(a.y, b.y),
    })
}

/// Returns the words that tell runs apart: name, batch size and weight decay where the checkpoints tell, the
/// test result.
fn title_line(snapshot: &Snapshot) -> String {
    let name = facts::name(snapshot);
    let told = snapshot.hyper.last().map(Hyper::label);
    let told = told.filter(|told| !told.is_empty());
    let parts = [Some(name), told, quality(snapshot)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Returns the last checkpoint's quality: the paper's test error, if there are test samples.
fn quality(snapshot: &Snapshot) -> Option<String> {
    let of_test = |measure: Measure| match snapshot.score() {
        Some(Score::Accuracy) => format!("test error {}", facts::percent(1.0 - measure.score)),
        score => format!("test {}", beside(score, measure)),
    };
    if let Some(test) = snapshot.test {
        return Some(of_test(test));
    }
    let last = snapshot.trajectory.as_ref()?.steps.last();
    let mut lines = snapshot.checkpoints.iter().rev();
    let measure = lines.find(|line| line.step.as_ref() == last)?.truth?;
    let Finding::Is(data) = &snapshot.data else {
        return None;
    };
    Some(match data.split {
        Split::Train => format!("train {}", beside(snapshot.score(), measure)),
        Split::Test => of_test(measure),
    })
}

/// Returns the score, or the loss if there is none.
fn beside(score: Option<Score>, measure: Measure) -> String {
    match score {
        Some(score) => format!(
            "{} {}",
            score.short(),
            facts::of_score(score, measure.score)
        ),
        None => format!("loss {}", facts::loss(Some(measure))),
    }
}
