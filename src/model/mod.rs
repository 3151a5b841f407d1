//! Forward passes of the known architectures, and how they are recognized from a state dict.
//!
//! `program` reads and runs networks that torch.export saved; no command takes one yet.

mod activated;
pub mod activation;
mod block;
mod densenet;
mod detect;
mod graph;
mod imagenet;
pub mod kernels;
mod layer;
mod mlp;
pub mod ops;
mod patches;
pub mod program;
pub mod reading;
mod resnet;
mod vgg;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use candle_core::Tensor;

use self::activated::Activated;
use self::activation::Activation;
use self::detect::Inventory;
pub use self::detect::{Misfit, Pattern};
pub use self::graph::Graph;
use self::reading::{Reading, Shortcuts, Stem};
use crate::weights::layout::Layout;

/// All weights of a model at one point: a flat vector on the device, seen through its layout.
#[derive(Clone, Debug)]
pub struct Weights {
    flat: Tensor,
    layout: Arc<Layout>,
    /// Tensors that count instead of those of the flat vector, by slot.
    instead: HashMap<usize, Tensor>,
    /// Where statistics are noted while they are taken anew.
    notes: Option<Arc<Mutex<HashMap<usize, Tensor>>>>,
}

impl Weights {
    /// `flat` is contiguous, of shape (`layout.len()`,).
    #[must_use]
    pub fn new(flat: Tensor, layout: Arc<Layout>) -> Self {
        Self {
            flat,
            layout,
            instead: HashMap::new(),
            notes: None,
        }
    }

    /// The same weights with batch norm's running statistics taken anew from these images, all as one
    /// batch (math.md 12): PyTorch's after one pass in training mode with momentum 1.
    ///
    /// # Errors
    /// candle's: the device failed or has no room for the activations of all images at once.
    pub fn recalibrated(
        &self,
        network: &dyn Network,
        images: &Tensor,
    ) -> candle_core::Result<Self> {
        let notes = Arc::default();
        let noting = Self {
            notes: Some(Arc::clone(&notes)),
            ..self.clone()
        };
        network.forward(&noting, images)?;
        let instead = notes
            .lock()
            .map_or_else(|held| held.into_inner().clone(), |n| n.clone());
        Ok(Self {
            instead,
            ..self.clone()
        })
    }

    /// The same weights with other tensors in some slots.
    #[must_use]
    pub fn with(&self, tensors: impl IntoIterator<Item = (usize, Tensor)>) -> Self {
        let mut other = self.clone();
        other.instead.extend(tensors);
        other
    }

    /// The same weights with batch norm as in training: every forward pass normalizes by the statistics of
    /// its own images.
    #[must_use]
    pub fn in_training(&self) -> Self {
        Self {
            notes: Some(Arc::default()),
            ..self.clone()
        }
    }

    fn is_recalibrating(&self) -> bool {
        self.notes.is_some()
    }

    fn note(&self, slot: usize, statistic: &Tensor) {
        if let Some(Ok(mut notes)) = self.notes.as_ref().map(|notes| notes.lock()) {
            notes.insert(slot, statistic.detach());
        }
    }

    /// The numbers of a slot, in memory.
    fn values(&self, index: usize) -> candle_core::Result<Vec<f32>> {
        self.slot(index)?.flatten_all()?.to_vec1()
    }

    /// The tensor of a slot, in its own shape.
    ///
    /// # Errors
    /// candle's, when the flat vector is not as long as the layout says.
    pub fn slot(&self, index: usize) -> candle_core::Result<Tensor> {
        if let Some(tensor) = self.instead.get(&index) {
            return Ok(tensor.clone());
        }
        let slot = &self.layout.slots()[index];
        self.flat
            .narrow(0, slot.offset, slot.len())?
            .reshape(slot.shape.as_slice())
    }
}

/// A forward pass whose weights are given anew at every call.
pub trait Network: Send + Sync + fmt::Debug {
    /// Its layers in evaluation mode, for images of these channels, height and width.
    ///
    /// # Errors
    /// The images do not fit; recognition looked at them before.
    fn graph(&self, image: [usize; 3]) -> candle_core::Result<Graph>;
}

/// An architecture that was recognized in a state dict.
#[derive(Clone, Debug)]
pub struct Recognized {
    /// The name that `--model` takes, e.g. `resnet20`.
    pub name: String,
    /// What was seen, in a sentence, with what had to be assumed.
    pub evidence: String,
    /// Channels of the input images, where the first layer tells (convolutions).
    pub channels: Option<usize>,
    /// Length of the flattened image, where the first layer tells (MLPs).
    pub features: Option<usize>,
    /// Number of classes.
    pub classes: usize,
    /// The forward pass.
    pub network: Arc<dyn Network>,
    /// What it took for granted of what names leave open.
    pub reading: Reading,
    /// All that fits the names and what was asked for, the usual one first.
    pub readings: Vec<Reading>,
    /// Functions between layers of each of these that convolutional networks rarely have, where nobody says.
    pub activations: Vec<Activation>,
}

