//! A run or checkpoint on a plane, and its loss there: what `surface`, `compare` and `hessian` begin with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;

use crate::landscape::grid::explore::explore;
use crate::landscape::grid::fidelity::{self};
use crate::landscape::grid::surface::TOLERANCE;
use crate::landscape::grid::survey;
use crate::landscape::{Complement, Query, Surface, Until};
use crate::loss::Score;
use crate::model;
use crate::model::Reading;
use crate::report::{FidelityReport, PathPoint, PlaneReport};
use crate::run::Checkpoint;
use crate::session::schedule::MARGIN;
use crate::weights::{
    BatchNorm, Directions, Ignore, Metric, Norm, Plane, PlaneRecipe, PlaneSpec, Roles,
    RunCheckpoint, RunShape, WeightsError, direction, plane,
};

use super::measure::{LAST, Measuring, origin};
use super::options::{
    Axis, FidelityOption, KeyOption, LINES, MeasureOptions, PathOptions, PlaneKind,
};
use super::output::{Usage, check_file, write_file};
use super::read_path::{ReadPath, read_path_of_many};

/// Choice of the plane.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Plane")]
pub(super) struct PlaneOptions {
    /// The plane: pca (of a run), random (of a checkpoint), or a file that --plane-out wrote, whose origin and batch norm
    /// count then
    #[arg(long, value_name = "KIND|FILE", value_parser = plane_choice)]
    pub(super) plane: Option<PlaneChoice>,
    /// File to write the plane to as instructions, which another machine repeats to the bit with --plane FILE
    #[arg(long, value_name = "FILE")]
    pub(super) plane_out: Option<PathBuf>,
    /// Safetensors file with the directions: tensors x.<name> and y.<name>
    #[arg(long, value_name = "FILE", conflicts_with = "plane")]
    directions: Option<PathBuf>,
    /// Scaling of random directions by the weights
    #[arg(long, value_enum, default_value = "filter")]
    norm: Norm,
    /// Tensors that random directions leave alone
    #[arg(long, value_enum, default_value = "biasbn")]
    ignore: Ignore,
    /// Make the second random direction orthogonal to the first
    #[arg(long)]
    orthogonal: bool,
    /// Treatment of batch norm's running statistics
    #[arg(long, env = "ISOLOSS_BN", value_enum, default_value = "frozen")]
    pub(super) bn: BatchNorm,
    /// The plane's origin: `last` or a step
    #[arg(long, value_name = "STEP", default_value = LAST)]
    origin: String,
}

/// A plane as `--plane` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PlaneChoice {
    /// A kind of directions.
    Kind(PlaneKind),
    /// The file of a recipe.
    File(PathBuf),
}

fn plane_choice(text: &str) -> Result<PlaneChoice, String> {
    match PlaneKind::from_str(text, false) {
        Ok(kind) => Ok(PlaneChoice::Kind(kind)),
        Err(_) if Path::new(text).is_file() => Ok(PlaneChoice::File(text.into())),
        Err(_) => Err("expected pca, random, or a file that --plane-out wrote".to_owned()),
    }
}

/// Choice of the grid.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Plane")]
pub(super) struct GridOptions {
    /// Range of α, MIN:MAX[:N]; by default from the path, or -1:1; written --x=-1:1:51
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    pub(super) x: Option<Axis>,
    /// Range of β, likewise
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    pub(super) y: Option<Axis>,
}

/// Share of the grid that is measured.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Measuring")]
pub(super) struct EffortOptions {
    /// Measure every grid point
    #[arg(long, conflicts_with_all = ["tolerance", "fidelity"])]
    exact: bool,
    /// Stop at this estimated error, a share of the log-loss range
    #[arg(long, value_name = "ERROR", default_value_t = TOLERANCE, value_parser = tolerance, allow_negative_numbers = true)]
    tolerance: f64,
    #[command(flatten)]
    fidelity: FidelityOption,
}

fn tolerance(text: &str) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|error: &f64| *error > 0.0 && error.is_finite());
    number.ok_or_else(|| "expected a number above 0, such as 0.01".to_owned())
}

impl EffortOptions {
    /// Returns an empty surface over these lines, which rests within the tolerance.
    pub(super) fn surface(self, [x, y]: [Vec<f64>; 2]) -> Surface {
        Surface::new(x, y).with_tolerance(self.tolerance)
    }

    /// Returns the number of samples that are measured everywhere; `None` if all are.
    fn few(self, samples: usize) -> Result<Option<usize>, Usage> {
        if self.exact {
            return Ok(None);
        }
        fidelity::few(self.fidelity.fidelity, samples).map_err(|error| Usage(error.to_string()))
    }
}

