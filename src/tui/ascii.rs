//! The whole screen in 7-bit characters, for terminals and fonts that have no others.

use ratatui::buffer::Buffer;

/// Replaces every character that has more than 7 bits.
pub(super) fn simplify(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if !cell.symbol().is_ascii() {
            let plain = cell.symbol().chars().next().map_or(' ', plain);
            cell.set_char(plain);
        }
    }
}

/// Returns the stand-in for a character; a question mark for those of other languages.
fn plain(symbol: char) -> char {
    match symbol {
        '─' | '–' | '—' | '−' | '╶' => '-',
        '│' | '·' | '‖' => '|',
        '╭' | '╮' | '╰' | '╯' | '┌' | '┐' | '└' | '┘' => '+',
        '×' => 'x',
        '±' | '≈' => '~',
        '●' | '○' | '◆' | '•' => '*',
        '█' | '▀' | '▄' => '#',
        '░' => '.',
        '…' => '_',
        '²' => '2',
        '°' => 'o',
        '←' | '≤' => '<',
        '→' | '≥' => '>',
        '↑' => '^',
        '↓' | '▼' => 'v',
        'α' => 'a',
        'β' => 'b',
        'λ' => 'l',
        'σ' => 's',
        'θ' => 't',
        _ => '?',
    }
}
