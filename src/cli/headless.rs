//! A run that is watched without a screen: frames and lines in a folder, until the process is asked to end.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use ratatui::layout::Size;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::report::lines::troubles;
use crate::session::Snapshot;
use crate::tui::offscreen::still;
use crate::tui::{App, Format};

use super::exit::asked_to_end;
use super::frame_writer::FrameWriter;
use super::output::{Usage, refuse_inside};
use super::time::time_within;
use super::warn;

/// Lines of checkpoints are looked for so often.
const LINES_EVERY: Duration = Duration::from_secs(1);
/// Between these two frames lie apart.
const EVERY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(7 * 24 * 3600)];
/// Columns and rows of a frame: below the least its numbers would be cut.
const COLUMNS: RangeInclusive<u16> = 20..=500;
const ROWS: RangeInclusive<u16> = 5..=500;

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct HeadlessOptions {
    /// Without a screen: plain lines, or files where --out names a folder
    #[arg(long)]
    pub(super) headless: bool,
    /// Folder for frames and for checkpoints.jsonl, a line a checkpoint; not inside the run folder
    #[arg(long, value_name = "DIR", requires = "headless")]
    out: Option<PathBuf>,
    /// Time between two frames if something has changed: 30s, 2m, 1h
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = every, requires = "out")]
    every: Duration,
    /// Formats of the frames; several are separated by commas
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "text",
        requires = "out"
    )]
    format: Vec<Format>,
    /// Columns and rows of a frame
    #[arg(long, value_name = "COLUMNSxROWS", default_value = "120x40", value_parser = size, requires = "out")]
    size: Size,
    /// Replace files of --out also where isoloss did not write them; never a checkpoint or a file of the run
    #[arg(long, requires = "out")]
    force: bool,
}

impl HeadlessOptions {
    /// Refuses a folder inside a run. Called before any work.
    pub(super) fn check(&self, run: &Path) -> Result<(), Usage> {
        let inside = |folder: &PathBuf| refuse_inside("--out", folder, run);
        self.out.as_ref().map_or(Ok(()), inside)
    }

    /// Returns the folder for frames and lines of a run, where one was asked for.
    pub(super) fn keeper(&self, run: &Path) -> anyhow::Result<Option<FrameWriter>> {
        let Some(folder) = &self.out else {
            return Ok(None);
        };
        FrameWriter::open(folder, run, &self.format, self.force).map(Some)
    }

    /// Keeps frames and lines until the process is asked to end or the session is over.
    pub(super) async fn keep(
        &self,
        keeper: FrameWriter,
        app: App,
        snapshots: watch::Receiver<Arc<Snapshot>>,
    ) {
        let mut watcher = Watcher {
            keeper,
            snapshots,
            app,
            size: self.size,
            trouble: None,
            told: Arc::default(),
        };
        let [mut frames, mut lines] = [self.every, LINES_EVERY].map(interval);
        frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
        lines.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut end = pin!(asked_to_end());
        loop {
            tokio::select! {
                _ = &mut end => break,
                _ = frames.tick() => watcher.write(true),
                _ = lines.tick() => watcher.write(false),
            }
        }
        watcher.write(true);
    }
}

struct Watcher {
    keeper: FrameWriter,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    app: App,
    size: Size,
    /// Reason why the last attempt failed.
    trouble: Option<String>,
    /// The snapshot whose troubles were reported last.
    told: Arc<Snapshot>,
}

impl Watcher {
    /// Writes what is new. Why that fails is said once; the next time it is tried again.
    fn write(&mut self, frame: bool) {
        let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
        // A job's log is read where nobody looks at the pictures.
        for trouble in troubles(&self.told, &snapshot) {
            warn::say_aside(trouble);
        }
        self.told = Arc::clone(&snapshot);
        let mut written = self.keeper.keep_lines(&snapshot);
        if frame {
            self.app.receive(Arc::clone(&snapshot));
            let picture = still(&self.app, self.size);
            written = written.and(self.keeper.keep_frame(picture, &snapshot));
        }
        match written.map_err(|error| super::sentence(&error)) {
            // A frame that failed is not made good by lines that do not.
            Ok(()) if frame => self.trouble = None,
            Ok(()) => {}
            Err(trouble) if self.trouble.as_ref() == Some(&trouble) => {}
            Err(trouble) => {
                // Watching goes on, whether or not anybody reads this.
                warn::say_aside(format!("{trouble}; it is tried again"));
                self.trouble = Some(trouble);
            }
        }
    }
}

fn every(text: &str) -> Result<Duration, String> {
    let time = time_within(text, EVERY);
    time.ok_or_else(|| "expected a time from 1s to 7d such as 30s, 2m or 1h".to_owned())
}

fn size(text: &str) -> Result<Size, String> {
    let side = |text: &str, sides: &RangeInclusive<u16>| {
        let side = text.parse().ok();
        side.filter(|side| sides.contains(side))
    };
    text.split_once('x')
        .and_then(|(columns, rows)| Some(Size::new(side(columns, &COLUMNS)?, side(rows, &ROWS)?)))
        .ok_or_else(|| {
            let [least, most] = [RangeInclusive::start, RangeInclusive::end]
                .map(|end| format!("{}x{}", end(&COLUMNS), end(&ROWS)));
            format!("expected COLUMNSxROWS such as 120x40, from {least} to {most}")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_or_is_in_seconds() {
        let seconds = |text: &str| every(text).ok().map(|time| time.as_secs());
        assert_eq!(
            ["30s", "2m", "1h", "45", "1m 30s"].map(seconds),
            [Some(30), Some(120), Some(3600), Some(45), Some(90)]
        );
        for wrong in [
            "",
            "0",
            "0s",
            "-1s",
            "8d",
            "1.5",
            "often",
            "99999999999999999999",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_size_is_columns_and_rows() {
        assert_eq!(size("80x24"), Ok(Size::new(80, 24)));
        for wrong in ["80", "0x24", "80x501", "80x24x1", "x", "19x24", "80x4"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
