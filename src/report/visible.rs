//! Text of files as it may be shown: nothing in it moves a cursor, turns its direction or begins a line.
//!
//! Names of files, tensors, keys and columns come from others. A terminal obeys what stands in them, and a line
//! break in one forges a line of a log. So everything goes through here before it is printed.

use std::borrow::Cow;
use std::fmt::Write;

/// Characters of a sentence at most: a path has fewer.
const LONGEST: usize = 5000;

/// Tells characters that are obeyed rather than shown, or that show nothing: controls, those of Unicode's category
/// Cf (direction marks, joiners, spaces of no width, soft hyphens, tags), separators of lines, fillers.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Makes a text one line, in which what is hidden is written out as `\u{1b}`.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    written_out(text, is_hidden)
}

/// Makes a sentence one line, and leaves its middle out where names make it too long to be read: the file is told in
/// front, the advice at the end.
#[must_use]
pub fn sentence(text: &str) -> Cow<'_, str> {
    let shown = line(text);
    let count = shown.chars().count();
    if count <= LONGEST {
        return shown;
    }
    let front = shown.chars().take(LONGEST / 2);
    let back = shown.chars().skip(count - LONGEST / 2 + 1);
    front.chain(['…']).chain(back).collect()
}

/// Writes out what is hidden in a text of several lines, which stay.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    written_out(text, |character| {
        is_hidden(character) && !matches!(character, '\n' | '\t')
    })
}

fn written_out(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&hidden) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if hidden(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown.into()
}

/// Writes out what JSON itself leaves as it is; it stays the same JSON.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    let hidden = |character| is_hidden(character) && character != '\n';
    if !text.contains(hidden) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if hidden(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(character);
        }
    }
    shown.into()
}

/// Writes out what is hidden in a text of several lines that was made of these names, the line breaks within the
/// names too.
#[must_use]
pub fn lines_about(text: &str, names: &serde_json::Value) -> String {
    let mut hidden = Vec::new();
    collect(names, &mut hidden);
    // A name that is part of another one would tear that apart.
    hidden.sort_by_key(|name| std::cmp::Reverse(name.len()));
    hidden.dedup();
    let mut text = Cow::Borrowed(text);
    for name in hidden {
        if text.contains(name) {
            text = text.replace(name, &line(name)).into();
        }
    }
    lines(&text).into_owned()
}

fn collect<'a>(value: &'a serde_json::Value, into: &mut Vec<&'a str>) {
    use serde_json::Value;
    let mut take = |text: &'a str| {
        if text.contains(is_hidden) && text.trim() != "" {
            into.push(text);
        }
    };
    match value {
        Value::String(text) => take(text),
        Value::Array(values) => values.iter().for_each(|value| collect(value, into)),
        Value::Object(values) => {
            values.keys().for_each(|key| take(key));
            values.values().for_each(|value| collect(value, into));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    const NAME: &str = "a\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\u{7f}\r\nb";

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        let shown = r"a\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\u{7f}\u{d}\u{a}b";
        assert_eq!(line(NAME), shown);
        assert!(lines(NAME).ends_with("\\u{d}\nb"));
        assert_eq!(line("größe 層 👩\u{200d}🔬"), "größe 層 👩\\u{200d}🔬");
        for hidden in [
            '\u{200b}', '\u{feff}', '\u{2060}', '\u{ad}', '\u{200c}', '\u{180e}',
        ] {
            assert_eq!(
                line(&format!("a{hidden}b")),
                format!("a{}b", hidden.escape_unicode())
            );
        }
    }

    #[test]
    fn a_sentence_keeps_its_ends() {
        let about = |name: &str| format!("a.pt: tensor {name} cannot be read");
        assert_eq!(
            sentence(&about("w\n")),
            "a.pt: tensor w\\u{a} cannot be read"
        );
        let long = about(&"é\0".repeat(60_000));
        let shown = sentence(&long);
        assert_eq!(shown.chars().count(), LONGEST);
        assert!(
            shown.starts_with("a.pt: tensor é\\u{0}é") && shown.ends_with("é\\u{0} cannot be read")
        );
    }

    #[test]
    fn json_stays_the_same_json() {
        let text = serde_json::to_string(&[NAME, "\u{e0041}"]).unwrap() + "\n";
        let shown = json(&text);
        assert!(!shown.trim_end().contains(is_hidden), "{shown}");
        let again: Vec<String> = serde_json::from_str(&shown).unwrap();
        assert_eq!(again, [NAME, "\u{e0041}"]);
    }

    #[test]
    fn a_line_break_in_a_name_forges_no_line() {
        let names = serde_json::json!({"tensors": [{"name": "w\nstep 9"}, {"name": "w\n"}]});
        let text = "first\nw\nstep 9 · w\n\n";
        let shown = lines_about(text, &names);
        assert_eq!(shown, "first\nw\\u{a}step 9 · w\\u{a}\n");
    }
}
