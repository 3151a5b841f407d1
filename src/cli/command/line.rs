//! `isoloss line`: 1-D slices through a checkpoint, or the interpolation between two.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;

use crate::cli::measure::{LAST, Measuring, origin};
use crate::cli::options::{Axis, LINES, MeasureOptions, PathOptions};
use crate::cli::output::{Format, Forms, OutputOptions};
use crate::cli::progress;
use crate::cli::read_path::ReadPath;
use crate::cli::scene::refuse_another_architecture;
use crate::cli::warn;
use crate::data::Split;
use crate::landscape::grid::survey;
use crate::landscape::line::refined_barrier;
use crate::landscape::{MeasuredFunction, Query};
use crate::loss::Score;
use crate::report::{LineReport, ReportedLine, SplitValues};
use crate::run::Checkpoint;
use crate::session::schedule::MARGIN;
use crate::weights::{BatchNorm, Directions, Ignore, Norm, PlaneSpec, RunShape};

/// Directions of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SliceDirection {
    /// Random directions, one a seed, normalized by the weights
    Random,
    /// The first principal component of the run's path
    Pc1,
    /// The second one
    Pc2,
    /// From the checkpoint before to this one: α = −1 to α = 0
    Update,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Line {
    /// A checkpoint, or a run: its last one
    a: PathBuf,
    /// Another one, at α = 1; without it slices through A are measured
    b: Option<PathBuf>,
    #[command(flatten)]
    path: PathOptions,
    #[command(flatten)]
    measure: MeasureOptions,
    /// Directions of the slices; several with commas
    #[arg(
        long,
        help_heading = "Plane",
        value_enum,
        value_delimiter = ',',
        default_value = "random",
        conflicts_with = "b"
    )]
    along: Vec<SliceDirection>,
    /// Number of random directions that are overlaid, with seeds from --seed on
    #[arg(long, help_heading = "Plane", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64), conflicts_with = "b")]
    seeds: u64,
    /// Safetensors file with the direction: tensors x.<name>
    #[arg(long, help_heading = "Plane", value_name = "FILE", conflicts_with_all = ["along", "b"])]
    directions: Option<PathBuf>,
    /// Scaling of random directions by the weights
    #[arg(long, help_heading = "Plane", value_enum, default_value = "filter")]
    norm: Norm,
    /// Tensors that random directions leave alone
    #[arg(long, help_heading = "Plane", value_enum, default_value = "biasbn")]
    ignore: Ignore,
    /// Treatment of batch norm's running statistics: by default they are interpolated from A to B (states), and
    /// stay A's along slices (frozen)
    #[arg(long, help_heading = "Plane", env = "ISOLOSS_BN", value_enum)]
    bn: Option<BatchNorm>,
    /// The checkpoint of a run through which slices go: `last` or a step
    #[arg(long, help_heading = "Plane", value_name = "STEP", default_value = LAST)]
    origin: String,
    /// Range of α, MIN:MAX[:N]; by default -0.5:1.5 from A to B, -1:1 along random directions, from
    /// the path along components; written --x=-1:1:51
    #[arg(
        long,
        help_heading = "Plane",
        value_name = "RANGE",
        allow_hyphen_values = true
    )]
    x: Option<Axis>,
    #[command(flatten)]
    output: OutputOptions,
}

/// A line to be measured.
struct LinePlan {
    direction: String,
    seed: Option<u64>,
    directions: Directions,
    /// Index of the plane's direction.
    axis: usize,
    alpha: Vec<f64>,
    /// True if it leads from one checkpoint to another, with a barrier between them.
    has_ends: bool,
}

impl Line {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<()> {
        for run in std::iter::once(&self.a).chain(&self.b) {
            self.output.check(run, Format::OF_CURVES)?;
        }
        let checkpoints = self.path.open(&self.a)?;
        self.measure.check()?;
        let path = self
            .measure
            .read_path(checkpoints, &self.path.key, &self.a)?;
        let at = origin(&self.origin, &path.members, &self.a)?;
        let a = path.members[at].clone();
        let ends = self
            .b
            .as_ref()
            .map(|b| self.members_of(b, &a))
            .transpose()?;
        let ends = ends.unwrap_or_default();
        let b = ends.last();
        let plans = match b {
            Some(b) => vec![self.between(&a, b)],
            None => self.slices(&path, at)?,
        };
        let mut measuring = self.start(&path, &ends)?;
        let report = self.measure_all(&path.shape, (&a, b), plans, &mut measuring)?;
        let forms = Forms {
            picture: Some(&|palette| report.picture(palette)),
            arrays: Some(&|| Ok(report.arrays())),
            pieces: None,
        };
        let json = report.json();
        self.output
            .print(|width| report.text(width), &json, || report.csv(), &forms)
    }

