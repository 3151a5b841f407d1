//! Keys by content: the hash of a record that names all that a value depends on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A BLAKE3 hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let hash = blake3::Hash::from_hex(text).map_err(serde::de::Error::custom)?;
        Ok(Self(*hash.as_bytes()))
    }
}

/// Returns the digest of a record, with every float by its bits; `None` if it cannot be written down.
///
/// ```
/// use isoloss::store::digest;
///
/// assert_eq!(digest(&("resnet20", f64::NAN)), digest(&("resnet20", f64::NAN)));
/// assert_ne!(digest(&0.0), digest(&-0.0));
/// ```
#[must_use]
pub fn digest(record: &impl Serialize) -> Option<Digest> {
    let mut hasher = blake3::Hasher::new();
    // CBOR has NaNs and the zero below 0, which JSON does not.
    ciborium::into_writer(record, &mut hasher).ok()?;
    Some(Digest(*hasher.finalize().as_bytes()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn a_digest_tells_every_bit_of_a_record() {
        let of = |record: (f64, &str)| digest(&record).unwrap();
        let all = [
            (0.0, "a"),
            (-0.0, "a"),
            (f64::NAN, "a"),
            (0.1 + 0.2, "a"),
            (0.3, "a"),
            (0.3, "b"),
        ];
        let digests: std::collections::HashSet<Digest> = all.into_iter().map(of).collect();
        assert_eq!(digests.len(), all.len());
        assert_eq!(of((0.3, "a")), of((0.3, "a")));
        assert_eq!(of((0.3, "a")).to_string().len(), 64);
    }
}
