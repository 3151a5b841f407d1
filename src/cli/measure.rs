//! What a measuring command stands on: the recognized model and its samples, on the device.

use crate::data::{self, Dataset, Split};
use crate::landscape::LandscapeError;
use crate::landscape::device::{Compute, Place};
use crate::landscape::evidence::{Assumed, Question};
use crate::landscape::objective::Objective;
use crate::loss::Score;
use crate::model;
use crate::run::Checkpoint;
use crate::weights::member::Shape;

use super::notice;
use super::options::MeasureOptions;

/// A model with samples to measure it on.
pub(super) struct Measured {
    /// e.g. `resnet20`.
    pub(super) model: String,
    /// The loss on the samples.
    pub(super) objective: Objective,
    /// What was taken for granted, and why.
    pub(super) assumed: Assumed,
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
        let (samples, compute) = self.samples(split)?;
        let assumed = self.asked(shape, members, &samples, &compute);
        self.measured(shape, &samples, &compute, assumed)
    }

    /// The function that another run followed, which is measured as the first one's.
    pub(super) fn followed(
        &self,
        shape: &Shape,
        members: &[Checkpoint],
        split: Split,
    ) -> anyhow::Result<Assumed> {
        let (samples, compute) = self.samples(split)?;
        Ok(self.asked(shape, members, &samples, &compute))
    }

    fn asked(
        &self,
        shape: &Shape,
        members: &[Checkpoint],
        samples: &Dataset,
        compute: &Compute,
    ) -> Assumed {
        let question = Question {
            shape,
            members,
            data: samples,
            model: &self.model,
            asked: self.reading.reading(),
            compute,
        };
        // What cannot be asked is as usual; whether it can be measured is seen then.
        let assumed = question.answer().unwrap_or_else(|error| {
            tracing::info!("the path was not asked: {error}");
            question.unasked()
        });
        if let Some(warning) = &assumed.warning {
            // The result says it too.
            let _ = notice::say(warning);
        }
        assumed
    }

    /// The same function on the samples of another split.
    pub(super) fn objective_as(
        &self,
        shape: &Shape,
        assumed: &Assumed,
        split: Split,
    ) -> anyhow::Result<Measured> {
        let (samples, compute) = self.samples(split)?;
        self.measured(shape, &samples, &compute, assumed.clone())
    }

    fn samples(&self, split: Split) -> anyhow::Result<(Dataset, Compute)> {
        let setup = self.setup()?;
        let mut request = setup.data.ok_or(LandscapeError::NoData)?;
        request.split = split;
        let samples = data::load(&request)?;
        let place = setup.devices.first().copied().unwrap_or(Place::Auto);
        let (compute, _) = Compute::open(place, setup.precision, setup.batch)?;
        Ok((samples, compute))
    }

    fn measured(
        &self,
        shape: &Shape,
        samples: &Dataset,
        compute: &Compute,
        assumed: Assumed,
    ) -> anyhow::Result<Measured> {
        let reading = assumed.function.reading.or(self.reading.reading());
        let recognized = model::recognize_as(&shape.layout, &self.model, samples.image(), reading)
            .map_err(|source| LandscapeError::Model {
                path: shape.newest.clone(),
                source,
            })?;
        let rescaled = assumed.function.pixels.as_ref();
        let rescaled = rescaled.map(|scale| samples.rescaled(scale));
        let samples = rescaled.as_ref().unwrap_or(samples);
        let objective = Objective::new(&recognized, shape.layout.clone(), samples, compute)?;
        Ok(Measured {
            model: recognized.name,
            objective,
            assumed,
            score: self.setup()?.loss.score(),
        })
    }
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
