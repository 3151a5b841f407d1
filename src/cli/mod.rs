//! The command line: its commands, the options that they share, errors into exit codes.

mod appearance;
mod command;
mod evaluator;
mod exit;
mod frame_writer;
mod further_runs;
mod headless;
mod hosting;
mod late_settings;
mod launchers;
mod learning_rates;
mod limits;
mod loss;
mod measure;
mod memory;
mod options;
mod outlet;
mod output;
mod progress;
mod read_path;
mod reading;
mod recording;
mod reference;
mod scene;
mod screen;
mod startup;
mod store;
mod time;
mod topics;
mod usage;
mod warn;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};

use crate::config::settings::with_defaults;
use crate::config::{Config, ConfigPaths, Problems, Settings};
use crate::tui::Keymap;

use command::Command;

/// Watch a training run in weight space: the path of its checkpoints over the contours of the loss.
#[derive(Debug, Parser)]
#[command(
    name = "isoloss",
    version,
    arg_required_else_help = true,
    help_template = topics::HELP,
    after_help = topics::AFTER_HELP
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Returns the settings that the command line has.
#[must_use]
pub fn settings() -> Settings {
    Settings::of(&Cli::command())
}

/// Returns `docs/reference.md`: commands, options, settings and keys.
#[must_use]
pub fn reference() -> String {
    reference::of(&Cli::command())
}

/// Runs the command line of this process. Exit code 0: done; 1: the run or a file was bad; 2: wrong
/// usage; 128 and its number: a signal asked to end. A broken pipe is success: whoever read had enough.
#[must_use]
pub fn main() -> ExitCode {
    startup::set_environment();
    startup::tell_panics();
    limits::outlive_large_files();
    let arguments = with_command(std::env::args_os().collect());
    if let Some(page) = topics::asked(&arguments) {
        return exit_code(output::to_stdout(page));
    }
    let result = understand(&arguments).and_then(|(cli, keymap)| {
        startup::start_log();
        if let Some(sessions) = cli.command.sessions() {
            if launchers::is_another_copy()? {
                return Ok(());
            }
            limits::reserve(sessions, startup::threads())?;
        }
        cli.command.run(keymap)
    });
    exit_code(result)
}

fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => failure(&error).into(),
    }
}

/// Parses the command line under the settings of files and environment; wrong usage ends the process. The
/// commands about configuration itself, and those that configure nothing, do not need the files to be right.
fn understand(arguments: &[OsString]) -> anyhow::Result<(Cli, Keymap)> {
    let definition = Cli::command();
    let settings = Settings::of(&definition);
    let alone = definition.clone().try_get_matches_from(arguments);
    let alone = alone.unwrap_or_else(|error| usage::end(&error, definition.clone(), arguments));
    let (name, first) = alone.subcommand().unwrap_or(("", &alone));
    let (config, matches) = if [
        "cache",
        "config",
        "completions",
        "demo-train",
        "film",
        "worker",
    ]
    .contains(&name)
    {
        (Config::default(), alone)
    } else {
        settings.check_environment()?;
        for sentence in settings.slips(std::env::vars_os().map(|(name, _)| name)) {
            let _ = warn::say(sentence);
        }
        let places = ConfigPaths::around(run_of(&definition, name, first));
        for sentence in places.passed_over() {
            // The command goes on without that file, whether or not anybody reads this.
            let _ = warn::say(sentence);
        }
        let config = Config::read(places.found(), &settings)?;
        for sentence in config.remarks() {
            let _ = warn::say(sentence);
        }
        let definition = with_defaults(definition, &config);
        let parse = |arguments: &[OsString]| {
            let matches = definition.clone().try_get_matches_from(arguments);
            matches.unwrap_or_else(|error| usage::end(&error, definition.clone(), arguments))
        };
        let matches = parse(arguments);
        let matches = match evaluator::place(&config, &matches) {
            Some(place) => parse(&with_option(arguments, place)),
            None => matches,
        };
        let further = matches.subcommand().zip(definition.find_subcommand(name));
        if let Some(((_, matches), command)) = further {
            for sentence in further_runs::unused(command, matches, (&config, &settings)) {
                let _ = warn::say(sentence);
            }
        }
        (config, matches)
    };
    let cli = Cli::from_arg_matches(&matches);
    let cli = cli.unwrap_or_else(|error| usage::end(&error, Cli::command(), arguments));
    Ok((cli, config.keymap().clone()))
}

/// Returns the arguments with one more option behind the command.
fn with_option(arguments: &[OsString], option: OsString) -> Vec<OsString> {
    let mut arguments = arguments.to_vec();
    arguments.insert(arguments.len().min(2), option);
    arguments
}

