//! The role of a file, by the words of its name: model, average, optimizer, spare, metadata or export.

/// The content of a file, as far as the words of its name tell it. The order is that of preference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum FileRole {
    /// A model, or nothing is said.
    #[default]
    Model,
    /// The network that helps to train another: a discriminator, a critic.
    Adversary,
    /// An average of the model, or a copy that follows it slowly.
    Average,
    /// The optimizer's state.
    Optimizer,
    /// Other state of the training program.
    Training,
}

const ADVERSARY: &[&str] = &[
    "d",
    "disc",
    "discriminator",
    "discriminators",
    "netd",
    "critic",
    "critics",
    "value",
    "vf",
    "q",
    "qf",
    "qnet",
    "do",
    "mpd",
    "msd",
    "reward",
    "rewardmodel",
    "dis",
];
const AVERAGE: &[&str] = &[
    "ema",
    "swa",
    "swag",
    "avg",
    "ave",
    "average",
    "averaged",
    "polyak",
    "shadow",
    "teacher",
    "target",
    "momentum",
    "lookahead",
];
const OPTIMIZER: &[&str] = &[
    "optimizer",
    "optimizers",
    "optim",
    "optims",
    "optimiser",
    "opt",
    "optstate",
    "pdopt",
];
const TRAINING: &[&str] = &["vecnormalize", "replay", "buffer"];
/// Words of the training program that describe a model where one is named: `cosine_sched_model`.
const SCHEDULE: &[&str] = &[
    "scheduler",
    "schedulers",
    "sched",
    "scaler",
    "rng",
    "criterion",
    "lrscheduler",
    "gradscaler",
    "dataloader",
    "sampler",
];
const MODEL: &[&str] = &[
    "model", "net", "network", "unet", "weights", "params", "policy", "actor",
];
/// Words before `state` that make it the training program's.
const STATE_OF: &[&str] = &[
    "training",
    "trainer",
    "recipe",
    "algorithm",
    "policy",
    "random",
    "rng",
    "loader",
    "env",
    "accelerator",
    "grad",
];
/// Networks whose landscape is wanted where several are trained together.
const FIRST: &[&str] = &[
    "g",
    "gen",
    "generator",
    "netg",
    "actor",
    "policy",
    "pi",
    "student",
    "unet",
    "transformer",
    "denoiser",
    "dit",
    "backbone",
];
const SECOND: &[&str] = &["model", "net", "network", "checkpoint", "ckpt"];
/// Networks that stand beside the one that is trained.
const LAST: &[&str] = &[
    "encoder",
    "vae",
    "head",
    "tokenizer",
    "embeddings",
    "embedding",
    "text",
    "proj",
];

/// Returns the role that the words of one path component tell. A word for the model in front keeps
/// `model_optim_rng.pt` a model, since that file holds both.
pub(super) fn role(words: &[&str]) -> FileRole {
    let has_model = words.iter().any(|word| MODEL.contains(word));
    let model = words
        .iter()
        .position(|word| MODEL.contains(word))
        .unwrap_or(usize::MAX);
    let found = words.iter().enumerate().map(|(at, word)| {
        let before = at.checked_sub(1).and_then(|before| words.get(before));
        let state = matches!(*word, "state" | "states" | "args")
            && before.is_some_and(|before| STATE_OF.contains(before));
        if OPTIMIZER.contains(word) && at < model {
            FileRole::Optimizer
        } else if TRAINING.contains(word) || state || (SCHEDULE.contains(word) && !has_model) {
            FileRole::Training
        } else if AVERAGE.contains(word) {
            FileRole::Average
        } else if ADVERSARY.contains(word) {
            FileRole::Adversary
        } else {
            FileRole::Model
        }
    });
    found.max().unwrap_or_default()
}

/// Returns the place of a path among those of several networks, by its words: the lowest is followed.
pub(super) fn preference(words: &[&str]) -> u8 {
    let any = |list: &[&str]| words.iter().any(|word| list.contains(word));
    match (any(FIRST), any(LAST), any(SECOND)) {
        (true, ..) => 0,
        (_, true, _) => 3,
        (.., true) => 1,
        _ => 2,
    }
}

/// Words of files that a trainer saves to go on from after a crash.
const SPARE: &[&str] = &[
    "recovery",
    "recover",
    "autosave",
    "backup",
    "bak",
    "tmp",
    "temp",
    "interrupt",
    "interrupted",
    "emergency",
    "crash",
    "preempt",
    "preempted",
];

/// Returns true for words of a spare.
pub(super) fn is_spare(words: &[String]) -> bool {
    words.iter().any(|word| SPARE.contains(&word.as_str()))
}

const NO_WEIGHTS: &[&str] = &[
    "json",
    "jsonl",
    "yaml",
    "yml",
    "txt",
    "log",
    "csv",
    "tsv",
    "md",
    "py",
    "sh",
    "png",
    "jpg",
    "jpeg",
    "svg",
    "gif",
    "mp4",
    "wav",
    "html",
    "xml",
    "toml",
    "cfg",
    "ini",
    "ipynb",
    "index",
    "meta",
    "lock",
    "npy",
    "npz",
    "out",
    "err",
    "metadata",
    "pdf",
    "diff",
    "patch",
    "conf",
    "db",
    "sqlite",
    "parquet",
    "arrow",
    "webp",
    "flac",
    "mp3",
    "avi",
    "tmp",
    "swp",
    "hparams",
    "rst",
    "gitignore",
    "gitattributes",
    "tex",
    "pbtxt",
    "proto",
    "wandb",
    "pid",
    "jinja",
];
const EXPORT: &[&str] = &[
    "nemo",
    "onnx",
    "tflite",
    "engine",
    "gguf",
    "mlmodel",
    "mlpackage",
    "torchscript",
    "plan",
    "trt",
    "ggml",
    "pb",
    "mar",
    "msgpack",
];

/// Whole names of files with the samples of a split, as datasets and `examples/isoloss_export.py` write them.
const SPLITS: &[&str] = &[
    "train.safetensors",
    "test.safetensors",
    "val.safetensors",
    "valid.safetensors",
    "validation.safetensors",
];

/// Returns true for endings of text, pictures and other data that are no weights.
pub(super) fn is_metadata(ending: &str) -> bool {
    NO_WEIGHTS.contains(&ending)
}

/// Returns true for the whole name of a file with samples.
pub(super) fn is_samples(file: &str) -> bool {
    SPLITS.contains(&file)
}

/// Returns true for endings of formats that a model is exported to.
pub(super) fn is_export(ending: &str) -> bool {
    EXPORT.contains(&ending)
}
