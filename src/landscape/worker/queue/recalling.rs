//! The part of the queue that keeps values, and tells those that were kept before.

use std::sync::Arc;

use super::super::super::evidence::AssumedFunction;
use super::super::pending::{Keeping, PendingPlan};
use super::super::protocol::{Plan, QueryAnswer, WorkerEvent};
use super::super::recall::{PlanKeys, Recall, Recalled, Values};
use super::{Queue, Task};
use crate::landscape::device::Place;
use crate::store::StoreError;

impl<R: FnMut(WorkerEvent) -> bool> Queue<R> {
    /// Keeps values from now on, and recalls those that were kept before.
    pub(in super::super) fn set_recall(&mut self, recall: Option<Arc<Recall>>) {
        self.recall = recall;
    }

    pub(in super::super) fn recall(&self) -> Option<Arc<Recall>> {
        self.recall.clone()
    }

    /// Returns the plans that nobody has looked up yet, with the function that is measured.
    pub(in super::super) fn unknown(&self) -> (Vec<Arc<Plan>>, AssumedFunction) {
        let plans = self.first.iter().chain(&self.asked).chain(&self.work);
        let held = plans.filter(|pending| pending.is_held());
        (
            held.map(|pending| Arc::clone(&pending.plan)).collect(),
            self.function.clone(),
        )
    }

    /// Notes what was found out about the model, and keeps it.
    pub(super) fn find_out(&mut self, task: &Task, finding: &WorkerEvent, place: Place) {
        match finding {
            WorkerEvent::Data {
                split,
                content: Some(content),
                ..
            } => {
                // A worker elsewhere reads other files than those that are here.
                let recall = self.recall.clone();
                if recall.is_some_and(|recall| !recall.set_samples(*split, *content)) {
                    self.stop_recalling();
                }
                return;
            }
            WorkerEvent::Model { .. } => self
                .found_out
                .retain(|known| !matches!(known, WorkerEvent::Model { .. })),
            // The answer of a path is a value of its own, and not what a device begins with.
            WorkerEvent::Assumed(assumed) if assumed.samples > 0 && assumed.batches.is_none() => {
                return;
            }
            WorkerEvent::Assumed(assumed) => {
                self.found_out
                    .retain(|known| !matches!(known, WorkerEvent::Assumed(_)));
                // Such a loss depends on the batches, which differ from machine to machine.
                if assumed.batches.is_some() {
                    self.stop_recalling();
                    return;
                }
            }
            _ => return,
        }
        self.found_out.push(finding.clone());
        let keeping = self.pending(&task.plan).map(|pending| &pending.keeping);
        if let Some(Keeping::Under(keys)) = keeping {
            let keys = Arc::clone(keys);
            self.keep_findings(&keys, place);
        }
    }

    fn keep_findings(&mut self, keys: &PlanKeys, place: Place) {
        if let Some(recall) = self.recall.clone() {
            let kept = recall.keep_findings(keys, &self.found_out, place);
            self.must(kept);
        }
    }

    /// Keeps a value before anybody sees it, or holds it until its key is known.
    pub(super) fn keep(&mut self, task: &Task, place: Place, value: Recalled) {
        let index = task.index;
        let pending = self.pending(&task.plan);
        let Some(pending) = pending.filter(|pending| !pending.is_answered(index)) else {
            return;
        };
        match &mut pending.keeping {
            Keeping::Nothing => {}
            Keeping::Early(values) => values.push((index, value)),
            Keeping::Under(keys) => {
                let keys = Arc::clone(keys);
                self.keep_all((&task.plan, &keys), vec![(index, value)], place);
            }
        }
    }

    fn keep_all(&mut self, of: (&Plan, &PlanKeys), values: Values, place: Place) {
        for (index, value) in values {
            let Some(recall) = self.recall.clone() else {
                return;
            };
            let kept = recall.keep(of, index, &value, place);
            self.must(kept);
        }
    }

