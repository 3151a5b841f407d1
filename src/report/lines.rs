//! A session as plain lines, one an event, for pipes and logs.

use crate::session::reader::KeptLine;
use crate::session::size_in_words;
use crate::session::snapshot::{CheckpointLine, CheckpointState, Finding, Snapshot};

use crate::plot::axis::short;

use super::inspect::{self, Log};
use super::{loss, percent, score};

/// Returns the news in `after`, one line an event.
#[must_use]
pub fn changes(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let mut lines = Vec::new();
    if before.device != after.device {
        lines.push(format!("device {}", after.device));
    }
    if before.trouble != after.trouble {
        lines.extend(
            after
                .trouble
                .iter()
                .map(|trouble| format!("waiting: {trouble}")),
        );
    }
    lines.extend(finding(&before.data, &after.data, |data| {
        format!(
            "data {}: {} {} samples",
            data.name,
            data.samples,
            data.split.name()
        )
    }));
    lines.extend(finding(&before.model, &after.model, |model| {
        format!(
            "model {}: {}, {} parameters",
            model.name, model.evidence, model.parameters
        )
    }));
    lines.extend(assumed(before, after));
    let source = |snapshot: &Snapshot| snapshot.training.as_ref().map(|log| log.source.clone());
    if let Some(log) = after
        .training
        .as_ref()
        .filter(|_| source(before) != source(after))
    {
        lines.push(format!("log {}", inspect::log_line(&Log::from(&**log))));
    }
    for line in &after.checkpoints {
        let is = |old: &&CheckpointLine| old.path == line.path && old.arrival == line.arrival;
        let old = before.checkpoints.iter().find(is);
        lines.extend(checkpoint(old, line, after));
    }
    for old in &before.checkpoints {
        let is = |line: &&CheckpointLine| line.path == old.path && line.arrival == old.arrival;
        if after.checkpoints.iter().any(|line| is(&line)) {
            continue;
        }
        match old.state {
            CheckpointState::OnPath | CheckpointState::OldBranch => {
                lines.push(format!("left the path {}", name(old)));
            }
            // It was read: its line says more now, or it is no part of the path.
            CheckpointState::Settled | CheckpointState::Waiting => {}
            _ if after.checkpoints.iter().any(|line| line.path == old.path) => {}
            _ => lines.push(format!("gone {}", name(old))),
        }
    }
    if let Some(kept) = after.kept.as_ref().filter(|_| before.kept.is_none()) {
        lines.push(format!("keeping {}", in_words(kept)));
    }
    lines.extend(thinned(before, after));
    lines.extend(level(before, after));
    let known = before.notices.len().min(after.notices.len());
    lines.extend(
        after.notices[known..]
            .iter()
            .map(|notice| format!("notice: {notice}")),
    );
    lines
}

/// The points that made room for others.
fn thinned(before: &Snapshot, after: &Snapshot) -> Option<String> {
    let all = |snapshot: &Snapshot| snapshot.kept.as_ref().map_or(0, |kept| kept.thinned);
    let new = all(after).saturating_sub(all(before));
    (new > 0).then(|| {
        let points = count(new, "point");
        format!("thinned {points} of deleted files, evenly: the room for copies is full or the path too long")
    })
}

/// Says what is assumed about the function that is measured, when it is new.
fn assumed(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let new = after.assumed.as_ref();
    let Some(assumed) = new.filter(|_| before.assumed != after.assumed) else {
        return Vec::new();
    };
    let mut line = format!("assumed {}", assumed.taken());
    if !assumed.evidence.is_empty() {
        line = format!("{line}; {}", assumed.evidence);
    }
    if let Some([low, high]) = assumed.loss_range {
        line = format!(
            "{line}; loss of the newest {} to {} over these",
            loss(low),
            loss(high)
        );
    }
    std::iter::once(line)
        .chain(
            assumed
                .warnings()
                .map(|warning| format!("doubtful: {warning}")),
        )
        .collect()
}

fn finding<T: PartialEq>(
    before: &Finding<T>,
    after: &Finding<T>,
    found: impl Fn(&T) -> String,
) -> Option<String> {
    match after {
        after if before == after => None,
        Finding::Is(thing) => Some(found(thing)),
        Finding::Not(reason) => Some(format!("no surface: {reason}")),
        Finding::Pending => None,
    }
}

