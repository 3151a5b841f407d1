//! Numbers of a snapshot in the words of the screen.

use std::collections::HashMap;

use crate::loss::Measure;
use crate::loss::Score;
use crate::plot::Mark;
use crate::plot::axis::short;
use crate::run::Logged;
use crate::session::{CheckpointLine, CheckpointState, Fidelity, Finding, Snapshot};
use crate::weights::Trajectory;

use super::super::state::App;

/// Returns the line of the checkpoint that is looked at.
pub(crate) fn selected(app: &App) -> Option<&CheckpointLine> {
    let step = selected_step(app)?;
    let lines = app.snapshot().checkpoints.iter();
    lines
        .rev()
        .find(|line| line.step == Some(step) && is_of_path(line))
}

/// Returns the step of the checkpoint that is looked at.
pub(crate) fn selected_step(app: &App) -> Option<u64> {
    let steps = &app.snapshot().trajectory.as_ref()?.steps;
    steps.get(app.selected()?).copied()
}

/// Returns the loss of the checkpoint that is looked at: its own, else that of its place on the plane.
pub(crate) fn measure(app: &App) -> Option<Measure> {
    selected(app).and_then(|line| line.truth.or(line.on_plane))
}

/// Returns the newest checkpoint whose loss is known, with its step, while that of a newer one is looked at and is not:
/// checkpoints may come faster than they can be measured.
pub(crate) fn last_measured(app: &App) -> Option<(u64, Measure)> {
    let newest = app.checkpoints().checked_sub(1)?;
    if app.selected() != Some(newest) || measure(app).is_some() {
        return None;
    }
    let lines = app.snapshot().checkpoints.iter().rev();
    let mut known = lines.filter(|line| is_of_path(line));
    known.find_map(|line| Some((line.step?, line.truth?)))
}

/// Returns `0.295`.
pub(crate) fn loss(measure: Option<Measure>) -> String {
    measure.map_or_else(|| "–".into(), |measure| short(measure.loss))
}

/// Returns `89.8 %`, `23.4` or `0.912`.
pub(crate) fn score(score: Score, measure: Option<Measure>) -> String {
    measure.map_or_else(|| "–".into(), |measure| of_score(score, measure.score))
}

/// Returns the same of a number.
pub(crate) fn of_score(score: Score, value: f64) -> String {
    match score {
        Score::Accuracy => percent(value),
        Score::Perplexity => short(value),
        Score::RSquared => format!("{value:.3}"),
    }
}

/// Returns `73.4 %`, and all is `100 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0).replace("100.0", "100")
}

/// Returns `31 %`, for shares of which no digit more is of use; what is not nothing is not said to be.
pub(crate) fn whole_percent(share: f64) -> String {
    if share > 0.0 && share < 0.005 {
        "<1 %".into()
    } else {
        format!("{:.0} %", share * 100.0)
    }
}

/// Returns the name, share and random-walk share of the components that span the picture.
pub(crate) fn explained(snapshot: &Snapshot) -> Option<(&'static str, f64, f64)> {
    let trajectory = snapshot.trajectory.as_ref()?;
    let sum = |shares: &[f64]| shares.iter().take(2).sum::<f64>();
    let label = match trajectory.explained.len() {
        0 => return None,
        1 => "PC1",
        _ => "PC1+2",
    };
    let held = snapshot.plane.map(|plane| plane.explained);
    let share = held.unwrap_or_else(|| sum(&trajectory.explained));
    Some((label, share, sum(&trajectory.explained_walk())))
}

/// Returns the distance of each checkpoint from the plane as a share of the path's extent, which is the largest
/// distance of a checkpoint from the newest; none if it is not known.
pub(crate) fn distances(trajectory: &Trajectory) -> Vec<f64> {
    let Some(newest) = trajectory.coordinates.last() else {
        return Vec::new();
    };
    let places = trajectory.coordinates.iter().zip(&trajectory.distance);
    let extents = places.map(|(at, distance)| {
        let along = (at[0] - newest[0]).hypot(at[1] - newest[1]);
        along.hypot(*distance)
    });
    let extent = extents.fold(0.0, f64::max);
    let shares = trajectory.distance.iter().map(|distance| distance / extent);
    shares.collect()
}

/// Returns the median and the largest distance of the checkpoints but those that the plane was laid through,
/// whose 0 says nothing; `None` if there is none.
pub(crate) fn median_and_most(shares: &[f64]) -> Option<[f64; 2]> {
    let off = shares.iter().copied();
    let mut sorted: Vec<f64> = off
        .filter(|share| share.is_finite() && *share > 0.0)
        .collect();
    sorted.sort_by(f64::total_cmp);
    Some([*sorted.get(sorted.len() / 2)?, *sorted.last()?])
}

