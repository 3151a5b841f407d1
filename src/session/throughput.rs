//! How fast points are measured.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The pace is that of the last few seconds.
pub(super) const OVER: Duration = Duration::from_secs(3);

/// When the last points were measured, and what each cost.
#[derive(Debug, Default)]
pub(super) struct Throughput(VecDeque<(Instant, usize)>);

/// Points a second, and what they cost together a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    pub(super) points: f64,
    pub(super) cost: f64,
}

impl Throughput {
    /// A point was measured just now.
    pub(super) fn count(&mut self, cost: usize) {
        self.0.push_back((Instant::now(), cost));
    }

    /// Whether nothing was measured lately.
    pub(super) fn rests(&self) -> bool {
        (self.0.back()).is_none_or(|(last, _)| last.elapsed() > OVER)
    }

    /// Zero while there is too little to tell it from.
    pub(super) fn rate(&mut self) -> Rate {
        while (self.0.front()).is_some_and(|(at, _)| at.elapsed() > OVER) {
            self.0.pop_front();
        }
        let since = (self.0.front()).map_or(0.0, |(at, _)| at.elapsed().as_secs_f64());
        if since <= 0.2 {
            return Rate::default();
        }
        let cost: usize = self.0.iter().map(|(_, cost)| cost).sum();
        Rate {
            points: self.0.len() as f64 / since,
            cost: cost as f64 / since,
        }
    }
}