fn checkpoint(
    old: Option<&CheckpointLine>,
    line: &CheckpointLine,
    after: &Snapshot,
) -> Vec<String> {
    let mut lines = Vec::new();
    if old.map(|old| &old.state) != Some(&line.state) {
        match &line.state {
            CheckpointState::Waiting => lines.push(format!("writing {}", name(line))),
            CheckpointState::Unreadable(reason) => lines.push(format!("unreadable {reason}")),
            CheckpointState::LeftOut(reason) => lines.push(format!("left out {reason}")),
            CheckpointState::OldBranch => lines.push(format!("old branch {}", name(line))),
            CheckpointState::OnPath => {
                lines.push(format!("checkpoint {}{}", name(line), place(line, after)));
            }
            CheckpointState::Settled => {}
        }
    }
    let has_newer = |line: &CheckpointLine| {
        let mut others = after.checkpoints.iter();
        others.any(|other| other.path == line.path && other.arrival > line.arrival)
    };
    if line.is_gone && old.is_some_and(|old| !old.is_gone) && !has_newer(line) {
        lines.push(format!("gone {}: kept on the path", name(line)));
    }
    if let (Some(truth), None) = (line.truth, old.and_then(|old| old.truth)) {
        lines.push(format!(
            "loss {} at {}{}{}",
            loss(truth.loss),
            name(line),
            score::behind(after.score(), truth.score),
            logged(line, after)
        ));
    }
    lines
}

/// Says what training logged there itself.
fn logged(line: &CheckpointLine, after: &Snapshot) -> String {
    let index = || {
        let steps = &after.trajectory.as_ref()?.steps;
        steps.binary_search(&line.step?).ok()
    };
    let Some(index) = index() else {
        return String::new();
    };
    let told = after.logged.get(index).copied().unwrap_or_default();
    let told = [
        ("logged", told.train),
        ("logged evaluation", told.eval),
        ("lr", after.rate(index)),
    ];
    let told = told.into_iter().filter_map(|(name, value)| {
        let value = value?;
        let value = if name == "lr" {
            short(value)
        } else {
            loss(value)
        };
        Some(format!(", {name} {value}"))
    });
    told.collect()
}

/// Says how far it lies from the checkpoint before, and what the plane of all that was read holds, if there is
/// one.
fn place(line: &CheckpointLine, after: &Snapshot) -> String {
    let found = after.trajectory.as_ref().and_then(|trajectory| {
        let index = trajectory.steps.binary_search(&line.step?).ok()?;
        Some((trajectory, index))
    });
    let Some((trajectory, index)) = found else {
        return String::new();
    };
    let (update, norm) = (trajectory.update_norm[index], trajectory.norm[index]);
    let text = format!(": moved {update:.4}, norm {norm:.4}");
    match trajectory.explained[..] {
        [x, y, ..] => format!("{text}, PC1+2 {}", percent(x + y)),
        _ => text,
    }
}

/// The map, whenever a finer level has been begun and when it rests.
fn level(before: &Snapshot, after: &Snapshot) -> Option<String> {
    let (was, is) = (&before.progress, &after.progress);
    let [old, map] = [before, after].map(|snapshot| snapshot.map.as_ref());
    let map = map.filter(|map| !map.stale)?;
    let is_same = old.is_some_and(|old| !old.stale && identity(before) == identity(after));
    let name = match (is.rests, is.lines) {
        (true, _) if !(was.rests && is_same) => "map at rest".into(),
        (false, Some(lines)) if is_same && was.lines.is_some_and(|was| was < lines) => {
            let was = was.lines.unwrap_or_default();
            format!("map {was}×{was}")
        }
        _ => return None,
    };
    let (x, y, lowest) = map.surface.lowest()?;
    let samples = (after.map_samples()).map_or(String::new(), |samples| format!(", {samples}"));
    let error = (is.error).map_or(String::new(), |error| {
        format!(", mean error {} expected", percent(error))
    });
    Some(format!(
        "{name}: {} points{samples}{error}, lowest loss {} at {x:.4}, {y:.4}",
        map.surface.measured(),
        loss(lowest.loss),
    ))
}

/// The checkpoints of which the map's plane is made; two planes of one run differ in them.
fn identity(snapshot: &Snapshot) -> Option<(u64, usize)> {
    snapshot
        .plane
        .map(|plane| (plane.origin, plane.checkpoints))
}

