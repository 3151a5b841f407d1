//! Settings of training that a checkpoint tells: learning rate, weight decay, batch size, optimizer.

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
const OPTIMIZERS: [&str; 5] = [
    "optimizer_states",
    "optimizer",
    "optimizer_state_dict",
    "optim",
    "optimizers",
];
/// Files beside the weights that hold an optimizer's state: those of Hugging Face's trainer and of Accelerate.
const OPTIMIZER_FILES: [&str; 2] = ["optimizer.pt", "optimizer.bin"];
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
            let beside = OPTIMIZER_FILES.iter().map(|name| path.join(name));
            let note = beside
                .filter(|path| path.is_file())
                .find_map(|path| note::read(&path));
            let groups = note.as_ref().and_then(groups).unwrap_or_default();
            return Self {
                learning_rate: state_of_trainer(path),
                ..Self::of_groups(groups)
            };
        }
        let Some(note) = note::read(path) else {
            return Self::default();
        };
        let groups = OPTIMIZERS.iter().find_map(|name| groups(note.get(name)?));
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
            ..Self::of_groups(groups.unwrap_or_default())
        }
    }

    /// Reads the settings of an optimizer's parameter groups.
    fn of_groups(groups: &[Note]) -> Self {
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

/// Returns the parameter groups, of the first optimizer where there are several; `None` if there are none.
fn groups(optimizer: &Note) -> Option<&[Note]> {
    let optimizer = optimizer.first().unwrap_or(optimizer);
    match optimizer.get("param_groups")? {
        Note::List(groups) if !groups.is_empty() => Some(groups),
        _ => None,
    }
}

/// Returns the last learning rate that Hugging Face's trainer noted.
fn state_of_trainer(folder: &Path) -> Option<f64> {
    let state = TrainerState::read(&folder.join(trainer_state::NAME));
    state.ok()??.learning_rate()
}

/// A rate below this share of the one before is a drop: schedules that fall slowly have none.
const DROP: f64 = 0.75;

/// Returns the indices of the checkpoints whose learning rate fell at once since the one before that told its own.
#[must_use]
pub fn drops(rates: &[Option<f64>]) -> Vec<usize> {
    let told = rates
        .iter()
        .enumerate()
        .filter_map(|(i, rate)| Some((i, (*rate)?)));
    let told: Vec<(usize, f64)> = told.collect();
    let fell = |pair: &&[(usize, f64)]| pair[1].1 < DROP * pair[0].1;
    told.windows(2).filter(fell).map(|pair| pair[1].0).collect()
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
        let optimizer = |groups: &[(f64, f64, usize)]| Hyper::of_groups(&sgd(groups)).optimizer;
        let plain = optimizer(&[(0.1, 0.9, 2)]);
        assert!(plain.is_some_and(|plain| plain.edge(0.1).is_some()));
        // Weight decay for weights and none for biases, as is usual.
        assert_eq!(optimizer(&[(0.1, 0.9, 2), (0.1, 0.9, 1)]), plain);
        assert_eq!(optimizer(&[(0.1, 0.9, 2), (0.3, 0.9, 0)]), plain);
        for other in [(0.01, 0.9, 1), (0.1, 0.5, 1)] {
            let groups = [(0.1, 0.9, 2), other];
            assert_eq!(optimizer(&groups), Some(Optimizer::Grouped));
            let told = Hyper::of_groups(&sgd(&groups));
            assert_eq!(told.learning_rate, Some(0.1));
        }
        assert_eq!(Optimizer::Grouped.edge(0.1), None);
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
    }
}
