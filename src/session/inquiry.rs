//! The moments at which a session asks its path which function it followed, and what an answer changes.

use crate::data::Split;
use crate::landscape::{Assumed, AssumedFunction, Plan, Quantity, Query};
use crate::run::Checkpoint;
use crate::weights::{PlaneSpec, RunShape};

use super::snapshot::{CheckpointState, Finding, Snapshot};

/// Fewest updates that are worth a second question; later the path is asked whenever they have doubled.
const ENOUGH: usize = 3;
/// The number of plans that ask: no map has it.
const GENERATION: u64 = 0;

/// Questions that were put to a path, and what is taken for granted.
#[derive(Debug, Default)]
pub(super) struct InquirySchedule {
    /// Names and shapes of the model: others are another run's.
    shape: Option<RunShape>,
    /// Updates that the path had when it was asked; `None` before.
    asked_of: Option<usize>,
    /// The same at the question before that.
    before: Option<usize>,
    /// True while the answer to the last one is awaited.
    is_open: bool,
    /// The function that is measured; `None` until somebody says.
    function: Option<AssumedFunction>,
}

impl InquirySchedule {
    /// Returns the plan that asks this path, where it is time: at once, when there are three updates, whenever they
    /// have doubled, and when the run is quiet. A question costs as much as a picture of a small model.
    pub(super) fn due(
        &mut self,
        spec: &PlaneSpec,
        members: &[Checkpoint],
        split: Split,
        is_quiet: bool,
    ) -> Option<Plan> {
        if self.shape.as_ref() != Some(&spec.shape) {
            self.shape = Some(spec.shape.clone());
            self.asked_of = None;
        }
        let updates = members.len().checked_sub(1)?;
        let is_due = self
            .asked_of
            .is_none_or(|asked| updates > asked && (is_quiet || updates >= ENOUGH.max(2 * asked)));
        if !is_due {
            return None;
        }
        self.before = self.asked_of.replace(updates);
        self.is_open = true;
        Some(Plan {
            generation: GENERATION,
            spec: spec.clone(),
            split,
            queries: vec![Query::of(Quantity::Function(members.to_vec()))],
        })
    }

    /// Gives a question up that is not answered yet, so that it is due again; false if there is none.
    pub(super) fn break_off(&mut self) -> bool {
        if self.is_open {
            self.asked_of = self.before;
        }
        std::mem::take(&mut self.is_open)
    }

    /// Returns true while the answer to a question is awaited.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Notes that a plan is done, which may be that of the question; returns true if it is.
    pub(super) fn done(&mut self, generation: u64) -> bool {
        let is_it = generation == GENERATION;
        self.is_open &= !is_it;
        is_it
    }

    /// Takes an answer, and tells whether it counts.
    pub(super) fn counts(&self, answer: &Assumed) -> bool {
        // Each device says what it begins with; an answer of the path stands against that.
        answer.samples > 0 || self.function.is_none()
    }

    /// Returns the function that is to be measured from now on, where it is another one than so far.
    pub(super) fn fold(&mut self, answer: &Assumed) -> Option<AssumedFunction> {
        let is_of_path = answer.samples > 0;
        let known = self.function.replace(answer.function.clone());
        let is_new = match known {
            Some(known) => known != answer.function,
            // An answer that was kept may come before any device says what it begins with.
            None => is_of_path && answer.function != AssumedFunction::default(),
        };
        is_new.then(|| answer.function.clone())
    }
}

