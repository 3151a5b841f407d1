//! The kept checkpoints as text and data.

use std::fmt::Write;

use serde::Serialize;

use crate::cache::CachedRun;
use crate::session::size_in_words;

use super::{csv_rows, visible};

/// The runs of which checkpoints are kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    runs: Vec<CachedRun>,
}

impl Report {
    /// A report of these runs.
    #[must_use]
    pub fn new(runs: Vec<CachedRun>) -> Self {
        Self { runs }
    }

    /// A line for each run, and the sum.
    #[must_use]
    pub fn text(&self) -> String {
        if self.runs.is_empty() {
            return "nothing is kept\n".into();
        }
        let mut text = String::from("checkpoints        size  run\n");
        for run in &self.runs {
            let size = size_in_words(run.bytes);
            let name = run.run.display().to_string();
            let name = visible::line(&name);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:>11}  {size:>10}  {name}", run.checkpoints);
        }
        let (checkpoints, bytes) = self.sum();
        let size = size_in_words(bytes);
        let _ = writeln!(text, "{checkpoints:>11}  {size:>10}  in all");
        text
    }

    /// A sentence about what was removed.
    #[must_use]
    pub fn removed(&self) -> String {
        let (checkpoints, bytes) = self.sum();
        let runs = self.runs.len();
        let plural = if runs == 1 { "" } else { "s" };
        format!(
            "removed {checkpoints} kept checkpoints of {runs} run{plural}, {}\n",
            size_in_words(bytes)
        )
    }

    /// A row for each run.
    ///
    /// # Errors
    /// None in practice: the table is written to memory.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let head = ["run", "checkpoints", "bytes", "folder"].map(str::to_owned);
        let rows = self.runs.iter().map(|run| {
            [
                run.run.display().to_string(),
                run.checkpoints.to_string(),
                run.bytes.to_string(),
                run.folder.display().to_string(),
            ]
        });
        csv_rows(std::iter::once(head).chain(rows).map(Vec::from))
    }

    fn sum(&self) -> (usize, u64) {
        let checkpoints = self.runs.iter().map(|run| run.checkpoints).sum();
        (checkpoints, self.runs.iter().map(|run| run.bytes).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_their_sum_are_told() {
        let run = |name: &str, checkpoints, bytes| CachedRun {
            run: name.into(),
            folder: "cache/a".into(),
            checkpoints,
            bytes,
        };
        let report = Report::new(vec![
            run("runs/a", 3, 3 << 20),
            run("runs/b\n", 12, 5 << 10),
        ]);
        let text = report.text();
        assert!(text.contains("3    3.00 MiB  runs/a\n"), "{text}");
        assert_eq!(text.lines().count(), 4);
        let csv = report.csv().unwrap_or_default();
        assert!(
            csv.starts_with("run,checkpoints,bytes,folder\nruns/a,3,3145728,cache/a\n"),
            "{csv}"
        );
        assert!(report.removed().contains("15 kept checkpoints of 2 runs"));
        assert_eq!(Report::new(Vec::new()).text(), "nothing is kept\n");
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_not_unicode_is_told() {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"a\xff");
        let report = Report::new(vec![CachedRun {
            run: name.into(),
            folder: name.into(),
            checkpoints: 1,
            bytes: 1,
        }]);
        let json = crate::report::json(&report).unwrap_or_default();
        assert!(json.contains("\"run\":\"a\u{fffd}\""), "{json}");
    }
}
