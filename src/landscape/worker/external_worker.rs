//! Answers the queries of a plan by an evaluator of the user's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::data::Split;
use crate::evaluator::{Connection, EvaluatorOptions, Stop, Tell};
use crate::weights::PlaneSpec;

use super::super::LandscapeError;
use super::super::objective::{ExternalObjective, Objective};
use super::Worker;
use super::protocol::{Introduction, Quantity, QueryAnswer, TimedValue, WorkerEvent};
use super::queue::Task;
use super::ready::{Ready, timed};
use super::waiting::Waiting;
use crate::landscape::device::Place;

/// The evaluator of one device, started with the first query.
pub(super) struct ExternalWorker {
    options: EvaluatorOptions,
    place: Place,
    tell: Tell,
    stop: Stop,
    /// The evaluator, and the newest checkpoint that it was started with.
    connection: Option<(Arc<Connection>, PathBuf)>,
    ready: Option<Ready>,
    /// Findings about the evaluator since somebody took them.
    findings: Vec<WorkerEvent>,
}

impl ExternalWorker {
    pub(super) fn new(options: EvaluatorOptions, place: Place, tell: Tell, stop: Stop) -> Self {
        Self {
            options,
            place,
            tell,
            stop,
            connection: None,
            ready: None,
            findings: Vec::new(),
        }
    }
}

impl Worker for ExternalWorker {
    fn measure(
        &mut self,
        task: &Task,
        _following: &[Task],
        waiting: &dyn Waiting,
    ) -> Result<TimedValue, LandscapeError> {
        let (plan, query) = (&task.plan, task.query());
        let prepared = self.prepare(&plan.spec);
        prepared.inspect_err(|error| self.findings.push(WorkerEvent::NoData(error.to_string())))?;
        if matches!(query.quantity, Quantity::Function(_)) {
            return timed(|| Ok(QueryAnswer::Assumed));
        }
        let own = plan.split == self.options.split;
        if !own {
            self.take_other(plan.split)?;
        }
        let ready = self.ready.as_mut().ok_or(LandscapeError::NoData)?;
        let answering = || {
            let connection = self.connection.as_ref();
            connection.map_or(Duration::ZERO, |(connection, _)| connection.answering())
        };
        let before = answering();
        let found = ready.measure(query, &plan.spec, own, waiting)?;
        // Files are written and programs started beside it.
        let seconds = answering().saturating_sub(before).as_secs_f64();
        Ok(TimedValue { seconds, ..found })
    }

    fn take_findings(&mut self) -> Vec<WorkerEvent> {
        std::mem::take(&mut self.findings)
    }
}

impl ExternalWorker {
    /// Takes the shape of a run's checkpoints, and starts the evaluator the first time.
    fn prepare(&mut self, spec: &PlaneSpec) -> Result<(), LandscapeError> {
        let shape = &spec.shape;
        if self
            .ready
            .as_ref()
            .is_some_and(|ready| ready.shape == *shape)
        {
            return Ok(());
        }
        if self.connection.is_none()
            && let Some(sentence) = self.options.origin()
        {
            (self.tell)(sentence);
        }
        // It knows one run, and another one may have another model.
        let run = |newest: &Path| newest.parent().map(Path::to_path_buf);
        self.connection
            .take_if(|(_, newest)| run(newest) != run(&shape.newest));
        let (connection, _) = self.connection.get_or_insert_with(|| {
            let (options, tell) = (self.options.clone(), Arc::clone(&self.tell));
            let (place, newest) = (self.place.to_string(), shape.newest.clone());
            let connection = Connection::new(options, place, newest.clone(), tell);
            (Arc::new(connection.with_stop(self.stop.clone())), newest)
        });
        let connection = Arc::clone(connection);
        let layout = Arc::clone(&shape.layout);
        let own = ExternalObjective::new(Arc::clone(&connection), layout, self.options.split)?;
        let introduction = Introduction {
            command: self.options.command.to_string(),
            device: connection.device(),
            samples: own.samples(),
            score: own.score(),
        };
        self.findings.push(WorkerEvent::Evaluator(introduction));
        self.findings
            .push(WorkerEvent::Assumed(Box::new(own.assumed())));
        self.ready = Some(Ready::new(shape.clone(), Objective::External(own), None));
        Ok(())
    }

    /// Takes the samples of the split that was not asked for first.
    fn take_other(&mut self, split: Split) -> Result<(), LandscapeError> {
        if let Some(ready) = &mut self.ready
            && ready.other.is_none()
            && let Objective::External(own) = ready.objective()
        {
            let other = own.on_split(split)?;
            self.findings.push(WorkerEvent::Data {
                split,
                name: self.options.command.to_string(),
                samples: other.samples(),
                content: None,
            });
            ready.other = Some(Objective::External(other));
        }
        Ok(())
    }
}
