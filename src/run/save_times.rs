//! The times at which a run saved its checkpoints: the newest, and the usual interval between two.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::Checkpoint;

/// Newest intervals of which the median is the usual one.
const NEWEST: usize = 10;
/// Interval below which files were copied together: no training saves so often.
const SHORTEST: Duration = Duration::from_millis(50);
/// Usual intervals without a checkpoint after which a run is quiet.
const QUIET: u32 = 3;
/// Time without a checkpoint after which a run is quiet if its usual interval is not known.
const QUIET_WITHOUT: Duration = Duration::from_secs(60);

/// Times at which checkpoints were saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaveTimes {
    /// Time of the newest.
    pub newest: SystemTime,
    /// Median of the last ten intervals; `None` if there are fewer than two, or the files were copied so that
    /// their times say nothing.
    pub usual: Option<Duration>,
}

impl SaveTimes {
    /// Takes the times of a path's checkpoints, which are in the order of steps; `None` if none tells its time.
    #[must_use]
    pub fn of(members: &[Checkpoint]) -> Option<Self> {
        let times: Vec<SystemTime> = members.iter().filter_map(|one| one.modified).collect();
        let newest = *times.iter().max()?;
        let intervals = times.windows(2).rev().take(NEWEST);
        let mut intervals: Vec<Duration> = intervals
            .map(|pair| pair[1].duration_since(pair[0]).unwrap_or_default())
            .collect();
        intervals.sort_unstable();
        let median = intervals.get(intervals.len() / 2).copied();
        Some(Self {
            newest,
            usual: median.filter(|usual| intervals.len() > 1 && *usual >= SHORTEST),
        })
    }

    /// Returns the time since the newest was saved; nothing if that lies ahead, as clocks of file servers may.
    #[must_use]
    pub fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.newest).unwrap_or_default()
    }

    /// Returns true if no checkpoint came for three usual intervals: the run has ended, died or stands still.
    #[must_use]
    pub fn is_quiet(&self, now: SystemTime) -> bool {
        let longest = self
            .usual
            .map_or(QUIET_WITHOUT, |usual| usual.saturating_mul(QUIET));
        self.age(now) > longest
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    fn saved(seconds: &[u64]) -> Vec<Checkpoint> {
        let at = |seconds: &u64| Checkpoint {
            modified: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(*seconds)),
            ..Checkpoint::new(*seconds, format!("{seconds}.pt"))
        };
        seconds.iter().map(at).collect()
    }

    fn after(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_usual_interval_is_the_median_and_three_of_them_are_quiet() {
        // One long pause changes nothing.
        let times = SaveTimes::of(&saved(&[0, 10, 20, 500, 511, 520])).unwrap();
        assert_eq!(times.usual, Some(Duration::from_secs(10)));
        assert_eq!(times.age(after(525)), Duration::from_secs(5));
        assert!(!times.is_quiet(after(550)) && times.is_quiet(after(551)));
    }

    #[test]
    fn times_as_far_off_as_a_file_can_say_are_no_mistake() {
        let far = i64::MAX.cast_unsigned();
        let times = SaveTimes::of(&saved(&[0, 0, far])).unwrap();
        assert!(times.usual.is_some_and(|usual| usual.as_secs() == far));
        assert!(!times.is_quiet(after(1_000_000)));
    }

    #[test]
    fn copied_files_and_a_first_pair_have_no_usual_interval() {
        for alike in [&[7, 7, 7, 7][..], &[3, 9], &[7]] {
            let times = SaveTimes::of(&saved(alike)).unwrap();
            assert_eq!(times.usual, None, "{alike:?}");
            assert!(times.is_quiet(after(100)) && !times.is_quiet(after(60)));
        }
        assert_eq!(SaveTimes::of(&[Checkpoint::new(1, "1.pt")]), None);
        assert_eq!(SaveTimes::of(&[]), None);
    }
}
