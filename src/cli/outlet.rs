//! Lines on stdout from a thread of their own: a reader that does not read holds up nothing else.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use tokio::sync::oneshot;

use crate::report::visible;

use super::output::check_stdout;

/// Text to print, and who waits until that is done.
type Order = (String, oneshot::Sender<io::Result<()>>);

/// The thread that prints. It is not waited for: where a pipe is full, the process can still end.
#[derive(Debug)]
pub(super) struct Outlet(Sender<Order>);

impl Outlet {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread to give, or nobody could read the lines.
    pub(super) fn start() -> io::Result<Self> {
        check_stdout()?;
        let (orders, taken) = channel();
        thread::Builder::new()
            .name("lines".into())
            .spawn(move || print_each(&taken))?;
        Ok(Self(orders))
    }

    /// Prints lines, in which what is hidden is written out, and waits until they are taken.
    ///
    /// # Errors
    /// Nobody can read them.
    pub(super) async fn print(&self, lines: &[String]) -> io::Result<()> {
        let lines = lines.iter().map(|line| visible::line(line) + "\n");
        let (done, printed) = oneshot::channel();
        let gone = |()| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.send((lines.collect(), done)).map_err(|_| gone(()))?;
        printed.await.map_err(|_| gone(()))?
    }
}

fn print_each(orders: &Receiver<Order>) {
    for (text, done) in orders {
        let mut stdout = io::stdout().lock();
        let printed = stdout.write_all(text.as_bytes());
        // Whoever no longer waits need not know.
        let _ = done.send(printed.and_then(|()| stdout.flush()));
    }
}
