//! Answers the queries of a plan on one compute device, which it owns.

use std::sync::Arc;

use crate::data::{self, Dataset, Split};
use crate::model::{self, ModelError, Reading, Recognized};
use crate::run::Checkpoint;
use crate::store::Digest;
use crate::weights::{Layout, PlaneSpec, RunShape};

use super::super::LandscapeError;
use super::super::evidence::{Answers, Assumed, AssumedFunction, Question};
use super::super::objective::Objective;
use super::super::samples::settled;
use super::Worker;
use super::protocol::{Plan, Quantity, Query, QueryAnswer, Setup, TimedValue, WorkerEvent};
use super::queue::Task;
use super::ready::{Ready, timed};
use super::waiting::Waiting;
use crate::landscape::device::Compute;

/// The device, the samples on it and the model that is measured.
#[derive(Debug)]
pub(super) struct DeviceWorker {
    setup: Setup,
    compute: Compute,
    /// The samples of the setup's split; without them the model is still recognized.
    data: Option<Arc<Dataset>>,
    ready: Option<(Recognized, Ready)>,
    /// Answers of the path to questions about a model of this layout.
    answers: Answers,
    answered: Option<Arc<Layout>>,
    /// The function that is measured, as far as names do not tell it.
    function: AssumedFunction,
    /// Findings about the samples and the model since somebody took them.
    findings: Vec<WorkerEvent>,
}

impl Worker for DeviceWorker {
    fn measure(
        &mut self,
        task: &Task,
        _following: &[Task],
        waiting: &dyn Waiting,
    ) -> Result<TimedValue, LandscapeError> {
        let plan = &task.plan;
        self.assume(&task.function);
        self.prepare(&plan.spec)?;
        if let Some(samples) = self
            .ready
            .as_ref()
            .and_then(|(_, ready)| ready.objective().at_once())
        {
            waiting.batch(samples);
        }
        if let Quantity::Function(members) = &task.query().quantity {
            return timed(|| self.ask(members, waiting).map(|()| QueryAnswer::Assumed));
        }
        self.measure_at(task.query(), plan, waiting)
    }

    fn take_findings(&mut self) -> Vec<WorkerEvent> {
        std::mem::take(&mut self.findings)
    }
}

impl DeviceWorker {
    pub(super) fn new(mut setup: Setup, data: Option<Arc<Dataset>>, compute: Compute) -> Self {
        if let Some(data) = &data {
            setup.criterion = settled(&setup.criterion, data, &setup.model);
        }
        Self {
            findings: (compute
                .passed_over
                .clone()
                .map(WorkerEvent::Trouble)
                .into_iter())
            .collect(),
            setup,
            compute,
            data,
            ready: None,
            answers: Answers::default(),
            answered: None,
            function: AssumedFunction::default(),
        }
    }

    /// Measures this function from now on.
    fn assume(&mut self, function: &AssumedFunction) {
        if self.function != *function {
            self.function.clone_from(function);
            self.ready = None;
        }
    }

    /// Recognizes the model when that was not done yet for this run's shapes.
    fn prepare(&mut self, spec: &PlaneSpec) -> Result<(), LandscapeError> {
        if self
            .ready
            .as_ref()
            .is_some_and(|(_, ready)| ready.shape == spec.shape)
        {
            return Ok(());
        }
        self.ready = None;
        if self.answered.as_ref() != Some(&spec.shape.layout) {
            self.answers = Answers::default();
            self.answered = Some(Arc::clone(&spec.shape.layout));
        }
        let shape = spec.shape.clone();
        let recognized = self.recognize(&shape)?;
        let data = self.data.clone().ok_or(LandscapeError::NoData)?;
        let objective = self.objective(&recognized, &shape, &data);
        if self.function == AssumedFunction::default() {
            let unasked = self.question(&shape, &[], &data).unasked();
            let unasked = of_batches(unasked, objective.as_ref().ok());
            self.findings.push(WorkerEvent::Assumed(Box::new(unasked)));
        }
        let objective = objective
            .inspect_err(|error| self.findings.push(WorkerEvent::NoData(error.to_string())))?;
        self.ready = Some((
            recognized,
            Ready::new(shape, objective, self.setup.planes.clone()),
        ));
        Ok(())
    }