/// Returns the run or checkpoint that a command is about: what stands first behind it.
fn run_of<'a>(definition: &clap::Command, name: &str, matches: &'a ArgMatches) -> Option<&'a Path> {
    let command = definition.find_subcommand(name)?;
    let named = command.get_positionals().find(|one| one.get_id() == "run");
    let run = named.or_else(|| command.get_positionals().next())?;
    let mut values = matches.get_raw(run.get_id().as_str())?;
    values.next().map(Path::new)
}

/// Says what went wrong, and returns the exit code.
fn failure(error: &anyhow::Error) -> u8 {
    if let Some(ended) = error.downcast_ref::<exit::Ended>() {
        return ended.code();
    }
    // Where nobody reads the sentence, the exit code still tells.
    let _ = match error.downcast_ref::<Problems>() {
        Some(problems) => warn::say_lines(&problems.0),
        None => warn::say(sentence(error)),
    };
    let usage = error.is::<output::Usage>() || error.is::<Problems>();
    if usage { 2 } else { 1 }
}

/// Returns a runtime on this thread, with I/O and time.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// Puts `watch` before arguments that begin with no command, so that a run alone is watched.
fn with_command(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let cli = Cli::command();
    let is_command = |name: &OsString| cli.get_subcommands().any(|known| name == known.get_name());
    let own = ["help", "-h", "--help", "-V", "--version"];
    if let Some(first) = arguments.get(1)
        && !is_command(first)
        && !own.iter().any(|known| first == known)
        && !is_slip(first, &cli)
    {
        arguments.insert(1, "watch".into());
    }
    arguments
}

/// Returns true if this is nearly the name of a command and no file: clap then says which one may be meant.
fn is_slip(first: &OsString, cli: &clap::Command) -> bool {
    let text = first.to_string_lossy();
    let near = |name: &str| strsim::damerau_levenshtein(name, &text) == 1;
    let mut commands = cli
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    commands.any(|command| near(command.get_name())) && !Path::new(first).exists()
}

/// Returns an error with its causes, as far as it does not tell them itself.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_alone_is_watched_and_commands_stay_commands() {
        let command = |line: &str| {
            let words = line.split(' ').map(OsString::from).collect();
            let parsed = Cli::try_parse_from(with_command(words));
            parsed
                .map(|cli| matches!(cli.command, Command::Watch(_)))
                .map_err(|error| error.exit_code())
        };
        assert_eq!(command("isoloss runs/a"), Ok(true));
        assert_eq!(command("isoloss --data digits runs/a"), Ok(true));
        assert_eq!(command("isoloss watch runs/a"), Ok(true));
        assert_eq!(command("isoloss inspect runs/a"), Ok(false));
        assert_eq!(command("isoloss --help"), Err(0));
        assert_eq!(command("isoloss --version"), Err(0));
        assert_eq!(command("isoloss"), Err(2));
    }

    #[test]
    fn a_cause_is_told_once() {
        let cause = || std::io::Error::other("disk on fire");
        let error = anyhow::Error::new(cause()).context("a.pt: cannot be written");
        assert_eq!(sentence(&error), "a.pt: cannot be written: disk on fire");
        let error = anyhow::Error::new(cause()).context("a.pt: disk on fire");
        assert_eq!(sentence(&error), "a.pt: disk on fire");
    }

    #[test]
    fn every_setting_has_a_variable_of_its_name() {
        let definition = Cli::command();
        let options = definition
            .get_subcommands()
            .flat_map(clap::Command::get_arguments);
        for option in options {
            if let Some(variable) = option.get_env() {
                let name = option.get_long().unwrap_or_default();
                let name = name.to_uppercase().replace('-', "_");
                assert_eq!(variable, format!("ISOLOSS_{name}").as_str());
            }
        }
        let settings = settings();
        let names: Vec<&str> = settings.names().collect();
        for name in [
            "data",
            "split",
            "samples",
            "order",
            "mean",
            "std",
            "model",
            "device",
            "dtype",
            "batch",
            "seed",
            "key",
            "bn",
            "fps",
            "budget",
            "memory-limit",
            "in-process",
        ] {
            assert!(names.contains(&name), "{name}");
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    /// A setting that `config print` shows as in force must be in force in every command that has the option.
    #[test]
    fn an_option_that_is_a_setting_is_one_in_every_command() {
        let cli = Cli::command();
        let settings = settings();
        for command in cli
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
        {
            for option in command.get_arguments() {
                let name = option.get_long().unwrap_or_default();
                // The seed of the demo's own training, and the pace of a film.
                let is_own =
                    [("demo", "seed"), ("film", "fps")].contains(&(command.get_name(), name));
                let is_setting = settings.names().any(|setting| setting == name);
                assert!(
                    !is_setting || is_own || option.get_env().is_some(),
                    "{} --{name}",
                    command.get_name()
                );
            }
        }
    }
}
