//! The order of names: that of a torch file's pickle, else the natural one.

use std::cmp::Ordering;
use std::collections::HashMap;

/// Compares names as people do: runs of digits by their value, so that `layer2` is before `layer10`.
#[must_use]
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let (Some(x), Some(y)) = (a.first(), b.first()) else {
            return a.len().cmp(&b.len());
        };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (left, right) = (digits(&mut a), digits(&mut b));
            let order = left.len().cmp(&right.len()).then_with(|| left.cmp(right));
            if order != Ordering::Equal {
                return order;
            }
        } else if x == y {
            (a, b) = (&a[1..], &b[1..]);
        } else {
            return x.cmp(y);
        }
    }
}

/// Takes the digits in front, without leading zeros.
fn digits<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text
        .iter()
        .position(|c| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    let zeros = digits
        .iter()
        .position(|&c| c != b'0')
        .unwrap_or(digits.len());
    &digits[zeros..]
}

/// Where each string of a pickle first stands. Strings are found by their instructions
/// (`BINUNICODE`, `SHORT_BINUNICODE`, `UNICODE`) and nothing is interpreted, so that at worst the
/// order is odd.
#[derive(Debug, Default)]
pub(super) struct PickleStrings(HashMap<String, usize>);

impl PickleStrings {
    pub(super) fn of(pickle: &[u8]) -> Self {
        let mut found = HashMap::new();
        for (at, &instruction) in pickle.iter().enumerate() {
            let rest = &pickle[at + 1..];
            let text = match (instruction, rest) {
                (b'X', [a, b, c, d, text @ ..]) => {
                    text.get(..u32::from_le_bytes([*a, *b, *c, *d]) as usize)
                }
                (0x8c, [length, text @ ..]) => text.get(..usize::from(*length)),
                (b'V', text) => text
                    .iter()
                    .position(|&c| c == b'\n')
                    .and_then(|end| text.get(..end)),
                _ => None,
            };
            // Names of tensors are short; a long match is chance.
            let text = text.filter(|text| !text.is_empty() && text.len() < 512);
            if let Some(text) = text.and_then(|text| std::str::from_utf8(text).ok()) {
                found.entry(text.to_owned()).or_insert(at);
            }
        }
        Self(found)
    }

    /// Whether the pickle holds this string.
    pub(super) fn holds(&self, text: &str) -> bool {
        self.0.contains_key(text)
    }

    /// Position of the dotted `name`: that of the longest part of it that is a string of its own,
    /// since nested dicts join their keys with dots.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        let mut rest = name;
        loop {
            if let Some(position) = self.0.get(rest) {
                return Some(*position);
            }
            rest = rest.split_once('.')?.1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        let mut names = [
            "layer10.w",
            "layer2.w",
            "layer2.b",
            "fc",
            "layer02.c",
            "layer",
        ];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            [
                "fc",
                "layer",
                "layer2.b",
                "layer02.c",
                "layer2.w",
                "layer10.w"
            ]
        );
    }

    #[test]
    fn strings_are_found_where_they_first_stand() {
        let pickle =
            b"\x80\x02}X\x08\x00\x00\x00fc2.biasq\x01\x8c\x0afc1.weightX\x08\x00\x00\x00fc2.bias.";
        let strings = PickleStrings::of(pickle);
        assert_eq!(strings.position("state_dict.fc2.bias"), Some(3));
        assert_eq!(strings.position("fc1.weight"), Some(18));
        assert_eq!(strings.position("fc3.weight"), None);
    }
}
