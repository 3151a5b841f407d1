//! One path, taken apart: its numbers with what each may count, and the words that its family shares.

use std::path::{Component, Path};

use super::file_role::{self, FileRole};
use super::token::{NameToken, TokenKind, split};
use super::word::{self, WordClass};

/// A number of a name that may count something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NameNumber {
    /// The component of the path it stands in.
    pub(super) component: usize,
    /// Its token there.
    pub(super) token: usize,
    /// The number.
    pub(super) value: u64,
    /// Meaning of the word beside it.
    pub(super) class: WordClass,
    /// Length of that word: `epoch` is surer than `e`.
    pub(super) certainty: usize,
    /// Reason to doubt that it is the step.
    pub(super) doubt: Option<SlotDoubt>,
    /// True with leading zeros.
    pub(super) padded: bool,
    /// True for a date or a time.
    pub(super) is_date: bool,
}

/// A reason why a number may be no step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotDoubt {
    /// It hangs on letters that say nothing, as in `resnet50`, or on an ending.
    Glued,
    /// Behind a word for a batch it may be the size.
    Batch,
}

/// A path, taken apart.
#[derive(Clone, Debug)]
pub(super) struct ParsedName {
    /// Its components.
    pub(super) components: Vec<String>,
    /// The words and numbers of each component.
    pub(super) tokens: Vec<Vec<NameToken>>,
    /// Text that the files of one family share.
    pub(super) key: String,
    /// The key of the last component alone.
    pub(super) file_key: String,
    /// Numbers that may count something.
    pub(super) slots: Vec<NameNumber>,
    /// Numbers of ranks, shards and layers.
    pub(super) parts: Vec<u64>,
    /// Word for its standing, as `best`; the largest of [`standing`].
    pub(super) standing: u8,
    /// Role of the file.
    pub(super) role: FileRole,
    /// Its place among the networks of a run, by its words; the lowest is followed.
    pub(super) preference: u8,
    /// All words without numbers and standing, sorted.
    pub(super) words: Vec<String>,
}

/// Returns the order among files that names tell only a standing of: the best was written no later than the last.
fn standing(word: &str) -> u8 {
    match word {
        "best" => 1,
        "last" | "latest" | "final" | "end" | "finished" | "newest" | "current" | "recent" => 3,
        _ => 2,
    }
}

/// Most numbers of one path that are looked at: a name full of them costs no more.
const SLOTS: usize = 24;

/// Takes a relative path apart; `thousands` tells that underscores in its numbers stand between thousands.
pub(super) fn parse(path: &Path, thousands: bool) -> ParsedName {
    let components: Vec<String> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    let mut name = ParsedName {
        tokens: components
            .iter()
            .map(|part| split(part, thousands))
            .collect(),
        components,
        key: String::new(),
        file_key: String::new(),
        slots: Vec::new(),
        parts: Vec::new(),
        standing: 0,
        role: FileRole::Model,
        preference: 2,
        words: Vec::new(),
    };
    for at in 0..name.components.len() {
        name.add(at);
    }
    name.words.sort_unstable();
    name.words.dedup();
    name.key.push_str(match name.role {
        FileRole::Model => "",
        FileRole::Adversary => "|adversary",
        FileRole::Average => "|average",
        FileRole::Optimizer => "|optimizer",
        FileRole::Training => "|training",
    });
    name
}

