//! The amount that a database holds, and its removal: of a run or of all.

use std::path::Path;

use rusqlite::params;
use serde::Serialize;

use super::StoreError;
use super::database::{Store, name};
use super::trim::{give_back, used};

/// The values of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// Points of planes, and values of checkpoints and between them.
    pub values: u64,
    /// Planes that have points.
    pub planes: u64,
    /// Bytes that they take.
    pub bytes: u64,
}

impl Store {
    /// Counts what there is.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn contents(&self) -> Result<Contents, StoreError> {
        self.with(|connection| {
            let count = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
            Ok(Contents {
                values: (count("SELECT count(*) FROM point")?
                    + count("SELECT count(*) FROM spot")?)
                .cast_unsigned(),
                planes: count("SELECT count(DISTINCT scene) FROM point")?.cast_unsigned(),
                bytes: used(connection)?,
            })
        })
    }

    /// Removes the values of checkpoints in a folder, or all; returns what there was.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn clear(&self, run: Option<&Path>) -> Result<Contents, StoreError> {
        let before = self.contents()?;
        self.with(|connection| {
            let Some(run) = run else {
                connection.execute_batch(
                    "DELETE FROM point; DELETE FROM scene; DELETE FROM spot; DELETE FROM file;",
                )?;
                return give_back(connection);
            };
            let [folder, inside] =
                [run.to_path_buf(), run.join("")].map(|path| name(&path).to_vec());
            let is_there = "(run = ?1 OR substr(run, 1, length(?2)) = ?2)";
            let row = params![folder, inside];
            connection.execute(
                &format!(
                    "DELETE FROM point WHERE scene IN (SELECT id FROM scene WHERE {is_there})"
                ),
                row,
            )?;
            connection.execute(&format!("DELETE FROM scene WHERE {is_there}"), row)?;
            connection.execute(&format!("DELETE FROM spot WHERE {is_there}"), row)?;
            give_back(connection)
        })?;
        let after = self.contents()?;
        Ok(Contents {
            // Another one may have kept more meanwhile.
            values: before.values.saturating_sub(after.values),
            planes: before.planes.saturating_sub(after.planes),
            bytes: before.bytes.saturating_sub(after.bytes),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use crate::store::{Digest, KeptPoint, PointPlace};

    fn key(byte: u8) -> Digest {
        Digest([byte; 32])
    }

    fn fill(store: &Store, run: &str, own: u8, points: u32) {
        let run = Path::new(run);
        let scene = store.scene(key(own), run, "{}").unwrap();
        for i in 0..points {
            let place = PointPlace {
                at: [f64::from(i), 0.0],
                samples: None,
            };
            let kept = KeptPoint {
                place,
                loss: 1.0,
                score: 0.5,
            };
            store.keep_point(scene, &kept, "cpu").unwrap();
        }
        store
            .keep_spot(key(100 + own), &[0; 64], run, "cpu")
            .unwrap();
    }

    #[test]
    fn values_of_a_run_are_removed_without_those_of_its_neighbours() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("measured.sqlite"), u64::MAX).unwrap();
        for (own, run) in ["/runs/a", "/runs/a/checkpoint-5", "/runs/ab", "/runs"]
            .iter()
            .enumerate()
        {
            fill(&store, run, own as u8, 10);
        }
        assert_eq!(
            (
                store.contents().unwrap().values,
                store.contents().unwrap().planes
            ),
            (44, 4)
        );
        let removed = store.clear(Some(Path::new("/runs/a"))).unwrap();
        assert_eq!((removed.values, removed.planes), (22, 2));
        assert_eq!(store.spot(key(102)).unwrap(), Some(vec![0; 64]));
        assert_eq!(store.clear(None).unwrap().values, 22);
        assert_eq!(store.contents().unwrap().values, 0);
    }

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("measured.sqlite");
        let store = Store::open(&path, u64::MAX).unwrap();
        for own in 0..8 {
            fill(&store, "/runs/a", own, 2000);
            let age = i64::from(own);
            store
                .with(|connection| {
                    connection.execute("UPDATE scene SET used = ? WHERE used > 1000", [age])?;
                    connection.execute("UPDATE spot SET used = ? WHERE used > 1000", [age])
                })
                .unwrap();
        }
        let all = store.contents().unwrap();
        drop(store);
        let room = all.bytes / 2;
        let store = Store::open(&path, room).unwrap();
        let left = store.contents().unwrap();
        assert!(
            left.bytes <= room && left.values > all.values / 4,
            "{left:?} of {all:?}"
        );
        let scene = |own| store.scene(key(own), Path::new("/runs/a"), "{}").unwrap();
        assert_eq!(store.points(scene(7)).unwrap().len(), 2000);
        assert_eq!(store.points(scene(0)).unwrap().len(), 0);
        assert!(std::fs::metadata(&path).unwrap().len() <= 2 * all.bytes);
    }
}
