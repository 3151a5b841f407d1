//! Words and numbers of one path component.

/// The meaning of a run of characters in a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// Letters, in lower case, and the parts of `camelCase`.
    Word(String, Vec<String>),
    /// A whole number, with the factor of `k` or `M` behind it already applied.
    Whole(u64),
    /// A number with a fraction, a negative exponent, or more digits than a counter has.
    Fraction,
    /// `1st`, `2nd`.
    Ordinal(u64),
    /// A date, a time or both, as a number that sorts.
    Date(u64),
    /// Random letters and digits.
    Hash,
}

/// A part of a name and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NameToken {
    /// Its kind.
    pub(super) kind: TokenKind,
    /// Its first byte in the component.
    pub(super) start: usize,
    /// The byte behind it.
    pub(super) end: usize,
}

/// Splits one component of a path. Separators are the gaps between tokens.
///
/// `thousands` tells that underscores in numbers stand between thousands.
pub(super) fn split(text: &str, thousands: bool) -> Vec<NameToken> {
    let mut tokens: Vec<NameToken> = Vec::new();
    let mut at = 0;
    while let Some(first) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let (kind, length) = if let Some(length) = hash(text, at) {
            (Some(TokenKind::Hash), length)
        } else if first.is_ascii_digit() {
            let found = date(text, at, tokens.last())
                .or_else(|| minutes(text, at, tokens.last()))
                .unwrap_or_else(|| number(text, at, thousands));
            (Some(found.0), found.1)
        } else if first.is_alphabetic() {
            let (kind, length) = word(&text[at..]);
            (Some(kind), length)
        } else {
            (None, first.len_utf8())
        };
        if let Some(kind) = kind {
            tokens.push(NameToken {
                kind,
                start: at,
                end: at + length,
            });
        }
        at += length.max(1);
    }
    tokens
}

fn word(text: &str) -> (TokenKind, usize) {
    let end = text
        .find(|c: char| !c.is_alphabetic())
        .unwrap_or(text.len());
    let run = &text[..end];
    let mut parts: Vec<String> = Vec::new();
    let mut was_lower = true;
    for c in run.chars() {
        let starts = parts.is_empty() || (c.is_uppercase() && was_lower);
        if starts {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase();
    }
    (TokenKind::Word(run.to_lowercase(), parts), end)
}

fn digits(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes().get(at..).unwrap_or_default();
    bytes.iter().take_while(|c| c.is_ascii_digit()).count()
}

fn byte(text: &str, at: usize) -> Option<u8> {
    text.as_bytes().get(at).copied()
}

fn is_alphanumeric(text: &str, at: usize) -> bool {
    let next = text.get(at..).and_then(|rest| rest.chars().next());
    next.is_some_and(char::is_alphanumeric)
}

/// Returns the minutes of a time of day or of a duration, `30` in `12h30` and `0h30m`: no counter.
fn minutes(text: &str, at: usize, before: Option<&NameToken>) -> Option<(TokenKind, usize)> {
    let hour = before.filter(|before| before.end == at && before.end - before.start == 1)?;
    let is_hour = text.get(hour.start..hour.end) == Some("h")
        && hour.start > 0
        && byte(text, hour.start - 1).is_some_and(|c| c.is_ascii_digit());
    let length = digits(text, at);
    let unit = usize::from(byte(text, at + length) == Some(b'm'));
    (is_hour && length == 2 && !is_alphanumeric(text, at + length + unit))
        .then_some((TokenKind::Fraction, length + unit))
}

fn number(text: &str, at: usize, thousands: bool) -> (TokenKind, usize) {
    let whole = digits(text, at);
    let marks: &[u8] = if thousands { b",_'" } else { b"," };
    if let Some((value, length)) = grouped(text, at, marks) {
        return (TokenKind::Whole(value), length);
    }
    let mut end = at + whole;
    let dotted = at > 0 && byte(text, at - 1) == Some(b'.') && &text[at..end] != "0";
    let mut decimals = 0;
    let mut groups = 0;
    while !dotted && byte(text, end) == Some(b'.') && digits(text, end + 1) > 0 {
        decimals = digits(text, end + 1);
        end += 1 + decimals;
        groups += 1;
    }
    // 1.2.3 is a version.
    if groups > 1 {
        return (TokenKind::Fraction, end - at);
    }
    let mantissa: Option<u64> = text[at..end].replace('.', "").parse().ok();
    if let Some((exponent, length)) = exponent(text, end) {
        let kind = exponent.map_or(TokenKind::Fraction, |exponent| {
            scaled(mantissa, decimals, exponent)
        });
        return (kind, end + length - at);
    }
    let rest = &text[end..];
    for (suffix, exponent) in [("k", 3), ("K", 3), ("m", 6), ("M", 6), ("b", 9), ("B", 9)] {
        if rest.starts_with(suffix) && !is_alphanumeric(text, end + 1) {
            return (scaled(mantissa, decimals, exponent), end + 1 - at);
        }
    }
    let ordinal = ["st", "nd", "rd", "th"].iter().any(|o| rest.starts_with(o));
    match mantissa {
        Some(value) if ordinal && groups == 0 && !is_alphanumeric(text, end + 2) => {
            (TokenKind::Ordinal(value), end + 2 - at)
        }
        Some(value) if groups == 0 => (TokenKind::Whole(value), end - at),
        _ => (TokenKind::Fraction, end - at),
    }
}

/// Returns a number with marks between thousands, `10,000`, and its length.
fn grouped(text: &str, at: usize, marks: &[u8]) -> Option<(u64, usize)> {
    let first = digits(text, at);
    let mark = byte(text, at + first).filter(|mark| marks.contains(mark))?;
    let mut end = at + first;
    while byte(text, end) == Some(mark) && digits(text, end + 1) == 3 {
        end += 4;
    }
    let value = text
        .get(at..end)?
        .replace(char::from(mark), "")
        .parse()
        .ok()?;
    let is_whole = end > at + first && first <= 3 && byte(text, at) != Some(b'0');
    is_whole.then_some((value, end - at))
}

/// Returns true where the numbers of names are written `900`, `1_000`, `10_000`: each is below a thousand or has
/// groups of three digits, and something tells that these are no second counter: a number of hundreds
/// without a group beside them, or groups that all are full hundreds.
pub(super) fn has_thousands<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let (mut groups, mut all_hundreds, mut has_hundreds) = (0, true, false);
    for name in names {
        let Some(at) = name.find(|c: char| c.is_ascii_digit()) else {
            continue;
        };
        let first = digits(name, at);
        if let Some((value, length)) = grouped(name, at, b"_") {
            if digits(name, at + length) > 0 || byte(name, at + length) == Some(b'_') {
                return false;
            }
            groups += 1;
            all_hundreds &= value % 100 == 0;
        } else if first > 3 || byte(name, at) == Some(b'0') || byte(name, at + first) == Some(b'_')
        {
            return false;
        } else {
            has_hundreds |= first == 3;
        }
    }
    groups > 0 && has_hundreds || groups > 1 && all_hundreds
}

