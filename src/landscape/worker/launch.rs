//! The command that starts a worker process.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use crate::evaluator::{Process, Spoken, Stop};

/// The command of a worker process.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// The command around the worker's own, in which `{}` stands for that; `None` if there is none.
    pub launcher: Option<String>,
    /// Variables that it is given beside those of this process.
    pub environment: Vec<(String, OsString)>,
    /// Time without a line after which it is taken to hang: it says every second that it lives.
    pub silence: Duration,
}

impl Launch {
    /// Returns a command with the usual patience.
    #[must_use]
    pub fn new(command: Vec<OsString>, environment: Vec<(String, OsString)>) -> Self {
        Self {
            command,
            launcher: None,
            environment,
            silence: Duration::from_secs(60),
        }
    }

    pub(super) fn start(&self, stop: &Stop) -> std::io::Result<Process> {
        let [program, arguments @ ..] = &self.command[..] else {
            return Err(std::io::ErrorKind::InvalidInput.into());
        };
        let mut command = Command::new(program);
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        command.args(arguments).envs(environment);
        let spoken = Spoken {
            name: "worker",
            farewell: None,
        };
        Process::spawn(command, spoken, stop.clone())
    }
}
