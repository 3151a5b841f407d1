//! The share of the processor that measuring may take: the option `--budget`.

use std::fmt;
use std::num::NonZero;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::load::idle_time;
use crate::landscape::device::Place;

/// The share of the processor that measuring may take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Budget {
    /// All that is idle, and little beside a busy neighbour.
    #[default]
    Auto,
    /// All, at ordinary priority.
    All,
    /// This share of all cores, or of a GPU's time, at most, above 0 and at most 1, and nearly nothing beside a busy neighbour.
    Share(f64),
}

/// The largest niceness: the session's weight is 1.5 % of an ordinary one's, on each core.
const POLITE: i32 = 19;
/// Part of the time in which a core was to be had, below which others are busy.
const CONTENDED: f64 = 0.5;
/// Processor time that is taken beside them, as a share of one core: the threads of a training wait for each other, so that
/// its loss is all that is taken, on however many cores.
const BESIDE: f64 = 0.01;
/// Time after which it is judged anew if others are busy: the system counts in hundredths of a second.
const JUDGED_EVERY: Duration = Duration::from_millis(300);
/// Queries of a new plane that are answered without such rests, so that its first picture of 5×5 stands soon, and the
/// time after which there are rests all the same.
const FRESH: (usize, Duration) = (25, Duration::from_secs(60));

/// Share in percent below which nothing would be measured while somebody waits for it.
const LEAST_PERCENT: f64 = 0.1;

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = |percent: &str| {
            let percent = percent.trim_end().parse::<f64>().ok();
            percent.filter(|percent| (LEAST_PERCENT..=100.0).contains(percent))
        };
        match text {
            "auto" => Ok(Self::Auto),
            "all" => Ok(Self::All),
            text => match text.strip_suffix('%').and_then(share) {
                Some(percent) => Ok(Self::Share(percent / 100.0)),
                None => Err(format!(
                    "expected auto, all or a share of all cores from {LEAST_PERCENT}% to 100%"
                )),
            },
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::All => f.write_str("all"),
            Self::Share(share) => write!(f, "{}%", share * 100.0),
        }
    }
}

impl Budget {
    /// Returns the number of threads that compute on so many cores.
    #[must_use]
    pub fn threads(self, cores: usize) -> usize {
        match self {
            Self::Auto | Self::All => cores,
            // 10 % of ten cores is one, whatever the binary digits of 0.1 say.
            Self::Share(share) => ((share * cores as f64 - 1e-9).ceil() as usize).clamp(1, cores),
        }
    }

    /// Returns the rest that is due after work by so many threads on so many cores.
    #[must_use]
    pub fn rest(self, threads: usize, cores: usize, work: Work) -> Duration {
        match self {
            Self::Auto if work.is_beside_others => {
                work.taken.div_f64(BESIDE).saturating_sub(work.busy)
            }
            Self::Auto | Self::All => Duration::ZERO,
            Self::Share(share) => {
                let duty = share * cores as f64 / threads as f64;
                work.busy.mul_f64((1.0 / duty - 1.0).max(0.0))
            }
        }
    }

    /// Returns the niceness of a session that measures under it; `None` if it does not step back.
    #[must_use]
    pub fn niceness(self) -> Option<i32> {
        match self {
            Self::All => None,
            Self::Auto | Self::Share(_) => Some(POLITE),
        }
    }
}

/// Work since the last rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Time that went by.
    pub busy: Duration,
    /// Processor time of all threads.
    pub taken: Duration,
    /// True if others keep the processors busy.
    pub is_beside_others: bool,
}

/// The processors at a moment.
#[derive(Clone, Copy, Debug)]
struct ProcessorReading {
    at: Instant,
    /// Processor time that this process has taken.
    taken: Duration,
    /// Time in which they were idle; `None` if the system does not tell.
    idle: Option<Duration>,
}

impl ProcessorReading {
    fn now() -> Self {
        Self {
            at: Instant::now(),
            taken: processor_time(),
            idle: idle_time(),
        }
    }
}

