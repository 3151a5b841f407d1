//! The room that others leave on a GPU, and what a worker does about it: the last tenth of the memory is never its own.
//! Where nobody tells, nothing is done.

use std::time::{Duration, Instant};

use super::nvidia::{self, Room};
use crate::landscape::device::Place;

/// Part of the memory that is left to others.
const LEFT: f64 = 0.1;
/// Part of it that must be free before a worker comes back.
const ROOMY: f64 = 0.25;
/// Looks in a row that must find it so.
const QUIET: u32 = 30;
/// Samples at once below which a smaller batch frees nothing worth having.
const SMALLEST: usize = 8;
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Advice to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    /// Go on where it is.
    Stay,
    /// Start again with half the samples at once.
    Halve,
    /// Give the GPU's memory back.
    Leave,
    /// Come back to the GPU.
    Return,
}

/// The rules, and what they remember.
#[derive(Debug, Default)]
pub(super) struct GpuRoom {
    looked: Option<Instant>,
    is_away: bool,
    /// Looks in a row that found room while it was away.
    quiet: u32,
}

impl GpuRoom {
    /// Returns true while it has left the GPU to others.
    pub(super) fn is_away(&self) -> bool {
        self.is_away
    }

    /// Looks at a GPU, at most once a second; returns what to do and the room that was found.
    pub(super) fn look(&mut self, place: Place, batch: usize) -> Option<(Advice, Room)> {
        if self
            .looked
            .is_some_and(|looked| looked.elapsed() < LOOK_EVERY)
        {
            return None;
        }
        self.looked = Some(Instant::now());
        let room = nvidia::room(place)?;
        Some((self.advise(room, batch), room))
    }

    /// Says what to do in such room with so many samples at once.
    fn advise(&mut self, room: Room, batch: usize) -> Advice {
        if self.is_away {
            let is_roomy = room.share() >= ROOMY;
            self.quiet = if is_roomy { self.quiet + 1 } else { 0 };
            if self.quiet < QUIET {
                return Advice::Stay;
            }
            self.is_away = false;
            self.quiet = 0;
            return Advice::Return;
        }
        if room.share() >= LEFT {
            Advice::Stay
        } else if batch >= 2 * SMALLEST {
            Advice::Halve
        } else {
            self.is_away = true;
            Advice::Leave
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOTAL: u64 = 40 << 30;

    fn room(percent: u64) -> Room {
        Room {
            total: TOTAL,
            free: TOTAL / 100 * percent,
        }
    }

    #[test]
    fn the_last_tenth_is_given_back_in_halves_and_then_whole() {
        let mut rules = GpuRoom::default();
        assert_eq!(rules.advise(room(11), 512), Advice::Stay);
        let mut batch = 512;
        let mut halvings = 0;
        while rules.advise(room(9), batch) == Advice::Halve {
            batch /= 2;
            halvings += 1;
        }
        assert_eq!((batch, halvings), (8, 6));
        // It left with the look that found no batch to halve.
        assert!(rules.is_away);
        assert_eq!(rules.advise(room(9), batch), Advice::Stay);
    }

    #[test]
    fn it_comes_back_when_there_was_room_for_half_a_minute_without_a_break() {
        let mut rules = GpuRoom::default();
        assert_eq!(rules.advise(room(5), 1), Advice::Leave);
        for _ in 1..QUIET {
            assert_eq!(rules.advise(room(30), 1), Advice::Stay);
        }
        assert_eq!(rules.advise(room(20), 1), Advice::Stay, "others are back");
        for _ in 1..QUIET {
            assert_eq!(rules.advise(room(30), 1), Advice::Stay);
        }
        assert_eq!(rules.advise(room(30), 1), Advice::Return);
        assert_eq!(rules.advise(room(30), 1), Advice::Stay);
    }

    #[test]
    fn no_other_device_is_looked_at() {
        assert_eq!(GpuRoom::default().look(Place::Cpu, 64), None);
    }
}
