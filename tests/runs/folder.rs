//! A user's folder: the copy of a case's `run/`, with its links and times, and what a script does to it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

/// Name of the copy, as it stands in the program's sentences.
const HERE: &str = "here";

/// The copy of a case, which goes away with it.
pub(crate) struct Folder {
    place: TempDir,
    parts: PathBuf,
}

impl Folder {
    /// Copies a case. All files get one time, as after a copy that keeps none, unless `times` adds seconds to it.
    pub(crate) fn of(case: &Path, expected: &Value) -> Self {
        let folder = Self {
            place: tempfile::tempdir().unwrap(),
            parts: case.join("parts"),
        };
        fs::create_dir(folder.here()).unwrap();
        copy(&case.join("run"), &folder.here());
        for path in files(&folder.here()) {
            let name = path.strip_prefix(folder.here()).unwrap();
            let later = later(&expected["times"], name.to_str().unwrap());
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + later);
            File::open(&path).unwrap().set_modified(time).unwrap();
        }
        for (link, target) in expected["links"].as_object().into_iter().flatten() {
            let link = folder.here().join(link);
            std::os::unix::fs::symlink(target.as_str().unwrap(), link).unwrap();
        }
        folder
    }

    fn here(&self) -> PathBuf {
        self.place.path().join(HERE)
    }

    /// The program with these arguments beside the copy, with folders of settings, state and cache of its own.
    pub(crate) fn command(&self, arguments: &Value) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_isoloss"));
        command.current_dir(self.place.path());
        for kind in ["CACHE", "CONFIG", "DATA", "STATE"] {
            let own = self.place.path().join("xdg").join(kind);
            command.env(format!("XDG_{kind}_HOME"), own);
        }
        for argument in arguments.as_array().unwrap() {
            let argument = argument.as_str().unwrap();
            match argument.strip_prefix('.') {
                Some(below) => command.arg(format!("{HERE}{below}")),
                None => command.arg(argument),
            };
        }
        command
    }

    /// Does one action of a script.
    pub(crate) fn act(&self, action: &Value) {
        let at = |key: &str| action[key].as_str().unwrap_or_default();
        let (from, to) = (self.parts.join(at("from")), self.here().join(at("to")));
        match at("do") {
            "copy" => copy(&from, &to),
            "append" => append(&from, &to, &action["start"], &action["end"]),
            "truncate" => {
                let file = OpenOptions::new().write(true).open(to).unwrap();
                file.set_len(action["size"].as_u64().unwrap()).unwrap();
            }
            "rename" => fs::rename(self.here().join(at("from")), to).unwrap(),
            "remove" if at("to") == "*" => children(&self.here()).for_each(|path| remove(&path)),
            "remove" => remove(&to),
            unknown => panic!("unknown action {unknown}"),
        }
    }
}

/// Seconds that a file is younger than the others.
fn later(times: &Value, name: &str) -> u64 {
    let mut times = times.as_object().into_iter().flatten();
    let found = times.find(|(start, _)| name.starts_with(start.as_str()));
    found.map_or(0, |(_, later)| later.as_u64().unwrap())
}

fn children(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path())
}

/// Everything below a folder, the folders before what they hold.
fn files(folder: &Path) -> Vec<PathBuf> {
    let below = |path: PathBuf| {
        let inner = files(&path);
        std::iter::once(path).chain(inner)
    };
    children(folder).flat_map(below).collect()
}

/// Copies a file, or a folder with all that is in it, to where it shall lie; nothing where there is nothing.
fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for path in children(from) {
            copy(&path, &to.join(path.file_name().unwrap()));
        }
    } else if from.is_file() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}

fn append(from: &Path, to: &Path, start: &Value, end: &Value) {
    let bytes = fs::read(from).unwrap();
    let start = start.as_u64().map_or(0, |n| n as usize);
    let end = end.as_u64().map_or(bytes.len(), |n| n as usize);
    let file = OpenOptions::new().append(true).create(true).open(to);
    file.unwrap().write_all(&bytes[start..end]).unwrap();
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
}
