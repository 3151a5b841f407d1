//! Destination of a result: stdout or a file, in one of the formats.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use crate::plot::{Palette, Picture};
use crate::report::broken_lines::broken;
use crate::report::npz::{self};
use crate::report::vtp::{self};
use crate::report::{self, Array, MeshPiece, PAGE, result_file, visible};
use crate::run::contains::is_inside;
use crate::tui::Themes;

/// Wrong usage that the parser cannot see: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// Format of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// For programs; the names are stable.
    Json,
    /// For spreadsheets and plots.
    Csv,
    /// Picture for browsers.
    Svg,
    /// Picture for papers, at twice the size of the SVG.
    Png,
    /// Arrays for NumPy: `numpy.load`, without pickled objects.
    Npz,
    /// Surface for ParaView: XML PolyData, the loss as height.
    Vtp,
}

impl Format {
    /// All of them: formats of a result over a plane.
    pub(super) const OF_MAPS: &[Self] = &[
        Self::Text,
        Self::Json,
        Self::Csv,
        Self::Svg,
        Self::Png,
        Self::Npz,
        Self::Vtp,
    ];
    /// Formats of a result that is a table.
    pub(super) const OF_TABLES: &[Self] = &[Self::Text, Self::Json, Self::Csv];
    /// Formats of a table that has a picture.
    pub(super) const OF_PICTURES: &[Self] =
        &[Self::Text, Self::Json, Self::Csv, Self::Svg, Self::Png];
    /// Formats of one that is drawn as curves.
    pub(super) const OF_CURVES: &[Self] = &[
        Self::Text,
        Self::Json,
        Self::Csv,
        Self::Svg,
        Self::Png,
        Self::Npz,
    ];

    pub(super) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Returns true if people do not read its bytes.
    fn is_binary(self) -> bool {
        matches!(self, Self::Png | Self::Npz)
    }
}

/// A result as a description and its arrays.
type Described = (Value, Vec<Array>);

/// A result in the formats that not every result has; what a command does not offer is never asked for.
#[derive(Default)]
pub(super) struct Forms<'a> {
    /// Draws it, on paper.
    pub(super) picture: Option<&'a dyn Fn(Option<Palette>) -> Picture>,
    /// Describes it, and gives its arrays.
    pub(super) arrays: Option<&'a dyn Fn() -> anyhow::Result<Described>>,
    /// Its surfaces and paths.
    pub(super) pieces: Option<&'a dyn Fn() -> Vec<MeshPiece>>,
}

/// The options `--format` and `--out`.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputOptions {
    /// Format of the result
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: Format,
    /// File to write instead of stdout, which is `-`; not inside the run folder
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Replace the file of --out also where isoloss did not write it; never a checkpoint or a file of the run
    #[arg(long, requires = "out")]
    force: bool,
}

impl OutputOptions {
    /// Refuses an output file inside the run or beside the checkpoint, which are only ever read, and one over
    /// something else than an earlier result; and a format that this result has not. Called before any work.
    pub(super) fn check(&self, run: &Path, offered: &[Format]) -> anyhow::Result<()> {
        if !offered.contains(&self.format) {
            let names: Vec<String> = offered.iter().map(|format| format.name()).collect();
            return Err(Usage(format!(
                "--format {}: this result has no such form, but {}",
                self.format.name(),
                names.join(", ")
            ))
            .into());
        }
        let Some(out) = self.file() else {
            if self.format.is_binary() && io::stdout().is_terminal() {
                let name = self.format.name();
                let sentence =
                    format!("--format {name}: is not for a terminal; name a file with --out");
                return Err(Usage(sentence).into());
            }
            return Ok(());
        };
        check_file("--out", out, run, self.force)
    }

