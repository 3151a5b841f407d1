//! The natural order of names. Tensors are told apart by it, so that no two names may be equal: natord, which skips
//! white space, would not do.

use std::cmp::Ordering;

/// Compares names as people do: runs of digits by their value, so that `layer2` is before `layer10`. Names that differ in
/// leading zeros alone are in the order of their bytes.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    by_values(a, b).then_with(|| a.cmp(b))
}

fn by_values(a: &str, b: &str) -> Ordering {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_names_are_equal() {
        let names = ["a001", "a01", "a1"];
        assert!(names.is_sorted_by(|a, b| natural(a, b).is_lt()));
        assert_eq!(natural("a1", "a1"), Ordering::Equal);
    }

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
}
