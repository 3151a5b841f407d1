//! Opens regular files alone: a FIFO in a run folder would hang its reader, a device would never end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

/// Opens a file for reading. The kind is looked at after opening, so that nothing can be exchanged in
/// between, and opening itself never waits for a writer.
///
/// # Errors
/// The system refuses, or something else than a regular file lies there.
pub fn open(path: &Path) -> io::Result<File> {
    checked(without_waiting(OpenOptions::new().read(true)).open(path)?)
}

/// Passes on an open file if it is a regular one.
///
/// # Errors
/// The system refuses, or it is something else.
pub fn checked(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    let kind = "expected a regular file, found a folder, a pipe or a device";
    Err(io::Error::new(io::ErrorKind::InvalidInput, kind))
}

/// Reads a whole file of at most `limit` bytes, which is checked before any memory is taken and again
/// while reading, because the file may grow.
///
/// # Errors
/// As [`open`], or the file is larger.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let too_large = || {
        let reason = format!("expected at most {limit} bytes, found more");
        io::Error::new(io::ErrorKind::FileTooLarge, reason)
    };
    let size = file.metadata()?.len();
    if size > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(too_large());
    }
    Ok(bytes)
}

/// Reads a whole text file of at most `limit` bytes.
///
/// # Errors
/// As [`read`], or the file is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(unix)]
fn without_waiting(options: &mut OpenOptions) -> &mut OpenOptions {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    options.custom_flags(flags.bits().cast_signed())
}

#[cfg(not(unix))]
fn without_waiting(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_read_up_to_the_limit_and_no_further() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        fs::write(&path, "step\n").unwrap();
        assert_eq!(read_text(&path, 5).unwrap(), "step\n");
        let error = read_text(&path, 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        fs::write(&path, [0xff]).unwrap();
        assert!(read_text(&path, 5).is_err());
        assert!(open(folder.path()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_and_a_device_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("metrics.csv");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for path in [pipe.as_path(), Path::new("/dev/zero")] {
            let error = open(path).unwrap_err();
            assert!(error.to_string().contains("regular file"), "{error}");
        }
    }
}
