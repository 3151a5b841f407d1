//! Answers to what names and shapes of a state dict leave open about the forward pass.

use serde::{Deserialize, Serialize};

use super::activation::Activation;
use super::arrangement::{Arrangement, Pooling};
use crate::run::ModelSettings;

/// Shortcuts that join two stages of a ResNet without projections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shortcuts {
    /// Every second pixel, and channels of zeros.
    Padded,
    /// Nothing: the network has no shortcuts at all.
    None,
}

/// The first convolution's stride, and max pooling behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stem {
    /// Stride 1: as for small images.
    Plain,
    /// Stride 2.
    Strided,
    /// Stride 1, then 3×3 max pooling of stride 2.
    Pooled,
    /// Stride 2, then 3×3 max pooling of stride 2: as for ImageNet.
    StridedPooled,
}

/// The place of a norm between two layers, beside the activation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormPosition {
    /// Layer, norm, activation.
    #[default]
    Before,
    /// Layer, activation, norm.
    After,
}

/// Answers to what names leave open; `None` if they tell it themselves, or if nobody has answered yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reading {
    /// The function between layers.
    pub activation: Option<Activation>,
    /// Shortcuts that join the stages of a ResNet.
    pub shortcuts: Option<Shortcuts>,
    /// The first layers of a ResNet of four stages.
    pub stem: Option<Stem>,
    /// Place of the norms of an MLP or a chain of convolutions.
    pub norm_position: Option<NormPosition>,
    /// Padding, strides and pools of a chain of convolutions.
    pub arrangement: Option<Arrangement>,
    /// The value of its pools.
    pub pooling: Option<Pooling>,
    /// Number of heads of attention.
    pub heads: Option<usize>,
}

impl NormPosition {
    /// Both, the usual one first.
    pub const ALL: [Self; 2] = [Self::Before, Self::After];

    /// Returns the word that `--norm-position` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

impl Shortcuts {
    /// Returns the word that `--shortcuts` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Padded => "padded",
            Self::None => "none",
        }
    }
}

// By hand: `strided-pooled` is what clap would make of the last, and the field has its own words.
impl clap::ValueEnum for Stem {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()))
    }
}

impl Stem {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Plain,
        Self::StridedPooled,
        Self::Strided,
        Self::Pooled,
    ];

    /// Returns the word that `--stem` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Strided => "strided",
            Self::Pooled => "pooled",
            Self::StridedPooled => "strided-pooled",
        }
    }

    pub(super) fn stride(self) -> usize {
        match self {
            Self::Plain | Self::Pooled => 1,
            Self::Strided | Self::StridedPooled => 2,
        }
    }

    pub(super) fn is_pooled(self) -> bool {
        matches!(self, Self::Pooled | Self::StridedPooled)
    }
}

impl Reading {
    /// Returns the answers that stand beside the weights; an activation that is not known is none.
    #[must_use]
    pub fn of_settings(settings: &ModelSettings) -> Self {
        let activation = match settings.activation.as_deref() {
            Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast") => Some(Activation::GeluTanh),
            Some("gelu" | "gelu_python") => Some(Activation::Gelu),
            Some("relu") => Some(Activation::Relu),
            Some("silu" | "swish") => Some(Activation::Silu),
            Some("tanh") => Some(Activation::Tanh),
            _ => None,
        };
        Self {
            activation,
            heads: settings.heads,
            ..Self::default()
        }
    }

    /// Returns these answers where there are any, else those of `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            activation: self.activation.or(other.activation),
            shortcuts: self.shortcuts.or(other.shortcuts),
            stem: self.stem.or(other.stem),
            norm_position: self.norm_position.or(other.norm_position),
            arrangement: self.arrangement.or(other.arrangement),
            pooling: self.pooling.or(other.pooling),
            heads: self.heads.or(other.heads),
        }
    }

    /// Returns true where both differ in nothing but an activation that is much like the other's.
    #[must_use]
    pub fn is_kin_of(self, other: Self) -> bool {
        // Where nobody asks for another, a network has ReLU.
        let [a, b] = [self, other].map(|reading| reading.activation.unwrap_or(Activation::Relu));
        let same = Self {
            activation: other.activation,
            ..self
        };
        same == other && (a == b || a.is_rectifier() && b.is_rectifier())
    }

    /// Returns every answer in words: subject and answer.
    ///
    /// ```
    /// use isoloss::model::{Activation, Reading};
    ///
    /// let reading = Reading { activation: Some(Activation::Gelu), ..Reading::default() };
    /// assert_eq!(reading.words(), [("activation", "gelu".to_owned())]);
    /// ```
    #[must_use]
    pub fn words(&self) -> Vec<(&'static str, String)> {
        let answers = [
            ("activation", self.activation.map(Activation::name)),
            ("shortcuts", self.shortcuts.map(Shortcuts::name)),
            ("stem", self.stem.map(Stem::name)),
            ("norm-position", self.norm_position.map(NormPosition::name)),
            ("arrangement", self.arrangement.map(Arrangement::name)),
            ("pooling", self.pooling.map(Pooling::name)),
        ];
        let answered = answers.into_iter();
        let answered = answered.filter_map(|(subject, answer)| Some((subject, answer?.to_owned())));
        let heads = self.heads.map(|heads| ("heads", heads.to_string()));
        answered.chain(heads).collect()
    }
}
