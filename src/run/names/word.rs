//! The vocabulary of file names: what the word beside a number counts, and what the words of a name say
//! about the file.

/// The kind of quantity that the word beside a number announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum WordClass {
    /// Updates of the weights.
    Step,
    /// Passes over the data.
    Epoch,
    /// Thousands of images, as StyleGAN counts.
    Kimg,
    /// Samples or tokens seen.
    Samples,
    /// A word for a checkpoint, behind which a number usually counts something.
    Checkpoint,
    /// A loss, a score or a rate.
    Metric,
    /// One run among several, or a setting of the whole run.
    Run,
    /// One of several parts that were written together: a rank, a layer, a shard.
    Part,
    /// Anything else.
    Other,
}

impl WordClass {
    /// True for a word that can only stand beside a counter of training.
    pub(super) fn is_counter(self) -> bool {
        matches!(self, Self::Step | Self::Epoch | Self::Kimg | Self::Samples)
    }
}

const EPOCH: &[&str] = &["epoch", "epochs", "ep", "e", "epo", "eps", "epk", "pass"];
const STEP: &[&str] = &[
    "step",
    "steps",
    "iter",
    "iters",
    "iteration",
    "iterations",
    "it",
    "itr",
    "its",
    "update",
    "updates",
    "upd",
    "batch",
    "batches",
    "ba",
    "b",
    "s",
    "st",
    "gs",
    "globalstep",
    "minibatch",
    "mb",
    "optimstep",
    "trainstep",
    "nupdates",
];
/// True for a word that counts batches, or tells how large they are.
pub(super) fn is_batch(word: &str) -> bool {
    matches!(word, "batch" | "batches" | "minibatch" | "mb" | "b")
}

const KIMG: &[&str] = &["kimg", "kimgs", "ticks", "tick"];
const SAMPLES: &[&str] = &[
    "samples",
    "sample",
    "tokens",
    "tok",
    "toks",
    "token",
    "examples",
    "images",
    "imgs",
    "frames",
    "frame",
    "timesteps",
    "timestep",
    "envsteps",
    "ts",
    "episodes",
    "episode",
    "seen",
    "games",
];
const CHECKPOINT: &[&str] = &[
    "checkpoint",
    "checkpoints",
    "ckpt",
    "ckpts",
    "chkpt",
    "chk",
    "cp",
    "cpt",
    "model",
    "models",
    "weights",
    "weight",
    "state",
    "params",
    "param",
    "snapshot",
    "snap",
    "net",
    "network",
    "save",
    "saved",
    "dump",
    "milestone",
    "g",
    "d",
];
const METRIC: &[&str] = &[
    "loss",
    "losses",
    "acc",
    "accuracy",
    "psnr",
    "ssim",
    "lpips",
    "fid",
    "wer",
    "cer",
    "bleu",
    "rouge",
    "f1",
    "map",
    "miou",
    "iou",
    "auc",
    "auroc",
    "rew",
    "reward",
    "rewards",
    "return",
    "returns",
    "score",
    "scores",
    "metric",
    "ppl",
    "perplexity",
    "dice",
    "mse",
    "mae",
    "rmse",
    "err",
    "error",
    "prec",
    "precision",
    "recall",
    "kappa",
    "top",
    "eer",
    "success",
    "nll",
    "elbo",
    "bpd",
    "bpc",
    "vloss",
    "tloss",
    "vacc",
    "r2",
    "corr",
    "pesq",
    "sdr",
    "snr",
    "ndcg",
    "mrr",
    "elo",
    "ap",
    "mape",
    "spearman",
    "pearson",
    "metrics",
];
/// Words that stand before a metric's own.
const METRIC_PREFIX: &[&str] = &[
    "val",
    "valid",
    "validation",
    "test",
    "train",
    "eval",
    "mean",
    "dev",
    "avg",
    "other",
    "mae",
];
const RUN: &[&str] = &[
    "version",
    "v",
    "ver",
    "fold",
    "folds",
    "seed",
    "run",
    "runs",
    "exp",
    "expt",
    "experiment",
    "trial",
    "job",
    "split",
    "cv",
    "attempt",
    "try",
    "replica",
    "member",
    "worker",
    "lr",
    "wd",
    "bs",
    "batchsize",
    "bsz",
    "dim",
    "hidden",
    "width",
    "depth",
    "size",
    "res",
    "heads",
    "dropout",
    "wu",
    "warmup",
    "gamma",
    "beta",
    "alpha",
    "lambda",
    "temp",
    "nl",
    "nh",
    "px",
    "bit",
    "bits",
    "bf",
    "fp",
    "int",
    "seedid",
    "stage",
    "phase",
    "task",
    "gpus",
    "gpu",
    "ctx",
    "horizon",
];
const PART: &[&str] = &[
    "rank", "ranks", "tp", "pp", "dp", "mp", "shard", "part", "layer", "node", "proc", "process",
    "stageid", "pprank", "tprank", "dprank", "mprank",
];

