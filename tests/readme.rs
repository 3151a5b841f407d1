//! The README says what the program does.

use isoloss::tui::Keymap;

const README: &str = include_str!("../README.md");
const REFERENCE: &str = include_str!("../docs/reference.md");

#[test]
fn the_table_of_keys_is_that_of_the_program() {
    let table = Keymap::default().markdown();
    assert!(REFERENCE.contains(&table), "the reference needs\n{table}");
}

#[test]
fn its_commands_are_those_that_the_tests_and_ci_run() {
    let ci = include_str!("../.ci/run");
    for command in ["cargo run --release -- demo", "cargo test --release"] {
        assert!(README.contains(command));
    }
    assert!(ci.contains("cargo test --release"));
}
