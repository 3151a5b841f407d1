//! What a measuring command stands on: the recognized model and its samples, on the device.

use crate::data::{self, Split};
use crate::landscape::LandscapeError;
use crate::landscape::device::{Compute, Place};
use crate::landscape::objective::Objective;
use crate::model;
use crate::run::Checkpoint;
use crate::weights::member::Shape;

use super::options::MeasureOptions;

/// A model with samples to measure it on.
pub(super) struct Measured {
    /// e.g. `resnet20`.
    pub(super) model: String,
    /// The loss on the samples.
    pub(super) objective: Objective,
}

impl MeasureOptions {
    /// Recognizes the model of these shapes and loads the samples of a split.
    pub(super) fn objective(&self, shape: &Shape, split: Split) -> anyhow::Result<Measured> {
        let setup = self.setup()?;
        let mut request = setup.data.ok_or(LandscapeError::NoData)?;
        request.split = split;
        let samples = data::load(&request)?;
        let recognized = model::recognize(&shape.layout, &self.model, Some(samples.shape))
            .map_err(|source| LandscapeError::Model {
                path: shape.newest.clone(),
                source,
            })?;
        let place = setup.devices.first().copied().unwrap_or(Place::Auto);
        let (compute, _) = Compute::open(place, setup.precision, setup.batch)?;
        let objective = Objective::new(&recognized, shape.layout.clone(), &samples, &compute)?;
        Ok(Measured {
            model: recognized.name,
            objective,
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
