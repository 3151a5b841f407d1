//! `isoloss average`: what averaging the last checkpoints would change.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use crate::cli::options::{MeasureOptions, PathOptions};
use crate::cli::output::{Format, Forms, OutputOptions};
use crate::cli::progress;
use crate::landscape::{Position, Quantity, Query};
use crate::loss::Measure;
use crate::report::{AverageReport, AverageRow};
use crate::session::schedule::AVERAGES;
use crate::weights::PlaneSpec;

#[derive(Debug, Args)]
pub(in crate::cli) struct Average {
    /// Folder of the run
    run: PathBuf,
    #[command(flatten)]
    path: PathOptions,
    #[command(flatten)]
    measure: MeasureOptions,
    /// Numbers of last checkpoints that are averaged; several with commas
    #[arg(long, help_heading = "Run", value_name = "N", value_delimiter = ',')]
    last: Option<Vec<usize>>,
    /// Take running statistics anew from the samples, as is usual after averaging; by default they are
    /// averaged too
    #[arg(long, help_heading = "Run")]
    recalibrate: bool,
    #[command(flatten)]
    output: OutputOptions,
}

impl Average {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<()> {
        self.output.check(&self.run, Format::OF_TABLES)?;
        let checkpoints = self.path.open(&self.run)?;
        self.measure.check()?;
        let path = self
            .measure
            .read_path(checkpoints, &self.path.key, &self.run)?;
        let count = path.members.len();
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
        let mut lasts = vec![1];
        for last in wanted {
            if last <= count && !lasts.contains(&last) {
                lasts.push(last);
            }
        }
        let mut measuring = self.measure.start(&[&self.run], self.measure.split)?;
        let subject = measuring.begin(&self.run, &path.shape, &path.members)?;
        let bar = progress::bar("averages", lasts.len());
        let query = |last: &usize| {
            let members = path.members[count - last..].to_vec();
            if self.recalibrate {
                Query::of(Quantity::RecalibratedLoss(members))
            } else {
                Query::of(Quantity::Loss(Position::Mean(members)))
            }
        };
        let spec = PlaneSpec::through(&path.shape, &path.members[count - 1]);
        let found = measuring.losses(&spec, lasts.iter().map(query).collect(), &bar)?;
        bar.finish_and_clear();
        let alone = found[0];
        let row =
            |(last, found): (usize, &Measure)| AverageRow::of(last, subject.score, *found, alone);
        let rows = lasts.into_iter().zip(&found).map(row).collect();
        let report = AverageReport {
            run: self.run.display().to_string(),
            model: subject.model,
            step: path.members.last().map_or(0, |member| member.step),
            samples: measuring.samples(),
            split: self.measure.split,
            assumed: subject.assumed,
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
