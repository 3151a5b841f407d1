//! Things that take long to make, memory above all, kept for whichever thread needs one next.

use std::sync::{Mutex, PoisonError};

/// Things that nobody uses at the moment.
#[derive(Debug)]
pub(crate) struct Spare<T>(Mutex<Vec<T>>);

impl<T> Default for Spare<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Default> Spare<T> {
    /// Returns one of them, or a new one.
    pub(crate) fn take(&self) -> T {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.pop().unwrap_or_default()
    }

    /// Keeps one for the next who needs it.
    pub(crate) fn give_back(&self, item: T) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.push(item);
    }
}
