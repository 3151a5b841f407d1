//! Answers the queries of a plan on one compute device, which it owns.

use std::sync::Arc;

use crate::data::{self, Dataset, Split};
use crate::model::reading::Reading;
use crate::model::{self, ModelError, Recognized, Weights};
use crate::run::Checkpoint;
use crate::weights::direction;
use crate::weights::plane_spec::{Plane, PlaneSpec};
use crate::weights::run_checkpoint::{RunCheckpoint, Shape};

use super::super::LandscapeError;
use super::super::curvature::product::Curvature;
use super::super::curvature::{Effort, extremes};
use super::super::device::Compute;
use super::super::evidence::{Assumed, Function, Question};
use super::super::objective::Objective;
use super::super::plane::ResidentPlane;
use super::super::samples::settled;
use super::protocol::{CURVATURE_SAMPLES, Plan, Query, Report, Setup, Value};

/// Bound of the error of an eigenvalue on the screen, as a share of the largest.
const CURVATURE_TOLERANCE: f64 = 0.02;

/// The device, the samples on it and the model that is measured.
#[derive(Debug)]
pub(super) struct Evaluator {
    setup: Setup,
    compute: Compute,
    /// The samples of the setup's split; without them the model is still recognized.
    data: Option<Arc<Dataset>>,
    ready: Option<Ready>,
    /// The function that is measured, as far as names do not tell it.
    function: Function,
    /// Findings about the samples and the model since somebody took them.
    pub(super) findings: Vec<Report>,
}

/// A recognized model with its samples, and the plane that is on the device.
#[derive(Debug)]
struct Ready {
    shape: Shape,
    recognized: Recognized,
    objective: Objective,
    /// On few of the samples, and of which: those of the setup or the others, and how many.
    few: Option<((bool, usize), Objective)>,
    /// On the samples of the other split, once they were asked for.
    other: Option<Objective>,
    plane: Option<(PlaneSpec, ResidentPlane)>,
}

impl Evaluator {
    pub(super) fn new(mut setup: Setup, data: Option<Arc<Dataset>>, compute: Compute) -> Self {
        if let Some(data) = &data {
            setup.criterion = settled(&setup.criterion, data, &setup.model);
        }
        Self {
            setup,
            compute,
            data,
            ready: None,
            function: Function::default(),
            findings: Vec::new(),
        }
    }

    /// Measures this function from now on.
    pub(super) fn assume(&mut self, function: Function) {
        if self.function != function {
            self.function = function;
            self.ready = None;
        }
    }

    /// Measures a query of a plan.
    pub(super) fn measure(&mut self, plan: &Plan, index: usize) -> Result<Value, LandscapeError> {
        self.prepare(&plan.spec)?;
        if let Query::Evidence(members) = &plan.queries[index] {
            self.ask(members)?;
            return Ok(Value::Assumed);
        }
        self.measure_at(&plan.queries[index], plan)
    }

    /// Recognizes the model when that was not done yet for this run's shapes.
    fn prepare(&mut self, spec: &PlaneSpec) -> Result<(), LandscapeError> {
        if self
            .ready
            .as_ref()
            .is_some_and(|ready| ready.shape == spec.shape)
        {
            return Ok(());
        }
        self.ready = None;
        let shape = spec.shape.clone();
        let recognized = self.recognize(&shape)?;
        let data = self.data.clone().ok_or(LandscapeError::NoData)?;
        let objective = self.objective(&recognized, &shape, &data);
        if self.function == Function::default() {
            let unasked = self.question(&shape, &[], &data).unasked();
            let unasked = of_batches(unasked, objective.as_ref().ok());
            self.findings.push(Report::Assumed(Box::new(unasked)));
        }
        let objective =
            objective.inspect_err(|error| self.findings.push(Report::NoData(error.to_string())))?;
        self.ready = Some(Ready {
            shape,
            recognized,
            objective,
            few: None,
            other: None,
            plane: None,
        });
        Ok(())
    }

    fn recognize(&mut self, shape: &Shape) -> Result<Recognized, LandscapeError> {
        let image = self.data.as_ref().and_then(|data| data.image());
        let told = Reading::told(&shape.settings);
        let of =
            |reading| model::recognize_as(&shape.layout, &self.setup.model, image, reading, told);
        let reading = self.function.reading.or(self.setup.reading);
        // An answer of the path may be that of another model, which the run had before.
        let recognized = of(reading)
            .or_else(|error| match error {
                ModelError::Settled { .. } | ModelError::Misfit { .. } => of(self.setup.reading),
                error => Err(error),
            })
            .map_err(|source| LandscapeError::of_model(&shape.newest, source))
            .inspect_err(|error| self.findings.push(Report::NoModel(error.to_string())))?;
        self.findings.push(Report::Model {
            name: recognized.name.clone(),
            evidence: recognized.evidence.clone(),
        });
        Ok(recognized)
    }

