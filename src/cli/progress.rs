//! Progress of a long command on stderr: a bar with rate and time left, nothing when piped.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over `total` evaluations. It is hidden when stderr is no terminal.
#[must_use]
pub(super) fn bar(what: &'static str, total: usize) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{msg} {bar:30} {human_pos}/{human_len} · {per_sec} · {eta} left",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr())
        .with_style(style)
        .with_message(what)
}
