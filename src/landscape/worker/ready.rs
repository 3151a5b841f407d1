//! Answers queries by an objective: on planes, at checkpoints and between them, on all samples and on few.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Instant;

use crate::loss::Totals;

use crate::model::Weights;
use crate::run::Checkpoint;
use crate::weights::{PlaneFiles, PlaneSpec, RunCheckpoint, RunShape, direction};

use super::super::LandscapeError;
use super::super::curvature::density::density;
use super::super::curvature::product::Curvature;
use super::super::curvature::{Effort, extremes};
use super::super::objective::{ModelObjective, Objective};
use super::super::plane::ResidentPlane;
use super::protocol::{PartSums, Position, Quantity, Query, QueryAnswer, Subset, TimedValue};
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

    /// Returns the objective on the samples of the setup.
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
        if let Subset::Part { part, of } = query.samples {
            return self.measure_part(&query.quantity, (part, of), (spec, own), waiting);
        }
        let all = on_samples(&self.objective, self.other.as_ref(), own)?;
        let objective = match query.samples {
            Subset::Few(count) => on_few(&mut self.few, all, (own, count))?,
            Subset::All | Subset::Part { .. } => all,
        };
        let shape = &self.shape;
        match &query.quantity {
            Quantity::Loss(Position::Plane(at)) => {
                let plane = self.plane.resident(all, spec, waiting)?;
                timed(|| objective.on(plane, *at).map(QueryAnswer::Measure))
            }
            Quantity::Loss(at) => {
                let at = flat(shape, at)?;
                timed(|| objective.at_flat(&at).map(QueryAnswer::Measure))
            }
            Quantity::RecalibratedLoss(members) => {
                let mean = mean(shape, members)?;
                timed(|| objective.at_recalibrated(&mean).map(QueryAnswer::Measure))
            }
            Quantity::CriticalStep { from, to } => {
                let [from, to] = [read(shape, from)?, read(shape, to)?];
                let step = || objective.critical(&from, &to, || waiting.goes_on());
                timed(|| step().map(QueryAnswer::Critical))
            }
            Quantity::Extremes { at, effort } => {
                let model = objective.model()?;
                let weights = self.plane.weights(model, (shape, spec, at), all, waiting)?;
                timed(|| curvature(model, &weights, *effort, waiting))
            }
            Quantity::Density { at, steps, seed } => {
                let model = objective.model()?;
                let weights = self.plane.weights(model, (shape, spec, at), all, waiting)?;
                timed(|| spectrum(model, &weights, (*steps, *seed), waiting))
            }
            // A worker that knows the function asks before it measures.
            Quantity::Function(_) => timed(|| Ok(QueryAnswer::Assumed)),
        }
    }

    /// Measures the sums of a loss over one of `of` parts of the samples.
    fn measure_part(
        &mut self,
        quantity: &Quantity,
        (part, of): (usize, usize),
        (spec, own): (&PlaneSpec, bool),
        waiting: &dyn Waiting,
    ) -> Result<TimedValue, LandscapeError> {
        let Quantity::Loss(at) = quantity else {
            return Err(LandscapeError::OtherPlane);
        };
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
        if let Position::Plane(at) = at {
            let ResidentPlane::Device(plane) = self.plane.resident(objective, spec, waiting)?
            else {
                return Err(LandscapeError::OtherPlane);
            };
            return timed(|| few.totals_on(plane, *at).map(sums));
        }
        let weights = few.weights_of(&flat(&self.shape, at)?)?;
        timed(|| few.totals(&weights).map(sums))
    }
}

/// Returns the objective on the samples of the setup, or on those of the other split.
fn on_samples<'a>(
    setup: &'a Objective,
    other: Option<&'a Objective>,
    own: bool,
) -> Result<&'a Objective, LandscapeError> {
    let objective = if own { Some(setup) } else { other };
    objective.ok_or(LandscapeError::NoData)
}

/// Returns the objective on a number of samples, of the setup's or of the others; the last such one is kept.
fn on_few<'a>(
    kept: &'a mut Option<((bool, usize), Objective)>,
    all: &Objective,
    which: (bool, usize),
) -> Result<&'a Objective, LandscapeError> {
    let few = match kept.take() {
        Some((known, few)) if known == which => few,
        _ => all.few(which.1)?,
    };
    Ok(&kept.insert((which, few)).1)
}

/// Reads the weights and running statistics of a checkpoint.
fn read(shape: &RunShape, checkpoint: &Checkpoint) -> Result<Vec<f32>, LandscapeError> {
    let member = RunCheckpoint::open(checkpoint, shape)?;
    Ok(direction::flat(&shape.layout, &member)?)
}

/// Reads the weights and running statistics at a position that is not on a plane.
fn flat(shape: &RunShape, at: &Position) -> Result<Vec<f32>, LandscapeError> {
    match at {
        Position::Plane(_) => Err(LandscapeError::OtherPlane),
        Position::Checkpoint(one) => read(shape, one),
        Position::Mean(all) => mean(shape, all),
    }
}

/// Returns the mean of the weights and running statistics of checkpoints.
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

/// Returns the density of the spectrum, as one random vector sees it.
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

/// Returns the ends of the spectrum.
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

    /// Returns the weights at a position, on the plane of a spec or elsewhere.
    fn weights(
        &mut self,
        model: &ModelObjective,
        (shape, spec, at): (&RunShape, &PlaneSpec, &Position),
        all: &Objective,
        waiting: &dyn Waiting,
    ) -> Result<Weights, LandscapeError> {
        let Position::Plane(at) = at else {
            return model.weights_of(&flat(shape, at)?);
        };
        match self.resident(all, spec, waiting)? {
            ResidentPlane::Device(plane) => model.weights_on(plane, *at),
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
