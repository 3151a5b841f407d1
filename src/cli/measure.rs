//! Preparation of a measuring command: the recognized model and its samples on the device, or the user's evaluator.

use std::sync::Arc;

use crate::data::{self, Dataset, Split};
use crate::evaluator::{Connection, EvaluatorOptions, Tell};
use crate::landscape::LandscapeError;
use crate::landscape::device::{Compute, Place};
use crate::landscape::evidence::{Answers, Assumed, Question};
use crate::landscape::objective::{ExternalObjective, Objective};
use crate::landscape::samples::settled;
use crate::landscape::worker;
use crate::landscape::worker::protocol::Setup;
use crate::loss::Score;
use crate::model;
use crate::model::reading::Reading;
use crate::run::Checkpoint;
use crate::weights::run_checkpoint::Shape;

use super::options::MeasureOptions;
use super::warn;

/// A model with samples to measure it on.
pub(super) struct Measured {
    /// e.g. `resnet20`.
    pub(super) model: String,
    /// The loss on the samples.
    pub(super) objective: Objective,
    /// Assumptions, and the reasons for them.
    pub(super) assumed: Assumed,
    /// A sentence about weights that no checkpoint holds.
    kept: Option<String>,
    /// The score beside the loss; `None` if it has none.
    pub(super) score: Option<Score>,
}

impl MeasureOptions {
    /// Recognizes the model of these shapes, loads the samples of a split, and asks the path what names leave
    /// open.
    pub(super) fn objective(
        &self,
        shape: &Shape,
        members: &[Checkpoint],
        split: Split,
    ) -> anyhow::Result<Measured> {
        let mut setup = self.setup()?;
        if let Some(evaluator) = setup.evaluator.take() {
            return external(evaluator, &setup, shape, split);
        }
        let (samples, compute) = samples(&mut setup, split)?;
        let assumed = asked(&setup, shape, members, &samples, &compute);
        let mut measured = measured(&setup, shape, &samples, &compute, assumed)?;
        if let Some(kept) = &measured.kept {
            warn::say(format_args!("{}: {kept}", measured.model))?;
        }
        let objective = &measured.objective;
        if let Some((why, batches)) = objective.coupled_batches() {
            let said = (measured.assumed).is_of_batches(why, batches, objective.samples());
            warn::say(format_args!("{}: {said}", measured.model))?;
        }
        Ok(measured)
    }

    /// The function that another run followed, which is measured as the first one's.
    pub(super) fn followed(
        &self,
        shape: &Shape,
        members: &[Checkpoint],
        split: Split,
    ) -> anyhow::Result<Assumed> {
        let mut setup = self.setup()?;
        if setup.evaluator.is_some() {
            // It measures every run alike.
            return Ok(Assumed::default());
        }
        let (samples, compute) = samples(&mut setup, split)?;
        Ok(asked(&setup, shape, members, &samples, &compute))
    }

    /// The same function on the samples of another split.
    pub(super) fn objective_as(
        &self,
        objective: &Objective,
        shape: &Shape,
        assumed: &Assumed,
        split: Split,
    ) -> anyhow::Result<Measured> {
        let mut setup = self.setup()?;
        if let Objective::External(external) = objective {
            return Ok(Measured::external(external.on_split(split)?));
        }
        let (samples, compute) = samples(&mut setup, split)?;
        measured(&setup, shape, &samples, &compute, assumed.clone())
    }
}

impl Measured {
    fn external(objective: ExternalObjective) -> Self {
        Self {
            model: objective.command(),
            assumed: objective.assumed(),
            score: objective.score(),
            objective: Objective::External(objective),
            kept: None,
        }
    }
}

/// Starts the user's evaluator, which says what it measures and on what.
fn external(
    evaluator: EvaluatorOptions,
    setup: &Setup,
    shape: &Shape,
    split: Split,
) -> anyhow::Result<Measured> {
    if let Some(sentence) = evaluator.origin() {
        warn::say(sentence)?;
    }
    let place = setup.devices.first().copied().unwrap_or(Place::Auto);
    let tell: Tell = Arc::new(|sentence| {
        // The points are asked again, whether or not anybody reads this.
        let _ = warn::say(sentence);
    });
    let newest = shape.newest.clone();
    let connection = Connection::new(evaluator, place.to_string(), newest, Arc::clone(&tell));
    let layout = Arc::clone(&shape.layout);
    let objective = ExternalObjective::new(Arc::new(connection), layout, split)?;
    Ok(Measured::external(objective.with_holes(tell)))
}

fn asked(
    setup: &Setup,
    shape: &Shape,
    members: &[Checkpoint],
    samples: &Dataset,
    compute: &Compute,
) -> Assumed {
    let question = Question {
        shape,
        members,
        data: samples,
        model: &setup.model,
        criterion: &setup.criterion,
        asked: setup.reading,
        compute,
        answers: &Answers::default(),
    };
    // What cannot be asked is as usual; whether it can be measured is seen then.
    let assumed = question.answer(&|| true).unwrap_or_else(|error| {
        tracing::info!("the path was not asked: {error}");
        question.unasked()
    });
    for warning in assumed.warnings() {
        // The result says it too.
        let _ = warn::say(warning);
    }
    assumed
}

/// Loads the samples of a split, and settles what the loss is on them.
fn samples(setup: &mut Setup, split: Split) -> anyhow::Result<(Dataset, Compute)> {
    let mut request = setup.data.clone().ok_or(LandscapeError::NoData)?;
    request.split = split;
    let samples = data::load(&request)?;
    setup.criterion = settled(&setup.criterion, &samples, &setup.model);
    let place = setup.devices.first().copied().unwrap_or(Place::Auto);
    let (compute, _) =
        worker::open(place, setup.precision, setup.batch).map_err(anyhow::Error::msg)?;
    if let Some(reason) = &compute.passed_over {
        warn::say(reason)?;
    }
    Ok((samples, compute))
}

fn measured(
    setup: &Setup,
    shape: &Shape,
    samples: &Dataset,
    compute: &Compute,
    assumed: Assumed,
) -> anyhow::Result<Measured> {
    let reading = assumed.function.reading.or(setup.reading);
    let layout = &shape.layout;
    let told = Reading::told(&shape.settings);
    let recognized = model::recognize_as(layout, &setup.model, samples.image(), reading, told)
        .map_err(|source| LandscapeError::of_model(&shape.newest, source))?;
    let rescaled = assumed.function.pixels.as_ref();
    let rescaled = rescaled.map(|scale| samples.rescaled(scale));
    let samples = rescaled.as_ref().unwrap_or(samples);
    let criterion = &setup.criterion;
    let objective = Objective::new(&recognized, layout.clone(), samples, criterion, compute)?;
    Ok(Measured {
        model: recognized.name,
        kept: recognized.kept,
        objective,
        assumed,
        score: criterion.loss.score(),
    })
}

/// The checkpoint that `--origin` names: `last` or a step.
pub(super) fn origin(
    name: &str,
    members: &[Checkpoint],
    run: &std::path::Path,
) -> anyhow::Result<usize> {
    let found = match name {
        "last" => members.len().checked_sub(1),
        step => {
            let step: u64 = step.parse().map_err(|_| {
                super::output::Usage(format!("--origin {step}: expected `last` or a step"))
            })?;
            members
                .iter()
                .position(|checkpoint| checkpoint.step == step)
        }
    };
    found.ok_or_else(|| {
        let steps: Vec<String> = members.iter().map(|m| m.step.to_string()).collect();
        anyhow::anyhow!(
            "{}: no checkpoint has step {name}; there are {}",
            run.display(),
            steps.join(" ")
        )
    })
}
