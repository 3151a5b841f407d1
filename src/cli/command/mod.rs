//! The commands, a file for each.

mod average;
mod cache;
mod compare;
mod completions;
mod config;
mod demo;
mod doctor;
mod film;
mod hessian;
mod inspect;
mod line;
mod record;
mod replay;
mod sharpness;
mod surface;
mod trajectory;
mod watch;
mod weights;
mod worker;

use clap::Subcommand;

use crate::tui::Keymap;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Watch a run: the screen; when stdout is no terminal, one plain line per event
    Watch(watch::Watch),
    /// Watch a run as `watch` does, and record the session in a file for `replay`
    Record(Box<record::Record>),
    /// Show a session that `watch --record` has recorded; no run folder, data or device is needed
    Replay(replay::Replay),
    /// Make an animated picture of the frames that `watch --headless --out` wrote
    Film(film::Film),
    /// Train a small real network on the embedded digits in a child process and watch it
    Demo(demo::Demo),
    /// PCA of the checkpoints: coordinates, explained variance beside a random walk's, residuals, norms
    Trajectory(trajectory::Trajectory),
    /// Loss and score on a plane
    Surface(surface::Surface),
    /// Up to six runs or checkpoints side by side, or two runs on one plane
    Compare(compare::Compare),
    /// 1-D slice through a checkpoint, or the interpolation between two
    Line(line::Line),
    /// Curvature: extreme eigenvalues of the Hessian, their ratio on a map, the density of the spectrum
    Hessian(hessian::Hessian),
    /// The weights themselves: norms by layer and angles between updates over training, histograms
    Weights(weights::Weights),
    /// Show what averaging the last checkpoints would change
    Average(average::Average),
    /// Show how far each update could have gone: critical steps over training
    Sharpness(sharpness::Sharpness),
    /// Tensors, shapes, norms, step, the architecture that was recognized and why
    Inspect(inspect::Inspect),
    /// Check what the terminal, file system and devices support, and find a run's last readable checkpoint
    Doctor(doctor::Doctor),
    /// Checkpoints that were kept of runs: list them, remove them, or show where they are
    Cache(cache::Cache),
    /// Settings that last: which are in force and why, whether a file is right, where files are
    Config(config::Config),
    /// A completion script of the command line, or its manual page
    Completions(completions::Completions),
    /// The training process of `demo`
    #[command(hide = true)]
    DemoTrain(demo::DemoTrain),
    #[command(hide = true)]
    Worker(worker::Worker),
}

impl Command {
    /// Returns the number of sessions that the command starts; `None` if it computes nothing.
    pub(in crate::cli) fn sessions(&self) -> Option<usize> {
        match self {
            Command::Watch(watch) => Some(watch.sessions()),
            Command::Record(record) => Some(record.sessions()),
            Command::Replay(_) | Command::Demo(_) => Some(1),
            Command::Cache(_)
            | Command::Film(_)
            | Command::Config(_)
            | Command::Completions(_)
            | Command::DemoTrain(_)
            // It steps back before it starts its threads.
            | Command::Worker(_) => None,
            _ => Some(0),
        }
    }

    pub(in crate::cli) fn run(self, keymap: Keymap) -> anyhow::Result<()> {
        match self {
            Command::Watch(command) => command.run(keymap),
            Command::Record(command) => command.run(keymap),
            Command::Replay(command) => command.run(keymap),
            Command::Film(command) => command.run(),
            Command::Demo(command) => command.run(keymap),
            Command::Cache(command) => command.run(),
            Command::Config(command) => command.run(),
            Command::DemoTrain(command) => command.run(),
            Command::Worker(command) => command.run(),
            Command::Trajectory(command) => command.run(),
            Command::Surface(command) => command.run(),
            Command::Compare(command) => command.run(),
            Command::Hessian(command) => command.run(),
            Command::Weights(command) => command.run(),
            Command::Average(command) => command.run(),
            Command::Sharpness(command) => command.run(),
            Command::Line(command) => command.run(),
            Command::Inspect(command) => command.run(),
            Command::Doctor(command) => command.run(),
            Command::Completions(command) => command.run(),
        }
    }
}
