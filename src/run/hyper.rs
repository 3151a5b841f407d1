//! Settings of training that a checkpoint tells: learning rate, weight decay, batch size, optimizer.

use std::ffi::OsStr;
use std::path::Path;

use super::Checkpoint;
use super::format::note::{self, Note};
use super::log::trainer_state::{self, TrainerState};
use super::stability_edge::Optimizer;

/// The trainer's settings as far as the checkpoint tells them.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Hyper {
    /// That of the optimizer's first group, at this step.
    pub learning_rate: Option<f64>,
    /// That of the same group.
    pub weight_decay: Option<f64>,
    /// Samples a step.
    pub batch_size: Option<f64>,
    /// That of all groups.
    pub optimizer: Option<Optimizer>,
}

/// Keys under which trainers keep their optimizers: Lightning, then what is usual by hand.
const OPTIMIZERS: [&str; 7] = [
    "optimizer_states",
    "optimizer",
    "optimizer_state_dict",
    "optim",
    "optimizers",
    "optimizer_state",
    "opt",
];
/// Files beside the weights that hold an optimizer's state: those of Hugging Face's trainer and of Accelerate.
const OPTIMIZER_FILES: [&str; 2] = ["optimizer.pt", "optimizer.bin"];
/// Files that are all weights of such a folder.
const WHOLE: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];
/// Key of an optimizer's parameter groups.
const GROUPS: &str = "param_groups";
/// Keys under which they keep the settings of the run.
const SETTINGS: [&str; 5] = ["hyper_parameters", "hparams", "args", "config", "cfg"];
const BATCH_SIZE: [&str; 4] = [
    "batch_size",
    "bs",
    "train_batch_size",
    "per_device_train_batch_size",
];

impl Hyper {
    /// Reads the settings of a checkpoint. What is not told, or cannot be read, is none; no weights are
    /// read.
    #[must_use]
    pub fn of(checkpoint: &Checkpoint) -> Self {
        // A copy holds weights alone, and the run's file may hold a later content by now.
        if checkpoint.kept.is_some() {
            return Self::default();
        }
        Self::read(&checkpoint.path)
    }

    /// Reads the settings that a file, or an HF-style folder, tells.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        if path.is_dir() {
            return Self::of_folder(path);
        }
        let is_whole = |name: &OsStr| WHOLE.iter().any(|whole| name == *whole);
        if path.file_name().is_some_and(is_whole) {
            return path.parent().map(Self::of_folder).unwrap_or_default();
        }
        let Some(note) = note::read(path) else {
            return Self::default();
        };
        let groups = OPTIMIZERS.iter().find_map(|name| {
            let groups = groups(note.get(name)?);
            (!groups.is_empty()).then_some(groups)
        });
        let settings = SETTINGS
            .iter()
            .filter_map(|name| note.get(name))
            .chain([&note]);
        let mut named = settings.flat_map(|settings| {
            BATCH_SIZE
                .iter()
                .filter_map(|name| settings.get(name)?.number())
        });
        Self {
            batch_size: named.next(),
            ..Self::of_groups(&groups.unwrap_or_default())
        }
    }

    /// Reads the settings of an HF-style folder: those of the optimizer's file, and the rate of the trainer's state where
    /// there is none.
    fn of_folder(folder: &Path) -> Self {
        let beside = OPTIMIZER_FILES.iter().map(|name| folder.join(name));
        let note = beside
            .filter(|path| path.is_file())
            .find_map(|path| note::read(&path));
        let told = note.as_ref().map(groups).unwrap_or_default();
        let told = Self::of_groups(&told);
        Self {
            learning_rate: told.learning_rate.or_else(|| state_of_trainer(folder)),
            ..told
        }
    }

    /// Reads the settings of the parameter groups that have weights.
    fn of_groups(groups: &[&Note]) -> Self {
        let number = |name: &str| groups.first()?.get(name)?.number();
        Self {
            learning_rate: number("lr"),
            weight_decay: number("weight_decay"),
            batch_size: None,
            optimizer: Optimizer::of_groups(groups),
        }
    }

    /// Returns the curvature at which steps of this rate begin to grow; that of plain gradient descent where the
    /// optimizer is not told, or scales its steps.
    #[must_use]
    pub fn edge(&self, rate: f64) -> f64 {
        let own = self.optimizer.and_then(|optimizer| optimizer.edge(rate));
        own.unwrap_or(2.0 / rate)
    }

    /// Returns the label that tells a run from others, e.g. `bs 128, wd 0.0005`; empty if it tells nothing.
    #[must_use]
    pub fn label(&self) -> String {
        let parts = [("bs", self.batch_size), ("wd", self.weight_decay)];
        let told = parts
            .iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", (*value)?)));
        told.collect::<Vec<_>>().join(", ")
    }
}

