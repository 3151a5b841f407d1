//! Answers to what names of tensors leave open: each `auto`, which asks the path, or a word.

use std::str::FromStr;

use clap::{Args, ValueEnum};

use crate::model::{Activation, Arrangement, NormPosition, Pooling, Reading, Shortcuts, Stem};

/// The user's answers.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Model")]
pub(super) struct ReadingOptions {
    /// Function between layers where names do not tell it: relu, gelu, tanh, silu, leaky-relu, elu, sigmoid,
    /// gelu-tanh; auto takes the one whose gradients the path follows or which batch norm's running statistics fit,
    /// else ReLU
    #[arg(
        long,
        env = "ISOLOSS_ACTIVATION",
        value_name = "NAME",
        default_value = "auto"
    )]
    activation: Answer<Activation>,
    /// Shortcuts of a ResNet that has no projections: padded, none, or auto, which infers it from the path
    #[arg(
        long,
        env = "ISOLOSS_SHORTCUTS",
        value_name = "KIND",
        default_value = "auto"
    )]
    shortcuts: Answer<Shortcuts>,
    /// First layers of a ResNet of four stages: plain, strided, pooled, strided-pooled, or auto, which infers it
    /// from the path
    #[arg(
        long,
        env = "ISOLOSS_STEM",
        value_name = "KIND",
        default_value = "auto"
    )]
    stem: Answer<Stem>,
    /// Place of norms beside the activation where numbers of modules do not tell it: before, after, or auto, which
    /// infers it from the path
    #[arg(
        long,
        env = "ISOLOSS_NORM_POSITION",
        value_name = "PLACE",
        default_value = "auto"
    )]
    norm_position: Answer<NormPosition>,
    /// Padding, strides and pools of a chain of convolutions where sizes leave a choice: bare, padded or first for
    /// the padding, then -each, -last, -inner, -second, -told, -told-last for pools of 2, or -strided; auto infers it
    /// from the path
    #[arg(
        long,
        env = "ISOLOSS_ARRANGEMENT",
        value_name = "NAME",
        default_value = "auto"
    )]
    arrangement: Answer<Arrangement>,
    /// Kind of pooling in a chain of convolutions: max, average, or auto, which infers it from the path
    #[arg(
        long,
        env = "ISOLOSS_POOLING",
        value_name = "KIND",
        default_value = "auto"
    )]
    pooling: Answer<Pooling>,
    /// Number of attention heads of a GPT, where neither the checkpoint nor config.json beside it tells
    #[arg(
        long,
        env = "ISOLOSS_HEADS",
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    heads: Option<u32>,
}

impl ReadingOptions {
    pub(super) fn reading(self) -> Reading {
        Reading {
            activation: self.activation.0,
            shortcuts: self.shortcuts.0,
            stem: self.stem.0,
            norm_position: self.norm_position.0,
            arrangement: self.arrangement.0,
            pooling: self.pooling.0,
            heads: self.heads.map(|heads| heads as usize),
        }
    }
}

/// A word, or `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer<T>(Option<T>);

impl<T: ValueEnum> FromStr for Answer<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self(None));
        }
        T::from_str(text, false)
            .map(|answer| Self(Some(answer)))
            .map_err(|_| {
                let values = T::value_variants().iter();
                let values = values.filter_map(ValueEnum::to_possible_value);
                let names: Vec<String> = values.map(|value| value.get_name().into()).collect();
                format!("expected auto, {}", names.join(", "))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_auto_or_the_name_of_a_value() {
        assert_eq!("auto".parse(), Ok(Answer::<Activation>(None)));
        for activation in Activation::ALL {
            assert_eq!(activation.name().parse(), Ok(Answer(Some(activation))));
        }
        for stem in Stem::ALL {
            assert_eq!(stem.name().parse(), Ok(Answer(Some(stem))));
        }
        for shortcuts in [Shortcuts::Padded, Shortcuts::None] {
            assert_eq!(shortcuts.name().parse(), Ok(Answer(Some(shortcuts))));
        }
        let said = "swish".parse::<Answer<Activation>>().err();
        assert!(said.is_some_and(|said| said.starts_with("expected auto, relu, gelu, tanh")));
    }
}
