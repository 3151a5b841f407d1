//! The settings that there are, out of the definition of the command line, and what each takes.

use std::any::TypeId;
use std::env;
use std::ffi::OsString;
use std::num::{ParseFloatError, ParseIntError};
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, Error};
use clap::parser::ValueSource;
use clap::{Arg, Command};

use super::{Config, Problem, Problems};

/// Options that files and environment may set.
#[derive(Clone, Debug)]
pub struct Settings(Vec<Setting>);

/// One of them, as each command has it that has it.
#[derive(Clone, Debug)]
struct Setting {
    name: String,
    options: Vec<Arg>,
}

/// A setting in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// Its name.
    pub name: String,
    /// Its values as written; none if it is not set.
    pub values: Vec<String>,
    /// A variable, `FILE:LINE` or `default`.
    pub source: String,
}

/// Beginning of the variables.
const PREFIX: &str = "ISOLOSS_";
/// The variable that chooses what goes to the log, which is no setting.
const LOG: &str = "LOG";

/// Returns the name of an option that is a setting.
fn setting(option: &Arg) -> Option<&str> {
    option.get_env().and(option.get_long())
}

impl Settings {
    /// Returns all settings of all commands of a command line.
    #[must_use]
    pub fn of(cli: &Command) -> Self {
        let mut settings: Vec<Setting> = Vec::new();
        for option in cli.get_subcommands().flat_map(Command::get_arguments) {
            let Some(name) = setting(option) else {
                continue;
            };
            match settings.iter_mut().find(|known| known.name == name) {
                Some(known) => known.options.push(option.clone()),
                None => settings.push(Setting {
                    name: name.to_owned(),
                    options: vec![option.clone()],
                }),
            }
        }
        Self(settings)
    }

    /// Returns their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|setting| setting.name.as_str())
    }

    fn options(&self, name: &str) -> &[Arg] {
        let setting = self.0.iter().find(|setting| setting.name == name);
        setting.map_or(&[], |setting| &setting.options)
    }

    /// Returns true if the value of a setting is a path.
    #[must_use]
    pub fn is_path(&self, name: &str) -> bool {
        let parsers = self.options(name).iter().map(Arg::get_value_parser);
        parsers
            .map(ValueParser::type_id)
            .any(|id| id == TypeId::of::<PathBuf>())
    }

    /// Checks that every command that has a setting takes a value of it.
    ///
    /// # Errors
    /// The sentence says what was expected and what came.
    pub fn check(&self, name: &str, value: &str) -> Result<(), String> {
        self.options(name)
            .iter()
            .try_for_each(|option| check(option, name, value))
    }

    /// Checks that the variables of the settings mean something.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn check_environment(&self) -> Result<(), Problems> {
        let wrong = self.0.iter().filter_map(|setting| {
            let variable = setting.options.first()?.get_env()?;
            let value = env::var_os(variable)?;
            let checked = match value.into_string() {
                Ok(value) => self.check(&setting.name, &value),
                // Paths need not be UTF-8.
                Err(_) if self.is_path(&setting.name) => Ok(()),
                Err(value) => Err(format!("expected UTF-8, got {}", value.display())),
            };
            let place = variable.to_string_lossy().into_owned();
            checked.err().map(|message| Problem { place, message })
        });
        let wrong: Vec<Problem> = wrong.collect();
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(Problems(wrong))
        }
    }

    /// Returns a sentence for each of these variables that is nearly one of a setting, as a slip of the keys makes it.
    #[must_use]
    pub fn slips(&self, variables: impl Iterator<Item = OsString>) -> Vec<String> {
        let options = self.0.iter().filter_map(|setting| setting.options.first());
        let known: Vec<&str> = options
            .filter_map(|option| option.get_env()?.to_str()?.strip_prefix(PREFIX))
            .chain([LOG])
            .collect();
        let mut sentences: Vec<String> = variables
            .filter_map(|variable| {
                let name = variable.to_str()?.strip_prefix(PREFIX)?;
                let upper = name.to_uppercase();
                let close =
                    nearest(&upper, known.iter().copied()).filter(|close| *close != name)?;
                Some(format!(
                    "{PREFIX}{name} is no setting and is not read; {PREFIX}{close} is one"
                ))
            })
            .collect();
        sentences.sort();
        sentences
    }

    /// Returns the settings in force without flags, under files.
    #[must_use]
    pub fn effective(&self, config: &Config) -> Vec<Effective> {
        let options = self.0.iter().filter_map(|setting| setting.options.first());
        let options = options.map(|option| with_default(option.clone(), config));
        let command = Command::new("settings").no_binary_name(true).args(options);
        let nothing: [OsString; 0] = [];
        // The environment was checked; without it, the defaults stand.
        let matches = command.try_get_matches_from(nothing).unwrap_or_default();
        let effective = self.0.iter().filter_map(|setting| {
            let option = setting.options.first()?;
            let id = option.get_id().as_str();
            let values = matches.get_raw(id).unwrap_or_default();
            let values = values.map(|value| value.to_string_lossy().into_owned());
            let source = match (matches.value_source(id), config.value(&setting.name)) {
                (Some(ValueSource::EnvVariable), _) => {
                    option.get_env()?.to_string_lossy().into_owned()
                }
                (_, Some((value, file))) => format!("{}:{}", file.path.display(), value.line),
                _ => "default".to_owned(),
            };
            Some(Effective {
                name: setting.name.clone(),
                values: values.collect(),
                source,
            })
        });
        effective.collect()
    }
}

/// Returns a command line whose settings have the defaults that the files say.
#[must_use]
pub fn with_defaults(cli: Command, config: &Config) -> Command {
    cli.mut_subcommands(|command| command.mut_args(|option| with_default(option, config)))
}

fn with_default(option: Arg, config: &Config) -> Arg {
    let value = setting(&option).and_then(|name| config.value(name));
    match value.map(|(value, _)| value.text.clone()) {
        Some(text) => option.default_value(text),
        None => option,
    }
}

/// Has the option itself parse a value.
fn check(option: &Arg, name: &str, value: &str) -> Result<(), String> {
    if !option.get_action().takes_values() {
        return match value {
            "true" | "false" => Ok(()),
            _ => Err(format!("{name}: expected true or false, got {value}")),
        };
    }
    let command = Command::new("settings")
        .no_binary_name(true)
        .arg(option.clone());
    match command.try_get_matches_from([format!("--{name}={value}")]) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{name}: {}", reason(&error, value))),
    }
}

/// Says what a parser of clap expected.
fn reason(error: &Error, value: &str) -> String {
    if let Some(ContextValue::Strings(known)) = error.get(ContextKind::ValidValue)
        && !known.is_empty()
    {
        let nearest = nearest(value, known.iter().map(String::as_str));
        let nearest = nearest.map_or_else(String::new, |known| format!("; the nearest is {known}"));
        return format!("expected {}, got {value}{nearest}", known.join(", "));
    }
    match std::error::Error::source(error) {
        Some(source) if source.is::<ParseIntError>() => {
            format!("expected a whole number, got {value}")
        }
        Some(source) if source.is::<ParseFloatError>() => format!("expected a number, got {value}"),
        // A range names the value itself.
        Some(source) if source.to_string().starts_with(value) => source.to_string(),
        Some(source) => format!("{source}, got {value}"),
        None => format!("expected a value, got `{value}`"),
    }
}

/// Returns the name that was probably meant.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known.map(|known| (strsim::damerau_levenshtein(name, known), known));
    let (distance, known) = distances.min()?;
    (distance <= 1 + known.chars().count() / 4).then_some(known)
}
