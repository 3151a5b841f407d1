//! The keys, read on a thread of their own: reading a terminal that is hung up never comes back.

use std::io;
use std::thread;

use crossterm::event::{Event, read};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Receives the terminal's events, until it cannot be read. The thread ends with the process.
pub(in crate::tui) fn listen() -> io::Result<UnboundedReceiver<io::Result<Event>>> {
    let (send, events) = unbounded_channel();
    let work = move || {
        loop {
            let event = read();
            let failed = event.is_err();
            if send.send(event).is_err() || failed {
                return;
            }
        }
    };
    thread::Builder::new().name("keys".into()).spawn(work)?;
    Ok(events)
}
