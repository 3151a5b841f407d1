//! Texts cut to what a sentence or a column has room for.

use std::borrow::Cow;

/// Returns the first `most` characters of a text, with `…` behind them if there are more.
pub(crate) fn brief(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_is_marked() {
        assert_eq!(brief("äöü", 3), "äöü");
        assert_eq!(brief("äöüß", 3), "äöü…");
        assert_eq!(brief("", 0), "");
        assert_eq!(brief("a", 0), "…");
    }
}
