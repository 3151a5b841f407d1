//! `isoloss compare`: up to six runs or checkpoints side by side, or two runs on one plane.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use indicatif::ProgressBar;

use crate::cli::measure::Measuring;
use crate::cli::options::{LINES, MeasureOptions, PathOptions, PlaneKind};
use crate::cli::output::{Format, Forms, OutputOptions, Usage};
use crate::cli::scene::{EffortOptions, GridOptions, PlaneChoice, PlaneOptions, Scene};
use crate::cli::{learning_rates, progress, warn};
use crate::data::Split;
use crate::landscape::grid::surface::{Measure, Surface as Grid};
use crate::landscape::{MeasuredFunction, Query};
use crate::report::compare::WIDTH;
use crate::report::{CompareReport, PathPoint, Subject, Test};
use crate::run::{Checkpoint, Hyper};

/// More panels than this cannot be read.
const MOST: usize = 6;

#[derive(Debug, Args)]
pub(in crate::cli) struct Compare {
    /// Folders of two to six runs, or checkpoints
    // How many are needed clap would ask of those in front of each option.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Label of each run, in the order of the runs; by default what its checkpoint says
    /// (batch size, weight decay), else its name
    #[arg(long = "label", help_heading = "Output", value_name = "TEXT")]
    labels: Vec<String>,
    /// Two runs of one architecture on the principal plane of both, with both paths
    #[arg(long, help_heading = "Plane", conflicts_with_all = ["plane", "directions", "origin"])]
    shared: bool,
    #[command(flatten)]
    path: PathOptions,
    #[command(flatten)]
    measure: MeasureOptions,
    #[command(flatten)]
    plane: PlaneOptions,
    #[command(flatten)]
    grid: GridOptions,
    #[command(flatten)]
    effort: EffortOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl Compare {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<()> {
        self.check()?;
        let scenes = if self.shared {
            vec![self.shared_scene()?]
        } else {
            let scene = |run: &PathBuf| self.options().scene(run, &self.path, &self.measure);
            self.runs.iter().map(scene).collect::<anyhow::Result<_>>()?
        };
        let [x, y] = self.grid.lines(union(&scenes), LINES);
        let checkpoints: usize = scenes.iter().map(|scene| scene.places.len()).sum();
        let bar = progress::at_most(
            "compare",
            scenes.len() * x.len() * y.len() + 2 * checkpoints,
        );
        let labels = self.labels(&scenes);
        let runs: Vec<&Path> = self.runs.iter().map(PathBuf::as_path).collect();
        let mut measuring = self.measure.start(&runs, self.measure.split)?;
        let mut subjects = Vec::with_capacity(scenes.len());
        for (i, scene) in scenes.iter().enumerate() {
            let grid = self.effort.surface([x.clone(), y.clone()]);
            let subject = self.subject(scene, i, (grid, &labels), &mut measuring, &bar)?;
            subjects.push(subject);
        }
        bar.finish_and_clear();
        let report = CompareReport {
            samples: measuring.samples(),
            split: self.measure.split,
            seed: self.measure.seed,
            bn: scenes
                .first()
                .map_or(self.plane.bn, |scene| scene.spec.batch_norm),
            has_statistics: scenes
                .iter()
                .any(|scene| scene.path.shape.layout.has_statistics()),
            subjects,
        };
        let forms = Forms {
            picture: Some(&|palette| report.picture(palette)),
            arrays: Some(&|| Ok(report.arrays())),
            pieces: Some(&|| report.pieces()),
        };
        let json = report.json();
        let width = self.output.within(WIDTH);
        self.output
            .print(|_| report.text(width), &json, || report.csv(), &forms)
    }

    fn check(&self) -> anyhow::Result<()> {
        let count = self.runs.len();
        if !(2..=MOST).contains(&count) {
            let sentence = format!("expected 2 to {MOST} runs to compare and no more, got {count}");
            return Err(Usage(sentence).into());
        }
        for run in &self.runs {
            self.output.check(run, Format::OF_MAPS)?;
        }
        let plane = self.plane.plane_out.as_deref();
        self.output.refuse_same("--plane-out", plane)?;
        let given = self.labels.len();
        if given > 0 && given != self.runs.len() {
            let wanted = self.runs.len();
            return Err(Usage(format!(
                "--label: expected one for each of {wanted} runs, got {given}"
            ))
            .into());
        }
        if self.shared && self.runs.len() != 2 {
            return Err(Usage(format!(
                "--shared: expected two runs, got {}",
                self.runs.len()
            ))
            .into());
        }
        if self.plane.plane_out.is_some() && !self.shared {
            return Err(
                Usage("--plane-out: each run has a plane of its own; add --shared".into()).into(),
            );
        }
        Ok(())
    }

    /// Chooses random planes, as the paper's comparisons do, unless the user says otherwise.
    fn options(&self) -> PlaneOptions {
        let mut options = self.plane.clone();
        if !options.is_chosen() {
            options.plane = Some(PlaneChoice::Kind(PlaneKind::Random));
        }
        options
    }

    /// Returns both runs as one path, on its own principal plane, through the first run's last checkpoint.
    fn shared_scene(&self) -> anyhow::Result<Scene> {
        // Each by itself first, because only that tells what an earlier run left in its folder.
        let own = |run: &PathBuf| {
            let checkpoints = self.path.open(run)?;
            let path = self.measure.read_path(checkpoints, &self.path.key, run)?;
            anyhow::Ok(path.members)
        };
        let (first, second) = (own(&self.runs[0])?, own(&self.runs[1])?);
        let runs = [(self.runs[0].as_path(), first), (&self.runs[1], second)];
        self.plane.shared_scene(runs, &self.path.key, &self.measure)
    }

    /// Asks the path which function it followed, and the second run of a shared plane whether it was the same.
    fn begin(
        &self,
        scene: &Scene,
        index: usize,
        measuring: &mut Measuring,
    ) -> anyhow::Result<MeasuredFunction> {
        // No update leads from one run to the other.
        let (own, others) = self.members(scene, index);
        let mut function = measuring.begin(&self.runs[index], &scene.path.shape, &own)?;
        // It may be the same run twice.
        if others.is_empty() {
            return Ok(function);
        }
        let other = measuring.followed(&scene.path.shape, &others)?;
        if let Some(differs) = function.assumed.differs(&other) {
            warn::say(differs)?;
        }
        Ok(function)
    }

    /// Returns the checkpoints of a scene that are a run's own, and those of the other run on a shared plane.
    fn members(&self, scene: &Scene, index: usize) -> (Vec<Checkpoint>, Vec<Checkpoint>) {
        let run = &self.runs[index];
        let is_own = |member: &Checkpoint| !self.shared || member.path.starts_with(run);
        scene.path.members.iter().cloned().partition(is_own)
    }

    fn subject(
        &self,
        scene: &Scene,
        index: usize,
        (grid, labels): (Grid, &[String]),
        measuring: &mut Measuring,
        bar: &ProgressBar,
    ) -> anyhow::Result<Subject> {
        let function = self.begin(scene, index, measuring)?;
        let (own, _) = self.members(scene, index);
        let asked = (grid, self.effort);
        let (grid, fidelity) = scene.explore(measuring, function.score, asked, bar)?;
        let points = scene.measure_path(measuring, bar)?;
        let (path, other) = if self.shared {
            split(scene, &points, &self.runs[0])
        } else {
            (points, Vec::new())
        };
        let (at_origin, test) = at_origin(scene, self.measure.split, measuring)?;
        // The others have the same samples.
        let test = test.inspect_err(|error| {
            if index == 0 {
                // The result counts even where nobody reads what it lacks.
                let _ = warn::say(format_args!("no test error: {error:#}"));
            }
        });
        let (run, label) = if self.shared {
            let names: Vec<String> = self
                .runs
                .iter()
                .map(|run| run.display().to_string())
                .collect();
            (
                names.join(" "),
                format!("{} ○● and {} □■", labels[0], labels[1]),
            )
        } else {
            (
                self.runs[index].display().to_string(),
                labels[index].clone(),
            )
        };
        Ok(Subject {
            run,
            label,
            step: scene.origin.step,
            model: function.model,
            assumed: function.assumed,
            parameters: scene.path.parameters,
            plane: PlaneOptions::report(scene),
            at_origin,
            test: test.ok(),
            score: function.score,
            grid,
            fidelity,
            drops: learning_rates::drops(&self.runs[index], &self.path.key, &own),
            path,
            other,
        })
    }

    /// Labels runs as the user says, else by what the checkpoints say where that tells them apart, with the name.
    fn labels(&self, scenes: &[Scene]) -> Vec<String> {
        if !self.labels.is_empty() {
            return self.labels.clone();
        }
        let label = |(run, scene): (&PathBuf, &Scene)| {
            let origin = std::slice::from_ref(&scene.origin);
            let settings = learning_rates::settings(run, origin);
            settings.first().map(Hyper::label).unwrap_or_default()
        };
        let told: Vec<String> = self.runs.iter().zip(scenes).map(label).collect();
        let with = |(name, told): (String, Option<&String>)| match told {
            Some(told) if !told.is_empty() => format!("{name}, {told}"),
            _ => name,
        };
        let told = (0..self.runs.len()).map(|i| told.get(i));
        names(&self.runs).into_iter().zip(told).map(with).collect()
    }
}

/// Returns the loss and score of the checkpoint at the origin, on the samples and on test samples.
fn at_origin(
    scene: &Scene,
    split: Split,
    measuring: &mut Measuring,
) -> anyhow::Result<(Measure, anyhow::Result<Test>)> {
    let hidden = ProgressBar::hidden();
    let mut on = |split| {
        let query = vec![Query::of_checkpoint(scene.origin.clone())];
        let found = measuring.measures(&scene.spec, split, query, &hidden)?;
        let samples = measuring.samples_of(split).unwrap_or(0);
        let measure = found.first().copied();
        let measure = measure.context("expected the loss of a checkpoint, found none")?;
        anyhow::Ok(Test { measure, samples })
    };
    // A set without test samples has no test error.
    let (own, test) = (on(split)?, on(Split::Test));
    Ok((own.measure, test))
}

/// Returns the last part of each path, and as many more as tell them apart.
fn names(runs: &[PathBuf]) -> Vec<String> {
    let name = |run: &Path, parts: usize| {
        let all: Vec<_> = run
            .components()
            .map(|c| c.as_os_str().to_string_lossy())
            .collect();
        all[all.len().saturating_sub(parts)..].join("/")
    };
    let longest = runs
        .iter()
        .map(|run| run.components().count())
        .max()
        .unwrap_or(1);
    (1..=longest)
        .map(|parts| runs.iter().map(|run| name(run, parts)).collect::<Vec<_>>())
        .find(|names| (1..names.len()).all(|i| !names[..i].contains(&names[i])))
        .unwrap_or_else(|| runs.iter().map(|run| run.display().to_string()).collect())
}

/// Returns the window that holds those of all scenes.
fn union(scenes: &[Scene]) -> [[f64; 2]; 2] {
    let windows = scenes.iter().map(Scene::window);
    windows
        .reduce(|a, b| [0, 1].map(|k| [a[k][0].min(b[k][0]), a[k][1].max(b[k][1])]))
        .unwrap_or([[-1.0, 1.0]; 2])
}

/// Returns the points of the first run, and those of the second.
fn split(scene: &Scene, points: &[PathPoint], first: &Path) -> (Vec<PathPoint>, Vec<PathPoint>) {
    let pairs = scene.path.members.iter().zip(points);
    let (own, other): (Vec<_>, Vec<_>) =
        pairs.partition(|(member, _)| member.path.starts_with(first));
    let points = |pairs: Vec<(_, &PathPoint)>| pairs.into_iter().map(|pair| *pair.1).collect();
    (points(own), points(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_long_as_it_takes_to_tell_runs_apart() {
        let of = |runs: &[&str]| names(&runs.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(of(&["runs/a", "runs/b"]), ["a", "b"]);
        assert_eq!(of(&["a/last.pt", "b/last.pt"]), ["a/last.pt", "b/last.pt"]);
        assert_eq!(of(&["a", "a"]), ["a", "a"]);
    }
}
