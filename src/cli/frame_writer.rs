//! The folder in which a run that is watched without a screen leaves frames and lines.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::plot::Picture;
use crate::report::checkpoints::{self};
use crate::report::{Line, measured, result_file};
use crate::run::contains::is_inside;
use crate::run::regular;
use crate::session::Snapshot;
use crate::tui::Format;

use super::output::Usage;

/// The file of lines.
const LINES: &str = "checkpoints.jsonl";
/// The beginning of each of its lines.
const BEGINNING: &[u8] = b"{\"run\":\"";
/// Most bytes of it that are searched for earlier reports: a million checkpoints.
const LARGEST: u64 = 1 << 30;
/// Attempts to have it alone, and the time between them: others write to it for a moment only.
const ATTEMPTS: (u32, Duration) = (25, Duration::from_millis(10));

/// Name of the checkpoint of a line: each checkpoint of each run has one.
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

/// Fields that lines of isoloss have beside their name.
#[derive(Deserialize)]
struct Beside {
    #[serde(rename = "origin")]
    _origin: IgnoredAny,
    #[serde(rename = "coordinates")]
    _coordinates: IgnoredAny,
    #[serde(rename = "update_norm")]
    _update_norm: IgnoredAny,
}

/// A folder that is written to.
#[derive(Debug)]
pub(super) struct FrameWriter {
    folder: PathBuf,
    formats: Vec<Format>,
    /// The run, wherever it is looked at from.
    run: PathBuf,
    /// Files that isoloss did not write are replaced too.
    force: bool,
    /// Names of frames that this session wrote.
    written: HashSet<String>,
    told: HashSet<Name>,
    /// Bytes of whole lines that were looked through.
    length: u64,
    last: Option<Picture>,
}

impl FrameWriter {
    /// Makes the folder where it is not there, looks up which lines it has, and refuses files in it that something
    /// else wrote.
    pub(super) fn open(
        folder: &Path,
        run: &Path,
        formats: &[Format],
        force: bool,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("{}: cannot be made", folder.display()))?;
        let run = std::path::absolute(run).unwrap_or_else(|_| run.to_owned());
        let mut keeper = Self {
            folder: folder.to_owned(),
            formats: formats.to_vec(),
            run: fs::canonicalize(&run).unwrap_or(run),
            force,
            written: HashSet::new(),
            told: HashSet::new(),
            length: 0,
            last: None,
        };
        for format in formats {
            let path = folder.join(latest(*format));
            keeper
                .check(&path, force)
                .map_err(|error| Usage(error.to_string()))?;
        }
        keeper.look_through()?;
        Ok(keeper)
    }

    /// Looks up which lines are there.
    fn look_through(&mut self) -> anyhow::Result<()> {
        let path = self.folder.join(LINES);
        let file = own_file(OpenOptions::new().read(true)).open(&path);
        match file.and_then(regular::checked) {
            Ok(mut file) => self.read(&mut file, &path).map(drop),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).with_context(|| format!("{}: cannot be read", path.display())),
        }
    }

    /// Writes a frame where it is another one than the last, by the step of the newest checkpoint and as the
    /// latest. A file that cannot be written keeps none of the others back.
    pub(super) fn keep_frame(
        &mut self,
        picture: Picture,
        snapshot: &Snapshot,
    ) -> anyhow::Result<()> {
        if self.last.as_ref() == Some(&picture) {
            return Ok(());
        }
        let path = snapshot.trajectory.as_ref();
        let step = path.and_then(|path| path.steps.last());
        let surface = measured::surface(snapshot);
        let mut written = Ok(());
        for format in self.formats.clone() {
            let frame = match format.file(&picture, surface.as_ref()) {
                Ok(Some(frame)) => frame,
                // No surface has been measured yet.
                Ok(None) => continue,
                Err(error) => {
                    written = written.and(Err(error.into()));
                    continue;
                }
            };
            let of_step = step.map(|step| format!("frame-{step:06}.{}", format.ending()));
            for name in of_step.into_iter().chain([latest(format)]) {
                written = written.and(self.replace(name, &frame));
            }
        }
        written?;
        self.last = Some(picture);
        Ok(())
    }

    /// Writes a file of which a reader sees all or what was there before.
    fn replace(&mut self, name: String, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.folder.join(&name);
        self.check(&path, self.force || self.written.contains(&name))?;
        result_file::replace(&path, bytes)
            .with_context(|| format!("{}: cannot be written", path.display()))?;
        self.written.insert(name);
        Ok(())
    }

    /// Refuses a file that something else wrote, and any in the run, which may have come to lie here.
    fn check(&self, path: &Path, force: bool) -> anyhow::Result<()> {
        if is_inside(&self.folder, &self.run) {
            bail!(
                "{}: is inside the run, where isoloss writes nothing",
                path.display()
            );
        }
        match result_file::refusal(path, &self.run, force) {
            Some(reason) => bail!("{}: {reason}", path.display()),
            None => Ok(()),
        }
    }

    /// Writes the lines of checkpoints that have become known.
    pub(super) fn keep_lines(&mut self, snapshot: &Snapshot) -> anyhow::Result<()> {
        let known = checkpoints::known(snapshot);
        if known
            .iter()
            .any(|line| !self.told.contains(&self.name(line)))
        {
            let path = self.folder.join(LINES);
            self.append(&path, &known)
                .with_context(|| format!("{}: cannot be written", path.display()))?;
        }
        Ok(())
    }

    fn name(&self, line: &Line) -> Name {
        Name {
            run: self.run.display().to_string(),
            path: line.path.clone(),
            step: line.step,
        }
    }

    /// Appends whole lines of what nobody has told. One that a process left unfinished is cut off before, and so
    /// are these where they cannot be written whole.
    fn append(&mut self, path: &Path, known: &[Line]) -> anyhow::Result<()> {
        if is_inside(&self.folder, &self.run) {
            bail!("is inside the run, where isoloss writes nothing");
        }
        let options = &mut OpenOptions::new();
        let file = own_file(options.read(true).append(true).create(true)).open(path);
        let mut file = regular::checked(file?)?;
        lock(&file)?;
        let whole = self.read(&mut file, path)?;
        let run = self.run.display().to_string();
        let (mut text, mut names) = (String::new(), Vec::new());
        for line in known {
            let name = self.name(line);
            if !self.told.contains(&name) {
                text += &crate::report::json(&Written { run: &run, line })?;
                names.push(name);
            }
        }
        file.set_len(whole)?;
        file.write_all(text.as_bytes()).inspect_err(|_| {
            let _ = file.set_len(whole);
        })?;
        self.length = whole + text.len() as u64;
        self.told.extend(names);
        Ok(())
    }

    /// Reads what others have told since; returns the bytes up to the end of the last whole line.
    fn read(&mut self, file: &mut File, path: &Path) -> anyhow::Result<u64> {
        let length = file.metadata()?.len();
        if length == self.length {
            return Ok(length);
        }
        if length > LARGEST {
            bail!(
                "{}: expected at most {LARGEST} bytes, found more",
                path.display()
            );
        }
        let mut bytes = Vec::new();
        file.take(LARGEST).read_to_end(&mut bytes)?;
        let whole = whole_lines(&bytes);
        if !is_own(&bytes, whole) {
            let is_mine = result_file::refusal(path, &self.run, true).is_none();
            if self.force && is_mine {
                return Ok(0);
            }
            return Err(Usage(format!(
                "{}: expected lines that isoloss wrote, found something else; {}",
                path.display(),
                if is_mine {
                    "--force replaces it"
                } else {
                    "choose another folder"
                }
            ))
            .into());
        }
        let lines = bytes.split(|byte| *byte == b'\n');
        let names = lines.filter_map(|line| serde_json::from_slice::<Name>(line).ok());
        self.told.extend(names);
        self.length = whole as u64;
        Ok(self.length)
    }
}

