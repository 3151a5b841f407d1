//! `isoloss average`: what averaging the last checkpoints would change.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use crate::report::average::{Report, Row};
use crate::session::schedule::AVERAGES;
use crate::weights::direction;
use crate::weights::run_checkpoint::RunCheckpoint;

use super::measure::Measured;
use super::options::{KeyOption, MeasureOptions, Steps, open_run};
use super::output::{Format, Forms, OutputOptions};
use super::progress;
use super::trajectory::read_path;

#[derive(Debug, Args)]
pub(super) struct Average {
    /// Folder of the run
    run: PathBuf,
    #[command(flatten)]
    key: KeyOption,
    #[command(flatten)]
    measure: MeasureOptions,
    /// Checkpoints to average: A..B or every:N
    #[arg(long, value_name = "STEPS")]
    steps: Option<Steps>,
    /// Numbers of last checkpoints that are averaged; several with commas
    #[arg(long, value_name = "N", value_delimiter = ',')]
    last: Option<Vec<usize>>,
    /// Take running statistics anew from the samples, as is usual after averaging; by default they are
    /// averaged too
    #[arg(long)]
    recalibrate: bool,
    #[command(flatten)]
    output: OutputOptions,
}

impl Average {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        self.output.check(&self.run, Format::OF_TABLES)?;
        let checkpoints = open_run(&self.run, &self.key, self.steps)?;
        self.measure.check()?;
        let path = read_path(checkpoints, &self.key, self.measure.model.roles()?)?;
        let count = path.members.len();
        let shape = path.shape.clone();
        let Measured {
            model,
            objective,
            assumed,
            score,
            ..
        } = (self.measure).objective(&shape, &path.members, self.measure.split)?;
        let wanted = self.last.clone().unwrap_or_else(|| AVERAGES.to_vec());
        if let Some(wrong) = wanted
            .iter()
            .find(|last| **last == 0 || (self.last.is_some() && **last > count))
        {
            bail!(
                "{}: expected --last from 1 to {count}, the number of checkpoints, got {wrong}",
                self.run.display()
            );
        }
        let mut rows: Vec<Row> = Vec::new();
        let bar = progress::bar("averages", wanted.len() + 1);
        for last in std::iter::once(1)
            .chain(wanted)
            .filter(|last| *last <= count)
        {
            bar.inc(1);
            if rows.iter().any(|row| row.last == last) {
                continue;
            }
            let members = &path.members[count - last..];
            let open = |row: usize| RunCheckpoint::open(&members[row], &shape);
            let mean = direction::mean(&shape.layout, last, open)?;
            let found = if self.recalibrate {
                objective.at_recalibrated(&mean)?
            } else {
                objective.at_flat(&mean)?
            };
            let alone = rows.first().map_or(found.loss, |row| row.loss);
            rows.push(Row::of(
                last,
                score,
                found,
                crate::landscape::surface::Measure {
                    loss: alone,
                    ..found
                },
            ));
        }
        bar.finish_and_clear();
        let report = Report {
            run: self.run.display().to_string(),
            model,
            step: path.members.last().map_or(0, |member| member.step),
            samples: objective.samples(),
            split: self.measure.split,
            assumed,
            bn: if self.recalibrate {
                "recalibrated"
            } else {
                "averaged"
            },
            averages: rows,
        };
        self.output.print(
            |_| report.text(),
            &report,
            || report.csv(),
            &Forms::default(),
        )
    }
}
