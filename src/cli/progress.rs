//! Progress of a long command on stderr: a bar with rate and time left, nothing when piped.

use std::fmt::Write;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// Returns a bar over `total` evaluations. It is hidden when stderr is no terminal.
#[must_use]
pub(super) fn bar(what: &'static str, total: usize) -> ProgressBar {
    styled(
        what,
        total,
        "{msg} {bar:30} {human_pos}/{human_len} · {pace} · {eta} left",
    )
}

/// Returns the same where measuring ends as soon as the picture stands, which may be long before `most` evaluations.
#[must_use]
pub(super) fn at_most(what: &'static str, most: usize) -> ProgressBar {
    styled(
        what,
        most,
        "{msg} {bar:30} {human_pos} of at most {human_len} · {pace}",
    )
}

/// Returns a bar over weights that are read, four bytes each; how many is said once it is known.
#[must_use]
pub(super) fn weights() -> ProgressBar {
    styled(
        "weights",
        0,
        "{msg} {bar:30} {percent} % · {bytes_per_sec} · {eta} left",
    )
}

fn styled(what: &'static str, total: usize, template: &str) -> ProgressBar {
    let pace = |state: &ProgressState, out: &mut dyn Write| {
        // Nobody reads a bar that cannot be written.
        let _ = write!(out, "{:.1}/s", state.per_sec());
    };
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("pace", pace);
    ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr())
        .with_style(style)
        .with_message(what)
}
