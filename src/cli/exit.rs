//! The signals by which a process is asked to end, and the exit code that tells of them.

use tokio::signal::ctrl_c;
#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};

/// A signal asked the process to end: nothing is said, and the exit code is that of a process which
/// the signal ended.
#[derive(Debug, thiserror::Error)]
#[error("ended by signal {0}")]
pub(super) struct Ended(pub(super) i32);

impl Ended {
    /// Returns the code, as shells report it.
    pub(super) fn code(&self) -> u8 {
        128_u8.saturating_add(self.0.try_into().unwrap_or(0))
    }
}

/// Waits for a signal that asks a process without a screen to end; its number.
pub(super) async fn asked_to_end() -> i32 {
    const SIGINT: i32 = 2;
    #[cfg(unix)]
    if let Ok(mut terminate) = signal(SignalKind::terminate()) {
        return tokio::select! {
            _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
            _ = ctrl_c() => SIGINT,
        };
    }
    let _ = ctrl_c().await;
    SIGINT
}
