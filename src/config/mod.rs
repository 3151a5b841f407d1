//! Settings that last: two files and the environment, below the flags of the command line.
//!
//! A setting is an option that has an environment variable. Files give such options other defaults, so that an
//! option is defined once, and its parser decides what is a value wherever that stands:
//!
//! ```text
//! flag  >  ISOLOSS_…  >  isoloss.toml in or beside the run  >  the user's config.toml  >  default
//! ```

pub mod paths;
pub mod settings;
pub mod settings_file;

pub use paths::ConfigPaths;
pub use settings::{Effective, Settings};
pub use settings_file::File;

use std::fmt;
use std::path::PathBuf;

use crate::tui::{Action, Keymap};

use settings_file::SettingValue;

/// Something in a file or in the environment that means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `FILE:LINE:COLUMN`, counted from 1, or the name of a variable.
    pub place: String,
    /// Expectation and finding, in a sentence.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// All that is wrong, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// Settings and keys of all files.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Later ones override earlier ones.
    files: Vec<File>,
    keymap: Keymap,
    /// Sentences about settings that were not taken.
    remarks: Vec<String>,
}

/// The setting that names a program to run.
pub const PROGRAM: &str = "evaluator";

impl Config {
    /// Reads files; later ones override earlier ones.
    ///
    /// # Errors
    /// All that is wrong in them.
    pub fn read(paths: Vec<PathBuf>, settings: &Settings) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut config = Self::default();
        for path in paths {
            match File::read(path, settings) {
                Ok(mut file) => {
                    config.remarks.extend(without_foreign_program(&mut file));
                    config.files.push(file);
                }
                Err(found) => problems.extend(found.0),
            }
        }
        for file in &config.files {
            match config.keymap.clone().rebound(&file.changes()) {
                Ok(keymap) => config.keymap = keymap,
                Err(error) => {
                    let place = file.place_of_keys(Action::Quit);
                    problems.push(Problem {
                        place: place.unwrap_or_else(|| file.path.display().to_string()),
                        message: error.to_string(),
                    });
                }
            }
        }
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(Problems(problems))
        }
    }

    /// Returns the sentences about settings that were not taken, and why.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Returns the files that were read.
    #[must_use]
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Returns the value of a setting, and the file that sets it.
    #[must_use]
    pub fn value(&self, setting: &str) -> Option<(&SettingValue, &File)> {
        let last = self.files.iter().rev();
        last.flat_map(|file| file.values.iter().map(move |value| (value, file)))
            .find(|(value, _)| value.name == setting)
    }

    /// Returns the keys in force.
    #[must_use]
    pub fn keymap(&self) -> &Keymap {
        &self.keymap
    }

    /// Returns the place where an action got its keys, as `FILE:LINE`; `None` if no file names it.
    #[must_use]
    pub fn source_of_keys(&self, action: Action) -> Option<String> {
        let mut last = self.files.iter().rev();
        last.find_map(|file| file.place_of_keys(action))
    }
}

/// Takes the name of a program out of a file that others may have written, with a sentence that says so.
fn without_foreign_program(file: &mut File) -> Option<String> {
    let at = file.values.iter().position(|value| value.name == PROGRAM)?;
    if paths::is_private(&file.path) {
        return None;
    }
    let line = file.values.remove(at).line;
    Some(format!(
        "{}:{line}: {PROGRAM} is not taken from here: expected a file and a folder that are yours and that nobody else may write (chmod go-w); --{PROGRAM} names it for once",
        file.path.display()
    ))
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use clap::{Arg, Command};

    use super::*;

    #[test]
    fn a_program_is_taken_from_a_file_of_the_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("isoloss.toml");
        std::fs::write(&path, "seed = 3\nevaluator = \"python eval.py\"\n").unwrap();
        let option = |name: &'static str| {
            let variable = format!("ISOLOSS_{}", name.to_uppercase());
            Arg::new(name).long(name).env(variable)
        };
        let command = Command::new("watch").args(["seed", PROGRAM].map(option));
        let settings = Settings::of(&Command::new("isoloss").subcommand(command));
        let read = |mode| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, mode).unwrap();
            Config::read(vec![path.clone()], &settings).unwrap()
        };
        let own = read(0o644);
        let (value, _) = own.value(PROGRAM).unwrap();
        assert_eq!((value.text.as_str(), value.line), ("python eval.py", 2));
        assert!(own.remarks().is_empty());
        let foreign = read(0o666);
        assert!(foreign.value(PROGRAM).is_none());
        assert!(foreign.value("seed").is_some());
        let said = &foreign.remarks()[0];
        assert!(
            said.contains("isoloss.toml:2: evaluator is not taken"),
            "{said}"
        );
    }
}