    /// Refuses another file to write, given by an option, that is the one of the result. Called before any work.
    pub(super) fn refuse_same(&self, option: &str, other: Option<&Path>) -> anyhow::Result<()> {
        let (Some(out), Some(other)) = (self.file(), other) else {
            return Ok(());
        };
        if out.file_name() == other.file_name() && real_folder(out)? == real_folder(other)? {
            let sentence = format!("{option} {}: --out names the same file", other.display());
            return Err(Usage(sentence).into());
        }
        Ok(())
    }

    /// Returns the file to write; `None` for stdout.
    fn file(&self) -> Option<&Path> {
        let stdout = ["-", "/dev/stdout"].map(Path::new);
        self.out.as_deref().filter(|out| !stdout.contains(out))
    }

    /// Returns the characters across of the terminal, or what COLUMNS says where stdout is none; `None` if neither is
    /// known, and for files, whose text is known again by its lines.
    fn columns(&self) -> Option<usize> {
        if self.file().is_some() {
            return None;
        }
        let columns = if io::stdout().is_terminal() {
            let size = crossterm::terminal::size().ok();
            size.map(|(columns, _)| usize::from(columns))
        } else {
            let told = std::env::var("COLUMNS").ok();
            told.and_then(|columns| columns.parse().ok())
        };
        // A terminal that does not know its width says 0.
        columns.filter(|columns| *columns > 0)
    }

    /// Returns the characters across of a text that is at most this wide.
    pub(super) fn within(&self, widest: usize) -> usize {
        self.columns().map_or(widest, |columns| columns.min(widest))
    }

    /// Writes a result in the format that was asked for. The text is given the characters that it has across.
    pub(super) fn print(
        &self,
        text: impl FnOnce(usize) -> String,
        json: &impl Serialize,
        csv: impl FnOnce() -> Result<String, csv::Error>,
        forms: &Forms<'_>,
    ) -> anyhow::Result<()> {
        let missing = || Usage(format!("--format {}: no such form", self.format.name()));
        let picture = || {
            forms
                .picture
                .map(|picture| picture(paper()))
                .ok_or_else(missing)
        };
        let bytes = match self.format {
            Format::Text => {
                let columns = self.columns();
                let text = text(self.within(PAGE));
                let text = visible::lines_about(&text, &serde_json::to_value(json)?);
                // Others read the text line by line where it has no width.
                return match columns {
                    Some(room) => self.write(&folded(&text, room)),
                    None => self.write(&text),
                };
            }
            Format::Json => return self.write(&report::json(json)?),
            Format::Csv => return self.write(&csv()?),
            Format::Svg => return self.write(&picture()?.svg()),
            Format::Vtp => {
                let pieces = forms.pieces.ok_or_else(missing)?;
                return self.write(&vtp::file(&pieces()));
            }
            Format::Png => picture()?.png()?,
            Format::Npz => {
                let (about, arrays) = forms.arrays.ok_or_else(missing)?()?;
                npz::file(&about, &arrays)?
            }
        };
        self.write_bytes(&bytes)
    }

    fn write_bytes(&self, bytes: &[u8]) -> anyhow::Result<()> {
        if let Some(path) = self.file() {
            return write_file(path, bytes);
        }
        check_stdout()?;
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        Ok(stdout.flush()?)
    }

    /// Writes the result, whole or not at all.
    pub(super) fn write(&self, result: &str) -> anyhow::Result<()> {
        if self.file().is_some() {
            return self.write_bytes(result.as_bytes());
        }
        to_stdout(result)
    }
}

/// Breaks the lines of a text that are longer than there is room.
fn folded(text: &str, room: usize) -> String {
    let lines = text.lines().flat_map(|line| broken(line, room));
    lines.fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// Returns the colours on paper: those of the light theme.
fn paper() -> Option<Palette> {
    let mut themes = Themes::default();
    themes.select("light");
    themes.current().palette()
}

/// Returns the folder of a file, without links.
fn real_folder(file: &Path) -> anyhow::Result<PathBuf> {
    let folder = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::canonicalize(folder).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "no such folder".to_owned(),
            io::ErrorKind::PermissionDenied => "may not be looked into".into(),
            _ => error.to_string(),
        };
        anyhow!("{}: {why}", folder.display())
    })
}

