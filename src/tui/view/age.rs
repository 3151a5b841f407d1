//! The age of the newest checkpoint: its words, whether the run still saves, and when either changes.

use std::time::{Duration, SystemTime};

use crate::run::SaveTimes;

/// Usual intervals without a checkpoint after which the run is taken to be over: it ended, died or stands still.
const OVER: u32 = 10;
/// The shortest time after which it is taken to be over: one that saves many times a second may stop to validate.
const OVER_AT_LEAST: Duration = Duration::from_secs(60);
/// The shortest time after which a checkpoint is overdue.
const OVERDUE_AT_LEAST: Duration = Duration::from_secs(5);
/// Time without a checkpoint after which it is taken to be over if the usual interval is not known.
const OVER_WITHOUT: Duration = Duration::from_secs(3600);
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// State of a run, as the times of its checkpoints tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Saving {
    /// The next checkpoint is not due yet, or hardly.
    Usual,
    /// The next checkpoint should have come long ago.
    Overdue,
    /// No checkpoint came for so long that none is expected.
    Over,
}

/// The time since the newest checkpoint was saved, beside the usual one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Age {
    since: Duration,
    usual: Option<Duration>,
    is_quiet: bool,
}

impl Age {
    /// Returns the age at this time of day.
    pub(in crate::tui) fn of(times: &SaveTimes, now: SystemTime) -> Self {
        Self {
            since: times.age(now),
            usual: times.usual,
            is_quiet: times.is_quiet(now),
        }
    }

    /// Returns the state of the run.
    pub(in crate::tui) fn saving(self) -> Saving {
        if self.since > self.over_after() {
            Saving::Over
        } else if self.usual.is_some() && self.is_quiet && self.since > OVERDUE_AT_LEAST {
            Saving::Overdue
        } else {
            Saving::Usual
        }
    }

    fn over_after(self) -> Duration {
        self.usual.map_or(OVER_WITHOUT, |usual| {
            OVER_AT_LEAST.max(usual.saturating_mul(OVER))
        })
    }

    /// Returns the age alone in words: `4 min ago`.
    pub(in crate::tui) fn ago(self) -> String {
        format!("{} ago", rounded_down(self.since))
    }

    /// Returns the age with what it is that of: `saved 4 min ago`.
    pub(in crate::tui) fn saved(self) -> String {
        format!("saved {}", self.ago())
    }

    /// Returns both times in few words: `saved 4 min ago, every 30 s`.
    pub(in crate::tui) fn brief(self) -> String {
        let saved = self.saved();
        match self.usual {
            Some(usual) => format!("{saved}, every {}", interval(usual)),
            None => saved,
        }
    }

    /// Returns the age in words: `saved 4 min ago, usually every 30 s`.
    pub(in crate::tui) fn words(self) -> String {
        let saved = self.saved();
        match self.usual {
            Some(usual) => format!("{saved}, usually every {}", interval(usual)),
            None => saved,
        }
    }

    /// Returns the time after which the words or the state are others.
    pub(in crate::tui) fn changes_in(self) -> Duration {
        let unit = Duration::from_secs(unit(self.since.as_secs()));
        let into = self.since.as_nanos() % unit.as_nanos();
        let next = unit.saturating_sub(Duration::from_nanos(into as u64));
        let overdue = self
            .usual
            .map(|usual| OVERDUE_AT_LEAST.max(usual.saturating_mul(3)));
        let limits = [overdue, Some(self.over_after())];
        let limits = limits.into_iter().flatten();
        let ahead = limits.filter_map(|limit| limit.checked_sub(self.since));
        // Just after the limit, which itself still belongs to the state before.
        ahead
            .map(|ahead| ahead + Duration::from_millis(1))
            .fold(next, Duration::min)
    }
}

/// Returns the unit in which an age of so many seconds is said.
fn unit(seconds: u64) -> u64 {
    match seconds {
        0..90 => 1,
        90..5400 => MINUTE,
        5400..172_800 => HOUR,
        _ => DAY,
    }
}

/// Returns `45 s`, `4 min`, `3 h`, `2 days`: never more than has passed.
fn rounded_down(age: Duration) -> String {
    let seconds = age.as_secs();
    let unit = unit(seconds);
    let name = match unit {
        1 => "s",
        MINUTE => "min",
        HOUR => "h",
        _ => "days",
    };
    format!("{} {name}", seconds / unit)
}

/// Returns an interval in words; one of a few seconds with a decimal, e.g. `2.5 s`.
fn interval(usual: Duration) -> String {
    let seconds = usual.as_secs_f64();
    if seconds < 9.95 {
        let text = format!("{seconds:.1}");
        return format!("{} s", text.trim_end_matches(".0"));
    }
    rounded_down(Duration::from_secs(seconds.round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(since: f64, usual: Option<f64>) -> Age {
        let newest = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let times = SaveTimes {
            newest,
            usual: usual.map(Duration::from_secs_f64),
        };
        Age::of(&times, newest + Duration::from_secs_f64(since))
    }

    #[test]
    fn an_age_is_said_in_the_unit_that_people_would_take() {
        let said = [0.4, 12.9, 89.9, 90.0, 240.0, 5399.0, 5400.0, 172_800.0];
        assert_eq!(
            said.map(|since| age(since, None).words()),
            [
                "saved 0 s ago",
                "saved 12 s ago",
                "saved 89 s ago",
                "saved 1 min ago",
                "saved 4 min ago",
                "saved 89 min ago",
                "saved 1 h ago",
                "saved 2 days ago"
            ]
        );
        assert_eq!(
            age(240.0, Some(30.0)).words(),
            "saved 4 min ago, usually every 30 s"
        );
        assert_eq!(
            [0.4, 2.5, 5.0, 9.96, 95.0].map(|usual| interval(Duration::from_secs_f64(usual))),
            ["0.4 s", "2.5 s", "5 s", "10 s", "1 min"]
        );
    }

    #[test]
    fn a_run_is_overdue_after_three_usual_intervals_and_over_after_ten() {
        let saving = |since| age(since, Some(30.0)).saving();
        assert_eq!(
            [90.0, 90.5, 300.0, 300.5].map(saving),
            [
                Saving::Usual,
                Saving::Overdue,
                Saving::Overdue,
                Saving::Over
            ]
        );
        // Nothing is overdue where nobody knows how long a checkpoint takes.
        let saving = |since| age(since, None).saving();
        assert_eq!(
            [61.0, 3600.0, 3601.0].map(saving),
            [Saving::Usual, Saving::Usual, Saving::Over]
        );
    }

    #[test]
    fn the_screen_is_drawn_again_when_the_words_change_and_no_sooner() {
        for (since, usual) in [(0.3, None), (89.2, None), (100.0, None), (6000.0, None)]
            .into_iter()
            .chain([(14.5, Some(5.0)), (49.2, Some(5.0)), (70.0, Some(30.0))])
        {
            let now = age(since, usual);
            let wait = now.changes_in().as_secs_f64();
            let said = |age: Age| (age.words(), age.saving());
            let after = said(age(since + wait + 1e-3, usual));
            assert_ne!(after, said(now), "{since}");
            let before = said(age(since + wait - 5e-3, usual));
            assert_eq!(before, said(now), "{since}");
        }
        assert!(age(50_000.0, Some(5.0)).changes_in() > Duration::from_secs(60));
    }
}
