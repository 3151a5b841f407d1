//! The one way in which a result becomes a file: whole or not at all, over nothing but an earlier result.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use crate::run::contains::is_inside;
use crate::run::format::sniff;
use crate::run::{Content, regular};

use super::own;

/// Bytes at the beginning of a file in which text has no zeros.
const HEAD: u64 = 4096;
/// Files of a run that are looked through for one that is the same under another name.
const LOOKED_THROUGH: usize = 100_000;

/// Says why a result may not be written to a file; `None` if it may. Only with `force` may something else than
/// an earlier result lie there; checkpoints, links and what belongs to the run never go.
#[must_use]
pub fn refusal(path: &Path, run: &Path, force: bool) -> Option<String> {
    let Ok(there) = path.symlink_metadata() else {
        return None;
    };
    let followed = fs::metadata(path);
    if followed.as_ref().is_ok_and(is_stream) {
        return None;
    }
    if there.is_symlink() {
        return Some("expected a file of its own, found a link; name the file itself".into());
    }
    if there.is_dir() {
        return Some("expected the name of a file, found a folder".into());
    }
    if is_inside(path, run) && (run.is_file() || run.is_dir()) {
        return Some("is a file of the run, where isoloss writes nothing".into());
    }
    if is_linked_into(&there, run) {
        return Some("is a file of the run under another name; choose another one".into());
    }
    match found_in(path) {
        Ok(Found::Result) => None,
        Ok(Found::Data) => Some(
            "expected a result of isoloss, found weights or other data; choose another name".into(),
        ),
        Ok(Found::Text) if force => None,
        Ok(Found::Text) => Some(
            "expected a result of isoloss to replace, found something else, or one of an older isoloss; --force replaces it".into(),
        ),
        Err(error) => Some(format!("expected a result of isoloss, found {error}")),
    }
}

/// Writes a file of which a reader sees all or what was there before. A link is replaced, not followed; a pipe
/// or a terminal is written to.
///
/// # Errors
/// The system refuses; nothing has changed then.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|there| is_stream(&there)) {
        return open_stream(path)?.write_all(bytes);
    }
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".isoloss-").suffix(".partial");
    with_usual_mode(&mut builder);
    // The error names the temporary file, which nobody asked for.
    let refused = |error: io::Error| io::Error::new(error.kind(), takes_none(&error));
    let mut file = builder.tempfile_in(folder).map_err(refused)?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Says why a folder takes no new file.
fn takes_none(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "its folder may not be written to",
        io::ErrorKind::ReadOnlyFilesystem => "its file system is read-only",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "its file system is full",
        _ => "its folder takes no files",
    }
}

/// Content of a file that a result would replace.
enum Found {
    /// An earlier result, or nothing.
    Result,
    /// Weights, or other data that no text holds.
    Data,
    /// Something else.
    Text,
}

fn found_in(path: &Path) -> io::Result<Found> {
    if own::is_result(path)? {
        return Ok(Found::Result);
    }
    let is_data = match sniff(path)? {
        // Web pages and logs are texts; other binary files are recognized by their bytes below.
        Content::Unknown => false,
        Content::Foreign(thing) => thing.may_hold_model,
        _ => true,
    };
    let mut head = Vec::new();
    regular::open(path)?.take(HEAD).read_to_end(&mut head)?;
    // The head may end within a character.
    let text = std::str::from_utf8(&head);
    let is_text = text.map_or_else(|error| error.error_len().is_none(), |_| true);
    if is_data || !is_text || head.contains(&0) {
        return Ok(Found::Data);
    }
    Ok(Found::Text)
}

#[cfg(unix)]
fn is_linked_into(file: &fs::Metadata, run: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    if file.nlink() < 2 {
        return false;
    }
    let same = |other: &fs::Metadata| (other.dev(), other.ino()) == (file.dev(), file.ino());
    let mut folders = vec![run.to_path_buf()];
    let mut left = LOOKED_THROUGH;
    if fs::symlink_metadata(run).is_ok_and(|run| same(&run)) {
        return true;
    }
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            left = left.saturating_sub(1);
            if left == 0 {
                return true;
            }
            match entry.metadata() {
                Ok(entry) if same(&entry) => return true,
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                _ => {}
            }
        }
    }
    false
}

#[cfg(not(unix))]
fn is_linked_into(_: &fs::Metadata, _: &Path) -> bool {
    false
}

/// Tells what bytes pass through and none are kept in.
#[cfg(unix)]
fn is_stream(file: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    file.file_type().is_fifo() || file.file_type().is_char_device()
}

