//! Globs: those that name a family, and those that a user gives.

use std::path::Path;

use super::parsed::ParsedName;
use super::series::Series;
use super::token::TokenKind;

/// Returns true if a glob matches a relative path or its bare name: `*` stays within a folder, `**` does not.
///
/// A folder that matches takes all below it. A pattern that is no glob matches nothing.
#[must_use]
pub fn glob_matches(pattern: &str, path: &Path) -> bool {
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    let glob = globset::GlobBuilder::new(pattern.trim_end_matches('/'))
        .literal_separator(true)
        .backslash_escape(true)
        .build();
    let Ok(matcher) = glob.map(|glob| glob.compile_matcher()) else {
        return false;
    };
    let name = path.file_name().map(Path::new);
    path.ancestors()
        .filter(|part| !part.as_os_str().is_empty())
        .any(|part| matcher.is_match(part))
        || name.is_some_and(|name| matcher.is_match(name))
}

/// Returns the text with the characters that globs give a meaning to made literal.
pub(super) fn escaped(text: &str) -> String {
    globset::escape(text)
}

/// Returns the glob of a series: the path of its first file with a star for each number that differs.
pub(super) fn of_series(series: &Series, names: &[ParsedName], digits: bool) -> String {
    let Some(name) = names.get(series.first()) else {
        return String::new();
    };
    let star = if digits { "[0-9]*" } else { "*" };
    let varies = |at: usize| {
        let value = name.slots.get(at).map(|slot| slot.value);
        series
            .members
            .iter()
            .any(|member| names[member.file].slots.get(at).map(|slot| slot.value) != value)
    };
    let starred = |component: usize, token: usize| {
        let at = name
            .slots
            .iter()
            .position(|slot| (slot.component, slot.token) == (component, token));
        match at {
            Some(at) => {
                !series.pinned.contains(&at) && (series.counters.contains(&at) || varies(at))
            }
            None => series.members.len() > 1 && !text_is_shared(series, names, (component, token)),
        }
    };
    let mut glob = String::new();
    for (component, text) in name.components.iter().enumerate() {
        if component > 0 {
            glob.push('/');
        }
        let mut from = 0;
        for (at, token) in name.tokens[component].iter().enumerate() {
            let is_number = !matches!(token.kind, TokenKind::Word(..) | TokenKind::Ordinal(_));
            if is_number && starred(component, at) {
                glob.push_str(&escaped(text.get(from..token.start).unwrap_or_default()));
                glob.push_str(star);
                from = token.end;
            }
        }
        glob.push_str(&escaped(text.get(from..).unwrap_or_default()));
    }
    glob
}

/// Returns true if all files of a series have the same text at one place.
fn text_is_shared(
    series: &Series,
    names: &[ParsedName],
    (component, token): (usize, usize),
) -> bool {
    let text = |file: usize| {
        let name = names.get(file)?;
        let token = name.tokens.get(component)?.get(token)?;
        name.components.get(component)?.get(token.start..token.end)
    };
    let first = text(series.first());
    series
        .members
        .iter()
        .all(|member| text(member.file) == first)
}
