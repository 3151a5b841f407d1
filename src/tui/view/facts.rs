//! Numbers of a snapshot in the words of the screen.

use std::collections::HashMap;

use crate::landscape::surface::Measure;
use crate::loss::Score;
use crate::plot::axis::short;
use crate::plot::graph::Mark;
use crate::run::hyper;
use crate::run::log::Logged;
use crate::session::snapshot::{CheckpointLine, CheckpointState, Finding, Snapshot};

use super::super::state::App;

/// The line of the checkpoint that is looked at.
pub(crate) fn selected(app: &App) -> Option<&CheckpointLine> {
    let step = selected_step(app)?;
    let lines = app.snapshot().checkpoints.iter();
    lines
        .rev()
        .find(|line| line.step == Some(step) && is_of_path(line))
}

/// Step of the checkpoint that is looked at.
pub(crate) fn selected_step(app: &App) -> Option<u64> {
    let steps = &app.snapshot().trajectory.as_ref()?.steps;
    steps.get(app.selected()?).copied()
}

/// Loss of the checkpoint that is looked at: its own, else that of its place on the plane.
pub(crate) fn measure(app: &App) -> Option<Measure> {
    selected(app).and_then(|line| line.truth.or(line.on_plane))
}

/// `0.295`.
pub(crate) fn loss(measure: Option<Measure>) -> String {
    measure.map_or_else(|| "–".into(), |measure| short(measure.loss))
}

/// `89.8 %`, `23.4` or `0.912`.
pub(crate) fn score(score: Score, measure: Option<Measure>) -> String {
    measure.map_or_else(|| "–".into(), |measure| of_score(score, measure.score))
}

/// The same of a number.
pub(crate) fn of_score(score: Score, value: f64) -> String {
    match score {
        Score::Accuracy => percent(value),
        Score::Perplexity => short(value),
        Score::RSquared => format!("{value:.3}"),
    }
}

/// `73.4 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// `±0.3 %`: how far off a map is expected to be between its points.
pub(crate) fn error(share: f64) -> String {
    if share < 5e-4 {
        "±<0.1 %".into()
    } else {
        format!("±{}", percent(share))
    }
}

/// `45 s`, `3 min`, `2 h 10 min`; never less than what is left.
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    match seconds {
        0..90 => format!("{seconds} s"),
        90..5400 => format!("{} min", seconds.div_ceil(60)),
        _ => {
            let minutes = seconds.div_ceil(60);
            format!("{} h {} min", minutes / 60, minutes % 60)
        }
    }
}

/// A number of each checkpoint of the path; not a number where it is not known.
pub(crate) fn of_path(
    snapshot: &Snapshot,
    number: impl Fn(&CheckpointLine) -> Option<f64>,
) -> Vec<f64> {
    let lines = snapshot.checkpoints.iter();
    let lines: HashMap<u64, &CheckpointLine> = (lines.filter(|line| is_of_path(line)))
        .filter_map(|line| Some((line.step?, line)))
        .collect();
    let steps = snapshot.trajectory.iter().flat_map(|path| &path.steps);
    let known = steps.map(|step| lines.get(step).and_then(|line| number(line)));
    known.map(|known| known.unwrap_or(f64::NAN)).collect()
}

/// How much the map misleads about each checkpoint of the path; not a number where that is not known.
pub(crate) fn doubts(snapshot: &Snapshot) -> Vec<f64> {
    let map = snapshot.map.as_ref().filter(|map| !map.stale);
    let doubt = map.map(|map| map.surface.doubt());
    of_path(snapshot, |line| {
        Some(doubt.as_ref()?(line.truth?.loss, line.on_plane?.loss))
    })
}

/// Where on the path the learning rate fell.
pub(crate) fn drops(snapshot: &Snapshot) -> Vec<usize> {
    let members = snapshot.hyper.len().max(snapshot.logged.len());
    let rates: Vec<Option<f64>> = (0..members).map(|member| snapshot.rate(member)).collect();
    hyper::drops(&rates)
}

/// The steps of the path.
pub(crate) fn steps(snapshot: &Snapshot) -> Vec<f64> {
    let steps = snapshot.trajectory.iter().flat_map(|path| &path.steps);
    steps.map(|step| *step as f64).collect()
}

/// Marks on a graph over steps at the checkpoints where the learning rate fell.
pub(crate) fn drop_marks(snapshot: &Snapshot) -> Vec<Mark> {
    let steps = steps(snapshot);
    let at = drops(snapshot)
        .into_iter()
        .filter_map(|i| steps.get(i).copied());
    at.map(|at| Mark {
        at,
        label: "lr↓".into(),
    })
    .collect()
}

/// What training logged at the checkpoint that is looked at, and its learning rate.
pub(crate) fn logged(app: &App) -> Logged {
    let snapshot = app.snapshot();
    let Some(at) = app.selected() else {
        return Logged::default();
    };
    Logged {
        rate: snapshot.rate(at),
        ..snapshot.logged.get(at).copied().unwrap_or_default()
    }
}

