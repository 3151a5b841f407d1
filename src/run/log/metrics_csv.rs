//! `metrics.csv` of Lightning's CSVLogger, and tables like it: a row a moment, empty where nothing was
//! logged of a column.

use std::io::Read;
use std::path::Path;

use crate::brief::brief;
use crate::run::regular;

use super::quantities::{self, LoggedQuantity};
use super::{LARGEST, ReadLog, TrainingLog};

/// The file's name.
pub(super) const NAME: &str = "metrics.csv";

/// Columns of a table at most.
const COLUMNS: usize = 100_000;
/// Characters of a cell or a head that a sentence has room for.
const ROOM: usize = 80;

/// Columns of a table in which the numbers stand.
struct Columns {
    step: usize,
    epoch: Option<usize>,
    values: Vec<(LoggedQuantity, usize)>,
}

/// Reads the log of a table; `None` if it has no line yet. A last line without an end is still being written.
pub(super) fn read(path: &Path) -> Result<Option<ReadLog>, String> {
    let mut text = Vec::new();
    let opened = regular::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text));
    let Some(end) = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .filter(|_| opened.is_ok())
    else {
        return Ok(None);
    };
    let mut table = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(&text[..end]);
    let told = |error: csv::Error| format!("{}: expected a table, found {error}", path.display());
    // A table of numbers for people has no more; each column costs forty times its byte in the end.
    let width = text.iter().take_while(|byte| **byte != b'\n');
    if width.filter(|byte| **byte == b',').count() >= COLUMNS {
        return Err(format!(
            "{}: expected at most {COLUMNS} columns, found more; log fewer quantities to this file",
            path.display()
        ));
    }
    let head = table.byte_headers().map_err(told)?;
    let head: Vec<String> = head
        .iter()
        .map(|name| String::from_utf8_lossy(name).into())
        .collect();
    let columns = Columns::of(&head).ok_or_else(|| {
        format!(
            "{}: expected the columns step and a loss or learning rate, found {}",
            path.display(),
            brief(&head.join(", "), ROOM)
        )
    })?;
    let mut log = TrainingLog::of(path);
    let is_cut = text.len() as u64 > LARGEST;
    let mut trouble = is_cut.then(|| {
        let most = LARGEST >> 20;
        format!(
            "{}: expected at most {most} MB of log, found more: the rest is not read",
            path.display()
        )
    });
    for record in table.byte_records() {
        let taken = record.map_err(told).and_then(|record| {
            let line = record.position().map_or(0, csv::Position::line);
            let number = |column: usize| {
                number(record.get(column).unwrap_or_default()).map_err(|found| {
                    let name = head.get(column).map_or("", |name| name);
                    format!(
                        "{}: line {line}: expected a number under {}, found {}",
                        path.display(),
                        brief(name, ROOM),
                        brief(&found, ROOM)
                    )
                })
            };
            columns.take(&mut log, number)
        });
        if let Err(sentence) = taken {
            trouble = Some(sentence);
            break;
        }
    }
    let trouble = trouble.or_else(|| log.fullness());
    Ok(Some(ReadLog { log, trouble }))
}

impl Columns {
    /// Finds the columns that are known; without a step, the epoch counts.
    fn of(head: &[String]) -> Option<Self> {
        let named = |wanted: &str| head.iter().position(|name| name.trim() == wanted);
        let known = || {
            let columns = head.iter().enumerate();
            columns.filter_map(|(column, name)| Some((quantities::quantity(name)?, column)))
        };
        let best = |wanted: LoggedQuantity| {
            let columns = known().filter(|((quantity, _), _)| *quantity == wanted);
            let best = columns.min_by_key(|((_, rank), _)| *rank);
            best.map(|(_, column)| (wanted, column))
        };
        let values = [
            LoggedQuantity::Train,
            LoggedQuantity::Eval,
            LoggedQuantity::Rate,
        ]
        .map(best);
        let values: Vec<(LoggedQuantity, usize)> = values.into_iter().flatten().collect();
        let epoch = named("epoch");
        Some(Self {
            step: named("step").or(epoch)?,
            epoch,
            values,
        })
        .filter(|columns| !columns.values.is_empty())
    }

    /// Takes a row; `number` reads a cell.
    fn take(
        &self,
        log: &mut TrainingLog,
        number: impl Fn(usize) -> Result<Option<f64>, String>,
    ) -> Result<(), String> {
        let Some(step) = number(self.step)?.filter(|step| *step >= 0.0) else {
            return Ok(());
        };
        let epoch = self.epoch.map_or(Ok(None), &number)?;
        for (quantity, column) in &self.values {
            if let Some(value) = number(*column)? {
                log.series_mut(*quantity).push(step as u64, epoch, value);
            }
        }
        Ok(())
    }
}

/// Reads a cell's number, `None` if it is empty; the error is its text if that is no number.
fn number(cell: &[u8]) -> Result<Option<f64>, String> {
    let text = String::from_utf8_lossy(cell);
    match text.trim() {
        "" => Ok(None),
        number => number.parse().map(Some).map_err(|_| number.to_owned()),
    }
}
