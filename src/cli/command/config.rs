//! `isoloss config`: which settings are in force and where they come from, whether a file is right, where files lie.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::cli::output;
use crate::config::Config as Files;
use crate::config::{ConfigPaths, Effective};
use crate::tui::Action;
use crate::tui::input::keymap;

#[derive(Debug, Args)]
pub(in crate::cli) struct Config {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every setting and every key in force, and where it comes from, as TOML
    Print {
        /// The run that the settings are for
        run: Option<PathBuf>,
    },
    /// Check that files say what they should; exit code 2 when not
    Validate {
        /// File to check, instead of those that are looked at
        file: Option<PathBuf>,
    },
    /// The files that are looked at, and which of them count
    Path {
        /// The run that the settings are for
        run: Option<PathBuf>,
    },
}

impl Config {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<()> {
        let settings = crate::cli::settings();
        let text = match &self.what {
            What::Print { run } => {
                settings.check_environment()?;
                let found = ConfigPaths::around(run.as_deref()).found();
                let files = Files::read(found, &settings)?;
                print(&settings.effective(&files), &files)
            }
            What::Validate { file } => {
                let found = match file {
                    Some(file) => vec![file.clone()],
                    None => ConfigPaths::around(None).found(),
                };
                validate(&Files::read(found, &settings)?)
            }
            What::Path { run } => paths(&ConfigPaths::around(run.as_deref())),
        };
        output::to_stdout(&text)
    }
}

/// Returns the settings and keys, each with its source in a comment behind it.
fn print(effective: &[Effective], files: &Files) -> String {
    let settings = effective.iter().map(|setting| {
        let line = match setting.values.as_slice() {
            [] => format!("# {} is not set", setting.name),
            [value] => format!("{} = {}", setting.name, literal(value)),
            values => {
                let values: Vec<String> = values.iter().map(|value| literal(value)).collect();
                format!("{} = [{}]", setting.name, values.join(", "))
            }
        };
        (line, setting.source.clone())
    });
    let actions = keymap::rows().flat_map(|row| row.actions);
    let keys = actions.map(|(action, default)| key_line(*action, default, files));
    format!(
        "{}\n[keys]\n{}",
        aligned(settings.collect()),
        aligned(keys.collect())
    )
}

fn key_line(
    action: Action,
    default: &[crate::tui::input::key::Key],
    files: &Files,
) -> (String, String) {
    let keys = files.keymap().keys(action);
    let source = match files.source_of_keys(action) {
        Some(source) => source,
        None if keys == default => "default".to_owned(),
        None => "default, without keys that others were given".to_owned(),
    };
    let names: Vec<String> = keys.iter().map(|key| quoted(&key.to_string())).collect();
    let line = match names.as_slice() {
        [key] => format!("{action} = {key}"),
        keys => format!("{action} = [{}]", keys.join(", ")),
    };
    (line, source)
}

/// Returns the lines with their comments in one column.
fn aligned(lines: Vec<(String, String)>) -> String {
    let width = lines.iter().map(|(line, _)| line.chars().count()).max();
    let width = width.unwrap_or(0);
    let mut text = String::new();
    for (line, source) in lines {
        // Writing to a String cannot fail.
        let _ = if line.starts_with('#') {
            writeln!(text, "{line}")
        } else {
            writeln!(text, "{line:width$}  # {source}")
        };
    }
    text
}

/// Returns a value as TOML: a number, true or false, or a string.
fn literal(value: &str) -> String {
    let plain = value.parse::<i64>().is_ok()
        || value.parse::<f64>().is_ok_and(f64::is_finite)
        || value.parse::<bool>().is_ok();
    if plain {
        value.to_owned()
    } else {
        quoted(value)
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn validate(files: &Files) -> String {
    let mut text = String::new();
    for file in files.files() {
        let (settings, keys) = (file.values.len(), file.keys.len());
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}: settings {settings}, keys {keys}",
            file.path.display()
        );
    }
    if text.is_empty() {
        text += "no file is there; `isoloss config path` tells where one may be\n";
    }
    text
}

fn paths(places: &ConfigPaths) -> String {
    let counts = places.found();
    let state = |path: &Path| match (path.exists(), counts.iter().any(|found| found == path)) {
        (_, true) => "read",
        (true, false) => "there, but the one above it counts",
        (false, false) => "not there",
    };
    let all: Vec<&PathBuf> = places.run.iter().chain(&places.user).collect();
    let width = all
        .iter()
        .map(|path| path.display().to_string().chars().count());
    let width = width.max().unwrap_or(0);
    let mut text = String::new();
    for path in all {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:width$}  {}",
            path.display().to_string(),
            state(path)
        );
    }
    text
}
