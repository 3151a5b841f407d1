//! The escapes in texts of protocol 0.

/// Resolves `\uXXXX` and `\UXXXXXXXX`, as Python's raw-unicode-escape has them; any other backslash stands for
/// itself, and any other byte for the character of its number.
pub(super) fn unicode(line: &[u8]) -> String {
    let mut resolved = String::with_capacity(line.len());
    let text: String = line.iter().copied().map(char::from).collect();
    let mut rest = text.as_str();
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        resolved.push_str(before);
        let digits = match escape.as_bytes().get(1) {
            Some(b'u') => 4,
            Some(b'U') => 8,
            _ => 0,
        };
        let code = escape
            .get(2..2 + digits)
            .filter(|digits| !digits.is_empty());
        let found = code.and_then(|code| char::from_u32(u32::from_str_radix(code, 16).ok()?));
        if let Some(found) = found {
            resolved.push(found);
            rest = &escape[2 + digits..];
        } else {
            resolved.push('\\');
            rest = &escape[1..];
        }
    }
    resolved.push_str(rest);
    resolved
}

/// Resolves the escapes of Python 2's strings: `\n`, `\'`, `\x00`, `\012` …
pub(super) fn bytes(text: &[u8]) -> Vec<u8> {
    let mut resolved = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        let (byte, used) = match (first, tail) {
            (b'\\', [b'x', digits @ ..]) => match number(digits, 2, 2, 16) {
                Some((byte, used)) => (byte, used + 1),
                None => (first, 0),
            },
            (b'\\', [b'0'..=b'7', ..]) => number(tail, 1, 3, 8).unwrap_or((first, 0)),
            (b'\\', [mark, ..]) => match mark {
                b'n' => (b'\n', 1),
                b'r' => (b'\r', 1),
                b't' => (b'\t', 1),
                b'a' => (7, 1),
                b'b' => (8, 1),
                b'f' => (12, 1),
                b'v' => (11, 1),
                b'\\' | b'\'' | b'"' => (*mark, 1),
                _ => (first, 0),
            },
            _ => (first, 0),
        };
        resolved.push(byte);
        rest = rest.get(used..).unwrap_or_default();
    }
    resolved
}

/// Returns the number of these digits, and how many there are.
fn number(text: &[u8], least: usize, most: usize, radix: u32) -> Option<(u8, usize)> {
    let is_digit = |byte: &&u8| char::from(**byte).is_digit(radix);
    let used = text.iter().take(most).take_while(is_digit).count();
    let digits = text.get(..used).filter(|_| used >= least)?;
    let number = u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()?;
    Some((number as u8, used))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `pickle.loads` of Python 3.12 has them.
    #[test]
    fn escapes_are_resolved_as_python_does() {
        assert_eq!(unicode(br"a\u0000b"), "a\0b");
        assert_eq!(unicode(br"\u005cn \u00e9 \U0001f600"), "\\n é 😀");
        assert_eq!(unicode(br"a\d\u12"), r"a\d\u12");
        assert_eq!(unicode(b"\x80\\\xe9"), "\u{80}\\\u{e9}");
        assert_eq!(bytes(br"\x00\x80a\n\'\\"), b"\x00\x80a\n'\\");
        assert_eq!(bytes(br"\0\12\q\"), b"\x00\n\\q\\");
    }
}