impl GridOptions {
    /// Returns the grid's lines, where the user did not say `lines` a side over `window`.
    pub(super) fn lines(&self, window: [[f64; 2]; 2], lines: usize) -> [Vec<f64>; 2] {
        let spread = |axis: Option<Axis>, [min, max]: [f64; 2]| {
            let axis = axis.unwrap_or(Axis { min, max, lines });
            survey::spread(axis.min, axis.max, axis.lines)
        };
        [spread(self.x, window[0]), spread(self.y, window[1])]
    }
}

/// A run on its plane.
pub(super) struct Scene {
    pub(super) path: ReadPath,
    pub(super) origin: Checkpoint,
    pub(super) spec: PlaneSpec,
    /// Dot products of the plane's directions.
    metric: Metric,
    /// Parameters that the directions move.
    extent: usize,
    /// Mean |cosine| of random directions that are as long in each entry.
    expected_cosine: f64,
    /// Coordinates and residual of each checkpoint.
    pub(super) places: Vec<([f64; 2], f64)>,
}

impl PlaneOptions {
    /// Reads the run and chooses the plane.
    pub(super) fn scene(
        &self,
        run: &Path,
        choice: &PathOptions,
        measure: &MeasureOptions,
    ) -> anyhow::Result<Scene> {
        self.check_plane_out(run)?;
        let checkpoints = choice.open(run)?;
        let key = &choice.key;
        measure.check()?;
        if let Some(PlaneChoice::File(file)) = &self.plane {
            self.refuse_beside(file)?;
        }
        let path = measure.read_path(checkpoints, key, run)?;
        let chosen = if let Some(PlaneChoice::File(file)) = &self.plane {
            let recipe = PlaneRecipe::read(file)?;
            let (origin, directions, bn) = recipe.among(&path.members, key.key.as_deref(), file)?;
            if self.bn != BatchNorm::Frozen && self.bn != bn {
                bail!(Usage(format!(
                    "--bn: --plane {} is one of batch norm {}; leave one of them out",
                    file.display(),
                    bn.name()
                )));
            }
            (origin, directions, bn)
        } else {
            let origin = origin(&self.origin, &path.members, run)?;
            let directions = self.directions(run, &path, measure.seed)?;
            (path.members[origin].clone(), directions, self.bn)
        };
        self.finish(path, chosen, (measure, &[run]))
    }

    /// Returns the principal plane of two runs of one architecture, through a checkpoint of the first.
    pub(super) fn shared_scene(
        &self,
        runs: [(&Path, Vec<Checkpoint>); 2],
        key: &KeyOption,
        measure: &MeasureOptions,
    ) -> anyhow::Result<Scene> {
        measure.check()?;
        let [(first, own), (second, others)] = runs;
        self.check_plane_out(first)?;
        self.check_plane_out(second)?;
        let (Some(origin), Some(other)) = (own.last().cloned(), others.last()) else {
            bail!("--shared: expected checkpoints of two runs, found none");
        };
        let roles = measure.model.roles()?;
        refuse_another_architecture([(first, &origin), (second, other)], key, roles.as_ref())?;
        let kept = measure.hosting.products(&[first, second]);
        let path = read_path_of_many([own, others].concat(), key, roles, kept)?;
        let directions = principal(&path).map_err(|found| {
            anyhow!(
                "{} and {}: expected at least three different checkpoints of both together for a shared plane, found {found}; without --shared each has a plane of its own",
                first.display(),
                second.display(),
            )
        })?;
        let chosen = (origin, directions, self.bn);
        self.finish(path, chosen, (measure, &[first, second]))
    }

    /// Refuses options that would make another plane than the file that was given.
    fn refuse_beside(&self, file: &Path) -> Result<(), Usage> {
        let given = [
            ("--origin", self.origin != LAST),
            ("--norm", self.norm != Norm::Filter),
            ("--ignore", self.ignore != Ignore::Biasbn),
            ("--orthogonal", self.orthogonal),
        ];
        let given = given.into_iter().find(|(_, is_given)| *is_given);
        given.map_or(Ok(()), |(option, _)| {
            Err(Usage(format!(
                "{option}: --plane {} has all of the plane already, its origin too; leave one of them out",
                file.display()
            )))
        })
    }

