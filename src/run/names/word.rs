//! The words of file names beside numbers: steps, metrics, runs and parts, and words for a file's standing.

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
    /// Returns true for a word that can only stand beside a counter of training.
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
/// Returns true for a word that counts batches, or tells how large they are.
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
    "agent",
    "client",
    "player",
    "do",
];
const PART: &[&str] = &[
    "rank", "ranks", "tp", "pp", "dp", "mp", "shard", "part", "layer", "node", "proc", "process",
    "stageid", "pprank", "tprank", "dprank", "mprank",
];

/// Returns the kind of a word, in lower case. Words that are glued to one for a counter, as in
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

/// Returns true for a word that belongs to the metric whose number follows.
pub(super) fn is_metric_prefix(word: &str) -> bool {
    METRIC_PREFIX.contains(&word) || class(word) == WordClass::Metric
}

/// Words of a metric that are networks' names as well.
const NETWORKS: &[&str] = &["mae", "score", "dice", "depth", "top"];

/// Returns true for a word that may name a network rather than a metric.
pub(super) fn may_be_network(word: &str) -> bool {
    NETWORKS.contains(&word)
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

/// Returns true for a word that tells a checkpoint's standing and not its place in training: `best`, `last`,
/// `final`.
pub(super) fn is_status(word: &str) -> bool {
    STATUS.contains(&word)
}

/// Returns the status word that a longer one ends with, as `checkpointlast` does.
pub(super) fn glued_status(word: &str) -> Option<&'static str> {
    ["latest", "last", "best", "final"]
        .into_iter()
        .find(|end| word.len() > end.len() && word.ends_with(end))
}
