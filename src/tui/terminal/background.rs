//! Asks the terminal before the screen starts if its ground is light, and never waits for long.

use std::io;
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use xterm_color::Color;

use crate::plot::Rgb;

/// The terminal's answer, and what the user typed meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackgroundAnswer {
    /// The colour behind its text; `None` if it did not say.
    pub ground: Option<Rgb>,
    /// Keys that came before the answer or in place of it, but for those that are more than one byte.
    pub typed: Vec<KeyEvent>,
}

/// The questions for the colour behind text (OSC 11) and for the kind of terminal (DA1). Nearly every terminal
/// answers the second one, in order, so that none which does not know the first is waited for.
#[cfg(unix)]
const QUESTION: &[u8] = b"\x1b]11;?\x1b\\\x1b[c";
const GROUND: &[u8] = b"\x1b]11;";
const KIND: &[u8] = b"\x1b[?";
const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;

/// Asks the terminal behind standard input and output, which must be one, and waits for the answer at
/// most for this time.
///
/// # Errors
/// The system's, where it cannot be asked.
#[cfg(unix)]
pub fn ask(patience: Duration) -> io::Result<BackgroundAnswer> {
    use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
    enable_raw_mode()?;
    let said = listen(patience);
    disable_raw_mode()?;
    Ok(Said::of(&said?).into())
}

/// Asks nothing, because this system has no way to wait for bytes.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn ask(_patience: Duration) -> io::Result<BackgroundAnswer> {
    Ok(BackgroundAnswer::default())
}

#[cfg(unix)]
fn listen(patience: Duration) -> io::Result<Vec<u8>> {
    use io::Write;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::time::Instant;
    let stdin = rustix::stdio::stdin();
    io::stdout().write_all(QUESTION)?;
    io::stdout().flush()?;
    let end = Instant::now() + patience;
    let mut said = Vec::new();
    while !Said::of(&said).is_whole {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut ready, Some(&left)) {
            Ok(0) => break,
            Err(rustix::io::Errno::INTR) => continue,
            found => found?,
        };
        let mut bytes = [0; 256];
        let count = rustix::io::read(stdin, &mut bytes)?;
        said.extend_from_slice(&bytes[..count]);
        if count == 0 {
            break;
        }
    }
    Ok(said)
}

/// Bytes from the terminal, taken apart.
#[derive(Debug, Default)]
struct Said {
    ground: Option<Rgb>,
    /// Bytes that are no answer.
    typed: Vec<u8>,
    /// True once the last answer is there.
    is_whole: bool,
}

impl Said {
    fn of(bytes: &[u8]) -> Self {
        let mut said = Self::default();
        let mut rest = bytes;
        while let Some((first, after)) = rest.split_first() {
            let (taken, known) = answer(rest);
            match known {
                Some(Known::Ground(colour)) => said.ground = colour,
                Some(Known::Kind) => said.is_whole = true,
                None => said.typed.push(*first),
            }
            rest = if known.is_some() {
                &rest[taken..]
            } else {
                after
            };
        }
        said
    }
}

enum Known {
    Ground(Option<Rgb>),
    Kind,
}

/// Returns the answer with which these bytes begin, and its length.
fn answer(bytes: &[u8]) -> (usize, Option<Known>) {
    if let Some(body) = bytes.strip_prefix(GROUND)
        && let Some(length) = body.iter().position(|byte| [BELL, ESCAPE].contains(byte))
    {
        // ST has a byte more than BEL.
        let end = 1 + usize::from(body[length] == ESCAPE);
        let taken = (GROUND.len() + length + end).min(bytes.len());
        let colour = Color::parse(&body[..length]).ok();
        let byte = |channel: u16| (channel >> 8) as u8;
        let colour = colour.map(|c| Rgb(byte(c.red), byte(c.green), byte(c.blue)));
        return (taken, Some(Known::Ground(colour)));
    }
    if let Some(body) = bytes.strip_prefix(KIND)
        && let Some(length) = body.iter().position(|byte| *byte == b'c')
        && body[..length]
            .iter()
            .all(|byte| b"0123456789;".contains(byte))
    {
        return (KIND.len() + length + 1, Some(Known::Kind));
    }
    (0, None)
}

impl From<Said> for BackgroundAnswer {
    fn from(said: Said) -> Self {
        Self {
            ground: said.ground,
            typed: keys(&said.typed),
        }
    }
}

/// Returns the keys of these bytes; of escape sequences and characters of several bytes there are none.
fn keys(bytes: &[u8]) -> Vec<KeyEvent> {
    let mut keys = Vec::new();
    let mut bytes = bytes.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let (code, modifiers) = match byte {
            b'\t' => (KeyCode::Tab, KeyModifiers::NONE),
            b'\r' => (KeyCode::Enter, KeyModifiers::NONE),
            0x01..=0x1a => (
                KeyCode::Char(char::from(byte - 1 + b'a')),
                KeyModifiers::CONTROL,
            ),
            b' '..=b'~' => (KeyCode::Char(char::from(byte)), KeyModifiers::NONE),
            ESCAPE if bytes.next_if(|next| b"[O".contains(next)).is_some() => {
                // To its final byte.
                while bytes
                    .next_if(|next| !(b'@'..=b'~').contains(next))
                    .is_some()
                {}
                bytes.next();
                continue;
            }
            ESCAPE => (KeyCode::Esc, KeyModifiers::NONE),
            _ => continue,
        };
        keys.push(KeyEvent::new(code, modifiers));
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_taken_out_of_what_was_typed() {
        let said = Said::of(b"q\x1b]11;rgb:fbfb/fbfb/f8f8\x1b\\3\x1b[?65;1;9c\x1b[A ");
        assert_eq!(said.ground, Some(Rgb(0xfb, 0xfb, 0xf8)));
        assert!(said.is_whole);
        let codes: Vec<KeyCode> = keys(&said.typed).iter().map(|key| key.code).collect();
        assert_eq!(codes, ['q', '3', ' '].map(KeyCode::Char));
    }

    #[test]
    fn short_colours_bells_and_half_answers() {
        let said = Said::of(b"\x1b]11;rgb:00/80/ff\x07");
        assert_eq!(
            (said.ground, said.is_whole),
            (Some(Rgb(0, 0x80, 0xff)), false)
        );
        let half = Said::of(b"\x1b]11;rgb:00/8");
        assert!(half.ground.is_none() && !half.is_whole);
        let other = Said::of(b"\x1b[?6c");
        assert!(other.ground.is_none() && other.is_whole && other.typed.is_empty());
    }

    #[test]
    fn keys_of_one_byte_are_kept() {
        let keys = keys(b"\x03\t\x1b\x1bOP\xc3\xa9x");
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(keys[0], control_c);
        let codes: Vec<KeyCode> = keys[1..].iter().map(|key| key.code).collect();
        assert_eq!(codes, [KeyCode::Tab, KeyCode::Esc, KeyCode::Char('x')]);
    }
}
