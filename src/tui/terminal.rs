//! The terminal: entered once, and restored exactly once, however the screen ends.

use std::cell::Cell;
use std::io::{self, Stdout, stdout};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::Show;
use crossterm::execute;
use crossterm::style::force_color_output;
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use super::app::App;
use super::color::Quantizer;
use super::render::render;

/// Whether the terminal is in raw mode and on the alternate screen.
static ENTERED: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

thread_local! {
    /// Whether this thread draws. A worker's panic must not wreck the live screen.
    static DRAWS: Cell<bool> = const { Cell::new(false) };
}

/// The terminal while it belongs to the screen. Dropping it restores the terminal.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    quantizer: Quantizer,
}

impl Screen {
    /// Takes the terminal over. This thread is the one that draws from now on.
    ///
    /// # Errors
    /// The system's, when standard output is no terminal.
    pub fn enter() -> io::Result<Self> {
        DRAWS.set(true);
        HOOK.call_once(install_hook);
        // The mono theme has no colours to leave out; crossterm's own way with NO_COLOR would also
        // drop bold and reverse.
        force_color_output(true);
        enable_raw_mode()?;
        ENTERED.store(true, Ordering::SeqCst);
        let screen = execute!(stdout(), EnterAlternateScreen)
            .and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        match screen {
            Ok(terminal) => Ok(Self {
                terminal,
                quantizer: Quantizer::default(),
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
        let size = self.terminal.size()?;
        // A terminal that was hung up says that it has no cells.
        if size.width == 0 || size.height == 0 {
            return Ok(());
        }
        execute!(stdout(), BeginSynchronizedUpdate)?;
        let depth = app.look().themes.depth();
        let (terminal, quantizer) = (&mut self.terminal, &mut self.quantizer);
        let drawn = terminal.draw(|frame| {
            render(app, frame);
            quantizer.quantize(depth, frame.buffer_mut());
        });
        let drawn = drawn.map(drop);
        execute!(stdout(), EndSynchronizedUpdate)?;
        drawn
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back, the first time that it is called after it was taken.
fn restore() {
    if ENTERED.swap(false, Ordering::SeqCst) {
        // A terminal that is gone cannot be restored, and there is nobody left to be told.
        let _ = execute!(stdout(), EndSynchronizedUpdate, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// A panic of the drawing thread is reported on the restored terminal; that of any other thread goes
/// to the log while the screen is up.
fn install_hook() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if DRAWS.get() {
            restore();
        }
        if ENTERED.load(Ordering::SeqCst) {
            tracing::error!("{info}");
        } else {
            report(info);
        }
    }));
}