/// The part of one token in the family's key.
enum Element {
    /// The word without its status, and the standing that this tells.
    Word(String, u8),
    Slot(NameNumber),
    Part(u64),
    Mark(&'static str),
    Nothing,
}

impl ParsedName {
    fn add(&mut self, at: usize) {
        let text = self.components.get(at).cloned().unwrap_or_default();
        let tokens = self.tokens.get(at).cloned().unwrap_or_default();
        let is_file = at + 1 == self.components.len();
        let mut words: Vec<&str> = Vec::new();
        for token in &tokens {
            if let TokenKind::Word(run, parts) = &token.kind {
                words.push(run);
                words.extend(parts.iter().map(String::as_str).filter(|_| parts.len() > 1));
            }
        }
        self.role = self.role.max(file_role::role(&words));
        // The nearest component that says something decides.
        self.preference = match file_role::preference(&words) {
            2 => self.preference,
            1 if self.preference != 2 => self.preference,
            found => found,
        };
        let mut elements = elements((at, is_file), &text, &tokens);
        drop_metrics(&mut elements, &tokens, &text, is_file);
        let mut key = String::new();
        for element in elements {
            match element {
                Element::Word(word, standing) => {
                    self.standing = self.standing.max(standing);
                    self.push_word(&mut key, &word);
                }
                Element::Slot(_) if self.slots.len() >= SLOTS => key.push_str("0 "),
                Element::Slot(slot) => {
                    key.push_str(if slot.is_date { "@ " } else { "# " });
                    self.slots.push(slot);
                }
                Element::Part(part) => {
                    key.push_str("& ");
                    self.parts.push(part);
                }
                Element::Mark(mark) => key.push_str(mark),
                Element::Nothing => {}
            }
        }
        if is_file {
            self.file_key.clone_from(&key);
        }
        if !key.is_empty() {
            if !self.key.is_empty() {
                self.key.push('/');
            }
            self.key.push_str(&key);
        }
    }

