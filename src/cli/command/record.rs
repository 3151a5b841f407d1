//! `isoloss record`: `isoloss watch --record`.

use std::path::PathBuf;

use clap::Args;

use crate::tui::Keymap;

use super::watch::Watch;
use crate::cli::recording::RecordOption;

#[derive(Debug, Args)]
pub(in crate::cli) struct Record {
    /// New file for `isoloss replay`; not inside the run folder
    file: PathBuf,
    #[command(flatten)]
    watch: Watch,
}

impl Record {
    /// Returns the sessions of what is watched.
    pub(in crate::cli) fn sessions(&self) -> usize {
        self.watch.sessions()
    }

    pub(in crate::cli) fn run(self, keymap: Keymap) -> anyhow::Result<()> {
        let record = RecordOption {
            record: Some(self.file),
        };
        self.watch.recorded(record).run(keymap)
    }
}
