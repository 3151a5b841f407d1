//! Training's own logs: event files, tables, a trainer's state.

use isoloss::run::log::{self};
use isoloss::run::{Checkpoint, LogClock};

use super::{assert_sentence, chosen, halves, write};

/// The files' names, as the first byte chooses them.
const NAMES: [&str; 4] = [
    "events.out.tfevents.1.host",
    "metrics.csv",
    "trainer_state.json",
    "events.out.tfevents.1.host",
];
/// The one whose records are made of parts of the input, with right checksums.
const FRAMED: usize = 3;
/// A checksum in an event file is rotated and shifted by this.
const MASK: u32 = 0xa282_ead8;

/// The first byte chooses the file; its log is laid beside a path of checkpoints.
pub fn logs(input: &[u8]) {
    let Some((form, input)) = chosen(input, NAMES.len()) else {
        return;
    };
    let path = if form == FRAMED {
        write(NAMES[form], &framed(input))
    } else {
        write(NAMES[form], input)
    };
    let run = path.parent().unwrap();
    let read = log::read(run, std::slice::from_ref(&path));
    read.warnings.iter().for_each(assert_sentence);
    let Some(log) = read.log else { return };
    for name in ["step", "epoch", "model"] {
        let member = |step| Checkpoint::new(step, run.join(format!("{name}_{step}.pt")));
        let members = [0, 1, 10, 200].map(member);
        if let Some(clock) = LogClock::of(&log, &members, run) {
            assert_eq!(clock.logged(&log, &members).len(), members.len());
        }
    }
}

/// Records, each as long as two bytes before it say.
fn framed(mut input: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    while input.len() > 2 {
        let (data, rest) = halves(input);
        let length = (data.len() as u64).to_le_bytes();
        file.extend(length);
        file.extend(masked(&length));
        file.extend(data);
        file.extend(masked(data));
        input = rest;
    }
    file
}

fn masked(bytes: &[u8]) -> [u8; 4] {
    let sum = crc32c::crc32c(bytes);
    sum.rotate_right(15).wrapping_add(MASK).to_le_bytes()
}