/// Returns the parameter groups that have weights, of all optimizers where there are several.
fn groups(optimizer: &Note) -> Vec<&Note> {
    let several: Vec<&Note> = match optimizer {
        Note::List(optimizers) => optimizers.iter().collect(),
        Note::Dict(_, fields) if optimizer.get(GROUPS).is_none() => {
            fields.iter().map(|field| &field.1).collect()
        }
        _ => vec![optimizer],
    };
    let groups = several.into_iter().filter_map(|one| match one.get(GROUPS) {
        Some(Note::List(groups)) => Some(groups),
        _ => None,
    });
    let has_weights =
        |group: &&Note| !matches!(group.get("params"), Some(Note::List(ids)) if ids.is_empty());
    groups.flatten().filter(has_weights).collect()
}

/// Returns the last learning rate that Hugging Face's trainer noted.
fn state_of_trainer(folder: &Path) -> Option<f64> {
    let state = TrainerState::read(&folder.join(trainer_state::NAME));
    state.ok()??.learning_rate()
}

/// A rate below this share of the one before is a drop: schedules that fall slowly have none.
const DROP: f64 = 0.75;
/// Multiple of the fall before, in ln η, from which a fall is one at once: linear and cosine schedules fall faster and
/// faster towards their end, by less than twice the fall before.
const AT_ONCE: f64 = 2.0;

/// Returns the indices of the checkpoints whose learning rate fell at once since the one before that told its own. A rate
/// of 0 is the end of a schedule.
#[must_use]
pub fn drops(rates: &[Option<f64>]) -> Vec<usize> {
    let told = rates
        .iter()
        .enumerate()
        .filter_map(|(i, rate)| Some((i, (*rate).filter(|rate| *rate > 0.0)?)));
    let told: Vec<(usize, f64)> = told.collect();
    let (mut before, mut was_drop) = (0.0, false);
    let mut drops = Vec::new();
    for pair in told.windows(2) {
        let fall = (pair[0].1 / pair[1].1).ln();
        // One drop may follow another.
        was_drop = fall > -DROP.ln() && (was_drop || fall > AT_ONCE * before);
        if was_drop {
            drops.push(pair[1].0);
        }
        before = f64::max(fall, 0.0);
    }
    drops
}

