//! A session as events, for pipes and logs: what is new between two snapshots.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::loss::Measure;
use crate::session::{CheckpointLine, CheckpointState, Finding, KeptLine, Snapshot, size_in_words};

use crate::plot::axis::short;

use super::events::Event;
use super::inspect::{self, Log};
use super::{loss, percent, score};

/// Returns the news in `after` as lines for people, one an event.
#[must_use]
pub fn changes(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let events = events(before, after).into_iter();
    events.filter_map(Event::line).collect()
}

/// Returns the failures in `after`, in the words of `changes`: for those who see only pictures.
#[must_use]
pub fn troubles(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let mut events: Vec<Event> = found(before, after);
    events.extend(notices(before, after));
    events.retain(|event| matches!(event.name(), "waiting" | "no_surface" | "notice"));
    events.into_iter().filter_map(Event::line).collect()
}

/// Returns the news in `after`.
#[must_use]
pub fn events(before: &Snapshot, after: &Snapshot) -> Vec<Event> {
    let mut events = found(before, after);
    events.extend(assumed(before, after));
    let source = |snapshot: &Snapshot| snapshot.training.as_ref().map(|log| log.source.clone());
    if let Some(log) = after
        .training
        .as_ref()
        .filter(|_| source(before) != source(after))
    {
        let line = format!("log {}", inspect::log_line(&Log::from(&**log)));
        events.push(Event::with_line("log", json!({"source": log.source}), line));
    }
    for line in &after.checkpoints {
        let is = |old: &&CheckpointLine| old.path == line.path && old.arrival == line.arrival;
        let old = before.checkpoints.iter().find(is);
        events.extend(checkpoint(old, line, after));
    }
    events.extend(gone(before, after));
    if let Some(kept) = after.kept.as_ref().filter(|_| before.kept.is_none()) {
        let facts = json!({
            "folder": kept.folder.display().to_string(),
            "checkpoints": kept.checkpoints,
            "bytes": kept.bytes,
        });
        events.push(Event::with_line(
            "keeping",
            facts,
            format!("keeping {}", in_words(kept)),
        ));
    }
    events.extend(thinned(before, after));
    events.extend(plane(before, after));
    events.extend(level(before, after));
    events.extend(notices(before, after));
    events
}

/// Returns the new notices. Their number tells which these are, because the oldest are dropped and some pass.
fn notices<'a>(before: &Snapshot, after: &'a Snapshot) -> impl Iterator<Item = Event> + use<'a> {
    let new = after.noticed.saturating_sub(before.noticed) as usize;
    let known = after.notices.len().saturating_sub(new);
    after.notices.iter().skip(known).map(|notice| {
        Event::with_line(
            "notice",
            json!({ "notice": notice }),
            format!("notice: {notice}"),
        )
    })
}

/// Returns the device, the samples and the model, or the reason why one is missing.
fn found(before: &Snapshot, after: &Snapshot) -> Vec<Event> {
    let mut events = Vec::new();
    if before.device != after.device {
        let line = format!("device {}", after.device);
        events.push(Event::with_line(
            "device",
            json!({"device": after.device}),
            line,
        ));
    }
    if before.trouble != after.trouble {
        events.extend(after.trouble.iter().map(|trouble| {
            Event::with_line(
                "waiting",
                json!({ "reason": trouble }),
                format!("waiting: {trouble}"),
            )
        }));
    }
    events.extend(finding(&before.data, &after.data, |data| {
        let (name, samples, split) = (&data.name, data.samples, data.split.name());
        let facts = json!({"name": name, "samples": samples, "split": split});
        Event::with_line(
            "data",
            facts,
            format!("data {name}: {samples} {split} samples"),
        )
    }));
    events.extend(finding(&before.model, &after.model, |model| {
        let (name, evidence, parameters) = (&model.name, &model.evidence, model.parameters);
        let facts = json!({"name": name, "evidence": evidence, "parameters": parameters});
        let line = format!("model {name}: {evidence}, {parameters} parameters");
        Event::with_line("model", facts, line)
    }));
    events
}

/// Returns the files that are not there any more.
fn gone(before: &Snapshot, after: &Snapshot) -> Vec<Event> {
    let mut events = Vec::new();
    for old in &before.checkpoints {
        let is = |line: &&CheckpointLine| line.path == old.path && line.arrival == old.arrival;
        if after.checkpoints.iter().any(|line| is(&line)) {
            continue;
        }
        match old.state {
            CheckpointState::OnPath | CheckpointState::OldBranch => {
                let line = format!("left the path {}", name(old));
                events.push(Event::with_line(
                    "checkpoint",
                    facts(old, "left_path"),
                    line,
                ));
            }
            // It was read: its line says more now, or it is no part of the path.
            CheckpointState::Settled | CheckpointState::Waiting => {}
            _ if after.checkpoints.iter().any(|line| line.path == old.path) => {}
            _ => {
                let line = format!("gone {}", name(old));
                events.push(Event::with_line("checkpoint", facts(old, "gone"), line));
            }
        }
    }
    events
}

