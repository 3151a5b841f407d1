//! Findings of `doctor`, as aligned lines.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::landscape::{Contest, Honoured};
use crate::plot::Marker;
use crate::run::{Checkpoint, Filesystem};
use crate::session::{KeptLine, size_in_words};
use crate::terminal::Depth;

use super::TOLD;
use super::inspect::LeftOutFile;

/// Characters of the screen; which of them show is for the eye to tell.
const GLYPHS: &str = "⠁⡇⠤⢸⣀⣿ braille  ▘▀▌▙▄█ blocks  ╭─┬╮│╰┴╯ lines  ●○◦◎◆✕▼ marks";

/// Everything that the program finds here.
#[derive(Clone, Debug, Serialize)]
pub struct DoctorReport {
    /// Version of the program.
    pub version: &'static str,
    /// The terminal in which results are shown.
    pub terminal: Terminal,
    /// The run, where one was named.
    pub run: Option<Run>,
    /// Threads of a computation on the CPU.
    pub threads: usize,
    /// Cores that this process may use.
    pub cores: usize,
    /// Vector instructions of the kernels.
    pub vectors: &'static str,
    /// Numbers in a vector.
    pub lanes: usize,
    /// Devices on which losses could be measured.
    pub devices: Vec<Device>,
    /// The device that `--device auto` becomes.
    pub auto: String,
    /// Reason why that is the CPU where a GPU is there; `None` if it is not so.
    pub auto_reason: Option<String>,
    /// Processor time of a loop that steps back as a worker does, beside an ordinary one; `None` if it could not be tried.
    pub yielding: Option<Contest>,
    /// File of the log; `None` if there is no folder for it.
    pub log: Option<String>,
}

/// The terminal, as far as the environment tells.
#[derive(Clone, Debug, Serialize)]
pub struct Terminal {
    /// True if results go to one.
    pub stdout_is_terminal: bool,
    /// Columns and rows.
    pub size: Option<[u16; 2]>,
    /// Values of the variables that decide, as they were set.
    pub environment: BTreeMap<&'static str, Option<String>>,
    /// Colours that the screen sends.
    pub color: Depth,
    /// Reason for this number.
    pub color_reason: String,
    /// Theme in which the screen starts.
    pub theme: String,
    /// Reason for this theme.
    pub theme_reason: String,
    /// The names of all themes.
    pub themes: Vec<String>,
    /// A sentence about each theme file that cannot be used.
    pub unusable_themes: Vec<String>,
    /// Characters of pictures on the screen at first.
    pub screen_marker: Marker,
    /// Reason for this marker.
    pub screen_marker_reason: String,
    /// Characters of pictures in text, by the language.
    pub text_marker: Marker,
    /// True if the language has all of Unicode; if none is set, it is taken to.
    pub utf8: bool,
    /// Programs between this one and the terminal: `tmux`, `ssh`.
    pub within: Vec<&'static str>,
}

/// The run, as `watch` would find it.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// As it was named.
    pub path: String,
    /// Its file system; `None` if nothing is there, or the system does not tell.
    pub filesystem: Option<Filesystem>,
    /// Means by which it is watched.
    pub watching: String,
    /// Checkpoints that can be read.
    pub checkpoints: usize,
    /// The last one of these.
    pub last: Option<Checkpoint>,
    /// Files that cannot be read or do not count.
    pub left_out: Vec<LeftOutFile>,
    /// Copies of it in the user's cache folder; `None` if there is no such folder.
    pub kept: Option<KeptLine>,
    /// Reason why the run cannot be watched.
    pub error: Option<String>,
}

/// A device, and whether it opens.
#[derive(Clone, Debug, Serialize)]
pub struct Device {
    /// As `--device` has it.
    pub name: String,
    /// The card's name, memory and compute capability; `None` if it is no NVIDIA GPU.
    pub about: Option<String>,
    /// Reason why it does not open, or computes wrongly.
    pub error: Option<String>,
}

/// A command under which the kernel lets others go first.
const SCOPE: &str = "systemd-run --user --scope -p CPUWeight=idle isoloss RUN";

/// A line: what it is about, and what was found.
type Line = (String, String);

