//! Options for the place of the measuring: workers here or elsewhere, their share of the machine, kept values.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;

use crate::landscape::worker::yielding;
use crate::landscape::{Budget, Hosting, Launch};
use crate::weights::{KeptProducts, Plane, PlaneSpec, WeightsError};

use super::launchers::LauncherOptions;
use super::output::Usage;
use super::store::StoreOptions;
use super::{memory, startup};

/// The place of the measuring, and what it may take of the machine.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Device")]
pub(super) struct HostingOptions {
    /// Share of all cores, or of a GPU's time, that measuring may take: auto (all that is idle, little beside a busy
    /// neighbour), all, or a share such as 50%; by default auto where a run is watched, else all
    #[arg(long, env = "ISOLOSS_BUDGET", value_name = "SHARE")]
    budget: Option<Budget>,
    /// Memory that measuring may take, e.g. 4G; a point that needs more is left out, with the reason
    #[arg(long, env = "ISOLOSS_MEMORY_LIMIT", value_name = "SIZE", value_parser = memory::size)]
    memory_limit: Option<u64>,
    /// Measure in this process, which then shares the fate and the priority of the screen
    #[arg(long, env = "ISOLOSS_IN_PROCESS")]
    in_process: bool,
    /// Split the samples of each point over the workers, where one point is large
    #[arg(long)]
    split_samples: bool,
    #[command(flatten)]
    launchers: LauncherOptions,
    #[command(flatten)]
    store: StoreOptions,
}

impl HostingOptions {
    /// Returns the settings by which the workers of runs are started, with another budget than is usual where the user named one.
    ///
    /// # Errors
    /// Options do not belong together, or the program does not find itself.
    pub(super) fn hosting(&self, usual: Budget, runs: &[&Path]) -> anyhow::Result<Hosting> {
        if self.split_samples && self.in_process {
            bail!(Usage(
                "--split-samples splits them over worker processes, and with --in-process there are none".into()
            ));
        }
        let budget = self.budget.unwrap_or(usual);
        if self.in_process && self.memory_limit.is_some() {
            bail!(Usage(
                "--memory-limit ends a worker process that takes more, and with --in-process there is none".into()
            ));
        }
        if self.in_process && self.launchers.are_given() {
            bail!(Usage(
                "--worker and --workers start worker processes, and with --in-process there are none".into()
            ));
        }
        // A name that is not Unicode cannot be passed to a process.
        let is_told = runs.iter().all(|run| run.to_str().is_some());
        let process = (!self.in_process && is_told)
            .then(|| self.launch(budget))
            .transpose()?;
        let launches = process.as_ref().map(|own| self.launchers.launches(own));
        Ok(Hosting {
            launches: launches.transpose()?.unwrap_or_default(),
            process,
            budget,
            store: self.store.place(runs),
            reads_first: false,
            splits_samples: self.split_samples,
        })
    }

    /// Returns the dot products of runs that are kept. The workers, which have the same database, report why they are not.
    pub(super) fn products(&self, runs: &[&Path]) -> Option<Arc<dyn KeptProducts>> {
        self.store.place(runs)?.products().ok()
    }

    /// Makes the plane of a spec, or reads it where it was made before; it is kept for the workers of runs.
    ///
    /// # Errors
    /// It is not there and cannot be made.
    pub(super) fn plane(&self, spec: &PlaneSpec, runs: &[&Path]) -> Result<Plane, WeightsError> {
        match self.store.place(runs) {
            Some(store) => store.planes().plane(spec, &|| true),
            None => spec.make(),
        }
    }

    /// Refuses options about worker processes where an evaluator measures.
    pub(super) fn refuse_beside_evaluator(&self) -> Result<(), Usage> {
        let given = [
            ("--worker and --workers", self.launchers.are_given()),
            ("--split-samples", self.split_samples),
        ];
        let given = given.into_iter().find(|(_, is_given)| *is_given);
        given.map_or(Ok(()), |(option, _)| {
            Err(Usage(format!(
                "{option}: is about isoloss's own workers, and an evaluator measures; --device has one for each device"
            )))
        })
    }

    /// Steps back with this process where it measures itself. Its session is stepped back with only where it leads
    /// that: a shell and what that has started are not its own.
    pub(super) fn step_back(&self) {
        let budget = self.budget.unwrap_or_default();
        if let Some(niceness) = budget.niceness().filter(|_| self.in_process) {
            yielding::step_back(niceness);
        }
    }

    fn launch(&self, budget: Budget) -> anyhow::Result<Launch> {
        let program = std::env::current_exe().context("the program does not find itself")?;
        let mut command = vec![program.into(), "worker".into()];
        command.push(format!("--budget={budget}").into());
        let limit = self.memory_limit;
        command.extend(limit.map(|bytes| format!("--memory-limit={bytes}").into()));
        Ok(Launch::new(command, startup::of_worker()))
    }
}