/// Why no architecture was recognized.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// `--model` names nothing that is known.
    #[error(
        "the model {0:?} is not known: expected auto, mlp, resnetN with N = 6n+2 (resnet8, resnet20, resnet32, \
         resnet44, resnet56, resnet110), wrnN-K with K = 2, 4 or 8 (wrn56-2), resnet18, resnet34, resnet50, \
         resnet101, resnet152, any of these with -noshort, vggN (vgg9, vgg16, vgg19), or densenet121"
    )]
    UnknownModel(String),
    /// The names belong to no architecture that is known.
    #[error(
        "no known architecture has such tensors: {unknown} of {tensors} names are not known, e.g. {examples}"
    )]
    NotRecognized {
        /// How many names fit none.
        unknown: usize,
        /// How many tensors there are.
        tensors: usize,
        /// The first of these names.
        examples: String,
    },
    /// There is nothing to recognize.
    #[error("the state dict has no floating-point tensors, expected a model's weights")]
    Empty,
    /// The names are those of an architecture, or it was asked for, and something does not fit it.
    #[error("the tensors were taken for {architecture}, but {misfit}")]
    Misfit {
        /// What they were taken for.
        architecture: &'static str,
        /// What does not fit.
        misfit: Misfit,
    },
    /// The tensors are another model of the same kind.
    #[error("the tensors are those of {found}, not of {asked}")]
    OtherModel {
        /// What `--model` names.
        asked: String,
        /// What it is.
        found: String,
    },
    /// An option answers what the model leaves no choice about.
    #[error("--{option} {answer}: {model} has no open {option}, expected auto")]
    Settled {
        /// The option, e.g. `stem`.
        option: &'static str,
        /// Its value.
        answer: &'static str,
        /// The model's name.
        model: String,
    },
    /// The samples are not what the first layer takes.
    #[error("{model} takes images of {expected}, the samples have {}×{}×{} (channels, height, width)", .found[0], .found[1], .found[2])]
    Image {
        /// The model's name.
        model: String,
        /// What its first layer takes.
        expected: String,
        /// Channels, height, width of the samples.
        found: [usize; 3],
    },
}

/// The ending of the name of a ResNet without shortcuts.
const NOSHORT: &str = "-noshort";

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

/// Finds the architecture of a state dict; `model` is `auto` or a name that `--model` takes.
/// `image` is (channels, height, width) of the samples; what does not fit them is an error.
///
/// # Errors
/// The name is unknown, names or shapes do not fit it, or the samples do not fit the model.
pub fn recognize(
    layout: &Layout,
    model: &str,
    image: Option<[usize; 3]>,
) -> Result<Recognized, ModelError> {
    recognize_as(layout, model, image, Reading::default())
}

/// The same, with answers to what names leave open; what nobody answers is as usual.
///
/// # Errors
/// As [`recognize`].
pub fn recognize_as(
    layout: &Layout,
    model: &str,
    image: Option<[usize; 3]>,
    asked: Reading,
) -> Result<Recognized, ModelError> {
    let inventory = Inventory::of(layout);
    let family = match model {
        "auto" => Family::of(&inventory)?,
        _ => Family::named(model).ok_or_else(|| ModelError::UnknownModel(model.into()))?,
    };
    let mut recognized = family.recognize(inventory, image, asked)?;
    let activation = asked.activation.unwrap_or_default();
    recognized.reading.activation = Some(activation);
    if activation != Activation::Relu {
        recognized.network = Arc::new(Activated::of(recognized.network, activation));
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
    if model != "auto" && !is_named {
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

impl Recognized {
    /// Refuses answers to what is no question of this model, or is answered by its name.
    fn refuse_settled(&self, asked: Reading) -> Result<(), ModelError> {
        let settled = |option, answer| ModelError::Settled {
            option,
            answer,
            model: self.name.clone(),
        };
        match (asked.stem, asked.shortcuts) {
            (Some(stem), _) if self.reading.stem.is_none() => Err(settled("stem", stem.name())),
            (_, Some(shortcuts)) if self.reading.shortcuts != Some(shortcuts) => {
                Err(settled("shortcuts", shortcuts.name()))
            }
            _ => Ok(()),
        }
    }

    /// Checks the samples' shape against the first layer.
    fn check_image(&self, image: [usize; 3]) -> Result<(), ModelError> {
        let expected = match (self.channels, self.features) {
            (Some(channels), _) if channels != image[0] => count(channels, "channel"),
            (None, Some(features)) if image.iter().product::<usize>() != features => {
                count(features, "value")
            }
            _ if image.contains(&0) => "at least one pixel".into(),
            _ => return Ok(()),
        };
        Err(ModelError::Image {
            model: self.name.clone(),
            expected,
            found: image,
        })
    }
}

/// "1 block", "3 blocks".
fn count(n: usize, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod deep_tests;
