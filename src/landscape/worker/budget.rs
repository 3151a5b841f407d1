//! The share of the processor that measuring may take: the option `--budget`.

use std::fmt;
use std::num::NonZero;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::super::device::Place;

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

/// The largest niceness: the session's weight is 1.5 % of an ordinary one's. Threads of a training wait for each other,
/// so that what is taken of one core costs the others too.
const POLITE: i32 = 19;
/// Part of the time in which not even one core was to be had, below which others are busy.
const CONTENDED: f64 = 0.5;
/// Rest beside them, as a multiple of the time that the work took.
const BESIDE: f64 = 1.0;
/// Time for which a new plane is measured without such rests, so that its first picture stands soon.
pub(super) const FRESH: Duration = Duration::from_secs(10);

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = |percent: &str| {
            let percent = percent.trim_end().parse::<f64>().ok();
            percent.filter(|percent| *percent > 0.0 && *percent <= 100.0)
        };
        match text {
            "auto" => Ok(Self::Auto),
            "all" => Ok(Self::All),
            text => match text.strip_suffix('%').and_then(share) {
                Some(percent) => Ok(Self::Share(percent / 100.0)),
                None => Err(format!(
                    "expected auto, all or a share of all cores such as 50%, got {text}"
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

    /// Returns the rest that is due after work of this length by so many threads on so many cores.
    #[must_use]
    pub fn rest(self, threads: usize, cores: usize, work: Work) -> Duration {
        match self {
            Self::Auto if work.is_contended() => work.busy.mul_f64(BESIDE),
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
}

impl Work {
    /// Returns true if others had the processor for most of the time.
    fn is_contended(self) -> bool {
        self.taken.as_secs_f64() < CONTENDED * self.busy.as_secs_f64()
    }
}

/// Spreads work over time as a budget says.
#[derive(Debug)]
pub(super) struct Pacer {
    budget: Budget,
    place: Place,
    /// True if nothing is held up beside a busy neighbour; a share is kept all the same.
    is_fresh: bool,
    /// Begin of the work since the last rest, and the processor time until then.
    since: Mutex<(Instant, Duration)>,
}

impl Pacer {
    /// Work begins now.
    pub(super) fn new(budget: Budget, place: Place, is_fresh: bool) -> Self {
        Self {
            budget,
            place,
            is_fresh,
            since: Mutex::new((Instant::now(), processor_time())),
        }
    }

    /// Returns the end of the rest that is due now; `None` if none is.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.is_fresh && self.budget == Budget::Auto {
            return None;
        }
        let (begin, before) = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let work = Work {
            busy: begin.elapsed(),
            taken: processor_time().saturating_sub(before),
        };
        let rest = if self.place.is_cpu() {
            let cores = thread::available_parallelism().map_or(1, NonZero::get);
            self.budget.rest(rayon::current_num_threads(), cores, work)
        } else {
            // It is taken whole or not at all, and its work takes no processor time.
            let taken = work.busy;
            self.budget.rest(1, 1, Work { taken, ..work })
        };
        (!rest.is_zero()).then(|| Instant::now() + rest)
    }

    /// Work begins again.
    pub(super) fn restart(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) =
            (Instant::now(), processor_time());
    }
}

/// Returns the processor time that all threads of this process have taken.
#[cfg(unix)]
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Nobody tells: it is taken for the time that goes by.
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
        for wrong in ["", "0%", "101%", "-5%", "50", "half", "nan%", "%"] {
            assert!(wrong.parse::<Budget>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn threads_and_rests_together_keep_the_share() {
        let busy = Duration::from_millis(80);
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
            let work = Work { busy, taken: busy };
            let all = (busy + budget.rest(threads, cores, work)).as_secs_f64() * cores as f64;
            let taken = busy.as_secs_f64() * threads as f64 / all;
            assert!((taken - share).abs() < 1e-6, "{share} of {cores}: {taken}");
        }
        for budget in [Budget::Auto, Budget::All] {
            assert_eq!(budget.threads(6), 6);
            let work = Work { busy, taken: busy };
            assert_eq!(budget.rest(6, 6, work), Duration::ZERO);
        }
    }

    #[test]
    fn where_others_have_the_processor_auto_takes_less_and_all_does_not() {
        let busy = Duration::from_millis(300);
        let rest = |budget: Budget, taken: u64| {
            let taken = Duration::from_millis(taken);
            budget.rest(2, 2, Work { busy, taken })
        };
        assert_eq!(rest(Budget::Auto, 9), busy.mul_f64(BESIDE));
        assert_eq!(rest(Budget::Auto, 160), Duration::ZERO);
        assert_eq!(rest(Budget::All, 9), Duration::ZERO);
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
