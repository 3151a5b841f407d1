//! Paths of the files that are looked at.

use std::fs;
use std::path::{Path, PathBuf};

use directories::ProjectDirs;

/// Name of the file beside runs.
const NAME: &str = "isoloss.toml";
/// Folder in a run's in which trainers save its checkpoints.
const INNER: &str = "checkpoints";

/// Paths at which settings may lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigPaths {
    /// The user's own file; `None` if the user has no home.
    pub user: Option<PathBuf>,
    /// Files beside the run; the first that is there counts.
    pub run: Vec<PathBuf>,
}

impl ConfigPaths {
    /// Returns those of a run, or of a checkpoint of it: the run's folder, `checkpoints` in it, the one that it lies in, then
    /// the working directory.
    #[must_use]
    pub fn around(run: Option<&Path>) -> Self {
        let user = ProjectDirs::from("", "", "isoloss")
            .map(|folders| folders.config_dir().join("config.toml"));
        let own = run.map(own);
        let beside = own.as_deref().and_then(parent);
        let mut places = Vec::new();
        // Lightning saves to `version_0/checkpoints`, and so does a script that exports to where it saves.
        let inner = own.iter().filter(|own| own.join(INNER).is_dir());
        let inner: Vec<PathBuf> = inner.map(|own| own.join(INNER)).collect();
        let outer = beside.into_iter().chain([PathBuf::new()]);
        for folder in own.into_iter().chain(inner).chain(outer) {
            let place = folder.join(NAME);
            if !places.contains(&place) {
                places.push(place);
            }
        }
        Self { user, run: places }
    }

    /// Returns a sentence about each file beside the run that another user left there: it does not count.
    #[must_use]
    pub fn passed_over(&self) -> Vec<String> {
        let there = self.run.iter().filter(|path| path.exists());
        there
            .filter(|path| !is_own(path))
            .map(|path| {
                let path = path.display();
                format!("{path}: belongs to another user and is not used; copy it and put the copy in its place to use it")
            })
            .collect()
    }

    /// Returns the files that are there and count; later ones override earlier ones.
    #[must_use]
    pub fn found(&self) -> Vec<PathBuf> {
        let run = self.run.iter().find(|path| path.exists() && is_own(path));
        let user = self.user.iter().filter(|path| path.exists());
        user.chain(run).cloned().collect()
    }
}

/// Returns true if a file is the user's or the administrator's: whoever may write beside a run does not set
/// what keys do.
#[cfg(unix)]
fn is_own(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let user = rustix::process::geteuid().as_raw();
    fs::metadata(path).is_ok_and(|file| [user, 0].contains(&file.uid()))
}

#[cfg(not(unix))]
fn is_own(_: &Path) -> bool {
    true
}

/// Returns true if a file and its folder are the user's and nobody else may write them, nor put another folder in
/// their place: only such a file may name a program to run.
#[cfg(unix)]
pub(super) fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    const OTHERS_WRITE: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    let user = rustix::process::geteuid().as_raw();
    let own = |found: &fs::Metadata| found.uid() == user && found.mode() & OTHERS_WRITE == 0;
    // In a sticky folder, such as /tmp, others cannot move what is not theirs.
    let safe = |found: &fs::Metadata| {
        let kept = found.mode() & (OTHERS_WRITE | STICKY);
        [user, 0].contains(&found.uid()) && (kept & OTHERS_WRITE == 0 || kept & STICKY != 0)
    };
    // Where links lead counts.
    let Ok(path) = fs::canonicalize(path) else {
        return false;
    };
    let mut all = path.ancestors().map(fs::metadata);
    let nearest = all
        .by_ref()
        .take(2)
        .all(|found| found.is_ok_and(|found| own(&found)));
    nearest && all.all(|found| found.is_ok_and(|found| safe(&found)))
}

#[cfg(not(unix))]
pub(super) fn is_private(_: &Path) -> bool {
    false
}

/// Returns the folder of a run; for a checkpoint, the one that it lies in. It is empty for the working directory.
fn own(run: &Path) -> PathBuf {
    let folder = if run.is_file() {
        run.parent()
    } else {
        Some(run)
    };
    let folder = folder.unwrap_or(run);
    folder.strip_prefix(".").unwrap_or(folder).to_path_buf()
}