/// Returns true if not even one core was to be had for most of a time, of which this process has taken that much, and in
/// which cores were idle that long, all together.
pub(super) fn are_others_busy(time: Duration, taken: Duration, idle: Duration) -> bool {
    let [time, had] = [time, taken + idle].map(|time| time.as_secs_f64());
    had < CONTENDED * time
}

/// A plane that is new to the one who measures on it.
#[derive(Debug)]
pub(super) struct Fresh {
    since: Instant,
    answered: usize,
}

impl Fresh {
    /// Returns a plane that comes now.
    pub(super) fn now() -> Self {
        Self {
            since: Instant::now(),
            answered: 0,
        }
    }

    /// Notes that a query on it was answered.
    pub(super) fn count(&mut self) {
        self.answered += 1;
    }

    /// Returns true while its first picture is measured.
    pub(super) fn is_fresh(&self) -> bool {
        self.answered < FRESH.0 && self.since.elapsed() < FRESH.1
    }
}

/// Spreads work over time as a budget says.
#[derive(Debug)]
pub(super) struct Pacer {
    budget: Budget,
    cores: usize,
    turns: Mutex<Turns>,
}

/// Work and rest so far.
#[derive(Debug)]
struct Turns {
    /// Begin of the work since the last rest, and the processor time until then.
    since: (Instant, Duration),
    /// The reading from which it is judged if others are busy. It spans the last rest too: who has slept is served at
    /// once, so that work alone would not tell.
    judged: ProcessorReading,
    is_beside_others: bool,
}

impl Pacer {
    /// Begins work now.
    pub(super) fn new(budget: Budget) -> Self {
        let judged = ProcessorReading::now();
        Self {
            budget,
            cores: thread::available_parallelism().map_or(1, NonZero::get),
            turns: Mutex::new(Turns {
                since: (judged.at, judged.taken),
                judged,
                is_beside_others: false,
            }),
        }
    }

    /// Returns the end of the rest that is due now on a device; `None` if none is. Nothing is held up beside others for a
    /// fresh plane; a share is kept all the same.
    pub(super) fn due(&self, place: Place, is_fresh: bool) -> Option<Instant> {
        if self.budget == Budget::All || is_fresh && self.budget == Budget::Auto {
            return None;
        }
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // On a GPU others are seen elsewhere.
        if self.budget == Budget::Auto && place.is_cpu() {
            turns.judge();
        }
        let (begin, before) = turns.since;
        let work = Work {
            busy: begin.elapsed(),
            taken: processor_time().saturating_sub(before),
            is_beside_others: turns.is_beside_others,
        };
        let rest = if place.is_cpu() {
            let threads = rayon::current_num_threads();
            self.budget.rest(threads, self.cores, work)
        } else {
            // It is taken whole or not at all.
            self.budget.rest(1, 1, work)
        };
        (!rest.is_zero()).then(|| Instant::now() + rest)
    }

    /// Notes that work begins again, after a rest or because there was nothing to do.
    pub(super) fn restart(&self) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.since = (Instant::now(), processor_time());
    }
}

impl Turns {
    /// Judges if others are busy, when there is enough time to tell.
    fn judge(&mut self) {
        let before = self.judged;
        if before.at.elapsed() < JUDGED_EVERY {
            return;
        }
        let now = ProcessorReading::now();
        let (time, taken, idle) = match now.idle.zip(before.idle) {
            Some((now_idle, idle)) => (
                now.at - before.at,
                now.taken.saturating_sub(before.taken),
                now_idle.saturating_sub(idle),
            ),
            // By the work alone: it would have had a core.
            None => (
                now.at - self.since.0,
                now.taken.saturating_sub(self.since.1),
                Duration::ZERO,
            ),
        };
        self.is_beside_others = are_others_busy(time, taken, idle);
        self.judged = now;
    }
}

