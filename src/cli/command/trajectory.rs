//! `isoloss trajectory`: PCA of the checkpoints.

use std::path::PathBuf;

use clap::Args;

use crate::cli::learning_rates;
use crate::cli::options::{ModelOption, PathOptions, PlaneKind};
use crate::cli::output::{Format, Forms, OutputOptions};
use crate::cli::read_path::read_path;
use crate::cli::store::StoreOptions;
use crate::report;
use crate::weights::random_projection;

#[derive(Debug, Args)]
pub(in crate::cli) struct Trajectory {
    /// Folder of the run
    run: PathBuf,
    #[command(flatten)]
    path: PathOptions,
    #[command(flatten)]
    model: ModelOption,
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
        let checkpoints = self.path.open(&self.run)?;
        let kept = self.store.products(&[&self.run])?;
        let path = read_path(checkpoints, &self.path.key, roles, kept)?;
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
            learning_rates::drops(&self.run, &self.path.key, &path.members),
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