/// Returns the folder that a run's folder lies in.
fn parent(folder: &Path) -> Option<PathBuf> {
    if folder.file_name().is_some() {
        return folder.parent().map(Path::to_path_buf);
    }
    // The working directory, and `..`
    let folder = Path::new(".").join(folder);
    let folder = fs::canonicalize(folder).ok()?;
    folder.parent().map(Path::to_path_buf)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_among_the_checkpoints_counts_for_their_run() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("checkpoints")).unwrap();
        let places = ConfigPaths::around(Some(folder.path())).run;
        let inner = folder.path().join("checkpoints/isoloss.toml");
        assert_eq!(places[..2], [folder.path().join("isoloss.toml"), inner]);
    }

    #[test]
    fn the_nearest_file_counts() {
        let places = |run: &str| ConfigPaths::around(Some(Path::new(run))).run;
        assert_eq!(
            places("runs/a"),
            ["runs/a/isoloss.toml", "runs/isoloss.toml", "isoloss.toml"].map(PathBuf::from)
        );
        assert_eq!(
            places("a"),
            ["a/isoloss.toml", "isoloss.toml"].map(PathBuf::from)
        );
        assert_eq!(
            ConfigPaths::around(None).run,
            [PathBuf::from("isoloss.toml")]
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_file_of_another_user_is_told_and_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        fs::write(&path, "").unwrap();
        let places = ConfigPaths {
            user: None,
            run: vec![path.clone()],
        };
        assert_eq!(
            (places.found(), places.passed_over()),
            (vec![path.clone()], vec![])
        );
        // Only the administrator can give a file away.
        if std::os::unix::fs::chown(&path, Some(65534), None).is_ok() {
            assert_eq!(places.found(), Vec::<PathBuf>::new());
            assert!(places.passed_over()[0].contains("another user"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_others_may_write_is_not_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        fs::write(&path, "").unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
        for (file, around, expected) in [
            (0o644, 0o755, true),
            (0o600, 0o700, true),
            (0o664, 0o755, false),
            (0o646, 0o755, false),
            (0o644, 0o775, false),
            (0o644, 0o1777, false),
        ] {
            set(&path, file).unwrap();
            set(folder.path(), around).unwrap();
            assert_eq!(is_private(&path), expected, "{file:o} in {around:o}");
        }
        assert!(!is_private(&folder.path().join("missing")));
        // Whoever may write the folder above puts another one in its place.
        let inner = folder.path().join("run");
        fs::create_dir(&inner).unwrap();
        let path = inner.join(NAME);
        fs::write(&path, "").unwrap();
        for (above, expected) in [(0o755, true), (0o777, false), (0o1777, true)] {
            set(&path, 0o644).unwrap();
            set(&inner, 0o755).unwrap();
            set(folder.path(), above).unwrap();
            assert_eq!(is_private(&path), expected, "in {above:o}");
        }
        set(folder.path(), 0o755).unwrap();
        let (open, link) = (folder.path().join("open"), folder.path().join("link.toml"));
        fs::create_dir(&open).unwrap();
        fs::write(open.join(NAME), "").unwrap();
        set(&open, 0o777).unwrap();
        std::os::unix::fs::symlink(open.join(NAME), &link).unwrap();
        assert!(!is_private(&link));
    }

    #[test]
    fn a_checkpoint_stands_for_its_run_and_a_dot_for_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        fs::create_dir(&run).unwrap();
        fs::write(run.join("model.pt"), "").unwrap();
        let beside = |run: &Path| parent(&own(run));
        assert_eq!(
            beside(&run.join("model.pt")).as_deref(),
            Some(folder.path())
        );
        let here = fs::canonicalize(".").unwrap();
        assert_eq!(beside(Path::new(".")).as_deref(), here.parent());
        let places = ConfigPaths::around(Some(Path::new("."))).run;
        let [own, above] = [PathBuf::from(NAME), here.parent().unwrap().join(NAME)];
        assert_eq!(places, [own, above], "each place is told once");
    }
}
