//! Options that several commands share, and the types their values parse into. One with an environment variable is
//! a setting that files may give too (see [`crate::config`]).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use clap::{ArgAction, Args, ValueEnum, value_parser};

use crate::cache::{KeepLimit, RunCache};
use crate::data::{self, Columns, Count, DataRequest, SampleOrder, Split, TokenType};
use crate::landscape::{LandscapeError, Place, Precision, Setup};
use crate::loss::Criterion;
use crate::model;
use crate::plot::ViewAngle;
use crate::run::{self, Checkpoint, Opened, RunChoice, RunError};
use crate::weights::Roles;

use super::evaluator::EvaluatorArgs;
use super::hosting::HostingOptions;
use super::loss::LossArgs;
use super::output::Usage;
use super::reading::ReadingOptions;
use super::warn;

/// Choice of the run's files, and of the state dict in each.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Run")]
pub(super) struct KeyOption {
    /// The state dict inside a checkpoint, where it is not found by itself: a key as the file has it, with
    /// dots between nested ones
    #[arg(long, env = "ISOLOSS_KEY", value_name = "KEY")]
    pub(super) key: Option<String>,
    /// Only the files that this glob takes, by path below the run or by name; may be given several times
    #[arg(long, env = "ISOLOSS_ONLY", value_name = "GLOB")]
    only: Vec<String>,
    /// Only what lies in the run's folder now, without the copies of checkpoints that are gone
    #[arg(long)]
    pub(super) disk_only: bool,
}

impl KeyOption {
    /// Returns the choice among a run's files.
    pub(super) fn choice(&self) -> RunChoice {
        RunChoice {
            key: self.key.clone(),
            only: self.only.clone(),
        }
    }

    /// Opens a run with what was kept of it.
    pub(super) fn open(&self, run: &Path) -> Result<Opened, RunError> {
        let choice = self.choice();
        let cache = (!self.disk_only).then(|| RunCache::open(run, KeepLimit::Auto));
        let kept = cache
            .flatten()
            .map(|cache| cache.seen_unthinned(run, &choice));
        run::open(run, &choice, kept.unwrap_or_default())
    }
}

/// Choice of the checkpoints of a path.
#[derive(Clone, Debug, Args)]
pub(super) struct PathOptions {
    #[command(flatten)]
    pub(super) key: KeyOption,
    /// Checkpoints of the path: A..B or every:N
    #[arg(long, help_heading = "Run", value_name = "STEPS")]
    steps: Option<Steps>,
}

impl PathOptions {
    /// Opens the chosen checkpoints of a run; what cannot be read is said on stderr and left out.
    pub(super) fn open(&self, run: &Path) -> anyhow::Result<Vec<Checkpoint>> {
        open_run(run, &self.key, self.steps)
    }

    /// Opens all checkpoints of another run beside it.
    pub(super) fn open_whole(&self, run: &Path) -> anyhow::Result<Vec<Checkpoint>> {
        open_run(run, &self.key, None)
    }
}

/// Limit of what is kept of the files that were read.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Run")]
pub(super) struct KeepOption {
    /// Size of the copies of read checkpoints that are kept in the cache folder, so that they stay on the path
    /// when the run deletes or overwrites them: 500M, all, none, or auto: at most 2 GiB (256 MiB on a network
    /// file system) and a twentieth of what is free
    #[arg(long, env = "ISOLOSS_KEEP", value_name = "SIZE", default_value_t = KeepLimit::Auto)]
    pub(super) keep: KeepLimit,
}

/// Rate at which the screen is drawn.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Appearance")]
pub(super) struct ScreenOptions {
    /// Frames a second at most, 1 to 60; none is drawn while nothing changes
    #[arg(long, env = "ISOLOSS_FPS", value_name = "COUNT", default_value_t = 10, value_parser = value_parser!(u32).range(1..=60))]
    fps: u32,
    /// Wheel zooms where it points, a click selects the nearest checkpoint; selecting text then needs shift
    #[arg(long, env = "ISOLOSS_MOUSE")]
    pub(super) mouse: bool,
}

