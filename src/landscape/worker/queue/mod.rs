//! Plans that are under way, and the reports about them.

use std::sync::Arc;

use super::super::evidence::AssumedFunction;
use super::super::{Fault, LandscapeError};
use super::pending::{PendingPlan, WorkerNumber};
use super::protocol::{Plan, Quantity, Query, TimedValue, WorkerEvent, WorkerRequest};
use super::recall::{Recall, Recalled, Values};
use super::waiting::Wish;
use crate::landscape::device::Place;

/// A query of a plan, taken by one worker.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) worker: WorkerNumber,
    pub(crate) plan: Arc<Plan>,
    pub(crate) index: usize,
    /// The function that is measured: a plan of another one was cancelled when this one was assumed.
    pub(crate) function: AssumedFunction,
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
    function: AssumedFunction,
    paused: bool,
    pub(crate) over: bool,
    /// The last sentence about a device, once none is left to measure.
    lost: Option<String>,
    /// Workers that can measure.
    pub(crate) able: usize,
    /// The number that was given last.
    numbered: WorkerNumber,
    /// Names of their devices.
    pub(super) names: Vec<String>,
    /// The last reports about the samples and about the model, and the plan of each: all find out the same.
    told: [Option<(u64, WorkerEvent)>; 2],
    /// The values that were measured before; `None` if none are kept.
    recall: Option<Arc<Recall>>,
    /// Findings of the workers about the model since this function is measured.
    found_out: Vec<WorkerEvent>,
    /// Values of plans that were left before their keys were known.
    unkeyed: Vec<(Arc<Plan>, Values)>,
}

impl<R: FnMut(WorkerEvent) -> bool> Queue<R> {
    pub(crate) fn new(report: R) -> Self {
        Self {
            report,
            first: Vec::new(),
            asked: None,
            work: None,
            function: AssumedFunction::default(),
            paused: false,
            over: false,
            lost: None,
            able: 0,
            numbered: WorkerNumber::default(),
            names: Vec::new(),
            told: [None, None],
            recall: None,
            found_out: Vec::new(),
            unkeyed: Vec::new(),
        }
    }

    /// Takes a plan in, and holds it back until it was looked up where values are kept.
    fn admit(&self, plan: Plan) -> PendingPlan {
        PendingPlan::of(plan, self.recall.is_some())
    }

    pub(crate) fn post(&mut self, request: WorkerRequest) {
        match request {
            WorkerRequest::Measure(plan) => {
                let new = self.admit(plan);
                let before = self.work.replace(new);
                self.leave(before);
            }
            WorkerRequest::First(plans) => {
                let mut before = std::mem::take(&mut self.first);
                let keep = |plan: Plan| {
                    let same = |known: &PendingPlan| known.plan.generation == plan.generation;
                    let known = before.iter().position(same).map(|at| before.remove(at));
                    known.unwrap_or_else(|| self.admit(plan))
                };
                self.first = plans.into_iter().map(keep).collect();
                self.leave(before);
            }
            WorkerRequest::Ask(plan) => {
                let new = plan.map(|plan| self.admit(plan));
                let before = std::mem::replace(&mut self.asked, new);
                self.leave(before);
            }
            WorkerRequest::Assume(function) => {
                self.function = function;
                self.found_out.clear();
                let before = std::mem::take(&mut self.first);
                self.leave(before);
                let before = self.work.take();
                self.leave(before);
            }
            WorkerRequest::Pause(pause) => self.paused = pause,
        }
        self.close_done();
        self.fail_all();
    }

    pub(crate) fn report(&mut self, report: WorkerEvent) {
        self.over |= !(self.report)(report);
    }