impl DoctorReport {
    /// Returns a line a fact.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![line("version", self.version)];
        lines.extend(self.terminal.lines());
        lines.extend(self.run.iter().flat_map(Run::lines));
        lines.extend(self.devices());
        let log = self.log.as_deref().unwrap_or("no folder for it");
        lines.push(line("log", log));
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for (name, found) in lines {
            let _ = writeln!(text, "{name:width$}  {found}");
        }
        text
    }

    fn devices(&self) -> Vec<Line> {
        let kernels = format!(
            "{} threads on {} cores, {} ({} numbers a vector)",
            self.threads, self.cores, self.vectors, self.lanes
        );
        let mut lines = vec![line("kernels", kernels)];
        for device in &self.devices {
            let state = match (&device.error, &device.about) {
                (Some(error), _) => error.clone(),
                (None, Some(about)) => format!("opens and computes: {about}"),
                (None, None) => "opens".into(),
            };
            lines.push(line(&device.name, state));
        }
        let reason = self.auto_reason.as_ref();
        let reason = reason.map_or(String::new(), |reason| format!(" ({reason})"));
        lines.push(line("auto", self.auto.clone() + &reason));
        lines.push(line("yielding", self.yielding()));
        lines
    }

    fn yielding(&self) -> String {
        let Some(contest) = &self.yielding else {
            return "could not be tried: no process can be started".into();
        };
        let share = contest.share() * 100.0;
        let found = format!("beside a busy loop on one core a worker took {share:.0} %");
        let advice = format!("; where systemd runs: {SCOPE}");
        let (word, advice) = match contest.honoured() {
            Honoured::Fully => ("honoured", String::new()),
            Honoured::Partly => ("honoured in part", advice),
            Honoured::Not => ("not honoured", advice),
        };
        let others = if contest.is_alone() {
            String::new()
        } else {
            let others = 100.0 * (1.0 - contest.of_core());
            format!(
                "; other work had {others:.0} % of that core, so that this is rough: try again on an idle machine"
            )
        };
        format!("{word}: {found}{others}{advice}")
    }
}

impl Terminal {
    fn lines(&self) -> Vec<Line> {
        let stdout = match (self.stdout_is_terminal, self.size) {
            (false, _) => "no terminal: plain lines instead of the screen".to_owned(),
            (true, Some([columns, rows])) => format!("a terminal of {columns}×{rows}"),
            (true, None) => "a terminal that does not tell its size".to_owned(),
        };
        let mut lines = vec![line("stdout", stdout)];
        for (name, value) in &self.environment {
            lines.push(line(name, value.as_deref().unwrap_or("not set")));
        }
        let within = if self.within.is_empty() {
            "neither tmux nor ssh".into()
        } else {
            self.within.join(", ")
        };
        lines.extend([
            line("within", within),
            line("colours", self.colours()),
            line(
                "theme",
                format!(
                    "{} ({}); t: the next of {}",
                    self.theme,
                    self.theme_reason,
                    self.themes.join(", ")
                ),
            ),
        ]);
        let wrong = self.unusable_themes.iter();
        lines.extend(wrong.map(|sentence| line("bad theme", sentence.as_str())));
        lines.extend([
            line(
                "pictures",
                format!(
                    "{} on the screen ({}; m: the next); {} in text, as the language has {}",
                    self.screen_marker.name(),
                    self.screen_marker_reason,
                    self.text_marker.name(),
                    if self.utf8 { "UTF-8" } else { "no UTF-8" }
                ),
            ),
            line("glyphs", GLYPHS),
        ]);
        lines
    }

    fn colours(&self) -> String {
        let colours = match self.color {
            Depth::Mono => "none",
            Depth::Sixteen => "16",
            Depth::TwoFiftySix => "256",
            Depth::TrueColor => "of 24 bits",
        };
        format!(
            "{colours} ({}); where they look wrong: --color",
            self.color_reason
        )
    }
}

impl Run {
    fn lines(&self) -> Vec<Line> {
        let mut lines = vec![line("run", self.path.as_str())];
        if let Some(Filesystem { name, shared }) = &self.filesystem {
            let caution = if *shared {
                "; what other machines write there is found by polling alone"
            } else {
                ""
            };
            lines.push(line("filesystem", format!("{name}{caution}")));
        }
        lines.push(line("watched by", self.watching.as_str()));
        if let Some(kept) = &self.kept {
            let room = kept.room.map_or("without a limit".into(), |room| {
                format!("of {}", size_in_words(room))
            });
            let size = size_in_words(kept.bytes);
            let folder = kept.folder.display();
            lines.push(line(
                "kept",
                format!(
                    "{} checkpoints, {size} {room}, in {folder}",
                    kept.checkpoints
                ),
            ));
        }
        if let Some(error) = &self.error {
            lines.push(line("error", error.as_str()));
        }
        if let Some(last) = &self.last {
            let found = format!(
                "{}, the last one step {}: {}",
                self.checkpoints,
                last.step,
                last.path.display()
            );
            lines.push(line("checkpoints", found));
        }
        for left in self.left_out.iter().take(TOLD) {
            lines.push(line("left out", left.reason.as_str()));
        }
        if self.left_out.len() > TOLD {
            lines.push(line(
                "left out",
                format!("{} more", self.left_out.len() - TOLD),
            ));
        }
        lines
    }
}

fn line(name: &str, found: impl Into<String>) -> Line {
    (name.to_owned(), found.into())
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn names_that_are_not_unicode_are_told() {
        let name = OsStr::from_bytes(b"m\xff.pt");
        let kept = KeptLine {
            folder: name.into(),
            ..KeptLine::default()
        };
        let mut last = Checkpoint::new(3, name);
        last.kept = Some(name.into());
        let told = (&last, &kept);
        let json = serde_json::to_value(told).unwrap();
        assert_eq!(json[0]["path"], "m\u{fffd}.pt");
        assert_eq!(json[0]["kept"], json[1]["folder"]);
    }
}
