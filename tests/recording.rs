//! Recordings: what is written comes back, and no file that is none, or is damaged, does harm.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod synthetic;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ciborium::Value;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use isoloss::session::{Analysis, Cut, Moment, RecordError, Recorder, Recording, Snapshot};
use isoloss::tui::offscreen::still;
use isoloss::tui::{Action, App, Appearance, View};
use proptest::prelude::*;
use ratatui::layout::Size;
use synthetic::{path_only, snapshot};

/// A session from before its first checkpoint to every analysis.
fn session() -> Vec<Snapshot> {
    let mut all = vec![Snapshot::default()];
    all.extend([1, 2, 3, 24].map(path_only));
    all.push(snapshot());
    let analyses = [
        Analysis::Random,
        Analysis::Update,
        Analysis::Line,
        Analysis::Plane,
        Analysis::Curvature,
    ];
    all.extend(analyses.map(synthetic::studied));
    let mut trouble = snapshot();
    trouble.trouble = Some("runs/resnet20: is gone".into());
    trouble.progress.points_per_second = f64::INFINITY;
    trouble.notices = vec!["one".into(), "two".into()];
    all.push(trouble.clone());
    trouble.trouble = None;
    all.push(trouble);
    all
}

fn recorded(snapshots: &[Snapshot]) -> Vec<u8> {
    let mut recorder = Recorder::begin(Vec::new()).unwrap();
    for (at, snapshot) in (0..).zip(snapshots) {
        recorder.record(Duration::from_secs(at), snapshot).unwrap();
    }
    recorder.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<Vec<Result<Moment, RecordError>>, RecordError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    Ok(Recording::open(file.path())?.collect())
}

/// As it is written: compared so, what is not a number is the same as itself.
fn bytes(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(snapshot, &mut bytes).unwrap();
    bytes
}

#[test]
fn every_snapshot_that_was_recorded_comes_back() {
    let session = session();
    let moments = read(&recorded(&session)).unwrap();
    assert_eq!(moments.len(), session.len());
    for (at, (moment, snapshot)) in (0..).zip(moments.into_iter().zip(&session)) {
        let moment = moment.unwrap();
        assert_eq!(moment.at, Duration::from_secs(at));
        assert!(bytes(&moment.snapshot) == bytes(snapshot), "snapshot {at}");
        let screens = [snapshot.clone(), Arc::unwrap_or_clone(moment.snapshot)].map(screen);
        assert_eq!(screens[0], screens[1]);
    }
}

/// The map at 120×40.
fn screen(snapshot: Snapshot) -> String {
    let mut app = App::new(Appearance::default());
    app.receive(Arc::new(snapshot));
    still(&app, Size::new(120, 40)).ansi()
}

#[test]
fn what_has_not_changed_is_not_written() {
    let session = vec![snapshot(); 50];
    assert_eq!(read(&recorded(&session)).unwrap().len(), 1);
    let mut growing = Vec::new();
    for done in 0..50 {
        let mut next = snapshot();
        next.progress.done = done;
        growing.push(next);
    }
    let (one, all) = (recorded(&growing[..1]).len(), recorded(&growing).len());
    assert!(all < one + 50 * 60, "{one} and {all} bytes");
}

#[test]
fn a_recording_that_was_cut_off_is_read_as_far_as_it_is_whole() {
    let session = session();
    let whole = recorded(&session);
    let mut most = 0;
    for length in (0..whole.len()).step_by(97).chain([whole.len() - 1]) {
        let Ok(moments) = read(&whole[..length]) else {
            continue;
        };
        let good = moments.iter().filter(|moment| moment.is_ok()).count();
        assert!(good >= most && moments.len() <= good + 1);
        for (moment, snapshot) in moments.iter().flatten().zip(&session) {
            assert!(bytes(&moment.snapshot) == bytes(snapshot));
        }
        most = good;
    }
    assert_eq!(most, session.len(), "but for its last byte it is whole");
}

#[test]
fn each_record_is_whole_in_the_file_once_it_is_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut recorder = Recorder::begin(fs::File::create(file.path()).unwrap()).unwrap();
    recorder.record(Duration::ZERO, &snapshot()).unwrap();
    // The recorder goes on, or is killed here.
    let moments: Vec<_> = Recording::open(file.path()).unwrap().collect();
    assert!(moments[0].is_ok() && moments.len() == 2);
    let sentence = moments[1].as_ref().unwrap_err().to_string();
    assert!(sentence.contains("is cut off after 0 s"), "{sentence}");
}

fn packed(items: &[&Value]) -> Vec<u8> {
    let mut to = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for item in items {
        ciborium::into_writer(item, &mut to).unwrap();
    }
    to.finish().unwrap()
}

fn unpacked(bytes: &[u8]) -> Vec<Value> {
    let mut text = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut text).unwrap();
    let mut rest = &text[..];
    let mut items = Vec::new();
    while !rest.is_empty() {
        items.push(ciborium::from_reader(&mut rest).unwrap());
    }
    items
}

/// The field of a map.
fn field<'a>(value: &'a mut Value, name: &str) -> &'a mut Value {
    let fields = value.as_map_mut().unwrap();
    let mut fields = fields.iter_mut();
    &mut fields
        .find(|(key, _)| key.as_text() == Some(name))
        .unwrap()
        .1
}

