//! Plans that are under way, and which of their queries are taken, answered or free again.

use std::sync::Arc;

use super::super::device::Place;
use super::super::evidence::Function;
use super::super::{Fault, LandscapeError};
use super::protocol::{Found, Plan, Query, Report, Request};
use super::waiting::Wish;

/// A plan in the queue.
#[derive(Debug)]
struct PendingPlan {
    plan: Arc<Plan>,
    /// The first query that nobody has taken yet.
    next: usize,
    /// Queries that a device broke at.
    returned: Vec<usize>,
    answered: usize,
}

impl PendingPlan {
    fn of(plan: Plan) -> Self {
        Self {
            plan: Arc::new(plan),
            next: 0,
            returned: Vec::new(),
            answered: 0,
        }
    }

    fn take(&mut self) -> Option<usize> {
        self.returned.pop().or_else(|| {
            let index = self.next;
            (index < self.plan.queries.len()).then(|| {
                self.next += 1;
                index
            })
        })
    }

    /// Returns the number of queries that nobody has taken.
    fn left(&self) -> usize {
        self.plan.queries.len() - self.next + self.returned.len()
    }

    fn is_done(&self) -> bool {
        self.answered == self.plan.queries.len()
    }
}

/// A query of a plan, taken by one worker.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) plan: Arc<Plan>,
    pub(crate) index: usize,
    /// The function that is measured: a plan of another one was cancelled when this one was assumed.
    pub(crate) function: Function,
}

impl Task {
    pub(crate) fn query(&self) -> &Query {
        &self.plan.queries[self.index]
    }
}

/// The state that all workers share.
#[derive(Debug)]
pub(crate) struct Queue<R> {
    report: R,
    /// Plans that come first, in this order.
    first: Vec<PendingPlan>,
    /// A path to be asked, which comes then.
    asked: Option<PendingPlan>,
    work: Option<PendingPlan>,
    /// The function that is measured, as far as names do not tell it.
    function: Function,
    paused: bool,
    pub(crate) over: bool,
    /// Workers that can measure.
    pub(crate) able: usize,
    /// The last reports about the samples and about the model, and the plan of each: all find out the same.
    told: [Option<(u64, Report)>; 2],
}

impl<R: FnMut(Report) -> bool> Queue<R> {
    pub(crate) fn new(report: R) -> Self {
        Self {
            report,
            first: Vec::new(),
            asked: None,
            work: None,
            function: Function::default(),
            paused: false,
            over: false,
            able: 0,
            told: [None, None],
        }
    }

    pub(crate) fn post(&mut self, request: Request) {
        match request {
            Request::Measure(plan) => self.work = Some(PendingPlan::of(plan)),
            Request::First(plans) => {
                let mut before = std::mem::take(&mut self.first);
                let keep = |plan: Plan| {
                    let same = |known: &PendingPlan| known.plan.generation == plan.generation;
                    let known = before.iter().position(same).map(|at| before.remove(at));
                    known.unwrap_or_else(|| PendingPlan::of(plan))
                };
                self.first = plans.into_iter().map(keep).collect();
            }
            Request::Ask(plan) => self.asked = plan.map(PendingPlan::of),
            Request::Assume(function) => {
                self.function = function;
                self.first.clear();
                self.work = None;
            }
            Request::Pause(pause) => self.paused = pause,
        }
        self.close_done();
    }

    pub(crate) fn report(&mut self, report: Report) {
        self.over |= !(self.report)(report);
    }

    /// Reports something about the samples or the model that was found for a plan, where it is new.
    pub(crate) fn tell(&mut self, generation: u64, finding: Report) {
        if matches!(finding, Report::Assumed(_)) {
            self.report(finding);
            return;
        }
        let subject = match finding {
            Report::Data { .. } | Report::NoData(_) | Report::Evaluator(_) => 0,
            _ => 1,
        };
        let told = &mut self.told[subject];
        let (since, is_new) = match told {
            Some((since, last)) => (*since, *last != finding),
            None => (0, true),
        };
        // A device may be late with what it found for a plan that others have left behind.
        if generation >= since {
            *told = Some((generation, finding.clone()));
            if is_new {
                self.report(finding);
            }
        }
    }

    pub(crate) fn take(&mut self) -> Option<Task> {
        if self.paused {
            return None;
        }
        let function = &self.function;
        let take = |pending: &mut PendingPlan| {
            let index = pending.take()?;
            let plan = Arc::clone(&pending.plan);
            let function = function.clone();
            Some(Task {
                plan,
                index,
                function,
            })
        };
        let first = self.first.iter_mut().chain(&mut self.asked);
        first.chain(&mut self.work).find_map(take)
    }

