//! Pictures and progress of the plan that is under way, as the snapshot shows them.

use std::sync::Arc;

use crate::landscape::surface::Surface;

use super::super::pictures::Shown;
use super::super::schedule::Schedule;
use super::super::snapshot::Map;
use super::Conductor;

impl Conductor {
    /// The old map stays, stale, until the first level of the new one stands.
    pub(super) fn show_pictures(&mut self, shown: Option<Shown>) {
        let (Some(schedule), Some(shown)) = (&self.schedule, shown) else {
            return;
        };
        self.snapshot.slices = shown.slices;
        let mappable = !shown.surface.x().is_empty();
        if !mappable {
            self.snapshot.map = None;
        } else if schedule.pictures.stands()
            || self.snapshot.map.as_ref().is_none_or(|map| !map.stale)
        {
            self.snapshot.map = Some(Map {
                surface: shown.surface,
                fidelity: shown.fidelity,
                stale: false,
                trajectory: Arc::clone(&schedule.trajectory),
            });
        }
    }

    pub(super) fn show_progress(&mut self, shown: Option<&Shown>) {
        let pace = self.throughput.rate();
        let progress = &mut self.snapshot.progress;
        progress.points_per_second = pace.points;
        let schedule = self.schedule.as_ref();
        let left = schedule.map_or(0, Schedule::remaining);
        let surface = shown.map(|shown| &shown.surface);
        let is_begun = |surface: &&Surface| !surface.x().is_empty();
        progress.lines = surface.filter(is_begun).map(Surface::finest);
        progress.rests = schedule.is_some_and(Schedule::rests);
        progress.done = schedule.map_or(0, |schedule| schedule.pictures.done());
        progress.planned = progress.done + left;
        progress.error = shown.and_then(|shown| shown.error);
        progress.share = progress.done as f64 / progress.planned.max(1) as f64;
        progress.seconds_left = (left > 0 && pace.cost > 0.0).then(|| left as f64 / pace.cost);
    }
}