    /// Returns the checkpoints of B, of which there is at least one.
    fn members_of(&self, b: &Path, a: &Checkpoint) -> anyhow::Result<Vec<Checkpoint>> {
        let checkpoints = self.path.open_whole(b)?;
        let path = self.measure.read_path(checkpoints, &self.path.key, b)?;
        let Some(last) = path.members.last() else {
            bail!("{}: expected a checkpoint, found none", b.display());
        };
        let roles = self.measure.model.roles()?;
        let runs = [(self.a.as_path(), a), (b, last)];
        refuse_another_architecture(runs, &self.path.key, roles.as_ref())?;
        Ok(path.members)
    }

    fn between(&self, a: &Checkpoint, b: &Checkpoint) -> LinePlan {
        LinePlan {
            direction: "A to B".into(),
            seed: None,
            directions: Directions::Difference {
                from: a.clone(),
                to: b.clone(),
            },
            axis: 0,
            alpha: self.range([-0.5, 1.5]),
            has_ends: true,
        }
    }

    fn range(&self, [min, max]: [f64; 2]) -> Vec<f64> {
        let axis = self.x.unwrap_or(Axis {
            min,
            max,
            lines: LINES,
        });
        survey::spread(axis.min, axis.max, axis.lines)
    }

    fn slices(&self, path: &ReadPath, at: usize) -> anyhow::Result<Vec<LinePlan>> {
        if let Some(file) = &self.directions {
            return Ok(vec![LinePlan {
                direction: "file".into(),
                seed: None,
                directions: Directions::File { path: file.clone() },
                axis: 0,
                alpha: self.range([-1.0, 1.0]),
                has_ends: false,
            }]);
        }
        let mut plans = Vec::new();
        for along in &self.along {
            match along {
                SliceDirection::Random => plans.extend(self.random()),
                SliceDirection::Pc1 => plans.push(self.component(path, at, 0)?),
                SliceDirection::Pc2 => plans.push(self.component(path, at, 1)?),
                SliceDirection::Update => plans.push(self.update(path, at)?),
            }
        }
        Ok(plans)
    }

    fn random(&self) -> impl Iterator<Item = LinePlan> {
        let seeds = self.measure.seed..self.measure.seed.saturating_add(self.seeds);
        seeds.map(|seed| LinePlan {
            direction: "random".into(),
            seed: Some(seed),
            directions: Directions::Random {
                seed,
                norm: self.norm,
                ignore: self.ignore,
                orthogonal: false,
            },
            axis: 0,
            alpha: self.range([-1.0, 1.0]),
            has_ends: false,
        })
    }

    /// Returns a slice along a principal component, as wide as the path with its margin.
    fn component(&self, path: &ReadPath, at: usize, axis: usize) -> anyhow::Result<LinePlan> {
        let trajectory = &path.fit.trajectory;
        if trajectory
            .singular
            .get(axis)
            .is_none_or(|sigma| *sigma <= 0.0)
        {
            bail!(
                "{}: expected at least {} different checkpoints for a slice along PC{}, found {}; --along random needs one",
                self.a.display(),
                axis + 2,
                axis + 1,
                path.members.len()
            );
        }
        let window = survey::window(&trajectory.coordinates, MARGIN)[axis];
        let here = trajectory.coordinates[at][axis];
        Ok(LinePlan {
            direction: format!("pc{}", axis + 1),
            seed: None,
            directions: Directions::Principal {
                members: path.members.clone(),
                combinations: path.fit.combinations.clone(),
            },
            axis,
            alpha: self.range(window.map(|end| end - here)),
            has_ends: false,
        })
    }

    fn update(&self, path: &ReadPath, at: usize) -> anyhow::Result<LinePlan> {
        let Some(before) = at
            .checked_sub(1)
            .and_then(|before| path.members.get(before))
        else {
            bail!(
                "{}: step {} has no checkpoint before it here, so there is no update to slice along; give a run's folder, or a later step with --origin",
                self.a.display(),
                path.members[at].step
            );
        };
        Ok(LinePlan {
            direction: "update".into(),
            seed: None,
            directions: Directions::Difference {
                from: before.clone(),
                to: path.members[at].clone(),
            },
            axis: 0,
            alpha: self.range([-2.0, 2.0]),
            has_ends: false,
        })
    }

    /// Starts workers on the training samples; on a set without them, on the test samples.
    fn start(
        &self,
        path: &ReadPath,
        ends: &[Checkpoint],
    ) -> anyhow::Result<(Measuring, MeasuredFunction, Split)> {
        let runs: Vec<&Path> = [&self.a]
            .into_iter()
            .chain(&self.b)
            .map(PathBuf::as_path)
            .collect();
        let begin = |split| {
            let mut measuring = self.measure.start(&runs, split)?;
            let function = self.ask(&mut measuring, path, ends)?;
            anyhow::Ok((measuring, function, split))
        };
        begin(Split::Train).or_else(|error| {
            let Ok(others) = begin(Split::Test) else {
                return Err(error);
            };
            // The result counts even where nobody reads what it lacks.
            let _ = warn::say(format_args!("training samples are not measured: {error:#}"));
            Ok(others)
        })
    }