    /// Goes on without the store where it fails.
    pub(in super::super) fn must<T>(&mut self, done: Result<T, StoreError>) -> Option<T> {
        match done {
            Ok(done) => Some(done),
            Err(error) => {
                self.stop_recalling();
                let said = format!("{error}; measuring goes on without it");
                self.report(WorkerEvent::Trouble(said));
                None
            }
        }
    }

    /// Keeps and recalls nothing from now on.
    pub(in super::super) fn stop_recalling(&mut self) {
        self.recall = None;
        self.unkeyed.clear();
        let first = self.first.iter_mut().chain(&mut self.asked);
        for pending in first.chain(&mut self.work) {
            pending.keeping = Keeping::Nothing;
            pending.release();
        }
    }

    /// Lets a plan be measured whose values are not known yet.
    pub(in super::super) fn release(&mut self, plan: &Arc<Plan>) {
        if let Some(pending) = self.pending(plan) {
            pending.release();
        }
    }

    /// Keeps nothing of a plan, because its keys cannot be known.
    pub(in super::super) fn give_up(&mut self, plan: &Arc<Plan>) {
        if let Some(pending) = self.pending(plan) {
            pending.keeping = Keeping::Nothing;
        }
        self.take_unkeyed(plan);
    }

    /// Takes the keys of a plan and what is known of it; keeps what came before, and reports what is known.
    pub(in super::super) fn recalled(
        &mut self,
        (plan, function): (&Arc<Plan>, &AssumedFunction),
        keys: &Arc<PlanKeys>,
        (findings, values): (Vec<WorkerEvent>, Values),
    ) {
        let early = match self.pending(plan) {
            Some(pending) => pending.take_keys(Arc::clone(keys)),
            None => self.take_unkeyed(plan),
        };
        // They were measured where the session measures; which device it was is not known any more.
        self.keep_all((plan, keys), early, Place::Auto);
        if *function == self.function {
            if !self.found_out.is_empty() {
                self.keep_findings(keys, Place::Auto);
            } else if !values.is_empty() {
                for finding in findings {
                    self.found_out.push(finding.clone());
                    self.tell(plan.generation, finding);
                }
            }
        }
        for (index, recalled) in values {
            self.answer_recalled(plan, index, recalled);
        }
        self.close_done();
    }

    fn answer_recalled(&mut self, plan: &Arc<Plan>, index: usize, recalled: Recalled) {
        let pending = self.pending(plan);
        if !pending.is_some_and(|pending| pending.answer(index)) {
            return;
        }
        let value = match recalled {
            Recalled::Value(value) => value,
            Recalled::Answer(assumed) => {
                self.report(WorkerEvent::Assumed(assumed));
                QueryAnswer::Assumed
            }
        };
        self.report(WorkerEvent::Measured {
            generation: plan.generation,
            index,
            value,
            recalled: true,
        });
    }

    /// Takes the values of a plan whose keys were not known.
    fn take_unkeyed(&mut self, plan: &Arc<Plan>) -> Values {
        let mut unkeyed = self.unkeyed.iter();
        let at = unkeyed.position(|(other, _)| Arc::ptr_eq(other, plan));
        at.map_or_else(Vec::new, |at| self.unkeyed.swap_remove(at).1)
    }

    /// Returns true if the keys of a plan are of use: it is under way, or its values wait for them.
    pub(in super::super) fn wants_keys(&mut self, plan: &Arc<Plan>) -> bool {
        let is_unkeyed = |(other, _): &(Arc<Plan>, Values)| Arc::ptr_eq(other, plan);
        self.recall.is_some()
            && !self.over
            && (self.pending(plan).is_some() || self.unkeyed.iter().any(is_unkeyed))
    }

    /// Holds the values of plans that others have replaced.
    pub(super) fn leave(&mut self, plans: impl IntoIterator<Item = PendingPlan>) {
        for pending in plans {
            self.keep_unkeyed(&pending.plan, pending.keeping);
        }
    }

    /// Holds the values of a plan that is left until its keys are known.
    pub(super) fn keep_unkeyed(&mut self, plan: &Arc<Plan>, keeping: Keeping) {
        if let Keeping::Early(values) = keeping
            && !values.is_empty()
        {
            self.unkeyed.push((Arc::clone(plan), values));
        }
    }
}
