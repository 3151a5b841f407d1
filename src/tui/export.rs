//! What is seen, written to files beside the run: pictures of the screen, and the surface as numbers.

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ratatui::layout::Size;
use serde::{Deserialize, Serialize};

use crate::plot::picture;
use crate::report::{self, measured};
use crate::run::contains::is_inside;

use super::offscreen::still;
use super::state::App;

/// A file that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The screen's characters.
    Txt,
    /// The screen with ANSI colours.
    Ansi,
    /// The screen for browsers and papers.
    Svg,
    /// The measured surface, as `isoloss surface --format json` prints one.
    Json,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Txt, Self::Ansi, Self::Svg, Self::Json];

    fn ending(self) -> &'static str {
        self.picture().map_or("json", picture::Format::ending)
    }

    fn picture(self) -> Option<picture::Format> {
        match self {
            Self::Txt => Some(picture::Format::Text),
            Self::Ansi => Some(picture::Format::Ansi),
            Self::Svg => Some(picture::Format::Svg),
            Self::Json => None,
        }
    }
}

/// The name of files of what is seen now, without ending: `isoloss-step376-map`.
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
    let written =
        env::current_dir().and_then(|folder| export(app, size, &folder, &stem(app), &Format::ALL));
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

/// Writes the screen at this size to a folder, in each of these formats, and returns the files' paths. No file
/// is overwritten: where one of a name is there, all names end in `-2`, then `-3` and so on. Without a measured
/// surface there is no JSON.
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
    let compared = app.compared().iter().map(|rival| &rival.run);
    let mut runs = std::iter::once(&app.snapshot().run).chain(compared);
    if let Some(run) = runs.find(|run| is_inside(folder, run)) {
        let (folder, run) = (folder.display(), run.display());
        let sentence = format!("{folder}: is inside the run {run}, where isoloss writes nothing");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, sentence));
    }
    let files: Vec<(&str, String)> = contents(app, size, formats)?;
    let free = |stem: &String| {
        let is_there =
            |(ending, _): &(&str, _)| named(folder, stem, ending).symlink_metadata().is_ok();
        !files.iter().any(is_there)
    };
    let numbered = (2u32..).map(|number| format!("{stem}-{number}"));
    let mut stems = std::iter::once(stem.to_owned()).chain(numbered);
    let stem = stems.find(free).unwrap_or_else(|| stem.to_owned());
    let write = |(ending, text): &(&str, String)| {
        let path = named(folder, &stem, ending);
        // Fails where another program was faster with the name.
        File::create_new(&path)
            .and_then(|mut file| {
                // What is not whole does not stay.
                file.write_all(text.as_bytes()).inspect_err(|_| {
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

/// What is written, with the ending of each file.
fn contents(app: &App, size: Size, formats: &[Format]) -> io::Result<Vec<(&'static str, String)>> {
    let screen = still(app, size);
    let surface = measured::surface(app.snapshot());
    let mut files = Vec::new();
    for format in formats {
        let text = match (format.picture(), &surface) {
            (Some(picture), _) => screen.print_as(picture),
            (None, Some(surface)) => report::json(&surface.json())?,
            (None, None) => continue,
        };
        files.push((format.ending(), text));
    }
    Ok(files)
}
