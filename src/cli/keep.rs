//! The folder in which a run that is watched without a screen leaves frames and lines.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::plot::picture::{Format, Picture};
use crate::report::checkpoints::{self, Line};
use crate::report::file;
use crate::run::regular;
use crate::session::snapshot::Snapshot;

/// The file of lines.
const LINES: &str = "checkpoints.jsonl";
/// Bytes of it at most that are looked through for what was told: a million checkpoints.
const LARGEST: u64 = 1 << 30;

/// What a line is of: each checkpoint of each run has one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
struct Name {
    run: String,
    path: String,
    step: u64,
}

#[derive(Serialize)]
struct Written<'a> {
    run: &'a str,
    #[serde(flatten)]
    line: &'a Line,
}

/// A folder that is written to.
#[derive(Debug)]
pub(super) struct Keeper {
    folder: PathBuf,
    formats: Vec<Format>,
    /// The run, wherever it is looked at from.
    run: String,
    told: HashSet<Name>,
    last: Option<Picture>,
}

impl Keeper {
    /// Makes the folder where it is not there, and looks up which lines it has.
    pub(super) fn open(folder: &Path, run: &Path, formats: &[Format]) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("{}: cannot be made", folder.display()))?;
        let path = folder.join(LINES);
        let known = match regular::read(&path, LARGEST) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("{}: cannot be read", path.display()));
            }
        };
        let run = std::path::absolute(run).unwrap_or_else(|_| run.to_owned());
        let lines = known.split(|byte| *byte == b'\n');
        Ok(Self {
            folder: folder.to_owned(),
            formats: formats.to_vec(),
            run: fs::canonicalize(&run).unwrap_or(run).display().to_string(),
            told: lines
                .filter_map(|line| serde_json::from_slice(line).ok())
                .collect(),
            last: None,
        })
    }

    /// Writes a frame where it is another one than the last, by the step of the newest checkpoint and as the
    /// latest.
    pub(super) fn keep_frame(
        &mut self,
        picture: Picture,
        snapshot: &Snapshot,
    ) -> anyhow::Result<()> {
        if self.last.as_ref() == Some(&picture) {
            return Ok(());
        }
        let step = snapshot
            .trajectory
            .as_ref()
            .and_then(|path| path.steps.last());
        for format in &self.formats {
            let frame = picture.print_as(*format);
            let ending = format.ending();
            if let Some(step) = step {
                self.replace(&format!("frame-{step:06}.{ending}"), &frame)?;
            }
            self.replace(&format!("latest.{ending}"), &frame)?;
        }
        self.last = Some(picture);
        Ok(())
    }

    /// Writes a file of which a reader sees all or what was there before.
    fn replace(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        file::replace(&path, text.as_bytes())
            .with_context(|| format!("{}: cannot be written", path.display()))
    }

    /// Writes the lines of checkpoints that have become known.
    pub(super) fn keep_lines(&mut self, snapshot: &Snapshot) -> anyhow::Result<()> {
        let (mut text, mut names) = (String::new(), Vec::new());
        for line in checkpoints::known(snapshot) {
            let name = Name {
                run: self.run.clone(),
                path: line.path.clone(),
                step: line.step,
            };
            if !self.told.contains(&name) {
                let run = &self.run;
                text += &crate::report::json(&Written { run, line: &line })?;
                names.push(name);
            }
        }
        if !names.is_empty() {
            let path = self.folder.join(LINES);
            append(&path, &text)
                .with_context(|| format!("{}: cannot be written", path.display()))?;
            self.told.extend(names);
        }
        Ok(())
    }
}

/// Appends whole lines. One that a process left unfinished is cut off before, and so are these where they
/// cannot be written whole.
fn append(path: &Path, lines: &str) -> io::Result<()> {
    let mut file = own_file(OpenOptions::new().read(true).append(true).create(true)).open(path)?;
    if !file.metadata()?.is_file() {
        let kind = "expected a regular file, found a pipe or a device";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, kind));
    }
    let whole = whole_lines(&mut file)?;
    file.set_len(whole)?;
    file.write_all(lines.as_bytes()).inspect_err(|_| {
        let _ = file.set_len(whole);
    })
}

/// Opens no link that somebody else left in the folder, and waits for no reader of a pipe.
#[cfg(unix)]
fn own_file(options: &mut OpenOptions) -> &mut OpenOptions {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    options.custom_flags(flags.bits().cast_signed())
}

#[cfg(not(unix))]
fn own_file(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Bytes up to the end of the last whole line.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut last = [b'\n'];
    if length > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last == [b'\n'] {
        return Ok(length);
    }
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    let end = bytes.iter().rposition(|byte| *byte == b'\n');
    Ok(end.map_or(0, |end| end as u64 + 1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn a_line_that_was_left_unfinished_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LINES);
        for (before, after) in [
            ("", "new\n"),
            ("old\n", "old\nnew\n"),
            ("old\nhal", "old\nnew\n"),
            ("hal", "new\n"),
        ] {
            fs::write(&path, before).unwrap();
            append(&path, "new\n").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
        }
    }

    #[cfg(unix)]
    #[test]
    fn lines_and_frames_follow_no_planted_links() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let out = folder.path().join("out");
        fs::create_dir(&out).unwrap();
        for name in [LINES, ".latest.txt.partial", "latest.txt"] {
            symlink(&victim, out.join(name)).unwrap();
        }
        let mut keeper = Keeper::open(&out, folder.path(), &[Format::Text]).unwrap();
        let frame = keeper.keep_frame(Picture::new(2, 1), &Snapshot::default());
        frame.unwrap();
        assert!(append(&out.join(LINES), "line\n").is_err());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }

    #[test]
    fn the_same_frame_is_written_once_and_none_is_left_half() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let mut keeper = Keeper::open(&out, folder.path(), &[Format::Text, Format::Svg]).unwrap();
        let picture = Picture::new(2, 1);
        keeper
            .keep_frame(picture.clone(), &Snapshot::default())
            .unwrap();
        let names = || -> Vec<_> {
            let mut names: Vec<_> = fs::read_dir(&out)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(), ["latest.svg", "latest.txt"]);
        fs::remove_file(out.join("latest.txt")).unwrap();
        keeper.keep_frame(picture, &Snapshot::default()).unwrap();
        assert_eq!(names(), ["latest.svg"]);
        keeper
            .keep_frame(Picture::new(3, 1), &Snapshot::default())
            .unwrap();
        assert_eq!(names(), ["latest.svg", "latest.txt"]);
    }
}
