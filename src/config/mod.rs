//! Settings that last: two files and the environment, below the flags of the command line.
//!
//! A setting is an option that has an environment variable. Files give such options other defaults, so that an
//! option is defined once, and its parser decides what is a value wherever that stands:
//!
//! ```text
//! flag  >  ISOLOSS_…  >  isoloss.toml in or beside the run  >  the user's config.toml  >  default
//! ```

pub mod file;
pub mod paths;
pub mod settings;

use std::fmt;
use std::path::PathBuf;

use crate::tui::action::Action;
use crate::tui::keymap::Keymap;

use file::{File, Value};
use settings::Settings;

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
}

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
                Ok(file) => config.files.push(file),
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

    /// The files that were read.
    #[must_use]
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Returns the value of a setting, and the file that sets it.
    #[must_use]
    pub fn value(&self, setting: &str) -> Option<(&Value, &File)> {
        let last = self.files.iter().rev();
        last.flat_map(|file| file.values.iter().map(move |value| (value, file)))
            .find(|(value, _)| value.name == setting)
    }

    /// The keys in force.
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
