//! The share of a GPU's time that measuring takes beside other work on it: between queries it rests.

use std::time::{Duration, Instant};

use super::nvidia;
use crate::landscape::device::Place;

/// Share of the time that others use from which on they are busy.
const BUSY: f64 = 0.1;
/// Share of the time that measuring takes beside them.
const BESIDE: f64 = 0.05;
/// Looks in a row that must find them idle.
const QUIET: u32 = 5;
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The rule, and what it remembers.
#[derive(Debug, Default)]
pub(super) struct GpuTurns {
    looked: Option<Instant>,
    are_others_busy: bool,
    /// Looks in a row that found them idle.
    quiet: u32,
    /// Work since the last rest.
    worked: Duration,
}

impl GpuTurns {
    /// Counts work.
    pub(super) fn work(&mut self, time: Duration) {
        self.worked += time;
    }

    /// Looks at a GPU that a process measures on, at most once a second; returns a sentence if something has changed.
    pub(super) fn look(&mut self, place: Place, own: u32) -> Option<String> {
        if self
            .looked
            .is_some_and(|looked| looked.elapsed() < LOOK_EVERY)
        {
            return None;
        }
        self.looked = Some(Instant::now());
        let shares = nvidia::shares(place, own)?;
        self.judge(shares.others).then(|| {
            let [others, beside] = [shares.others, BESIDE].map(|share| 100.0 * share);
            if self.are_others_busy {
                format!("{place} is busy with other work ({others:.0} % of its time): measuring takes {beside:.0} %")
            } else {
                format!("{place} is idle again: measuring takes all of it")
            }
        })
    }

    /// Takes the share that others use; returns true if that changes something.
    fn judge(&mut self, others: f64) -> bool {
        let were_busy = self.are_others_busy;
        if others >= BUSY {
            self.quiet = 0;
            self.are_others_busy = true;
        } else {
            self.quiet += 1;
            self.are_others_busy &= self.quiet < QUIET;
        }
        were_busy != self.are_others_busy
    }

    /// Returns the rest that is due after the work so far, and begins to count anew.
    pub(super) fn rest(&mut self) -> Duration {
        let worked = std::mem::take(&mut self.worked);
        if self.are_others_busy {
            worked.mul_f64(1.0 / BESIDE - 1.0)
        } else {
            Duration::ZERO
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beside_a_busy_neighbour_a_twentieth_of_the_time_is_taken_until_it_was_idle_for_a_while() {
        let mut turns = GpuTurns::default();
        let work = Duration::from_millis(100);
        assert!(!turns.judge(0.05));
        turns.work(work);
        assert_eq!(turns.rest(), Duration::ZERO);
        assert!(turns.judge(0.6));
        assert!(!turns.judge(0.9), "nothing new");
        turns.work(work);
        turns.work(work);
        let rest = turns.rest();
        let share = (2 * work).as_secs_f64() / (2 * work + rest).as_secs_f64();
        assert!((share - 0.05).abs() < 1e-9, "{share}");
        assert_eq!(turns.rest(), Duration::ZERO, "no work since");
        for _ in 1..QUIET {
            assert!(!turns.judge(0.0));
        }
        assert!(!turns.judge(0.2), "it goes on");
        for _ in 1..QUIET {
            assert!(!turns.judge(0.0));
        }
        assert!(turns.judge(0.0));
        turns.work(work);
        assert_eq!(turns.rest(), Duration::ZERO);
    }
}