/// The kind of a word, in lower case. Words that are glued to one for a counter, as in
/// `checkpointepoch`, are of the counter's kind.
pub(super) fn class(word: &str) -> WordClass {
    let lists = [
        (EPOCH, WordClass::Epoch),
        (STEP, WordClass::Step),
        (KIMG, WordClass::Kimg),
        (SAMPLES, WordClass::Samples),
        (CHECKPOINT, WordClass::Checkpoint),
        (METRIC, WordClass::Metric),
        (RUN, WordClass::Run),
        (PART, WordClass::Part),
    ];
    for (list, class) in lists {
        if list.contains(&word) {
            return class;
        }
    }
    let glued = [
        ("epoch", WordClass::Epoch),
        ("epochs", WordClass::Epoch),
        ("iteration", WordClass::Step),
        ("iterations", WordClass::Step),
        ("iter", WordClass::Step),
        ("step", WordClass::Step),
        ("steps", WordClass::Step),
        ("updates", WordClass::Step),
        ("kimg", WordClass::Kimg),
        ("tokens", WordClass::Samples),
        ("loss", WordClass::Metric),
        ("accuracy", WordClass::Metric),
        ("rank", WordClass::Part),
        ("fold", WordClass::Run),
        ("seed", WordClass::Run),
        ("checkpoint", WordClass::Checkpoint),
        ("ckpt", WordClass::Checkpoint),
    ];
    let found = glued.iter().find(|(end, _)| word.ends_with(end));
    found.map_or(WordClass::Other, |(_, class)| *class)
}

/// True for a word that belongs to the metric whose number follows.
pub(super) fn is_metric_prefix(word: &str) -> bool {
    METRIC_PREFIX.contains(&word) || class(word) == WordClass::Metric
}

const STATUS: &[&str] = &[
    "best",
    "last",
    "latest",
    "final",
    "finished",
    "newest",
    "current",
    "recent",
    "backup",
    "bak",
    "copy",
    "full",
    "old",
    "prev",
    "previous",
    "end",
    "interrupted",
    "resume",
    "tmp",
    "stopped",
    "emergency",
    "preempt",
];

/// True for a word that tells a checkpoint's standing and not its place in training: `best`, `last`,
/// `final`.
pub(super) fn is_status(word: &str) -> bool {
    STATUS.contains(&word)
}

/// The status word that a longer one ends with, as `checkpointlast` does.
pub(super) fn glued_status(word: &str) -> Option<&'static str> {
    ["latest", "last", "best", "final"]
        .into_iter()
        .find(|end| word.len() > end.len() && word.ends_with(end))
}

/// What the words of a name say that the file holds. The order is that of preference.
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

/// The role that the words of one path component tell. A word for the model in front keeps
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

/// The place of a path among those of several networks, by its words: the lowest is followed.
pub(super) fn preference(words: &[&str]) -> u8 {
    let any = |list: &[&str]| words.iter().any(|word| list.contains(word));
    match (any(FIRST), any(LAST), any(SECOND)) {
        (true, ..) => 0,
        (_, true, _) => 3,
        (.., true) => 1,
        _ => 2,
    }
}

/// Words of what a trainer saves to go on from after a crash.
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

/// True for words of a spare.
pub(super) fn is_spare(words: &[String]) -> bool {
    words.iter().any(|word| SPARE.contains(&word.as_str()))
}

const METADATA: &[&str] = &[
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

/// True for endings of text, pictures and other data that are no weights.
pub(super) fn is_metadata(ending: &str) -> bool {
    METADATA.contains(&ending)
}

/// True for endings of formats that a model is exported to.
pub(super) fn is_export(ending: &str) -> bool {
    EXPORT.contains(&ending)
}
