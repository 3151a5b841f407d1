//! Settings beside the further runs of a command, which are not used: it reads all runs by those of the first.

use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::config::{Config, ConfigPaths, File, Settings};

/// Positional arguments that are runs.
const RUNS: [&str; 3] = ["run", "runs", "others"];

/// Returns a sentence for each further run whose own settings would be other ones than those in force.
pub(super) fn unused(
    command: &clap::Command,
    matches: &ArgMatches,
    (config, settings): (&Config, &Settings),
) -> Vec<String> {
    let positionals = command.get_positionals().map(|one| one.get_id().as_str());
    let runs = positionals.filter(|id| RUNS.contains(id));
    let runs = runs.filter_map(|id| matches.get_raw(id)).flatten();
    let beside = runs.skip(1).filter_map(|run| {
        let found = ConfigPaths::around(Some(Path::new(run))).found();
        File::read(found.last()?.clone(), settings).ok()
    });
    beside
        .filter_map(|file| {
            let names = differing(&file, command, matches, config);
            let verb = if names.len() == 1 { "is" } else { "are" };
            (!names.is_empty()).then(|| {
                format!(
                    "{}: {} {verb} not used: all runs are read by the options given and the settings of the first run",
                    file.path.display(),
                    names.join(", ")
                )
            })
        })
        .collect()
}

/// Returns the settings of a file that the command takes and that have other values in force.
fn differing<'a>(
    file: &'a File,
    command: &clap::Command,
    matches: &ArgMatches,
    config: &Config,
) -> Vec<&'a str> {
    let values = file.values.iter().filter(|value| {
        let option = command.get_arguments().find(|option| {
            option.get_env().is_some() && option.get_long() == Some(value.name.as_str())
        });
        // What is given for all runs is meant for all.
        let is_given = |option: &clap::Arg| {
            let source = matches.value_source(option.get_id().as_str());
            matches!(
                source,
                Some(ValueSource::CommandLine | ValueSource::EnvVariable)
            )
        };
        let in_force = config.value(&value.name).map(|(known, _)| &known.text);
        option.is_some_and(|option| !is_given(option)) && in_force != Some(&value.text)
    });
    values.map(|value| value.name.as_str()).collect()
}
