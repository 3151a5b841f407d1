//! `isoloss help TOPIC`: pages that are about no command.

use std::ffi::OsString;

/// Names and texts of the pages.
const TOPICS: [(&str, &str); 3] = [
    ("model", include_str!("../../docs/model.md")),
    ("evaluator", include_str!("../../docs/evaluator.md")),
    ("events", include_str!("../../docs/events.md")),
];

/// Layout of `--help`, with the commands that people need first. Its heading looks as those of clap do; escapes are
/// taken out where the output is no terminal.
pub(super) const HELP: &str = "\
{about-with-newline}
\x1b[1m\x1b[4mBegin with:\x1b[0m
  isoloss RUN --data DATA          Watch a run; without data only its path
  isoloss demo                     Train a small network for a minute; watch it
  isoloss surface RUN --data DATA  The loss around the path
  isoloss line A B --data DATA     The loss from one checkpoint to another
  isoloss doctor RUN               What can be read and measured here

{usage-heading} isoloss [OPTIONS] <RUN>
       {usage}

{all-args}{after-help}";

/// Text below the commands of `--help`.
pub(super) const AFTER_HELP: &str = "`isoloss RUN` is `isoloss watch RUN`. `isoloss help model` tells which function is measured and how to \
                                     export yours, `isoloss help evaluator` how a program of your own measures, `isoloss help \
                                     events` what `isoloss watch --json` prints.";

/// Returns the page that the arguments ask for; `None` if they ask for something else.
pub(super) fn asked(arguments: &[OsString]) -> Option<&'static str> {
    let [_, help, topic] = arguments else {
        return None;
    };
    let mut topics = TOPICS.iter().filter(|_| help == "help");
    topics
        .find(|(name, _)| topic == name)
        .map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_is_laid_out_for_eighty_columns() {
        let longest = HELP.lines().map(|line| line.chars().count()).max();
        assert!(longest.is_some_and(|longest| longest <= 80), "{longest:?}");
    }

    #[test]
    fn a_topic_is_asked_behind_help_alone() {
        let page = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            asked(&words)
        };
        assert!(
            page("isoloss help model").is_some_and(|text| text.contains("torch.export.export("))
        );
        assert!(page("isoloss help evaluator").is_some_and(|text| text.contains("## Protocol 1")));
        assert!(page("isoloss help events").is_some_and(|text| text.contains("at_rest")));
        for other in [
            "isoloss help",
            "isoloss help watch",
            "isoloss model",
            "isoloss watch model",
        ] {
            assert_eq!(page(other), None, "{other}");
        }
    }
}