/// Returns the pace of measuring: `31 points/s`; `None` while nothing is measured.
pub(crate) fn pace(snapshot: &Snapshot) -> Option<String> {
    let pace = snapshot.progress.points_per_second;
    let decimals = usize::from(pace < 10.0);
    (pace > 0.0).then(|| format!("{pace:.decimals$} points/s"))
}

/// Bytes of a GiB.
const GIB: u64 = 1 << 30;

/// Returns the cost of isoloss itself, e.g. `0.4 cores 176 MiB`; `None` if that is not known.
pub(crate) fn own_cost(snapshot: &Snapshot) -> Option<String> {
    let cost = snapshot.progress.cost?;
    // More digits tremble.
    let memory = match cost.memory {
        small if small < GIB => format!("{} MiB", small >> 20),
        large => format!("{:.1} GiB", large as f64 / GIB as f64),
    };
    let gpu = cost.gpu.map(|share| format!(" GPU {:.0} %", share * 100.0));
    Some(format!(
        "{:.1} cores {memory}{}",
        cost.cores,
        gpu.unwrap_or_default()
    ))
}

/// Returns the name of a run: that of its folder.
pub(crate) fn name(snapshot: &Snapshot) -> String {
    let run = &snapshot.run;
    run.file_name().map_or_else(
        || run.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Returns the batch-norm mode; `None` for a network without batch norm, or before the network is known.
pub(crate) fn batch_norm(snapshot: &Snapshot) -> Option<&str> {
    let mode = Some(snapshot.batch_norm.as_str()).filter(|mode| !mode.is_empty());
    mode.filter(|_| snapshot.has_batch_norm == Some(true))
}

/// Returns the standard error of a mean loss over so many samples, estimated: nothing but means are kept of the
/// samples. Where samples are told right or wrong, it is that of a loss which the wrong ones have alone; of squared
/// errors, that of normal residuals; else that of a loss that spreads as far as its mean.
pub(crate) fn loss_error(score: Option<Score>, measure: Measure, samples: usize) -> f64 {
    let count = samples.max(1) as f64;
    let spread = match score {
        Some(Score::Accuracy) => {
            let wrong = (1.0 - measure.score).clamp(1.0 / count, 1.0);
            ((1.0 - wrong) / wrong).sqrt().max(1.0 / count.sqrt())
        }
        Some(Score::RSquared) => 2.0f64.sqrt(),
        Some(Score::Perplexity) | None => 1.0,
    };
    measure.loss * spread / count.sqrt()
}

/// Returns the standard error of a score, on the scale that it is drawn on; `None` if there is no estimate of it.
pub(crate) fn score_error(score: Score, measure: Measure, samples: usize) -> Option<f64> {
    let count = samples.max(1) as f64;
    match score {
        // The binomial one, of counts of right and wrong that are both one larger.
        Score::Accuracy => {
            let right = (measure.score * count + 1.0) / (count + 2.0);
            Some(score.on_scale((right * (1.0 - right) / count).sqrt()))
        }
        Score::Perplexity => {
            let error = loss_error(Some(score), measure, samples);
            Some(measure.score * error)
        }
        Score::RSquared => None,
    }
}

/// Returns the number of samples that the slices and the map are measured on at most.
pub(crate) fn measured_samples(snapshot: &Snapshot) -> Option<usize> {
    let Finding::Is(data) = &snapshot.data else {
        return None;
    };
    let map = snapshot.map.as_ref();
    Some(match map.and_then(|map| map.fidelity) {
        Some(Fidelity::Few(few)) => few,
        _ => data.samples,
    })
}

/// Returns `±0.3 %`: how far off a map is expected to be between its points.
pub(crate) fn error(share: f64) -> String {
    if share < 5e-4 {
        "±<0.1 %".into()
    } else {
        format!("±{}", percent(share))
    }
}

/// Returns `45 s`, `3 min`, `2 h 10 min`; never less than what is left.
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

/// Returns a number for each checkpoint of the path; NaN if it is not known.
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

/// Returns the map's error at each checkpoint of the path; NaN if it is not known.
pub(crate) fn doubts(snapshot: &Snapshot) -> Vec<f64> {
    let map = snapshot.map.as_ref().filter(|map| !map.stale);
    let doubt = map.map(|map| map.surface.doubt());
    of_path(snapshot, |line| {
        Some(doubt.as_ref()?(line.truth?.loss, line.on_plane?.loss))
    })
}

/// Returns the steps of the path.
pub(crate) fn steps(snapshot: &Snapshot) -> Vec<f64> {
    let steps = snapshot.trajectory.iter().flat_map(|path| &path.steps);
    steps.map(|step| *step as f64).collect()
}

/// Returns marks on a graph over steps at the checkpoints where the learning rate fell.
pub(crate) fn drop_marks(snapshot: &Snapshot) -> Vec<Mark> {
    let steps = steps(snapshot);
    let at = snapshot
        .drops()
        .into_iter()
        .filter_map(|i| steps.get(i).copied());
    at.map(|at| Mark {
        at,
        label: "lr↓".into(),
    })
    .collect()
}

/// Returns the values that training logged at the checkpoint that is looked at, and its learning rate.
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

/// Says why there is no loss, and how to have it; `None` if nothing is known to be missing.
pub(crate) fn refusal(snapshot: &Snapshot) -> Option<&str> {
    match (&snapshot.model, &snapshot.data) {
        (Finding::Not(reason), _) | (_, Finding::Not(reason)) => Some(reason),
        _ => None,
    }
}

/// Returns false for what has the step of a checkpoint of the path, and is none.
fn is_of_path(line: &CheckpointLine) -> bool {
    !matches!(
        line.state,
        CheckpointState::OldBranch | CheckpointState::LeftOut(_)
    )
}

/// Returns true for each checkpoint of the path whose file is gone.
pub(crate) fn gone(snapshot: &Snapshot) -> Vec<bool> {
    let gone = of_path(snapshot, |line| Some(f64::from(u8::from(line.is_gone))));
    gone.into_iter().map(|gone| gone > 0.0).collect()
}

/// Returns the branches that a resumed run has left, each from the checkpoint at which it was left.
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

/// Returns the reason why the newest checkpoint that cannot be read cannot.
pub(crate) fn unreadable(snapshot: &Snapshot) -> Option<&str> {
    let mut newest = snapshot.checkpoints.iter().rev();
    newest.find_map(|line| match &line.state {
        CheckpointState::Unreadable(reason) => Some(reason.as_str()),
        _ => None,
    })
}

/// Returns the number of checkpoints that can be read and are no part of the path, and why the newest is not.
pub(crate) fn left_out(snapshot: &Snapshot) -> Option<(usize, &str)> {
    let reasons = snapshot.checkpoints.iter().rev();
    let mut reasons = reasons.filter_map(|line| match &line.state {
        CheckpointState::LeftOut(reason) => Some(reason.as_str()),
        _ => None,
    });
    let newest = reasons.next()?;
    Some((1 + reasons.count(), newest))
}

/// Returns the number of checkpoints that cannot be read, and of those that are still being written.
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

/// Returns the number of axes along which the path has an extent: 0 for a point, 1 for a line, 2 for a plane.
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
    fn standard_errors_are_those_of_their_models() {
        let measure = |loss, score| Measure { loss, score };
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        // A tenth is wrong, and each of these has a loss of 3: a mean of 0.3, a spread of 0.9.
        let accuracy = Some(Score::Accuracy);
        near(loss_error(accuracy, measure(0.3, 0.9), 100), 0.09);
        near(
            loss_error(Some(Score::RSquared), measure(0.5, 0.8), 200),
            0.05,
        );
        near(loss_error(None, measure(0.5, f64::NAN), 100), 0.05);
        // Half of 98 right, which count as 50 of 100.
        let binomial = score_error(Score::Accuracy, measure(0.3, 0.5), 98).unwrap_or(0.0);
        near(binomial, 100.0 * (0.25f64 / 98.0).sqrt());
        // All right says little about a hundred samples.
        assert!(score_error(Score::Accuracy, measure(0.0, 1.0), 100) > Some(0.5));
        assert_eq!(score_error(Score::RSquared, measure(0.5, 0.8), 200), None);
    }

    #[test]
    fn distances_are_shares_of_the_largest_distance_from_the_newest() {
        // The first lies 3, 4 away in the plane and 12 above it: 13 in all.
        let path = Trajectory {
            coordinates: vec![[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]],
            distance: vec![12.0, 1.3, 0.0],
            ..Trajectory::default()
        };
        let shares = distances(&path);
        assert_eq!(shares, [12.0 / 13.0, 0.1, 0.0]);
        assert_eq!(median_and_most(&shares), Some([12.0 / 13.0, 12.0 / 13.0]));
        // Old recordings do not tell them.
        let old = Trajectory {
            distance: vec![],
            ..path
        };
        assert_eq!(median_and_most(&distances(&old)), None);
        assert_eq!(
            [0.0, 0.001, 0.314].map(whole_percent),
            ["0 %", "<1 %", "31 %"]
        );
        assert_eq!([0.9984, 1.0].map(percent), ["99.8 %", "100 %"]);
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
