//! The architectures that names and shapes of a state dict tell: each writes the program of what it found.

mod block;
mod densenet;
mod detect;
mod imagenet;
mod layers;
mod mlp;
mod resnet;
mod vgg;

use std::sync::Arc;

pub use self::detect::{Misfit, Pattern};

use self::detect::Inventory;
use super::activation::Activation;
use super::reading::{Reading, Shortcuts, Stem};
use super::{ModelError, Recognized};
use crate::weights::layout::Layout;

/// The ending of the name of a ResNet without shortcuts.
const NOSHORT: &str = "-noshort";
/// Name of whatever architecture the tensors are of.
const AUTO: &str = "auto";

/// The families of architectures, with what `--model` may say about them.
#[derive(Clone, Copy)]
enum Family {
    Mlp,
    ResNet {
        noshort: bool,
    },
    /// ResNets of four stages.
    ImageNet {
        noshort: bool,
    },
    Vgg,
    DenseNet,
}

impl Family {
    /// The family of a name that `--model` takes, other than `auto`.
    fn named(model: &str) -> Option<Self> {
        let (plain, noshort) = match model.strip_suffix(NOSHORT) {
            Some(plain) => (plain, true),
            None => (model, false),
        };
        if imagenet::NAMES.contains(&plain) {
            return Some(Self::ImageNet { noshort });
        }
        let is_cifar = |depth: &str| depth.parse().is_ok_and(|d: usize| d > 2 && d % 6 == 2);
        if plain.strip_prefix("resnet").is_some_and(is_cifar) {
            return Some(Self::ResNet { noshort });
        }
        let wide = plain
            .strip_prefix("wrn")
            .and_then(|wide| wide.split_once('-'));
        if wide.is_some_and(|(depth, k)| is_cifar(depth) && ["2", "4", "8"].contains(&k)) {
            return Some(Self::ResNet { noshort });
        }
        let depth = |family| model.strip_prefix(family)?.parse::<usize>().ok();
        match model {
            "mlp" => Some(Self::Mlp),
            "densenet121" => Some(Self::DenseNet),
            _ => depth("vgg").map(|_| Self::Vgg),
        }
    }

    /// The family whose names these are.
    fn of(inventory: &Inventory) -> Result<Self, ModelError> {
        if inventory.slots().is_empty() {
            Err(ModelError::Empty)
        } else if resnet::claims(inventory) {
            Ok(Self::ResNet { noshort: false })
        } else if imagenet::claims(inventory) {
            Ok(Self::ImageNet { noshort: false })
        } else if densenet::claims(inventory) {
            Ok(Self::DenseNet)
        } else if vgg::claims(inventory) {
            Ok(Self::Vgg)
        } else {
            let strangers = mlp::strangers(inventory);
            if strangers.is_empty() {
                return Ok(Self::Mlp);
            }
            Err(ModelError::NotRecognized {
                unknown: strangers.len(),
                tensors: inventory.slots().len(),
                examples: detect::quoted(&strangers),
            })
        }
    }

    fn recognize(
        self,
        inventory: Inventory,
        image: Option<[usize; 3]>,
        reading: Reading,
    ) -> Result<Recognized, ModelError> {
        let (architecture, recognized) = match self {
            Self::Mlp => ("an MLP", mlp::recognize(inventory, reading.activation)),
            Self::ResNet { noshort } => (
                "a CIFAR ResNet",
                resnet::recognize(
                    inventory,
                    noshort || reading.shortcuts == Some(Shortcuts::None),
                ),
            ),
            Self::ImageNet { noshort } => (
                "a ResNet of four stages",
                imagenet::recognize(inventory, noshort, reading.stem),
            ),
            Self::DenseNet => ("a DenseNet", densenet::recognize(inventory)),
            Self::Vgg => ("a VGG", vgg::recognize(inventory, image)),
        };
        recognized.map_err(|misfit| ModelError::Misfit {
            architecture,
            misfit,
        })
    }
}

impl Family {
    /// All that names leave open and nobody has answered, the usual answer first; the model's name may settle
    /// the shortcuts.
    fn readings(self, found: Reading, asked: Reading, is_settled: bool) -> Vec<Reading> {
        let mut readings = vec![found];
        let mut spread = |open: bool, others: &[Reading]| {
            let known = readings.clone();
            for other in others.iter().filter(|_| open) {
                let new = known.iter().map(|reading| other.or(*reading));
                let new: Vec<Reading> = new.filter(|new| !known.contains(new)).collect();
                readings.extend(new);
            }
        };
        let activations = Activation::ALL.map(|activation| Reading {
            activation: Some(activation),
            ..Reading::default()
        });
        let is_open = matches!(self, Self::Mlp) && asked.activation.is_none();
        spread(is_open, &activations);
        let shortcuts = [Shortcuts::Padded, Shortcuts::None].map(|shortcuts| Reading {
            shortcuts: Some(shortcuts),
            ..Reading::default()
        });
        let is_open = found.shortcuts.is_some() && asked.shortcuts.is_none() && !is_settled;
        spread(is_open, &shortcuts);
        let stems = Stem::ALL.map(|stem| Reading {
            stem: Some(stem),
            ..Reading::default()
        });
        spread(found.stem.is_some() && asked.stem.is_none(), &stems);
        readings
    }
}

/// True for `auto` and the names of architectures.
pub(super) fn is_name(model: &str) -> bool {
    model == AUTO || Family::named(model).is_some()
}

/// Finds the architecture of a state dict; `model` is `auto` or a name that `--model` takes.
///
/// # Errors
/// The name is unknown, names or shapes do not fit it, or the samples do not fit the model.
pub(super) fn recognize(
    layout: &Layout,
    model: &str,
    image: Option<[usize; 3]>,
    asked: Reading,
) -> Result<Recognized, ModelError> {
    let inventory = Inventory::of(layout);
    let family = match model {
        AUTO => Family::of(&inventory)?,
        _ => Family::named(model).ok_or_else(|| ModelError::UnknownModel(model.into()))?,
    };
    let mut recognized = family.recognize(inventory, image, asked)?;
    let activation = asked.activation.unwrap_or_default();
    recognized.reading.activation = Some(activation);
    if activation != Activation::Relu {
        let program = Arc::unwrap_or_clone(recognized.program);
        recognized.program = Arc::new(program.with_activation(activation.function()));
    }
    if !matches!(family, Family::Mlp) && asked.activation.is_none() {
        recognized.activations = Activation::OF_CONVOLUTIONS.to_vec();
    }
    recognized.refuse_settled(asked)?;
    let is_settled = model.ends_with(NOSHORT);
    recognized.readings = family.readings(recognized.reading, asked, is_settled);
    let without = recognized.name.strip_suffix(NOSHORT);
    let is_named = model == recognized.name
        || asked.shortcuts == Some(Shortcuts::None) && without == Some(model);
    if model != AUTO && !is_named {
        return Err(ModelError::OtherModel {
            asked: model.into(),
            found: recognized.name,
        });
    }
    if let Some(image) = image {
        recognized.check_image(image)?;
    }
    Ok(recognized)
}

/// "1 block", "3 blocks".
pub(super) fn count(n: usize, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}