    /// Refuses a file for the plane that is of the run, or holds anything but an earlier plane. Called before any work.
    fn check_plane_out(&self, run: &Path) -> anyhow::Result<()> {
        let Some(file) = &self.plane_out else {
            return Ok(());
        };
        if file.as_os_str() == "-" {
            bail!(Usage(
                "--plane-out -: expected a file: standard output carries the result".into()
            ));
        }
        check_file("--plane-out", file, run, true)?;
        if file
            .metadata()
            .is_ok_and(|there| there.is_file() && there.len() > 0)
        {
            PlaneRecipe::read(file).map_err(|error| Usage(format!("--plane-out {error}")))?;
        }
        Ok(())
    }

    /// Returns true if the user chose the plane.
    pub(super) fn is_chosen(&self) -> bool {
        self.plane.is_some() || self.directions.is_some()
    }

    fn finish(
        &self,
        path: ReadPath,
        (origin, directions, batch_norm): (Checkpoint, Directions, BatchNorm),
        (measure, runs): (&MeasureOptions, &[&Path]),
    ) -> anyhow::Result<Scene> {
        let spec = PlaneSpec {
            shape: path.shape.clone(),
            directions,
            origin: origin.clone(),
            batch_norm,
        };
        if let Some(file) = &self.plane_out {
            write_file(file, PlaneRecipe::of(&spec)?.text()?.as_bytes())?;
        }
        let plane = measure.hosting.plane(&spec, runs)?;
        Ok(Scene {
            places: places(&plane, &path.members, &path.shape)?,
            path,
            origin,
            spec,
            metric: plane.metric(),
            extent: plane.extent(),
            expected_cosine: plane.expected_cosine(),
        })
    }

    fn directions(&self, run: &Path, path: &ReadPath, seed: u64) -> anyhow::Result<Directions> {
        let is_run = path.members.len() > 1;
        let default = if is_run {
            PlaneKind::Pca
        } else {
            PlaneKind::Random
        };
        if let Some(file) = &self.directions {
            return Ok(Directions::File { path: file.clone() });
        }
        let kind = match self.plane {
            Some(PlaneChoice::Kind(kind)) => kind,
            _ => default,
        };
        if kind == PlaneKind::Random {
            return Ok(Directions::Random {
                seed,
                norm: self.norm,
                ignore: self.ignore,
                orthogonal: self.orthogonal,
            });
        }
        principal(path).map_err(|found| {
            anyhow!(
                "{}: expected at least three different checkpoints for a PCA plane, found {found}; --plane random needs one",
                run.display()
            )
        })
    }

    /// Describes the plane for the report.
    pub(super) fn report(scene: &Scene) -> PlaneReport {
        let shares = scene.path.fit.trajectory.explained.get(..2);
        let (kind, random, explained) = match &scene.spec.directions {
            Directions::Principal {
                members,
                combinations,
            } => {
                // A plane from a file may be that of another path.
                let own = &scene.path;
                let is_own = *members == own.members && *combinations == own.fit.combinations;
                let shares = shares.filter(|_| is_own);
                ("pca", None, shares.map(<[f64]>::to_vec))
            }
            Directions::Random { norm, ignore, .. } => ("random", Some((*norm, *ignore)), None),
            Directions::Difference { .. } | Directions::File { .. } => ("file", None, None),
        };
        PlaneReport {
            kind,
            norm: random.map(|(norm, _)| norm),
            ignore: random.map(|(_, ignore)| ignore),
            explained,
            cosine: scene.metric.cosine(),
            expected_cosine: plane::expected_cosine(scene.extent),
            expected_cosine_normalized: random.map(|_| scene.expected_cosine),
        }
    }
}

/// Makes sure that both checkpoints have the same tensors.
pub(super) fn refuse_another_architecture(
    [(first, own), (second, other)]: [(&Path, &Checkpoint); 2],
    key: &KeyOption,
    roles: Option<&Arc<Roles>>,
) -> anyhow::Result<()> {
    let shape = RunShape::of_model(own, key.key.as_deref(), roles)?;
    match RunCheckpoint::open(other, &shape) {
        Err(error @ (WeightsError::Mismatch { .. } | WeightsError::Surplus { .. })) => {
            let found = RunShape::of_model(other, key.key.as_deref(), roles)?;
            let sentence = format!(
                "{}: expected the architecture of {} ({}), found {}",
                second.display(),
                first.display(),
                architecture(&shape),
                architecture(&found)
            );
            Err(anyhow::Error::new(error).context(sentence))
        }
        other => Ok(other.map(|_| ())?),
    }
}

