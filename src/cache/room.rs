//! Amount of a run that is kept.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::run::filesystem;

/// Most that is kept by default.
const MOST: u64 = 2 << 30;
/// Most on a network file system, which others use as well.
const MOST_SHARED: u64 = 256 << 20;
/// Share of the free room that is taken by default.
const SHARE: u64 = 20;

/// Room for the kept checkpoints of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepLimit {
    /// As much as does no harm: see [`KeepLimit::bytes`].
    #[default]
    Auto,
    /// Every checkpoint.
    All,
    /// None.
    Nothing,
    /// This number of bytes.
    Bytes(u64),
}

impl KeepLimit {
    /// Returns the bytes that may lie in `folder`, which need not be there yet. By default 2 GiB, 256 MiB on a network
    /// file system, and never more than a twentieth of what is free.
    #[must_use]
    pub fn bytes(self, folder: &Path) -> u64 {
        match self {
            Self::All => u64::MAX,
            Self::Nothing => 0,
            Self::Bytes(bytes) => bytes,
            Self::Auto => {
                let there = folder.ancestors().find(|folder| folder.exists());
                let there = there.unwrap_or(folder);
                let shared = filesystem::of(there).is_some_and(|found| found.shared);
                let most = if shared { MOST_SHARED } else { MOST };
                free(there).map_or(most, |free| most.min(free / SHARE))
            }
        }
    }
}

#[cfg(unix)]
fn free(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}

impl FromStr for KeepLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected auto, all, none or a size such as 500M or 4G".to_owned();
        match text {
            "auto" => return Ok(Self::Auto),
            "all" => return Ok(Self::All),
            "none" => return Ok(Self::Nothing),
            _ => {}
        }
        let limit = |bytes| match bytes {
            0 => Self::Nothing,
            bytes => Self::Bytes(bytes),
        };
        bytes(text).map(limit).ok_or_else(wrong)
    }
}

/// Reads a size such as `500M`, in bytes; `None` if it is none.
///
/// ```
/// assert_eq!(isoloss::cache::bytes("2 GiB"), Some(2 << 30));
/// assert_eq!(isoloss::cache::bytes("much"), None);
/// ```
#[must_use]
pub fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u64 = digits.parse().ok()?;
    let unit = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    number.checked_mul(1 << unit)
}

impl fmt::Display for KeepLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::All => f.write_str("all"),
            Self::Nothing => f.write_str("none"),
            Self::Bytes(bytes) => write!(f, "{bytes}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_word_or_a_size() {
        let limit = |text: &str| text.parse::<KeepLimit>();
        assert_eq!(limit("all"), Ok(KeepLimit::All));
        assert_eq!(limit("none"), Ok(KeepLimit::Nothing));
        assert_eq!(limit("0"), Ok(KeepLimit::Nothing));
        assert_eq!(limit("500M"), Ok(KeepLimit::Bytes(500 << 20)));
        assert_eq!(limit("4 GiB"), Ok(KeepLimit::Bytes(4 << 30)));
        for wrong in ["", "some", "4x", "-1", "99999999999999999999", "99999999T"] {
            assert!(limit(wrong).is_err_and(|e| e.contains("500M")), "{wrong}");
        }
    }

    #[test]
    fn by_default_no_more_than_a_twentieth_of_what_is_free_is_taken() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let taken = KeepLimit::Auto.bytes(&here.join("not/there/yet"));
        assert!(taken > 0 && taken <= MOST);
        #[cfg(unix)]
        assert!(free(here).is_none_or(|free| taken <= free / SHARE + (1 << 20)));
    }
}
