//! A model's names of its tensors beside those of a checkpoint: what wrappers add is taken off on either side.

use std::collections::BTreeMap;

/// Parts of names that wrappers put anywhere: torch.compile, activation checkpointing, the adapters of peft and the
/// modules that it trains whole beside them.
const ANYWHERE: [&str; 4] = [
    "_orig_mod",
    "_checkpoint_wrapped_module",
    "default",
    "modules_to_save",
];

/// Returns the number of each wanted tensor, of which any of its tied names may be among the known ones.
pub(crate) fn matched<'a>(
    wanted: &[Vec<String>],
    known: impl Iterator<Item = (&'a str, usize)>,
) -> Vec<Option<usize>> {
    let own: BTreeMap<String, usize> = known.map(|(name, at)| (plain(name), at)).collect();
    let wanted: Vec<Vec<String>> = wanted
        .iter()
        .map(|names| names.iter().map(|name| plain(name)).collect())
        .collect();
    let find = |change: &dyn Fn(&str) -> Option<String>| -> Vec<Option<usize>> {
        let of = |names: &Vec<String>| {
            let mut found = names
                .iter()
                .filter_map(|name| own.get(&change(name)?).copied());
            found.next()
        };
        wanted.iter().map(of).collect()
    };
    let count = |found: &[Option<usize>]| found.iter().flatten().count();
    let mut best = find(&|name| Some(name.to_owned()));
    for prefix in prefixes(wanted.iter().flatten()) {
        let found = find(&|name| name.strip_prefix(&prefix).map(str::to_owned));
        if count(&found) > count(&best) {
            best = found;
        }
    }
    for prefix in prefixes(own.keys()) {
        let found = find(&|name| Some(format!("{prefix}{name}")));
        if count(&found) > count(&best) {
            best = found;
        }
    }
    best
}

/// Returns a name without the parts that wrappers put anywhere.
fn plain(name: &str) -> String {
    let parts = name.split('.').filter(|part| !ANYWHERE.contains(part));
    parts.collect::<Vec<_>>().join(".")
}

/// Returns the first one and two parts of names, with their dots.
fn prefixes<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut prefixes = Vec::new();
    for name in names {
        let mut dots = name.match_indices('.').map(|(at, _)| at + 1);
        for end in [dots.next(), dots.next()].into_iter().flatten() {
            let prefix = name[..end].to_owned();
            if !prefixes.contains(&prefix) {
                prefixes.push(prefix);
            }
        }
    }
    prefixes
}