    fn recognize(&mut self, shape: &RunShape) -> Result<Recognized, LandscapeError> {
        let image = self.data.as_ref().and_then(|data| data.image());
        let told = Reading::of_settings(&shape.settings);
        let of =
            |reading| model::recognize_as(&shape.layout, &self.setup.model, image, reading, told);
        let reading = self.function.reading.or(self.setup.reading);
        // An answer of the path may be that of another model, which the run had before.
        let recognized = of(reading)
            .or_else(|error| match error {
                ModelError::Settled { .. } | ModelError::Misfit { .. } => of(self.setup.reading),
                error => Err(error),
            })
            .map_err(|source| LandscapeError::of_model(&shape.newest, source, self.data.as_deref()))
            .inspect_err(|error| self.findings.push(WorkerEvent::NoModel(error.to_string())))?;
        self.findings.push(WorkerEvent::Model {
            name: recognized.name.clone(),
            evidence: recognized.evidence.clone(),
            kept: recognized.kept.clone(),
            score: self.setup.criterion.loss.score(),
        });
        Ok(recognized)
    }

    fn question<'a>(
        &'a self,
        shape: &'a RunShape,
        members: &'a [Checkpoint],
        data: &'a Dataset,
    ) -> Question<'a> {
        Question {
            shape,
            members,
            data,
            model: &self.setup.model,
            criterion: &self.setup.criterion,
            asked: self.setup.reading,
            compute: &self.compute,
            answers: &self.answers,
        }
    }

    /// Asks a path which function it followed; where it cannot be asked, all is as usual.
    fn ask(&mut self, members: &[Checkpoint], waiting: &dyn Waiting) -> Result<(), LandscapeError> {
        let data = self.data.as_ref().ok_or(LandscapeError::NoData)?;
        let (_, ready) = self.ready.as_ref().ok_or(LandscapeError::NoData)?;
        let question = self.question(&ready.shape, members, data);
        match question.answer(&|| waiting.goes_on()) {
            Ok(assumed) => {
                let assumed = of_batches(assumed, Some(ready.objective()));
                self.findings.push(WorkerEvent::Assumed(Box::new(assumed)));
                Ok(())
            }
            Err(LandscapeError::Stopped) => Err(LandscapeError::Stopped),
            Err(error) => {
                tracing::info!("the path was not asked: {error}");
                Ok(())
            }
        }
    }

    fn objective(
        &self,
        recognized: &Recognized,
        shape: &RunShape,
        data: &Dataset,
    ) -> Result<Objective, LandscapeError> {
        let layout = shape.layout.clone();
        let rescaled = self.function.pixels.as_ref();
        let rescaled = rescaled.map(|scale| data.rescaled(scale));
        let data = rescaled.as_ref().unwrap_or(data);
        Objective::new(
            recognized,
            layout,
            data,
            &self.setup.criterion,
            &self.compute,
        )
    }

    fn measure_at(
        &mut self,
        query: &Query,
        plan: &Plan,
        waiting: &dyn Waiting,
    ) -> Result<TimedValue, LandscapeError> {
        let own = self
            .setup
            .data
            .as_ref()
            .is_none_or(|data| data.split == plan.split);
        if !own {
            self.load_other(plan.split)?;
        }
        let (_, ready) = self.ready.as_mut().ok_or(LandscapeError::NoData)?;
        ready.measure(query, &plan.spec, own, waiting)
    }

    /// Loads the samples of the split that the setup does not name.
    fn load_other(&mut self, split: Split) -> Result<(), LandscapeError> {
        let Some((recognized, ready)) = &self.ready else {
            return Ok(());
        };
        if ready.other.is_some() {
            return Ok(());
        }
        let mut request = self.setup.data.clone().ok_or(LandscapeError::NoData)?;
        request.split = split;
        let data = data::load(&request)?;
        if let Some(image) = data.image() {
            let path = &ready.shape.newest;
            (recognized.check_image(image))
                .map_err(|source| LandscapeError::of_model(path, source, Some(&data)))?;
        }
        let objective = self.objective(recognized, &ready.shape, &data)?;
        self.findings.push(WorkerEvent::Data {
            split,
            name: data.name.clone(),
            samples: data.samples(),
            content: Some(Digest(data.content())),
        });
        if let Some((_, ready)) = &mut self.ready {
            ready.other = Some(objective);
        }
        Ok(())
    }
}

/// Says where the loss is a mean over batches whose samples depend on one another.
fn of_batches(mut assumed: Assumed, objective: Option<&Objective>) -> Assumed {
    let cut = objective.and_then(|own| Some((own.coupled_batches()?, own.samples())));
    if let Some(((why, batches), samples)) = cut {
        assumed.is_of_batches(why, batches, samples);
    }
    assumed
}
