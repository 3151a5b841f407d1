//! The counters that trainers save beside the weights.

use std::collections::HashMap;

use super::tree::Item;

/// The counters that a checkpoint holds itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InnerCounters {
    /// Updates of the weights.
    pub step: Option<u64>,
    /// Passes over the data.
    pub epoch: Option<u64>,
}

/// Keys of the count of updates, the surest first.
const STEPS: [&str; 15] = [
    "global_step",
    "step",
    "steps",
    "global_steps",
    "iter_num",
    "iteration",
    "iter",
    "it",
    "num_updates",
    "n_iter",
    "global_iter",
    "iterations",
    "train_step",
    "current_step",
    "num_steps",
];
/// Keys of the count of passes over the data.
const EPOCHS: [&str; 4] = ["epoch", "current_epoch", "epochs_run", "num_epochs"];
/// Dicts in which frameworks nest their counters: composer, fairseq, mmengine, NeMo.
const NESTED: [&str; 8] = [
    "state",
    "timestamp",
    "extra_state",
    "train_iterator",
    "meta",
    "trainer_state",
    "progress",
    "info",
];
/// Levels below the outermost dict that are looked at.
const DEPTH: usize = 3;

/// Returns the counters of a checkpoint by its outermost value, and by the metadata of safetensors.
pub(super) fn counters(root: &Item, metadata: &HashMap<String, String>) -> InnerCounters {
    let told = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| metadata.get(*name)?.parse().ok())
    };
    let within = |names: &[&str]| find(root, names, DEPTH);
    InnerCounters {
        step: within(&STEPS).or_else(|| told(&STEPS)),
        epoch: within(&EPOCHS).or_else(|| told(&EPOCHS)),
    }
}

/// Returns the first counter of these names in a dict, else in those that are nested in it.
fn find(item: &Item, names: &[&str], depth: usize) -> Option<u64> {
    let own = names.iter().find_map(|name| whole(item.get(name)?));
    if own.is_some() || depth == 0 {
        return own;
    }
    // fairseq keeps one entry a restart.
    let history = item
        .get("optimizer_history")
        .and_then(|history| match history {
            Item::List(values) => values.last().and_then(|last| find(last, names, 0)),
            _ => None,
        });
    history.or_else(|| {
        let mut nested = NESTED.iter().filter_map(|name| item.get(name));
        nested.find_map(|nested| find(nested, names, depth - 1))
    })
}

/// Returns a number that counts; composer has a pair of value and unit.
fn whole(item: &Item) -> Option<u64> {
    let number = item.number().or_else(|| item.first()?.number())?;
    (number >= 0.0 && number.fract() == 0.0).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dict(fields: &[(&str, Item)]) -> Item {
        let fields = fields.iter();
        Item::Dict(
            None,
            fields
                .map(|(name, item)| ((*name).into(), item.clone()))
                .collect(),
        )
    }

    #[test]
    fn steps_and_epochs_are_found_where_frameworks_keep_them() {
        let none = HashMap::new();
        let of = |root: &Item| {
            let found = counters(root, &none);
            (found.step, found.epoch)
        };
        let number = Item::Number;
        let lightning = dict(&[("epoch", number(3.0)), ("global_step", number(40.0))]);
        assert_eq!(of(&lightning), (Some(40), Some(3)));
        let fairseq = dict(&[
            (
                "optimizer_history",
                Item::List(vec![dict(&[("num_updates", number(7.0))])]),
            ),
            (
                "extra_state",
                dict(&[("train_iterator", dict(&[("epoch", number(2.0))]))]),
            ),
        ]);
        assert_eq!(of(&fairseq), (Some(7), Some(2)));
        let nano = dict(&[("iter_num", number(250.0)), ("best_val_loss", number(1.5))]);
        assert_eq!(of(&nano), (Some(250), None));
        let stripped = dict(&[("epoch", number(-1.0)), ("step", number(1.5))]);
        assert_eq!(of(&stripped), (None, None));
    }

    #[test]
    fn metadata_of_safetensors_tell_where_no_dict_does() {
        let told = HashMap::from([("step".to_owned(), "12".to_owned())]);
        assert_eq!(counters(&Item::List(Vec::new()), &told).step, Some(12));
    }
}