    fn question<'a>(
        &'a self,
        shape: &'a Shape,
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
        }
    }

    /// Asks a path which function it followed; where it cannot be asked, all is as usual.
    fn ask(&mut self, members: &[Checkpoint]) -> Result<(), LandscapeError> {
        let data = self.data.as_ref().ok_or(LandscapeError::NoData)?;
        let ready = self.ready.as_ref().ok_or(LandscapeError::NoData)?;
        let question = self.question(&ready.shape, members, data);
        let answer = question.answer().inspect_err(|error| {
            tracing::info!("the path was not asked: {error}");
        });
        if let Ok(assumed) = answer {
            let assumed = of_batches(assumed, Some(&ready.objective));
            self.findings.push(Report::Assumed(Box::new(assumed)));
        }
        Ok(())
    }

    fn objective(
        &self,
        recognized: &Recognized,
        shape: &Shape,
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

    fn measure_at(&mut self, query: &Query, plan: &Plan) -> Result<Value, LandscapeError> {
        let own = self
            .setup
            .data
            .as_ref()
            .is_none_or(|data| data.split == plan.split);
        if !own {
            self.load_other(plan.split)?;
        }
        let ready = self.ready.as_mut().ok_or(LandscapeError::NoData)?;
        ready.measure(query, &plan.spec, own)
    }

    /// Loads the samples of the split that the setup does not name.
    fn load_other(&mut self, split: Split) -> Result<(), LandscapeError> {
        let Some(ready) = self.ready.as_ref().filter(|ready| ready.other.is_none()) else {
            return Ok(());
        };
        let mut request = self.setup.data.clone().ok_or(LandscapeError::NoData)?;
        request.split = split;
        let data = data::load(&request)?;
        let objective = self.objective(&ready.recognized, &ready.shape, &data)?;
        if let Some(ready) = &mut self.ready {
            ready.other = Some(objective);
        }
        Ok(())
    }
}

impl Ready {
    /// Measures on the samples of the setup, or on those of the other split.
    fn measure(
        &mut self,
        query: &Query,
        spec: &PlaneSpec,
        own: bool,
    ) -> Result<Value, LandscapeError> {
        let objective = if own {
            Some(&self.objective)
        } else {
            self.other.as_ref()
        };
        let objective = objective.ok_or(LandscapeError::NoData)?;
        let shape = &self.shape;
        let flat = |checkpoint: &Checkpoint| -> Result<Vec<f32>, LandscapeError> {
            let member = RunCheckpoint::open(checkpoint, shape)?;
            Ok(direction::flat(&shape.layout, &member)?)
        };
        match query {
            Query::Checkpoint(checkpoint) => objective.at_flat(&flat(checkpoint)?),
            Query::Average(members) => {
                let open = |row: usize| RunCheckpoint::open(&members[row], shape);
                let mean = direction::mean(&shape.layout, members.len(), open)?;
                objective.at_flat(&mean)
            }
            Query::Update { from, to } => {
                return objective
                    .critical(&flat(from)?, &flat(to)?)
                    .map(Value::Critical);
            }
            Query::Curvature(at) => {
                let few = objective.few(CURVATURE_SAMPLES)?;
                let plane = resident(&mut self.plane, objective, spec)?;
                return curvature(&few, few.weights_on(plane, *at)?);
            }
            Query::CurvatureOf(checkpoint) => {
                let few = objective.few(CURVATURE_SAMPLES)?;
                return curvature(&few, few.weights_of(&flat(checkpoint)?)?);
            }
            Query::OnFew { at, samples } => {
                let plane = resident(&mut self.plane, objective, spec)?;
                let which = (own, *samples);
                let few = match self.few.take() {
                    Some((known, few)) if known == which => few,
                    _ => objective.few(*samples)?,
                };
                self.few.insert((which, few)).1.on(plane, *at)
            }
            // A worker asks before it measures.
            Query::Evidence(_) => return Ok(Value::Assumed),
            Query::OnPlane(at) => {
                let plane = resident(&mut self.plane, objective, spec)?;
                objective.on(plane, *at)
            }
        }
        .map(Value::Measure)
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

/// The ends of the spectrum, as exactly as the screen needs them.
fn curvature(objective: &Objective, weights: Weights) -> Result<Value, LandscapeError> {
    let effort = Effort {
        tolerance: CURVATURE_TOLERANCE,
        ..Effort::default()
    };
    let curvature = Curvature::new(objective)?;
    extremes(&curvature.at(weights)?, effort, || true).map(Value::Curvature)
}

/// The plane of a spec on the device, made when it is not the one that is there.
fn resident<'a>(
    current: &'a mut Option<(PlaneSpec, ResidentPlane)>,
    objective: &Objective,
    spec: &PlaneSpec,
) -> Result<&'a ResidentPlane, LandscapeError> {
    let plane = match current.take() {
        Some((known, resident)) if known == *spec => resident,
        stale => {
            // Two planes at once may not fit the device.
            drop(stale);
            let plane: Plane = spec.make()?;
            objective.resident(&plane)?
        }
    };
    Ok(&current.insert((spec.clone(), plane)).1)
}
