//! Takes the reader's path: the lines of its checkpoints, its plane, the log beside it.

use std::sync::Arc;

use crate::run::Checkpoint;
use crate::run::log::Clock;
use crate::run::save_times::SaveTimes;
use crate::weights::run_checkpoint::Shape;
use crate::weights::trajectory::Fit;

use super::super::reader::PathReading;
use super::super::snapshot::{CheckpointLine, CheckpointState, MapPlane};
use super::plane::CurrentPlane;
use super::scan::sort;
use super::{Conductor, key, update};

impl Conductor {
    /// The path moves at once; its plane is new, so what was measured is shown as stale. Where only files
    /// went of which copies are kept, the plane is the same and what is measured on it goes on.
    pub(super) fn path(&mut self, reading: PathReading) {
        let is_same = self
            .plane
            .as_ref()
            .is_some_and(|plane| plane.is_of(&reading));
        self.show_lines(&reading);
        let PathReading {
            shape,
            members,
            fit,
            overlay,
            dynamics,
            random_projection,
            hyper,
            ..
        } = reading;
        self.snapshot.overlay = overlay;
        self.snapshot.dynamics = Some(dynamics);
        self.snapshot.random_projection = random_projection;
        self.snapshot.hyper = hyper;
        self.snapshot.saved = SaveTimes::of(&members);
        match &mut self.plane {
            Some(plane) if is_same => plane.read_from(members),
            _ => self.replace_plane(shape, members, fit),
        }
    }

    /// Takes the plane of a path of other contents, and drops what held for the plane before.
    fn replace_plane(&mut self, shape: Option<Shape>, members: Vec<Checkpoint>, fit: Arc<Fit>) {
        for line in &mut self.snapshot.checkpoints {
            line.on_plane = None;
        }
        self.snapshot.averages.clear();
        self.snapshot.test = None;
        self.snapshot.trajectory =
            Some(Arc::new(fit.trajectory.clone())).filter(|_| !members.is_empty());
        self.snapshot.plane = members.last().map(|newest| {
            let explained = fit.trajectory.explained.iter().take(2).sum();
            MapPlane {
                origin: newest.step,
                checkpoints: members.len(),
                explained,
                best: explained,
                newest: 0.0,
            }
        });
        self.plane = CurrentPlane::new(shape, members, fit, self.options.batch_norm);
        self.snapshot.trouble = self.emptiness();
        self.look_up();
        self.show_sharpness();
        self.plan();
    }

    /// The lines of the path and of old branches, and of files that are no part of it yet.
    fn show_lines(&mut self, reading: &PathReading) {
        let PathReading {
            members,
            left,
            gone,
            ..
        } = reading;
        let known = |line: &CheckpointLine| {
            let mut all = members.iter().chain(left);
            all.any(|c| c.arrival == line.arrival && c.path == line.path)
        };
        // A file that was read and is no part of the path is no point of it by its name.
        let is_read =
            |line: &CheckpointLine| line.arrival == 0 && line.state == CheckpointState::Settled;
        let lines = &mut self.snapshot.checkpoints;
        lines.retain(|line| known(line) || line.arrival == 0 && !is_read(line));
        let is_gone = |checkpoint: &Checkpoint| gone.iter().any(|gone| gone.is(checkpoint));
        for (i, member) in members.iter().enumerate() {
            let critical = self.updates.get(&update(members, i)).copied();
            let truth = self.truths.get(&key(member)).copied();
            let line = self.line(&member.path, member.arrival);
            (line.step, line.is_gone) = (Some(member.step), is_gone(member));
            line.state = CheckpointState::OnPath;
            (line.critical, line.truth) = (critical, truth);
        }
        for checkpoint in left {
            let line = self.line(&checkpoint.path, checkpoint.arrival);
            (line.step, line.is_gone) = (Some(checkpoint.step), is_gone(checkpoint));
            line.state = CheckpointState::OldBranch;
        }
        sort(&mut self.snapshot.checkpoints);
    }

    /// Looks up what training's own log tells at the checkpoints of the path.
    pub(super) fn look_up(&mut self) {
        let members = self.plane.as_ref().map_or(&[][..], |plane| &plane.members);
        let log = self.snapshot.training.as_deref();
        self.snapshot.clock = log.and_then(|log| Clock::of(log, members, &self.options.run));
        let logged = log.zip(self.snapshot.clock);
        self.snapshot.logged =
            logged.map_or_else(Vec::new, |(log, clock)| clock.logged(log, members));
    }
}
