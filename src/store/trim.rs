//! Keeps the database within its room.

use rusqlite::Connection;

/// Rounds of removal: each takes at least an eighth of what there is.
const ROUNDS: usize = 40;

/// Removes what was used longest ago until the rest takes at most `room` bytes.
pub(super) fn trim(connection: &Connection, room: u64) -> rusqlite::Result<()> {
    for _ in 0..ROUNDS {
        if used(connection)? <= room {
            break;
        }
        let oldest = "WITH times AS (SELECT used FROM scene UNION ALL SELECT used FROM spot)
                      SELECT used FROM times ORDER BY used LIMIT 1 OFFSET (SELECT count(*) / 8 FROM times)";
        let Ok(until) = connection.query_row(oldest, [], |row| row.get::<_, i64>(0)) else {
            break;
        };
        connection.execute(
            "DELETE FROM point WHERE scene IN (SELECT id FROM scene WHERE used <= ?)",
            [until],
        )?;
        for table in ["scene", "spot"] {
            connection.execute(&format!("DELETE FROM {table} WHERE used <= ?"), [until])?;
        }
    }
    give_back(connection)
}

/// Returns the bytes of the pages that hold something.
pub(super) fn used(connection: &Connection) -> rusqlite::Result<u64> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = pragma("page_count")? - pragma("freelist_count")?;
    Ok((pages * pragma("page_size")?).cast_unsigned())
}

/// Gives free pages back to the system.
pub(super) fn give_back(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA incremental_vacuum;")
}
