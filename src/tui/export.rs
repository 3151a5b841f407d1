//! Writes what is seen to files beside the run: pictures of the screen, and the surface as numbers.

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use ratatui::layout::Size;

use crate::plot::Picture;
use crate::report::{self, SurfaceReport, measured, npz, vtp};
use crate::run::contains::is_inside;

use super::offscreen::still;
use super::state::App;

/// A file that can be written: a picture of the screen, or the measured surface as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Characters alone.
    Text,
    /// With ANSI colours, for `cat` and `less -R`.
    Ansi,
    /// For browsers.
    Svg,
    /// For papers, at twice the size of the SVG.
    Png,
    /// The measured surface, as `isoloss surface --format json` prints one.
    Json,
    /// The same as arrays for NumPy.
    Npz,
    /// The same for ParaView.
    Vtp,
}

impl Format {
    /// Returns the ending of its files' names.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Ansi => "ansi",
            Self::Svg => "svg",
            Self::Png => "png",
            Self::Json => "json",
            Self::Npz => "npz",
            Self::Vtp => "vtp",
        }
    }

    /// Returns the bytes of such a file; `None` if no surface has been measured that it could hold.
    ///
    /// # Errors
    /// The picture is too large.
    pub fn file(
        self,
        screen: &Picture,
        surface: Option<&SurfaceReport>,
    ) -> io::Result<Option<Vec<u8>>> {
        Ok(match (self, surface) {
            (Self::Text, _) => Some(screen.text().into_bytes()),
            (Self::Ansi, _) => Some(screen.ansi().into_bytes()),
            (Self::Svg, _) => Some(screen.svg().into_bytes()),
            (Self::Png, _) => Some(screen.png()?),
            (_, None) => None,
            (Self::Json, Some(surface)) => Some(report::json(&surface.json())?.into_bytes()),
            (Self::Npz, Some(surface)) => {
                let (about, arrays) = surface.arrays();
                Some(npz::file(&about, &arrays)?)
            }
            (Self::Vtp, Some(surface)) => Some(vtp::file(&surface.pieces()).into_bytes()),
        })
    }
}

/// Returns the name of files of what is seen now, without ending: `isoloss-step376-map`.
#[must_use]
pub fn stem(app: &App) -> String {
    let path = app.snapshot().trajectory.as_ref();
    let step = path.and_then(|path| path.steps.get(app.selected()?));
    let step = step.map_or(String::new(), |step| format!("-step{step}"));
    format!("isoloss{step}-{}", app.view().name())
}

/// Writes what is seen to the working folder, in every format; says in a sentence how that went.
#[must_use]
pub fn here(app: &App, size: Size) -> String {
    let written = env::current_dir()
        .and_then(|folder| export(app, size, &folder, &stem(app), Format::value_variants()));
    match written {
        Ok(files) => {
            let part = |part: fn(&Path) -> Option<&OsStr>| {
                move |file: &PathBuf| part(file).map(|part| part.display().to_string())
            };
            let stem = files.first().and_then(part(Path::file_stem));
            let endings: Vec<String> = files.iter().filter_map(part(Path::extension)).collect();
            let folder = files.first().and_then(|file| file.parent());
            let folder = folder.map_or(String::new(), |folder| folder.display().to_string());
            format!(
                "{}.{{{}}} in {folder}",
                stem.unwrap_or_default(),
                endings.join(",")
            )
        }
        Err(error) => format!("nothing was written: {error}"),
    }
}

/// Writes what is seen, the screen at this size, to a folder, in each of these formats, and returns the files' paths. No file
/// is overwritten: where one of a name is there, all names end in `-2`, then `-3` and so on. Without a measured
/// surface there are no numbers of it.
///
/// # Errors
/// The folder is inside the run or one of those compared with it, or the system's reason why a file cannot be
/// written.
pub fn export(
    app: &App,
    size: Size,
    folder: &Path,
    stem: &str,
    formats: &[Format],
) -> io::Result<Vec<PathBuf>> {
    let compared = app.compared().iter().map(|other| &other.run);
    let mut runs = std::iter::once(&app.snapshot().run).chain(compared);
    if let Some(run) = runs.find(|run| is_inside(folder, run)) {
        let (folder, run) = (folder.display(), run.display());
        let sentence = format!("{folder}: is inside the run {run}, where isoloss writes nothing");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, sentence));
    }
    let files = contents(app, size, formats)?;
    let free = |stem: &String| {
        let is_there =
            |(ending, _): &(&str, Vec<u8>)| named(folder, stem, ending).symlink_metadata().is_ok();
        !files.iter().any(is_there)
    };
    let numbered = (2u32..).map(|number| format!("{stem}-{number}"));
    let mut stems = std::iter::once(stem.to_owned()).chain(numbered);
    let stem = stems.find(free).unwrap_or_else(|| stem.to_owned());
    let write = |(ending, bytes): &(&str, Vec<u8>)| {
        let path = named(folder, &stem, ending);
        // Fails where another program was faster with the name.
        File::create_new(&path)
            .and_then(|mut file| {
                // What is not whole does not stay.
                file.write_all(bytes).inspect_err(|_| {
                    let _ = std::fs::remove_file(&path);
                })
            })
            .map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("{}: cannot be written: {error}", path.display()),
                )
            })?;
        Ok(path)
    };
    files.iter().map(write).collect()
}

fn named(folder: &Path, stem: &str, ending: &str) -> PathBuf {
    folder.join(format!("{stem}.{ending}"))
}

/// Returns the files that are written, with their endings.
fn contents(app: &App, size: Size, formats: &[Format]) -> io::Result<Vec<(&'static str, Vec<u8>)>> {
    let screen = still(app, size);
    let surface = measured::surface(app.snapshot());
    let mut files = Vec::new();
    for format in formats {
        let file = format.file(&screen, surface.as_ref())?;
        files.extend(file.map(|file| (format.ending(), file)));
    }
    Ok(files)
}
