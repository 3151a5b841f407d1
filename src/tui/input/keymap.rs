//! The one table of keys: it dispatches, and the help screen, the reference's table and the names that a configuration
//! may bind are made of it.

use std::fmt::{self, Write};

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind};

use crate::tui::input::action::Action;
use crate::tui::input::key::Key;

/// Rows that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Subject of its actions.
    pub name: &'static str,
    /// In the order in which they are shown.
    pub rows: &'static [KeyRow],
}

/// Actions that one line of help is enough for.
#[derive(Clone, Copy, Debug)]
pub struct KeyRow {
    /// Purpose of their keys, in a few words.
    pub help: &'static str,
    /// Each action with its default keys.
    pub actions: &'static [(Action, &'static [Key])],
}

const fn row(help: &'static str, actions: &'static [(Action, &'static [Key])]) -> KeyRow {
    KeyRow { help, actions }
}

const fn key(character: char) -> Key {
    Key::character(character)
}

/// Every action, and the keys that it has by default.
pub const TABLE: &[Group] = &[
    Group {
        name: "views",
        rows: &[
            row(
                "map, slices, path, weights",
                &[
                    (Action::ShowMap, &[key('1')]),
                    (Action::ShowSlices, &[key('2')]),
                    (Action::ShowPath, &[key('3')]),
                    (Action::ShowWeights, &[key('4')]),
                ],
            ),
            row(
                "curvature, compare, relief",
                &[
                    (Action::ShowCurvature, &[key('5')]),
                    (Action::ShowCompare, &[key('6')]),
                    (Action::ShowRelief, &[key('7')]),
                ],
            ),
            row(
                "next / previous view",
                &[
                    (Action::NextView, &[Key::of(KeyCode::Tab)]),
                    (Action::PreviousView, &[Key::of(KeyCode::BackTab)]),
                ],
            ),
            row(
                "the view on the whole screen",
                &[(Action::ZoomView, &[key('z')])],
            ),
            row(
                "other directions, eigenvalue, histogram",
                &[(Action::NextDirections, &[key('d')])],
            ),
        ],
    },
    Group {
        name: "checkpoints",
        rows: &[
            row(
                "one checkpoint back / forward",
                &[
                    (Action::ScrubBack, &[key('[')]),
                    (Action::ScrubForward, &[key(']')]),
                ],
            ),
            row(
                "ten checkpoints back / forward",
                &[
                    (Action::LeapBack, &[key('{')]),
                    (Action::LeapForward, &[key('}')]),
                ],
            ),
            row("jump to a step", &[(Action::Jump, &[key('/')])]),
            row("replay the run as a film", &[(Action::Film, &[key('P')])]),
            row(
                "freeze the picture / follow the run",
                &[(Action::Freeze, &[key(' ')])],
            ),
        ],
    },
    Group {
        name: "window",
        rows: &[
            row(
                "pan; turn and tilt the relief",
                &[
                    (Action::PanLeft, &[Key::of(KeyCode::Left)]),
                    (Action::PanRight, &[Key::of(KeyCode::Right)]),
                    (Action::PanUp, &[Key::of(KeyCode::Up)]),
                    (Action::PanDown, &[Key::of(KeyCode::Down)]),
                ],
            ),
            row(
                "zoom in, out, whole path",
                &[
                    // `=` is the same key without shift on most layouts.
                    (Action::ZoomIn, &[key('+'), key('=')]),
                    (Action::ZoomOut, &[key('-')]),
                    (Action::WholePath, &[key('0')]),
                ],
            ),
            row(
                "zoom to the checkpoint",
                &[(Action::Neighbourhood, &[key('.')])],
            ),
            row(
                "cursor: loss, score, nearest step",
                &[(Action::Cursor, &[key('i'), Key::of(KeyCode::Enter)])],
            ),
        ],
    },
    Group {
        name: "appearance",
        rows: &[
            row(
                "bands+lines, bands, lines",
                &[(Action::NextLayers, &[key('c')])],
            ),
            row(
                "log, linear, quantile levels",
                &[(Action::NextScale, &[key('l')])],
            ),
            row(
                "marker: braille, octant, … ascii",
                &[(Action::NextMarker, &[key('m')])],
            ),
            row(
                "next theme: dark, light, nord, …",
                &[(Action::NextTheme, &[key('t')])],
            ),
        ],
    },
    Group {
        name: "program",
        rows: &[
            row("these keys", &[(Action::Help, &[key('?')])]),
            row("pause measuring / go on", &[(Action::Pause, &[key('p')])]),
            row("scan the run folder now", &[(Action::Rescan, &[key('r')])]),
            row(
                "the command that reproduces this",
                &[(Action::ShowCommand, &[key('y')])],
            ),
            row("export what is shown", &[(Action::Export, &[key('e')])]),
            row(
                "close help, dismiss the banner",
                &[(Action::Close, &[Key::of(KeyCode::Esc)])],
            ),
            row("suspend", &[(Action::Suspend, &[Key::control('z')])]),
            row("quit", &[(Action::Quit, &[key('q'), Key::control('c')])]),
        ],
    },
];

/// Returns every row of the table.
pub fn rows() -> impl Iterator<Item = &'static KeyRow> {
    TABLE.iter().flat_map(|group| group.rows)
}

/// The keys in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keymap {
    /// In the order of the table.
    bindings: Vec<(Action, Vec<Key>)>,
}

