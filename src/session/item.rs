//! One CBOR item, weighed while it is read: what it would take in memory is known before it is taken.

use std::io::{self, Read};

use ciborium_ll::{Decoder, Error, Header};

/// Weight of a list or a structure beside its items, in numbers.
const CONTAINER: usize = 6;
/// Weight of a text beside its characters, which lie apart from it.
const TEXT: usize = 1;
/// Levels of items within items.
const DEPTH: usize = 128;

/// Reasons why an item is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It ends too early.
    Cut,
    /// It is no CBOR.
    Damaged,
    /// It has more in it than the limit.
    Heavy,
}

/// Keeps what is read.
struct Copied<'a, R> {
    from: R,
    to: &'a mut Vec<u8>,
}

impl<R: Read> Read for Copied<'_, R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(room)?;
        self.to.extend_from_slice(&room[..count]);
        Ok(count)
    }
}

/// Reads the bytes of one item of at most `most` numbers.
pub(super) fn read(from: impl Read, to: &mut Vec<u8>, most: usize) -> Result<(), Trouble> {
    let mut decoder = Decoder::from(Copied { from, to });
    // Items still to come at each level; none where a break ends them.
    let mut open: Vec<Option<usize>> = vec![Some(1)];
    let mut weight = 0_usize;
    while let Some(left) = open.last_mut() {
        match left {
            Some(0) => {
                open.pop();
                continue;
            }
            Some(left) => *left -= 1,
            None => {}
        }
        let header = decoder.pull().map_err(|error| match error {
            Error::Io(_) => Trouble::Cut,
            Error::Syntax(_) => Trouble::Damaged,
        })?;
        weight += 1;
        match header {
            Header::Array(items) => open.push(items),
            Header::Map(None) => open.push(None),
            Header::Map(Some(pairs)) => {
                open.push(Some(pairs.checked_mul(2).ok_or(Trouble::Heavy)?));
            }
            Header::Tag(_) => open.push(Some(1)),
            Header::Bytes(length) | Header::Text(length) => {
                let length = length.ok_or(Trouble::Damaged)?;
                weight += TEXT + length / size_of::<u64>();
                if weight > most {
                    return Err(Trouble::Heavy);
                }
                pass_over(&mut decoder, length)?;
            }
            Header::Break if open.last() == Some(&None) => {
                open.pop();
            }
            Header::Break => return Err(Trouble::Damaged),
            Header::Positive(_) | Header::Negative(_) | Header::Float(_) | Header::Simple(_) => {}
        }
        if matches!(header, Header::Array(_) | Header::Map(_) | Header::Tag(_)) {
            weight += CONTAINER;
        }
        if weight > most || open.len() > DEPTH {
            return Err(Trouble::Heavy);
        }
    }
    Ok(())
}

fn pass_over<R: Read>(decoder: &mut Decoder<R>, mut length: usize) -> Result<(), Trouble>
where
    Decoder<R>: ciborium_io::Read<Error = io::Error>,
{
    let mut piece = [0; 4096];
    while length > 0 {
        let count = length.min(piece.len());
        ciborium_io::Read::read_exact(decoder, &mut piece[..count]).map_err(|_| Trouble::Cut)?;
        length -= count;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use ciborium::Value;

    fn of(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn one_item_is_taken_and_what_follows_is_left() {
        let pair = (Value::from("x"), Value::Bytes(vec![7; 9000]));
        let list = Value::Array(vec![Value::Map(vec![pair]), Value::Float(1.5)]);
        let first = of(&list);
        let both = [first.clone(), of(&Value::from(3))].concat();
        let mut rest = &both[..];
        let mut taken = Vec::new();
        read(&mut rest, &mut taken, 10_000).unwrap();
        assert_eq!((taken, rest), (first.clone(), &of(&Value::from(3))[..]));
        let cut = read(&first[..first.len() - 1], &mut Vec::new(), 10_000);
        assert_eq!(cut, Err(Trouble::Cut));
    }

    #[test]
    fn what_is_too_heavy_is_refused_while_it_is_read() {
        let lists = of(&Value::Array(vec![Value::Array(vec![0.into()]); 1000]));
        let numbers = of(&Value::Array(vec![0.into(); 1000]));
        assert_eq!(read(&numbers[..], &mut Vec::new(), 2000), Ok(()));
        let texts = of(&Value::Array(vec!["a".into(); 1000]));
        let heavy = read(&texts[..], &mut Vec::new(), 2000);
        assert_eq!(heavy, Err(Trouble::Heavy));
        let mut taken = Vec::new();
        assert_eq!(read(&lists[..], &mut taken, 2000), Err(Trouble::Heavy));
        assert!(taken.len() < 1000);
        let deep = [0x81; 1000];
        assert_eq!(
            read(&deep[..], &mut Vec::new(), 1 << 20),
            Err(Trouble::Heavy)
        );
        // A list without end.
        assert_eq!(read(&[0x9f; 1][..], &mut Vec::new(), 9), Err(Trouble::Cut));
    }
}
