//! Edge of stability: the curvature above which an optimizer's steps grow.

use serde::{Deserialize, Serialize};

use super::format::note::Note;

/// An optimizer, as far as its edge depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Optimizer {
    /// `torch.optim.SGD`: v ← βv + (1 − d)g, and a step of −ηv, or of −η(g + βv) if it is Nesterov's.
    Sgd {
        /// β, 0 for plain gradient descent.
        momentum: f64,
        /// d.
        dampening: f64,
        /// True for Nesterov's momentum.
        nesterov: bool,
    },
    /// Adam, RMSprop and others that scale the step of each weight: λmax of the loss alone tells them no edge.
    Scaled,
    /// Parameter groups with learning rates or momenta of their own: λmax of the loss alone tells them no edge either,
    /// because the rates stand between the weights and the Hessian.
    Grouped,
    /// Any other optimizer, e.g. LBFGS or Muon: no edge of its steps is known.
    Other,
}

/// Keys that a parameter group of PyTorch has if its optimizer scales steps.
const OF_SCALED: [&str; 5] = ["betas", "eps", "alpha", "rho", "etas"];

impl Optimizer {
    /// Reads the optimizer of all parameter groups of PyTorch; `None` if their keys tell none.
    pub(super) fn of_groups(groups: &[&Note]) -> Option<Self> {
        let rate = |group: &Note| group.get("lr").and_then(Note::number);
        let mut all = groups
            .iter()
            .map(|group| (rate(group), Self::of_group(group)));
        let first = all.next().filter(|first| first.0.is_some())?;
        Some(match first.1 {
            Self::Scaled => Self::Scaled,
            _ if all.any(|other| other != first) => Self::Grouped,
            alike => alike,
        })
    }

    /// Reads the optimizer of a parameter group by its keys.
    fn of_group(group: &Note) -> Self {
        if OF_SCALED.iter().any(|name| group.get(name).is_some()) {
            return Self::Scaled;
        }
        let number = |name: &str| group.get(name)?.number();
        match (number("momentum"), number("dampening")) {
            (Some(momentum), Some(dampening)) => Self::Sgd {
                momentum,
                dampening,
                nesterov: matches!(group.get("nesterov"), Some(Note::Bool(true))),
            },
            _ => Self::Other,
        }
    }

    /// Returns the largest eigenvalue at which steps of rate η do not grow; `None` if there is no such one. On a parabola
    /// of curvature λ a step has the eigenvalue −1 there (Cohen et al., "Gradient Descent on Neural Networks
    /// Typically Occurs at the Edge of Stability", ICLR 2021, appendix B).
    #[must_use]
    pub fn edge(self, rate: f64) -> Option<f64> {
        match self {
            Self::Sgd {
                momentum,
                nesterov: true,
                ..
            } => Some(2.0 * (1.0 + momentum) / (1.0 + 2.0 * momentum) / rate),
            Self::Sgd {
                momentum,
                dampening,
                ..
            } => Some(2.0 * (1.0 + momentum) / (1.0 - dampening) / rate),
            Self::Scaled | Self::Grouped | Self::Other => None,
        }
    }

    /// Returns the reason for which there is no edge; `None` if there is one.
    #[must_use]
    pub const fn without_edge(self) -> Option<&'static str> {
        match self {
            Self::Sgd { .. } => None,
            Self::Scaled => Some("the optimizer scales the step of each weight"),
            Self::Grouped => Some("parameter groups have rates of their own"),
            Self::Other => Some("the optimizer is neither SGD nor one of Adam's kind"),
        }
    }

    /// Returns the formula of the edge by the name of the learning rate; where there is no edge that of plain gradient
    /// descent.
    #[must_use]
    pub fn formula(self, rate: &str) -> String {
        match self {
            Self::Sgd { momentum: 0.0, .. } | Self::Scaled | Self::Grouped | Self::Other => {
                format!("2/{rate}")
            }
            Self::Sgd { nesterov: true, .. } => format!("2(1+β)/(1+2β)/{rate}"),
            Self::Sgd { dampening: 0.0, .. } => format!("2(1+β)/{rate}"),
            Self::Sgd { .. } => format!("2(1+β)/(1−d)/{rate}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the distance from the minimum of λx²/2 after 4000 steps of PyTorch's SGD from 1.
    fn descend(optimizer: Optimizer, rate: f64, curvature: f64) -> f64 {
        let Optimizer::Sgd {
            momentum,
            dampening,
            nesterov,
        } = optimizer
        else {
            return f64::NAN;
        };
        let (mut x, mut velocity) = (1.0, None);
        for _ in 0..4000 {
            let gradient: f64 = curvature * x;
            let next = velocity.map_or(gradient, |v: f64| {
                momentum * v + (1.0 - dampening) * gradient
            });
            velocity = Some(next);
            x -= rate
                * if nesterov {
                    gradient + momentum * next
                } else {
                    next
                };
        }
        x.abs()
    }

    #[rstest::rstest]
    #[case::plain(0.0, 0.0, false, "2/lr")]
    #[case::heavy_ball(0.9, 0.0, false, "2(1+β)/lr")]
    #[case::damped(0.5, 0.25, false, "2(1+β)/(1−d)/lr")]
    #[case::nesterov(0.9, 0.0, true, "2(1+β)/(1+2β)/lr")]
    fn steps_shrink_below_the_edge_and_grow_above_it(
        #[case] momentum: f64,
        #[case] dampening: f64,
        #[case] nesterov: bool,
        #[case] formula: &str,
    ) {
        let optimizer = Optimizer::Sgd {
            momentum,
            dampening,
            nesterov,
        };
        let edge = optimizer.edge(0.1).unwrap();
        assert!(descend(optimizer, 0.1, 0.99 * edge) < 1e-3, "{edge}");
        assert!(descend(optimizer, 0.1, 1.01 * edge) > 1e3, "{edge}");
        assert_eq!(optimizer.formula("lr"), formula);
    }

    #[test]
    fn steps_that_are_scaled_have_no_edge() {
        assert_eq!(Optimizer::Scaled.edge(0.1), None);
        assert_eq!(Optimizer::Scaled.formula("η"), "2/η");
    }
}
