//! Rules for fitting the plane of the map again, each in one place.
//!
//! A plane that moved with every checkpoint would throw away what was measured on it, and no contour would ever
//! stand beside a training that saves often. On real runs a plane serves for ten to twenty checkpoints after the
//! first third, and loses 1 to 3 % of the variance by then.

use std::time::Duration;

/// Share of the variance by which the best plane must be better.
const CLEARLY_BETTER: f64 = 0.03;
/// Distance of the newest checkpoint from the plane, as a share of the path's extent, that is too far.
pub(super) const TOO_FAR: f64 = 0.15;
/// Multiple of the distance of the checkpoint that came next after a plane was fitted, above which the newest is farther
/// than it would be from another plane: where each checkpoint leaves the plane of those before it by as much, another
/// plane is left by the next one again.
const FARTHER: f64 = 1.5;
/// Checkpoints without which there is no plane.
const FEWEST: usize = 3;
/// Usual intervals after which a plane is old.
const OLD: u32 = 10;
/// Multiple of its checkpoints at which a path has outgrown a plane: the early ones of a run move most, so that a plane
/// of three says little about six.
const OUTGROWN: usize = 2;

/// A plane that is held, beside the one that the path would have now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldPlane {
    /// Number of checkpoints of which it is the principal plane.
    pub members: usize,
    /// Number of checkpoints now.
    pub path: usize,
    /// Share of the variance of all checkpoints on it.
    pub explained: f64,
    /// Share on the plane of all checkpoints.
    pub best: f64,
    /// Distance of the newest from it, as a share of the path's extent.
    pub newest: f64,
    /// Distance of the first that came after it was fitted, as a share of the same extent.
    pub next: f64,
    /// True if nothing can be measured on it, because there are no samples or no model.
    pub is_refused: bool,
    /// True if the path lies within the window.
    pub is_in_window: bool,
    /// True if no checkpoint came for three usual intervals.
    pub is_quiet: bool,
}

/// Reasons why another plane is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There was no plane of three checkpoints yet.
    First,
    /// Nothing is measured on the plane, so that nothing is lost with it.
    Refused,
    /// The best plane explains clearly more.
    Variance,
    /// The newest checkpoint is too far away, and was not so far from a new plane.
    Distance,
    /// The path left the window.
    Window,
    /// Nothing new comes, so that the picture can be exactly that of the path's own plane.
    Quiet,
}

/// Returns true if a path of so many checkpoints has outgrown the plane of so many `members`.
pub(super) fn is_outgrown(members: usize, path: usize) -> bool {
    path >= OUTGROWN * members
}

impl HeldPlane {
    /// Says why another plane is wanted; `None` while this one serves.
    #[must_use]
    pub fn wanted(&self) -> Option<Reason> {
        if self.members == self.path {
            return None;
        }
        let reasons = [
            (self.members < FEWEST, Reason::First),
            (self.is_refused, Reason::Refused),
            (
                self.best - self.explained > CLEARLY_BETTER,
                Reason::Variance,
            ),
            (
                self.newest > TOO_FAR && self.newest > FARTHER * self.next,
                Reason::Distance,
            ),
            (!self.is_in_window, Reason::Window),
            (self.is_quiet, Reason::Quiet),
        ];
        let reason = reasons.into_iter().find(|(holds, _)| *holds);
        reason.map(|(_, reason)| reason)
    }
}

/// The progress of a plane's picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureProgress {
    /// True if its 5×5 is measured.
    pub first: bool,
    /// True if its 9×9 is.
    pub second: bool,
    /// Time since it was fitted.
    pub age: Duration,
    /// The usual interval between two checkpoints.
    pub usual: Option<Duration>,
    /// True if the path has outgrown it.
    pub is_outgrown: bool,
}

impl PictureProgress {
    /// Returns true if the plane may give way: a picture is finished before the next is begun.
    #[must_use]
    pub fn allows(&self, reason: Reason) -> bool {
        let is_old = self
            .usual
            .is_some_and(|usual| self.age > usual.saturating_mul(OLD));
        let loses_nothing = matches!(reason, Reason::First | Reason::Refused);
        loses_nothing || self.second || self.first && (is_old || self.is_outgrown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVES: HeldPlane = HeldPlane {
        members: 12,
        path: 15,
        explained: 0.88,
        best: 0.90,
        newest: 0.1,
        next: 0.1,
        is_refused: false,
        is_in_window: true,
        is_quiet: false,
    };

    #[test]
    fn a_plane_serves_until_one_of_its_limits_is_passed() {
        assert_eq!(SERVES.wanted(), None);
        for (held, reason) in [
            (
                HeldPlane {
                    members: 2,
                    ..SERVES
                },
                Reason::First,
            ),
            (
                HeldPlane {
                    best: 0.92,
                    ..SERVES
                },
                Reason::Variance,
            ),
            (
                HeldPlane {
                    is_refused: true,
                    ..SERVES
                },
                Reason::Refused,
            ),
            (
                HeldPlane {
                    newest: 0.16,
                    ..SERVES
                },
                Reason::Distance,
            ),
            (
                HeldPlane {
                    is_in_window: false,
                    ..SERVES
                },
                Reason::Window,
            ),
            (
                HeldPlane {
                    is_quiet: true,
                    ..SERVES
                },
                Reason::Quiet,
            ),
        ] {
            assert_eq!(held.wanted(), Some(reason));
            // The plane of all checkpoints is as good as can be.
            assert_eq!(
                HeldPlane {
                    members: 15,
                    ..held
                }
                .wanted(),
                None
            );
        }
    }

    #[test]
    fn a_plane_is_not_left_for_another_that_the_next_checkpoint_leaves_as_far() {
        let far = |next, newest| HeldPlane {
            newest,
            next,
            ..SERVES
        };
        assert_eq!(far(0.17, 0.2).wanted(), None);
        assert_eq!(far(0.17, 0.26).wanted(), Some(Reason::Distance));
        assert_eq!(far(0.02, 0.14).wanted(), None);
    }

    #[test]
    fn a_path_of_twice_the_checkpoints_has_outgrown_its_plane() {
        assert!(!is_outgrown(3, 5) && is_outgrown(3, 6));
        assert!(!is_outgrown(12, 23) && is_outgrown(12, 24));
    }

    #[test]
    fn a_picture_is_finished_before_the_next_is_begun() {
        let begun = PictureProgress {
            first: false,
            second: false,
            age: Duration::from_secs(60),
            usual: Some(Duration::from_secs(5)),
            is_outgrown: false,
        };
        let allows = |standing: PictureProgress| standing.allows(Reason::Distance);
        assert!(!allows(begun) && begun.allows(Reason::First));
        let first = PictureProgress {
            first: true,
            ..begun
        };
        // Twelve intervals old, or the interval is not known, or it is young.
        assert!(allows(first));
        assert!(!allows(PictureProgress {
            usual: None,
            ..first
        }));
        assert!(!allows(PictureProgress {
            age: Duration::from_secs(49),
            ..first
        }));
        let young = PictureProgress {
            age: Duration::from_secs(10),
            ..first
        };
        assert!(!allows(young));
        assert!(allows(PictureProgress {
            is_outgrown: true,
            ..young
        }));
        assert!(!allows(PictureProgress {
            is_outgrown: true,
            ..begun
        }));
        assert!(allows(PictureProgress {
            second: true,
            usual: None,
            ..first
        }));
        assert!(begun.allows(Reason::Refused));
    }
}