/// Returns the processor time that all threads of this process have taken.
#[cfg(unix)]
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Takes the time that goes by for it, because nobody tells.
#[cfg(not(unix))]
fn processor_time() -> Duration {
    static BEGIN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    BEGIN.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_read_and_told_alike() {
        for text in ["auto", "all", "10%", "50%", "100%", "2.5%"] {
            let budget = text.parse::<Budget>().map(|budget| budget.to_string());
            assert_eq!(budget.as_deref(), Ok(text));
        }
        for wrong in [
            "", "0%", "101%", "-5%", "50", "half", "nan%", "%", "1e-20%", "1e-300%",
        ] {
            assert!(wrong.parse::<Budget>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn threads_and_rests_together_keep_the_share() {
        let busy = Duration::from_millis(80);
        let work = Work {
            busy,
            taken: busy,
            is_beside_others: false,
        };
        for (share, cores, threads) in [
            (0.1, 2, 1),
            (0.5, 2, 1),
            (0.75, 2, 2),
            (1.0, 2, 2),
            (0.1, 10, 1),
            (0.1, 64, 7),
        ] {
            let budget = Budget::Share(share);
            assert_eq!(budget.threads(cores), threads, "{share} of {cores}");
            let all = (busy + budget.rest(threads, cores, work)).as_secs_f64() * cores as f64;
            let taken = busy.as_secs_f64() * threads as f64 / all;
            assert!((taken - share).abs() < 1e-6, "{share} of {cores}: {taken}");
        }
        for budget in [Budget::Auto, Budget::All] {
            assert_eq!(budget.threads(6), 6);
            assert_eq!(budget.rest(6, 6, work), Duration::ZERO);
        }
    }

    #[test]
    fn beside_others_auto_takes_a_small_part_of_a_core_and_all_does_not_rest() {
        // Served at once after a rest, or waiting for its turn all the time.
        for (busy, taken) in [(10, 20), (400, 13)] {
            let [busy, taken] = [busy, taken].map(Duration::from_millis);
            let work = |is_beside_others| Work {
                busy,
                taken,
                is_beside_others,
            };
            let rest = |budget: Budget| budget.rest(2, 2, work(true)).as_secs_f64();
            let share = taken.as_secs_f64() / (busy.as_secs_f64() + rest(Budget::Auto));
            assert!((share - BESIDE).abs() < 1e-9, "{share}");
            assert_eq!(rest(Budget::All), 0.0);
            assert!(Budget::Auto.rest(2, 2, work(false)).is_zero());
        }
        // It got less than that by itself.
        let work = Work {
            busy: Duration::from_secs(1),
            taken: Duration::from_millis(9),
            is_beside_others: true,
        };
        assert!(Budget::Auto.rest(2, 2, work).is_zero());
    }

    #[test]
    fn others_are_busy_where_not_even_a_core_is_to_be_had() {
        let at = |time: u64, taken: u64, idle: u64| {
            let [time, taken, idle] = [time, taken, idle].map(Duration::from_millis);
            are_others_busy(time, taken, idle)
        };
        // A rest and a quick piece of work, beside a training on all cores; and when that has ended.
        assert!(at(1300, 20, 10));
        assert!(!at(1300, 20, 2500));
        // Work on two idle cores, and on one that a training of one thread leaves.
        assert!(!at(1000, 2000, 0));
        assert!(!at(1000, 950, 40));
    }

    #[test]
    fn a_plane_is_fresh_until_it_has_a_picture_or_is_old() {
        let mut plane = Fresh::now();
        for _ in 0..FRESH.0 {
            assert!(plane.is_fresh());
            plane.count();
        }
        assert!(!plane.is_fresh());
        let old = Instant::now().checked_sub(FRESH.1);
        let old = old.map(|since| Fresh { since, answered: 3 });
        assert!(old.is_none_or(|old| !old.is_fresh()));
    }

    #[test]
    fn processor_time_is_that_of_work() {
        let before = processor_time();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        assert!(processor_time() > before);
    }
}
