//! `isoloss record`: `isoloss watch --record`.

use std::path::PathBuf;

use clap::Args;

use crate::tui::keymap::Keymap;

use super::recording::RecordOption;
use super::watch::Watch;

#[derive(Debug, Args)]
pub(super) struct Record {
    /// New file for `isoloss replay`; not inside the run folder
    file: PathBuf,
    #[command(flatten)]
    watch: Watch,
}

impl Record {
    /// Sessions of what is watched.
    pub(super) fn sessions(&self) -> usize {
        self.watch.sessions()
    }

    pub(super) fn run(self, keymap: Keymap) -> anyhow::Result<()> {
        let record = RecordOption {
            record: Some(self.file),
        };
        self.watch.recorded(record).run(keymap)
    }
}