/// Returns the folders beside a checkpoint that was named: its own, and that of its folder where this is one of a run.
fn beside(checkpoint: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    if checkpoint.is_file() {
        folders.push(real_folder(checkpoint)?);
    }
    let inner = folders.first().cloned();
    let inner = inner.or_else(|| fs::canonicalize(checkpoint).ok());
    let is_numbered = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("checkpoint-")
    };
    let outer = inner
        .filter(is_numbered)
        .and_then(|inner| inner.parent().map(Path::to_path_buf));
    folders.extend(outer);
    Ok(folders)
}

/// Refuses a file to write, given by an option, inside a run or beside a checkpoint, which are only ever read, and
/// one over something else than an earlier result. Called before any work.
pub(super) fn check_file(option: &str, file: &Path, run: &Path, force: bool) -> anyhow::Result<()> {
    let named = || format!("{option} {}", file.display());
    let folder = real_folder(file).with_context(named)?;
    if run.is_dir() {
        refuse_inside(option, file, run)?;
    }
    if beside(run)?.contains(&folder) {
        return Err(Usage(format!(
            "{}: lies beside the checkpoint, perhaps in its run, where isoloss writes nothing; choose another folder",
            named()
        ))
        .into());
    }
    match result_file::refusal(file, run, force) {
        Some(reason) => Err(Usage(format!("{}: {reason}", named())).into()),
        None => Ok(()),
    }
}

/// Writes a file whole or not at all.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    result_file::replace(path, bytes)
        .with_context(|| format!("{}: cannot be written", path.display()))
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

/// Refuses a stdout that is open for reading alone: what is written to it gets lost without an error.
#[cfg(unix)]
pub(super) fn check_stdout() -> io::Result<()> {
    use rustix::fs::{OFlags, fcntl_getfl};
    if fcntl_getfl(rustix::stdio::stdout())? & OFlags::RWMODE == OFlags::RDONLY {
        return Err(io::Error::other("stdout is not open for writing"));
    }
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn check_stdout() -> io::Result<()> {
    Ok(())
}

/// Writes a whole result; what is hidden in it is written out.
pub(super) fn to_stdout(result: &str) -> anyhow::Result<()> {
    check_stdout()?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(visible::lines(result).as_bytes())?;
    Ok(stdout.flush()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    fn to(out: &Path) -> OutputOptions {
        OutputOptions {
            format: Format::Json,
            out: Some(out.into()),
            force: true,
        }
    }

    #[test]
    fn nothing_is_written_beside_a_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        fs::create_dir(&run).unwrap();
        let checkpoint = run.join("model.pt");
        fs::write(&checkpoint, "PK").unwrap();
        let said = to(&run.join("new.json"))
            .check(&checkpoint, Format::OF_TABLES)
            .unwrap_err();
        assert!(said.to_string().contains("beside the checkpoint"), "{said}");
        let deep = run.join("checkpoint-10");
        fs::create_dir(&deep).unwrap();
        fs::write(deep.join("model.pt"), "PK").unwrap();
        for named in [deep.join("model.pt"), deep] {
            assert!(
                to(&run.join("trainer_state.json"))
                    .check(&named, Format::OF_TABLES)
                    .is_err()
            );
        }
        let elsewhere = folder.path().join("new.json");
        to(&elsewhere)
            .check(&checkpoint, Format::OF_TABLES)
            .unwrap();
        fs::write(&elsewhere, "mine").unwrap();
        to(&elsewhere)
            .check(&checkpoint, Format::OF_TABLES)
            .unwrap();
    }

    #[test]
    fn two_names_are_stdout() {
        for name in ["-", "/dev/stdout"] {
            let out = to(Path::new(name));
            assert_eq!(out.file(), None);
            out.check(Path::new("run"), Format::OF_TABLES).unwrap();
        }
        assert_eq!(to(Path::new("./-")).file(), Some(Path::new("./-")));
    }
}
