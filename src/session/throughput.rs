//! Points and samples that are measured in a second.

use std::collections::VecDeque;
use std::time::Duration;

/// The pace is that of the last few seconds, or of the last few points where these take longer.
pub(super) const OVER: Duration = Duration::from_secs(3);
/// The time that is left comes from the pace over this time, because it is read as a promise.
const STEADY_OVER: Duration = Duration::from_secs(20);
/// Number of last points that always count.
const LAST: usize = 10;
/// Multiple of a point's usual time after which another is not waited for.
const SLOWER: u32 = 3;
/// Smallest number of samples that a first level is measured on.
const FEWEST: usize = 64;
/// Points of the coarsest level.
const FIRST_LEVEL: f64 = 25.0;
/// Seconds in which that is to stand, so that with reading and planning it does within three, and 9×9 points with the
/// slices within ten.
const FIRST_WITHIN: f64 = 1.9;

/// Times at which the last points were measured, and the samples of each.
#[derive(Debug, Default)]
pub(super) struct Throughput {
    points: VecDeque<(Duration, usize)>,
}

/// Points a second, and samples a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    pub(super) points: f64,
    pub(super) samples: f64,
}

impl Throughput {
    /// Notes that a point was measured at this time on so many samples.
    pub(super) fn count(&mut self, now: Duration, samples: usize) {
        self.points.push_back((now, samples));
        while self.points.len() > LAST && now.saturating_sub(self.points[0].0) > STEADY_OVER {
            self.points.pop_front();
        }
    }

    /// Returns true if nothing was measured lately, for points that take as long as the last ones.
    pub(super) fn rests(&self, now: Duration) -> bool {
        let Some(((first, _), (last, _))) = self.points.front().zip(self.points.back()) else {
            return true;
        };
        let each = last.saturating_sub(*first) / self.points.len() as u32;
        now.saturating_sub(*last) > OVER.max(SLOWER * each)
    }

    /// Forgets the points before a time in which others were not measured.
    pub(super) fn forget(&mut self) {
        self.points.clear();
    }

    /// Returns the rate, zero while there is too little to tell it from.
    pub(super) fn rate(&self, now: Duration) -> Rate {
        self.over(OVER, now)
    }

    /// Returns the number of samples a second over a longer time; zero as in [`rate`](Self::rate).
    pub(super) fn steady(&self, now: Duration) -> f64 {
        self.over(STEADY_OVER, now).samples
    }

    fn over(&self, time: Duration, now: Duration) -> Rate {
        if self.rests(now) {
            return Rate::default();
        }
        let recent = self.points.iter().rev().enumerate();
        let recent = recent.take_while(|(i, (at, _))| *i < LAST || now.saturating_sub(*at) <= time);
        let count = recent.count();
        // The first of them tells when the others began.
        let Some(rest) = count.checked_sub(1) else {
            return Rate::default();
        };
        let points = self.points.range(self.points.len() - count..);
        let since = points
            .clone()
            .next()
            .map(|(first, _)| now.saturating_sub(*first).as_secs_f64());
        let Some(since) = since.filter(|since| *since > 0.2 && rest > 0) else {
            return Rate::default();
        };
        let samples: usize = points.skip(1).map(|(_, samples)| samples).sum();
        Rate {
            points: rest as f64 / since,
            samples: samples as f64 / since,
        }
    }
}

/// The pace of the first level of a map, with all waiting: beside a busy neighbour each evaluation is quick, and the next
/// one waits for its turn.
#[derive(Debug, Default)]
pub(super) struct FirstLevel {
    /// Time at which it was planned; `None` once it stands.
    begun: Option<Duration>,
    /// Samples that were measured since.
    samples: usize,
    /// Samples a second of the last one.
    pace: Option<f64>,
}

impl FirstLevel {
    /// Notes that a level is planned.
    pub(super) fn begin(&mut self, now: Duration) {
        self.begun = Some(now);
        self.samples = 0;
    }

    /// Counts samples that were measured.
    pub(super) fn count(&mut self, samples: usize) {
        self.samples += samples;
    }

    /// Notes that the level stands.
    pub(super) fn end(&mut self, now: Duration) {
        if let Some(pace) = self.begun.take().and_then(|begun| self.since(begun, now)) {
            self.pace = Some(pace);
        }
    }