#[test]
fn what_is_no_recording_or_a_newer_one_is_refused_in_a_sentence() {
    let sentence = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    let unpacked = unpacked(&recorded(&[snapshot()]));
    let mut newer = unpacked[0].clone();
    *field(&mut newer, "version") = 9.into();
    *field(&mut newer, "isoloss") = "3.1.4".into();
    let text = sentence(&packed(&[&newer]));
    assert!(
        text.contains("version 9, written by isoloss 3.1.4; this isoloss reads version 1"),
        "{text}"
    );
    let mut other = unpacked[0].clone();
    *field(&mut other, "magic") = "something".into();
    for stranger in [
        packed(&[&other]),
        packed(&[]),
        b"PK\x03\x04".to_vec(),
        Vec::new(),
    ] {
        let text = sentence(&stranger);
        assert!(text.contains("expected a recording"), "{text}");
    }
    let missing = Recording::open(Path::new("not/there"))
        .unwrap_err()
        .to_string();
    assert!(missing.contains("not/there: cannot be opened"), "{missing}");
}

#[test]
fn what_claims_to_be_huge_takes_no_memory() {
    let head = &unpacked(&recorded(&[]))[0];
    let mut plain = Vec::new();
    ciborium::into_writer(head, &mut plain).unwrap();
    // An array, and a text, of 2^62 entries.
    for begin in [0x9b, 0x7b] {
        let mut to = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        to.write_all(&plain).unwrap();
        to.write_all(&[begin, 0x40, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        let moments = read(&to.finish().unwrap()).unwrap();
        assert!(moments.len() == 1 && moments[0].is_err());
    }
    // A record that unpacks to more than one may have.
    let mut to = GzEncoder::new(Vec::new(), flate2::Compression::best());
    to.write_all(&plain).unwrap();
    to.write_all(&[0x5b, 0, 0, 0, 1, 0, 0, 0, 0]).unwrap();
    for _ in 0..65 {
        to.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let moments = read(&to.finish().unwrap()).unwrap();
    assert!(moments.len() == 1 && moments[0].is_err());
}

/// Changes a value at a place that `choose` leads to.
fn spoil(value: &mut Value, choose: &mut impl FnMut(usize) -> usize) {
    let branch = match value {
        Value::Array(items) if !items.is_empty() => {
            let (at, count) = (choose(items.len()), items.len());
            match choose(6) {
                0 => items.truncate(at),
                1 => items.push(items[at].clone()),
                _ => return spoil(&mut items[at % count], choose),
            }
            return;
        }
        Value::Map(fields) if !fields.is_empty() => {
            let at = choose(fields.len());
            return spoil(&mut fields[at].1, choose);
        }
        leaf => leaf,
    };
    let others = [
        Value::from(f64::NAN),
        f64::INFINITY.into(),
        (-1e300).into(),
        0.into(),
        1e-310.into(),
        u64::MAX.into(),
        Value::Null,
        "".into(),
        Value::Array(Vec::new()),
        true.into(),
    ];
    let at = choose(others.len());
    *branch = others[at].clone();
}

/// Every view at three sizes.
fn look_at_everything(snapshot: Arc<Snapshot>) {
    let mut app = App::new(Appearance::default());
    app.receive(snapshot);
    for _ in View::ALL {
        for action in [Action::NextDirections, Action::ScrubBack, Action::ZoomIn] {
            app.update(action);
            for size in [Size::new(120, 40), Size::new(40, 12)] {
                let _ = still(&app, size).svg();
            }
        }
        app.update(Action::NextView);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 8 } else { 64 }))]

    #[test]
    fn a_recording_that_was_tampered_with_is_refused_or_can_be_looked_at(
        analysis in 0..5usize,
        choices in prop::collection::vec(any::<usize>(), 64),
        times in 1..4usize,
    ) {
        let analyses = [Analysis::Random, Analysis::Update, Analysis::Line, Analysis::Plane, Analysis::Curvature];
        let mut items = unpacked(&recorded(&[synthetic::studied(analyses[analysis])]));
        let mut choices = choices.into_iter().cycle();
        let mut choose = |count: usize| choices.next().unwrap() % count;
        for _ in 0..times {
            spoil(field(&mut items[1], "change"), &mut choose);
        }
        let moments = read(&packed(&items.iter().collect::<Vec<_>>())).unwrap();
        for moment in moments.into_iter().flatten() {
            look_at_everything(moment.snapshot);
        }
    }
}

/// A disk that takes so many bytes and no more, until it is given room.
struct Disk {
    bytes: Vec<u8>,
    room: std::rc::Rc<std::cell::Cell<usize>>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = bytes
            .len()
            .min(self.room.get().saturating_sub(self.bytes.len()));
        if count == 0 && !bytes.is_empty() {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Cut for Disk {
    fn cut(&mut self, length: u64) -> std::io::Result<()> {
        self.bytes.cut(length)
    }
}

#[test]
fn a_full_disk_loses_only_what_came_while_it_was_full() {
    let session = session();
    let room = std::rc::Rc::new(std::cell::Cell::new(1 << 20));
    let (disk, given) = (room.clone(), &room);
    let mut recorder = Recorder::begin(Disk {
        bytes: Vec::new(),
        room: disk,
    })
    .unwrap();
    let mut kept = Vec::new();
    for (at, snapshot) in session.iter().enumerate() {
        // Twice the disk is full in the midst of a record.
        given.set(if [2, 3, 6].contains(&at) {
            500
        } else {
            1 << 20
        });
        let recorded = recorder.record(Duration::from_secs(at as u64), snapshot);
        assert_eq!(recorded.is_err(), [2, 3, 6].contains(&at), "{at}");
        if recorded.is_ok() {
            kept.push(snapshot);
        }
    }
    let moments = read(&recorder.finish().unwrap().bytes).unwrap();
    assert_eq!(moments.len(), kept.len());
    for (moment, snapshot) in moments.into_iter().zip(kept) {
        assert!(bytes(&moment.unwrap().snapshot) == bytes(snapshot));
    }
}
