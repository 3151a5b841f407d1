//! Columns and tags of a log that are a loss or a learning rate: one table for all formats.

/// Quantity of a logged number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoggedQuantity {
    /// Loss on training samples.
    Train,
    /// Loss on held-out samples.
    Eval,
    /// Learning rate.
    Rate,
}

/// The names that are taken, as [`plain`] writes them; of several in one log the first here counts.
///
/// | quantity | e.g. |
/// |---|---|
/// | training loss | `train/loss`, `Loss/train`, `train_loss`, `train_loss_step`, `loss`, `train_loss_epoch` |
/// | evaluation loss | `eval/loss`, `Loss/val`, `val_loss`, `valid_loss`, `validation_loss`, `test_loss` |
/// | learning rate | `lr`, `learning_rate`, `train/learning_rate`, `lr-SGD`, `lr/group_0` |
const NAMES: [(LoggedQuantity, &[&str]); 3] = [
    (
        LoggedQuantity::Train,
        &[
            "train_loss",
            "loss_train",
            "training_loss",
            "loss_training",
            "train_loss_step",
            "loss",
            "loss_step",
            "train_loss_epoch",
            "loss_epoch",
            "epoch_loss",
        ],
    ),
    (
        LoggedQuantity::Eval,
        &[
            "eval_loss",
            "loss_eval",
            "val_loss",
            "loss_val",
            "valid_loss",
            "loss_valid",
            "validation_loss",
            "loss_validation",
            "val_loss_epoch",
            "test_loss",
            "loss_test",
        ],
    ),
    (
        LoggedQuantity::Rate,
        &[
            "learning_rate",
            "lr",
            "train_learning_rate",
            "train_lr",
            "lr_train",
            "learning_rate_train",
        ],
    ),
];
/// Beginning of the names that are learning rates whatever follows: Lightning's monitor writes the
/// optimizer's name, and `/pg1` … where it has several groups.
const RATE: &str = "lr_";
/// Endings of other names that the same monitor writes.
const NO_RATE: [&str; 2] = ["_momentum", "_weight_decay"];

/// Returns the quantity of a name, and its rank among the names of that quantity: the lowest counts.
pub(super) fn quantity(name: &str) -> Option<(LoggedQuantity, usize)> {
    let name = plain(name);
    let listed = NAMES.iter().find_map(|(quantity, names)| {
        let rank = names.iter().position(|known| *known == name)?;
        Some((*quantity, rank))
    });
    let other = || {
        let is_rate = name.starts_with(RATE) && !NO_RATE.iter().any(|end| name.ends_with(end));
        is_rate.then_some((LoggedQuantity::Rate, usize::MAX))
    };
    listed.or_else(other)
}

/// Writes a name in lower case, with `_` for every other mark: `Loss/train` is `loss_train`.
fn plain(name: &str) -> String {
    let marked = |c: char| if c.is_alphanumeric() { c } else { '_' };
    name.trim().to_lowercase().chars().map(marked).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trainer_s_names_are_known_and_others_are_not() {
        let told = |name: &str| quantity(name).map(|(quantity, _)| quantity);
        for (expected, names) in [
            (
                LoggedQuantity::Train,
                ["train/loss", "Loss/train", "train_loss_step", "loss"],
            ),
            (
                LoggedQuantity::Eval,
                ["eval/loss", "Loss/val", "val_loss", "validation-loss"],
            ),
            (
                LoggedQuantity::Rate,
                ["lr", "train/learning_rate", "lr-SGD", "lr-Adam/pg2"],
            ),
        ] {
            for name in names {
                assert_eq!(told(name), Some(expected), "{name}");
            }
        }
        for name in [
            "step",
            "lr-SGD-momentum",
            "lr-AdamW-weight_decay",
            "train/train_loss",
            "accuracy",
            "",
        ] {
            assert_eq!(told(name), None, "{name}");
        }
    }

    #[test]
    fn a_loss_by_step_counts_before_its_mean_over_an_epoch() {
        let rank = |name: &str| quantity(name).map_or(usize::MAX, |(_, rank)| rank);
        assert!(rank("train_loss_step") < rank("train_loss_epoch"));
        assert!(rank("lr") < rank("lr-SGD"));
    }
}
