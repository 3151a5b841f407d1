//! Documents say what the program does: the reference is its own, commands of the gallery work, links lead somewhere.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod program;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use program::program;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Documents for people, each with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|it| it == "md"));
    let top = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name));
    let all = top.into_iter().chain(docs);
    all.map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    })
    .collect()
}

/// Set `ISOLOSS_WRITE_DOCS` to write the page instead.
#[test]
fn the_reference_is_what_the_program_says() {
    let path = root().join("docs/reference.md");
    let own = isoloss::cli::reference();
    if env::var_os("ISOLOSS_WRITE_DOCS").is_some() {
        fs::write(&path, &own).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == own,
        "docs/reference.md is another one: `just docs` writes it"
    );
}

#[test]
fn the_reference_has_the_table_of_keys() {
    let table = isoloss::tui::Keymap::default().markdown();
    let reference = fs::read_to_string(root().join("docs/reference.md")).unwrap();
    assert!(reference.contains(&table), "the reference needs\n{table}");
}

#[test]
fn the_readme_names_the_commands_of_ci() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    for command in ["cargo run --release -- demo", "cargo test --release"] {
        assert!(readme.contains(command));
    }
    assert!(ci.contains("cargo test --release"));
}

#[test]
fn the_readme_is_short() {
    let length = fs::metadata(root().join("README.md")).unwrap().len();
    assert!(length <= 10_000, "{length} bytes");
}

#[test]
fn links_lead_to_files_and_headings() {
    for (path, text) in documents() {
        for target in targets(&text) {
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() {
                path.clone()
            } else {
                path.parent().unwrap().join(file)
            };
            assert!(file.exists(), "{}: {target}", path.display());
            if !heading.is_empty() && file.extension().is_some_and(|it| it == "md") {
                let text = fs::read_to_string(&file).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                assert!(
                    headings.any(|line| anchor(line) == heading),
                    "{}: {target}",
                    path.display()
                );
            }
        }
    }
}

/// Targets of the links and pictures of a document.
fn targets(text: &str) -> Vec<&str> {
    let links = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'));
    let pictures = text
        .split("src=\"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'));
    links.chain(pictures).map(|(target, _)| target).collect()
}

/// A heading as links name it.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn code_cites_documents_that_are_there() {
    let mut folders = vec![root().join("src")];
    let mut cited = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            for rest in text.split("docs/").skip(1) {
                let name = rest.split(|c: char| !c.is_ascii_alphanumeric() && !"-_./".contains(c));
                let name = name.into_iter().next().unwrap().trim_end_matches('.');
                if Path::new(name).extension().is_some_and(|it| it == "md") {
                    assert!(
                        root().join("docs").join(name).exists(),
                        "{}: docs/{name}",
                        path.display()
                    );
                    cited += 1;
                }
            }
        }
    }
    assert!(cited > 20, "{cited}");
}

/// Sections of the definitions that the code cites by number.
#[test]
fn definitions_are_numbered() {
    let math = fs::read_to_string(root().join("docs/math.md")).unwrap();
    for number in 1..=13 {
        assert!(math.contains(&format!("\n## {number}. ")), "{number}");
    }
}

/// Makes each picture of the gallery anew, elsewhere, and compares what both say.
#[test]
fn commands_of_the_gallery_make_its_pictures() {
    let gallery = fs::read_to_string(root().join("docs/gallery.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut made = 0;
    for line in gallery.lines() {
        let Some(words) = line.strip_prefix("isoloss ") else {
            continue;
        };
        let mut words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let Some(out) = words.iter().position(|word| word == "--out") else {
            continue;
        };
        let picture = PathBuf::from(&words[out + 1]);
        let new = folder.path().join(picture.file_name().unwrap());
        words[out + 1] = new.display().to_string();
        let output = program().current_dir(root()).args(&words).output().unwrap();
        assert!(
            output.status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let [old, new] = [root().join(&picture), new].map(|file| fs::read_to_string(file).unwrap());
        assert_eq!(said(&old), said(&new), "{line}");
        made += 1;
    }
    assert!(made >= 10, "{made}");
}

/// Words of a picture; digits and dots may differ between machines.
fn said(svg: &str) -> Vec<String> {
    let texts = svg.split("<text").skip(1);
    let texts = texts.filter_map(|rest| rest.split_once('>')?.1.split_once("</text>"));
    let words = texts.map(|(text, _)| text.replace(|c: char| c.is_ascii_digit(), ""));
    words
        .filter(|word| word.chars().any(|c| c.is_ascii_alphabetic()))
        .collect()
}
