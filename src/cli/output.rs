//! Where a result goes: stdout or a file, as text, JSON or CSV.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::report::{self, file, visible};
use crate::run::inside::is_inside;

/// Wrong usage that the parser cannot see: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// For programs; the names are stable.
    Json,
    /// For spreadsheets and plots.
    Csv,
}

/// The options `--format` and `--out`.
#[derive(Clone, Debug, Args)]
pub(super) struct OutputOptions {
    /// How the result is written
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: Format,
    /// File to write instead of stdout; not inside the run folder
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Replace the file of --out also where isoloss did not write it; never a checkpoint or a file of the run
    #[arg(long, requires = "out")]
    force: bool,
}

impl OutputOptions {
    /// Refuses an output file inside the run, which is only ever read, and one over something else than an
    /// earlier result. Called before any work.
    pub(super) fn check(&self, run: &Path) -> anyhow::Result<()> {
        let Some(out) = &self.out else { return Ok(()) };
        let folder = match out.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        fs::canonicalize(folder)
            .with_context(|| format!("{}: no such folder", folder.display()))?;
        // A run may be a checkpoint, beside which there is room.
        if run.is_dir() {
            refuse_inside("--out", out, run)?;
        }
        match file::refusal(out, run, self.force) {
            Some(reason) => Err(Usage(format!("--out {}: {reason}", out.display())).into()),
            None => Ok(()),
        }
    }

    /// Writes a result in the format that was asked for.
    pub(super) fn print(
        &self,
        text: impl FnOnce() -> String,
        json: &impl Serialize,
        csv: impl FnOnce() -> Result<String, csv::Error>,
    ) -> anyhow::Result<()> {
        self.write(&match self.format {
            Format::Text => visible::lines_about(&text(), &serde_json::to_value(json)?),
            Format::Json => report::json(json)?,
            Format::Csv => csv()?,
        })
    }

    /// Writes the result, whole or not at all.
    pub(super) fn write(&self, result: &str) -> anyhow::Result<()> {
        if let Some(path) = &self.out {
            return file::replace(path, result.as_bytes())
                .with_context(|| format!("{}: cannot be written", path.display()));
        }
        to_stdout(result)
    }
}

/// Refuses a file or folder, given by an option, inside a run: that is only ever read.
pub(super) fn refuse_inside(option: &str, path: &Path, run: &Path) -> Result<(), Usage> {
    if is_inside(path, run) {
        let path = path.display();
        return Err(Usage(format!(
            "{option} {path}: is inside the run, where isoloss writes nothing"
        )));
    }
    Ok(())
}

/// Writes a whole result; what is hidden in it is written out.
pub(super) fn to_stdout(result: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(visible::lines(result).as_bytes())?;
    Ok(stdout.flush()?)
}