impl Default for Keymap {
    fn default() -> Self {
        let actions = rows().flat_map(|row| row.actions);
        Self {
            bindings: actions
                .map(|(action, keys)| (*action, keys.to_vec()))
                .collect(),
        }
    }
}

/// A key that always quits, whatever a file says.
const WAY_OUT: Key = Key::control('c');

/// No key is left to quit with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoWayOut;

impl fmt::Display for NoWayOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected a key for `{}` and {WAY_OUT} for nothing else, got none",
            Action::Quit
        )
    }
}

impl std::error::Error for NoWayOut {}

impl Keymap {
    /// Returns the same with other keys for some actions: a key that another action had is taken from it, and an action
    /// without keys has none.
    ///
    /// # Errors
    /// Nothing would be left to quit with.
    pub fn rebound(mut self, changes: &[(Action, Vec<Key>)]) -> Result<Self, NoWayOut> {
        let taken: Vec<Key> = changes.iter().flat_map(|(_, keys)| keys.clone()).collect();
        for (action, keys) in &mut self.bindings {
            match changes.iter().find(|(changed, _)| changed == action) {
                Some((_, changed)) => keys.clone_from(changed),
                None => keys.retain(|key| !taken.contains(key)),
            }
        }
        let mut others = changes.iter().filter(|(action, _)| *action != Action::Quit);
        if self.keys(Action::Quit).is_empty() || others.any(|(_, keys)| keys.contains(&WAY_OUT)) {
            return Err(NoWayOut);
        }
        Ok(self)
    }

