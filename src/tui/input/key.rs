//! One key as it is written and read: `q`, `P`, `space`, `left` or `←`, `ctrl-c`, `shift-tab`, `f1`.
//!
//! Crates that parse keys (`crokey`, `keybinds`) fold `P` into `p` or write `Ctrl+c`; here what is printed is
//! what is pressed, and what is printed can be written into a configuration.

use std::fmt;
use std::str::FromStr;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key with the modifiers that are held with it. A character stands for itself: shift is part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    code: KeyCode,
    modifiers: KeyModifiers,
}

/// Keys that are no characters, as they are printed.
const NAMES: [(&str, KeyCode); 15] = [
    ("space", KeyCode::Char(' ')),
    ("tab", KeyCode::Tab),
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("insert", KeyCode::Insert),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pageup", KeyCode::PageUp),
    ("pagedown", KeyCode::PageDown),
    ("←", KeyCode::Left),
    ("→", KeyCode::Right),
    ("↑", KeyCode::Up),
    ("↓", KeyCode::Down),
];
/// Other names of the same, for keyboards without arrows to type.
const WORDS: [(&str, KeyCode); 4] = [
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
];
const MODIFIERS: [(&str, KeyModifiers); 3] = [
    ("ctrl-", KeyModifiers::CONTROL),
    ("alt-", KeyModifiers::ALT),
    ("shift-", KeyModifiers::SHIFT),
];

impl Key {
    /// Returns a character.
    #[must_use]
    pub const fn character(character: char) -> Self {
        Self::of(KeyCode::Char(character))
    }

    /// Returns a key that is pressed alone.
    #[must_use]
    pub const fn of(code: KeyCode) -> Self {
        Self {
            code,
            modifiers: KeyModifiers::NONE,
        }
    }

    /// Returns a small letter with the control key.
    #[must_use]
    pub const fn control(letter: char) -> Self {
        Self {
            code: KeyCode::Char(letter),
            modifiers: KeyModifiers::CONTROL,
        }
    }

    /// Returns the one form of keys that terminals report in several.
    fn new(code: KeyCode, modifiers: KeyModifiers) -> Self {
        let (code, modifiers) = match code {
            KeyCode::Char(c) if modifiers.contains(KeyModifiers::CONTROL) => {
                (KeyCode::Char(c.to_ascii_lowercase()), modifiers)
            }
            KeyCode::Tab if modifiers.contains(KeyModifiers::SHIFT) => {
                (KeyCode::BackTab, modifiers)
            }
            code => (code, modifiers),
        };
        // Shift is in the character already, and some terminals report it besides.
        let shift = match code {
            KeyCode::Char(_) | KeyCode::BackTab => KeyModifiers::SHIFT,
            _ => KeyModifiers::NONE,
        };
        Self {
            code,
            modifiers: modifiers - shift,
        }
    }
}

impl From<KeyEvent> for Key {
    fn from(event: KeyEvent) -> Self {
        let known = KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT;
        Self::new(event.code, event.modifiers & known)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, modifier) in MODIFIERS {
            if self.modifiers.contains(modifier) {
                f.write_str(name)?;
            }
        }
        let name = NAMES.iter().find(|(_, code)| *code == self.code);
        match (self.code, name) {
            (_, Some((name, _))) => f.write_str(name),
            (KeyCode::BackTab, _) => f.write_str("shift-tab"),
            (KeyCode::Char(c), _) => write!(f, "{c}"),
            (KeyCode::F(number), _) => write!(f, "f{number}"),
            // Keys that no name parses into: they are bound to nothing.
            (code, _) => write!(f, "{code}"),
        }
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "expected a key, such as q, P, space, tab, esc, left, f1, ctrl-e or shift-tab, got `{text}`"
            )
        };
        let (mut rest, mut modifiers) = (text, KeyModifiers::NONE);
        while let Some((shorter, modifier)) = MODIFIERS
            .iter()
            .find_map(|(name, modifier)| Some((rest.strip_prefix(name)?, *modifier)))
        {
            (rest, modifiers) = (shorter, modifiers | modifier);
        }
        let code = code(rest).ok_or_else(wrong)?;
        // A terminal cannot tell shift from the character that comes of it.
        if matches!(code, KeyCode::Char(_)) && modifiers.contains(KeyModifiers::SHIFT) {
            return Err(format!(
                "expected a character as it comes with shift, such as P or {{, got `{text}`"
            ));
        }
        Ok(Self::new(code, modifiers))
    }
}

fn code(name: &str) -> Option<KeyCode> {
    let mut characters = name.chars();
    let known = NAMES.iter().chain(&WORDS).find(|(known, _)| *known == name);
    match (known, characters.next(), characters.as_str()) {
        (Some((_, code)), ..) => Some(*code),
        (_, Some(c), "") if !c.is_whitespace() && !c.is_control() => Some(KeyCode::Char(c)),
        (_, Some('f'), number) => {
            let number = number.parse().ok().filter(|n| (1..=12).contains(n))?;
            Some(KeyCode::F(number))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    fn what_is_printed_parses(
        #[values(
            "q",
            "P",
            "?",
            "{",
            "-",
            "+",
            "=",
            "/",
            "é",
            "space",
            "tab",
            "shift-tab",
            "esc",
            "enter",
            "←",
            "pageup",
            "f1",
            "f12",
            "ctrl-c",
            "ctrl--",
            "alt-x",
            "ctrl-alt-x",
            "shift-←",
            "ctrl-space"
        )]
        text: &str,
    ) {
        assert_eq!(
            text.parse::<Key>().map(|key| key.to_string()).as_deref(),
            Ok(text)
        );
    }

    #[test]
    fn words_stand_for_arrows() {
        assert_eq!("left".parse(), Ok(Key::of(KeyCode::Left)));
        assert_eq!("ctrl-down".parse::<Key>(), "ctrl-↓".parse());
    }

    #[rstest]
    fn what_no_terminal_reports_is_refused(
        #[values("", "qq", "Space", "ctrl-", "shift-p", "shift-space", "f0", "f13", " ")]
        text: &str,
    ) {
        let error = text
            .parse::<Key>()
            .map_err(|error| error.contains(&format!("got `{text}`")));
        assert_eq!(error, Err(true));
    }

    #[test]
    fn terminals_report_one_key_in_several_ways() {
        let key = |code, modifiers| Key::from(KeyEvent::new(code, modifiers)).to_string();
        let (shift, control) = (KeyModifiers::SHIFT, KeyModifiers::CONTROL);
        assert_eq!(key(KeyCode::Char('?'), shift), "?");
        assert_eq!(key(KeyCode::Char('P'), shift), "P");
        assert_eq!(key(KeyCode::Char('C'), control | shift), "ctrl-c");
        assert_eq!(key(KeyCode::BackTab, shift), "shift-tab");
        assert_eq!(key(KeyCode::BackTab, KeyModifiers::NONE), "shift-tab");
        assert_eq!(key(KeyCode::Tab, shift), "shift-tab");
    }
}
