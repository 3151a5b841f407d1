//! The architectures that names and shapes of a state dict tell: each writes the program of what it found.

mod block;
mod chain;
mod convnet;
mod densenet;
mod detect;
mod gpt;
mod imagenet;
mod layers;
mod mlp;
mod pairing;
mod resnet;
mod vgg;

use std::sync::Arc;

pub use self::detect::{Mismatch, Pattern};

use self::detect::Inventory;
use super::activation::Activation;
use super::program::Input;
use super::reading::{NormPosition, Reading, Shortcuts, Stem};
use super::{ModelError, Recognized};
use crate::weights::Layout;

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
    /// Chains of convolutions and Linear layers.
    ConvNet,
    Gpt,
}

impl Family {
    /// Returns the family of a name that `--model` takes, other than `auto`.
    fn of_name(model: &str) -> Option<Self> {
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
            "convnet" => Some(Self::ConvNet),
            "densenet121" => Some(Self::DenseNet),
            _ if gpt::NAMES.contains(&model) => Some(Self::Gpt),
            _ => depth("vgg").map(|_| Self::Vgg),
        }
    }

    /// Returns the family whose names these are.
    fn of(inventory: &Inventory) -> Result<Self, ModelError> {
        if inventory.slots().is_empty() {
            Err(ModelError::Empty)
        } else if let Some(name) = adapter(inventory) {
            Err(ModelError::Adapter(name))
        } else if gpt::claims(inventory) {
            Ok(Self::Gpt)
        } else if resnet::claims(inventory) {
            Ok(Self::ResNet { noshort: false })
        } else if imagenet::claims(inventory) {
            Ok(Self::ImageNet { noshort: false })
        } else if densenet::claims(inventory) {
            Ok(Self::DenseNet)
        } else if vgg::claims(inventory) {
            Ok(Self::Vgg)
        } else {
            let unknown = chain::unknown(inventory);
            if unknown.is_empty() {
                return Ok(if chain::has_convolutions(inventory) {
                    Self::ConvNet
                } else {
                    Self::Mlp
                });
            }
            Err(ModelError::NotRecognized {
                unknown: unknown.len(),
                tensors: inventory.slots().len(),
                examples: detect::quoted(&unknown),
            })
        }
    }

    fn recognize(
        self,
        inventory: Inventory,
        image: Option<[usize; 3]>,
        reading: Reading,
        told: Reading,
    ) -> Result<Recognized, ModelError> {
        let (architecture, recognized) = match self {
            Self::Mlp => ("an MLP", mlp::recognize(inventory, reading)),
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
            Self::ConvNet => (
                "a chain of convolutions",
                convnet::recognize(inventory, image, reading),
            ),
            Self::Gpt => ("GPT-2", gpt::recognize(inventory, reading, told)),
        };
        recognized.map_err(|misfit| ModelError::Misfit {
            architecture,
            misfit,
        })
    }
}

impl Family {
    /// Combines all answers to what names leave open, the usual ones first: the family's own `structures`, if it has
    /// several, with every activation, shortcut, stem and place of norms that the user has not `asked` for.
    /// `names_shortcuts` is true if the model's name tells the shortcuts.
    fn readings(
        self,
        usual: Reading,
        structures: Vec<Reading>,
        asked: Reading,
        names_shortcuts: bool,
    ) -> Vec<Reading> {
        let structures = match structures.len() {
            0 => vec![usual],
            _ => structures,
        };
        let count = structures.len();
        let mut readings = structures;
        let mut combine = |is_open: bool, others: &[Reading]| {
            let known = readings.clone();
            for other in others.iter().filter(|_| is_open) {
                let new = known.iter().map(|reading| other.or(*reading));
                let new: Vec<Reading> = new.filter(|new| !known.contains(new)).collect();
                readings.extend(new);
            }
        };
        let activations = Activation::ALL.map(|activation| Reading {
            activation: Some(activation),
            ..Reading::default()
        });
        // A pool's mean may fit under another activation than its largest value: both are asked together.
        let asked_at_once = match self {
            Self::Mlp => activations.len(),
            Self::ConvNet if count <= convnet::FEW => activations.len(),
            Self::ConvNet => convnet::AT_ONCE,
            _ => 0,
        };
        let is_open = asked.activation.is_none();
        combine(is_open, &activations[..asked_at_once]);
        let shortcuts = [Shortcuts::Padded, Shortcuts::None].map(|shortcuts| Reading {
            shortcuts: Some(shortcuts),
            ..Reading::default()
        });
        let is_open = usual.shortcuts.is_some() && asked.shortcuts.is_none() && !names_shortcuts;
        combine(is_open, &shortcuts);
        let stems = Stem::ALL.map(|stem| Reading {
            stem: Some(stem),
            ..Reading::default()
        });
        combine(usual.stem.is_some() && asked.stem.is_none(), &stems);
        let positions = NormPosition::ALL.map(|position| Reading {
            norm_position: Some(position),
            ..Reading::default()
        });
        let is_open = usual.norm_position.is_some() && asked.norm_position.is_none();
        combine(is_open, &positions);
        readings
    }
}

