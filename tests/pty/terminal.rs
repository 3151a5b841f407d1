//! A pseudo-terminal with a program in it.

use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Longest time that anything may take on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Time within which a process must be gone once its terminal is.
pub(crate) const SOON: Duration = Duration::from_secs(2);

/// A program in a terminal of its own.
pub(crate) struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Option<Box<dyn MasterPty + Send>>,
    keys: Option<Box<dyn Write + Send>>,
    screen: Arc<Mutex<vt100::Parser>>,
    /// Bytes that were written to it so far.
    written: Arc<AtomicUsize>,
    /// The bytes themselves.
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    stalled: Arc<AtomicBool>,
}

/// The command line of the program, with its log in a folder that goes away.
pub(crate) fn isoloss(arguments: &[&str]) -> CommandBuilder {
    let mut command = command(env!("CARGO_BIN_EXE_isoloss"));
    command.args(arguments);
    command
}

pub(crate) fn command(program: impl AsRef<Path>) -> CommandBuilder {
    let mut command = CommandBuilder::new(program.as_ref());
    command.env("TERM", "xterm-256color");
    // Behind the other tests its workers would wait for ever.
    command.env("ISOLOSS_BUDGET", "all");
    command.env("XDG_STATE_HOME", std::env::temp_dir().join("isoloss-tests"));
    command.env(
        "XDG_CONFIG_HOME",
        std::env::temp_dir().join("isoloss-tests"),
    );
    // Nothing of the tests is kept in the folder of whoever runs them.
    command.env("ISOLOSS_KEEP", "none");
    command.env("ISOLOSS_NO_CACHE", "true");
    command
}

fn size(rows: u16, cols: u16) -> PtySize {
    PtySize {
        rows,
        cols,
        pixel_width: 0,
        pixel_height: 0,
    }
}

impl Terminal {
    /// isoloss in a terminal of this size.
    pub(crate) fn start(arguments: &[&str], rows: u16, cols: u16) -> Self {
        Self::spawn(isoloss(arguments), rows, cols)
    }

