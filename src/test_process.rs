//! Tests that need a process of their own, because candle reads a variable of the environment once a thread.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::process::Command;

use crate::landscape::curvature::product::KEEP_GRAPH;

/// Returns true in a process whose gradients stay differentiable. In any other it runs the test of this full
/// name in such a process, panics if it fails there, and returns false.
pub(crate) fn in_a_process_that_keeps_graphs(test: &str) -> bool {
    if std::env::var_os(KEEP_GRAPH).is_some() {
        return true;
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(KEEP_GRAPH, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{said}"
    );
    false
}
