//! `isoloss trajectory`: PCA of the checkpoints.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::report;
use crate::run::Checkpoint;
use crate::weights::kept_products::KeptProducts;
use crate::weights::path::{PathUpdate, RunPath};
use crate::weights::random_projection;
use crate::weights::roles::Roles;
use crate::weights::run_checkpoint::RunShape;

use crate::cli::learning_rates;
use crate::cli::options::{KeyOption, ModelOption, PlaneKind, Steps, open_run};
use crate::cli::output::{Format, Forms, OutputOptions};
use crate::cli::progress;
use crate::cli::store::StoreOptions;
use crate::cli::warn;

#[derive(Debug, Args)]
pub(in crate::cli) struct Trajectory {
    /// Folder of the run
    run: PathBuf,
    #[command(flatten)]
    key: KeyOption,
    #[command(flatten)]
    model: ModelOption,
    /// Checkpoints of the path: A..B or every:N
    #[arg(long, help_heading = "Run", value_name = "STEPS")]
    steps: Option<Steps>,
    /// Also on a plane of two random filter-normalized directions
    #[arg(long, help_heading = "Plane", value_enum, default_value = "pca")]
    plane: PlaneKind,
    /// Seed of the random directions
    #[arg(
        long,
        env = "ISOLOSS_SEED",
        help_heading = "Plane",
        default_value_t = 0
    )]
    seed: u64,
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl Trajectory {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<()> {
        self.output.check(&self.run, Format::OF_PICTURES)?;
        let roles = self.model.roles()?;
        let checkpoints = open_run(&self.run, &self.key, self.steps)?;
        let kept = self.store.products(&[&self.run])?;
        let path = read_path(checkpoints, &self.key, roles, kept)?;
        let projection = match self.plane {
            PlaneKind::Pca => None,
            PlaneKind::Random => {
                let singular = &path.fit.trajectory.singular;
                Some(random_projection::of(
                    &path.shape,
                    &path.members,
                    singular,
                    self.seed,
                )?)
            }
        };
        let trajectory = &path.fit.trajectory;
        let report = report::trajectory::TrajectoryReport::new(
            &self.run,
            path.parameters,
            trajectory,
            learning_rates::drops(&self.run, &self.key, &path.members),
            projection,
        );
        let forms = Forms {
            picture: Some(&|palette| report.picture(palette)),
            ..Forms::default()
        };
        self.output
            .print(|width| report.text(width), &report, || report.csv(), &forms)
    }
}

/// A run that was read: its checkpoints and where they lie.
pub(in crate::cli) struct ReadPath {
    pub(in crate::cli) shape: RunShape,
    pub(in crate::cli) parameters: usize,
    pub(in crate::cli) members: Vec<Checkpoint>,
    pub(in crate::cli) fit: Arc<crate::weights::trajectory::Fit>,
    pub(in crate::cli) dynamics: crate::weights::dynamics::Dynamics,
}

/// Reads all checkpoints onto one path; those that do not fit are said on stderr and left out.
pub(in crate::cli) fn read_path(
    checkpoints: Vec<Checkpoint>,
    key: &KeyOption,
    roles: Option<Arc<Roles>>,
    kept: Option<Arc<dyn KeptProducts>>,
) -> anyhow::Result<ReadPath> {
    let path = RunPath::new(key.key.clone()).with_roles(roles);
    read_onto(path, checkpoints, kept)
}

/// Reads all checkpoints of several runs onto one path.
pub(in crate::cli) fn read_path_of_many(
    checkpoints: Vec<Checkpoint>,
    key: &KeyOption,
    roles: Option<Arc<Roles>>,
    kept: Option<Arc<dyn KeptProducts>>,
) -> anyhow::Result<ReadPath> {
    let path = RunPath::of_many_runs(key.key.clone()).with_roles(roles);
    read_onto(path, checkpoints, kept)
}

/// Reads checkpoints onto a path, with the dot products that are kept, and keeps those of the others.
fn read_onto(
    path: RunPath,
    checkpoints: Vec<Checkpoint>,
    kept: Option<Arc<dyn KeptProducts>>,
) -> anyhow::Result<ReadPath> {
    let mut path = path.with_kept_products(kept);
    let bar = progress::weights();
    let PathUpdate {
        mut rejected,
        changes,
        ..
    } = path.update(checkpoints, |read, all| {
        let bytes = |weights: usize| (weights * size_of::<f32>()) as u64;
        bar.set_length(bytes(all));
        bar.set_position(bytes(read));
    });
    bar.finish_and_clear();
    let (members, fit) = path.fit();
    let Some(shape) = path.shape().cloned().filter(|_| !members.is_empty()) else {
        let count = rejected.len();
        let first = rejected.drain(..).next();
        let first = first.ok_or_else(|| anyhow::anyhow!("no checkpoint was given"))?;
        return Err(match count {
            1 => first.error.into(),
            _ => anyhow::anyhow!("none of {count} checkpoints is usable: {}", first.error),
        });
    };
    let reasons: Vec<_> = rejected.iter().map(|rejected| &rejected.error).collect();
    warn::left_out(&reasons);
    for change in &changes {
        warn::say(change)?;
    }
    say_kept(&members)?;
    while path.keep_another() {}
    Ok(ReadPath {
        parameters: shape.layout.parameters(),
        shape,
        members,
        dynamics: path.dynamics(),
        fit,
    })
}

/// Says which checkpoints are copies.
pub(in crate::cli) fn say_kept(members: &[Checkpoint]) -> anyhow::Result<()> {
    let kept = members.iter().filter(|one| one.kept.is_some()).count();
    if kept > 0 {
        warn::say(format_args!(
            "{kept} of {} checkpoints are copies that were kept of files which are gone; --disk-only leaves them out",
            members.len()
        ))?;
    }
    Ok(())
}
