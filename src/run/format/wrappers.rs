//! Words that wrappers put into the names of tensors.

use std::borrow::Cow;

/// Never a module's own name: they are taken off anywhere.
const WRAPPERS: [&str; 5] = [
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
    "_forward_module",
    "_ddp_module",
];
/// Modules may be called so too: they are taken off in front, where all names have them.
const FRONTS: [&str; 3] = ["module.", "model.", "net."];

/// Returns true for a word that a wrapper may put in front of all names.
pub(super) fn is_front(word: &str) -> bool {
    WRAPPERS.contains(&word)
        || FRONTS[..2]
            .iter()
            .any(|front| front.strip_suffix('.') == Some(word))
}

/// Returns a name without the words that are never a module's own.
#[must_use]
pub fn without_wrappers(name: &str) -> Cow<'_, str> {
    if !WRAPPERS.iter().any(|word| name.contains(word)) {
        return Cow::Borrowed(name);
    }
    let parts = name.split('.').filter(|part| !WRAPPERS.contains(part));
    Cow::Owned(parts.collect::<Vec<_>>().join("."))
}

/// Returns a name without the words of wrappers anywhere and without `module.`, `model.` and `net.` in front.
#[must_use]
pub fn bare(name: &str) -> Cow<'_, str> {
    let mut bare = without_wrappers(name);
    while let Some(front) = FRONTS.iter().find(|front| bare.starts_with(**front)) {
        bare = Cow::Owned(bare[front.len()..].to_owned());
    }
    bare
}

/// Takes wrappers' words off all names, and `module.` and `model.` where all begin so. Names that would
/// be equal then stay as they are.
pub(super) fn strip(names: &mut [String]) {
    let mut stripped: Vec<String> = names
        .iter()
        .map(|name| without_wrappers(name).into_owned())
        .collect();
    while let Some(front) = FRONTS[..2]
        .iter()
        .find(|front| !stripped.is_empty() && stripped.iter().all(|name| name.starts_with(**front)))
    {
        for name in &mut stripped {
            name.drain(..front.len());
        }
    }
    let distinct: std::collections::HashSet<&String> = stripped.iter().collect();
    if distinct.len() == names.len() {
        names.clone_from_slice(&stripped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_taken_off_anywhere_and_modules_only_in_front() {
        let name = "module._orig_mod.layers.0._fsdp_wrapped_module.net.weight";
        assert_eq!(without_wrappers(name), "module.layers.0.net.weight");
        assert_eq!(bare(name), "layers.0.net.weight");
    }

    #[test]
    fn names_that_would_be_equal_stay() {
        let mut names = vec!["_orig_mod.a".to_owned(), "a".to_owned()];
        strip(&mut names);
        assert_eq!(names, ["_orig_mod.a", "a"]);
        let mut names = vec!["module.model.a".to_owned(), "module.model.b".to_owned()];
        strip(&mut names);
        assert_eq!(names, ["a", "b"]);
    }
}
