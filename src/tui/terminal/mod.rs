//! The terminal: entered once, and restored exactly once, however the screen ends.

pub mod background;
pub(super) mod signals;
mod stderr;

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Stdout, stdout};
use std::mem::ManuallyDrop;
use std::panic;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use crossterm::cursor::Show;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::style::{Print, force_color_output};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Position, Rect};

use crate::tui::render::render;
use crate::tui::state::App;
use crate::tui::terminal::stderr::Diversion;
use crate::tui::theme::color::Quantizer;

/// Buttons and wheel, with coordinates of any size. crossterm's own command also asks for every
/// movement, which nobody here needs and a slow line feels.
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1006h";
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1000l";

/// State that must be given back, while the terminal is in raw mode and on the alternate screen.
static TAKEN: Mutex<Option<Taken>> = Mutex::new(None);
static HOOK: Once = Once::new();

#[derive(Debug)]
struct Taken {
    mouse: bool,
    _stderr: Option<Diversion>,
}

thread_local! {
    /// True if this thread draws. A worker's panic must not wreck the live screen.
    static DRAWS: Cell<bool> = const { Cell::new(false) };
}

/// Requests to the terminal beside its cells.
#[derive(Debug, Default)]
pub struct Wishes {
    /// True if buttons and wheel of the mouse are reported. The terminal's own selection then needs shift.
    pub mouse: bool,
    /// File for stderr while the screen is up, if stderr is the terminal; `None` drops it.
    pub log: Option<File>,
}

/// The terminal while it belongs to the screen. Dropping it restores the terminal.
#[derive(Debug)]
pub struct Screen {
    /// Never dropped: ratatui would show the cursor of a terminal that is no longer the screen's, and
    /// panic where it is gone.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>,
    quantizer: Quantizer,
    wishes: Wishes,
}

impl Screen {
    /// Takes the terminal over. This thread is the one that draws from now on.
    ///
    /// # Errors
    /// The system's, when standard output is no terminal.
    pub fn enter(wishes: Wishes) -> io::Result<Self> {
        DRAWS.set(true);
        HOOK.call_once(install_hook);
        // The mono theme has no colours to leave out; crossterm's own way with NO_COLOR would also
        // drop bold and reverse.
        force_color_output(true);
        take(&wishes)?;
        match Terminal::new(CrosstermBackend::new(stdout())) {
            Ok(terminal) => Ok(Self {
                terminal: ManuallyDrop::new(terminal),
                quantizer: Quantizer::default(),
                wishes,
            }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    /// Draws the app as it is. The terminal shows the frame at once when whole, where it can.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn draw(&mut self, app: &App) -> io::Result<()> {
        // A terminal that was hung up says that it has no cells.
        if self.area()?.is_empty() {
            return Ok(());
        }
        execute!(stdout(), BeginSynchronizedUpdate)?;
        let depth = app.appearance().themes.depth();
        let (terminal, quantizer) = (&mut self.terminal, &mut self.quantizer);
        let drawn = terminal.draw(|frame| {
            render(app, frame);
            quantizer.quantize(depth, frame.buffer_mut());
        });
        let drawn = drawn.map(drop);
        execute!(stdout(), EndSynchronizedUpdate)?;
        drawn
    }

    /// Returns the cells of the terminal.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn area(&self) -> io::Result<Rect> {
        Ok(Rect::from((Position::ORIGIN, self.terminal.size()?)))
    }

    /// Restores the terminal until it is taken again.
    pub fn leave(&mut self) {
        restore();
    }

    /// Takes the terminal again, whatever became of it meanwhile; the next frame is drawn whole.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn take_again(&mut self) -> io::Result<()> {
        restore();
        take(&self.wishes)?;
        let area = self.area()?;
        // Not `clear`: it asks the terminal where the cursor is, and the answer is read as keys.
        self.terminal.resize(area)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Takes raw mode, the alternate screen and the diversion of stderr: all of them or none.
fn take(wishes: &Wishes) -> io::Result<()> {
    enable_raw_mode()?;
    *taken() = Some(Taken {
        mouse: wishes.mouse,
        _stderr: Diversion::start(wishes.log.as_ref()),
    });
    let mouse = if wishes.mouse { MOUSE_ON } else { "" };
    // What is pasted comes as one event, not as keys that each do something.
    let entered = execute!(
        stdout(),
        EnterAlternateScreen,
        EnableBracketedPaste,
        Print(mouse)
    );
    if entered.is_err() {
        restore();
    }
    entered
}

/// Gives the terminal back, the first time that it is called after it was taken.
fn restore() {
    let Some(held) = taken().take() else { return };
    // A terminal that is gone cannot be restored, and nobody is left to report it to.
    if held.mouse {
        let _ = queue!(stdout(), Print(MOUSE_OFF));
    }
    let _ = execute!(
        stdout(),
        EndSynchronizedUpdate,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        Show
    );
    let _ = disable_raw_mode();
}

fn taken() -> MutexGuard<'static, Option<Taken>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reports a panic of the drawing thread on the restored terminal; that of any other thread goes
/// to the log while the screen is up.
fn install_hook() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if DRAWS.get() {
            restore();
        }
        if taken().is_some() {
            tracing::error!("{info}");
        } else {
            report(info);
        }
    }));
}
