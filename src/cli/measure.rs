//! The measuring of a command that ends: its workers, and the function and samples that they measure.

use std::path::Path;
use std::sync::Arc;

use indicatif::ProgressBar;

use crate::data::Split;
use crate::evaluator::Tell;
use crate::landscape::worker::client::measures;
use crate::landscape::{Assumed, Budget, Client, MeasuredFunction, Query, QueryAnswer, Step};
use crate::loss::Measure;
use crate::run::Checkpoint;
use crate::weights::{PlaneSpec, RunShape};

use super::options::{KeyOption, MeasureOptions};
use super::read_path::{ReadPath, read_path};
use super::warn;

/// The origin that is meant where none is given.
pub(super) const LAST: &str = "last";

/// Workers that measure on the samples of a split, for a command that waits for them.
pub(super) struct Measuring {
    client: Client,
    split: Split,
    tell: Tell,
}

impl MeasureOptions {
    /// Reads the checkpoints of a run onto one path, as the model names their tensors.
    pub(super) fn read_path(
        &self,
        checkpoints: Vec<Checkpoint>,
        key: &KeyOption,
        run: &Path,
    ) -> anyhow::Result<ReadPath> {
        let kept = self.hosting.products(&[run]);
        read_path(checkpoints, key, self.model.roles()?, kept)
    }

    /// Starts workers for runs, on the samples of a split.
    pub(super) fn start(&self, runs: &[&Path], split: Split) -> anyhow::Result<Measuring> {
        let mut setup = self.setup()?;
        if let Some(data) = &mut setup.data {
            data.split = split;
        }
        if let Some(evaluator) = &mut setup.evaluator {
            evaluator.split = split;
        }
        let hosting = self.hosting.hosting(Budget::All, runs)?;
        let tell: Tell = Arc::new(|sentence| {
            // The points are measured whether or not anybody reads this.
            let _ = warn::say(sentence);
        });
        Ok(Measuring {
            client: Client::start(setup, hosting, Arc::clone(&tell))?,
            split,
            tell,
        })
    }
}

impl Measuring {
    /// Asks the path of a run, or of a file alone, what names leave open, and measures its function from now on.
    pub(super) fn begin(
        &mut self,
        run: &Path,
        shape: &RunShape,
        members: &[Checkpoint],
    ) -> anyhow::Result<MeasuredFunction> {
        let mut subject = self.client.begin(shape, members)?;
        // An evaluator decides by itself.
        if run.is_file() && !subject.assumed.normalization.is_empty() {
            subject.assumed.is_of_one_file();
        }
        let (model, assumed) = (&subject.model, &subject.assumed);
        for warning in assumed.warnings() {
            // The result says it too.
            let _ = warn::say(warning);
        }
        if let Some(kept) = &subject.kept {
            warn::say(format_args!("{model}: {kept}"))?;
        }
        Ok(subject)
    }

    /// Returns the function that another run followed, which is measured as the first one's.
    pub(super) fn followed(
        &mut self,
        shape: &RunShape,
        members: &[Checkpoint],
    ) -> anyhow::Result<Assumed> {
        Ok(self.client.asked(shape, members)?)
    }

    /// Returns the number of samples that were asked for.
    pub(super) fn samples(&self) -> usize {
        self.samples_of(self.split).unwrap_or(0)
    }

    /// Returns the number of samples of a split; `None` if nothing was measured on them.
    pub(super) fn samples_of(&self, split: Split) -> Option<usize> {
        self.client.samples(split)
    }

    /// Measures losses and scores; a place where none can be had is a hole, and the reason is reported.
    pub(super) fn measures(
        &mut self,
        spec: &PlaneSpec,
        split: Split,
        queries: Vec<Query>,
        bar: &ProgressBar,
    ) -> anyhow::Result<Vec<Measure>> {
        let values = self
            .client
            .values(spec, split, queries, each(bar, Step::Answer))?;
        Ok(measures(values, &self.tell))
    }

    /// Measures losses and scores of the samples that were asked for, likewise.
    pub(super) fn losses(
        &mut self,
        spec: &PlaneSpec,
        queries: Vec<Query>,
        bar: &ProgressBar,
    ) -> anyhow::Result<Vec<Measure>> {
        self.measures(spec, self.split, queries, bar)
    }

    /// Measures losses and scores at places of a plane, on all samples that were asked for or on few of them.
    pub(super) fn on_plane(
        &mut self,
        spec: &PlaneSpec,
        places: &[[f64; 2]],
        samples: Option<usize>,
        bar: &ProgressBar,
    ) -> anyhow::Result<Vec<Measure>> {
        let query = |at: &[f64; 2]| match samples {
            Some(samples) => Query::on_few(*at, samples),
            None => Query::on_plane(*at),
        };
        self.losses(spec, places.iter().map(query).collect(), bar)
    }

    /// Measures values of which none may be missing; the bar counts answers, or products with the Hessian.
    pub(super) fn values(
        &mut self,
        spec: &PlaneSpec,
        queries: Vec<Query>,
        (bar, counted): (&ProgressBar, Step),
    ) -> anyhow::Result<Vec<QueryAnswer>> {
        let values = self
            .client
            .values(spec, self.split, queries, each(bar, counted))?;
        let values = values
            .into_iter()
            .map(|value| value.map_err(anyhow::Error::msg));
        values.collect()
    }
}

/// Moves a bar on with every step of a kind.
fn each(bar: &ProgressBar, counted: Step) -> impl Fn(Step) {
    move |step| {
        if step == counted {
            bar.inc(1);
        }
    }
}

/// Returns the checkpoint that `--origin` names: `last` or a step.
pub(super) fn origin(
    name: &str,
    members: &[Checkpoint],
    run: &std::path::Path,
) -> anyhow::Result<usize> {
    let found = match name {
        LAST => members.len().checked_sub(1),
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
