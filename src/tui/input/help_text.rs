//! Text of the help: the table of keys as they are bound, and the signs of the map.

use crate::tui::input::keymap::{Group, Keymap, TABLE};

/// Signs of the map, in braille and block, and in 7-bit characters.
const SIGNS: [[&str; 3]; 8] = [
    ["○ ● ◆", "S O &", "start, current, looked at"],
    ["✕", "X", "lowest loss that was measured"],
    ["• ·", "o ,", "checkpoint; one whose own loss differs"],
    ["◦ ◎", "c Q", "deleted by the run; current, deleted"],
    ["┄", "~", "path before the run was resumed"],
    ["▼", "v", "the learning rate drops"],
    ["╳ ^", "! ^", "not finite, above the top level"],
    ["dim", "dim", "not yet measured finely enough"],
];
/// Rows by which an arrow key scrolls.
pub(in crate::tui) const SCROLL: usize = 3;

/// A headline with what stands below it: keys or signs, each with what it does or means.
pub(in crate::tui) struct Section {
    pub(in crate::tui) name: &'static str,
    pub(in crate::tui) rows: Vec<(String, &'static str)>,
}

/// Returns the number of rows by which the help can be scrolled until its last rows are at the top.
pub(in crate::tui) fn scrolls(keymap: &Keymap) -> usize {
    let rows = sections(keymap, false)
        .into_iter()
        .map(|section| section.rows.len() + 2);
    // Each section has a headline, and a blank above it but for the first: the last row stays in sight.
    rows.sum::<usize>().saturating_sub(2) / SCROLL
}

/// Returns the groups of the table, without rows that no key leads to, and the signs.
pub(in crate::tui) fn sections(keymap: &Keymap, ascii: bool) -> Vec<Section> {
    let keys = |group: &Group| {
        let rows = group.rows.iter();
        let rows = rows.map(|row| (keymap.printed(row), row.help));
        Section {
            name: group.name,
            rows: rows.filter(|(keys, _)| !keys.is_empty()).collect(),
        }
    };
    let signs = SIGNS.map(|[signs, plain, meaning]| {
        let signs = if ascii { plain } else { signs };
        (signs.to_owned(), meaning)
    });
    let signs = Section {
        name: "signs",
        rows: signs.to_vec(),
    };
    let groups = TABLE.iter().map(keys);
    groups
        .chain([signs])
        .filter(|section| !section.rows.is_empty())
        .collect()
}
