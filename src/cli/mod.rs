//! The command line: one file a command, the options they share, errors into exit codes.

mod demo;
mod inspect;
mod options;
mod output;
mod progress;
mod startup;
mod surface;
mod trajectory;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Watch a training run in weight space: the path of its checkpoints over the contours of the loss.
#[derive(Debug, Parser)]
#[command(
    name = "isoloss",
    version,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    watch: Option<watch::Watch>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch a run: the screen; when stdout is no terminal, one plain line per event
    Watch(watch::Watch),
    /// Train a small real network on the embedded digits in a child process and watch it
    Demo(demo::Demo),
    /// PCA of the checkpoints: coordinates, explained variance and its null, residuals, norms
    Trajectory(trajectory::Trajectory),
    /// Loss and accuracy on a plane
    Surface(surface::Surface),
    /// Tensors, shapes, norms, step, the architecture that was recognized and why
    Inspect(inspect::Inspect),
    /// The training process of `demo`
    #[command(hide = true)]
    DemoTrain(demo::DemoTrain),
}

/// Runs the command line of this process. Exit code 0: done; 1: the run or a file was bad; 2: wrong
/// usage. A broken pipe is success: whoever read had enough.
#[must_use]
pub fn main() -> ExitCode {
    startup::set_environment();
    let cli = Cli::parse();
    startup::start_log();
    let result = match (cli.command, cli.watch) {
        (Some(Command::Watch(command)), _) | (None, Some(command)) => command.run(),
        (Some(Command::Demo(command)), _) => command.run(),
        (Some(Command::DemoTrain(command)), _) => command.run(),
        (Some(Command::Trajectory(command)), _) => command.run(),
        (Some(Command::Surface(command)), _) => command.run(),
        (Some(Command::Inspect(command)), _) => command.run(),
        (None, None) => Ok(()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("isoloss: {error:#}");
            ExitCode::from(if error.is::<output::Usage>() { 2 } else { 1 })
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}
