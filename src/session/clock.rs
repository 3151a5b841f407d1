//! The time, as an argument: a test lets hours pass in a moment.

use std::time::{Duration, Instant, SystemTime};

#[cfg(test)]
use std::sync::{Arc, atomic::AtomicU64, atomic::Ordering};

/// A clock that begins when it is made.
#[derive(Clone, Debug)]
pub(super) enum Clock {
    /// That of the system.
    Real(Instant),
    /// One that shows what it was set to, in microseconds.
    #[cfg(test)]
    Set(Arc<AtomicU64>),
}

impl Clock {
    /// Returns a clock that runs.
    pub(super) fn start() -> Self {
        Self::Real(Instant::now())
    }

    /// Returns the time since it began.
    pub(super) fn now(&self) -> Duration {
        match self {
            Self::Real(start) => start.elapsed(),
            #[cfg(test)]
            Self::Set(micros) => Duration::from_micros(micros.load(Ordering::Relaxed)),
        }
    }

    /// Returns the date and time, to be held against those of files.
    pub(super) fn date(&self) -> SystemTime {
        match self {
            Self::Real(_) => SystemTime::now(),
            #[cfg(test)]
            Self::Set(_) => SystemTime::UNIX_EPOCH + self.now(),
        }
    }
}
