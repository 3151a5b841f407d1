//! `isoloss sharpness`: critical steps along the updates of a run.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use crate::cli::learning_rates;
use crate::cli::options::{MeasureOptions, PathOptions};
use crate::cli::output::{Format, Forms, OutputOptions};
use crate::cli::progress;
use crate::landscape::{Quantity, Query, QueryAnswer, Step};
use crate::report::{SharpnessReport, SharpnessRow};
use crate::run::Checkpoint;
use crate::weights::PlaneSpec;

#[derive(Debug, Args)]
pub(in crate::cli) struct Sharpness {
    /// Folder of the run
    run: PathBuf,
    #[command(flatten)]
    path: PathOptions,
    #[command(flatten)]
    measure: MeasureOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl Sharpness {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<()> {
        self.output.check(&self.run, Format::OF_TABLES)?;
        let checkpoints = self.path.open(&self.run)?;
        self.measure.check()?;
        let path = self
            .measure
            .read_path(checkpoints, &self.path.key, &self.run)?;
        if path.members.len() < 2 {
            bail!(
                "{}: expected at least two checkpoints, found one: no update leads to it",
                self.run.display()
            );
        }
        let mut measuring = self.measure.start(&[&self.run], self.measure.split)?;
        let subject = measuring.begin(&self.run, &path.shape, &path.members)?;
        let bar = progress::bar("updates", path.members.len() - 1);
        let update = |ends: &[Checkpoint]| {
            Query::of(Quantity::CriticalStep {
                from: ends[0].clone(),
                to: ends[1].clone(),
            })
        };
        let queries = path.members.windows(2).map(update).collect();
        let spec = PlaneSpec::through(&path.shape, &path.members[0]);
        let steps = measuring.values(&spec, queries, (&bar, Step::Answer))?;
        let mut updates = Vec::with_capacity(steps.len());
        let rates = learning_rates::of_updates(&self.run, &self.path.key, &path.members);
        let later = path.members.iter().skip(1).zip(rates);
        for ((member, rate), found) in later.zip(steps) {
            let QueryAnswer::Critical(found) = found else {
                bail!("expected a critical step of a worker, found {found:?}");
            };
            updates.push(SharpnessRow {
                step: member.step,
                critical_step: found.step,
                sharpness: found.sharpness(),
                beyond: found.beyond(),
                evaluations: found.evaluations,
                learning_rate: rate,
            });
        }
        bar.finish_and_clear();
        let report = SharpnessReport {
            run: self.run.display().to_string(),
            model: subject.model,
            samples: measuring.samples(),
            split: self.measure.split,
            assumed: subject.assumed,
            updates,
        };
        self.output.print(
            |width| report.text(width),
            &report,
            || report.csv(),
            &Forms::default(),
        )
    }
}
