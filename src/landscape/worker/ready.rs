//! Answers queries by an objective: on planes, at checkpoints and between them, on all samples and on few.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Instant;

use crate::loss::Totals;

use crate::model::Weights;
use crate::run::Checkpoint;
use crate::weights::direction;
use crate::weights::plane_files::PlaneFiles;
use crate::weights::plane_spec::PlaneSpec;
use crate::weights::run_checkpoint::{RunCheckpoint, RunShape};

use super::super::LandscapeError;
use super::super::curvature::density::density;
use super::super::curvature::product::Curvature;
use super::super::curvature::{Effort, extremes};
use super::super::objective::{ModelObjective, Objective};
use super::super::plane::ResidentPlane;
use super::protocol::{CURVATURE_SAMPLES, PartSums, Query, QueryAnswer, SEEN, TimedValue};
use super::waiting::Waiting;

/// An objective for checkpoints of one shape, and the plane that it is measured on.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) shape: RunShape,
    objective: Objective,
    /// On few of the samples, and of which: those of the setup or the others, and how many.
    few: Option<((bool, usize), Objective)>,
    /// On the samples of the other split, once they were asked for.
    pub(super) other: Option<Objective>,
    plane: ReadyPlane,
    /// The objective on parts of the samples: those of the setup or the others, which part, and of how many.
    parts: HashMap<(bool, usize, usize), Option<ModelObjective>>,
}

/// The plane that was measured on last.
#[derive(Debug)]
struct ReadyPlane {
    current: Option<(PlaneSpec, ResidentPlane)>,
    /// The folder in which planes are kept; `None` if none are.
    files: Option<PlaneFiles>,
}

impl Ready {
    /// Takes an objective on the samples of the setup.
    pub(super) fn new(shape: RunShape, objective: Objective, files: Option<PlaneFiles>) -> Self {
        let plane = ReadyPlane {
            current: None,
            files,
        };
        Self {
            shape,
            objective,
            few: None,
            other: None,
            plane,
            parts: HashMap::new(),
        }
    }

    /// The objective on the samples of the setup.
    pub(super) fn objective(&self) -> &Objective {
        &self.objective
    }

    /// Measures on the samples of the setup, or on those of the other split. Checkpoints are read and the plane
    /// is made before the clock starts.
    pub(super) fn measure(
        &mut self,
        query: &Query,
        spec: &PlaneSpec,
        own: bool,
        waiting: &dyn Waiting,
    ) -> Result<TimedValue, LandscapeError> {
        let objective = on_samples(&self.objective, self.other.as_ref(), own)?;
        let shape = &self.shape;
        let flat = |checkpoint: &Checkpoint| -> Result<Vec<f32>, LandscapeError> {
            let member = RunCheckpoint::open(checkpoint, shape)?;
            Ok(direction::flat(&shape.layout, &member)?)
        };
        match query {
            Query::Checkpoint(checkpoint) => {
                let at = flat(checkpoint)?;
                timed(|| objective.at_flat(&at).map(QueryAnswer::Measure))
            }
            Query::Average(members) => {
                let mean = mean(shape, members)?;
                timed(|| objective.at_flat(&mean).map(QueryAnswer::Measure))
            }
            Query::Update { from, to } => {
                let [from, to] = [flat(from)?, flat(to)?];
                let step = || objective.critical(&from, &to, || waiting.goes_on());
                timed(|| step().map(QueryAnswer::Critical))
            }
            Query::Recalibrated(members) => {
                let mean = mean(shape, members)?;
                timed(|| objective.at_recalibrated(&mean).map(QueryAnswer::Measure))
            }
            Query::Curvature {
                at,
                effort,
                samples,
            } => {
                let model = objective.model()?;
                let few = samples.map(|count| model.few(count)).transpose()?;
                let model = few.as_ref().unwrap_or(model);
                let weights = self.plane.weights_on(objective, (spec, *at), waiting)?;
                timed(|| curvature(model, &weights, *effort, waiting))
            }
            Query::CurvatureOf(checkpoint) => {
                let few = objective.model()?.few(CURVATURE_SAMPLES)?;
                let weights = few.weights_of(&flat(checkpoint)?)?;
                timed(|| curvature(&few, &weights, SEEN, waiting))
            }
            Query::Density { at, steps, seed } => {
                let model = objective.model()?;
                let weights = self.plane.weights_on(objective, (spec, *at), waiting)?;
                timed(|| spectrum(model, &weights, (*steps, *seed), waiting))
            }
            Query::OnFew { at, samples } => {
                let plane = self.plane.resident(objective, spec, waiting)?;
                let which = (own, *samples);
                let few = match self.few.take() {
                    Some((known, few)) if known == which => few,
                    _ => objective.few(*samples)?,
                };
                let few = &self.few.insert((which, few)).1;
                timed(|| few.on(plane, *at).map(QueryAnswer::Measure))
            }
            Query::Part { query, part, of } => {
                self.measure_part(query, (*part, *of), (spec, own), waiting)
            }
            // A worker that knows the function asks before it measures.
            Query::Evidence(_) => timed(|| Ok(QueryAnswer::Assumed)),
            Query::OnPlane(at) => {
                let plane = self.plane.resident(objective, spec, waiting)?;
                timed(|| objective.on(plane, *at).map(QueryAnswer::Measure))
            }
        }
    }

