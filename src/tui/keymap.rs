//! The one table of keys: it dispatches, and the help screen and the README's table are made of it.

use std::fmt::Write;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::action::Action;

/// Keys that belong together, with what they do.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// As they are printed, e.g. `[ ]`.
    pub keys: &'static str,
    /// What they do, in a few words.
    pub help: &'static str,
    bindings: &'static [(KeyCode, KeyModifiers, Action)],
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CONTROL: KeyModifiers = KeyModifiers::CONTROL;

/// Every key that does something.
pub const KEYMAP: &[Row] = &[
    Row {
        keys: "?",
        help: "these keys",
        bindings: &[(KeyCode::Char('?'), NONE, Action::Help)],
    },
    Row {
        keys: "1 2 3 4 tab",
        help: "map, slices, path, weights, next view",
        bindings: &[
            (KeyCode::Char('1'), NONE, Action::ShowMap),
            (KeyCode::Char('2'), NONE, Action::ShowSlices),
            (KeyCode::Char('3'), NONE, Action::ShowPath),
            (KeyCode::Char('4'), NONE, Action::ShowWeights),
            (KeyCode::Tab, NONE, Action::NextView),
        ],
    },
    Row {
        keys: "5 6 7",
        help: "curvature, compare, surface",
        bindings: &[
            (KeyCode::Char('5'), NONE, Action::ShowCurvature),
            (KeyCode::Char('6'), NONE, Action::ShowCompare),
            (KeyCode::Char('7'), NONE, Action::ShowSurface),
        ],
    },
    Row {
        keys: "d",
        help: "other directions, eigenvalue, histogram",
        bindings: &[(KeyCode::Char('d'), NONE, Action::NextDirections)],
    },
    Row {
        keys: "space",
        help: "freeze the picture / follow the run",
        bindings: &[(KeyCode::Char(' '), NONE, Action::Freeze)],
    },
    Row {
        keys: "[ ]",
        help: "one checkpoint back / forward",
        bindings: &[
            (KeyCode::Char('['), NONE, Action::ScrubBack),
            (KeyCode::Char(']'), NONE, Action::ScrubForward),
        ],
    },
    Row {
        keys: "← → ↑ ↓",
        help: "pan; turn and tilt the surface",
        bindings: &[
            (KeyCode::Left, NONE, Action::PanLeft),
            (KeyCode::Right, NONE, Action::PanRight),
            (KeyCode::Up, NONE, Action::PanUp),
            (KeyCode::Down, NONE, Action::PanDown),
        ],
    },
    Row {
        keys: "+ - 0",
        help: "zoom in, out, whole path",
        bindings: &[
            (KeyCode::Char('+'), NONE, Action::ZoomIn),
            // The same key without shift on most layouts.
            (KeyCode::Char('='), NONE, Action::ZoomIn),
            (KeyCode::Char('-'), NONE, Action::ZoomOut),
            (KeyCode::Char('0'), NONE, Action::WholePath),
        ],
    },
    Row {
        keys: ".",
        help: "neighbourhood of the checkpoint",
        bindings: &[(KeyCode::Char('.'), NONE, Action::Neighbourhood)],
    },
    Row {
        keys: "c",
        help: "bands+lines, bands, lines",
        bindings: &[(KeyCode::Char('c'), NONE, Action::NextLayers)],
    },
    Row {
        keys: "l",
        help: "log, linear, quantile levels",
        bindings: &[(KeyCode::Char('l'), NONE, Action::NextScale)],
    },
    Row {
        keys: "m",
        help: "marker: braille, block, ascii",
        bindings: &[(KeyCode::Char('m'), NONE, Action::NextMarker)],
    },
    Row {
        keys: "t",
        help: "theme: dark, light, mono",
        bindings: &[(KeyCode::Char('t'), NONE, Action::NextTheme)],
    },
    Row {
        keys: "p",
        help: "pause the device / go on",
        bindings: &[(KeyCode::Char('p'), NONE, Action::Pause)],
    },
    Row {
        keys: "r",
        help: "look at the run folder now",
        bindings: &[(KeyCode::Char('r'), NONE, Action::Rescan)],
    },
    Row {
        keys: "esc",
        help: "close help, dismiss the banner",
        bindings: &[(KeyCode::Esc, NONE, Action::Close)],
    },
    Row {
        keys: "q ctrl-c",
        help: "quit",
        bindings: &[
            (KeyCode::Char('q'), NONE, Action::Quit),
            (KeyCode::Char('c'), CONTROL, Action::Quit),
        ],
    },
];

