//! Takes the scanner's events: the lines of the checkpoints, and why there is no path.

use std::path::Path;

use crate::run::RunEvent;

use super::super::reader::Change;
use super::super::snapshot::{CheckpointLine, CheckpointState};
use super::Conductor;

/// Words of the sentence about weights that are NaN or infinite.
const NOT_FINITE: &str = "not finite";

impl Conductor {
    /// Folds what the scanner saw, and tells whether it is new.
    pub(super) fn run_event(&mut self, event: RunEvent) -> bool {
        let mut is_new = true;
        match event {
            RunEvent::Waiting(path) => self.line(&path, 0).state = CheckpointState::Waiting,
            RunEvent::Unreadable { path, reason } => {
                let state = CheckpointState::Unreadable(reason);
                let known = &mut self.line(&path, 0).state;
                is_new = *known != state;
                *known = state;
            }
            RunEvent::Settled(settled) => {
                self.line(&settled.found.path, 0).state = CheckpointState::Settled;
                self.change.settled.push(settled);
            }
            RunEvent::Vanished(path) => {
                let lines = &mut self.snapshot.checkpoints;
                lines.retain(|line| line.path != path || line.arrival > 0);
                self.change.gone.push(path);
            }
            RunEvent::Logged(news) => {
                for trouble in news.warnings {
                    self.notice(trouble);
                }
                self.snapshot.training = news.log;
                self.look_up();
            }
            RunEvent::Scanned { others } => {
                self.others = others;
                let watching = self.watcher.mode();
                let trouble = self.emptiness();
                is_new = self.snapshot.watching != watching || self.snapshot.trouble != trouble;
                self.snapshot.watching = watching;
                self.snapshot.trouble = trouble;
                self.send_change();
            }
            RunEvent::Failed(reason) => {
                is_new = self.snapshot.trouble.as_ref() != Some(&reason);
                self.snapshot.trouble = Some(reason);
                self.send_change();
            }
        }
        sort(&mut self.snapshot.checkpoints);
        is_new
    }

    fn send_change(&mut self) {
        if self.change != Change::default() {
            let _ = self.to_reader.send(std::mem::take(&mut self.change));
        }
    }

    /// Says why there is no path where files lie that were all looked at; `None` while there is one, or one
    /// may come.
    pub(super) fn emptiness(&self) -> Option<String> {
        let lines = &self.snapshot.checkpoints;
        let is_open = |line: &CheckpointLine| {
            matches!(
                line.state,
                CheckpointState::Waiting | CheckpointState::Settled | CheckpointState::OnPath
            )
        };
        if lines.iter().any(is_open) {
            return None;
        }
        let run = self.snapshot.run.display();
        let reasons: Vec<&str> = lines
            .iter()
            .filter_map(|line| match &line.state {
                CheckpointState::Unreadable(reason) | CheckpointState::LeftOut(reason) => {
                    Some(reason.as_str())
                }
                _ => None,
            })
            .collect();
        let Some(first) = reasons.first() else {
            let Some(others) = &self.others else {
                return Some(format!("{run}: no checkpoint yet"));
            };
            return Some(format!(
                "{run}: no file in it begins like a checkpoint of torch.save or safetensors, passed over {others}"
            ));
        };
        let count = reasons.len();
        let files = if count == 1 { "file" } else { "files" };
        Some(
            if reasons.iter().all(|reason| reason.contains(NOT_FINITE)) {
                format!("{run}: {count} {files}, none usable yet: all hold NaN or infinite weights")
            } else {
                format!("{run}: {count} {files}, none usable yet: {first}")
            },
        )
    }

    /// Returns the line of a content, made when it is new; number 0 is a file that was not read yet.
    pub(super) fn line(&mut self, path: &Path, arrival: u64) -> &mut CheckpointLine {
        let lines = &mut self.snapshot.checkpoints;
        let index = lines
            .iter()
            .position(|line| line.path == path && line.arrival == arrival)
            .unwrap_or_else(|| {
                lines.push(CheckpointLine {
                    arrival,
                    ..CheckpointLine::new(path)
                });
                lines.len() - 1
            });
        &mut lines[index]
    }
}

/// Sorts by step; those whose step is not known yet are last.
pub(super) fn sort(lines: &mut [CheckpointLine]) {
    lines.sort_by(|a, b| {
        let key = |line: &CheckpointLine| line.step.unwrap_or(u64::MAX);
        key(a)
            .cmp(&key(b))
            .then_with(|| (&a.path, a.arrival).cmp(&(&b.path, b.arrival)))
    });
}