    pub(crate) fn spawn(command: CommandBuilder, rows: u16, cols: u16) -> Self {
        let pty = native_pty_system().openpty(size(rows, cols)).unwrap();
        let child = pty.slave.spawn_command(command).unwrap();
        let mut output = pty.master.try_clone_reader().unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, cols, 0)));
        let written = Arc::new(AtomicUsize::new(0));
        let stalled = Arc::new(AtomicBool::new(false));
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&bytes);
        let shared = (
            Arc::clone(&screen),
            Arc::clone(&written),
            Arc::clone(&stalled),
        );
        let reader = thread::spawn(move || {
            let (screen, written, stalled) = shared;
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                take(&mut screen.lock().unwrap(), &bytes[..count]);
                all.lock().unwrap().extend_from_slice(&bytes[..count]);
                written.fetch_add(count, Ordering::SeqCst);
                if stalled.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        let keys = pty.master.take_writer().unwrap();
        Self {
            child,
            master: Some(pty.master),
            keys: Some(keys),
            screen,
            written,
            bytes,
            reader: Some(reader),
            stalled,
        }
    }

    pub(crate) fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Returns true if the screen is up: the alternate one, with pasted text told apart from keys.
    pub(crate) fn is_up(&self) -> bool {
        let parser = self.screen.lock().unwrap();
        parser.screen().alternate_screen() && parser.screen().bracketed_paste()
    }

    /// Returns true if the terminal is as a shell wants it.
    pub(crate) fn is_restored(&self) -> bool {
        let parser = self.screen.lock().unwrap();
        let screen = parser.screen();
        !screen.alternate_screen()
            && !screen.hide_cursor()
            && !screen.bracketed_paste()
            && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None
            && self.reads_lines()
    }

    pub(crate) fn reports_the_mouse(&self) -> bool {
        let parser = self.screen.lock().unwrap();
        parser.screen().mouse_protocol_mode() != vt100::MouseProtocolMode::None
    }

    /// Returns true if the terminal gives whole lines and turns ctrl-c into a signal: it is not in raw mode.
    fn reads_lines(&self) -> bool {
        let modes = self.master.as_ref().unwrap().get_termios().unwrap();
        let local = format!("{:?}", modes.local_flags);
        local.contains("ICANON") && local.contains("ISIG") && local.contains("ECHO")
    }

    /// Waits until the screen is as wanted, and returns it.
    pub(crate) fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if wanted(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "no {what} on\n{text}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Bytes that are written within this time.
    pub(crate) fn written_in(&self, time: Duration) -> usize {
        let before = self.written();
        thread::sleep(time);
        self.written() - before
    }

    /// Bytes that were written so far.
    pub(crate) fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }

    /// Returns the number of times that this was written so far.
    pub(crate) fn sent(&self, wanted: &str) -> usize {
        let bytes = self.bytes.lock().unwrap();
        String::from_utf8_lossy(&bytes).matches(wanted).count()
    }

    /// Returns true if the character in a cell is heavy.
    pub(crate) fn is_bold(&self, row: u16, column: u16) -> bool {
        let parser = self.screen.lock().unwrap();
        parser
            .screen()
            .cell(row, column)
            .is_some_and(vt100::Cell::bold)
    }

    pub(crate) fn press(&mut self, keys: &str) {
        let terminal = self.keys.as_mut().unwrap();
        terminal.write_all(keys.as_bytes()).unwrap();
        terminal.flush().unwrap();
    }

    pub(crate) fn resize(&self, rows: u16, cols: u16) {
        let mut parser = self.screen.lock().unwrap();
        parser.screen_mut().set_size(rows, cols);
        self.tell_size(rows, cols);
    }

    /// Tells the program another size than the terminal has.
    pub(crate) fn tell_size(&self, rows: u16, cols: u16) {
        let master = self.master.as_ref().unwrap();
        master.resize(size(rows, cols)).unwrap();
    }

    /// Closes the terminal, as the end of an SSH session does.
    pub(crate) fn hang_up(&mut self) {
        self.stall();
        (self.keys, self.master) = (None, None);
    }

    /// Reads nothing more of what is written to the terminal, and keeps it open. The reader lets go after
    /// the next bytes, those of the frame that `m` asks for.
    pub(crate) fn stall(&mut self) {
        self.stalled.store(true, Ordering::SeqCst);
        self.press("m");
        self.reader.take().unwrap().join().unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    pub(crate) fn send(&self, signal: &str) {
        send(signal, self.pid());
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The exit code of the program, which ends within this time.
    pub(crate) fn exit_code_within(&mut self, time: Duration) -> u32 {
        let deadline = Instant::now() + time;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(Instant::now() < deadline, "still running\n{}", self.text());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn exit_code(&mut self) -> u32 {
        let code = self.exit_code_within(PATIENCE);
        // What it wrote last may still be on its way.
        if self
            .reader
            .take()
            .is_some_and(|reader| reader.join().is_err())
        {
            panic!("the terminal cannot be read");
        }
        code
    }
}

/// Has the emulator take bytes. It panics at some frames of a larger terminal than it has just become (vt100 0.16),
/// and begins anew then; the next frame is of its own size.
fn take(parser: &mut vt100::Parser, bytes: &[u8]) {
    let taken = catch_unwind(AssertUnwindSafe(|| parser.process(bytes)));
    if taken.is_err() {
        let (rows, cols) = parser.screen().size();
        *parser = vt100::Parser::new(rows, cols, 0);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal by its name.
pub(crate) fn send(signal: &str, pid: u32) {
    let sent = Command::new("kill")
        .args(["-s", signal, &pid.to_string()])
        .status();
    assert!(sent.unwrap().success(), "{signal} to {pid}");
}

/// The state of a process as ps has it (`T`: stopped); empty when there is none.
pub(crate) fn state(pid: u32) -> String {
    let output = Command::new("ps")
        .args(["-o", "stat=", "-p", &pid.to_string()])
        .output();
    String::from_utf8(output.unwrap().stdout)
        .unwrap()
        .trim()
        .to_owned()
}

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, within: Duration, so: impl Fn() -> bool) {
    let deadline = Instant::now() + within;
    while !so() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
