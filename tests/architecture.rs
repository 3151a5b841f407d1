//! The rules of the house, as `src/lib.rs` states them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use rstest::rstest;

/// Returns the files of a folder and of those within it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let of = |path: PathBuf| {
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    };
    entries.flat_map(of).collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let is_source = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "rs");
    files(folder).into_iter().filter(is_source).collect()
}

fn room(name: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name);
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    };
    let room: Vec<_> = sources(&folder).into_iter().map(read).collect();
    assert!(!room.is_empty(), "there is no room {name}");
    room
}

/// Fails for each line of a room that names one of these.
fn assert_unknown(name: &str, strangers: &[&str]) {
    for (path, text) in room(name) {
        for line in text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            let stranger = strangers.iter().find(|stranger| line.contains(**stranger));
            assert!(stranger.is_none(), "{}: {line}", path.display());
        }
    }
}

#[rstest]
fn no_room_knows_those_behind_it(
    #[values(
        "run",
        "weights",
        "data",
        "model",
        "loss",
        "landscape",
        "plot",
        "session",
        "store",
        "cache",
        "demo",
        "evaluator"
    )]
    name: &str,
) {
    assert_unknown(
        name,
        &[
            "crate::tui",
            "crate::report",
            "crate::cli",
            "crate::config",
            "ratatui",
            "crossterm",
        ],
    );
}

/// Both know the terminal by `terminal`, below them.
#[test]
fn reports_know_no_screen() {
    assert_unknown(
        "report",
        &[
            "crate::tui",
            "crate::cli",
            "crate::config",
            "ratatui",
            "crossterm",
        ],
    );
}

#[rstest]
fn candle_stays_in_its_rooms(
    #[values(
        "run",
        "weights",
        "plot",
        "data",
        "store",
        "cache",
        "session",
        "report",
        "tui",
        "cli",
        "evaluator"
    )]
    name: &str,
) {
    assert_unknown(name, &["candle_core", "candle_nn"]);
}

#[rstest]
fn tokio_stays_where_things_wait(
    #[values(
        "run",
        "weights",
        "data",
        "model",
        "loss",
        "landscape",
        "plot",
        "report",
        "store",
        "cache",
        "demo",
        "evaluator"
    )]
    name: &str,
) {
    assert_unknown(name, &["tokio"]);
}

#[test]
fn data_goes_one_way() {
    assert_unknown(
        "run",
        &[
            "crate::weights",
            "crate::model",
            "crate::data",
            "crate::landscape",
            "crate::session",
            "crate::plot",
        ],
    );
    assert_unknown(
        "weights",
        &[
            "crate::model",
            "crate::data",
            "crate::landscape",
            "crate::session",
            "crate::plot",
        ],
    );
    assert_unknown(
        "model",
        &["crate::landscape", "crate::session", "crate::plot"],
    );
    assert_unknown(
        "loss",
        &[
            "crate::model",
            "crate::data",
            "crate::landscape",
            "crate::session",
            "crate::plot",
        ],
    );
    for name in ["store", "cache"] {
        let ahead = [
            "crate::model",
            "crate::data",
            "crate::landscape",
            "crate::session",
            "crate::plot",
        ];
        assert_unknown(name, &ahead);
    }
    assert_unknown("landscape", &["crate::session", "crate::plot"]);
    assert_unknown("plot", &["crate::session", "crate::model", "crate::data"]);
}

/// Rooms have errors with variants, which their callers can tell apart.
#[test]
fn errors_without_a_type_stay_in_commands() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rooms = fs::read_dir(src).unwrap();
    let rooms = rooms.map(|room| room.unwrap().file_name().into_string().unwrap());
    let rooms: Vec<String> = rooms
        .filter(|room| !room.contains('.') && room != "cli")
        .collect();
    assert!(rooms.len() > 10, "{rooms:?}");
    for room in rooms {
        assert_unknown(&room, &["anyhow"]);
    }
}

/// Whoever computes is given the device: only the room that opens devices chooses one.
#[test]
fn devices_are_opened_in_one_place() {
    let opens = ["new_cuda", "new_metal", "cuda_if_available"];
    let mut places = Vec::new();
    for (path, text) in room("") {
        if opens.iter().any(|word| text.contains(word)) {
            places.push(path);
        }
    }
    let expected = ["test_device.rs", "landscape/device/mod.rs"];
    assert_eq!(places.len(), expected.len(), "{places:?}");
    for place in expected {
        assert!(places.iter().any(|path| path.ends_with(place)), "{place}");
    }
}

/// Bytes of all fixtures, above which a clone takes too long.
const MOST_FIXTURES: u64 = 12 << 20;

