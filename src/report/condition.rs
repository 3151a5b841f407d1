//! Condition under which a loss is that of the run: what is assumed of the function that is measured.

use crate::session::Snapshot;

/// Returns the warnings that the run did not minimize what is measured; `None` if there are none.
pub(crate) fn doubt(snapshot: &Snapshot) -> Option<String> {
    let assumed = snapshot.assumed.as_ref()?;
    let warnings: Vec<&str> = assumed.warnings().map(String::as_str).collect();
    (!warnings.is_empty()).then(|| warnings.join(". "))
}

/// Returns everything that is assumed of the function that is measured, in words: `relu`, `shortcuts projection`,
/// `pixels cifar10`.
pub(crate) fn assumptions(snapshot: &Snapshot) -> Vec<String> {
    let Some(assumed) = &snapshot.assumed else {
        return Vec::new();
    };
    let words = assumed.function.reading.words().into_iter();
    let mut taken: Vec<String> = words
        .map(|(subject, answer)| match subject {
            "activation" => answer,
            subject => format!("{subject} {answer}"),
        })
        .collect();
    // Behind the activation: of all assumptions these two change the losses most.
    if let Some(pixels) = assumed.pixels() {
        taken.insert(taken.len().min(1), format!("pixels {pixels}"));
    }
    // An evaluator stands as the model.
    let is_own = snapshot.evaluator.is_none();
    if is_own && !["", "cross-entropy"].contains(&&*assumed.loss) {
        taken.push(format!("loss {}", assumed.loss));
    }
    taken
}

/// Returns the condition under which a loss is that of the run: `if relu`, `assumed` if there are several, or `doubtful`;
/// `None` if it is beyond doubt, or nothing is assumed.
pub(crate) fn of_loss(snapshot: &Snapshot) -> Option<String> {
    let assumed = snapshot.assumed.as_ref()?;
    if doubt(snapshot).is_some() {
        return Some("doubtful".into());
    }
    let taken = assumptions(snapshot);
    match &taken[..] {
        _ if assumed.is_known() => None,
        [] => None,
        [alone] => Some(format!("if {alone}")),
        _ => Some("assumed".into()),
    }
}
