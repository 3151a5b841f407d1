//! Forward passes of the known architectures and of exported programs, and how they are found for a state dict.

pub mod activation;
pub mod arrangement;
mod fused;
mod kernels;
mod known;
pub mod ops;
pub mod program;
pub mod reading;
mod weights;

pub use activation::Activation;
pub use arrangement::{Arrangement, Pooling};
pub use fused::FusedNetwork;
pub(crate) use kernels::simd::Level;
pub use ops::ConvWindow;
pub use program::datum::{Datum, FloatPlace};
pub use program::kind::Kind;
pub use program::op::{Function, Op};
pub use program::output_function::Ending;
pub use program::pt2::Pt2Error;
pub use program::run::{Norms, Prepared};
pub use program::trace::Cost;
pub use program::{Input, Node, Output, Program, Value};
pub use reading::{NormPosition, Reading, Shortcuts, Stem};

use std::path::Path;
use std::sync::Arc;

use candle_core::Tensor;

pub use self::known::{Mismatch, Pattern};
use self::program::pt2::{self, BoundProgram};
pub use self::weights::Weights;
use crate::weights::{Layout, Roles};

/// A model that was found for a state dict.
#[derive(Clone, Debug)]
pub struct Recognized {
    /// The name that `--model` takes, e.g. `resnet20`, or that of the file.
    pub name: String,
    /// Features that were seen, in a sentence, with what had to be assumed.
    pub evidence: String,
    /// The forward pass.
    pub program: Arc<Program>,
    /// A sentence about the weights that no checkpoint holds, which stay as they were exported; `None` if it holds
    /// all.
    pub kept: Option<String>,
    /// A sentence about what leaves no trace in a checkpoint and is assumed; `None` if nothing does.
    pub untold: Option<String>,
    /// Assumptions about what names leave open.
    pub reading: Reading,
    /// All that fits the names and what was asked for, the usual one first.
    pub readings: Vec<Reading>,
    /// Functions between layers of each of these that convolutional networks rarely have, where nobody says.
    pub activations: Vec<Activation>,
}

/// Reasons why no architecture was recognized.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// `--model` names nothing that is known.
    #[error(
        "the model {0:?} is not known: expected auto, mlp, resnetN with N = 6n+2 (resnet8, resnet20, resnet32, \
         resnet44, resnet56, resnet110), wrnN-K with K = 2, 4 or 8 (wrn56-2), resnet18, resnet34, resnet50, \
         resnet101, resnet152, any of these with -noshort, vggN (vgg9, vgg16, vgg19), densenet121, convnet, nanogpt, \
         gpt2, or a file that torch.export.save wrote (model.pt2)"
    )]
    UnknownModel(String),
    /// The names belong to no architecture that is known.
    #[error(
        "no known architecture has such tensors: {unknown} of {tensors} names are not known, e.g. {examples}"
    )]
    NotRecognized {
        /// Number of names that fit none.
        unknown: usize,
        /// Number of tensors.
        tensors: usize,
        /// The first of these names.
        examples: String,
    },
    /// The tensors are those of an adapter, whose base model is not there.
    #[error(
        "the tensors are those of an adapter ({0}), and the checkpoint lacks its base model: export the model with the adapter in it"
    )]
    Adapter(String),
    /// There is nothing to recognize.
    #[error("the state dict has no floating-point tensors, expected a model's weights")]
    Empty,
    /// The names are those of an architecture, or it was asked for, and something does not fit it.
    #[error("the tensors were taken for {architecture}, but {misfit}")]
    Misfit {
        /// Architecture for which they were taken.
        architecture: &'static str,
        /// The part that does not fit.
        misfit: Mismatch,
    },
    /// The tensors are another model of the same kind.
    #[error("the tensors are those of {found}, not of {asked}")]
    OtherModel {
        /// The value of `--model`.
        asked: String,
        /// Kind of the file.
        found: String,
    },
    /// An option answers what the model leaves no choice about.
    #[error("--{option} {answer}: {model} has no open {option}, expected auto")]
    Settled {
        /// The option, e.g. `stem`.
        option: &'static str,
        /// Its value.
        answer: String,
        /// The model's name.
        model: String,
    },
    /// An exported program cannot be measured.
    #[error(transparent)]
    Program(#[from] Pt2Error),
    /// The samples are not what the first layer takes.
    #[error("{model} takes images of {expected}, the samples have {}×{}×{} (channels, height, width)", .found[0], .found[1], .found[2])]
    Image {
        /// The model's name.
        model: String,
        /// Input of its first layer.
        expected: String,
        /// Channels, height, width of the samples.
        found: [usize; 3],
    },
}

/// Finds the model of a state dict; `model` is `auto` or a name that `--model` takes, or the file of an exported
/// program. `image` is (channels, height, width) of the samples; an architecture that does not fit them is an error.
///
/// # Errors
/// The name is unknown, names or shapes do not fit it, or the samples do not fit the model.
pub fn recognize(
    layout: &Layout,
    model: &str,
    image: Option<[usize; 3]>,
) -> Result<Recognized, ModelError> {
    let nothing = Reading::default();
    recognize_as(layout, model, image, nothing, nothing)
}

