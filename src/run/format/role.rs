//! The role of a network, by the words of its key: model, critic, average, loss, or no network at all.

/// Words of keys that hold a trainer's state and no model.
const TRAINER: [&str; 31] = [
    "optim",
    "optims",
    "optimizer",
    "optimizers",
    "optimiser",
    "opt",
    "scheduler",
    "schedulers",
    "sched",
    "scaler",
    "amp",
    "rng",
    "random",
    "loss",
    "losses",
    "criterion",
    "center",
    "centre",
    "callbacks",
    "loops",
    "hparams",
    "args",
    "config",
    "cfg",
    "metrics",
    "history",
    "sampler",
    "dataloader",
    "datasets",
    "logger",
    "lr",
];
/// Words of a network whose weights follow another's.
const AVERAGES: [&str; 11] = [
    "ema", "swa", "averaged", "average", "avg", "shadow", "polyak", "teacher", "target",
    "momentum", "best",
];
/// Words of networks that judge another's work.
const CRITICS: [&str; 7] = [
    "d",
    "dis",
    "disc",
    "discriminator",
    "critic",
    "netd",
    "discriminators",
];
/// Words of networks that a critic judges.
const GENERATORS: [&str; 6] = ["g", "gen", "generator", "generators", "netg", "student"];
/// Words of networks within a loss or a metric, which training does not move or does not ask for.
const LOSSES: [&str; 9] = [
    "loss",
    "losses",
    "crit",
    "criterion",
    "criteria",
    "lpips",
    "perceptual",
    "metric",
    "metrics",
];

/// Words of an optimizer's state and of what belongs to it: never a module's own, at any depth.
const OPTIMIZERS: [&str; 7] = [
    "optim",
    "optims",
    "optimizer",
    "optimizers",
    "optimiser",
    "scheduler",
    "schedulers",
];
/// Words of numbers that a trainer writes down beside the tensors of a flat state dict.
const RECORDS: [&str; 15] = [
    "acc",
    "accuracy",
    "epoch",
    "epochs",
    "history",
    "iter",
    "iteration",
    "loss",
    "losses",
    "lr",
    "metric",
    "metrics",
    "score",
    "step",
    "steps",
];

/// A network's part among several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NetworkRole {
    /// The one that is trained: a model, a student, a generator.
    Model,
    /// A discriminator or critic.
    Discriminator,
    /// An average of the model, or its teacher.
    Average,
    /// A network within a loss or a metric.
    Loss,
}

impl NetworkRole {
    /// Returns the role that the keys above a network tell.
    pub(super) fn of<'a>(keys: impl Iterator<Item = &'a str>) -> Self {
        let words: Vec<String> = keys.flat_map(words).collect();
        let any = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
        if any(&LOSSES) {
            Self::Loss
        } else if any(&AVERAGES) {
            Self::Average
        } else if any(&CRITICS) {
            Self::Discriminator
        } else {
            Self::Model
        }
    }
}

/// Returns true for the key of a generator or student.
pub(super) fn is_generator(key: &str) -> bool {
    has(key, &GENERATORS)
}

/// Returns true for the key of a trainer's state.
pub(super) fn is_trainer(key: &str) -> bool {
    has(key, &TRAINER)
}

/// Returns true for the key of an optimizer's state.
pub(super) fn is_optimizer(key: &str) -> bool {
    has(key, &OPTIMIZERS)
}

/// Returns true for the name of a number that a trainer wrote down.
pub(super) fn is_record(name: &str) -> bool {
    has(name, &RECORDS) || is_optimizer(name)
}

/// Returns true for the key of one network beside others.
pub(super) fn is_role(key: &str) -> bool {
    is_generator(key) || NetworkRole::of(std::iter::once(key)) != NetworkRole::Model
}

fn has(key: &str, known: &[&str]) -> bool {
    words(key).iter().any(|word| known.contains(&word.as_str()))
}

/// Returns the words of a key: `netG_A`, `g_ema`, `model-ema`.
fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in key.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase()) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}
