//! Training's own log as a witness: losses that it tells are compared with those that are measured.

use super::Assumed;

/// Largest ratio of a measured loss to the logged one, either way, and what may be added to it.
const BAND: (f64, f64) = (2.0, 0.1);
/// Significant digits of the losses in the sentence.
const DIGITS: usize = 2;

impl Assumed {
    /// Notes whether the measured losses of checkpoints are far from the logged ones: at the newest that has
    /// both and at most of the others. Each pair is a logged loss and a measured one, by step.
    pub fn weigh(&mut self, pairs: &[[f64; 2]]) {
        let finite = pairs
            .iter()
            .filter(|pair| pair.iter().all(|loss| loss.is_finite()));
        let pairs: Vec<[f64; 2]> = finite.copied().collect();
        let newest = pairs.last().filter(|newest| {
            let far_off = pairs.iter().filter(|pair| is_far_off(**pair)).count();
            is_far_off(**newest) && 2 * far_off > pairs.len()
        });
        self.logged = newest.map(|[logged, measured]| {
            format!(
                "training logged a loss of {logged:.DIGITS$} there, measured is {measured:.DIGITS$}: another function, pixels, labels or data, unless what is logged is another loss (label smoothing, penalties, dropout)"
            )
        });
    }

    /// Returns the sentences about what to check: the path's, the model's, the batches', and the log's.
    pub fn warnings(&self) -> impl Iterator<Item = &String> {
        let own = self.warning.iter().chain(&self.output);
        own.chain(&self.batches).chain(&self.logged)
    }
}

fn is_far_off([logged, measured]: [f64; 2]) -> bool {
    let (factor, more) = BAND;
    measured > factor * logged + more || measured < logged / factor - more
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pairs: &[[f64; 2]]) -> Option<String> {
        let mut assumed = Assumed {
            evident: true,
            ..Assumed::default()
        };
        assumed.weigh(pairs);
        assert_eq!(assumed.is_known(), assumed.logged.is_none());
        assumed.logged
    }

    #[test]
    fn losses_far_from_the_logged_ones_throughout_are_told() {
        let far = said(&[[2.3, 3.9], [0.8, 3.5], [0.34, 2.99]]);
        assert!(
            far.is_some_and(|far| far.contains("logged a loss of 0.34 there, measured is 2.99"))
        );
        assert!(said(&[[2.3, 0.4], [2.2, 0.3], [2.1, 0.2]]).is_some());
    }

    #[test]
    fn noise_one_outlier_and_missing_numbers_are_no_sign() {
        assert_eq!(said(&[[2.3, 2.3], [0.5, 0.8], [0.3, 0.65]]), None);
        assert_eq!(
            said(&[[2.3, 2.3], [0.5, 0.5], [0.3, 3.0]]),
            None,
            "the newest alone"
        );
        assert_eq!(
            said(&[[0.1, 3.0], [0.1, 3.0], [0.3, 0.3]]),
            None,
            "all but the newest"
        );
        assert_eq!(said(&[[f64::NAN, 3.0]]), None);
        assert_eq!(said(&[]), None);
    }
}
