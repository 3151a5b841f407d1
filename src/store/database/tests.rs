//! Values come back to the bit, from several processes, and what is damaged is set aside.

use super::*;

fn key(byte: u8) -> Digest {
    Digest([byte; 32])
}

fn kept(at: [f64; 2], samples: Option<usize>, loss: f64) -> KeptPoint {
    let place = PointPlace { at, samples };
    KeptPoint {
        place,
        loss,
        score: 0.5,
    }
}

/// Returns the values of a scene by the bits of all that they have.
fn found(store: &Store, scene: SceneId) -> Vec<([u64; 4], Option<usize>)> {
    let points = store.points(scene).unwrap().into_iter();
    let bits = |kept: KeptPoint| {
        let [x, y] = kept.place.at;
        (
            [x, y, kept.loss, kept.score].map(f64::to_bits),
            kept.place.samples,
        )
    };
    let mut all: Vec<_> = points.map(bits).collect();
    all.sort_unstable();
    all
}

#[test]
fn values_come_back_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/measured.sqlite");
    let points = [
        kept([-0.0, 0.1], None, f64::NAN),
        kept([0.0, 0.1], None, f64::INFINITY),
        kept([0.1 + 0.2, -1e-308], Some(64), -0.0),
        kept([0.1 + 0.2, -1e-308], None, 5e-324),
    ];
    let store = Store::open(&path, u64::MAX).unwrap();
    let scene = store.scene(key(1), Path::new("/run"), "{}").unwrap();
    for point in &points {
        store.keep_point(scene, point, "cpu").unwrap();
    }
    let before = found(&store, scene);
    assert_eq!(before.len(), points.len());
    drop(store);
    let store = Store::open(&path, u64::MAX).unwrap();
    assert_eq!(store.scene(key(1), Path::new("/run"), "{}").unwrap(), scene);
    assert_eq!(found(&store, scene), before);
    assert!(before.iter().any(|(bits, _)| bits[2] == f64::NAN.to_bits()));
    let other = store.scene(key(2), Path::new("/run"), "{}").unwrap();
    assert!(other != scene && found(&store, other).is_empty());
}

#[test]
fn the_first_value_of_a_point_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("measured.sqlite"), u64::MAX).unwrap();
    let scene = store.scene(key(1), Path::new("/run"), "{}").unwrap();
    for loss in [1.0, 2.0] {
        store
            .keep_point(scene, &kept([0.0; 2], None, loss), "cuda:0")
            .unwrap();
    }
    assert_eq!(store.points(scene).unwrap(), [kept([0.0; 2], None, 1.0)]);
}

#[test]
fn a_value_that_is_not_as_it_was_written_is_none_and_can_be_kept_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("measured.sqlite"), u64::MAX).unwrap();
    let run = Path::new("/run");
    let scene = store.scene(key(1), run, "{}").unwrap();
    let points = [1.0, 2.0].map(|at| kept([at, 0.0], None, 0.25));
    for point in &points {
        store.keep_point(scene, point, "cpu").unwrap();
    }
    store.keep_spot(key(2), &[1, 2, 3], run, "cpu").unwrap();
    store.keep_spot(key(3), &[1, 2, 3], run, "cpu").unwrap();
    let damage = "UPDATE point SET loss = loss + 1 WHERE x = ?";
    store
        .with(|connection| {
            connection.execute(damage, [bits(1.0)])?;
            connection.execute(
                "UPDATE spot SET value = x'010203FF' WHERE key = ?",
                [key(2).0],
            )
        })
        .unwrap();
    assert_eq!(store.points(scene).unwrap(), points[1..]);
    assert_eq!(store.spot(key(2)).unwrap(), None);
    assert_eq!(store.spot(key(3)).unwrap(), Some(vec![1, 2, 3]));
    store.keep_point(scene, &points[0], "cpu").unwrap();
    store.keep_spot(key(2), &[4], run, "cpu").unwrap();
    assert_eq!(store.points(scene).unwrap(), points);
    assert_eq!(store.spot(key(2)).unwrap(), Some(vec![4]));
}

#[test]
fn looking_a_value_up_is_using_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("measured.sqlite"), u64::MAX).unwrap();
    store
        .keep_spot(key(1), &[1], Path::new("/run"), "cpu")
        .unwrap();
    let used = |store: &Store| {
        let sql = "SELECT used FROM spot";
        store.with(|connection| connection.query_row(sql, [], |row| row.get::<_, i64>(0)))
    };
    let old = now() - 2 * USE;
    store
        .with(|connection| connection.execute("UPDATE spot SET used = ?", [old]))
        .unwrap();
    assert_eq!(store.spot(key(2)).unwrap(), None);
    assert_eq!(used(&store).unwrap(), old);
    assert_eq!(store.spot(key(1)).unwrap(), Some(vec![1]));
    assert!(used(&store).unwrap() > old + USE);
}

