//! A model's names of its tensors beside those of a checkpoint: what wrappers add is taken off on either side.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

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
        let found = find(&|name| name.strip_prefix(prefix).map(str::to_owned));
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

/// Number of prefixes that are tried: those of a wrapper stand before all names, or before most of them.
const TRIED: usize = 32;

/// Returns the first one and two parts of names, with their dots, the most frequent first; of equals that which stands
/// first.
fn prefixes<'a>(names: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let mut counts: HashMap<&str, (Reverse<usize>, usize)> = HashMap::new();
    for name in names {
        let mut dots = name.match_indices('.').map(|(at, _)| at + 1);
        for end in [dots.next(), dots.next()].into_iter().flatten() {
            let first = counts.len();
            let (Reverse(count), _) = counts.entry(&name[..end]).or_insert((Reverse(0), first));
            *count += 1;
        }
    }
    let mut prefixes: Vec<(&str, _)> = counts.into_iter().collect();
    prefixes.sort_unstable_by_key(|(_, rank)| *rank);
    prefixes.truncate(TRIED);
    prefixes.into_iter().map(|(prefix, _)| prefix).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrapper_of_most_names_is_found_among_many() {
        let others = (0..100).map(|i| format!("other{i}.weight"));
        let own = (0..3).map(|i| format!("student.{i}.weight"));
        let known: Vec<String> = others.chain(own).collect();
        let known = known.iter().map(String::as_str).zip(0..);
        let wanted = [0, 1, 2].map(|i| vec![format!("{i}.weight")]);
        assert_eq!(matched(&wanted, known), [Some(100), Some(101), Some(102)]);
    }
}