/// Says in words, e.g. `resnet20, 272474 parameters`.
fn architecture(shape: &RunShape) -> String {
    let parameters = format!("{} parameters", shape.layout.parameters());
    let (nothing, told) = (Reading::default(), Reading::of_settings(&shape.settings));
    match model::recognize_as(&shape.layout, "auto", None, nothing, told) {
        Ok(recognized) => format!("{}, {parameters}", recognized.name),
        Err(_) => parameters,
    }
}

/// Returns the principal components of a path, which must have left its line; else how far it came.
fn principal(path: &ReadPath) -> Result<Directions, String> {
    let singular = path.fit.trajectory.singular.iter();
    let components = singular.filter(|sigma| **sigma > 0.0).count();
    if components < 2 {
        let place = if components == 0 {
            "one point"
        } else {
            "one line"
        };
        return Err(format!("{} on {place}", path.members.len()));
    }
    Ok(Directions::Principal {
        members: path.members.clone(),
        combinations: path.fit.combinations.clone(),
    })
}

impl Scene {
    /// Returns the coordinates of the checkpoints.
    pub(super) fn coordinates(&self) -> Vec<[f64; 2]> {
        self.places.iter().map(|place| place.0).collect()
    }

    /// Returns the training steps of the checkpoints.
    pub(super) fn steps(&self) -> impl Iterator<Item = u64> {
        self.path.members.iter().map(|checkpoint| checkpoint.step)
    }

    /// Returns the window that is drawn where the user names none.
    pub(super) fn window(&self) -> [[f64; 2]; 2] {
        match self.spec.directions {
            Directions::Principal { .. } => survey::window(&self.coordinates(), MARGIN),
            _ => [[-1.0, 1.0]; 2],
        }
    }

    /// Returns the grid's lines, where the user does not say.
    pub(super) fn lines(&self, grid: &GridOptions) -> [Vec<f64>; 2] {
        grid.lines(self.window(), LINES)
    }

    /// Measures the loss on the plane as far as is asked for: the surface, and what is an estimate in it.
    pub(super) fn explore(
        &self,
        measuring: &mut Measuring,
        score: Option<Score>,
        (mut grid, effort): (Surface, EffortOptions),
        bar: &ProgressBar,
    ) -> anyhow::Result<(Surface, Option<FidelityReport>)> {
        let (spec, path) = (&self.spec, self.coordinates());
        let until = if effort.exact {
            Until::Exact
        } else {
            Until::Good
        };
        let samples = effort.few(measuring.samples())?;
        explore(&mut grid, &path, until, |places| {
            measuring.on_plane(spec, places, samples, bar)
        })?;
        let Some(samples) = samples else {
            return Ok((grid, None));
        };
        let complement = Complement::explore(&grid, score, |places| {
            measuring.on_plane(spec, places, None, bar)
        })?;
        let Some(complement) = complement else {
            return Ok((grid, None));
        };
        let fidelity = FidelityReport {
            samples,
            points: complement.points(),
            error: complement.error(),
        };
        Ok((complement.add_to(&grid), Some(fidelity)))
    }

    /// Returns the loss of every checkpoint and of its projection onto the plane.
    pub(super) fn measure_path(
        &self,
        measuring: &mut Measuring,
        bar: &ProgressBar,
    ) -> anyhow::Result<Vec<PathPoint>> {
        let members = self.path.members.iter();
        let own = members.clone().cloned().map(Query::of_checkpoint).collect();
        let own = measuring.losses(&self.spec, own, bar)?;
        let projected = measuring.on_plane(&self.spec, &self.coordinates(), None, bar)?;
        let mut points = Vec::with_capacity(own.len());
        for ((checkpoint, place), (own, projected)) in
            members.zip(&self.places).zip(own.iter().zip(&projected))
        {
            let ([x, y], residual) = *place;
            points.push(PathPoint {
                step: checkpoint.step,
                x,
                y,
                residual,
                loss: own.loss,
                plane_loss: projected.loss,
            });
        }
        Ok(points)
    }
}

/// Returns the place of each checkpoint on the plane: coordinates of θ_t − θ* and residual.
fn places(
    plane: &Plane,
    members: &[Checkpoint],
    shape: &RunShape,
) -> anyhow::Result<Vec<([f64; 2], f64)>> {
    let count = plane.layout.parameters();
    let [x, y] = plane.parameters();
    members
        .iter()
        .map(|checkpoint| {
            let mut delta =
                direction::flat(&shape.layout, &RunCheckpoint::open(checkpoint, shape)?)?;
            for (value, origin) in delta.iter_mut().zip(&plane.origin) {
                *value -= origin;
            }
            Ok(plane::project(&delta[..count], x, y))
        })
        .collect()
}