/// What a key does.
#[must_use]
pub fn action(key: KeyEvent) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    // Shift is already in the character, and some terminals report it besides.
    let modifiers = key.modifiers - KeyModifiers::SHIFT;
    let bindings = KEYMAP.iter().flat_map(|row| row.bindings);
    bindings
        .filter(|(code, with, _)| *code == key.code && *with == modifiers)
        .map(|(_, _, action)| *action)
        .next()
}

/// The table for the README, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut table = String::from("| key | does |\n|---|---|\n");
    for row in KEYMAP {
        let keys: Vec<String> = row.keys.split(' ').map(|key| format!("`{key}`")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| {} | {} |", keys.join(" "), row.help);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn press(code: KeyCode, modifiers: KeyModifiers) -> Option<Action> {
        action(KeyEvent::new(code, modifiers))
    }

    #[test]
    fn keys_do_what_the_table_says() {
        assert_eq!(press(KeyCode::Char('q'), NONE), Some(Action::Quit));
        assert_eq!(press(KeyCode::Char('c'), CONTROL), Some(Action::Quit));
        assert_eq!(press(KeyCode::Char('c'), NONE), Some(Action::NextLayers));
        let shift = KeyModifiers::SHIFT;
        assert_eq!(press(KeyCode::Char('?'), shift), Some(Action::Help));
        assert_eq!(press(KeyCode::Char('+'), shift), Some(Action::ZoomIn));
        assert_eq!(press(KeyCode::Char('q'), CONTROL), None);
        assert_eq!(press(KeyCode::Char('x'), NONE), None);
    }

    #[test]
    fn a_key_that_is_let_go_does_nothing() {
        let mut key = KeyEvent::new(KeyCode::Char('q'), NONE);
        key.kind = KeyEventKind::Release;
        assert_eq!(action(key), None);
    }

    #[test]
    fn no_key_stands_twice_in_the_table() {
        let keys = KEYMAP.iter().flat_map(|row| row.bindings);
        let mut seen = HashSet::new();
        for (code, modifiers, _) in keys {
            assert!(seen.insert((*code, *modifiers)), "{code:?}");
        }
    }

    #[test]
    fn the_printed_keys_are_those_that_dispatch() {
        let name = |code: KeyCode, modifiers: KeyModifiers| match code {
            KeyCode::Char(' ') => "space".to_owned(),
            KeyCode::Char(c) if modifiers == CONTROL => format!("ctrl-{c}"),
            KeyCode::Char(c) => c.to_string(),
            KeyCode::Tab => "tab".into(),
            KeyCode::Esc => "esc".into(),
            KeyCode::Left => "←".into(),
            KeyCode::Right => "→".into(),
            KeyCode::Up => "↑".into(),
            KeyCode::Down => "↓".into(),
            other => format!("{other:?}"),
        };
        for row in KEYMAP {
            let printed: HashSet<String> = row.keys.split(' ').map(str::to_owned).collect();
            let bound = row
                .bindings
                .iter()
                .map(|(code, with, _)| name(*code, *with));
            let bound: HashSet<String> = bound.filter(|key| key != "=").collect();
            assert_eq!(printed, bound);
        }
    }

    #[test]
    fn the_readme_table_has_a_line_for_every_row() {
        let table = markdown();
        assert_eq!(table.lines().count(), KEYMAP.len() + 2);
        assert!(table.contains("| `[` `]` | one checkpoint back / forward |"));
    }
}
