//! Settings beside the further runs of a command, which are not used: it reads all runs by those of the first.

use std::fs;
use std::path::{Path, PathBuf};

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
    let found = runs.skip(1).filter_map(|run| {
        let found = ConfigPaths::around(Some(Path::new(run))).found();
        found.last().cloned()
    });
    let unused = |path: PathBuf| match File::read(path, settings) {
        Ok(file) => {
            let names = differing(&file, command, matches, config);
            (!names.is_empty()).then(|| sentence(&file.path, &names))
        }
        Err(problems) => Some(problems.to_string()),
    };
    found.filter_map(unused).collect()
}

fn sentence(path: &Path, names: &[&str]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!(
        "{}: {} {verb} not used: all runs are read by the options given and the settings of the first run",
        path.display(),
        names.join(", ")
    )
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
        let is_same = in_force.is_some_and(|known| {
            known == &value.text || is_one_file(Path::new(known), Path::new(&value.text))
        });
        option.is_some_and(|option| !is_given(option)) && !is_same
    });
    values.map(|value| value.name.as_str()).collect()
}

/// Returns true for two names of one file or folder.
fn is_one_file(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    real(a).is_some() && real(a) == real(b)
}
