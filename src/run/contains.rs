//! Tests if a path lies inside a run, because nothing is ever written there.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Returns true if a file or folder, which need not be there yet, is the run folder or in it. Links are
/// followed.
#[must_use]
pub fn is_inside(path: &Path, run: &Path) -> bool {
    resolved(path).starts_with(resolved(run))
}

/// Returns the absolute path, without links as far as it is there.
#[must_use]
pub fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut resolved = PathBuf::new();
    for component in absolute.components() {
        if component == Component::ParentDir {
            resolved.pop();
            continue;
        }
        resolved.push(component);
        if let Ok(real) = fs::canonicalize(&resolved) {
            resolved = real;
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn what_is_not_there_yet_is_inside_where_it_would_be() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let inside = |path: &str| is_inside(&folder.path().join(path), &run);
        // Before and after the run folder is made.
        for _ in 0..2 {
            assert!(inside("run") && inside("run/a/b.svg") && inside("other/../run/x"));
            assert!(!inside("runs") && !inside("") && !inside("run/../x"));
            fs::create_dir_all(&run).unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("run/deep")).unwrap();
        symlink(at("run/deep"), at("link")).unwrap();
        symlink(at("run"), at("alias")).unwrap();
        assert!(is_inside(&at("link/new"), &at("run")));
        assert!(is_inside(&at("link/../new"), &at("run")));
        assert!(is_inside(&at("run/new"), &at("alias")));
        assert!(!is_inside(&at("new"), &at("alias")));
    }
}
