//! `isoloss weights`: norms and angles over training, histograms of checkpoints.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use crate::cli::learning_rates;
use crate::cli::options::{ModelOption, PathOptions};
use crate::cli::output::{Format, Forms, OutputOptions};
use crate::cli::read_path::read_path;
use crate::cli::store::StoreOptions;
use crate::landscape::grid::survey;
use crate::report::{Histograms, WeightsReport};
use crate::run::Checkpoint;
use crate::weights::histogram::{self};
use crate::weights::{Histogram, Roles, RunCheckpoint, RunShape};

#[derive(Debug, Args)]
pub(in crate::cli) struct Weights {
    /// Folder of the run, or a checkpoint
    run: PathBuf,
    /// Another checkpoint, whose histogram is laid over the first one's
    other: Option<PathBuf>,
    #[command(flatten)]
    path: PathOptions,
    #[command(flatten)]
    model: ModelOption,
    /// Histogram of the weights: that of a run's last checkpoint over its first one's
    #[arg(long, help_heading = "Output")]
    histogram: bool,
    /// The weights of one layer, e.g. layer1.0.conv1
    #[arg(long, help_heading = "Output", value_name = "NAME")]
    layer: Option<String>,
    /// Bins of the histogram
    #[arg(long, help_heading = "Output", value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..))]
    bins: u16,
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl Weights {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<()> {
        self.output.check(&self.run, Format::OF_PICTURES)?;
        let roles = self.model.roles()?;
        let read = |run: &PathBuf, checkpoints| {
            let kept = self.store.products(&[run])?;
            read_path(checkpoints, &self.path.key, roles.clone(), kept)
        };
        let path = read(&self.run, self.path.open(&self.run)?)?;
        if let Some(other) = &self.other {
            let second = read(other, self.path.open_whole(other)?)?.members;
            let ends = path.members.last().into_iter().chain(second.last());
            let ends: Vec<Checkpoint> = ends.cloned().collect();
            return self.histograms(&ends, path.shape.roles.as_ref());
        }
        if self.histogram || self.layer.is_some() || path.members.len() == 1 {
            return self.histograms(&path.members, path.shape.roles.as_ref());
        }
        let rates = learning_rates::of(&self.run, &self.path.key, &path.members);
        let run = self.run.display().to_string();
        let trajectory = &path.fit.trajectory;
        let report = WeightsReport::new(run, path.parameters, trajectory, &path.dynamics, rates);
        let forms = Forms {
            picture: Some(&|palette| report.picture(palette)),
            ..Forms::default()
        };
        self.output
            .print(|width| report.text(width), &report, || report.csv(), &forms)
    }

    /// Adds the histograms of the first and the last of these, over the range of both.
    fn histograms(
        &self,
        checkpoints: &[Checkpoint],
        roles: Option<&Arc<Roles>>,
    ) -> anyhow::Result<()> {
        let ends: Vec<&Checkpoint> = match checkpoints {
            [first, .., last] => vec![first, last],
            few => few.iter().collect(),
        };
        let shape = RunShape::of_model(ends[0], self.path.key.key.as_deref(), roles)?;
        let slots = histogram::slots(&shape.layout, self.layer.as_deref())
            .with_context(|| ends[0].path.display().to_string())?;
        let mut opened = Vec::with_capacity(ends.len());
        let mut range = [f64::INFINITY, f64::NEG_INFINITY];
        for checkpoint in ends {
            let member = RunCheckpoint::open(checkpoint, &shape)?;
            if let Some([min, max]) = histogram::range(&member, &shape.layout, &slots)? {
                range = [range[0].min(min), range[1].max(max)];
            }
            opened.push((checkpoint, member));
        }
        // Weights that are all the same, or none of them finite, have a bin all the same.
        let [min, max] = if range[0] < range[1] {
            range
        } else {
            let middle = if range[0].is_finite() { range[0] } else { 0.0 };
            [middle - 0.5, middle + 0.5]
        };
        let bins = usize::from(self.bins);
        let mut found = Vec::with_capacity(opened.len());
        for (checkpoint, member) in opened {
            let histogram = Histogram::of(&member, &shape.layout, &slots, [min, max], bins)?;
            found.push((
                checkpoint.path.display().to_string(),
                checkpoint.step,
                histogram,
            ));
        }
        let report = Histograms::new(
            self.layer.clone(),
            survey::spread(min, max, bins + 1),
            found,
        );
        let forms = Forms {
            picture: Some(&|palette| report.picture(palette)),
            ..Forms::default()
        };
        self.output
            .print(|width| report.text(width), &report, || report.csv(), &forms)
    }
}