impl ScreenOptions {
    /// Returns the least time between two frames.
    pub(super) fn apart(self) -> Duration {
        Duration::from_secs(1) / self.fps
    }
}

/// On how many samples the loss is measured everywhere.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Measuring")]
pub(super) struct FidelityOption {
    /// Samples that are measured everywhere, all of --samples only on a coarse grid and the difference
    /// interpolated: a number or `all`. Default: all, of 8192 samples and more 1024
    #[arg(long, value_name = "SAMPLES", value_parser = count)]
    pub(super) fidelity: Option<Count>,
}

/// Kinds of directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PlaneKind {
    /// The two principal components of the run's path
    Pca,
    /// Two random directions, normalized by the weights
    Random,
}

/// Choice of the model.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Model")]
pub(super) struct ModelOption {
    /// Model: a file that torch.export.save wrote (model.pt2), or an architecture: `auto`, mlp, resnet20 …
    /// resnet110, wrn56-2 …, resnet18 … resnet152, …-noshort, vgg9, vgg16, vgg19, densenet121, convnet, nanogpt, gpt2
    #[arg(
        id = "model",
        long = "model",
        env = "ISOLOSS_MODEL",
        value_name = "MODEL",
        default_value = "auto"
    )]
    pub(super) name: String,
}

impl ModelOption {
    /// Returns the roles that an exported model gives its tensors; `None` for a known architecture.
    ///
    /// # Errors
    /// The file cannot be read, or nothing is called so.
    pub(super) fn roles(&self) -> anyhow::Result<Option<Arc<Roles>>> {
        Ok(model::roles(&self.name)?)
    }
}

/// Samples, model and device.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub(super) struct MeasureOptions {
    /// Folder of idx files or CIFAR batches, an .npz, .npy or .safetensors file, a .bin file of tokens, or `digits`
    #[arg(long, env = "ISOLOSS_DATA", value_name = "PATH")]
    pub(super) data: Option<PathBuf>,
    /// Part of the data
    #[arg(long, env = "ISOLOSS_SPLIT", value_enum, default_value = "train")]
    pub(super) split: Split,
    /// Number of samples: a number or `all`
    #[arg(long, env = "ISOLOSS_SAMPLES", value_name = "N", default_value = "1024", value_parser = count)]
    pub(super) samples: Count,
    /// Choice of the samples, when not all
    #[arg(long, env = "ISOLOSS_ORDER", value_enum, default_value = "random")]
    pub(super) order: SampleOrder,
    /// Mean of the pixels after /255, one value or one per channel; known sets have theirs
    #[arg(long, env = "ISOLOSS_MEAN", action = ArgAction::Set, value_delimiter = ',', value_name = "MEAN")]
    pub(super) mean: Option<Vec<f32>>,
    /// Standard deviation of the pixels after /255, likewise
    #[arg(long, env = "ISOLOSS_STD", action = ArgAction::Set, value_delimiter = ',', value_name = "STD")]
    pub(super) std: Option<Vec<f32>>,
    /// Tokens of a sample that is cut out of a .bin file, for a GPT or an exported model (256)
    #[arg(long, env = "ISOLOSS_BLOCK", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) block: Option<u32>,
    /// The type of the tokens in a .bin file
    #[arg(long, env = "ISOLOSS_TOKEN_TYPE", value_enum, default_value = "u16")]
    pub(super) token_type: TokenType,
    #[command(flatten)]
    pub(super) model: ModelOption,
    #[command(flatten)]
    evaluator: EvaluatorArgs,
    #[command(flatten)]
    pub(super) loss: LossArgs,
    #[command(flatten)]
    pub(super) reading: ReadingOptions,
    /// Device to measure on: auto, cpu, cuda:N, metal; those of a list (cuda:0,cuda:1) share the points
    #[arg(
        long,
        env = "ISOLOSS_DEVICE",
        help_heading = "Device",
        value_delimiter = ',',
        value_name = "DEVICE",
        default_value = "auto"
    )]
    pub(super) device: Vec<Place>,
    /// The type in which forward passes are computed; the CPU has no bf16, and its f16 is slow; curvature is always f32
    #[arg(
        long,
        env = "ISOLOSS_DTYPE",
        help_heading = "Device",
        value_enum,
        default_value = "f32"
    )]
    pub(super) dtype: Precision,
    /// Samples a forward pass takes at once; by default as many as fit
    #[arg(long, env = "ISOLOSS_BATCH", help_heading = "Device", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) batch: Option<u32>,
    /// Seed of the samples and of random directions
    #[arg(long, env = "ISOLOSS_SEED", help_heading = "Data", default_value_t = 0)]
    pub(super) seed: u64,
    #[command(flatten)]
    pub(super) hosting: HostingOptions,
}