    /// Returns true if it takes longer than it should; its pace is that so far then.
    pub(super) fn is_late(&mut self, now: Duration) -> bool {
        let late = self.begun.filter(|begun| now.saturating_sub(*begun) > OVER);
        if let Some(pace) = late.and_then(|begun| self.since(begun, now)) {
            self.pace = Some(pace);
        }
        late.is_some()
    }

    fn since(&self, begun: Duration, now: Duration) -> Option<f64> {
        let seconds = now.saturating_sub(begun).as_secs_f64();
        (seconds > 0.0).then(|| self.samples as f64 / seconds)
    }

    /// Returns samples a second of all devices together; `None` before a first level.
    pub(super) fn pace(&self) -> Option<f64> {
        self.pace
    }
}

/// Returns the number of samples on which the first levels are measured at a pace, so that 5×5 points stand within
/// three seconds and 9×9 within ten: the largest of 64, 128, 256 … that is fast enough, or 64, as also before a pace is
/// known; `None` if `everywhere`, on which the rest is measured, are fast enough themselves.
///
/// The first map tells the pace itself. A single evaluation does not: beside a busy neighbour that is quick, because the
/// kernel owes a process something that has slept.
#[must_use]
pub(super) fn first_samples(pace: Option<f64>, everywhere: usize) -> Option<usize> {
    let affordable = pace.unwrap_or(0.0) * FIRST_WITHIN / FIRST_LEVEL;
    if everywhere as f64 <= affordable {
        return None;
    }
    let mut samples = FEWEST;
    while (2 * samples) as f64 <= affordable {
        samples *= 2;
    }
    Some(samples).filter(|samples| *samples < everywhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_level_stands_within_three_seconds_whatever_the_pace() {
        for pace in [1.0, 500.0, 700.0, 3e3, 1e4, 1e5, 1e7] {
            for everywhere in [32, 100, 1024, 60_000] {
                let samples = first_samples(Some(pace), everywhere).unwrap_or(everywhere);
                let seconds = FIRST_LEVEL * samples as f64 / pace;
                assert!(
                    seconds <= 3.0 || samples <= FEWEST,
                    "{pace} {everywhere}: {samples}"
                );
                // Twice as many would take longer.
                let is_all = samples == everywhere;
                assert!(is_all || samples <= FEWEST || 2.0 * seconds > FIRST_WITHIN);
            }
        }
        assert_eq!(first_samples(Some(1e4), 1024), Some(512));
        assert_eq!(first_samples(Some(1e4), 700), None);
        assert_eq!(first_samples(Some(1e5), 1024), None);
        assert_eq!(first_samples(Some(10.0), 1024), Some(64));
        assert_eq!(first_samples(Some(10.0), 50), None);
        assert_eq!(first_samples(None, 1024), Some(64));
        assert_eq!(first_samples(None, 50), None);
    }

    #[test]
    fn the_pace_of_a_first_level_counts_the_waiting_and_is_known_when_it_is_late() {
        let at = Duration::from_secs;
        let mut level = FirstLevel::default();
        assert!(!level.is_late(at(9)) && level.pace().is_none());
        level.begin(at(10));
        level.count(300);
        assert!(!level.is_late(at(12)) && level.pace().is_none());
        assert!(level.is_late(at(16)));
        assert_eq!(level.pace(), Some(50.0));
        level.begin(at(20));
        level.count(400);
        level.end(at(22));
        assert_eq!(level.pace(), Some(200.0));
        assert!(!level.is_late(at(90)), "it stands");
        level.end(at(99));
        assert_eq!(level.pace(), Some(200.0));
    }

    #[test]
    fn a_rate_ends_when_nothing_comes_for_long() {
        let at = Duration::from_secs;
        let mut slow = Throughput::default();
        for i in 0..=4 {
            slow.count(at(10 * i), 64);
        }
        assert!((slow.rate(at(50)).points - 0.08).abs() < 1e-9);
        assert!(!slow.rests(at(60)) && slow.rests(at(70)));
        assert_eq!(slow.rate(at(70)).points, 0.0);
        let mut fast = Throughput::default();
        for i in 0..100 {
            fast.count(Duration::from_millis(10 * i), 64);
        }
        assert!(fast.rate(at(1)).points > 90.0 && fast.rate(at(5)).points == 0.0);
    }
}