/// Returns the exponent of `1e3` and its length; `None` inside for a negative one.
fn exponent(text: &str, at: usize) -> Option<(Option<u32>, usize)> {
    if !matches!(byte(text, at), Some(b'e' | b'E')) {
        return None;
    }
    let sign = byte(text, at + 1).filter(|c| matches!(c, b'-' | b'+'));
    let from = at + 1 + usize::from(sign.is_some());
    let length = digits(text, from);
    if length == 0 || is_alphanumeric(text, from + length) {
        return None;
    }
    let value = text[from..from + length].parse().ok();
    let value = value.filter(|_| sign != Some(b'-'));
    Some((value, from + length - at))
}

fn scaled(mantissa: Option<u64>, decimals: usize, exponent: u32) -> TokenKind {
    let shift = (exponent as usize).checked_sub(decimals);
    let factor = shift
        .and_then(|shift| u32::try_from(shift).ok())
        .and_then(|shift| 10u64.checked_pow(shift));
    match mantissa.zip(factor).and_then(|(m, f)| m.checked_mul(f)) {
        Some(value) => TokenKind::Whole(value),
        None => TokenKind::Fraction,
    }
}

/// Returns true for a number of 8 or 14 digits that is a day, and for seconds or milliseconds since 1970.
/// A counter may look so by chance: only where all numbers of a place do is it believed.
pub(super) fn looks_like_time(value: u64) -> bool {
    let day = match value {
        10_000_000..=99_999_999 => value,
        10_000_000_000_000..=99_999_999_999_999 => value / 1_000_000,
        _ => {
            return (1_300_000_000..2_100_000_000).contains(&value)
                || (1_300_000_000_000..2_100_000_000_000).contains(&value);
        }
    };
    is_day(day / 10_000, day / 100 % 100, day % 100)
}

fn is_day(year: u64, month: u64, day: u64) -> bool {
    (1990..2100).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day)
}

/// Reads exactly `count` digits that are followed by no further one.
fn exactly(text: &str, at: usize, count: usize) -> Option<u64> {
    (digits(text, at) == count)
        .then(|| text.get(at..at + count)?.parse().ok())
        .flatten()
}

