//! The step that the user types to jump to.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// Digits of the longest step.
const LONGEST: usize = 20;

/// Digits that have been typed so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt(String);

/// Meaning of a key while a step is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptKey {
    /// One more digit.
    Digit(char),
    /// Take the last digit back.
    Erase,
    /// That is the step.
    Accept,
    /// Leave things as they are.
    Cancel,
}

impl PromptKey {
    /// Returns the meaning of a key; `None` if it has none.
    #[must_use]
    pub fn of(key: KeyEvent) -> Option<Self> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                Some(Self::Cancel)
            }
            KeyCode::Char(digit) if digit.is_ascii_digit() => Some(Self::Digit(digit)),
            KeyCode::Backspace => Some(Self::Erase),
            KeyCode::Enter => Some(Self::Accept),
            KeyCode::Esc => Some(Self::Cancel),
            _ => None,
        }
    }
}

impl Prompt {
    /// Changes what has been typed.
    pub fn edit(&mut self, entry: PromptKey) {
        match entry {
            PromptKey::Digit(digit) if self.0.len() < LONGEST => self.0.push(digit),
            PromptKey::Erase => drop(self.0.pop()),
            _ => {}
        }
    }

    /// Returns the text that has been typed.
    #[must_use]
    pub fn typed(&self) -> &str {
        &self.0
    }

    /// Returns the index of the step nearest to what has been typed; `None` before anything was.
    #[must_use]
    pub fn nearest(&self, steps: &[u64]) -> Option<usize> {
        // More digits than a number has are further than any step.
        let wanted: u128 = self.0.parse().ok()?;
        let distances = steps.iter().map(|step| u128::from(*step).abs_diff(wanted));
        let nearest = distances.enumerate().min_by_key(|(_, distance)| *distance);
        nearest.map(|(i, _)| i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Prompt {
        let mut prompt = Prompt::default();
        for symbol in text.chars() {
            let code = match symbol {
                '<' => KeyCode::Backspace,
                symbol => KeyCode::Char(symbol),
            };
            if let Some(entry) = PromptKey::of(KeyEvent::from(code)) {
                prompt.edit(entry);
            }
        }
        prompt
    }

    #[test]
    fn the_nearest_step_is_found() {
        let steps = [0, 100, 200, 900];
        for (text, nearest) in [
            ("", None),
            ("0", Some(0)),
            ("149", Some(1)),
            ("151", Some(2)),
            ("10x5<0", Some(1)),
            ("99999999999999999999999", Some(3)),
        ] {
            assert_eq!(typed(text).nearest(&steps), nearest, "{text}");
        }
        assert_eq!(typed("5").nearest(&[]), None);
    }
}
