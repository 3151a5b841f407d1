//! Choice of the points that a path which became too long can do without.

use crate::cache::evenly_thinned;

/// Points of a run that are drawn: more than a screen has room for. The matrices of a path grow with the
/// square of its points, and a watch of weeks must not.
const LONGEST: usize = 256;
/// Points of branches that training has left, among those.
const LONGEST_LEFT: usize = LONGEST / 4;

/// A point as thinning sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ThinningCandidate {
    /// True while the run has its file, so that it stays.
    pub(super) on_disk: bool,
    /// True on a branch that training has left.
    pub(super) is_left: bool,
    /// Length of the path up to it; `None` if the path was not fitted with it yet.
    pub(super) length: Option<f64>,
}

/// Returns the indices of the points to take off so that `LONGEST` are left. Old branches keep a quarter;
/// the path is thinned evenly in its length, with both ends. Where lengths are not known yet, as at the
/// start of a session, it is thinned evenly in number, because to know them takes the matrices of all.
pub(super) fn superfluous(points: &[ThinningCandidate]) -> Vec<usize> {
    let gone = |is_left: bool| -> Vec<usize> {
        let is_one = |at: &usize| !points[*at].on_disk && points[*at].is_left == is_left;
        (0..points.len()).filter(is_one).collect()
    };
    let mut surplus = points.len().saturating_sub(LONGEST);
    let mut taken = Vec::new();
    let left = gone(true);
    for (group, most) in [
        (&left, left.len().saturating_sub(LONGEST_LEFT)),
        (&gone(false), usize::MAX),
    ] {
        let thinned = evenly_thinned(&lengths(points, group), surplus.min(most));
        surplus -= thinned.len();
        taken.extend(thinned.into_iter().map(|at| group[at]));
    }
    taken
}

/// Returns the length of the path up to each of a group, or its number where one has none.
fn lengths(points: &[ThinningCandidate], group: &[usize]) -> Vec<f64> {
    let known: Option<Vec<f64>> = group.iter().map(|&at| points[at].length).collect();
    known.unwrap_or_else(|| (0..group.len()).map(|at| at as f64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(on_disk: bool, is_left: bool, length: Option<f64>) -> ThinningCandidate {
        ThinningCandidate {
            on_disk,
            is_left,
            length,
        }
    }

    /// Returns those of these points that stay, in order.
    fn staying(points: &[ThinningCandidate]) -> Vec<usize> {
        let taken = superfluous(points);
        (0..points.len()).filter(|at| !taken.contains(at)).collect()
    }

    #[test]
    fn a_path_of_unknown_lengths_is_thinned_in_number_and_what_is_on_disk_stays() {
        let mut points = vec![candidate(false, false, None); 5000];
        points.extend([candidate(true, false, None); 20]);
        let stay = staying(&points);
        assert_eq!(stay.len(), LONGEST);
        assert_eq!(stay[0], 0);
        assert!((5000..5020).all(|at| stay.contains(&at)));
        let gaps = stay.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.max() <= Some(2 * 5000 / 236), "{stay:?}");
    }

    #[test]
    fn known_lengths_decide_which_points_go() {
        // The second half hardly moves.
        let at = |at: usize| {
            if at < 200 {
                at as f64
            } else {
                200.0 + at as f64 / 1e3
            }
        };
        let points: Vec<ThinningCandidate> = (0..400)
            .map(|i| candidate(false, false, Some(at(i))))
            .collect();
        let stay = staying(&points);
        assert_eq!(stay.len(), LONGEST);
        assert!((0..200).all(|at| stay.contains(&at)), "{stay:?}");
    }

    #[test]
    fn a_long_branch_that_was_left_does_not_push_the_path_off() {
        let mut points = vec![candidate(false, true, None); 600];
        points.extend((0..100).map(|at| candidate(false, false, Some(f64::from(at)))));
        let path = 600..700;
        let stay = staying(&points);
        assert_eq!(stay.len(), LONGEST);
        assert!(path.clone().all(|at| stay.contains(&at)));
        points.extend(vec![candidate(true, false, None); 150]);
        let stay = staying(&points);
        let on_path = stay.iter().filter(|at| path.contains(at)).count();
        assert_eq!(
            (stay.len(), on_path),
            (LONGEST, LONGEST - LONGEST_LEFT - 150)
        );
        assert!(superfluous(&points[..LONGEST]).is_empty());
    }
}