impl MeasureOptions {
    /// Refuses to go on where nothing gives a loss.
    pub(super) fn check(&self) -> Result<(), LandscapeError> {
        if self.data.is_none() && !self.evaluator.is_given() {
            return Err(LandscapeError::NoData);
        }
        Ok(())
    }

    /// Returns the samples that were asked for; `None` if an evaluator has its own.
    ///
    /// # Errors
    /// The model is a file that cannot be read, or an option belongs to another kind of model.
    fn request(&self) -> anyhow::Result<Option<DataRequest>> {
        if self.evaluator.is_given() {
            return Ok(None);
        }
        let columns = self.columns()?;
        Ok(self.data.as_ref().map(|source| DataRequest {
            source: source.clone(),
            split: self.split,
            own: self.split,
            count: self.samples,
            order: self.order,
            seed: self.seed,
            mean: self.mean.clone(),
            std: self.std.clone(),
            columns,
        }))
    }

    /// Returns the columns that an exported model takes, or one of ids; `None` for a known architecture that takes
    /// images or a table.
    fn columns(&self) -> anyhow::Result<Option<Columns>> {
        let mut arguments = model::arguments(&self.model.name)?;
        let mut sources = self.data.iter();
        if arguments.is_none() && sources.any(|data| data::is_of_tokens(data, self.split)) {
            arguments = Some(Vec::new());
        }
        let Some(arguments) = arguments else {
            let given = [
                ("--target", self.loss.target().is_some()),
                ("--block", self.block.is_some()),
            ];
            if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
                let model = &self.model.name;
                bail!(Usage(format!(
                    "{option} belongs to an exported model (--model model.pt2) or one of tokens (--model nanogpt), and the model is {model}"
                )));
            }
            return Ok(None);
        };
        Ok(Some(Columns {
            inputs: arguments
                .into_iter()
                .map(|argument| argument.name)
                .collect(),
            target: self.loss.target().map(str::to_owned),
            block: self.block.map(|block| block as usize),
            token: self.token_type,
        }))
    }

    /// Returns all that stays the same for a session.
    ///
    /// # Errors
    /// Options do not belong together, or a file that they name cannot be read.
    pub(super) fn setup(&self) -> anyhow::Result<Setup> {
        let cpu = self.device.iter().find(|place| place.is_cpu());
        if let Some(place) = cpu.filter(|_| !self.dtype.suits_cpu()) {
            bail!(Usage(format!(
                "--dtype bf16 --device {place}: the CPU has no matrix product in bf16, expected f32 or f16, or a GPU"
            )));
        }
        if self.evaluator.is_given() {
            self.hosting.refuse_beside_evaluator()?;
        }
        Ok(Setup {
            data: self.request()?,
            evaluator: self.evaluator.options(self.split, self.samples, self.seed),
            criterion: Criterion {
                loss: self.loss.loss()?,
                output: self.loss.output().map(str::to_owned),
            },
            model: self.model.name.clone(),
            reading: self.reading.reading(),
            devices: self.device.clone(),
            precision: self.dtype,
            batch: self.batch.map(|batch| batch as usize),
            planes: None,
            folder: None,
        })
    }
}

pub(super) fn count(text: &str) -> Result<Count, String> {
    match text {
        "all" => Ok(Count::All),
        text => match text.parse() {
            Ok(number) if number > 0 => Ok(Count::At(number)),
            _ => Err("expected a number above 0 or `all`".to_owned()),
        },
    }
}