/// Returns the name of the frame that was written last.
fn latest(format: Format) -> String {
    format!("latest.{}", format.ending())
}

/// Waits until no other isoloss writes to the file. Where the file system knows no locks, it goes without.
fn lock(file: &File) -> anyhow::Result<()> {
    let (attempts, apart) = ATTEMPTS;
    for _ in 0..attempts {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => sleep(apart),
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(()),
        }
    }
    bail!("another isoloss writes there")
}

/// Tells that the last whole line is one of isoloss, and that one which was left unfinished begins so.
fn is_own(bytes: &[u8], whole: usize) -> bool {
    let (lines, rest) = bytes.split_at(whole);
    let last = lines.strip_suffix(b"\n").map(|lines| {
        let before = lines.iter().rposition(|byte| *byte == b'\n');
        &lines[before.map_or(0, |at| at + 1)..]
    });
    let begun = rest.len().min(BEGINNING.len());
    rest[..begun] == BEGINNING[..begun]
        && last.is_none_or(|line| {
            serde_json::from_slice::<Name>(line).is_ok()
                && serde_json::from_slice::<Beside>(line).is_ok()
        })
}

/// Returns the bytes up to the end of the last whole line.
fn whole_lines(bytes: &[u8]) -> usize {
    let end = bytes.iter().rposition(|byte| *byte == b'\n');
    end.map_or(0, |end| end + 1)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use std::sync::Arc;

    use super::*;
    use crate::session::{CheckpointLine, CheckpointState, Finding};
    use crate::weights::Trajectory;

    /// Returns a snapshot that has a line for each of these steps.
    fn snapshot(steps: &[u64]) -> Snapshot {
        let line = |step: &u64| CheckpointLine {
            step: Some(*step),
            state: CheckpointState::OnPath,
            ..CheckpointLine::new(format!("run/model_{step}.pt").as_ref())
        };
        let zeros = vec![0.0; steps.len()];
        Snapshot {
            run: "run".into(),
            checkpoints: steps.iter().map(line).collect(),
            data: Finding::Not("no data".into()),
            trajectory: Some(Arc::new(Trajectory {
                steps: steps.to_vec(),
                coordinates: vec![[0.0; 2]; steps.len()],
                residual: zeros.clone(),
                norm: zeros.clone(),
                update_norm: zeros,
                ..Trajectory::default()
            })),
            ..Snapshot::default()
        }
    }

    fn keeper(out: &Path, force: bool) -> anyhow::Result<FrameWriter> {
        FrameWriter::open(out, Path::new("run"), &[Format::Text, Format::Svg], force)
    }

    fn steps(out: &Path) -> Vec<u64> {
        let text = fs::read_to_string(out.join(LINES)).unwrap();
        let step = |line| serde_json::from_str::<Name>(line).unwrap().step;
        text.lines().map(step).collect()
    }

    #[test]
    fn a_line_that_was_left_unfinished_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LINES);
        let mut first = keeper(folder.path(), false).unwrap();
        first.keep_lines(&snapshot(&[1])).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        for half in ["", "{\"r", &whole[..whole.len() - 9]] {
            for before in ["", &*whole] {
                fs::write(&path, format!("{before}{half}")).unwrap();
                let mut keeper = keeper(folder.path(), false).unwrap();
                keeper.keep_lines(&snapshot(&[1, 2])).unwrap();
                assert_eq!(steps(folder.path()), [1, 2], "{before}{half}");
            }
        }
    }

    #[test]
    fn what_others_wrote_is_refused_and_replaced_only_when_told() {
        for (name, content) in [
            (LINES, "my own lines without end"),
            (LINES, "{\"run\":\"a\",\"path\":\"b\",\"step\":1}\n"),
            ("latest.txt", "my notes\n"),
            ("latest.svg", "<svg/>"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            let said = keeper(folder.path(), false).unwrap_err();
            assert!(
                said.is::<Usage>() && said.to_string().contains("--force"),
                "{said}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            let mut keeper = keeper(folder.path(), true).unwrap();
            keeper.keep_lines(&snapshot(&[1])).unwrap();
            keeper
                .keep_frame(Picture::new(2, 1), &snapshot(&[1]))
                .unwrap();
            assert_ne!(fs::read_to_string(&path).unwrap(), content);
        }
    }

    #[test]
    fn a_checkpoint_is_never_replaced_and_keeps_no_other_frame_back() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("frame-000001.txt"), b"\x80\x02}q\0.").unwrap();
        let mut one = keeper(folder.path(), true).unwrap();
        let said = one
            .keep_frame(Picture::new(2, 1), &snapshot(&[1]))
            .unwrap_err();
        assert!(said.to_string().contains("weights"), "{said}");
        assert_eq!(fs::read(at("frame-000001.txt")).unwrap(), b"\x80\x02}q\0.");
        assert!(at("latest.txt").exists() && at("latest.svg").exists());
        for name in ["latest.svg", LINES] {
            fs::write(at(name), b"\x80\x02}q\0.").unwrap();
            assert!(keeper(folder.path(), true).is_err(), "{name}");
            fs::remove_file(at(name)).unwrap();
        }
    }

    #[test]
    fn watchers_of_one_folder_tell_each_checkpoint_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut both = [(); 2].map(|()| keeper(folder.path(), false).unwrap());
        for until in 1..=3 {
            for keeper in &mut both {
                let all: Vec<u64> = (0..until).collect();
                keeper.keep_lines(&snapshot(&all)).unwrap();
            }
        }
        assert_eq!(steps(folder.path()), [0, 1, 2]);
        let other = File::open(folder.path().join(LINES)).unwrap();
        other.lock().unwrap();
        let said = both[0].keep_lines(&snapshot(&[7])).unwrap_err();
        assert!(format!("{said:#}").contains("another isoloss"), "{said:#}");
    }

    #[cfg(unix)]
    #[test]
    fn a_run_that_comes_to_lie_in_the_folder_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (out, run) = (folder.path().join("out"), folder.path().join("run"));
        let mut keeper = FrameWriter::open(&out, &run, &[Format::Text], false).unwrap();
        std::os::unix::fs::symlink(&out, &run).unwrap();
        assert!(keeper.keep_lines(&snapshot(&[1])).is_err());
        assert!(
            keeper
                .keep_frame(Picture::new(2, 1), &snapshot(&[1]))
                .is_err()
        );
        assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn lines_and_frames_follow_no_planted_links() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        for name in [LINES, "latest.txt"] {
            let out = folder.path().join(name);
            fs::create_dir(&out).unwrap();
            let link = out.join(name);
            symlink(&victim, &link).unwrap();
            let open = || FrameWriter::open(&out, Path::new("run"), &[Format::Text], true);
            assert!(open().is_err(), "{name}");
            fs::remove_file(&link).unwrap();
            let mut keeper = open().unwrap();
            symlink(&victim, &link).unwrap();
            let lines = keeper.keep_lines(&snapshot(&[1]));
            let frame = keeper.keep_frame(Picture::new(2, 1), &snapshot(&[1]));
            assert!(lines.and(frame).is_err(), "{name}");
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }

    #[test]
    fn the_same_frame_is_written_once_and_none_is_left_half() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let mut keeper =
            FrameWriter::open(&out, Path::new("run"), &[Format::Text, Format::Svg], false).unwrap();
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