/// Returns the step and path of a checkpoint, and what has become of it.
fn facts(line: &CheckpointLine, state: &str) -> Value {
    json!({"state": state, "step": line.step, "path": line.path.display().to_string()})
}

/// Returns the same with more facts.
fn with(mut facts: Value, more: Value) -> Value {
    if let (Value::Object(facts), Value::Object(more)) = (&mut facts, more) {
        facts.extend(more);
    }
    facts
}

/// Returns the points that made room for others.
fn thinned(before: &Snapshot, after: &Snapshot) -> Option<Event> {
    let all = |snapshot: &Snapshot| snapshot.kept.as_ref().map_or(0, |kept| kept.thinned);
    let new = all(after).saturating_sub(all(before));
    (new > 0).then(|| {
        let points = count(new, "point");
        let line = format!("thinned {points} of deleted files off the path, evenly: it is long, or the room for copies full");
        Event::with_line("thinned", json!({ "points": new }), line)
    })
}

/// Says what is assumed about the function that is measured, when it is new.
fn assumed(before: &Snapshot, after: &Snapshot) -> Vec<Event> {
    let new = after.assumed.as_ref();
    let Some(assumed) = new.filter(|_| before.assumed != after.assumed) else {
        return Vec::new();
    };
    let mut line = format!("assumed {}", assumed.taken());
    if !assumed.evidence.is_empty() {
        line = format!("{line}; {}", assumed.evidence);
    }
    if let (Some(losses), Some(step)) = (assumed.otherwise(), assumed.asked_at) {
        line = format!("{line}; the loss at step {step} would be {losses}");
    }
    let facts = json!({
        "assumed": assumed.taken(), "loss_range": assumed.loss_range,
        "alternatives": assumed.alternatives, "asked_at": assumed.asked_at,
    });
    // Its numbers change with every checkpoint.
    let words = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
    let before: HashSet<String> = before
        .assumed
        .iter()
        .flat_map(|assumed| assumed.warnings().map(|warning| words(warning)))
        .collect();
    let is_new = |warning: &&String| !before.contains(&words(warning));
    let warnings = assumed.warnings().filter(is_new).map(|warning| {
        let line = format!("doubtful: {warning}");
        Event::with_line("doubtful", json!({ "warning": warning.clone() }), line)
    });
    std::iter::once(Event::with_line("assumed", facts, line))
        .chain(warnings)
        .collect()
}

fn finding<T: PartialEq>(
    before: &Finding<T>,
    after: &Finding<T>,
    found: impl Fn(&T) -> Event,
) -> Option<Event> {
    match after {
        after if before == after => None,
        Finding::Is(thing) => Some(found(thing)),
        Finding::Not(reason) => {
            let line = format!("no surface: {reason}");
            Some(Event::with_line(
                "no_surface",
                json!({ "reason": reason }),
                line,
            ))
        }
        Finding::Pending => None,
    }
}

fn checkpoint(old: Option<&CheckpointLine>, line: &CheckpointLine, after: &Snapshot) -> Vec<Event> {
    let mut events = Vec::new();
    if old.map(|old| &old.state) != Some(&line.state) {
        let of = |state, text| Event::with_line("checkpoint", facts(line, state), text);
        events.push(match &line.state {
            CheckpointState::Waiting => of("writing", format!("writing {}", name(line))),
            CheckpointState::Unreadable(reason) => {
                let facts = with(facts(line, "unreadable"), json!({ "reason": reason }));
                Event::with_line("checkpoint", facts, format!("unreadable {reason}"))
            }
            CheckpointState::LeftOut(reason) => {
                let facts = with(facts(line, "left_out"), json!({ "reason": reason }));
                Event::with_line("checkpoint", facts, format!("left out {reason}"))
            }
            CheckpointState::OldBranch => of("old_branch", format!("old branch {}", name(line))),
            CheckpointState::OnPath => on_path(line, after),
            CheckpointState::Settled => Event::untold("checkpoint", facts(line, "settled")),
        });
    }
    let has_newer = |line: &CheckpointLine| {
        let mut others = after.checkpoints.iter();
        others.any(|other| other.path == line.path && other.arrival > line.arrival)
    };
    if line.is_gone && old.is_some_and(|old| !old.is_gone) && !has_newer(line) {
        let place = match line.state {
            CheckpointState::OldBranch => "kept on its old branch",
            _ => "kept on the path",
        };
        let text = format!("gone {}: {place}", name(line));
        events.push(Event::with_line("checkpoint", facts(line, "kept"), text));
    }
    let bits = |truth: Measure| [truth.loss, truth.score].map(f64::to_bits);
    let known = old.and_then(|old| old.truth).map(bits);
    // It changes where another function is assumed from now on.
    if let Some(truth) = line.truth.filter(|truth| known != Some(bits(*truth))) {
        let mut told = json!({
            "step": line.step,
            "path": line.path.display().to_string(),
            "loss": truth.loss,
        });
        if let Some(score) = after.score() {
            told = with(told, json!({ score.key(): truth.score }));
        }
        let text = format!(
            "loss {} at {}{}{}",
            loss(truth.loss),
            name(line),
            score::behind(after.score(), truth.score),
            logged(line, after)
        );
        events.push(Event::with_line("loss", told, text));
    }
    events
}