/// Returns the rate of each update between neighbouring checkpoints, by what these hold; `None` where it is not certain:
/// a checkpoint does not tell if it was saved before or after the schedule's step, so that a rate that changes from
/// one to the next by a quarter or more may be that of the update before or of the one behind it.
#[must_use]
pub fn of_updates(rates: &[Option<f64>]) -> Vec<Option<f64>> {
    let certain = |ends: &[Option<f64>]| {
        let (before, after) = (ends[0]?, ends[1]?);
        let is_level = after >= DROP * before && before >= DROP * after;
        (is_level && after > 0.0).then_some(after)
    };
    rates.windows(2).map(certain).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn fixture(name: &str) -> Checkpoint {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        Checkpoint::new(0, folder.join(name))
    }

    #[test]
    fn lightning_and_plain_optimizers_tell_their_rates() {
        let lightning = Hyper::of(&fixture("torch/lightning=9.ckpt"));
        assert!(lightning.learning_rate.is_some(), "{lightning:?}");
        let plain = Hyper::of(&fixture("torch/optimizer_only.pt"));
        assert_eq!(plain.learning_rate, lightning.learning_rate);
        assert_eq!(Hyper::of(&fixture("torch/plain.pt")), Hyper::default());
        assert_eq!(Hyper::of(&fixture("torch/evil.pt")).learning_rate, None);
        assert_eq!(Hyper::of(&fixture("nowhere.pt")), Hyper::default());
        assert_eq!(
            Hyper::of(&fixture("digits-run/step_0000.safetensors")),
            Hyper::default()
        );
    }

    #[test]
    fn settings_of_the_run_tell_the_batch_size() {
        let first = Hyper::of(&fixture("resnet8-fashion/step=0.ckpt"));
        assert_eq!(first.batch_size, Some(128.0));
        assert_eq!(first.label(), "bs 128, wd 0.0005");
    }

    #[test]
    fn optimizers_tell_where_their_edge_is() {
        let first = Hyper::of(&fixture("resnet8-fashion/step=0.ckpt"));
        assert!(
            matches!(first.optimizer, Some(Optimizer::Sgd { momentum: 0.9, .. })),
            "{first:?}"
        );
        assert!(
            (first.edge(0.1) - 38.0).abs() < 1e-12,
            "{}",
            first.edge(0.1)
        );
        let unknown = Hyper::default();
        assert!(
            (unknown.edge(0.1) - 20.0).abs() < 1e-12,
            "{}",
            unknown.edge(0.1)
        );
    }

    /// Returns parameter groups, each with its rate, its momentum and its number of tensors.
    fn sgd(groups: &[(f64, f64, usize)]) -> Vec<Note> {
        let group = |&(rate, momentum, tensors): &(f64, f64, usize)| {
            let settings = [("lr", rate), ("momentum", momentum), ("dampening", 0.0)];
            let mut fields: Vec<(Arc<str>, Note)> = settings
                .map(|(name, value)| (name.into(), Note::Number(value)))
                .into();
            let ids = (0..tensors).map(|id| Note::Number(id as f64)).collect();
            fields.push(("params".into(), Note::List(ids)));
            Note::Dict(None, fields)
        };
        groups.iter().map(group).collect()
    }

    #[test]
    fn groups_with_rates_of_their_own_have_no_edge() {
        let told = |groups: &[(f64, f64, usize)]| {
            let optimizer = Note::Dict(None, vec![(GROUPS.into(), Note::List(sgd(groups)))]);
            Hyper::of_groups(&super::groups(&optimizer))
        };
        let optimizer = |groups: &[(f64, f64, usize)]| told(groups).optimizer;
        let plain = optimizer(&[(0.1, 0.9, 2)]);
        assert!(plain.is_some_and(|plain| plain.edge(0.1).is_some()));
        // Weight decay for weights and none for biases, as is usual.
        assert_eq!(optimizer(&[(0.1, 0.9, 2), (0.1, 0.9, 1)]), plain);
        // One without weights says nothing, wherever it stands.
        for groups in [
            [(0.1, 0.9, 2), (0.3, 0.9, 0)],
            [(0.3, 0.9, 0), (0.1, 0.9, 2)],
        ] {
            assert_eq!(optimizer(&groups), plain);
            assert_eq!(told(&groups).learning_rate, Some(0.1));
        }
        for other in [(0.01, 0.9, 1), (0.1, 0.5, 1)] {
            let groups = [(0.1, 0.9, 2), other];
            assert_eq!(optimizer(&groups), Some(Optimizer::Grouped));
            assert_eq!(told(&groups).learning_rate, Some(0.1));
        }
        assert_eq!(Optimizer::Grouped.edge(0.1), None);
        // Several optimizers are several groups, in a list or by name.
        let one = |rate| {
            let groups = Note::List(sgd(&[(rate, 0.9, 1)]));
            Note::Dict(None, vec![(GROUPS.into(), groups)])
        };
        let list = Note::List(vec![one(0.1), one(0.7)]);
        let named = Note::Dict(None, vec![("a".into(), one(0.1)), ("b".into(), one(0.7))]);
        for several in [list, named] {
            let told = Hyper::of_groups(&super::groups(&several));
            assert_eq!(told.optimizer, Some(Optimizer::Grouped));
        }
        // Muon has a rate and a momentum, and is not SGD.
        let other = [("lr", 0.02), ("momentum", 0.95)]
            .map(|(name, value)| (name.into(), Note::Number(value)));
        let other = Hyper::of_groups(&[&Note::Dict(None, other.into())]);
        assert_eq!(other.optimizer, Some(Optimizer::Other));
        assert_eq!(other.optimizer.and_then(|other| other.edge(0.02)), None);
    }

    #[test]
    fn a_rate_that_is_a_tensor_is_told() {
        let hyper = Hyper::of(&fixture("torch/capturable.pt"));
        assert_eq!(hyper.learning_rate, Some(0.001));
        assert_eq!(hyper.optimizer, Some(Optimizer::Scaled));
        let double = Hyper::of(&fixture("torch/capturable_double.pt"));
        assert_eq!(double.learning_rate, Some(0.1));
        assert_eq!(double.optimizer, Some(Optimizer::Grouped));
    }

    #[test]
    fn hugging_face_s_trainer_tells_the_last_rate() {
        let folder = tempfile::tempdir().unwrap();
        let state =
            r#"{"log_history": [{"learning_rate": 0.1}, {"learning_rate": 0.02}, {"loss": 1}]}"#;
        assert!(std::fs::write(folder.path().join("trainer_state.json"), state).is_ok());
        let checkpoint = Checkpoint::new(1, folder.path());
        assert_eq!(Hyper::of(&checkpoint).learning_rate, Some(0.02));
        // The optimizer's own word is that of the step, and holds for the file of weights as well.
        let own =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torch/capturable_double.pt");
        assert!(std::fs::copy(own, folder.path().join("optimizer.pt")).is_ok());
        for path in [
            folder.path().to_path_buf(),
            folder.path().join("model.safetensors"),
        ] {
            let told = Hyper::of(&Checkpoint::new(1, path));
            assert_eq!(told.learning_rate, Some(0.1));
            assert_eq!(told.optimizer, Some(Optimizer::Grouped));
        }
    }

    #[test]
    fn an_update_has_a_rate_where_both_its_ends_have_it() {
        let rates = [0.05, 0.05, 0.005, 0.005, 0.0048, 0.0].map(Some);
        let expected = [Some(0.05), None, Some(0.005), Some(0.0048), None];
        assert_eq!(of_updates(&rates), expected);
        assert_eq!(of_updates(&[None, Some(0.1)]), [None]);
    }

    #[test]
    fn a_drop_is_a_fall_at_once() {
        let rates = [
            Some(0.1),
            None,
            Some(0.09),
            Some(0.009),
            Some(0.009),
            Some(0.001),
        ];
        assert_eq!(drops(&rates), [3, 5]);
        assert_eq!(drops(&[Some(1.0)]), [] as [usize; 0]);
        // Schedules that end at 0, and one that halves with each checkpoint.
        let nothing: [usize; 0] = [];
        let share = |i: i32| f64::from(10 - i) / 10.0;
        let linear: Vec<Option<f64>> = (0..11).map(|i| Some(share(i))).collect();
        assert_eq!(drops(&linear), nothing);
        let cosine = |i| 0.5 - 0.5 * (std::f64::consts::PI * share(i)).cos();
        let cosine: Vec<Option<f64>> = (0..11).map(|i| Some(cosine(i))).collect();
        assert_eq!(drops(&cosine), nothing);
        let halves: Vec<Option<f64>> = (0..5).map(|i| Some(0.5_f64.powi(i))).collect();
        assert_eq!(drops(&halves), [1, 2, 3, 4]);
    }
}
