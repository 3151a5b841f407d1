//! Signals of the system: to end, to stop for a while, to go on; and that the terminal is gone.

pub(in crate::tui) use system::{Signals, is_gone, stop_group};

/// A request of the system to the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Told {
    /// To end, by the signal of this number; a hung-up terminal counts as SIGHUP.
    End(i32),
    /// To stop for a while, by somebody who could make it go on.
    Stop,
    /// That it goes on after it was stopped.
    GoesOn,
}

#[cfg(unix)]
mod system {
    use std::io::{self, IsTerminal};
    use std::os::fd::AsFd;
    use std::thread;
    use std::time::Duration;

    use crossterm::terminal::disable_raw_mode;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{Signal as Number, getpgrp, getppid, getsid, kill_current_process_group};
    use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP};
    use signal_hook::iterator::Signals as Endings;
    use signal_hook::low_level::{exit, raise};
    use tokio::signal::unix::{Signal, SignalKind, signal};
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::Told;

    /// Time that the process has to end by itself once it was asked to. A write to a stalled terminal and a
    /// library's cleaning up can take for ever.
    const GRACE: Duration = Duration::from_millis(1500);
    /// Time between two looks at a terminal whose system does not say when it is hung up.
    const LOOK: Duration = Duration::from_millis(500);

    /// The signals of a process with a screen. It ends by the first that asks it to, whatever it is at.
    #[derive(Debug)]
    pub(in crate::tui) struct Signals {
        endings: UnboundedReceiver<i32>,
        stop: Signal,
        go_on: Signal,
    }

    impl Signals {
        /// Listens from now on. Needs a tokio runtime.
        pub(in crate::tui) fn listen() -> io::Result<Self> {
            let (send, endings) = unbounded_channel();
            let mut asked = Endings::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
            let hang_up = send.clone();
            spawn("signals", move || {
                if let Some(signal) = asked.forever().next() {
                    end(&send, signal);
                }
            })?;
            spawn("hang-up", move || {
                while !hung_up(LOOK) {}
                end(&hang_up, SIGHUP);
            })?;
            Ok(Self {
                endings,
                stop: signal(SignalKind::from_raw(SIGTSTP))?,
                go_on: signal(SignalKind::from_raw(SIGCONT))?,
            })
        }

        /// Waits for the next one.
        pub(in crate::tui) async fn next(&mut self) -> Told {
            loop {
                tokio::select! {
                    Some(signal) = self.endings.recv() => return Told::End(signal),
                    Some(()) = self.stop.recv() => if !is_orphan() {
                        return Told::Stop;
                    },
                    Some(()) = self.go_on.recv() => return Told::GoesOn,
                    else => std::future::pending().await,
                }
            }
        }

        /// Stops the process, and comes back when it was made to go on.
        pub(in crate::tui) async fn stop(&mut self) -> io::Result<()> {
            raise(SIGSTOP)?;
            self.go_on.recv().await;
            Ok(())
        }
    }

    fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = thread::Builder::new().name(name.into());
        thread.spawn(work).map(drop)
    }

    /// Asks the screen to end, and sees to it.
    fn end(ask: &UnboundedSender<i32>, signal: i32) {
        let _ = ask.send(signal);
        thread::sleep(GRACE);
        tracing::error!("signal {signal}: did not end in time");
        // A write could wait as long as the one that holds the screen up.
        let _ = disable_raw_mode();
        exit(128 + signal);
    }

    /// Stops the process group, as ctrl-z does in a terminal that is not in raw mode.
    pub(in crate::tui) fn stop_group() {
        let _ = kill_current_process_group(Number::TSTP);
    }

    /// Returns true if no shell is there that could make a stopped process go on: the system does not stop such
    /// a group at the terminal either. Its leader leads the session, or its parent is outside of it.
    fn is_orphan() -> bool {
        let session = getsid(None).ok();
        let parents = getppid().and_then(|parent| getsid(Some(parent)).ok());
        session == Some(getpgrp()) || parents != session
    }

    /// Returns true if the terminal is hung up.
    pub(in crate::tui) fn is_gone() -> bool {
        hung_up(Duration::ZERO)
    }

    /// Waits this long for a hang-up of the terminal that is read or written.
    fn hung_up(within: Duration) -> bool {
        let (stdin, stdout) = (io::stdin(), io::stdout());
        let mut terminals = vec![PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::empty())];
        if stdin.is_terminal() {
            terminals.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::empty()));
        }
        let limit = Timespec::try_from(within).ok();
        let over = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        if poll(&mut terminals, limit.as_ref()).is_err() {
            thread::sleep(within);
            return false;
        }
        terminals.iter().any(|fd| fd.revents().intersects(over))
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;

    use super::Told;

    /// The one signal that every system has.
    #[derive(Debug)]
    pub(in crate::tui) struct Signals;

    impl Signals {
        pub(in crate::tui) fn listen() -> io::Result<Self> {
            Ok(Self)
        }

        pub(in crate::tui) async fn next(&mut self) -> Told {
            const SIGINT: i32 = 2;
            let _ = tokio::signal::ctrl_c().await;
            Told::End(SIGINT)
        }

        pub(in crate::tui) async fn stop(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    pub(in crate::tui) fn stop_group() {}

    pub(in crate::tui) fn is_gone() -> bool {
        false
    }
}
