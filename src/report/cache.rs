//! The kept checkpoints and measured values as text and data.

use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;

use crate::cache::CachedRun;
use crate::run::unicode;
use crate::session::size_in_words;
use crate::store::Contents;
use crate::weights::PlanesKept;

use super::{csv_rows, visible};

/// The runs of which checkpoints are kept, and the values that were measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CacheReport {
    runs: Vec<CachedRun>,
    measured: Option<Measured>,
}

/// Measured values in a database.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// The database.
    #[serde(serialize_with = "unicode::path")]
    pub file: PathBuf,
    /// The amount of them.
    #[serde(flatten)]
    pub contents: Contents,
    /// The planes that were made, as files beside it.
    #[serde(rename = "plane_files")]
    pub planes: PlanesKept,
}

impl Measured {
    fn words(&self) -> String {
        let Contents {
            values,
            planes,
            bytes,
        } = self.contents;
        let plural = if planes == 1 { "" } else { "s" };
        let bytes = size_in_words(bytes);
        let values = format!("{values} measured values of {planes} plane{plural}, {bytes}");
        let PlanesKept { files, bytes } = self.planes;
        if files == 0 {
            return values;
        }
        let plural = if files == 1 { "" } else { "s" };
        let bytes = size_in_words(bytes);
        format!("{values}, and {files} plane{plural} as files, {bytes}")
    }
}

impl CacheReport {
    /// Returns a report of these runs and values; `None` if there is no database.
    #[must_use]
    pub fn new(runs: Vec<CachedRun>, measured: Option<Measured>) -> Self {
        let is_something = |kept: &Measured| kept.contents.values > 0 || kept.planes.files > 0;
        let measured = measured.filter(is_something);
        Self { runs, measured }
    }

    /// Returns a line for each run, the sum, and a line about the values.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = match (&self.runs[..], &self.measured) {
            ([], None) => "nothing is kept\n".into(),
            ([], Some(_)) => String::new(),
            _ => self.of_runs() + if self.measured.is_some() { "\n" } else { "" },
        };
        if let Some(measured) = &self.measured {
            let file = measured.file.display().to_string();
            let _ = writeln!(text, "{}: {}", measured.words(), visible::line(&file));
        }
        text
    }

    fn of_runs(&self) -> String {
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

    /// Returns a sentence about what was removed.
    #[must_use]
    pub fn removed(&self) -> String {
        let is_empty =
            |measured: &Measured| (measured.contents.values, measured.planes.files) == (0, 0);
        if self.runs.is_empty() && self.measured.as_ref().is_none_or(is_empty) {
            return "removed nothing, because nothing was kept\n".into();
        }
        let (checkpoints, bytes) = self.sum();
        let runs = self.runs.len();
        let plural = if runs == 1 { "" } else { "s" };
        let values = self
            .measured
            .as_ref()
            .map(|measured| format!(", and {}", measured.words()));
        format!(
            "removed {checkpoints} kept checkpoints of {runs} run{plural}, {}{}\n",
            size_in_words(bytes),
            values.unwrap_or_default()
        )
    }

    /// Returns a row for each run.
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
        let report = CacheReport::new(
            vec![run("runs/a", 3, 3 << 20), run("runs/b\n", 12, 5 << 10)],
            None,
        );
        let text = report.text();
        assert!(text.contains("3    3.00 MiB  runs/a\n"), "{text}");
        assert_eq!(text.lines().count(), 4);
        let csv = report.csv().unwrap_or_default();
        assert!(
            csv.starts_with("run,checkpoints,bytes,folder\nruns/a,3,3145728,cache/a\n"),
            "{csv}"
        );
        assert!(report.removed().contains("15 kept checkpoints of 2 runs"));
        assert_eq!(
            CacheReport::new(Vec::new(), None).text(),
            "nothing is kept\n"
        );
    }

    #[test]
    fn measured_values_are_told_beside_the_runs() {
        let measured = |values| Measured {
            file: "c/measured.sqlite".into(),
            contents: Contents {
                values,
                planes: 1,
                bytes: 1 << 20,
            },
            planes: PlanesKept::default(),
        };
        let report = CacheReport::new(Vec::new(), Some(measured(2601)));
        assert_eq!(
            report.text(),
            "2601 measured values of 1 plane, 1.00 MiB: c/measured.sqlite\n"
        );
        assert!(
            report
                .removed()
                .ends_with(", and 2601 measured values of 1 plane, 1.00 MiB\n")
        );
        let planes = PlanesKept {
            files: 2,
            bytes: 1 << 10,
        };
        let with_files = Measured {
            planes,
            ..measured(1)
        };
        let planes_alone = Measured {
            planes,
            ..measured(0)
        };
        let told = CacheReport::new(Vec::new(), Some(planes_alone)).text();
        assert!(told.contains("2 planes as files"), "{told}");
        let words = with_files.words();
        assert!(
            words.ends_with("1.00 MiB, and 2 planes as files, 1.00 KiB"),
            "{words}"
        );
        assert_eq!(
            CacheReport::new(Vec::new(), Some(measured(0))).text(),
            "nothing is kept\n"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_not_unicode_is_told() {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"a\xff");
        let report = CacheReport::new(
            vec![CachedRun {
                run: name.into(),
                folder: name.into(),
                checkpoints: 1,
                bytes: 1,
            }],
            None,
        );
        let json = crate::report::json(&report).unwrap_or_default();
        assert!(json.contains("\"run\":\"a\u{fffd}\""), "{json}");
    }
}
