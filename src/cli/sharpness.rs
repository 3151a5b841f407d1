//! `isoloss sharpness`: critical steps along the updates of a run.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use crate::report::sharpness::{Report, Row};
use crate::weights::direction;
use crate::weights::run_checkpoint::RunCheckpoint;

use super::learning_rates;
use super::measure::Measured;
use super::options::{KeyOption, MeasureOptions, Steps, open_run};
use super::output::{Format, Forms, OutputOptions};
use super::progress;
use super::trajectory::read_path;

#[derive(Debug, Args)]
pub(super) struct Sharpness {
    /// Folder of the run
    run: PathBuf,
    #[command(flatten)]
    key: KeyOption,
    #[command(flatten)]
    measure: MeasureOptions,
    /// Checkpoints to measure: A..B or every:N
    #[arg(long, value_name = "STEPS")]
    steps: Option<Steps>,
    #[command(flatten)]
    output: OutputOptions,
}

impl Sharpness {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        self.output.check(&self.run, Format::OF_TABLES)?;
        let checkpoints = open_run(&self.run, &self.key, self.steps)?;
        self.measure.check()?;
        let path = read_path(checkpoints, &self.key, self.measure.model.roles()?)?;
        if path.members.len() < 2 {
            bail!(
                "{}: expected at least two checkpoints, found one: no update leads to it",
                self.run.display()
            );
        }
        let shape = path.shape.clone();
        let Measured {
            model,
            objective,
            assumed,
            ..
        } = (self.measure).objective(&shape, &path.members, self.measure.split)?;
        let bar = progress::bar("updates", path.members.len() - 1);
        let mut updates = Vec::with_capacity(path.members.len() - 1);
        let mut before = direction::flat(
            &shape.layout,
            &RunCheckpoint::open(&path.members[0], &shape)?,
        )?;
        let rates = learning_rates::of(&self.run, &self.key, &path.members);
        for (member, rate) in path.members.iter().zip(rates).skip(1) {
            let after = direction::flat(&shape.layout, &RunCheckpoint::open(member, &shape)?)?;
            let found = objective.critical(&before, &after, || true)?;
            updates.push(Row {
                step: member.step,
                critical_step: found.step,
                sharpness: found.sharpness(),
                beyond: found.beyond(),
                evaluations: found.evaluations,
                learning_rate: rate,
            });
            before = after;
            bar.inc(1);
        }
        bar.finish_and_clear();
        let report = Report {
            run: self.run.display().to_string(),
            model,
            samples: objective.samples(),
            split: self.measure.split,
            assumed,
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
