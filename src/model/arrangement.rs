//! Paddings, strides and pools of a chain of convolutions, which names do not tell.

use serde::{Deserialize, Serialize};

/// The zeros around the images of a chain of convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Borders {
    /// None.
    None,
    /// The padding that keeps the extents at stride 1.
    Same,
    /// That padding in front of the first convolution, none in front of others, as in LeNet-5.
    First,
}

/// The steps by which images become smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Downsampling {
    /// Pools where the numbers of modules leave room for them.
    Told,
    /// The same, and one behind the last convolution.
    ToldAndLast,
    /// A pool behind each convolution.
    Each,
    /// A pool behind the last convolution.
    Last,
    /// A pool behind each convolution but the last.
    Inner,
    /// A pool behind every second convolution.
    Second,
    /// No pool.
    None,
    /// No pool, and stride 2 in each convolution.
    Strided,
}

/// An arrangement that people use; written as the word that `--arrangement` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub struct Arrangement {
    /// The zeros around the images.
    pub borders: Borders,
    /// The steps by which images become smaller.
    pub steps: Downsampling,
}

/// A 2×2 pool's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The largest.
    #[default]
    Max,
    /// The mean.
    Average,
}

impl Pooling {
    /// Both, the usual one first.
    pub const ALL: [Self; 2] = [Self::Max, Self::Average];

    /// Returns the word that `--pooling` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Max => "max",
            Self::Average => "average",
        }
    }
}

/// All arrangements with the words that `--arrangement` takes, the usual ones first.
const NAMES: [(Borders, Downsampling, &str); 19] = [
    (Borders::None, Downsampling::Told, "bare-told"),
    (Borders::Same, Downsampling::Told, "padded-told"),
    (Borders::First, Downsampling::Told, "first-told"),
    (Borders::None, Downsampling::ToldAndLast, "bare-told-last"),
    (Borders::Same, Downsampling::ToldAndLast, "padded-told-last"),
    (Borders::First, Downsampling::ToldAndLast, "first-told-last"),
    (Borders::None, Downsampling::Each, "bare-each"),
    (Borders::Same, Downsampling::Each, "padded-each"),
    (Borders::First, Downsampling::Each, "first-each"),
    (Borders::None, Downsampling::Last, "bare-last"),
    (Borders::Same, Downsampling::Last, "padded-last"),
    (Borders::None, Downsampling::Inner, "bare-inner"),
    (Borders::Same, Downsampling::Inner, "padded-inner"),
    (Borders::None, Downsampling::Second, "bare-second"),
    (Borders::Same, Downsampling::Second, "padded-second"),
    (Borders::None, Downsampling::None, "bare"),
    (Borders::Same, Downsampling::None, "padded"),
    (Borders::None, Downsampling::Strided, "bare-strided"),
    (Borders::Same, Downsampling::Strided, "padded-strided"),
];

impl Arrangement {
    /// All of them, the usual ones first.
    pub const ALL: [Self; NAMES.len()] = {
        let mut all = [Self {
            borders: Borders::None,
            steps: Downsampling::None,
        }; NAMES.len()];
        let mut at = 0;
        while at < NAMES.len() {
            all[at] = Self {
                borders: NAMES[at].0,
                steps: NAMES[at].1,
            };
            at += 1;
        }
        all
    };

    /// Returns the word that `--arrangement` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        let own = |named: &&(Borders, Downsampling, &'static str)| {
            (named.0, named.1) == (self.borders, self.steps)
        };
        NAMES.iter().find(own).map_or("", |named| named.2)
    }

    /// Returns the arrangement in a few words.
    pub(super) fn words(self) -> String {
        let borders = match self.borders {
            Borders::None => "no padding",
            Borders::Same => "padding that keeps the extents",
            Borders::First => "padding that keeps the extents of the first layer alone",
        };
        let steps = match self.steps {
            Downsampling::Told => "pools of 2 where the numbers leave room",
            Downsampling::ToldAndLast => "pools of 2 where the numbers leave room and at the end",
            Downsampling::Each => "a pool of 2 behind each",
            Downsampling::Last => "a pool of 2 behind the last",
            Downsampling::Inner => "a pool of 2 behind each but the last",
            Downsampling::Second => "a pool of 2 behind every second",
            Downsampling::None => "no pools",
            Downsampling::Strided => "stride 2, no pools",
        };
        format!("{borders}, {steps}")
    }
}

impl From<Arrangement> for &'static str {
    fn from(arrangement: Arrangement) -> Self {
        arrangement.name()
    }
}

impl TryFrom<String> for Arrangement {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        let found = all.find(|arrangement| arrangement.name() == name);
        found.ok_or_else(|| format!("{name} is no arrangement"))
    }
}

// By hand: the words are short, and what they mean stands in the README.
impl clap::ValueEnum for Arrangement {
    fn value_variants<'a>() -> &'a [Self] {
        const { &Self::ALL }
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()))
    }
}