    /// Asks the path of A which function it followed; where A is alone, the path of B; and of two runs both, because A's
    /// function is measured along the whole line.
    fn ask(
        &self,
        measuring: &mut Measuring,
        path: &ReadPath,
        ends: &[Checkpoint],
    ) -> anyhow::Result<MeasuredFunction> {
        let (members, shape) = (&path.members, &path.shape);
        match (&self.b, members.as_slice(), ends) {
            (Some(b), [_], [_, _, ..]) => measuring.begin(b, shape, ends),
            (Some(_), [a], [b]) => {
                // One of two files may be untrained and tell nothing.
                let mut both = vec![a.clone(), b.clone()];
                both.sort_by_key(|member| member.step);
                measuring.begin(&self.a, shape, &both)
            }
            (Some(_), [_, ..], [_, _, ..]) => {
                let mut function = measuring.begin(&self.a, shape, members)?;
                let other = measuring.followed(shape, ends)?;
                if let Some(differs) = function.assumed.differs(&other) {
                    warn::say(differs)?;
                }
                Ok(function)
            }
            _ => measuring.begin(&self.a, shape, members),
        }
    }

    fn measure_all(
        &self,
        shape: &RunShape,
        (a, b): (&Checkpoint, Option<&Checkpoint>),
        plans: Vec<LinePlan>,
        (measuring, function, split): &mut (Measuring, MeasuredFunction, Split),
    ) -> anyhow::Result<LineReport> {
        let default = if b.is_some() {
            BatchNorm::States
        } else {
            BatchNorm::Frozen
        };
        let bn = self.bn.unwrap_or(default);
        let points: usize = plans.iter().map(|plan| plan.alpha.len() + 2).sum();
        let bar = progress::bar("line", 2 * points);
        let mut curves = Vec::with_capacity(plans.len());
        let mut has_test = true;
        for plan in plans {
            let spec = PlaneSpec {
                shape: shape.clone(),
                origin: a.clone(),
                directions: plan.directions.clone(),
                batch_norm: bn,
            };
            let mut on = |split| values(measuring, split, function.score, &spec, &plan, &bar);
            let train = (*split == Split::Train)
                .then(|| on(Split::Train))
                .transpose()?;
            let test = if train.is_none() {
                Some(on(Split::Test)?)
            } else if has_test {
                // A set without test samples is measured on the others alone.
                on(Split::Test)
                    .inspect_err(|error| {
                        let _ = warn::say(format_args!("test samples are not measured: {error:#}"));
                    })
                    .ok()
            } else {
                None
            };
            has_test = test.is_some();
            curves.push(ReportedLine {
                direction: plan.direction,
                seed: plan.seed,
                alpha: plan.alpha,
                train,
                test,
            });
        }
        bar.finish_and_clear();
        let samples =
            [Split::Train, Split::Test].map(|split| measuring.samples_of(split).unwrap_or(0));
        let MeasuredFunction {
            model,
            assumed,
            score,
            ..
        } = function.clone();
        Ok(LineReport {
            a: a.path.display().to_string(),
            b: b.map(|b| b.path.display().to_string()),
            model,
            assumed,
            samples,
            seed: self.measure.seed,
            bn,
            has_statistics: shape.layout.has_statistics(),
            score,
            curves,
        })
    }
}

fn values(
    measuring: &mut Measuring,
    split: Split,
    score: Option<Score>,
    spec: &PlaneSpec,
    plan: &LinePlan,
    bar: &ProgressBar,
) -> anyhow::Result<SplitValues> {
    let mut walk = |alpha: &[f64], bar: &ProgressBar| {
        let at = |alpha: &f64| {
            Query::on_plane(if plan.axis == 0 {
                [*alpha, 0.0]
            } else {
                [0.0, *alpha]
            })
        };
        measuring.measures(spec, split, alpha.iter().map(at).collect(), bar)
    };
    let points = walk(&plan.alpha, bar)?;
    let ends = walk(&[0.0, 1.0], bar)?;
    let ends = [ends[0], ends[1]];
    let barrier = || {
        let loss: Vec<f64> = points.iter().map(|point| point.loss).collect();
        let hidden = ProgressBar::hidden();
        refined_barrier(&plan.alpha, &loss, ends.map(|end| end.loss), |alpha| {
            anyhow::Ok(walk(&[alpha], &hidden)?[0].loss)
        })
    };
    let barrier = plan.has_ends.then(barrier).transpose()?;
    Ok(SplitValues::of(&points, score, ends, barrier))
}
