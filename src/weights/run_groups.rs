//! Groups of a path's checkpoints that go on from one another: one for each of several runs that save into one folder.

/// Weights that go on from one another have a cosine above this.
const ALIKE: f64 = 0.5;
/// Those of independent runs have one below this: some of it is common, because all learn the same first.
const UNLIKE: f64 = 0.2;

/// Returns true for the cosine of a checkpoint that may go on from another.
pub(super) fn goes_on(likeness: f64) -> bool {
    likeness > UNLIKE
}

/// The run that a path follows among others.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Followed {
    /// Its first checkpoint.
    pub(super) first: usize,
    /// The checkpoints of the other runs, by step.
    pub(super) left: Vec<usize>,
}

/// Finds the run of the newest checkpoint among others; `None` if the path is one run. Training never comes back to weights
/// that it has forgotten, so that two that are alike on both sides of one that is unlike them are of one run, and that is
/// of another, which leaves with all that it has. `likeness` is the cosine of two checkpoints.
pub(super) fn followed(path: &[usize], likeness: impl Fn(usize, usize) -> f64) -> Option<Followed> {
    let newest = path.last()?;
    let groups = groups(path, &likeness);
    let own = groups.iter().find(|group| group.contains(newest))?;
    let place = |row: &usize| path.iter().position(|other| other == row);
    let is_among = |row: &usize| {
        let at = own.partition_point(|other| place(other) < place(row));
        let before = at.checked_sub(1).and_then(|at| own.get(at));
        let sides = before.zip(own.get(at));
        sides.is_some_and(|(before, after)| likeness(*after, *before) > ALIKE)
    };
    let others = groups.iter().filter(|group| !group.contains(newest));
    let among = others.filter(|group| group.iter().any(is_among));
    let mut left: Vec<usize> = among.flatten().copied().collect();
    left.sort_by_key(place);
    (!left.is_empty()).then_some(Followed {
        first: *own.first()?,
        left,
    })
}

/// Sorts checkpoints by step into groups, each of which goes on from its last; one that is unlike all begins another.
fn groups(path: &[usize], likeness: impl Fn(usize, usize) -> f64) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for &row in path {
        let to_last = |group: &Vec<usize>| group.last().map_or(1.0, |last| likeness(row, *last));
        let each: Vec<f64> = groups.iter().map(to_last).collect();
        let nearest = (0..each.len()).max_by(|a, b| each[*a].total_cmp(&each[*b]));
        match nearest.filter(|at| goes_on(each[*at])) {
            Some(at) => groups[at].push(row),
            None => groups.push(vec![row]),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checkpoints of runs by the letters of a path, the newest last: those of one letter are alike.
    fn of(letters: &str) -> Option<Followed> {
        let letters: Vec<char> = letters.chars().collect();
        let path: Vec<usize> = (0..letters.len()).collect();
        followed(
            &path,
            |a, b| {
                if letters[a] == letters[b] { 0.9 } else { 0.1 }
            },
        )
    }

    #[rstest::rstest]
    #[case::one("AAAA", None)]
    #[case::turns("ABABAB", Some((1, vec![0, 2, 4])))]
    #[case::three("ABCABCABC", Some((2, vec![0, 1, 3, 4, 6, 7])))]
    #[case::stranger("AABAA", Some((0, vec![2])))]
    #[case::another_that_began_before("BBABA", Some((2, vec![0, 1, 3])))]
    #[case::one_after_the_other("AAABBB", None)]
    #[case::a_last_one("AAAB", None)]
    fn other_runs_leave_with_all_that_they_have(
        #[case] letters: &str,
        #[case] expected: Option<(usize, Vec<usize>)>,
    ) {
        let expected = expected.map(|(first, left)| Followed { first, left });
        assert_eq!(of(letters), expected);
    }

    #[test]
    fn noise_around_one_place_is_one_run() {
        // Cosines scatter around the bound, and no two are alike.
        let path: Vec<usize> = (0..40).collect();
        let scattered = |a: usize, b: usize| 0.2 + 0.1 * ((a * 7 + b * 13) as f64).sin();
        assert_eq!(followed(&path, scattered), None);
    }
}
