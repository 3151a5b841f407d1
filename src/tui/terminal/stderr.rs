//! Sends what others write to stderr (CUDA, C libraries) while the screen is up to the log, not over the
//! picture.

use std::fs::File;

/// Stderr while it goes elsewhere. Dropping it brings it back.
#[derive(Debug)]
pub(in crate::tui) struct Diversion {
    #[cfg(unix)]
    terminal: std::os::fd::OwnedFd,
}

#[cfg(unix)]
impl Diversion {
    /// Sends stderr to this file, or nowhere; one that is no terminal stays, the user chose where it goes.
    pub(in crate::tui) fn start(log: Option<&File>) -> Option<Self> {
        use std::io::IsTerminal;
        use std::os::fd::AsFd;
        let stderr = std::io::stderr();
        if !stderr.is_terminal() {
            return None;
        }
        let terminal = stderr.as_fd().try_clone_to_owned().ok()?;
        match log {
            Some(log) => rustix::stdio::dup2_stderr(log),
            None => rustix::stdio::dup2_stderr(File::options().write(true).open("/dev/null").ok()?),
        }
        .ok()?;
        Some(Self { terminal })
    }
}

#[cfg(unix)]
impl Drop for Diversion {
    fn drop(&mut self) {
        // If this fails nothing can be reported, because the report would go to stderr.
        let _ = rustix::stdio::dup2_stderr(&self.terminal);
    }
}

#[cfg(not(unix))]
impl Diversion {
    /// Leaves stderr where it is.
    pub(in crate::tui) fn start(_: Option<&File>) -> Option<Self> {
        None
    }
}
