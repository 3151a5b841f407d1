//! A plan in the queue: which of its queries are taken, answered, or free again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::protocol::Plan;
use super::recall::{PlanKeys, Recalled, Values};

/// The state of a query.
#[derive(Clone, Copy, Debug, PartialEq)]
enum QueryState {
    /// Nobody has taken it, or it was given back.
    Open,
    /// A worker is at it, or two are.
    Out { since: Instant, is_twice: bool },
    /// The first answer counts.
    Answered,
}

/// A query is late when it is out so many times as long as any other of its plan took.
const LATE: u32 = 10;
/// No query is late before.
const LATE_AT_LEAST: Duration = Duration::from_secs(1);

/// A plan in the queue.
#[derive(Debug)]
pub(super) struct PendingPlan {
    pub(super) plan: Arc<Plan>,
    states: Vec<QueryState>,
    /// Those before it are not open, but for those that were given back.
    next: usize,
    /// Queries that a device broke at.
    returned: Vec<usize>,
    /// The longest time that a query took; `None` before the first answer.
    longest: Option<Duration>,
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
            states: vec![QueryState::Open; plan.queries.len()],
            next: 0,
            returned: Vec::new(),
            longest: None,
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

    /// Takes the next query that is open.
    pub(super) fn take(&mut self) -> Option<usize> {
        if self.is_held {
            return None;
        }
        let states = &self.states;
        let is_open = |index: &usize| states.get(*index) == Some(&QueryState::Open);
        let mut index = None;
        while index.is_none()
            && let Some(returned) = self.returned.pop()
        {
            index = Some(returned).filter(is_open);
        }
        if index.is_none() {
            index = (self.next..states.len()).find(is_open);
            self.next = index.map_or(states.len(), |index| index + 1);
        }
        self.send_out(index?, false);
        index
    }

    /// Takes a query that another worker is late with.
    pub(super) fn take_late(&mut self) -> Option<usize> {
        let patience = self.longest?.saturating_mul(LATE).max(LATE_AT_LEAST);
        let is_late = |state: &QueryState| matches!(state, QueryState::Out { since, is_twice: false } if since.elapsed() >= patience);
        let index = self.states.iter().position(is_late)?;
        self.send_out(index, true);
        Some(index)
    }

    fn send_out(&mut self, index: usize, is_twice: bool) {
        if let Some(state) = self.states.get_mut(index) {
            let since = Instant::now();
            *state = QueryState::Out { since, is_twice };
        }
    }

    /// Gives a query back that was taken, unless another worker is at it too.
    pub(super) fn give_back(&mut self, index: usize) {
        match self.states.get_mut(index) {
            Some(QueryState::Out { is_twice, .. }) if *is_twice => *is_twice = false,
            Some(state @ QueryState::Out { .. }) => {
                *state = QueryState::Open;
                self.returned.push(index);
            }
            _ => {}
        }
    }

    /// Returns the number of open queries.
    pub(super) fn left(&self) -> usize {
        let open = self.states.iter();
        open.filter(|state| **state == QueryState::Open).count()
    }

    /// Notes an answer; returns false if there was one before.
    pub(super) fn answer(&mut self, index: usize) -> bool {
        let Some(state) = self.states.get_mut(index) else {
            return false;
        };
        let before = std::mem::replace(state, QueryState::Answered);
        if let QueryState::Out { since, .. } = before {
            self.longest = self.longest.max(Some(since.elapsed()));
        }
        before != QueryState::Answered
    }

    /// Returns true if a query has its answer.
    pub(super) fn is_answered(&self, index: usize) -> bool {
        self.states.get(index) == Some(&QueryState::Answered)
    }

    pub(super) fn is_done(&self) -> bool {
        let mut states = self.states.iter();
        states.all(|state| *state == QueryState::Answered)
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
