//! `--record`: the session's snapshots in one file, while it runs.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use clap::Args;
use tokio::sync::watch;

use crate::session::{Recorder, Snapshot};

use super::output::{Usage, refuse_inside};
use super::warn;

/// A record is written at most so often.
const APART: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct RecordOption {
    /// New file in which the session is recorded, for `isoloss replay`; not inside the run folder
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
}

impl RecordOption {
    /// Refuses a file inside a run. Called before any work.
    pub(super) fn check(&self, run: &Path) -> Result<(), Usage> {
        let inside = |file: &PathBuf| refuse_inside("--record", file, run);
        self.record.as_ref().map_or(Ok(()), inside)
    }

    /// Makes the file, where one was asked for.
    pub(super) fn open(&self) -> anyhow::Result<Option<Target>> {
        let Some(path) = self.record.clone() else {
            return Ok(None);
        };
        let file = File::create_new(&path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => anyhow!(
                "{}: cannot be made, because a file is there and recordings are not written over",
                path.display()
            ),
            _ => anyhow!("{}: cannot be made: {error}", path.display()),
        })?;
        Ok(Some(Target { path, file }))
    }
}

/// A new file that will be a recording.
#[derive(Debug)]
pub(super) struct Target {
    path: PathBuf,
    file: File,
}

impl Target {
    /// Records what a session publishes from now on.
    pub(super) fn start(
        self,
        snapshots: watch::Receiver<Arc<Snapshot>>,
    ) -> anyhow::Result<Recording> {
        let (end, asked) = channel();
        // A disk that is full from the first byte is reported at once.
        let recorder = Recorder::begin(self.file)
            .with_context(|| format!("{}: cannot be written", self.path.display()))?;
        let path = self.path.clone();
        let thread = thread::Builder::new()
            .name("recorder".into())
            .spawn(move || record(&path, recorder, snapshots, &asked))?;
        Ok(Recording {
            path: self.path,
            end,
            thread,
        })
    }
}

/// A recording that is being made.
#[derive(Debug)]
pub(super) struct Recording {
    path: PathBuf,
    end: Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Recording {
    /// Records the last state, and ends.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        drop(self.end);
        let written = self.thread.join();
        written
            .unwrap_or_else(|_| Err(io::Error::other("the recorder stopped")))
            .with_context(|| format!("{}: was not written to its end", self.path.display()))
    }
}

fn record(
    path: &Path,
    mut recorder: Recorder<File>,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    end: &Receiver<()>,
) -> io::Result<()> {
    let begun = Instant::now();
    let mut was_told = false;
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        match recorder.record(begun.elapsed(), &snapshot) {
            Ok(()) => was_told = false,
            Err(error) if !was_told => {
                warn::say_aside(format!(
                    "{}: cannot be written: {error}; it is tried again, and goes on when there is room",
                    path.display()
                ));
                was_told = true;
            }
            Err(_) => {}
        }
        if end.recv_timeout(APART) != Err(RecvTimeoutError::Timeout) {
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            recorder.record(begun.elapsed(), &snapshot)?;
            return recorder.finish()?.sync_all();
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn a_full_disk_is_told_by_the_name_of_the_file() {
        let full = PathBuf::from("/dev/full");
        let target = Target {
            file: File::options().write(true).open(&full).unwrap(),
            path: full,
        };
        let (_send, snapshots) = watch::channel(Arc::default());
        let said = target.start(snapshots).unwrap_err();
        assert_eq!(said.to_string(), "/dev/full: cannot be written");
    }
}
