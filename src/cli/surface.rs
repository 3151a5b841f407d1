//! `isoloss surface`: loss and accuracy on a plane.

use std::path::PathBuf;

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;

use crate::landscape::explore::{Until, explore};
use crate::landscape::objective::{Objective, ResidentPlane};
use crate::landscape::surface::Surface as Grid;
use crate::landscape::{LandscapeError, device, survey};
use crate::plot::relief::View;
use crate::report::surface::{PathPoint, PlaneReport, Report};
use crate::run::Checkpoint;
use crate::session::agenda::MARGIN;
use crate::weights::member::{Member, Shape};
use crate::weights::normalize::{Ignore, Norm};
use crate::weights::recipe::{BatchNorm, Directions, Plane, Recipe};
use crate::weights::{direction, plane};
use crate::{data, model, report};

use super::options::{Axis, DEFAULT_VIEW, KeyOption, LINES, MeasureOptions, Steps, open_run, view};
use super::output::{Format, OutputOptions, Usage};
use super::progress;
use super::trajectory::{ReadPath, read_path};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PlaneKind {
    /// The two principal components of the run's path
    Pca,
    /// Two random directions, normalized by the weights
    Random,
}

#[derive(Debug, Args)]
pub(super) struct Surface {
    /// Folder of the run, or a checkpoint
    run: PathBuf,
    #[command(flatten)]
    key: KeyOption,
    #[command(flatten)]
    measure: MeasureOptions,
    /// Which checkpoints: A..B or every:N
    #[arg(long, value_name = "STEPS")]
    steps: Option<Steps>,
    /// The plane: pca for a run, random for a checkpoint
    #[arg(long, value_enum)]
    plane: Option<PlaneKind>,
    /// Safetensors file with the directions: tensors x.<name> and y.<name>
    #[arg(long, value_name = "FILE", conflicts_with = "plane")]
    directions: Option<PathBuf>,
    /// How random directions are scaled by the weights
    #[arg(long, value_enum, default_value = "filter")]
    norm: Norm,
    /// Tensors that random directions leave alone
    #[arg(long, value_enum, default_value = "biasbn")]
    ignore: Ignore,
    /// What becomes of batch norm's running statistics
    #[arg(long, value_enum, default_value = "frozen")]
    bn: BatchNorm,
    /// The plane's origin: `last` or a step
    #[arg(long, value_name = "STEP", default_value = "last")]
    origin: String,
    /// Range of α, MIN:MAX[:N]; by default from the path, or -1:1; written --x=-1:1:51
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    x: Option<Axis>,
    /// Range of β, likewise
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    y: Option<Axis>,
    /// Measure every grid point
    #[arg(long, conflicts_with = "tolerance")]
    exact: bool,
    /// Stop at this estimated error, a share of the log-loss range
    #[arg(long, value_name = "ERROR", default_value_t = 0.01)]
    tolerance: f64,
    /// A relief instead of the map, turned and tilted by degrees (30,35): --relief=120,50
    #[arg(
        long,
        value_name = "TURN,TILT",
        value_parser = view,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = DEFAULT_VIEW,
        allow_hyphen_values = true
    )]
    relief: Option<View>,
    #[command(flatten)]
    output: OutputOptions,
}

/// A run on its plane, with the loss ready to be measured.
struct Scene {
    path: ReadPath,
    shape: Shape,
    origin: Checkpoint,
    recipe: Recipe,
    plane: Plane,
    /// Coordinates and residual of each checkpoint.
    places: Vec<([f64; 2], f64)>,
    model: String,
    objective: Objective,
}

