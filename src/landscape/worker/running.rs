//! A worker process whose device is open: the plan that it holds, and the queries that it was asked.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::evaluator::Process;
use crate::evaluator::process::shortened;

use super::super::evidence::AssumedFunction;
use super::super::{Fault, LandscapeError};
use super::protocol::Plan;
use super::queue::Task;
use super::wire::{WorkerOrder, line};

/// A process whose device is open.
pub(super) struct Running {
    pub(super) process: Process,
    /// The plan that it holds, and the function that it measures.
    holds: Option<(Arc<Plan>, AssumedFunction)>,
    /// The queries that it was asked and that are not heard yet, in their order.
    pub(super) asked: VecDeque<u64>,
    pub(super) rests: bool,
}

/// Reasons why a query has no answer.
pub(super) enum Failure {
    /// The process told it.
    Told(Box<LandscapeError>),
    /// The process has ended or was killed; the clause says how.
    Ended(String),
}

impl Running {
    pub(super) fn of(process: Process) -> Self {
        Self {
            process,
            holds: None,
            asked: VecDeque::new(),
            rests: false,
        }
    }

    /// Tells the plan and the function of a task where the process holds others.
    pub(super) fn hold(&mut self, task: &Task) -> Result<(), Failure> {
        let is_held = self.holds.as_ref().is_some_and(|(plan, function)| {
            Arc::ptr_eq(plan, &task.plan) && *function == task.function
        });
        if !is_held {
            let (plan, function) = (Arc::clone(&task.plan), task.function.clone());
            let order = WorkerOrder::Plan { plan, function };
            self.say(&order)?;
            self.holds = Some((Arc::clone(&task.plan), task.function.clone()));
        }
        Ok(())
    }

    /// Asks for the query of this index in the plan that it holds.
    pub(super) fn ask(&mut self, id: u64, index: usize) -> Result<(), Failure> {
        self.asked.push_back(id);
        self.say(&WorkerOrder::Measure { id, index })
    }

    pub(super) fn say(&mut self, order: &WorkerOrder) -> Result<(), Failure> {
        say(&mut self.process, order)
    }
}

/// Says something to the process. One that has ended is found out when its answer is waited for.
pub(super) fn say(process: &mut Process, order: &WorkerOrder) -> Result<(), Failure> {
    let line = line(order).map_err(|error| {
        let reason = format!("the worker cannot be told what to measure: {error}");
        let fault = Fault::Other;
        Failure::Told(Box::new(LandscapeError::Worker { reason, fault }))
    })?;
    process.write(&line);
    Ok(())
}

pub(super) fn no_answer(line: &str) -> String {
    format!("it wrote a line that is no answer: {}", shortened(line))
}