#[test]
fn fixtures_stay_small() {
    let all = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"));
    let sizes = all.iter().map(|path| fs::symlink_metadata(path).unwrap());
    let bytes: u64 = sizes.map(|file| file.len()).sum();
    assert!(bytes > 1 << 20);
    assert!(bytes <= MOST_FIXTURES, "{bytes} bytes");
}

#[test]
fn every_file_says_first_what_it_is_for() {
    for (path, text) in room("") {
        assert!(text.starts_with("//! "), "{}", path.display());
    }
}

/// Lines of a file that one can still read at once.
const MOST_LINES: usize = 600;

#[test]
fn no_file_is_longer_than_one_reads_at_once() {
    for (path, text) in room("") {
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{}: {lines} lines", path.display());
    }
}

/// A riddle about a referent ("What is new of a run's log") makes a reader guess; a noun phrase does not.
#[test]
fn no_doc_begins_with_a_question_word() {
    const WORDS: [&str; 13] = [
        "How", "Of", "So", "Theirs", "What", "Whatever", "When", "Where", "Whether", "Which",
        "Who", "Whose", "Why",
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in ["src", "tests", "benches", "examples"]
        .map(|folder| sources(&root.join(folder)))
        .concat()
    {
        let text = fs::read_to_string(&path).unwrap();
        let mut before = "";
        for line in text.lines().map(str::trim_start) {
            let doc = line
                .strip_prefix("/// ")
                .or_else(|| line.strip_prefix("//! "));
            let first = doc.filter(|_| !before.starts_with("///") && !before.starts_with("//!"));
            let word = first.and_then(|doc| doc.split(|c: char| !c.is_alphanumeric()).next());
            assert!(
                word.is_none_or(|word| !WORDS.contains(&word)),
                "{}: {line}",
                path.display()
            );
            before = line;
        }
    }
}

/// Returns the first words of the docs of functions, but for those of tests, whose names are sentences.
fn docs_of_functions(text: &str) -> Vec<String> {
    let (mut found, mut doc, mut is_test) = (Vec::new(), None, false);
    for line in text.lines().map(str::trim_start) {
        if let Some(word) = line.strip_prefix("/// ") {
            doc.get_or_insert_with(|| word.split(' ').next().unwrap_or_default().to_owned());
        } else if line.starts_with("#[") {
            is_test |= line.contains("test");
        } else if !line.starts_with("//") {
            let (before, is_function) = match line.split_once("fn ") {
                Some((before, _)) => (before, true),
                None => ("", false),
            };
            let of_function = is_function
                && before.split(' ').all(|word| {
                    let words = ["", "pub", "const", "async", "unsafe"];
                    words.contains(&word) || word.starts_with("pub(") || word.ends_with(')')
                });
            if let Some(doc) = doc.take().filter(|_| of_function && !is_test) {
                found.push(doc);
            }
            is_test = false;
        }
    }
    found
}

/// A function does something, so that its doc begins with what: `Returns`, `Draws`, `Reads`.
#[test]
fn docs_of_functions_begin_with_a_verb() {
    let mut count = 0;
    for (path, text) in room("") {
        for word in docs_of_functions(&text) {
            let letters = word.trim_end_matches(',');
            let is_verb = letters.starts_with(|c: char| c.is_ascii_uppercase())
                && letters.ends_with('s')
                && letters.chars().all(|c| c.is_ascii_alphabetic());
            // Plurals that have begun docs in the place of verbs.
            let nouns = ["Ticks", "Strips", "Formats", "Remarks", "Maps"];
            let is_verb = is_verb && !nouns.contains(&letters);
            assert!(is_verb, "{}: {word}", path.display());
            count += 1;
        }
    }
    assert!(count > 3000, "{count}");
    assert_unknown(
        "",
        &[
            "/// Returns what ",
            "/// Returns how ",
            "/// Returns which ",
        ],
    );
}

/// A reader who meets a type's name knows which one it is. Types of one room alone (`pub(super)`) are its own matter.
#[test]
fn names_of_public_types_are_unique() {
    let mut known: HashMap<String, PathBuf> = HashMap::new();
    for (path, text) in room("") {
        for line in text.lines() {
            let words: Vec<&str> = line
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .collect();
            let [
                "pub",
                "struct" | "enum" | "trait" | "type" | "union",
                name,
                ..,
            ] = words[..]
            else {
                continue;
            };
            if let Some(other) = known.insert(name.to_owned(), path.clone()) {
                panic!("{name}: {} and {}", other.display(), path.display());
            }
        }
    }
    assert!(known.len() > 300);
}

#[test]
fn nothing_is_unsafe() {
    assert_unknown("", &["unsafe "]);
}