/// Holds the measured losses of the path against those that training logged itself.
pub(super) fn weigh(snapshot: &mut Snapshot) {
    let Some(assumed) = &mut snapshot.assumed else {
        return;
    };
    let is_train = matches!(&snapshot.data, Finding::Is(data) if data.split == Split::Train);
    let path = snapshot.checkpoints.iter();
    let path: Vec<_> = path
        .filter(|line| line.state == CheckpointState::OnPath)
        .collect();
    if !is_train || path.len() != snapshot.logged.len() {
        return assumed.weigh(&[]);
    }
    let pairs = path.into_iter().zip(&snapshot.logged);
    let pairs: Vec<[f64; 2]> = pairs
        .filter_map(|(line, logged)| Some([logged.train?, line.truth?.loss]))
        .collect();
    assumed.weigh(&pairs);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::loss::Measure;
    use crate::model::{Activation, Reading};
    use crate::run::Logged;
    use crate::session::snapshot::{CheckpointLine, DataLine};
    use crate::weights::{BatchNorm, Directions, Ignore, Norm};

    fn member(step: u64) -> Checkpoint {
        Checkpoint::new(step, format!("{step}.pt"))
    }

    fn spec(first: u64) -> PlaneSpec {
        PlaneSpec {
            shape: RunShape {
                newest: format!("{first}.pt").into(),
                ..RunShape::default()
            },
            origin: member(9),
            directions: Directions::Random {
                seed: 0,
                norm: Norm::Filter,
                ignore: Ignore::Biasbn,
                orthogonal: false,
            },
            batch_norm: BatchNorm::Frozen,
        }
    }

    #[test]
    fn a_path_is_asked_at_once_when_it_has_some_updates_and_whenever_they_doubled() {
        let mut inquiry = InquirySchedule::default();
        let members: Vec<Checkpoint> = (0..13).map(member).collect();
        let mut due = |first, count: usize, is_quiet| {
            let members = &members[..count];
            let plan = inquiry.due(&spec(first), members, Split::Train, is_quiet);
            plan.is_some()
        };
        let asked: Vec<usize> = (0..13).filter(|count| due(0, *count, false)).collect();
        assert_eq!(asked, [1, 4, 7]);
        assert!(due(0, 13, false));
        assert!(due(1, 2, false), "another run");
        assert!(!due(1, 3, false));
        // A run that goes no further has no more updates to wait for.
        assert!(due(1, 3, true) && !due(1, 3, true));
    }

    #[test]
    fn a_question_that_is_broken_off_is_due_again_and_an_answered_one_is_not() {
        let mut inquiry = InquirySchedule::default();
        let members: Vec<Checkpoint> = (0..5).map(member).collect();
        let ask = |inquiry: &mut InquirySchedule| {
            let plan = inquiry.due(&spec(0), &members, Split::Train, false);
            plan.map(|plan| plan.generation)
        };
        assert!(!inquiry.break_off());
        let asked = ask(&mut inquiry);
        assert!(asked.is_some());
        assert_eq!(ask(&mut inquiry), None);
        assert!(inquiry.break_off() && !inquiry.break_off());
        assert_eq!(ask(&mut inquiry), asked);
        inquiry.done(asked.unwrap() + 1);
        inquiry.done(asked.unwrap());
        assert!(!inquiry.break_off());
        assert_eq!(ask(&mut inquiry), None);
    }

    #[test]
    fn an_answer_changes_what_is_measured_only_where_it_is_another() {
        let answer = |activation, samples| Assumed {
            function: AssumedFunction {
                reading: Reading {
                    activation: Some(activation),
                    ..Reading::default()
                },
                pixels: None,
            },
            samples,
            ..Assumed::default()
        };
        let mut inquiry = InquirySchedule::default();
        let usual = answer(Activation::Relu, 0);
        assert!(inquiry.counts(&usual));
        assert_eq!(inquiry.fold(&usual), None);
        assert_eq!(inquiry.fold(&answer(Activation::Relu, 3)), None);
        let tanh = answer(Activation::Tanh, 6);
        assert_eq!(inquiry.fold(&tanh), Some(tanh.function));
        assert!(!inquiry.counts(&usual), "a device that comes late");
        // An answer that was kept may be the first that is told.
        let mut inquiry = InquirySchedule::default();
        let gelu = answer(Activation::Gelu, 6);
        assert_eq!(inquiry.fold(&gelu), Some(gelu.function.clone()));
        assert_eq!(inquiry.fold(&gelu), None);
        let exported = Assumed {
            samples: 6,
            ..Assumed::default()
        };
        assert_eq!(InquirySchedule::default().fold(&exported), None);
    }

    #[test]
    fn a_log_that_tells_other_losses_is_told_of_training_samples_alone() {
        let line = |loss| {
            let truth = Measure { loss, score: 0.5 };
            CheckpointLine {
                state: CheckpointState::OnPath,
                truth: Some(truth),
                ..CheckpointLine::new(std::path::Path::new("a.pt"))
            }
        };
        let logged = |train| Logged {
            train: Some(train),
            ..Logged::default()
        };
        let mut snapshot = Snapshot {
            assumed: Some(Assumed::default()),
            checkpoints: vec![line(3.0), line(2.9)],
            logged: vec![logged(0.5), logged(0.3)],
            ..Snapshot::default()
        };
        let mut said = |split| {
            snapshot.data = Finding::Is(DataLine {
                name: "digits".into(),
                split,
                samples: 9,
                seed: 0,
            });
            weigh(&mut snapshot);
            snapshot
                .assumed
                .as_ref()
                .and_then(|assumed| assumed.logged.clone())
        };
        assert!(said(Split::Train).is_some_and(|said| said.contains("logged a loss of 0.30")));
        assert_eq!(said(Split::Test), None);
    }
}
