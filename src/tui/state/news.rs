//! The session's part of the banner.

use crate::session::Snapshot;

/// Returns the last thing that went wrong: that there is no path first, unless the view says it in the path's
/// place, so that the sentence is not repeated.
pub(super) fn newest(snapshot: &Snapshot, is_map: bool) -> Option<&str> {
    match &snapshot.trouble {
        Some(_) if is_map && snapshot.trajectory.is_none() => None,
        Some(trouble) => Some(trouble),
        None => snapshot.notices.last().map(String::as_str),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Trajectory;

    #[test]
    fn why_there_is_no_path_is_said_once() {
        let empty = Snapshot {
            trouble: Some("runs/a: nothing usable".into()),
            notices: vec!["model_3.pt holds NaN".into()],
            ..Snapshot::default()
        };
        assert_eq!(newest(&empty, true), None);
        assert_eq!(newest(&empty, false), Some("runs/a: nothing usable"));
        let lost = Snapshot {
            trajectory: Some(Trajectory::default().into()),
            ..empty.clone()
        };
        assert_eq!(newest(&lost, true), Some("runs/a: nothing usable"));
        let fine = Snapshot {
            trouble: None,
            ..empty
        };
        assert_eq!(newest(&fine, true), Some("model_3.pt holds NaN"));
    }
}
