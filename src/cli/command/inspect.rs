//! `isoloss inspect`: what a checkpoint holds, and which architecture it is.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::options::{KeyOption, ModelOption};
use crate::cli::output::{Format, Forms, OutputOptions};
use crate::cli::warn;
use crate::model;
use crate::model::Reading;
use crate::report::{InspectReport, LeftOutFile, Log, TensorReport};
use crate::run::names::arrange;
use crate::run::{Checkpoint, ModelSettings, StateDict, scan};
use crate::weights::normalize::dot;
use crate::weights::{Layout, Role, WeightsError, roles};

#[derive(Debug, Args)]
pub(in crate::cli) struct Inspect {
    /// A checkpoint, or the folder of a run: its last checkpoint is shown
    path: PathBuf,
    #[command(flatten)]
    key: KeyOption,
    #[command(flatten)]
    model: ModelOption,
    #[command(flatten)]
    output: OutputOptions,
}

impl Inspect {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<()> {
        self.output.check(&self.path, Format::OF_TABLES)?;
        let Shown {
            path,
            step,
            steps,
            left_out,
        } = self.find()?;
        let dict = StateDict::open(&path, self.key.key.as_deref())?;
        // Files that cannot be read are reported as evidence.
        let roles = match self.model.roles() {
            Err(error) if !Path::new(&self.model.name).exists() => return Err(error),
            roles => roles.unwrap_or_default(),
        };
        let layout = roles::layout(dict.tensors(), roles.as_deref());
        let layout = layout.map_err(|source| WeightsError::OtherNames {
            path: path.clone(),
            source,
        })?;
        let settings = ModelSettings::of(&Checkpoint::new(0, &path));
        let (nothing, told) = (Reading::default(), Reading::of_settings(&settings));
        let found = model::recognize_as(&layout, &self.model.name, None, nothing, told);
        let (model, evidence) = match found {
            Ok(recognized) => (Some(recognized.name), recognized.evidence),
            Err(error) => (None, error.to_string()),
        };
        let (tensors, norm) = tensors(&dict, &layout)?;
        if let Some((_, sentence)) = dict.left_out() {
            warn::say(sentence)?;
        }
        let by_name = || {
            let name = path.file_name().map(PathBuf::from).unwrap_or_default();
            arrange(&[name]).points.first().and_then(|point| point.step)
        };
        let news = scan::training_log(&self.path);
        for trouble in &news.warnings {
            warn::say(trouble)?;
        }
        let report = InspectReport {
            step: step
                .or_else(by_name)
                .or_else(|| dict.counters().step.or(dict.counters().epoch)),
            path: path.display().to_string(),
            key: dict.key().map(str::to_owned),
            parameters: layout.parameters(),
            norm,
            model,
            evidence,
            tensors,
            steps,
            left_out,
            log: news.log.as_deref().map(Log::from),
        };
        self.output.print(
            |_| report.text(),
            &report,
            || report.csv(),
            &Forms::default(),
        )
    }

    /// Finds the checkpoint to show, and the run that it is the newest one of.
    fn find(&self) -> anyhow::Result<Shown> {
        if self.path.is_file() {
            return Ok(Shown {
                path: self.path.clone(),
                ..Shown::default()
            });
        }
        let opened = self.key.open(&self.path)?;
        let newest = opened.newest().cloned();
        let left_out = opened
            .unreadable
            .into_iter()
            .map(|(path, reason)| LeftOutFile {
                path: path.display().to_string(),
                reason,
            });
        let left_out: Vec<LeftOutFile> = left_out.collect();
        let Some(newest) = newest else {
            let reasons: Vec<String> = left_out.into_iter().map(|left| left.reason).collect();
            anyhow::bail!(
                "{}: no checkpoint can be read: {}",
                self.path.display(),
                warn::summarized(&reasons).join("; ")
            );
        };
        let step = newest.step;
        let path = newest.kept.unwrap_or(newest.path);
        let is_run = path != self.path;
        let steps = opened.checkpoints.iter().map(|checkpoint| checkpoint.step);
        Ok(Shown {
            step: is_run.then_some(step),
            steps: if is_run { steps.collect() } else { Vec::new() },
            path,
            left_out,
        })
    }
}

/// The checkpoint that is shown.
#[derive(Default)]
struct Shown {
    path: PathBuf,
    /// Its step in the run; `None` if it was named itself.
    step: Option<u64>,
    /// Steps of the whole run.
    steps: Vec<u64>,
    left_out: Vec<LeftOutFile>,
}

/// Returns every tensor with its norm, and the norm of all parameters.
fn tensors(dict: &StateDict, layout: &Layout) -> anyhow::Result<(Vec<TensorReport>, f64)> {
    let mut squares = 0.0;
    let mut tensors = Vec::new();
    for (index, tensor) in dict.tensors().iter().enumerate() {
        let role = layout.find(&tensor.name).map(|(_, slot)| slot.role);
        let norm = match role {
            Some(_) => {
                let values = dict.read(index, 0..tensor.shape.iter().product())?;
                let square = dot(&values, &values);
                if role == Some(Role::Parameter) {
                    squares += square;
                }
                Some(square.sqrt())
            }
            None => None,
        };
        tensors.push(TensorReport {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            dtype: tensor.dtype.to_string(),
            role: match role {
                Some(Role::Parameter) => "parameter",
                Some(Role::RunningStatistic) => "running statistic",
                None => "buffer",
            },
            norm,
        });
    }
    Ok((tensors, squares.sqrt()))
}