#[cfg(not(unix))]
fn is_stream(_: &fs::Metadata) -> bool {
    false
}

/// Opens a pipe or a terminal; a pipe that nobody reads is an error rather than an endless wait.
#[cfg(unix)]
fn open_stream(path: &Path) -> io::Result<File> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    use std::os::unix::fs::OpenOptionsExt;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = fs::OpenOptions::new();
    let file = options
        .write(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

#[cfg(not(unix))]
fn open_stream(path: &Path) -> io::Result<File> {
    File::options().write(true).open(path)
}

/// Gives a file the rights that the user's mask leaves, as any other new file has them.
#[cfg(unix)]
fn with_usual_mode(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(fs::Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn with_usual_mode(_: &mut tempfile::Builder<'_, '_>) {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    fn run() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        fs::create_dir(&run).unwrap();
        fs::write(run.join("metrics.csv"), "step,loss\n").unwrap();
        (folder, run)
    }

    #[test]
    fn weights_are_never_replaced_and_foreign_files_only_when_told() {
        let (folder, run) = run();
        let path = folder.path().join("out");
        let mut tape = vec![b'a'; 512];
        tape[257..262].copy_from_slice(b"ustar");
        let weights: [&[u8]; 17] = [
            b"PK\x03\x04rest",
            b"PK\x05\x06\0\0\0\0",
            b"\x80\x01}q\x00.",
            b"\x80\x02}q\x00.",
            b"\x80\x03}q\x00.",
            b"\x80\x04\x95.",
            b"\x80\x05\x95.",
            b"(dp0\nVw\np1\nI1\ns.",
            b"\x10\0\0\0\0\0\0\0{\"w\":",
            b"\x89HDF\r\n",
            b"\x93NUMPY\x01\0xxxx",
            b"GGUF\x03\0\0\0xxxx",
            b"\x1f\x8b\x08\0",
            b"\0\0\x08\x03\0\0\0\x01",
            b"version https://git-lfs.github.com/spec/v1\n",
            b"FORM a binary \xff\xfe",
            &tape,
        ];
        for content in weights {
            fs::write(&path, content).unwrap();
            for force in [false, true] {
                let sentence = refusal(&path, &run, force).unwrap();
                assert!(sentence.contains("weights"), "{sentence}");
            }
        }
        for content in ["my notes\n", "{\"path\": 1}", "\u{fffd}"] {
            fs::write(&path, content).unwrap();
            assert!(refusal(&path, &run, false).unwrap().contains("--force"));
            assert_eq!(refusal(&path, &run, true), None);
        }
        fs::write(&path, "").unwrap();
        assert_eq!(refusal(&path, &run, false), None);
        assert_eq!(refusal(&folder.path().join("new"), &run, false), None);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_other_names_of_files_of_the_run_are_refused() {
        use std::os::unix::fs::symlink;
        let (folder, run) = run();
        let at = |name: &str| folder.path().join(name);
        symlink(run.join("new.json"), at("dangling")).unwrap();
        symlink(at("elsewhere"), at("link")).unwrap();
        fs::hard_link(run.join("metrics.csv"), at("hard")).unwrap();
        for name in ["dangling", "link", "hard", "run/metrics.csv", "run"] {
            for force in [false, true] {
                assert!(refusal(&at(name), &run, force).is_some(), "{name}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_planted_link_is_replaced_and_its_victim_stays() {
        let (folder, _) = run();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("victim"), "precious").unwrap();
        std::os::unix::fs::symlink(at("victim"), at("latest.txt")).unwrap();
        replace(&at("latest.txt"), b"frame").unwrap();
        assert_eq!(fs::read(at("victim")).unwrap(), b"precious");
        assert_eq!(fs::read(at("latest.txt")).unwrap(), b"frame");
        assert!(!at("latest.txt").symlink_metadata().unwrap().is_symlink());
    }

    #[test]
    fn what_cannot_be_written_leaves_what_was_there() {
        let (folder, _) = run();
        let path = folder.path().join("none").join("out.json");
        assert!(replace(&path, b"{}").is_err() && !path.exists());
        let names = || fs::read_dir(folder.path()).unwrap().count();
        let before = names();
        replace(&folder.path().join("a"), b"1").unwrap();
        replace(&folder.path().join("a"), b"2").unwrap();
        assert_eq!(names(), before + 1);
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"2");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_that_nobody_reads_is_an_error_and_no_wait() {
        let (folder, run) = run();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        assert_eq!(refusal(&pipe, &run, false), None);
        assert!(replace(&pipe, b"{}").is_err());
        replace(Path::new("/dev/null"), b"{}").unwrap();
    }
}
