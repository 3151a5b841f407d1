//! `isoloss doctor`: what the terminal, the file system and the devices let the program do.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, ValueEnum};

use crate::cache::{KeepLimit, RunCache};
use crate::landscape::{Contest, Place, Precision, worker};
use crate::model::Level;
use crate::report;
use crate::report::{Device, DoctorReport, LeftOutFile, Run, Terminal, map, visible};
use crate::run::{Opened, filesystem, scanner};
use crate::session::KeptLine;
use crate::terminal;

use super::worker::contest;
use crate::cli::appearance::{AppearanceOptions, Chosen};
use crate::cli::options::KeyOption;
use crate::cli::{output, startup};

/// Variables on which colours and characters depend.
const VARIABLES: [&str; 7] = [
    "TERM",
    "COLORFGBG",
    "COLORTERM",
    "NO_COLOR",
    "LC_ALL",
    "LC_CTYPE",
    "LANG",
];

#[derive(Debug, Args)]
pub(in crate::cli) struct Doctor {
    /// Folder of a run, or a checkpoint
    run: Option<PathBuf>,
    #[command(flatten)]
    key: KeyOption,
    #[command(flatten)]
    look: AppearanceOptions,
    /// Format of the result
    #[arg(long, help_heading = "Output", value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs; the names are stable.
    Json,
}

impl Doctor {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<()> {
        let level = Level::best();
        let (auto, auto_reason) = auto();
        let report = DoctorReport {
            version: env!("CARGO_PKG_VERSION"),
            terminal: terminal(self.look.choose()),
            run: self.run.as_deref().map(|run| self.examine(run)),
            threads: rayon::current_num_threads(),
            cores: startup::cores(),
            vectors: level.name(),
            lanes: level.lanes(),
            devices: [Place::Cpu, Place::Cuda(0), Place::Metal]
                .map(device)
                .into(),
            auto,
            auto_reason,
            yielding: worker_contest(),
            log: startup::log_path().map(|path| path.display().to_string()),
        };
        let result = match self.format {
            Format::Text => visible::lines_about(&report.text(), &serde_json::to_value(&report)?),
            Format::Json => report::json(&report)?,
        };
        output::to_stdout(&result)?;
        match report.run.and_then(|run| run.error) {
            Some(error) => bail!(error),
            None => Ok(()),
        }
    }

    fn examine(&self, run: &Path) -> Run {
        let (opened, mut error) = match self.key.open(run) {
            Ok(opened) => (opened, None),
            Err(error) => (Opened::default(), Some(error.to_string())),
        };
        if opened.checkpoints.is_empty() && error.is_none() {
            error = Some(format!(
                "{}: none of the checkpoints can be read",
                run.display()
            ));
        }
        let last = opened.newest().cloned();
        let left_out = opened
            .unreadable
            .into_iter()
            .map(|(path, reason)| LeftOutFile {
                path: path.display().to_string(),
                reason,
            });
        Run {
            path: run.display().to_string(),
            filesystem: filesystem::of(run),
            watching: scanner::mode(run),
            kept: RunCache::open(run, KeepLimit::Auto).map(|cache| KeptLine::of(&cache)),
            checkpoints: opened.checkpoints.len(),
            last,
            left_out: left_out.collect(),
            error,
        }
    }
}

fn terminal(chosen: Chosen) -> Terminal {
    let value = |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let within = [("tmux", "TMUX"), ("ssh", "SSH_CONNECTION")]
        .into_iter()
        .filter(|&(_, variable)| value(variable).is_some());
    let look = chosen.look;
    let stdout_is_terminal = io::stdout().is_terminal();
    let size = stdout_is_terminal
        .then(|| crossterm::terminal::size().ok())
        .flatten();
    Terminal {
        stdout_is_terminal,
        size: size.map(Into::into),
        environment: VARIABLES.map(|name| (name, value(name))).into(),
        color: look.themes.depth(),
        color_reason: chosen.depth,
        theme: look.themes.current().name().into(),
        theme_reason: chosen.theme,
        themes: look.themes.names().map(str::to_owned).collect(),
        unusable_themes: chosen.wrong,
        screen_marker: look.marker,
        screen_marker_reason: chosen.marker,
        text_marker: map::marker(),
        utf8: terminal::speaks_unicode(),
        within: within.map(|(name, _)| name).collect(),
    }
}

/// Tries whether a worker yields to other work; `None` if it cannot be tried.
fn worker_contest() -> Option<Contest> {
    let contest = contest();
    let told = contest.inspect_err(|error| tracing::info!("yielding was not tried: {error}"));
    told.ok()
}

fn device(place: Place) -> Device {
    let opened = worker::open(place, Precision::default(), None);
    Device {
        name: place.to_string(),
        about: (opened.as_ref().ok()).and_then(|(compute, _)| compute.card()),
        error: opened.err(),
    }
}

/// Returns the name of the device that `auto` becomes, and why it is the CPU where a GPU is there.
fn auto() -> (String, Option<String>) {
    let (compute, became) = match worker::open(Place::Auto, Precision::default(), None) {
        Ok(opened) => opened,
        Err(error) => return (error, None),
    };
    // A file of its driver stands for an NVIDIA GPU where this build cannot ask.
    let unknown = !cfg!(feature = "cuda") && Path::new("/dev/nvidia0").exists();
    let without = unknown.then(|| {
        "an NVIDIA GPU is here, and this build does not know CUDA (cargo build --release --features cuda)".to_owned()
    });
    (became.to_string(), compute.passed_over.or(without))
}
