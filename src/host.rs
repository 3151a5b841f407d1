//! The name of this machine.

/// Returns the machine's own name; `None` if the system does not tell.
#[cfg(unix)]
#[must_use]
pub(crate) fn name() -> Option<String> {
    let name = rustix::system::uname();
    name.nodename().to_str().ok().map(str::to_owned)
}

/// Returns the machine's own name; `None` if the system does not tell.
#[cfg(not(unix))]
#[must_use]
pub(crate) fn name() -> Option<String> {
    None
}