/// Choice of a run's checkpoints: `A..B` (both included, either may be left out) or `every:N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Steps {
    /// Steps from A to B.
    Range(u64, u64),
    /// Every Nth checkpoint, counted back from the last.
    Every(usize),
}

impl FromStr for Steps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected A..B or every:N".to_owned();
        let bound = |text: &str, open: u64| {
            if text.is_empty() {
                Ok(open)
            } else {
                text.parse().map_err(|_| wrong())
            }
        };
        if let Some(every) = text.strip_prefix("every:") {
            return match every.parse() {
                Ok(every) if every > 0 => Ok(Self::Every(every)),
                _ => Err(wrong()),
            };
        }
        let (from, to) = text.split_once("..").ok_or_else(wrong)?;
        Ok(Self::Range(bound(from, 0)?, bound(to, u64::MAX)?))
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Range(from, u64::MAX) => write!(f, "{from}.."),
            Self::Range(from, to) => write!(f, "{from}..{to}"),
            Self::Every(every) => write!(f, "every:{every}"),
        }
    }
}

impl Steps {
    /// Keeps the checkpoints that are meant; they are in order of steps.
    fn select(self, checkpoints: Vec<Checkpoint>) -> Vec<Checkpoint> {
        let last = checkpoints.len().saturating_sub(1);
        let chosen = |(i, checkpoint): &(usize, Checkpoint)| match self {
            Self::Range(from, to) => (from..=to).contains(&checkpoint.step),
            Self::Every(every) => (last - i).is_multiple_of(every),
        };
        checkpoints
            .into_iter()
            .enumerate()
            .filter(chosen)
            .map(|(_, checkpoint)| checkpoint)
            .collect()
    }
}

/// One axis of a plane: `MIN:MAX` or `MIN:MAX:N`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    /// First line.
    pub(super) min: f64,
    /// Last line.
    pub(super) max: f64,
    /// Number of lines.
    pub(super) lines: usize,
}

/// Lines of an axis whose number is not given.
pub(super) const LINES: usize = 51;
/// More lines than this are a slip of the finger: the grid would have a million points.
const MOST_LINES: usize = 1001;

impl FromStr for Axis {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("expected MIN:MAX or MIN:MAX:N with MIN below MAX and N from 2 to {MOST_LINES}")
        };
        let mut parts = text.split(':');
        let mut number = || {
            parts
                .next()?
                .parse::<f64>()
                .ok()
                .filter(|value| value.is_finite())
        };
        let (min, max) = number().zip(number()).ok_or_else(wrong)?;
        let lines = parts
            .next()
            .map_or(Ok(LINES), |part| part.parse().map_err(|_| wrong()))?;
        if parts.next().is_some() || min >= max || !(2..=MOST_LINES).contains(&lines) {
            return Err(wrong());
        }
        Ok(Self { min, max, lines })
    }
}

/// The view of a relief that is asked for without numbers, as it is written.
pub(super) const DEFAULT_VIEW: &str = "30,35";

/// Returns the turn and tilt of a relief: `TURN,TILT`, degrees.
pub(super) fn view(text: &str) -> Result<ViewAngle, String> {
    let number = |text: &str| {
        let number = text.trim().parse().ok();
        number.filter(|value: &f64| value.is_finite())
    };
    text.split_once(',')
        .and_then(|(turn, tilt)| number(turn).zip(number(tilt)))
        .filter(|(_, tilt)| (-90.0..=90.0).contains(tilt))
        .map(|(turn, tilt)| ViewAngle { turn, tilt })
        .ok_or_else(|| "expected TURN,TILT in degrees with TILT from -90 to 90".to_owned())
}