/// Returns the same, with answers to what names leave open: those that were asked for, and those that stand beside the
/// weights, which are left where the model has no such question. What nobody answers is as usual.
///
/// # Errors
/// As [`recognize`].
pub fn recognize_as(
    layout: &Layout,
    model: &str,
    image: Option<[usize; 3]>,
    asked: Reading,
    told: Reading,
) -> Result<Recognized, ModelError> {
    match program_file(model) {
        Some(file) => exported(file, layout, asked),
        None => known::recognize(layout, model, image, asked, told),
    }
}

/// Returns the file of an exported program that `--model` names; `None` for `auto` and a name.
#[must_use]
pub fn program_file(model: &str) -> Option<&Path> {
    let path = Path::new(model);
    let is_pt2 = path.extension().is_some_and(|ending| ending == "pt2");
    (is_pt2 || path.is_file()).then_some(path)
}

/// Returns the arguments of an exported program, whatever the weights, and of a known model of ids; `None` for another known
/// architecture, which takes images or a table, and `auto`.
///
/// # Errors
/// The file cannot be read.
pub fn arguments(model: &str) -> Result<Option<Vec<Input>>, ModelError> {
    match program_file(model) {
        Some(file) => Ok(Some(pt2::arguments(file)?)),
        None => Ok(known::arguments(model)),
    }
}

/// Returns true for the name of a known model that tells the next token.
#[must_use]
pub fn is_of_tokens(model: &str) -> bool {
    known::arguments(model).is_some()
}

/// Returns the roles that an exported program gives the tensors of its checkpoints; `None` for a known architecture,
/// whose names tell them.
///
/// # Errors
/// The file cannot be read, or the name is not known.
pub fn roles(model: &str) -> Result<Option<Arc<Roles>>, ModelError> {
    match program_file(model) {
        Some(file) => Ok(Some(Arc::new(pt2::roles(file)?))),
        None if known::is_name(model) => Ok(None),
        None => Err(ModelError::UnknownModel(model.into())),
    }
}

fn exported(file: &Path, layout: &Layout, asked: Reading) -> Result<Recognized, ModelError> {
    let name = file.file_name().unwrap_or(file.as_os_str());
    let bound = pt2::read(file, layout)?;
    let (evidence, kept) = (evidence(&bound.program), kept(&bound, layout));
    let program = bound.program;
    let recognized = Recognized {
        name: name.to_string_lossy().into_owned(),
        evidence: match &kept {
            Some(kept) => format!("{evidence}; {kept}"),
            None => evidence,
        },
        kept,
        untold: None,
        program: Arc::new(program.joined()),
        reading: Reading::default(),
        readings: vec![Reading::default()],
        activations: Vec::new(),
    };
    recognized.refuse_settled(asked)?;
    Ok(recognized)
}

/// Says what a program is made of.
fn evidence(program: &Program) -> String {
    let operations = program.live().into_iter().filter(|live| *live).count();
    format!("a program of {operations} operations that torch.export saved")
}

/// Says which of a program's weights the checkpoint does not hold, and their share.
fn kept(bound: &BoundProgram, layout: &Layout) -> Option<String> {
    let first = bound.kept.first()?;
    let own = layout.len();
    let share = bound.kept_numbers as f64 / (bound.kept_numbers + own).max(1) as f64;
    Some(format!(
        "{} of its tensors, {} numbers ({:.3} % of all), are not in the checkpoint and stay as exported, e.g. {first}",
        bound.kept.len(),
        bound.kept_numbers,
        100.0 * share
    ))
}

impl Recognized {
    /// Returns the first output for one input, samples first, in the type and on the device of that, with candle.
    ///
    /// # Errors
    /// candle's, when the input does not fit.
    pub fn logits(&self, weights: &Weights, input: &Tensor) -> candle_core::Result<Tensor> {
        let place = FloatPlace {
            device: input.device().clone(),
            dtype: input.dtype(),
        };
        let inputs = vec![Datum::float(input.clone())];
        let prepared = self.program.prepare(inputs, &place)?;
        let outputs = self
            .program
            .run(weights, &prepared, &place, &mut Norms::Stored)?;
        match outputs.first() {
            Some(output) => Ok(output.tensor().clone()),
            None => candle_core::bail!("a program without outputs"),
        }
    }

    /// Refuses answers to what is no question of this model, or is answered by its name.
    fn refuse_settled(&self, asked: Reading) -> Result<(), ModelError> {
        let settled = |option, answer| ModelError::Settled {
            option,
            answer,
            model: self.name.clone(),
        };
        let own = self.reading.words();
        let is_open = |option| own.iter().any(|(subject, _)| *subject == option);
        let asked_words = asked.words().into_iter();
        let mut refused = asked_words.filter(|(option, _)| !is_open(*option));
        match (refused.next(), asked.shortcuts) {
            (Some((option, answer)), _) => Err(settled(option, answer)),
            (None, Some(shortcuts)) if self.reading.shortcuts != Some(shortcuts) => {
                Err(settled("shortcuts", shortcuts.name().into()))
            }
            _ => Ok(()),
        }
    }

    /// Checks the samples' shape against the first layer.
    ///
    /// # Errors
    /// Its first layer takes other ones.
    pub fn check_image(&self, image: [usize; 3]) -> Result<(), ModelError> {
        let expected = match self.program.inputs.first().map(|input| &input.shape[..]) {
            Some([_, Some(channels), _, _]) if *channels != image[0] => {
                known::count(*channels, "channel")
            }
            Some([_, Some(features)]) if image.iter().product::<usize>() != *features => {
                known::count(*features, "value")
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod chain_tests;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod deep_tests;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod gpt_tests;