    /// Returns the action of a key.
    ///
    /// ```
    /// use crossterm::event::{KeyCode, KeyEvent};
    /// use isoloss::tui::input::action::Action;
    /// use isoloss::tui::input::keymap::Keymap;
    ///
    /// let quit = Keymap::default().action(KeyEvent::from(KeyCode::Char('q')));
    /// assert_eq!(quit, Some(Action::Quit));
    /// ```
    #[must_use]
    pub fn action(&self, event: KeyEvent) -> Option<Action> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        let key = Key::from(event);
        if key == WAY_OUT {
            return Some(Action::Quit);
        }
        let bound = self.bindings.iter().find(|(_, keys)| keys.contains(&key));
        bound.map(|(action, _)| *action)
    }

    /// Returns the keys of an action; none if it is unbound.
    #[must_use]
    pub fn keys(&self, action: Action) -> &[Key] {
        let bound = self.bindings.iter().find(|(bound, _)| *bound == action);
        bound.map_or(&[], |(_, keys)| keys)
    }

    /// Returns the keys of a row as they are printed, e.g. `[ ]`; empty where all are unbound.
    #[must_use]
    pub fn printed(&self, row: &KeyRow) -> String {
        let keys = row
            .actions
            .iter()
            .flat_map(|(action, _)| self.keys(*action));
        let keys: Vec<String> = keys.map(ToString::to_string).collect();
        keys.join(" ")
    }

    /// Returns the table for the reference, in Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut table = String::from("| key | does | name in `[keys]` |\n|---|---|---|\n");
        let code = |words: Vec<String>| words.join(" ");
        for row in rows() {
            let keys = row
                .actions
                .iter()
                .flat_map(|(action, _)| self.keys(*action));
            let keys = code(keys.map(|key| format!("`{key}`")).collect());
            let actions = row.actions.iter().map(|(action, _)| format!("`{action}`"));
            let actions = code(actions.collect());
            // Writing to a String cannot fail.
            let _ = writeln!(table, "| {keys} | {} | {actions} |", row.help);
        }
        table
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::ValueEnum;
    use crossterm::event::KeyModifiers;
    use std::collections::HashSet;

    fn press(keymap: &Keymap, code: KeyCode, modifiers: KeyModifiers) -> Option<Action> {
        keymap.action(KeyEvent::new(code, modifiers))
    }

    fn changed(action: Action, keys: &[&str]) -> (Action, Vec<Key>) {
        (
            action,
            keys.iter().map(|key| key.parse().unwrap()).collect(),
        )
    }

    #[test]
    fn keys_do_what_the_table_says() {
        let keymap = Keymap::default();
        let press = |code, modifiers| press(&keymap, code, modifiers);
        let (none, shift, control) = (
            KeyModifiers::NONE,
            KeyModifiers::SHIFT,
            KeyModifiers::CONTROL,
        );
        assert_eq!(press(KeyCode::Char('q'), none), Some(Action::Quit));
        assert_eq!(press(KeyCode::Char('c'), control), Some(Action::Quit));
        assert_eq!(press(KeyCode::Char('c'), none), Some(Action::NextLayers));
        assert_eq!(press(KeyCode::Char('?'), shift), Some(Action::Help));
        assert_eq!(press(KeyCode::Char('+'), shift), Some(Action::ZoomIn));
        assert_eq!(press(KeyCode::BackTab, shift), Some(Action::PreviousView));
        assert_eq!(press(KeyCode::Char('P'), shift), Some(Action::Film));
        assert_eq!(press(KeyCode::Char('q'), control), None);
        assert_eq!(press(KeyCode::Char('x'), none), None);
    }

    #[test]
    fn a_key_that_is_let_go_does_nothing() {
        let mut key = KeyEvent::from(KeyCode::Char('q'));
        key.kind = KeyEventKind::Release;
        assert_eq!(Keymap::default().action(key), None);
    }

    #[test]
    fn every_action_stands_in_the_table_once_and_so_does_every_key() {
        let actions: Vec<_> = rows().flat_map(|row| row.actions).collect();
        let mut seen = HashSet::new();
        for (action, keys) in &actions {
            for key in *keys {
                assert!(seen.insert(*key), "{key}");
            }
            assert!(!keys.is_empty(), "{action}");
        }
        let listed: Vec<Action> = actions.iter().map(|(action, _)| *action).collect();
        assert_eq!(listed.len(), Action::value_variants().len());
        for action in Action::value_variants() {
            assert!(listed.contains(action), "{action}");
        }
    }

    #[test]
    fn a_key_belongs_to_whom_it_was_given_last() {
        let keymap = Keymap::default();
        let changes = [
            changed(Action::Freeze, &["f", "q"]),
            changed(Action::Help, &[]),
        ];
        let keymap = keymap.rebound(&changes).unwrap();
        let press = |c| press(&keymap, KeyCode::Char(c), KeyModifiers::NONE);
        assert_eq!([press('f'), press('q')], [Some(Action::Freeze); 2]);
        assert_eq!([press(' '), press('?')], [None; 2]);
        assert_eq!(keymap.keys(Action::Quit), [Key::control('c')]);
        assert!(keymap.markdown().contains("| `f` `q` | freeze the picture"));
        // Two actions may change places.
        let swap = [
            changed(Action::Pause, &["r"]),
            changed(Action::Rescan, &["p"]),
        ];
        let keymap = keymap.rebound(&swap).unwrap();
        assert_eq!(keymap.keys(Action::Rescan), [key('p')]);
    }

    #[test]
    fn there_is_always_a_way_out() {
        let keymap = Keymap::default();
        let changes = [changed(Action::Quit, &[])];
        assert_eq!(keymap.clone().rebound(&changes), Err(NoWayOut));
        let changes = [changed(Action::Freeze, &["q", "ctrl-c"])];
        assert_eq!(keymap.clone().rebound(&changes), Err(NoWayOut));
        let changes = [
            changed(Action::Quit, &["Z"]),
            changed(Action::Export, &["q", "ctrl-c"]),
        ];
        assert_eq!(keymap.clone().rebound(&changes), Err(NoWayOut));
        let changes = [changed(Action::Quit, &["Z"])];
        let rebound = keymap.rebound(&changes).unwrap();
        let interrupt = KeyEvent::new(KeyCode::Char('c'), crossterm::event::KeyModifiers::CONTROL);
        assert_eq!(rebound.action(interrupt), Some(Action::Quit));
    }
}
