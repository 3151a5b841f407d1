//! The option `--memory-limit`: a size, and the end of a process that takes more.

use std::io;

/// Reads a size such as `500M` or `4G`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let size = crate::cache::bytes(text).filter(|size| *size > 0);
    size.ok_or_else(|| "expected a size such as 500M or 4G".to_owned())
}

/// Time between two looks.
#[cfg(target_os = "linux")]
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(20);

/// Ends this process with a sentence as soon as it has more than so many bytes in memory. A limit of the system's would
/// count addresses that were never used, and a graphics driver reserves terabytes of these.
#[cfg(target_os = "linux")]
pub(super) fn watch(limit: u64) -> io::Result<()> {
    use crate::landscape::worker::{TOO_MUCH_MEMORY, memory};
    use crate::session::size_in_words;
    let look = move || loop {
        if let Some(taken) = memory(std::process::id()).filter(|taken| *taken > limit) {
            let [taken, limit] = [taken, limit].map(size_in_words);
            let _ = super::warn::say(format_args!(
                "it took {taken}, more than --memory-limit {limit}"
            ));
            std::process::exit(TOO_MUCH_MEMORY);
        }
        std::thread::sleep(LOOK_EVERY);
    };
    let thread = std::thread::Builder::new().name("memory".into());
    thread.spawn(look).map(drop)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn watch(_limit: u64) -> io::Result<()> {
    Err(io::Error::other("--memory-limit is known on Linux alone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_size_above_nothing() {
        assert_eq!(size("500M"), Ok(500 << 20));
        assert_eq!(size("4GiB"), Ok(4 << 30));
        for wrong in ["", "0", "auto", "all", "-1", "4X", "99999999T"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
