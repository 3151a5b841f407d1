//! A plan in the queue: which of its queries are taken, answered, or free again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::protocol::Plan;
use super::recall::{PlanKeys, Values};

/// The number that distinguishes a worker of a queue from the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WorkerNumber(usize);

impl WorkerNumber {
    /// Returns the next number.
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The state of a query.
#[derive(Clone, Copy, Debug, PartialEq)]
enum QueryState {
    /// Nobody has taken it, or it was given back.
    Open,
    /// As open, but its turn is after all others, and not this worker's while there is another.
    Suspect(WorkerNumber),
    /// A worker is at it, or two are.
    Out { since: Instant, is_twice: bool },
    /// The first answer counts.
    Answered,
}

/// The place where the values of a plan are kept.
#[derive(Debug, Default)]
pub(super) enum Keeping {
    /// They are not.
    #[default]
    Nothing,
    /// The values that came so far, until their keys are known.
    Early(Values),
    /// In the store, under these keys.
    Under(Arc<PlanKeys>),
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
    /// Queries at which a worker died twice: each is tried once more, after all others, because whoever kills a worker
    /// may not mean its point.
    suspects: Vec<usize>,
    /// The longest time that a query took; `None` before the first answer.
    longest: Option<Duration>,
    /// True while it is looked up what is known of it.
    is_held: bool,
    pub(super) keeping: Keeping,
}

impl PendingPlan {
    /// Takes a plan in. Where its values are kept, nothing of it is taken until it was looked up.
    pub(super) fn of(plan: Plan, is_kept: bool) -> Self {
        Self {
            states: vec![QueryState::Open; plan.queries.len()],
            next: 0,
            returned: Vec::new(),
            suspects: Vec::new(),
            longest: None,
            plan: Arc::new(plan),
            is_held: is_kept,
            keeping: if is_kept {
                Keeping::Early(Vec::new())
            } else {
                Keeping::Nothing
            },
        }
    }

    pub(super) fn is_held(&self) -> bool {
        self.is_held
    }

    pub(super) fn release(&mut self) {
        self.is_held = false;
    }

    /// Takes the next query that is open for a worker, which `is_alone` if no other can measure.
    pub(super) fn take(&mut self, worker: WorkerNumber, is_alone: bool) -> Option<usize> {
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
        let is_suspect = |index: &usize| {
            let state = states.get(*index);
            matches!(state, Some(QueryState::Suspect(by)) if is_alone || *by != worker)
        };
        let index = index.or_else(|| self.suspects.iter().copied().find(is_suspect));
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

    /// Has a query at which a worker died twice tried once more, after all others and by another; returns false if it
    /// was before.
    pub(super) fn suspect(&mut self, index: usize, worker: WorkerNumber) -> bool {
        let is_new = !self.suspects.contains(&index);
        if let Some(state) = self.states.get_mut(index)
            && is_new
            && *state != QueryState::Answered
        {
            *state = QueryState::Suspect(worker);
            self.suspects.push(index);
        }
        is_new
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

    /// Takes the keys, releases the plan, and returns the values that came before.
    pub(super) fn take_keys(&mut self, keys: Arc<PlanKeys>) -> Values {
        self.is_held = false;
        match std::mem::replace(&mut self.keeping, Keeping::Under(keys)) {
            Keeping::Early(values) => values,
            Keeping::Nothing | Keeping::Under(_) => Vec::new(),
        }
    }
}
