//! TensorBoard's event files: records of protobuf messages, of which the scalars of known names are read.
//!
//! The messages are declared here with `prost`'s derives, field by field as TensorFlow numbers them, so
//! that no compiler of `.proto` files is needed; fields that are not declared are passed over.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use prost::Message;

use super::quantities::{self, LoggedQuantity};
use super::tfrecord::{self, Record};
use super::{ReadLog, Series, TrainingLog};
use crate::run::fingerprint::Fingerprint;
use crate::run::regular;

/// Part of the names of event files.
pub(super) const MARK: &str = ".tfevents.";
/// Curves that are kept: a hostile file has a new `lr-…` in each record.
const CURVES: usize = 32;

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    /// As PyTorch and the first TensorFlow write it.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    /// As the second TensorFlow writes it.
    #[prost(message, optional, tag = "8")]
    tensor: Option<Tensor>,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    /// 1 is float, 2 is double.
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(bytes = "vec", tag = "4")]
    content: Vec<u8>,
    #[prost(float, repeated, tag = "5")]
    float_val: Vec<f32>,
    #[prost(double, repeated, tag = "6")]
    double_val: Vec<f64>,
}

impl Scalar {
    /// Returns its number, where it has one.
    fn number(&self) -> Option<f64> {
        self.simple_value
            .map(f64::from)
            .or_else(|| self.tensor.as_ref()?.number())
    }
}

impl Tensor {
    /// Returns the number of a tensor with one element; `None` for others.
    fn number(&self) -> Option<f64> {
        match (self.dtype, &self.float_val[..], &self.double_val[..]) {
            (1, [value], _) => Some(f64::from(*value)),
            (2, _, [value]) => Some(*value),
            (1, ..) => {
                let bytes = self.content[..].try_into().ok()?;
                Some(f64::from(f32::from_le_bytes(bytes)))
            }
            (2, ..) => Some(f64::from_le_bytes(self.content[..].try_into().ok()?)),
            _ => None,
        }
    }
}

/// An event file, as far as it was read.
#[derive(Clone, Debug)]
struct Read {
    fingerprint: Fingerprint,
    /// Place where the next record begins.
    offset: u64,
    /// Reason why nothing behind it is read.
    trouble: Option<String>,
}

/// The event files of a folder; what was read is not read again.
#[derive(Clone, Debug, Default)]
pub(super) struct Events {
    files: BTreeMap<PathBuf, Read>,
    curves: BTreeMap<String, Series>,
}

impl Events {
    /// Reads on. `files` are the event files of one folder, in the order in which they were begun.
    pub(super) fn read(&mut self, folder: &Path, files: &[PathBuf]) -> ReadLog {
        if !self.go_on(files) {
            // One of them is another file now: what it told no longer counts.
            *self = Self::default();
            self.go_on(files);
        }
        let mut log = TrainingLog::of(folder);
        for quantity in [
            LoggedQuantity::Train,
            LoggedQuantity::Eval,
            LoggedQuantity::Rate,
        ] {
            let curves = self.curves.iter().filter_map(|(name, series)| {
                let (known, rank) = quantities::quantity(name)?;
                (known == quantity).then_some((rank, series))
            });
            if let Some((_, series)) = curves.min_by_key(|(rank, _)| *rank) {
                log.series_mut(quantity).clone_from(series);
            }
        }
        let trouble = self.files.values().find_map(|file| file.trouble.clone());
        let trouble = trouble.or_else(|| log.fullness());
        ReadLog { log, trouble }
    }

    /// Reads what has been added to files; false when one of them was begun anew.
    fn go_on(&mut self, files: &[PathBuf]) -> bool {
        for path in files {
            let Ok(fingerprint) = Fingerprint::of(path) else {
                continue;
            };
            let known = self.files.get(path).cloned();
            if known.as_ref().is_some_and(|known| {
                known.fingerprint.inode != fingerprint.inode || fingerprint.size < known.offset
            }) {
                return false;
            }
            if known
                .as_ref()
                .is_some_and(|known| known.fingerprint == fingerprint)
            {
                continue;
            }
            let mut offset = known.map_or(0, |known| known.offset);
            let trouble = match self.read_from(path, &mut offset, fingerprint.size) {
                Ok(reason) => reason.map(|reason| format!("at byte {offset}: {reason}")),
                Err(error) => Some(format!("cannot be read: {error}")),
            };
            let trouble = trouble.map(|reason| format!("{}: {reason}", path.display()));
            let read = Read {
                fingerprint,
                offset,
                trouble,
            };
            self.files.insert(path.clone(), read);
        }
        true
    }

