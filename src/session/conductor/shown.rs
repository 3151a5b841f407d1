//! Pictures and progress of the plan that is under way, as the snapshot shows them.

use crate::landscape::surface::Surface;

use super::super::pictures::{Pictures, Shown};
use super::super::schedule::Schedule;
use super::super::snapshot::Map;
use super::Conductor;

/// Share of a picture that is not done, at most: what is done says so once.
const NEARLY: f64 = 0.99;

impl Conductor {
    /// The map before stays until the first level of the new one stands.
    pub(super) fn show_pictures(&mut self, shown: Option<Shown>) {
        let (Some(schedule), Some(shown)) = (&self.schedule, shown) else {
            return;
        };
        self.snapshot.slices = shown.slices;
        let mappable = !shown.surface.x().is_empty();
        if !mappable {
            self.snapshot.map = None;
        } else if self.is_shown || schedule.pictures.stands() || self.snapshot.map.is_none() {
            self.is_shown = true;
            self.snapshot.map = Some(Map {
                surface: shown.surface,
                fidelity: shown.fidelity,
                stale: false,
            });
        }
    }

    pub(super) fn show_progress(&mut self, shown: Option<&Shown>) {
        let pace = self.throughput.rate(self.clock.now());
        let expected = self.expected;
        let progress = &mut self.snapshot.progress;
        progress.points_per_second = pace.points;
        let schedule = self.schedule.as_ref();
        let surface = shown.map(|shown| &shown.surface);
        let is_begun = |surface: &&Surface| !surface.x().is_empty();
        progress.lines = surface.filter(is_begun).map(Surface::finest);
        progress.rests = schedule.is_some_and(Schedule::rests);
        let pictures = schedule.map(|schedule| &schedule.pictures);
        progress.whole = pictures.and_then(Pictures::whole);
        let (done, known) = pictures.zip(shown).map_or((0, 0), |(pictures, shown)| {
            (pictures.done(), pictures.left(shown))
        });
        // In points of the samples that are measured everywhere.
        let each = pictures.and_then(|pictures| pictures.samples);
        let each = each.map_or(1, |samples| samples.everywhere());
        progress.done = done / each;
        progress.planned = (done + known) / each;
        progress.error = shown.and_then(|shown| shown.error);
        // The next picture takes as much as the last one, until it asks for more.
        let left = known.max(expected.saturating_sub(done));
        let left = if progress.rests { 0 } else { left };
        let share = done as f64 / (done + left).max(1) as f64;
        progress.share = if progress.rests {
            1.0
        } else {
            share.max(progress.share).min(NEARLY)
        };
        progress.seconds_left =
            (left > 0 && pace.samples > 0.0).then(|| left as f64 / pace.samples);
    }
}