    /// Reports something about the samples or the model that was found for a plan, where it is new.
    pub(crate) fn tell(&mut self, generation: u64, finding: WorkerEvent) {
        if matches!(finding, WorkerEvent::Assumed(_) | WorkerEvent::Trouble(_)) {
            self.report(finding);
            return;
        }
        let subject = match finding {
            WorkerEvent::Data { .. } | WorkerEvent::NoData(_) | WorkerEvent::Evaluator(_) => 0,
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

    /// Numbers one more worker.
    pub(super) fn number(&mut self) -> WorkerNumber {
        self.numbered = self.numbered.next();
        self.numbered
    }

    pub(crate) fn take(&mut self, worker: WorkerNumber) -> Option<Task> {
        let is_alone = self.able <= 1;
        self.take_by(worker, |pending| pending.take(worker, is_alone))
    }

    /// Takes a query that another worker is late with: the first answer counts.
    pub(super) fn take_late(&mut self, worker: WorkerNumber) -> Option<Task> {
        self.take_by(worker, PendingPlan::take_late)
    }

    fn take_by(
        &mut self,
        worker: WorkerNumber,
        take: impl Fn(&mut PendingPlan) -> Option<usize>,
    ) -> Option<Task> {
        if self.paused {
            return None;
        }
        let function = &self.function;
        let take = |pending: &mut PendingPlan| {
            let index = take(pending)?;
            let plan = Arc::clone(&pending.plan);
            let function = function.clone();
            Some(Task {
                worker,
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
        let (able, worker) = (self.able.max(1), task.worker);
        let Some(pending) = self.pending(&task.plan) else {
            return Vec::new();
        };
        let count = count.min(pending.left() / able);
        let indexes = std::iter::from_fn(|| pending.take(worker, able == 1)).take(count);
        let more = indexes.map(|index| Task {
            worker,
            plan: Arc::clone(&task.plan),
            index,
            function: task.function.clone(),
        });
        more.collect()
    }

    /// Returns the pending of a plan that was not cancelled.
    fn pending(&mut self, plan: &Arc<Plan>) -> Option<&mut PendingPlan> {
        let first = self.first.iter_mut().chain(&mut self.asked);
        let mut plans = first.chain(&mut self.work);
        plans.find(|pending| Arc::ptr_eq(&pending.plan, plan))
    }

    /// Returns the wish of those who wait for a task: its plan may have been cancelled.
    pub(super) fn wish(&mut self, task: &Task) -> Wish {
        let pending = self.pending(&task.plan);
        let is_wanted = pending.is_some_and(|pending| !pending.is_answered(task.index));
        if self.over || !is_wanted {
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
            self.report(WorkerEvent::Product {
                generation: task.plan.generation,
                index: task.index,
                done,
                of,
            });
        }
    }

    /// Takes what a worker on a place found out and its answer; an error is that of a device which cannot compute what
    /// another may.
    pub(crate) fn settle(
        &mut self,
        task: &Task,
        place: Place,
        (findings, found): (Vec<WorkerEvent>, Result<TimedValue, LandscapeError>),
    ) -> Result<(), String> {
        let mut answer = None;
        for finding in findings {
            if let (Quantity::Function(_), WorkerEvent::Assumed(assumed)) =
                (&task.query().quantity, &finding)
            {
                answer = Some(Recalled::Answer(assumed.clone()));
            } else if self.recall.is_some() {
                self.find_out(task, &finding, place);
            }
            self.tell(task.plan.generation, finding);
        }
        match found {
            Err(LandscapeError::Candle(error)) if self.able > 1 => Err(error.to_string()),
            Err(error) if error.fault() == Fault::Device && self.able > 1 => Err(error.to_string()),
            // Nobody waits for it any more.
            Err(LandscapeError::Stopped) => Ok(()),
            Err(error)
                if error.fault() == Fault::Death
                    && self
                        .pending(&task.plan)
                        .is_some_and(|pending| pending.suspect(task.index, task.worker)) =>
            {
                Ok(())
            }
            found => {
                if let Ok(TimedValue { value, .. }) = &found
                    && let Some(value) = answer.or_else(|| Recalled::of(value))
                {
                    self.keep(task, place, value);
                }
                self.answer(task, found);
                Ok(())
            }
        }
    }

    /// Reports what was found, unless nobody waits for it any more.
    pub(crate) fn answer(&mut self, task: &Task, found: Result<TimedValue, LandscapeError>) {
        let (generation, index) = (task.plan.generation, task.index);
        let pending = self.pending(&task.plan);
        if !pending.is_some_and(|pending| pending.answer(index)) {
            return;
        }
        match found {
            Ok(TimedValue { value, .. }) => self.report(WorkerEvent::Measured {
                generation,
                index,
                value,
                recalled: false,
            }),
            Err(error) => {
                let alone = costs_one_query(&task.plan.queries[index], &error);
                self.report(WorkerEvent::Failed {
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
        if let Some(keeping) = self
            .pending(plan)
            .map(|pending| std::mem::take(&mut pending.keeping))
        {
            self.keep_unkeyed(plan, keeping);
        }
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
            self.report(WorkerEvent::Done(plan.generation));
        }
    }

    /// Adds a device that opened later than others.
    pub(super) fn join(&mut self, name: &str) {
        self.able += 1;
        self.names.push(name.to_owned());
        self.report(WorkerEvent::Device(self.names.join(",")));
    }

    /// Takes out a device that broke: its queries are for the others.
    pub(crate) fn lose(&mut self, place: Place, tasks: &[Task], reason: &str) {
        self.able -= 1;
        for task in tasks.iter().rev() {
            if let Some(pending) = self.pending(&task.plan) {
                pending.give_back(task.index);
            }
        }
        let rest = if self.able > 0 {
            "the others go on"
        } else {
            "what was found so far stays"
        };
        let sentence = format!("{place} stopped: {reason}; {rest}");
        self.report(WorkerEvent::Lost(sentence.clone()));
        if self.able == 0 {
            self.lost = Some(sentence);
            self.fail_all();
        }
    }

    /// Fails all plans where nobody is left to measure them.
    fn fail_all(&mut self) {
        let Some(reason) = self.lost.clone() else {
            return;
        };
        let plans = self.first.iter().chain(&self.asked).chain(&self.work);
        let plans: Vec<Arc<Plan>> = plans.map(|pending| Arc::clone(&pending.plan)).collect();
        for plan in plans {
            self.report(WorkerEvent::Failed {
                generation: plan.generation,
                index: None,
                reason: reason.clone(),
            });
            self.forget(&plan);
        }
    }
}

/// Returns a checkpoint that is gone or a point without a loss costs its own query, anything else the whole plan.
fn costs_one_query(query: &Query, error: &LandscapeError) -> bool {
    let is_question = matches!(query.quantity, Quantity::Function(_));
    let reads = query.quantity.plane_point().is_none() && !is_question;
    match error.fault() {
        Fault::Point | Fault::Death => true,
        Fault::File => reads,
        Fault::Device | Fault::Stopped | Fault::Other => false,
    }
}

mod recalling;