    /// Takes up to so many further queries of a task's plan, and leaves the other workers their part.
    pub(crate) fn take_more(&mut self, task: &Task, count: usize) -> Vec<Task> {
        let able = self.able.max(1);
        let Some(pending) = self.pending(&task.plan) else {
            return Vec::new();
        };
        let count = count.min(pending.left() / able);
        let indexes = std::iter::from_fn(|| pending.take()).take(count);
        let more = indexes.map(|index| Task {
            plan: Arc::clone(&task.plan),
            index,
            function: task.function.clone(),
        });
        more.collect()
    }

    /// The pending of a plan that was not cancelled.
    fn pending(&mut self, plan: &Arc<Plan>) -> Option<&mut PendingPlan> {
        let first = self.first.iter_mut().chain(&mut self.asked);
        let mut plans = first.chain(&mut self.work);
        plans.find(|pending| Arc::ptr_eq(&pending.plan, plan))
    }

    /// Returns the wish of those who wait for a task: its plan may have been cancelled.
    pub(super) fn wish(&mut self, task: &Task) -> Wish {
        if self.over || self.pending(&task.plan).is_none() {
            Wish::Stop
        } else if self.paused {
            Wish::Rest
        } else {
            Wish::GoOn
        }
    }

    /// Reports the products that a task has taken.
    pub(crate) fn progress(&mut self, task: &Task, done: usize, of: usize) {
        if self.wish(task) != Wish::Stop {
            self.report(Report::Product {
                generation: task.plan.generation,
                index: task.index,
                done,
                of,
            });
        }
    }

    /// Takes a worker's answer; an error is that of a device which cannot compute what another may.
    pub(crate) fn settle(
        &mut self,
        task: &Task,
        found: Result<Found, LandscapeError>,
    ) -> Result<(), String> {
        match found {
            Err(LandscapeError::Candle(error)) if self.able > 1 => Err(error.to_string()),
            Err(error) if error.fault() == Fault::Device && self.able > 1 => Err(error.to_string()),
            // Nobody waits for it any more.
            Err(LandscapeError::Stopped) => Ok(()),
            found => {
                self.answer(task, found);
                Ok(())
            }
        }
    }

    /// Reports what was found, unless nobody waits for it any more.
    pub(crate) fn answer(&mut self, task: &Task, found: Result<Found, LandscapeError>) {
        let (generation, index) = (task.plan.generation, task.index);
        let Some(pending) = self.pending(&task.plan) else {
            return;
        };
        pending.answered += 1;
        match found {
            Ok(Found { value, seconds }) => self.report(Report::Measured {
                generation,
                index,
                value,
                seconds,
            }),
            Err(error) => {
                let alone = costs_one_query(&task.plan.queries[index], &error);
                self.report(Report::Failed {
                    generation,
                    index: alone.then_some(index),
                    reason: error.to_string(),
                });
                if !alone {
                    self.forget(&task.plan);
                }
            }
        }
        self.close_done();
    }

    /// Takes a plan out of the queue.
    fn forget(&mut self, plan: &Arc<Plan>) {
        let other = |pending: &PendingPlan| !Arc::ptr_eq(&pending.plan, plan);
        self.first.retain(other);
        self.work.take_if(|pending| !other(pending));
        self.asked.take_if(|pending| !other(pending));
    }

    /// Takes the plans off whose queries are all answered.
    fn close_done(&mut self) {
        let plans = self.first.iter().chain(&self.asked).chain(&self.work);
        let done = plans.filter(|pending| pending.is_done());
        let done: Vec<Arc<Plan>> = done.map(|pending| Arc::clone(&pending.plan)).collect();
        for plan in done {
            self.forget(&plan);
            self.report(Report::Done(plan.generation));
        }
    }

    /// A device broke: its queries are for the others.
    pub(crate) fn lose(&mut self, place: Place, tasks: &[Task], reason: &str) {
        self.able -= 1;
        for task in tasks.iter().rev() {
            if let Some(pending) = self.pending(&task.plan) {
                pending.returned.push(task.index);
            }
        }
        let rest = if self.able > 0 {
            "the others go on"
        } else {
            "what was found so far stays"
        };
        self.report(Report::Lost(format!("{place} stopped: {reason}; {rest}")));
    }
}

/// A checkpoint that is gone or a point without a loss costs its own query, anything else the whole plan.
fn costs_one_query(query: &Query, error: &LandscapeError) -> bool {
    let reads = matches!(
        query,
        Query::Checkpoint(_) | Query::Average(_) | Query::CurvatureOf(_) | Query::Update { .. }
    );
    match error.fault() {
        Fault::Point => true,
        Fault::File => reads,
        Fault::Device | Fault::Stopped | Fault::Other => false,
    }
}
