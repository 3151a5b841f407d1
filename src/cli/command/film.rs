//! `isoloss film`: the frames of a run that was watched without a screen, as an animated picture.

use std::fs;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Deserialize;

use crate::cli::output::Usage;
use crate::cli::progress;
use crate::plot::film::{self};
use crate::plot::{Pixels, Reel, svg};
use crate::report::result_file;
use crate::run::contains::is_inside;
use crate::run::regular;

/// Bytes of a frame at most.
const LARGEST: u64 = 1 << 28;
/// Beginning of the names of frames.
const NAME: &str = "frame-";

#[derive(Debug, Args)]
pub(in crate::cli) struct Film {
    /// Folder of frames that `isoloss watch --headless --out` wrote with `--format png` or `svg`
    frames: PathBuf,
    /// Film to write: a GIF (.gif), or an animated PNG (.png, .apng) in all colours
    out: PathBuf,
    /// Frames a second; the last one stays for two seconds
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=50))]
    fps: u16,
    /// Replace the film also where isoloss did not write it; never a checkpoint
    #[arg(long)]
    force: bool,
}

impl Film {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<()> {
        let ending = self.out.extension().unwrap_or_default().to_string_lossy();
        let is_gif = match ending.to_ascii_lowercase().as_str() {
            "gif" => true,
            "png" | "apng" => false,
            _ => {
                let out = self.out.display();
                let sentence = format!("{out}: expected a name that ends in .gif, .png or .apng");
                return Err(Usage(sentence).into());
            }
        };
        let folder = Folder::open(&self.frames)?;
        let run = folder.run().unwrap_or_default();
        let reason = if is_inside(&self.out, &run) && run.is_dir() {
            Some("is inside the run, where isoloss writes nothing".into())
        } else {
            result_file::refusal(&self.out, &run, self.force)
        };
        if let Some(reason) = reason {
            return Err(Usage(format!("{}: {reason}", self.out.display())).into());
        }
        let bar = progress::bar("film", 2 * folder.count());
        let make = if is_gif { film::gif } else { film::apng };
        let bytes = make(&folder, self.fps, || bar.inc(1))?;
        bar.finish_and_clear();
        result_file::replace(&self.out, &bytes)
            .with_context(|| format!("{}: cannot be written", self.out.display()))
    }
}

/// A folder of frames, by their steps.
struct Folder {
    path: PathBuf,
    frames: Vec<PathBuf>,
}

/// Line of a checkpoint, which names the run.
#[derive(Deserialize)]
struct Line {
    run: PathBuf,
}

impl Folder {
    /// Finds the frames: PNG files and, where there are none, SVG files.
    fn open(path: &Path) -> anyhow::Result<Self> {
        let entries =
            fs::read_dir(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        let mut found: Vec<(bool, u64, PathBuf)> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let stem = path.file_stem()?.to_str()?;
                let step = stem.strip_prefix(NAME)?.parse().ok()?;
                let is_drawn = match path.extension()?.to_str()? {
                    "png" => false,
                    "svg" => true,
                    _ => return None,
                };
                Some((is_drawn, step, path))
            })
            .collect();
        found.sort();
        let first = found.first().map(|(is_drawn, ..)| *is_drawn);
        found.retain(|(is_drawn, ..)| Some(*is_drawn) == first);
        if found.is_empty() {
            anyhow::bail!(
                "{}: expected frame-*.png or frame-*.svg, found none; isoloss watch RUN --headless --out DIR --format png writes them",
                path.display()
            );
        }
        Ok(Self {
            path: path.to_owned(),
            frames: found.into_iter().map(|(.., path)| path).collect(),
        })
    }

    /// Returns the run of the frames, where their folder tells it.
    fn run(&self) -> Option<PathBuf> {
        let lines = regular::read(&self.path.join("checkpoints.jsonl"), 1 << 30).ok()?;
        let first = lines.split(|byte| *byte == b'\n').next()?;
        let line: Line = serde_json::from_slice(first).ok()?;
        Some(line.run)
    }
}

impl Reel for Folder {
    fn count(&self) -> usize {
        self.frames.len()
    }

    fn picture(&self, index: usize) -> io::Result<Pixels> {
        let path = &self.frames[index];
        read(path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }
}

fn read(path: &Path) -> io::Result<Pixels> {
    let bytes = regular::read(path, LARGEST)?;
    if path.extension().is_some_and(|ending| ending == "png") {
        return Pixels::of_png(Cursor::new(bytes));
    }
    let svg = String::from_utf8(bytes).map_err(io::Error::other)?;
    if svg.lines().nth(1) != Some(svg::MARK) {
        return Err(io::Error::other(
            "expected a frame of isoloss, found another picture",
        ));
    }
    Pixels::of_svg(&svg)
}
