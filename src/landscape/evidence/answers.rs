//! Answers that updates have given already: a question that was broken off goes on where it was, and a later one of a longer
//! path asks no update twice.

use std::sync::{Mutex, PoisonError};

use crate::model::Reading;
use crate::run::Checkpoint;

/// Cosines of updates with the gradients of readings, for one model on one set of samples.
#[derive(Debug, Default)]
pub struct Answers(Mutex<Vec<(AskedUpdate, f64)>>);

/// The thing that is asked: a reading, and an update.
#[derive(Clone, Debug)]
pub(super) struct AskedUpdate {
    pub(super) reading: Reading,
    /// Index of the scale of the pixels.
    pub(super) scale: usize,
    /// Number of samples that are looked at.
    pub(super) samples: usize,
    pub(super) from: Checkpoint,
    pub(super) to: Checkpoint,
}

impl AskedUpdate {
    fn is(&self, other: &Self) -> bool {
        self.reading == other.reading
            && (self.scale, self.samples) == (other.scale, other.samples)
            && self.from.is(&other.from)
            && self.to.is(&other.to)
    }
}

impl Answers {
    /// Returns the answer; `None` if it was not asked yet.
    pub(super) fn of(&self, subject: &AskedUpdate) -> Option<f64> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.iter().find(|(known, _)| known.is(subject));
        known.map(|(_, cosine)| *cosine)
    }

    /// Remembers an answer.
    pub(super) fn keep(&self, subject: AskedUpdate, cosine: f64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.push((subject, cosine));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_that_of_its_reading_update_and_samples_alone() {
        let subject = AskedUpdate {
            reading: Reading::default(),
            scale: 0,
            samples: 64,
            from: Checkpoint::new(1, "1.pt"),
            to: Checkpoint::new(2, "2.pt"),
        };
        let answers = Answers::default();
        assert_eq!(answers.of(&subject), None);
        answers.keep(subject.clone(), 0.25);
        assert_eq!(answers.of(&subject), Some(0.25));
        let another = |change: fn(&mut AskedUpdate)| {
            let mut other = subject.clone();
            change(&mut other);
            answers.of(&other)
        };
        assert_eq!(another(|other| other.samples = 32), None);
        assert_eq!(another(|other| other.scale = 1), None);
        assert_eq!(another(|other| other.to.arrival = 7), None);
        assert_eq!(another(|other| other.from.step = 9), Some(0.25));
    }
}
