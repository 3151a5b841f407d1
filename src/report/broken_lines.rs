//! Lines that are longer than there is room, broken between words.

/// Breaks a line between words where it is longer than there is room; what follows is set in by two more blanks.
pub(crate) fn broken(line: &str, room: usize) -> Vec<String> {
    let blanks = line.len() - line.trim_start_matches(' ').len();
    let indent = " ".repeat(blanks + 2);
    let mut lines = vec![" ".repeat(blanks)];
    let mut is_empty = true;
    for word in line[blanks..].split_inclusive(' ') {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last + word.trim_end().chars().count() > room && !is_empty {
            lines.push(indent.clone());
        }
        is_empty = false;
        if let Some(line) = lines.last_mut() {
            *line += word;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_about_a_picture_loses_nothing_where_it_is_too_long() {
        let line = "runs/a/step_0240.safetensors: 888 weights, mean 0.25, standard deviation 0.125";
        for room in [1, 12, 30, 200] {
            let lines = broken(line, room);
            let whole: String = lines.iter().map(|line| line.trim_start()).collect();
            assert_eq!(whole, line);
            let longest = line.split(' ').map(str::len).max();
            let limit = longest.map_or(room, |word| room.max(word + 2));
            assert!(
                lines.iter().all(|line| line.trim_end().len() <= limit),
                "{lines:?}"
            );
        }
        assert_eq!(broken(line, 200), [line]);
    }

    #[test]
    fn what_follows_is_set_in_from_the_line_itself() {
        assert_eq!(broken("  a bb cc dd", 7), ["  a bb ", "    cc ", "    dd"]);
        assert_eq!(broken("", 7), [""]);
        assert_eq!(broken("   ", 2), ["   "]);
    }
}
