//! The commands that give what is on the screen again, as they can be copied into a shell.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Widget};

use crate::landscape::worker::protocol::CURVATURE_SAMPLES;
use crate::session::Finding;

use super::super::invocation::quoted;
use super::super::reproduce::{commands, mirrored};
use super::super::state::App;
use super::super::state::choice::View;
use super::{cleared, enclosed, frame};

/// Widest pane.
const WIDTH: u16 = 100;
/// Blanks before the lines of a command after its first.
const INDENT: &str = "  ";

/// Draws the pane in the middle of the screen.
pub(crate) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    let width = WIDTH.min(area.width);
    let room = usize::from(width.saturating_sub(2));
    let commands = commands(app);
    let mut lines: Vec<String> = commands
        .iter()
        .flat_map(|words| folded(words, room))
        .collect();
    if !lines.is_empty() {
        lines.extend(curvature_note(app));
        lines.extend(mirror_note(app));
    }
    if lines.is_empty() {
        lines.push("There is no command: nothing was measured yet, or this is a recording.".into());
    }
    let size = [width, lines.len() as u16 + 2];
    let pane = cleared(app, size, area, buffer);
    let inner = enclosed(
        &frame(app, "the same without the screen · esc", width),
        pane,
        buffer,
    );
    let lines: Vec<Line<'_>> = lines.into_iter().map(Line::from).collect();
    Paragraph::new(lines).render(inner, buffer);
}

/// Says, as a comment of the shell, how the command of the curvature measures otherwise than the screen.
fn curvature_note(app: &App) -> Option<String> {
    let Finding::Is(data) = &app.snapshot().data else {
        return None;
    };
    let fewer = app.view() == View::Curvature && data.samples > CURVATURE_SAMPLES;
    fewer.then(|| {
        format!(
            "# the screen has the curvature of {CURVATURE_SAMPLES} of the {} samples",
            data.samples
        )
    })
}

/// Says, as a comment of the shell, which axes the command turns the other way. The session keeps those that it began
/// with, so that the picture never flips.
fn mirror_note(app: &App) -> Option<String> {
    let axes = mirrored(app);
    (!axes.is_empty()).then(|| format!("# mirrored along {}", axes.join(" and ")))
}

/// Returns a command in lines of at most `room` columns, continued as a shell reads them: an option and its value
/// stay together, and what is longer than a line is broken.
fn folded(words: &[String], room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces(words) {
        let line = lines.last_mut();
        // A blank before it, and ` \` after it.
        if let Some(line) = line.filter(|line| length(line) + 1 + length(&piece) + 2 <= room) {
            line.push(' ');
            *line += &piece;
            continue;
        }
        if let Some(line) = lines.last_mut() {
            *line += " \\";
        }
        let indent = if lines.is_empty() { "" } else { INDENT };
        lines.extend(broken(&format!("{indent}{piece}"), room));
    }
    lines
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Returns a line in pieces that leave room for ` \`; a shell joins them without a blank, but not within single quotes.
fn broken(line: &str, room: usize) -> Vec<String> {
    if line.trim_start().starts_with('\'') || line.contains(" '") {
        return vec![line.to_owned()];
    }
    let symbols: Vec<char> = line.chars().collect();
    let chunks: Vec<String> = symbols
        .chunks(room.saturating_sub(2).max(1))
        .map(String::from_iter)
        .collect();
    let last = chunks.len().saturating_sub(1);
    let chunks = chunks.into_iter().enumerate();
    chunks
        .map(|(i, chunk)| if i < last { chunk + "\\" } else { chunk })
        .collect()
}

/// Returns the words that must not be parted, quoted.
fn pieces(words: &[String]) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut takes_value = false;
    for word in words {
        let is_option = word.starts_with("--");
        if let Some(option) = pieces.last_mut().filter(|_| takes_value && !is_option) {
            option.push(' ');
            *option += &quoted(word);
            takes_value = false;
        } else {
            pieces.push(quoted(word));
            takes_value = is_option && !word.contains('=');
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_command_is_folded_so_that_a_shell_reads_the_same_words() {
        let mut command =
            words("isoloss surface runs/a --steps ..9 --map --x=-1.25:2.5:65 --bn frozen");
        command[2] = "my runs/it's".into();
        for room in [4, 20, 40, 60, 200] {
            let lines = folded(&command, room);
            let text = lines.join("\n").replace("\\\n", "");
            assert_eq!(shlex::split(&text), Some(command.clone()), "{text}");
            assert!(lines.iter().all(|line| length(line) <= room), "{lines:?}");
        }
        assert_eq!(folded(&command, 200).len(), 1);
    }

    #[test]
    fn an_option_and_its_value_share_a_line() {
        let lines = folded(&words("isoloss line runs/a --along pc1 --seed 3"), 24);
        assert_eq!(lines, ["isoloss line runs/a \\", "  --along pc1 --seed 3"]);
    }
}