    /// Reads the records from `offset` on, which is moved behind them; says why it stopped before the end.
    fn read_from(
        &mut self,
        path: &Path,
        offset: &mut u64,
        size: u64,
    ) -> io::Result<Option<String>> {
        let mut file = BufReader::new(regular::open(path)?);
        file.seek(SeekFrom::Start(*offset))?;
        loop {
            match tfrecord::read(&mut file, size.saturating_sub(*offset))? {
                Record::End => return Ok(None),
                Record::Long(rest) => {
                    *offset = file.stream_position()? + rest;
                    file.seek(SeekFrom::Start(*offset))?;
                }
                Record::Data(data) => {
                    match Event::decode(&data[..]) {
                        Ok(event) => self.take(&event),
                        Err(error) => {
                            return Ok(Some(format!("expected an event, found {error}")));
                        }
                    }
                    *offset += data.len() as u64 + tfrecord::FRAME;
                }
                Record::Broken(what) => {
                    let reason = format!("expected a record, found {what} without its checksum");
                    return Ok(Some(reason));
                }
            }
        }
    }

    fn take(&mut self, event: &Event) {
        let Ok(step) = u64::try_from(event.step) else {
            return;
        };
        for scalar in event.summary.iter().flat_map(|summary| &summary.value) {
            let Some(value) = scalar
                .number()
                .filter(|_| quantities::quantity(&scalar.tag).is_some())
            else {
                continue;
            };
            if self.curves.len() < CURVES || self.curves.contains_key(&scalar.tag) {
                let series = self.curves.entry(scalar.tag.clone()).or_default();
                series.push(step, None, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::run::log::tfrecord::framed;
    use std::fs;

    fn event(step: i64, tag: &str, value: f32) -> Vec<u8> {
        let scalar = Scalar {
            tag: tag.into(),
            simple_value: Some(value),
            tensor: None,
        };
        let summary = Some(Summary {
            value: vec![scalar],
        });
        framed(&Event { step, summary }.encode_to_vec())
    }

    fn losses(reading: &ReadLog) -> Vec<(u64, f64)> {
        let entries = reading.log.train.entries().iter();
        entries.map(|entry| (entry.step, entry.value)).collect()
    }

    #[test]
    fn a_growing_file_is_read_on_from_its_last_whole_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.out.tfevents.1.host");
        let files = [path.clone()];
        let whole = [event(1, "loss", 3.0), event(2, "loss", 2.0)].concat();
        let mut events = Events::default();
        for (cut, expected) in [
            (whole.len() - 5, vec![(1, 3.0)]),
            (whole.len(), vec![(1, 3.0), (2, 2.0)]),
        ] {
            fs::write(&path, &whole[..cut]).unwrap();
            let reading = events.read(folder.path(), &files);
            assert_eq!(losses(&reading), expected);
            assert_eq!(reading.trouble, None);
        }
        // Begun anew under the same name.
        fs::write(&path, event(7, "loss", 1.0)).unwrap();
        assert_eq!(losses(&events.read(folder.path(), &files)), [(7, 1.0)]);
    }

    #[test]
    fn a_record_without_its_checksum_ends_the_log_with_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.out.tfevents.1.host");
        let first = event(1, "loss", 3.0);
        for (byte, what) in [(0, "a length"), (20, "data")] {
            let mut bytes = [&first[..], &event(2, "loss", 2.0)].concat();
            bytes[first.len() + byte] ^= 1;
            fs::write(&path, bytes).unwrap();
            let reading = Events::default().read(folder.path(), std::slice::from_ref(&path));
            assert_eq!(losses(&reading), [(1, 3.0)]);
            let expected = format!("found {what} without its checksum");
            let said = reading.trouble.unwrap();
            assert!(
                said.contains(&expected) && said.contains("tfevents.1.host: at byte"),
                "{said}"
            );
        }
    }

    #[test]
    fn pictures_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.out.tfevents.1.host");
        let bytes = [framed(&vec![7; 3 << 20]), event(4, "lr", 0.5)].concat();
        fs::write(&path, bytes).unwrap();
        let reading = Events::default().read(folder.path(), &[path]);
        assert_eq!(reading.log.rate.last().map(|entry| entry.value), Some(0.5));
        assert_eq!(reading.trouble, None);
    }
}