    fn push_word(&mut self, key: &mut String, word: &str) {
        if !word.is_empty() {
            key.push_str(word);
            key.push(' ');
            self.words.push(word.to_owned());
        }
    }
}

/// Returns the rest of a word without the status that it tells, and the standing: of `bestModel` `model`.
fn without_status(word: &str, parts: &[String]) -> (String, u8) {
    if word::is_status(word) {
        return (String::new(), standing(word));
    }
    if let Some(status) = parts.iter().find(|part| word::is_status(part)) {
        // A letter alone, as in `bestF`, tells by which score.
        let rest = parts
            .iter()
            .filter(|part| part.len() > 1 && !word::is_status(part));
        return (rest.map(String::as_str).collect(), standing(status));
    }
    let end = word::glued_status(word);
    match end.and_then(|end| Some((word.strip_suffix(end)?, standing(end)))) {
        Some((rest, standing)) => (rest.to_owned(), standing),
        None => (word.to_owned(), 0),
    }
}

fn elements((component, is_file): (usize, bool), text: &str, tokens: &[NameToken]) -> Vec<Element> {
    let bound = bind(tokens);
    let mut last_part = None;
    (0..tokens.len())
        .map(|at| {
            let token = &tokens[at];
            let slot = |value, class, certainty, glued| NameNumber {
                component,
                token: at,
                value,
                class,
                certainty,
                doubt: if glued || is_ending(text, tokens, at) {
                    Some(SlotDoubt::Glued)
                } else {
                    let word = word_at(tokens, bound[at]);
                    word.filter(|word| word::is_batch(word))
                        .map(|_| SlotDoubt::Batch)
                },
                padded: text[token.start..].starts_with('0') && token.end > token.start + 1,
                is_date: false,
            };
            match &token.kind {
                TokenKind::Word(word, parts) => {
                    let (rest, standing) = without_status(word, parts);
                    Element::Word(rest, standing)
                }
                TokenKind::Hash => Element::Mark("% "),
                TokenKind::Ordinal(value) => Element::Word(format!("{value}th"), 0),
                TokenKind::Date(value) => Element::Slot(NameNumber {
                    is_date: true,
                    ..slot(*value, WordClass::Other, 0, false)
                }),
                TokenKind::Fraction => Element::Mark("~"),
                TokenKind::Whole(value) => {
                    let (mut class, certainty, glued) = number_class(tokens, at, bound[at]);
                    // `000-DiT-XL-2/`, `2_Dense/`: an index in front of the folder's name.
                    if !is_file && at == 0 && bound[at].is_none() && tokens.len() > 1 {
                        // `900_checkpoint/`, `10500_finish/`: its step.
                        let word = word_at(tokens, Some(1)).unwrap_or_default();
                        class = if tokens.len() == 2
                            && (word::class(word) == WordClass::Checkpoint || word::is_status(word))
                        {
                            WordClass::Checkpoint
                        } else {
                            WordClass::Run
                        };
                    }
                    let follows = last_part.is_some_and(|last: usize| last + 1 == at);
                    if class == WordClass::Part || follows || is_part_of(tokens, at) {
                        last_part = Some(at);
                        return Element::Part(*value);
                    }
                    // `mae_10.pth`: a masked autoencoder rather than an error, where it is all there is.
                    let is_alone = || {
                        let numbers = tokens
                            .iter()
                            .filter(|t| !matches!(t.kind, TokenKind::Word(..)));
                        let starts = word_at(tokens, Some(0)).is_some_and(word::may_be_network);
                        is_file && starts && numbers.count() == 1
                    };
                    match class {
                        WordClass::Metric if is_alone() => {
                            Element::Slot(slot(*value, WordClass::Other, 0, false))
                        }
                        WordClass::Metric => Element::Mark("~"),
                        _ => Element::Slot(slot(*value, class, certainty, glued)),
                    }
                }
            }
        })
        .collect()
}

/// Parts of a checkpoint that may be counted without padding.
const FEW_PARTS: u64 = 8;

fn word_at(tokens: &[NameToken], at: Option<usize>) -> Option<&str> {
    match &tokens.get(at?)?.kind {
        TokenKind::Word(word, _) => Some(word),
        _ => None,
    }
}

fn is_number(tokens: &[NameToken], at: Option<usize>) -> bool {
    let kind = at.and_then(|at| tokens.get(at)).map(|token| &token.kind);
    matches!(kind, Some(TokenKind::Whole(_)))
}

/// Returns true for the number of an ending as `.t7` or `.h5`.
fn is_ending(text: &str, tokens: &[NameToken], at: usize) -> bool {
    let Some(word) = at.checked_sub(1).and_then(|before| tokens.get(before)) else {
        return false;
    };
    let number = tokens
        .get(at)
        .map_or(0..0, |number| number.start..number.end);
    number.end == text.len()
        && number.len() == 1
        && word.end == number.start
        && text
            .get(..word.start)
            .is_some_and(|before| before.ends_with('.'))
}

/// Returns `00001-of-00003`, and `1-of-2`; in `9of40` and `9-of-40` the first number counts.
fn is_part_of(tokens: &[NameToken], at: usize) -> bool {
    let parts = |first: Option<usize>| {
        let (first, of) = (first?, first? + 1);
        let (part, word, all) = (tokens.get(first)?, tokens.get(of)?, tokens.get(of + 1)?);
        let (TokenKind::Whole(_), TokenKind::Whole(count)) = (&part.kind, &all.kind) else {
            return None;
        };
        let apart = part.end < word.start && word.end < all.start;
        let padded = part.end - part.start == all.end - all.start && all.end - all.start > 2;
        let is_of = word_at(tokens, Some(of)) == Some("of");
        Some(is_of && apart && (padded || *count <= FEW_PARTS))
    };
    parts(Some(at)) == Some(true) || parts(at.checked_sub(2)) == Some(true)
}

/// Returns the unit of a whole number, the length of the word that says so, and true if it hangs on letters
/// that say nothing.
fn number_class(tokens: &[NameToken], at: usize, bound: Option<usize>) -> (WordClass, usize, bool) {
    if let Some(word) = word_at(tokens, bound) {
        return (word::class(word), word.len(), false);
    }
    let attached = |a: usize, b: usize| match (tokens.get(a), tokens.get(b)) {
        (Some(a), Some(b)) => a.end == b.start,
        _ => false,
    };
    if let Some(after) = word_at(tokens, Some(at + 1)).filter(|_| attached(at, at + 1)) {
        if matches!(after, "x" | "px" | "bit" | "bits") {
            return (WordClass::Run, 0, false);
        }
        if word::class(after) == WordClass::Metric && !is_number(tokens, Some(at + 2)) {
            return (WordClass::Metric, 0, false);
        }
    }
    let before = at.checked_sub(1);
    let Some(NameToken {
        kind: TokenKind::Word(word, parts),
        ..
    }) = before.and_then(|before| tokens.get(before))
    else {
        return (WordClass::Other, 0, false);
    };
    let is_attached = attached(at.saturating_sub(1), at);
    let mut class = word::class(word);
    if class == WordClass::Other {
        class = parts.last().map_or(class, |part| word::class(part));
    }
    if class.is_counter() {
        // It counts the number on its other side.
        class = WordClass::Other;
    }
    if word == "x" && is_attached {
        class = WordClass::Run;
    }
    (class, word.len(), is_attached && class == WordClass::Other)
}

/// Finds, for each token that is a number, the word that counts it: `epoch_10`, `10epoch`. Each word counts one
/// number, the one it hangs on, else the one behind it; where the last word of the name has none behind it,
/// the one before.
fn bind(tokens: &[NameToken]) -> Vec<Option<usize>> {
    let mut bound: Vec<Option<usize>> = vec![None; tokens.len()];
    let counters: Vec<usize> = (0..tokens.len())
        .filter(|&at| word_at(tokens, Some(at)).is_some_and(|word| word::class(word).is_counter()))
        .collect();
    let gap = |a: usize, b: usize| tokens[b].start - tokens[a].end;
    let left = |at: usize| {
        at.checked_sub(1)
            .filter(|left| is_number(tokens, Some(*left)))
    };
    let right = |at: usize| Some(at + 1).filter(|right| is_number(tokens, Some(*right)));
    let before = counters
        .last()
        .is_some_and(|&last| right(last).is_none() && left(last).is_some());
    for at in counters {
        let short = word_at(tokens, Some(at)).is_some_and(|word| word.len() == 1);
        // A letter alone counts only what it hangs on: `e10`, not `net_B_5`.
        let near = |number: &usize| !short || gap(at.min(*number), at.max(*number)) == 0;
        let (left, right) = (left(at).filter(near), right(at).filter(near));
        let chosen = match (left, right) {
            (Some(left), Some(right)) => match (gap(left, at) == 0, gap(at, right) == 0) {
                (true, false) => left,
                (false, true) => right,
                _ if before => left,
                _ => right,
            },
            (Some(number), None) | (None, Some(number)) => number,
            (None, None) => continue,
        };
        if let Some(place) = bound.get_mut(chosen) {
            *place = place.or(Some(at));
        }
    }
    bound
}

/// Takes metrics out of the key with the words that name them, so that a file with a score stands beside
/// one without.
fn drop_metrics(elements: &mut [Element], tokens: &[NameToken], text: &str, is_file: bool) {
    for at in 0..elements.len() {
        if !matches!(elements[at], Element::Mark("~")) {
            continue;
        }
        // `lr_1e-3/` beside `lr_1e-4/`: settings, which tell runs apart. In the names of files a rate may
        // change along one run.
        let before = at
            .checked_sub(1)
            .and_then(|before| word_at(tokens, Some(before)));
        if let (Some(setting), TokenKind::Fraction) = (before, &tokens[at].kind)
            && word::class(setting) == WordClass::Run
            && !is_file
        {
            let value = text.get(tokens[at].start..tokens[at].end);
            elements[at] = Element::Word(value.unwrap_or_default().to_owned(), 0);
            continue;
        }
        elements[at] = Element::Nothing;
        let mut word = at;
        while let Some(before) = word.checked_sub(1) {
            let named = text.get(tokens[before].end..tokens[word].start);
            let named = word == at && named.is_some_and(|gap| gap == "=" || gap == ":");
            match &elements[before] {
                Element::Word(name, _) if named || word::is_metric_prefix(name) => {
                    elements[before] = Element::Nothing;
                    word = before;
                }
                _ => break,
            }
        }
    }
}
