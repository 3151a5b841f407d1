//! The options about measured values in the cache folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::run::contains::is_inside;
use crate::store::{Store, StorePlace};
use crate::weights::KeptProducts;

use super::{memory, warn};

/// The keeping of measured values.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Run")]
pub(super) struct StoreOptions {
    /// Neither keep measured values in the cache folder nor use those that are there
    #[arg(long, env = "ISOLOSS_NO_CACHE")]
    no_cache: bool,
    /// Size of the measured values in the cache folder; those used longest ago make room
    #[arg(long, env = "ISOLOSS_CACHE_SIZE", value_name = "SIZE", default_value = "1G", value_parser = memory::size)]
    cache_size: u64,
}

impl StoreOptions {
    /// Returns the dot products of runs that are kept, for a command without workers, and says why they are not.
    pub(super) fn products(&self, runs: &[&Path]) -> anyhow::Result<Option<Arc<dyn KeptProducts>>> {
        let opened = self.place(runs).map(|place| place.products());
        opened.transpose().or_else(|error| {
            warn::say(format_args!("{error}; the run is read without it"))?;
            Ok(None)
        })
    }

    /// Returns where the values of runs are kept; `None` if they are not, the user has no cache folder, or it lies in one
    /// of the runs: nothing is written there.
    pub(super) fn place(&self, runs: &[&Path]) -> Option<StorePlace> {
        let is_outside = |path: &PathBuf| !runs.iter().any(|run| is_inside(path, run));
        let path = Store::path().filter(|path| !self.no_cache && is_outside(path))?;
        Some(StorePlace {
            path,
            room: self.cache_size,
        })
    }
}