    /// Measures the sums of a query over one of `of` parts of the samples.
    fn measure_part(
        &mut self,
        query: &Query,
        (part, of): (usize, usize),
        (spec, own): (&PlaneSpec, bool),
        waiting: &dyn Waiting,
    ) -> Result<TimedValue, LandscapeError> {
        let objective = on_samples(&self.objective, self.other.as_ref(), own)?;
        let model = objective.model()?;
        let few = match self.parts.entry((own, part, of)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(model.part(part, of)?),
        };
        let score = model.score();
        let Some(few) = few else {
            let totals = Totals::default();
            return timed(|| Ok(QueryAnswer::Part(PartSums { totals, score })));
        };
        let sums = |totals| QueryAnswer::Part(PartSums { totals, score });
        if let Query::OnPlane(at) = query {
            let ResidentPlane::Device(plane) = self.plane.resident(objective, spec, waiting)?
            else {
                return Err(LandscapeError::OtherPlane);
            };
            return timed(|| few.totals_on(plane, *at).map(sums));
        }
        let members = match query {
            Query::Checkpoint(one) => std::slice::from_ref(one),
            Query::Average(all) => all,
            _ => return Err(LandscapeError::OtherPlane),
        };
        let weights = few.weights_of(&mean(&self.shape, members)?)?;
        timed(|| few.totals(&weights).map(sums))
    }
}

/// The objective on the samples of the setup, or on those of the other split.
fn on_samples<'a>(
    setup: &'a Objective,
    other: Option<&'a Objective>,
    own: bool,
) -> Result<&'a Objective, LandscapeError> {
    let objective = if own { Some(setup) } else { other };
    objective.ok_or(LandscapeError::NoData)
}

/// The mean of the weights and running statistics of checkpoints.
fn mean(shape: &RunShape, members: &[Checkpoint]) -> Result<Vec<f32>, LandscapeError> {
    let open = |row: usize| RunCheckpoint::open(&members[row], shape);
    Ok(direction::mean(&shape.layout, members.len(), open)?)
}

/// Evaluates, with the time that it takes.
pub(super) fn timed(
    evaluate: impl FnOnce() -> Result<QueryAnswer, LandscapeError>,
) -> Result<TimedValue, LandscapeError> {
    let begin = Instant::now();
    let value = evaluate()?;
    let seconds = begin.elapsed().as_secs_f64();
    Ok(TimedValue { value, seconds })
}

/// The density of the spectrum, as one random vector sees it.
fn spectrum(
    objective: &ModelObjective,
    weights: &Weights,
    (steps, seed): (usize, u64),
    waiting: &dyn Waiting,
) -> Result<QueryAnswer, LandscapeError> {
    let curvature = Curvature::new(objective)?;
    let hessian = curvature.at(weights)?;
    let mut done = 0;
    let go_on = || {
        if done > 0 {
            waiting.product(done, steps);
        }
        done += 1;
        waiting.goes_on()
    };
    density(&hessian, steps, seed, go_on).map(QueryAnswer::Density)
}

/// The ends of the spectrum.
fn curvature(
    objective: &ModelObjective,
    weights: &Weights,
    effort: Effort,
    waiting: &dyn Waiting,
) -> Result<QueryAnswer, LandscapeError> {
    let curvature = Curvature::new(objective)?;
    let hessian = curvature.at(weights)?;
    extremes(&hessian, effort, |done, of| {
        if done > 0 {
            waiting.product(done, of);
        }
        waiting.goes_on()
    })
    .map(QueryAnswer::Curvature)
}

impl ReadyPlane {
    /// Returns the plane of a spec on the device, read or made when it is not the one that is there.
    fn resident(
        &mut self,
        objective: &Objective,
        spec: &PlaneSpec,
        waiting: &dyn Waiting,
    ) -> Result<&ResidentPlane, LandscapeError> {
        let plane = match self.current.take() {
            Some((known, resident)) if known == *spec => resident,
            stale => {
                // Two planes at once may not fit the device.
                drop(stale);
                let plane = match &self.files {
                    Some(files) => files.plane(spec, &|| waiting.goes_on())?,
                    None => spec.make()?,
                };
                objective.resident(&plane)?
            }
        };
        Ok(&self.current.insert((spec.clone(), plane)).1)
    }

    /// Returns the weights at a point of the plane of a spec.
    fn weights_on(
        &mut self,
        objective: &Objective,
        (spec, at): (&PlaneSpec, [f64; 2]),
        waiting: &dyn Waiting,
    ) -> Result<Weights, LandscapeError> {
        match self.resident(objective, spec, waiting)? {
            ResidentPlane::Device(plane) => objective.model()?.weights_on(plane, at),
            ResidentPlane::Sent(_) => Err(LandscapeError::OtherPlane),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_time_of_an_answer_is_that_of_its_evaluation() {
        let slept = Duration::from_millis(5);
        let found = timed(|| {
            std::thread::sleep(slept);
            Ok(QueryAnswer::Assumed)
        });
        assert!(found.unwrap().seconds >= slept.as_secs_f64());
        assert!(timed(|| Err(LandscapeError::NoData)).is_err());
    }
}