/// e.g. `12 checkpoints (34.0 MiB of 2.00 GiB) in ~/.cache/…`.
fn in_words(kept: &KeptLine) -> String {
    let room = kept.room.map_or(String::new(), |room| {
        format!(", at most {}", size_in_words(room))
    });
    format!(
        "what is read in {}{room}; {} there now ({}); --keep changes it",
        kept.folder.display(),
        count(kept.checkpoints, "checkpoint"),
        size_in_words(kept.bytes),
    )
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

fn name(line: &CheckpointLine) -> String {
    let file = line
        .path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    line.step
        .map_or(file.clone(), |step| format!("step {step} ({file})"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::landscape::surface::{Measure, Surface};
    use crate::run::log::{Logged, TrainingLog};
    use crate::session::snapshot::{Map, MapPlane, Progress};
    use crate::weights::trajectory::Trajectory;

    fn line(step: u64, state: CheckpointState) -> CheckpointLine {
        CheckpointLine {
            step: Some(step),
            state,
            ..CheckpointLine::new(format!("run/model_{step}.pt").as_ref())
        }
    }

    #[test]
    fn the_loss_that_training_logged_stands_beside_the_measured_one() {
        let mut before = snapshot(vec![line(10, CheckpointState::OnPath)]);
        before.trajectory = Some(Arc::new(Trajectory {
            steps: vec![10],
            ..Trajectory::default()
        }));
        let mut after = before.clone();
        after.checkpoints[0].truth = Some(Measure {
            loss: 0.5,
            score: 0.25,
        });
        after.logged = vec![Logged {
            train: Some(0.525),
            eval: None,
            rate: Some(1e-3),
        }];
        after.training = Some(Arc::new(TrainingLog {
            source: "run/metrics.csv".into(),
            train: [(10, 0.525)].into_iter().collect(),
            ..TrainingLog::default()
        }));
        let expected = [
            "log run/metrics.csv, to step 10, train loss 0.525",
            "loss 0.5000 at step 10 (model_10.pt), accuracy 25.0 %, logged 0.5250, lr 0.001",
        ];
        assert_eq!(changes(&before, &after), expected);
    }

    fn snapshot(checkpoints: Vec<CheckpointLine>) -> Snapshot {
        Snapshot {
            checkpoints,
            ..Snapshot::default()
        }
    }

    #[test]
    fn each_event_is_one_line_and_nothing_new_is_none() {
        let before = snapshot(vec![
            line(1, CheckpointState::OnPath),
            line(2, CheckpointState::Waiting),
        ]);
        let mut after = before.clone();
        assert!(changes(&before, &after).is_empty());
        after.checkpoints[1].state = CheckpointState::OnPath;
        after.checkpoints[0].truth = Some(Measure {
            loss: 0.5,
            score: 0.25,
        });
        after.checkpoints.push(line(
            3,
            CheckpointState::Unreadable("model_3.pt: cut".into()),
        ));
        let expected = [
            "loss 0.5000 at step 1 (model_1.pt), accuracy 25.0 %",
            "checkpoint step 2 (model_2.pt)",
            "unreadable model_3.pt: cut",
        ];
        assert_eq!(changes(&before, &after), expected);
    }

    #[test]
    fn a_map_is_told_when_it_rests_and_again_when_the_plane_is_another() {
        let mut surface = Surface::new(vec![-1.0, 1.0], vec![0.0, 2.0]);
        let measure = Measure {
            loss: 0.25,
            score: 1.0,
        };
        surface.record(1, 0, measure);
        let at_rest = |origin: u64| Snapshot {
            map: Some(Map {
                surface: surface.clone(),
                fidelity: None,
                stale: false,
            }),
            plane: Some(MapPlane {
                origin,
                ..MapPlane::default()
            }),
            progress: Progress {
                rests: true,
                lines: Some(2),
                error: Some(0.004),
                ..Progress::default()
            },
            ..Snapshot::default()
        };
        let expected = "map at rest: 1 points, mean error 0.40 % expected, lowest loss 0.2500 at 1.0000, 0.0000";
        let (first, second) = (at_rest(1), at_rest(2));
        assert_eq!(changes(&Snapshot::default(), &first), [expected]);
        assert!(changes(&first, &first).is_empty());
        assert_eq!(changes(&first, &second), [expected]);
    }

    #[test]
    fn what_is_missing_is_said_once() {
        let before = snapshot(Vec::new());
        let mut after = before.clone();
        after.model = Finding::Not("unknown names".into());
        assert_eq!(changes(&before, &after), ["no surface: unknown names"]);
        assert!(changes(&after, &after).is_empty());
    }
}