/// Why there is no loss, and how to have it; none where nothing is known to be missing.
pub(crate) fn refusal(snapshot: &Snapshot) -> Option<&str> {
    match (&snapshot.model, &snapshot.data) {
        (Finding::Not(reason), _) | (_, Finding::Not(reason)) => Some(reason),
        _ => None,
    }
}

/// False for what has the step of a checkpoint of the path, and is none.
fn is_of_path(line: &CheckpointLine) -> bool {
    !matches!(
        line.state,
        CheckpointState::OldBranch | CheckpointState::LeftOut(_)
    )
}

/// Of each checkpoint of the path whether its file is gone.
pub(crate) fn gone(snapshot: &Snapshot) -> Vec<bool> {
    let gone = of_path(snapshot, |line| Some(f64::from(u8::from(line.is_gone))));
    gone.into_iter().map(|gone| gone > 0.0).collect()
}

/// The branches that a resumed run has left, each from the checkpoint at which it was left.
pub(crate) fn old_branches(app: &App) -> Vec<Vec<[f64; 2]>> {
    let Some(path) = &app.snapshot().trajectory else {
        return Vec::new();
    };
    // A film has not come to what is still ahead.
    let now = selected_step(app).filter(|_| app.is_filming());
    let branches = (path.old_branches.iter())
        .filter(|branch| now.is_none_or(|now| branch.from.is_none_or(|from| from <= now)));
    branches
        .map(|branch| {
            let at = (branch.from).and_then(|from| path.steps.binary_search(&from).ok());
            let from = at.and_then(|at| path.coordinates.get(at));
            from.into_iter()
                .chain(&branch.coordinates)
                .copied()
                .collect()
        })
        .collect()
}

/// Why the newest checkpoint that cannot be read cannot.
pub(crate) fn unreadable(snapshot: &Snapshot) -> Option<&str> {
    let mut newest = snapshot.checkpoints.iter().rev();
    newest.find_map(|line| match &line.state {
        CheckpointState::Unreadable(reason) => Some(reason.as_str()),
        _ => None,
    })
}

/// How many checkpoints can be read and are no part of the path, and why the newest is not.
pub(crate) fn left_out(snapshot: &Snapshot) -> Option<(usize, &str)> {
    let reasons = snapshot.checkpoints.iter().rev();
    let mut reasons = reasons.filter_map(|line| match &line.state {
        CheckpointState::LeftOut(reason) => Some(reason.as_str()),
        _ => None,
    });
    let newest = reasons.next()?;
    Some((1 + reasons.count(), newest))
}

/// How many checkpoints cannot be read, and how many are still being written.
pub(crate) fn missing(snapshot: &Snapshot) -> (usize, usize) {
    let count = |wanted: fn(&CheckpointState) -> bool| {
        let states = snapshot.checkpoints.iter().map(|line| &line.state);
        states.filter(|state| wanted(state)).count()
    };
    (
        count(|state| matches!(state, CheckpointState::Unreadable(_))),
        count(|state| matches!(state, CheckpointState::Waiting)),
    )
}

/// Number of axes along which the path has an extent: 0 for a point, 1 for a line, 2 for a plane.
pub(crate) fn axes(snapshot: &Snapshot) -> usize {
    let singular = snapshot.trajectory.as_ref().map(|path| &path.singular);
    singular.map_or(0, |singular| {
        singular
            .iter()
            .take(2)
            .filter(|sigma| **sigma > 0.0)
            .count()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted_apart_with_the_reason_of_the_newest() {
        let line = |state| CheckpointLine {
            state,
            ..CheckpointLine::new("a.pt".as_ref())
        };
        let snapshot = Snapshot {
            checkpoints: vec![
                line(CheckpointState::LeftOut("older".into())),
                line(CheckpointState::LeftOut("newer".into())),
                line(CheckpointState::OldBranch),
                line(CheckpointState::Unreadable("no".into())),
            ],
            ..Snapshot::default()
        };
        assert_eq!(left_out(&snapshot), Some((2, "newer")));
        assert_eq!(missing(&snapshot), (1, 0));
        assert_eq!(left_out(&Snapshot::default()), None);
    }

    #[test]
    fn durations_are_rounded_up() {
        let said = [0.2, 59.9, 118.0, 3600.0, 7790.0].map(duration);
        assert_eq!(said, ["1 s", "60 s", "2 min", "60 min", "2 h 10 min"]);
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        let accuracy = |measure| score(Score::Accuracy, measure);
        assert_eq!((loss(None), accuracy(None)), ("–".into(), "–".into()));
        let measure = Measure {
            loss: 0.29512,
            score: 0.8984,
        };
        assert_eq!(
            (loss(Some(measure)), accuracy(Some(measure))),
            ("0.295".into(), "89.8 %".into())
        );
        let measure = Measure {
            score: 23.41,
            ..measure
        };
        assert_eq!(score(Score::Perplexity, Some(measure)), short(23.41));
        assert_eq!(score(Score::RSquared, Some(measure)), "23.410");
    }
}
