//! A plan in the queue: which of its queries are taken, answered, or free again.

use std::sync::Arc;

use super::protocol::Plan;
use super::recall::{PlanKeys, Recalled};

/// Values by the index of their queries.
pub(super) type Values = Vec<(usize, Recalled)>;

/// A plan in the queue.
#[derive(Debug)]
pub(super) struct PendingPlan {
    pub(super) plan: Arc<Plan>,
    /// The first query that nobody has taken yet.
    next: usize,
    /// Queries that a device broke at.
    returned: Vec<usize>,
    /// The queries that were answered: the first answer counts.
    answered: Vec<bool>,
    /// True while it is looked up what is known of it.
    is_held: bool,
    /// Keys under which its values are kept, once they are known.
    pub(super) keys: Option<Arc<PlanKeys>>,
    /// Values that came before the keys were known.
    early: Values,
}

impl PendingPlan {
    pub(super) fn of(plan: Plan) -> Self {
        Self {
            next: 0,
            returned: Vec::new(),
            answered: vec![false; plan.queries.len()],
            plan: Arc::new(plan),
            is_held: false,
            keys: None,
            early: Vec::new(),
        }
    }

    /// The same plan, of which nothing is taken until it is released.
    pub(super) fn held(self) -> Self {
        Self {
            is_held: true,
            ..self
        }
    }

    pub(super) fn is_held(&self) -> bool {
        self.is_held
    }

    pub(super) fn release(&mut self) {
        self.is_held = false;
    }

    /// Takes the next query that nobody has taken or answered.
    pub(super) fn take(&mut self) -> Option<usize> {
        if self.is_held {
            return None;
        }
        let answered = &self.answered;
        let is_open = |index: &usize| answered.get(*index) == Some(&false);
        while let Some(index) = self.returned.pop() {
            if is_open(&index) {
                return Some(index);
            }
        }
        let index = (self.next..self.answered.len()).find(is_open);
        self.next = index.map_or(self.answered.len(), |index| index + 1);
        index
    }

    /// Gives a query back that was taken.
    pub(super) fn give_back(&mut self, index: usize) {
        self.returned.push(index);
    }

    /// Returns the number of queries that nobody has taken or answered.
    pub(super) fn left(&self) -> usize {
        let indexes = (self.next..self.answered.len()).chain(self.returned.iter().copied());
        indexes
            .filter(|index| self.answered.get(*index) == Some(&false))
            .count()
    }

    /// Notes an answer; returns false if there was one before.
    pub(super) fn answer(&mut self, index: usize) -> bool {
        let answered = self.answered.get_mut(index);
        answered.is_some_and(|answered| !std::mem::replace(answered, true))
    }

    pub(super) fn is_done(&self) -> bool {
        self.answered.iter().all(|answered| *answered)
    }

    /// Holds a value until the keys are known.
    pub(super) fn hold(&mut self, index: usize, value: Recalled) {
        self.early.push((index, value));
    }

    /// Takes the keys, releases the plan, and returns the values that came before.
    pub(super) fn take_keys(&mut self, keys: Arc<PlanKeys>) -> Values {
        self.keys = Some(keys);
        self.is_held = false;
        self.take_early()
    }

    /// Takes the values that came before the keys were known.
    pub(super) fn take_early(&mut self) -> Values {
        std::mem::take(&mut self.early)
    }
}