/// Returns the arguments of a known model of ids; `None` for another.
pub(super) fn arguments(model: &str) -> Option<Vec<Input>> {
    matches!(Family::of_name(model), Some(Family::Gpt)).then(gpt::arguments)
}

/// Beginnings of the parts of names that adapters have (peft: LoRA, IA³, LoHa, LoKr, OFT, VeRA, prompts).
const ADAPTERS: [&str; 9] = [
    "lora_",
    "ia3_",
    "hada_",
    "lokr_",
    "oft_",
    "boft_",
    "vera_",
    "prompt_e",
    "adaption_p",
];

/// Returns the name of an adapter's tensor. Two matrices of LoRA would make a fine MLP, which nobody trained.
fn adapter(inventory: &Inventory) -> Option<String> {
    let is_adapter = |name: &str| {
        let mut parts = name.split('.');
        parts.any(|part| ADAPTERS.iter().any(|begin| part.starts_with(begin)))
    };
    let mut names = inventory.slots().iter().map(|slot| &slot.name);
    names.find(|name| is_adapter(name)).cloned()
}

/// Returns true for `auto` and the names of architectures.
pub(super) fn is_name(model: &str) -> bool {
    model == AUTO || Family::of_name(model).is_some()
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
    told: Reading,
) -> Result<Recognized, ModelError> {
    let inventory = Inventory::of(layout);
    let family = match model {
        AUTO => Family::of(&inventory)?,
        _ => Family::of_name(model).ok_or_else(|| ModelError::UnknownModel(model.into()))?,
    };
    let (family, mut recognized) = match family.recognize(inventory, image, asked, told) {
        // Such names have chains that are no VGG too, and the images tell them.
        Err(misfit) if model == AUTO && matches!(family, Family::Vgg) && image.is_some() => {
            let chain = Family::ConvNet.recognize(Inventory::of(layout), image, asked, told);
            (Family::ConvNet, chain.map_err(|_| misfit)?)
        }
        recognized => (family, recognized?),
    };
    let usual = recognized.reading.activation;
    let activation = asked.activation.or(usual).unwrap_or_default();
    recognized.reading.activation = Some(activation);
    if activation != Activation::Relu {
        let program = Arc::unwrap_or_clone(recognized.program);
        recognized.program = Arc::new(program.with_activation(activation.function()));
    }
    if asked.activation.is_some() {
        recognized.activations = Vec::new();
    } else if !matches!(family, Family::Mlp | Family::ConvNet | Family::Gpt) {
        recognized.activations = Activation::OF_CONVOLUTIONS.to_vec();
    }
    recognized.refuse_settled(asked)?;
    let names_shortcuts = model.ends_with(NOSHORT);
    let mut structures = std::mem::take(&mut recognized.readings);
    for reading in &mut structures {
        reading.activation = Some(activation);
    }
    recognized.readings = family.readings(recognized.reading, structures, asked, names_shortcuts);
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

/// Writes "1 block", "3 blocks".
pub(super) fn count(n: usize, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}
