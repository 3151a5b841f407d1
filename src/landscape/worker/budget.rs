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

/// Niceness of the session that takes what is idle: its weight is 2 % of an ordinary one's.
const POLITE: i32 = 17;
/// The largest niceness.
const LAST: i32 = 19;

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
    pub fn rest(self, threads: usize, cores: usize, busy: Duration) -> Duration {
        let Self::Share(share) = self else {
            return Duration::ZERO;
        };
        let duty = share * cores as f64 / threads as f64;
        busy.mul_f64((1.0 / duty - 1.0).max(0.0))
    }

    /// Returns the niceness of a session that measures under it; `None` if it does not step back.
    #[must_use]
    pub fn niceness(self) -> Option<i32> {
        match self {
            Self::Auto => Some(POLITE),
            Self::All => None,
            Self::Share(_) => Some(LAST),
        }
    }
}

/// Spreads work over time as a budget says.
#[derive(Debug)]
pub(super) struct Pacer {
    budget: Budget,
    place: Place,
    /// Begin of the work since the last rest.
    since: Mutex<Instant>,
}

impl Pacer {
    /// Work begins now.
    pub(super) fn new(budget: Budget, place: Place) -> Self {
        Self {
            budget,
            place,
            since: Mutex::new(Instant::now()),
        }
    }

    /// Returns the end of the rest that is due now; `None` if none is.
    pub(super) fn due(&self) -> Option<Instant> {
        let busy = self
            .since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed();
        let rest = if self.place.is_cpu() {
            let cores = thread::available_parallelism().map_or(1, NonZero::get);
            self.budget.rest(rayon::current_num_threads(), cores, busy)
        } else {
            // It is taken whole or not at all.
            self.budget.rest(1, 1, busy)
        };
        (!rest.is_zero()).then(|| Instant::now() + rest)
    }

    /// Work begins again.
    pub(super) fn restart(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
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
            let all = (busy + budget.rest(threads, cores, busy)).as_secs_f64() * cores as f64;
            let taken = busy.as_secs_f64() * threads as f64 / all;
            assert!((taken - share).abs() < 1e-6, "{share} of {cores}: {taken}");
        }
        for budget in [Budget::Auto, Budget::All] {
            assert_eq!(budget.threads(6), 6);
            assert_eq!(budget.rest(6, 6, busy), Duration::ZERO);
        }
    }
}