fn date(text: &str, at: usize, before: Option<&NameToken>) -> Option<(TokenKind, usize)> {
    let (day, mut end) = match (exactly(text, at, 4), exactly(text, at, 8)) {
        (Some(year), _) => {
            let separator = byte(text, at + 4).filter(|c| b"-_.".contains(c))?;
            let month = exactly(text, at + 5, 2)?;
            let day = exactly(text, at + 8, 2)?;
            let same = byte(text, at + 7) == Some(separator);
            if !same || !is_day(year, month, day) {
                return None;
            }
            (year * 10_000 + month * 100 + day, at + 10)
        }
        (_, Some(day)) => {
            let is_day = is_day(day / 10_000, day / 100 % 100, day % 100);
            let time = compact_time(text, at + 9)?;
            let separated = byte(text, at + 8).is_some_and(|c| b"-_T".contains(&c));
            return (is_day && separated).then_some((TokenKind::Date(day * 1_000_000 + time), 15));
        }
        _ => return time_alone(text, at, before),
    };
    let mut time = 0;
    let separated = byte(text, end).is_some_and(|c| b"-_T +.".contains(&c));
    if let Some((value, length)) = clock(text, end + 1).filter(|_| separated) {
        time = value;
        end += 1 + length;
    } else if let Some(value) = compact_time(text, end + 1).filter(|_| separated) {
        time = value;
        end += 7;
    }
    Some((TokenKind::Date(day * 1_000_000 + time), end - at))
}

fn compact_time(text: &str, at: usize) -> Option<u64> {
    let time = exactly(text, at, 6)?;
    is_time(time / 10_000, time / 100 % 100, time % 100).then_some(time)
}

fn is_time(hour: u64, minute: u64, second: u64) -> bool {
    hour < 24 && minute < 60 && second < 60
}

/// Returns `09-05`, `09:05:00` and the length.
fn clock(text: &str, at: usize) -> Option<(u64, usize)> {
    let hour = exactly(text, at, 2)?;
    let separator = byte(text, at + 2).filter(|c| b"-:_.h".contains(c))?;
    let minute = exactly(text, at + 3, 2)?;
    let second = (byte(text, at + 5) == Some(separator))
        .then(|| exactly(text, at + 6, 2))
        .flatten();
    let value = hour * 10_000 + minute * 100 + second.unwrap_or(0);
    let length = if second.is_some() { 8 } else { 5 };
    is_time(hour, minute, second.unwrap_or(0)).then_some((value, length))
}

/// Returns a clock without a date: the whole component, with colons, or behind `Jun01_`.
fn time_alone(text: &str, at: usize, before: Option<&NameToken>) -> Option<(TokenKind, usize)> {
    let (value, length) = clock(text, at).filter(|(_, length)| *length == 8)?;
    let whole = at == 0 && length == text.len();
    let colons = byte(text, at + 2) == Some(b':');
    let months = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let month = matches!(
        before,
        Some(NameToken {
            kind: TokenKind::Whole(1..=31),
            ..
        })
    ) && months.iter().any(|m| text.to_lowercase().contains(m));
    (whole || colons || month).then_some((TokenKind::Date(value), length))
}

/// Returns the length of a UUID or of a random identifier that begins here.
fn hash(text: &str, at: usize) -> Option<usize> {
    if text[..at]
        .chars()
        .next_back()
        .is_some_and(char::is_alphanumeric)
    {
        return None;
    }
    let bytes = text.as_bytes().get(at..)?;
    let uuid = bytes.get(..36).filter(|uuid| {
        uuid.iter().enumerate().all(|(place, c)| {
            if [8, 13, 18, 23].contains(&place) {
                *c == b'-'
            } else {
                c.is_ascii_hexdigit()
            }
        })
    });
    if uuid.is_some() {
        return Some(36);
    }
    let length = bytes
        .iter()
        .take_while(|c| c.is_ascii_alphanumeric())
        .count();
    if !(6..=64).contains(&length) {
        return None;
    }
    let run = text.get(at..at + length)?;
    let letters: Vec<&str> = run
        .split(|c: char| c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .collect();
    let is_digit: Vec<bool> = run.bytes().map(|c| c.is_ascii_digit()).collect();
    let changes = is_digit
        .windows(2)
        .filter(|pair| pair[0] != pair[1])
        .count();
    let hexadecimal = run.bytes().all(|c| c.is_ascii_hexdigit());
    let needed = if hexadecimal { 2 } else { 4 };
    let counters = letters
        .iter()
        .all(|word| super::word::class(&word.to_ascii_lowercase()).is_counter());
    let short = letters.iter().all(|word| word.len() <= 3) || (hexadecimal && length >= 20);
    (changes >= needed && short && !counters && exponent_form(run).is_none()).then_some(length)
}

/// Returns `12e5` is a number.
fn exponent_form(run: &str) -> Option<usize> {
    let whole = digits(run, 0);
    let (_, length) = exponent(run, whole)?;
    (whole > 0 && whole + length == run.len()).then_some(length)
}
