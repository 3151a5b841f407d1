//! Names of the parts of one checkpoint that are numbered: `model-00001-of-00003.safetensors`.

/// Digits of each of the two numbers.
const DIGITS: usize = 5;
/// Endings of files that hold weights.
const ENDINGS: [&str; 5] = ["safetensors", "bin", "pt", "pth", "ckpt"];
/// Words before a number of training: `epoch-00001-of-00010.pt` is a whole model.
const COUNTS: [&str; 6] = ["epoch", "ep", "step", "iter", "iteration", "round"];

/// Name of one part among several.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Numbered {
    /// The text before and behind the numbers.
    pub(super) around: (String, String),
    /// Number of parts, two or more.
    pub(super) count: usize,
    /// Number of this one.
    pub(super) number: usize,
}

impl Numbered {
    /// Reads a name; `None` for that of anything else than one part of several.
    pub(super) fn of(name: &str) -> Option<Self> {
        let (before, rest) = name.split_once("-of-")?;
        let (front, number) = before.rsplit_once('-')?;
        let (count, back) = rest.split_at_checked(DIGITS)?;
        let ending = back.rsplit_once('.').map(|(_, ending)| ending)?;
        let word = front.rsplit(['-', '_', '.', '=']).next()?;
        let is_number =
            |text: &str| text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_digit());
        let is_part = is_number(number)
            && is_number(count)
            && back.starts_with('.')
            && ENDINGS.contains(&ending)
            && !COUNTS.contains(&word.to_ascii_lowercase().as_str());
        let found = Self {
            around: (front.to_owned(), back.to_owned()),
            count: count.parse().ok()?,
            number: number.parse().ok()?,
        };
        (is_part && found.count > 1).then_some(found)
    }

    /// Returns the name of another part.
    pub(super) fn name(&self, number: usize) -> String {
        let ((front, back), count) = (&self.around, self.count);
        format!("{front}-{number:05}-of-{count:05}{back}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn parts_are_told_from_counts_of_training() {
        let part = Numbered::of("unet.fp16-00002-of-00003.safetensors").unwrap();
        assert_eq!((part.number, part.count), (2, 3));
        assert_eq!(part.name(1), "unet.fp16-00001-of-00003.safetensors");
        for whole in [
            "model-00001-of-00001.safetensors",
            "model-epoch-00001-of-00010.pt",
            "model-1-of-3.pt",
            "model-00001-of-00003",
            "model-00001-of-00003.json",
            "model-of-3.pt",
        ] {
            assert_eq!(Numbered::of(whole), None, "{whole}");
        }
    }
}