#[test]
fn a_content_is_that_of_a_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("measured.sqlite"), u64::MAX).unwrap();
    let file = folder.path().join("1.pt");
    fs::write(&file, "one").unwrap();
    let before = Fingerprint::of(&file).unwrap();
    assert_eq!(store.content(&file, "", before).unwrap(), None);
    store.keep_content(&file, "", before, key(7)).unwrap();
    assert_eq!(store.content(&file, "", before).unwrap(), Some(key(7)));
    assert_eq!(store.content(&file, "ema", before).unwrap(), None);
    fs::write(&file, "longer").unwrap();
    let after = Fingerprint::of(&file).unwrap();
    assert_eq!(store.content(&file, "", after).unwrap(), None);
}

#[test]
fn several_processes_make_and_fill_one_database_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("measured.sqlite");
    let fill = |own: u8| {
        let store = Store::open(&path, u64::MAX).unwrap();
        let scene = store.scene(key(1), Path::new("/run"), "{}").unwrap();
        for i in 0..100 {
            let at = [f64::from(own), f64::from(i)];
            store
                .keep_point(scene, &kept(at, None, 1.0), "cpu")
                .unwrap();
        }
        store
            .keep_spot(key(own), &[own], Path::new("/run"), "cpu")
            .unwrap();
    };
    std::thread::scope(|scope| {
        for own in 0..8 {
            scope.spawn(move || fill(own));
        }
    });
    let store = Store::open(&path, u64::MAX).unwrap();
    let scene = store.scene(key(1), Path::new("/run"), "{}").unwrap();
    assert_eq!(store.points(scene).unwrap().len(), 800);
    assert!((0..8).all(|own| store.spot(key(own)).unwrap() == Some(vec![own])));
    assert_eq!(store.spot(key(8)).unwrap(), None);
}

#[test]
fn what_is_damaged_or_of_another_version_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("measured.sqlite");
    fs::write(
        &path,
        "no database, but long enough to be looked at ".repeat(99),
    )
    .unwrap();
    drop(Store::open(&path, u64::MAX).unwrap());
    assert!(folder.path().join("measured.sqlite.old").exists());
    let other = Connection::open(&path).unwrap();
    other
        .pragma_update(None, "user_version", VERSION + 1)
        .unwrap();
    drop(other);
    let store = Store::open(&path, u64::MAX).unwrap();
    store
        .keep_spot(key(1), b"a", Path::new("/run"), "cpu")
        .unwrap();
    // A folder in its place is neither.
    let blocked = folder.path().join("blocked");
    fs::create_dir(&blocked).unwrap();
    let refused = Store::open(&blocked, u64::MAX).unwrap_err().to_string();
    assert!(
        refused.starts_with(&blocked.display().to_string()),
        "{refused}"
    );
}

#[test]
fn on_a_network_file_system_writes_are_committed_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("measured.sqlite");
    let store = Store::over(&path, connect(&path, true).unwrap(), true);
    store
        .keep_spot(key(1), b"a", Path::new("/run"), "cpu")
        .unwrap();
    assert!(store.state().open_since.is_some());
    store.flush().unwrap();
    assert!(store.state().open_since.is_none());
    assert_eq!(store.spot(key(1)).unwrap(), Some(b"a".to_vec()));
    // It has the database for itself.
    let second = connect(&path, true);
    assert!(second.is_err());
}

#[test]
fn a_scene_that_was_removed_meanwhile_takes_nothing_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("measured.sqlite");
    let [store, other] = [(); 2].map(|()| Store::open(&path, u64::MAX).unwrap());
    let scene = store.scene(key(1), Path::new("/runs/a"), "{}").unwrap();
    store
        .keep_point(scene, &kept([0.0; 2], None, 1.0), "cpu")
        .unwrap();
    other.clear(None).unwrap();
    let later = other.scene(key(2), Path::new("/runs/a"), "{}").unwrap();
    store
        .keep_point(scene, &kept([1.0; 2], None, 1.0), "cpu")
        .unwrap();
    assert!(found(&other, later).is_empty());
    assert_eq!(store.contents().unwrap().values, 0);
}

#[test]
fn what_is_damaged_while_it_is_used_is_set_aside_for_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("measured.sqlite");
    let fill = || {
        let store = Store::open(&path, u64::MAX)?;
        let scene = store.scene(key(1), Path::new("/runs/a"), "{}")?;
        for i in 0..3000 {
            store.keep_point(scene, &kept([f64::from(i); 2], None, 1.0), "cpu")?;
        }
        Ok::<_, StoreError>(store.points(scene)?.len())
    };
    assert_eq!(fill().unwrap(), 3000);
    let mut bytes = fs::read(&path).unwrap();
    // All pages but the first, whose header is looked at when it is opened.
    bytes[4096..].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    assert!(fill().is_err());
    assert_eq!(fill().unwrap(), 3000);
}
