//! The head of NumPy's `.npy` files, read in one pass: general readers of Python literals take their time.

use std::io::{self, Read};

use super::array::{Head, Kind};
use crate::brief::brief;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Bytes of a head at most; NumPy itself takes ten thousand.
const LONGEST: usize = 1 << 16;

/// Reads the head, after which the data follow; what is wrong with it is a sentence's end.
pub(super) fn head(from: &mut impl Read) -> io::Result<Result<Head, String>> {
    let mut start = [0; 8];
    from.read_exact(&mut start)?;
    if !start.starts_with(MAGIC) {
        return Ok(Err("something else than a .npy file".into()));
    }
    let length = if start[6] == 1 {
        let mut length = [0; 2];
        from.read_exact(&mut length)?;
        usize::from(u16::from_le_bytes(length))
    } else {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        u32::from_le_bytes(length) as usize
    };
    if length > LONGEST {
        return Ok(Err(format!("a head of {length} bytes")));
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    Ok(understand(&text).ok_or_else(|| format!("the head {}", brief(text.trim(), 80))))
}

/// Reads a dict of three keys; `None` if it is no such dict, or of elements that are no numbers.
fn understand(text: &str) -> Option<Head> {
    let value = |key: &str| {
        let after = text.split_once(&format!("'{key}'"))?.1;
        Some(after.trim_start().strip_prefix(':')?.trim_start())
    };
    let descr = value("descr")?.strip_prefix('\'')?.split_once('\'')?.0;
    let (order, kind) = descr.split_at_checked(1)?;
    let shape = value("shape")?.strip_prefix('(')?.split_once(')')?.0;
    let extents = shape
        .split(',')
        .map(|part| part.trim().trim_end_matches('L'));
    let extents = extents.filter(|part| !part.is_empty());
    Some(Head {
        shape: extents
            .map(|part| part.parse().ok())
            .collect::<Option<_>>()?,
        kind: kind_of(kind)?,
        big_endian: order == ">",
        fortran: value("fortran_order")?.starts_with("True"),
    })
}

fn kind_of(code: &str) -> Option<Kind> {
    Some(match code {
        "b1" => Kind::Bool,
        "u1" => Kind::U8,
        "i1" => Kind::I8,
        "u2" => Kind::U16,
        "i2" => Kind::I16,
        "u4" => Kind::U32,
        "i4" => Kind::I32,
        "u8" => Kind::U64,
        "i8" => Kind::I64,
        "f2" => Kind::F16,
        "f4" => Kind::F32,
        "f8" => Kind::F64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn a_head_is_understood_and_what_is_none_is_told_at_once() {
        let of = |text: &str| understand(text);
        let head = of("{'descr': '>f4', 'fortran_order': True, 'shape': (10, 3), }").unwrap();
        assert_eq!((head.shape, head.kind), (vec![10, 3], Kind::F32));
        assert!(head.big_endian && head.fortran);
        let one = of("{'shape': (7L,), 'fortran_order': False, 'descr': '|u1'}").unwrap();
        assert_eq!(one.shape, [7]);
        assert_eq!(
            of("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}"),
            None
        );
        assert_eq!(
            of("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"),
            None
        );
        assert_eq!(of(&"{".repeat(60_000)), None);
    }
}
