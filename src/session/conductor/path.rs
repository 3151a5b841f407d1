//! Takes the reader's path: the lines of its checkpoints, its place on the plane, the log beside it.

use std::sync::Arc;

use crate::run::{Checkpoint, LogClock, SaveTimes};

use super::super::earlier;
use super::super::reader::PathReading;
use super::super::refit::{HeldPlane, PictureProgress, TOO_FAR};
use super::super::snapshot::{CheckpointLine, CheckpointState, Finding, Map};
use super::plane::{CurrentPlane, NewestPath};
use super::scan::sort;
use super::{Conductor, key, update};

impl Conductor {
    /// Moves the path at once. Its plane is held, so that what was measured stays valid, until another is due.
    pub(super) fn path(&mut self, reading: PathReading) {
        self.show_lines(&reading);
        self.newest = NewestPath::of(&reading);
        let PathReading {
            members,
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
        if !self.hold() {
            self.replace_plane();
        }
        self.refit_if_due();
    }

    /// Lays the path on the plane that is measured. False if there is none yet, or it cannot be held.
    fn hold(&mut self) -> bool {
        let (Some(plane), Some(newest)) = (&mut self.plane, &self.newest) else {
            return false;
        };
        let known = plane.members.clone();
        if !plane.hold(newest) {
            return false;
        }
        let mut pairs = known.iter().zip(&plane.members);
        let goes_on = known.len() <= plane.members.len() && pairs.all(|(old, new)| old.is(new));
        let is_longer = known.len() < plane.members.len();
        if is_longer || !goes_on {
            self.snapshot.averages.clear();
            self.snapshot.test = None;
        }
        self.show_path();
        if !goes_on {
            self.plan();
        } else if is_longer {
            self.admit();
        }
        true
    }

    /// Fits the plane anew when that is due, by the rules of `refit`, and tells if it was.
    pub(super) fn refit_if_due(&mut self) -> bool {
        let (Some(plane), Some(newest)) = (&self.plane, &self.newest) else {
            return false;
        };
        let held = HeldPlane {
            is_quiet: self.is_quiet(),
            is_refused: self.is_refused(),
            ..plane.against(newest)
        };
        let is_due = |reason| self.standing(plane).allows(reason);
        let reason = held.wanted().filter(|reason| is_due(*reason));
        if let Some(reason) = reason {
            tracing::info!(?reason, ?held, "the plane is fitted anew");
            self.replace_plane();
            return true;
        }
        // The window follows its path as the plane does: once its picture has two levels.
        let may_grow = self.window.is_none() && self.standing(plane).second;
        let has_grown = may_grow && self.plane.as_mut().is_some_and(CurrentPlane::grow);
        if has_grown {
            self.plan();
        }
        has_grown
    }

    /// Returns true if no checkpoint came for three usual intervals.
    pub(super) fn is_quiet(&self) -> bool {
        let saved = self.snapshot.saved;
        saved.is_some_and(|saved| saved.is_quiet(self.clock.date()))
    }

    /// Returns true if nothing can be measured, because there are no samples or no model.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.snapshot.model, Finding::Not(_))
            || matches!(self.snapshot.data, Finding::Not(_))
    }

    fn standing(&self, plane: &CurrentPlane) -> PictureProgress {
        let schedule = self.schedule.as_ref();
        let has = |level| schedule.is_some_and(|schedule| schedule.pictures.has_level(level));
        PictureProgress {
            first: has(0),
            second: has(1),
            age: plane.age(self.clock.now()),
            usual: self.snapshot.saved.and_then(|saved| saved.usual),
            is_outgrown: plane.is_outgrown(),
        }
    }

    /// Takes the plane of the newest path, and drops what held for the plane before.
    fn replace_plane(&mut self) {
        for line in &mut self.snapshot.checkpoints {
            line.on_plane = None;
        }
        self.snapshot.averages.clear();
        self.snapshot.test = None;
        let before = self.plane.take();
        let newest = self.newest.as_ref();
        let (batch_norm, now) = (self.options.batch_norm, self.clock.now());
        self.plane = newest.and_then(|path| CurrentPlane::new(path, batch_norm, now));
        self.snapshot.map = before.and_then(|before| self.seen_from_now(&before));
        let plane = self.plane.as_ref();
        self.snapshot.has_batch_norm = plane.map(|plane| plane.spec.shape.layout.has_statistics());
        self.snapshot.trouble = self.emptiness();
        self.show_path();
        self.show_sharpness();
        self.plan();
    }

    /// Returns the map of an earlier plane in the coordinates of the present one: what was measured no farther from
    /// that than the checkpoints that are drawn on it lie, or may lie.
    fn seen_from_now(&self, before: &CurrentPlane) -> Option<Map> {
        let (map, now, newest) = (
            self.snapshot.map.as_ref()?,
            self.plane.as_ref()?,
            self.newest.as_ref()?,
        );
        let to = before.fitted.seen_from(&now.fitted, &newest.products)?;
        let score = self.snapshot.score();
        let farthest = (now.trajectory.distance.iter()).fold(0.0, |far: f64, own| far.max(*own));
        let tolerance = farthest.max(TOO_FAR * newest.products.extent(&now.members)?);
        Some(Map {
            surface: earlier::moved(&map.surface, score, &to, tolerance)?,
            fidelity: map.fidelity,
            stale: true,
        })
    }

    /// Shows the path and its plane, as the snapshot tells them.
    fn show_path(&mut self) {
        let snapshot = &mut self.snapshot;
        let plane = self.plane.as_ref();
        snapshot.trajectory = plane.map(|plane| Arc::clone(&plane.trajectory));
        snapshot.window = plane.map(CurrentPlane::window);
        let newest = plane.zip(self.newest.as_ref());
        snapshot.plane = newest.map(|(plane, newest)| plane.map_plane(newest));
        self.look_up();
    }

    /// Shows the lines of the path and of old branches, and of files that are no part of it yet.
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
        self.snapshot.clock = log.and_then(|log| LogClock::of(log, members, &self.options.run));
        let logged = log.zip(self.snapshot.clock);
        self.snapshot.logged =
            logged.map_or_else(Vec::new, |(log, clock)| clock.logged(log, members));
    }
}