/// Returns a checkpoint that has come onto the path: how far it lies from the one before, and what the plane of all
/// that was read holds, if there is one.
fn on_path(line: &CheckpointLine, after: &Snapshot) -> Event {
    let text = format!("checkpoint {}", name(line));
    let facts = facts(line, "on_path");
    let found = after.trajectory.as_ref().and_then(|trajectory| {
        let index = trajectory.steps.binary_search(&line.step?).ok()?;
        Some((trajectory, index))
    });
    let Some((trajectory, index)) = found else {
        return Event::with_line("checkpoint", facts, text);
    };
    let (update, norm) = (trajectory.update_norm[index], trajectory.norm[index]);
    let more = json!({
        "update_norm": update,
        "norm": norm,
        "coordinates": trajectory.coordinates.get(index),
        "residual": trajectory.residual.get(index),
    });
    // Hardly anything is not nothing.
    let moved = if update > 0.0 && update < 5e-5 {
        short(update)
    } else {
        format!("{update:.4}")
    };
    let mut text = format!("{text}: moved {moved}, norm {norm:.4}");
    // That of the path's own plane: the map's is held, and was fitted to fewer.
    let best = after.plane.map(|plane| plane.best);
    if let [x, y, ..] = trajectory.explained[..] {
        text = format!("{text}, PC1+2 {}", percent(best.unwrap_or(x + y)));
    }
    Event::with_line("checkpoint", with(facts, more), text)
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

/// Returns a plane that takes the place of the one before.
fn plane(before: &Snapshot, after: &Snapshot) -> Option<Event> {
    let (plane, path) = (after.plane?, after.trajectory.as_ref()?);
    let is_plane = path.singular.iter().filter(|sigma| **sigma > 0.0).count() >= 2;
    if !is_plane || identity(before) == identity(after) {
        return None;
    }
    let facts = json!({
        "origin": plane.origin,
        "checkpoints": plane.checkpoints,
        "explained": path.explained.get(..2),
    });
    Some(Event::untold("plane", facts))
}

/// Returns the map, whenever one of the first levels is done, a finer one has been begun after another, and when it
/// rests.
fn level(before: &Snapshot, after: &Snapshot) -> Option<Event> {
    let (was, is) = (&before.progress, &after.progress);
    let [old, map] = [before, after].map(|snapshot| snapshot.map.as_ref());
    let map = map.filter(|map| !map.stale)?;
    let is_same = old.is_some_and(|old| !old.stale && identity(before) == identity(after));
    let (event, lines, name) = match (is.rests, is.lines) {
        (true, lines) if !(was.rests && is_same) => ("at_rest", lines, "map at rest".into()),
        _ => {
            let was_whole = was.whole.filter(|_| is_same);
            let whole = is.whole.filter(|_| is.whole > was_whole);
            // Of finer ones not all points are measured.
            let is_behind = is_same && was.lines < is.lines && was.lines > is.whole;
            let done = whole.or(was.lines.filter(|_| is_behind))?;
            ("level", Some(done), format!("map {done}×{done}"))
        }
    };
    let (x, y, lowest) = map.surface.lowest()?;
    let samples = (after.map_samples()).map_or(String::new(), |samples| format!(", {samples}"));
    let error = (is.error).map_or(String::new(), |error| {
        format!(", mean error {} expected", percent(error))
    });
    let points = map.surface.measured();
    let facts = json!({
        "lines": lines,
        "points": points,
        "share": is.share,
        "error": is.error,
        "lowest": {"x": x, "y": y, "loss": lowest.loss},
    });
    let lowest = loss(lowest.loss);
    let text =
        format!("{name}: {points} points{samples}{error}, lowest loss {lowest} at {x:.4}, {y:.4}");
    Some(Event::with_line(event, facts, text))
}

/// Returns the checkpoints of which the map's plane is made; two planes of one run differ in them.
fn identity(snapshot: &Snapshot) -> Option<(u64, usize)> {
    snapshot
        .plane
        .map(|plane| (plane.origin, plane.checkpoints))
}

/// Says in words, e.g. `12 checkpoints (34.0 MiB of 2.00 GiB) in ~/.cache/…`.
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
