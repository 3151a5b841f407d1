//! The options about measured values in the cache folder.

use clap::Args;

use crate::store::{Store, StorePlace};

use super::memory;

/// The keeping of measured values.
#[derive(Clone, Debug, Args)]
pub(super) struct StoreOptions {
    /// Neither keep measured values in the cache folder nor use those that are there
    #[arg(long, env = "ISOLOSS_NO_CACHE")]
    no_cache: bool,
    /// Size of the measured values in the cache folder; those used longest ago make room
    #[arg(long, env = "ISOLOSS_CACHE_SIZE", value_name = "SIZE", default_value = "1G", value_parser = memory::size)]
    cache_size: u64,
}

impl StoreOptions {
    /// Returns where values are kept; `None` if they are not, or the user has no cache folder.
    pub(super) fn place(&self) -> Option<StorePlace> {
        let path = Store::path().filter(|_| !self.no_cache)?;
        Some(StorePlace {
            path,
            room: self.cache_size,
        })
    }
}
