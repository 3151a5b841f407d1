//! Pictures and progress of the plan that is under way, as the snapshot shows them.

use crate::landscape::Surface;

use super::super::pictures::{Pictures, Shown};
use super::super::schedule::Schedule;
use super::super::snapshot::{Map, OtherWork};
use super::Conductor;

/// Share of a picture that is not done, at most: what is done says so once.
const NEARLY: f64 = 0.99;
/// Points that a picture takes where none was measured before: of real runs, 81 to 190.
const TYPICAL: usize = 150;
/// Part of what is done, one in so many, that a picture may still ask for.
const UNSURE: usize = 10;

impl Conductor {
    /// Shows the new map from its first whole level on; the map before stays until then.
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

    /// Brings the progress up to what is known.
    pub(super) fn show_progress(&mut self, shown: Option<&Shown>) {
        let now = self.clock.now();
        let (pace, steady) = (self.throughput.rate(now), self.throughput.steady(now));
        let other_work = self.other_work();
        let progress = &mut self.snapshot.progress;
        progress.points_per_second = pace.points;
        progress.other_work = other_work;
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
        if progress.rests {
            (progress.share, progress.seconds_left) = (1.0, None);
            return;
        }
        let expected = match self.expected {
            0 => TYPICAL * each,
            expected => expected,
        };
        let left = left(done, known, expected);
        let share = done as f64 / (done + left).max(1) as f64;
        progress.share = share.max(progress.share).min(NEARLY);
        let is_told = left > 0 && steady > 0.0 && other_work.is_none();
        progress.seconds_left = is_told.then(|| left as f64 / steady);
    }

    /// Returns the work of the devices beside the map.
    fn other_work(&self) -> Option<OtherWork> {
        if self.inquiry.is_open() {
            return Some(OtherWork::Question);
        }
        let map = self.schedule.as_ref().filter(|map| map.rests());
        let has_more = map.is_some_and(|map| !map.job.tasks.is_empty());
        let is_ahead = map.is_some() && self.ahead.has(|purpose| !purpose.is_analysis());
        (has_more || is_ahead).then_some(OtherWork::Checkpoints)
    }
}

/// Returns the samples that a picture still takes, of which `done` are measured and `known` are asked for: as many as
/// the last one took. That is not known to the sample, and each batch may ask for more; so a part of what is done is
/// left until the picture says that it is complete.
fn left(done: usize, known: usize, expected: usize) -> usize {
    known.max(expected.saturating_sub(done)).max(done / UNSURE)
}

#[cfg(test)]
mod tests {
    use super::left;

    #[test]
    fn a_picture_that_may_ask_for_more_is_never_said_to_be_nearly_done() {
        // As much as the last one took, then what it asks for beyond that.
        assert_eq!(left(100, 50, 1000), 900);
        assert_eq!(left(990, 5, 1000), 99);
        assert_eq!(left(1000, 400, 1000), 400);
        assert_eq!(left(0, 0, 0), 0);
    }
}