/// Opens a run for a command that is not live: what cannot be read is said on stderr and left out.
fn open_run(run: &Path, key: &KeyOption, steps: Option<Steps>) -> anyhow::Result<Vec<Checkpoint>> {
    let Opened {
        checkpoints,
        left,
        unreadable,
        remarks,
    } = key.open(run)?;
    for (path, reason) in &unreadable {
        tracing::warn!(path = %path.display(), "{reason}");
    }
    for remark in &remarks {
        warn::say(remark)?;
    }
    let reasons: Vec<String> = unreadable.into_iter().map(|(_, reason)| reason).collect();
    warn::left_out(&reasons);
    if checkpoints.is_empty() {
        bail!("{}: none of the checkpoints can be read", run.display());
    }
    chosen(checkpoints, left, steps, run)
}

/// Returns the checkpoints that `--steps` chooses: of the path, and where it has none there, of what it left.
fn chosen(
    path: Vec<Checkpoint>,
    left: Vec<Checkpoint>,
    steps: Option<Steps>,
    run: &Path,
) -> anyhow::Result<Vec<Checkpoint>> {
    let span = |checkpoints: &[Checkpoint]| {
        let ends = checkpoints.first().zip(checkpoints.last());
        ends.map(|(first, last)| format!("steps {} to {}", first.step, last.step))
    };
    let (has, had) = (span(&path), span(&left));
    let Some(steps) = steps else {
        if let Some(had) = had {
            warn::say(format_args!(
                "{} checkpoints of a branch, run or model before ({had}) are left out; --steps takes them where the path has none",
                left.len()
            ))?;
        }
        return Ok(path);
    };
    let mut chosen = steps.select(path);
    if chosen.is_empty() {
        chosen = steps.select(left);
    }
    if chosen.is_empty() {
        let before = had.map_or_else(String::new, |had| format!(", and {had} before"));
        bail!(
            "{}: --steps {steps} leaves no checkpoint; the run has {}{before}",
            run.display(),
            has.unwrap_or_default()
        );
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(steps: &str) -> Vec<u64> {
        let checkpoint = |step| Checkpoint::new(step, format!("{step}.pt"));
        let checkpoints = [0, 10, 20, 30, 40].map(checkpoint).to_vec();
        let steps: Steps = steps.parse().expect("valid");
        steps
            .select(checkpoints)
            .iter()
            .map(|checkpoint| checkpoint.step)
            .collect()
    }

    #[test]
    fn steps_are_a_range_with_both_ends_or_every_nth_up_to_the_last() {
        assert_eq!(selected("10..30"), [10, 20, 30]);
        assert_eq!(selected("..15"), [0, 10]);
        assert_eq!(selected("35.."), [40]);
        assert_eq!(selected("every:2"), [0, 20, 40]);
        assert_eq!(selected("every:3"), [10, 40]);
        for same in ["5..2", "7..", "every:3"] {
            let steps = same.parse::<Steps>().map(|steps| steps.to_string());
            assert_eq!(steps.as_deref(), Ok(same));
        }
        for wrong in ["10", "every:0", "a..b", "every:"] {
            assert!(wrong.parse::<Steps>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_axis_has_51_lines_unless_told() {
        let axis = |text: &str| text.parse::<Axis>().ok().map(|a| (a.min, a.max, a.lines));
        assert_eq!(axis("-1:1"), Some((-1.0, 1.0, 51)));
        assert_eq!(axis("-0.5:2e1:9"), Some((-0.5, 20.0, 9)));
        for wrong in ["1", "1:1", "2:1", "0:1:1", "0:1:2:3", "0:nan", "0:1:9999"] {
            assert_eq!(axis(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_view_is_two_angles() {
        let angles = |text: &str| view(text).ok().map(|view| (view.turn, view.tilt));
        assert_eq!(angles("120,50"), Some((120.0, 50.0)));
        assert_eq!(angles("-45, -90"), Some((-45.0, -90.0)));
        assert_eq!(view(DEFAULT_VIEW), Ok(ViewAngle::default()));
        for wrong in ["", "30", "30,", "30,91", "30,35,1", "nan,35", "30,inf"] {
            assert_eq!(angles(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn samples_are_a_number_or_all() {
        assert_eq!(count("all"), Ok(Count::All));
        assert_eq!(count("12"), Ok(Count::At(12)));
        assert!(count("0").is_err() && count("many").is_err());
    }
}