impl Surface {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        self.output.check(&self.run)?;
        if self.relief.is_some() && self.output.format != Format::Text {
            return Err(Usage("--relief is a picture in text: leave out --format".into()).into());
        }
        let scene = self.scene()?;
        let resident = scene.objective.resident(&scene.plane)?;
        let coordinates: Vec<[f64; 2]> = scene.places.iter().map(|place| place.0).collect();
        let mut grid = self.grid(&scene, &coordinates);
        let points = grid.x().len() * grid.y().len();
        let bar = progress::bar("surface", points + 2 * coordinates.len());
        let until = if self.exact {
            Until::Exact
        } else {
            Until::Tolerance(self.tolerance)
        };
        explore(&mut grid, &coordinates, until, |at| {
            let point = resident.point(at)?;
            scene.objective.at(point).inspect(|_| bar.inc(1))
        })?;
        let path = Self::measure_path(&scene, &resident, &bar)?;
        bar.finish_and_clear();
        let report = self.report(&scene, grid, path);
        self.output.write(&match self.output.format {
            Format::Text => report.text(self.relief),
            Format::Json => report::json(&report.json())?,
            Format::Csv => report.csv()?,
        })
    }

    fn scene(&self) -> anyhow::Result<Scene> {
        let request = self.measure.request().ok_or(LandscapeError::NoData)?;
        let checkpoints = open_run(&self.run, &self.key, self.steps)?;
        let path = read_path(checkpoints, &self.key)?;
        let origin = self.origin(&path.members)?;
        let recipe = Recipe {
            first: path.first.clone(),
            key: self.key.key.clone(),
            directions: self.directions(&path)?,
            origin: origin.clone(),
            batch_norm: self.bn,
        };
        let shape = Shape::of(&recipe.first, self.key.key.as_deref())?;
        let samples = data::load(&request)?;
        let recognized = model::recognize(&shape.layout, &self.measure.model, Some(samples.shape))
            .map_err(|source| LandscapeError::Model {
                path: shape.first.path.clone(),
                source,
            })?;
        let (device, _) = device::open(&self.measure.device)?;
        let batch = self.measure.setup().batch;
        let objective =
            Objective::new(&recognized, shape.layout.clone(), &samples, &device, batch)?;
        let plane = recipe.make()?;
        let places = places(&plane, &path.members, &shape)?;
        Ok(Scene {
            path,
            shape,
            origin,
            recipe,
            plane,
            places,
            model: recognized.name,
            objective,
        })
    }

    fn origin(&self, members: &[Checkpoint]) -> anyhow::Result<Checkpoint> {
        let found = match self.origin.as_str() {
            "last" => members.last(),
            step => {
                let step: u64 = step
                    .parse()
                    .map_err(|_| Usage(format!("--origin {step}: expected `last` or a step")))?;
                members.iter().find(|checkpoint| checkpoint.step == step)
            }
        };
        let steps = || {
            members
                .iter()
                .map(|member| member.step.to_string())
                .collect::<Vec<_>>()
                .join(" ")
        };
        found.cloned().ok_or_else(|| {
            anyhow!(
                "{}: no checkpoint has step {}; there are {}",
                self.run.display(),
                self.origin,
                steps()
            )
        })
    }

    fn directions(&self, path: &ReadPath) -> anyhow::Result<Directions> {
        let is_run = path.members.len() > 1;
        let default = if is_run {
            PlaneKind::Pca
        } else {
            PlaneKind::Random
        };
        if let Some(file) = &self.directions {
            return Ok(Directions::File(file.clone()));
        }
        if self.plane.unwrap_or(default) == PlaneKind::Random {
            return Ok(Directions::Random {
                seed: self.measure.seed,
                norm: self.norm,
                ignore: self.ignore,
            });
        }
        let components = path
            .fit
            .trajectory
            .singular
            .iter()
            .filter(|sigma| **sigma > 0.0)
            .count();
        if components < 2 {
            bail!(
                "{}: expected at least three different checkpoints for a PCA plane, found {} on {}; --plane random needs one",
                self.run.display(),
                path.members.len(),
                if components == 0 {
                    "one point"
                } else {
                    "one line"
                },
            );
        }
        Ok(Directions::Principal {
            members: path.members.clone(),
            combinations: path.fit.combinations.clone(),
        })
    }

    fn grid(&self, scene: &Scene, coordinates: &[[f64; 2]]) -> Grid {
        let default = match scene.recipe.directions {
            Directions::Principal { .. } => survey::window(coordinates, MARGIN),
            Directions::Random { .. } | Directions::File(_) => [[-1.0, 1.0]; 2],
        };
        let lines = |axis: Option<Axis>, [min, max]: [f64; 2]| {
            let axis = axis.unwrap_or(Axis {
                min,
                max,
                lines: LINES,
            });
            survey::spread(axis.min, axis.max, axis.lines)
        };
        Grid::new(lines(self.x, default[0]), lines(self.y, default[1]))
    }

    /// The loss of every checkpoint and of its projection onto the plane.
    fn measure_path(
        scene: &Scene,
        resident: &ResidentPlane,
        bar: &ProgressBar,
    ) -> anyhow::Result<Vec<PathPoint>> {
        let mut points = Vec::with_capacity(scene.path.members.len());
        for (checkpoint, (at, residual)) in scene.path.members.iter().zip(&scene.places) {
            let member = Member::open(checkpoint, &scene.shape)?;
            let own = scene
                .objective
                .at_flat(&direction::flat(&scene.shape.layout, &member)?)?;
            let projected = scene.objective.at(resident.point(*at)?)?;
            bar.inc(2);
            points.push(PathPoint {
                step: checkpoint.step,
                x: at[0],
                y: at[1],
                residual: *residual,
                loss: own.loss,
                plane_loss: projected.loss,
            });
        }
        Ok(points)
    }

    fn report(&self, scene: &Scene, grid: Grid, path: Vec<PathPoint>) -> Report {
        let metric = scene.plane.metric();
        let trajectory = &scene.path.fit.trajectory;
        let (kind, random, explained) = match scene.recipe.directions {
            Directions::Principal { .. } => (
                "pca",
                false,
                trajectory.explained.get(..2).map(<[f64]>::to_vec),
            ),
            Directions::Random { .. } => ("random", true, None),
            Directions::File(_) => ("file", false, None),
        };
        Report {
            run: self.run.display().to_string(),
            origin: scene.origin.step,
            model: scene.model.clone(),
            parameters: scene.path.parameters,
            samples: scene.objective.samples(),
            split: self.measure.split,
            seed: self.measure.seed,
            bn: self.bn,
            plane: PlaneReport {
                kind,
                norm: random.then_some(self.norm),
                ignore: random.then_some(self.ignore),
                explained,
                cosine: metric.cosine(),
                expected_cosine: plane::expected_cosine(scene.path.parameters),
            },
            grid,
            path,
        }
    }
}

/// Where each checkpoint lies on the plane: coordinates of θ_t − θ* and residual.
fn places(
    plane: &Plane,
    members: &[Checkpoint],
    shape: &Shape,
) -> anyhow::Result<Vec<([f64; 2], f64)>> {
    let count = plane.layout.parameters();
    let [x, y] = plane.parameters();
    members
        .iter()
        .map(|checkpoint| {
            let mut delta = direction::flat(&shape.layout, &Member::open(checkpoint, shape)?)?;
            for (value, origin) in delta.iter_mut().zip(&plane.origin) {
                *value -= origin;
            }
            Ok(plane::project(&delta[..count], x, y))
        })
        .collect()
}
