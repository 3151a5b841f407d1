//! Comparison of what came with what was expected: numbers, sentences, and the nearest of several right answers.

use serde_json::Value;

/// Tells whether numbers are equal: norms to a thousandth of their size, shares of variance to 0.001, all else exactly.
pub(crate) fn is_near(want: &Value, got: &Value, key: &str) -> bool {
    if let Some(wants) = want.as_array() {
        return got.as_array().is_some_and(|gots| {
            let is_long_enough = match key {
                "explained" => gots.len() >= wants.len(),
                _ => gots.len() == wants.len(),
            };
            is_long_enough && wants.iter().zip(gots).all(|(w, g)| is_near(w, g, key))
        });
    }
    let (Some(want), Some(got)) = (want.as_f64(), got.as_f64()) else {
        return false;
    };
    let room = match key {
        "norm" => 1e-3 * want.abs(),
        "moved" => 2e-3 * want.abs() + 1e-4,
        "explained" => 1e-3,
        _ => 0.0,
    };
    (want - got).abs() <= room
}

/// Tells whether a sentence has a word whole, in any case; `*` at an end lets it be part of a longer one.
pub(crate) fn has_word(sentence: &str, word: &str) -> bool {
    let sentence = sentence.to_lowercase();
    let bare = word.trim_matches('*').to_lowercase();
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_free = |is_open: bool, inner: Option<char>, outer: Option<char>| {
        is_open
            || !inner.is_some_and(|c| c.is_ascii_alphanumeric())
            || !outer.is_some_and(is_letter)
    };
    sentence.match_indices(&bare).any(|(at, _)| {
        let before = sentence[..at].chars().next_back();
        let after = sentence[at + bare.len()..].chars().next();
        is_free(word.starts_with('*'), bare.chars().next(), before)
            && is_free(word.ends_with('*'), bare.chars().next_back(), after)
    })
}

/// Tells whether one sentence has all the words; of a list among them, any.
fn holds(sentence: &str, words: &[Value]) -> bool {
    words.iter().all(|word| match word {
        Value::Array(any) => any
            .iter()
            .any(|word| has_word(sentence, word.as_str().unwrap())),
        word => has_word(sentence, word.as_str().unwrap()),
    })
}

/// Differences in words: `says` must stand in one sentence, `not` in none.
pub(crate) fn words(answer: &Value, sentences: &[String]) -> Vec<String> {
    let mut differences = Vec::new();
    if let Some(says) = answer["says"].as_array()
        && !sentences.iter().any(|sentence| holds(sentence, says))
    {
        let all = sentences.join(" | ");
        let start: String = all.chars().take(600).collect();
        differences.push(format!(
            "no sentence with {}; it says: {start}",
            answer["says"]
        ));
    }
    for word in answer["not"].as_array().into_iter().flatten() {
        let word = word.as_str().unwrap();
        if let Some(sentence) = sentences.iter().find(|sentence| has_word(sentence, word)) {
            differences.push(format!("says {word:?}: {sentence}"));
        }
    }
    differences
}

/// Compares with each accepted answer; the differences from the nearest.
pub(crate) fn nearest(case: &Value, compare: impl Fn(&Value) -> Vec<String>) -> Vec<String> {
    match case["accept"].as_array() {
        Some(accepted) => accepted.iter().map(compare).min_by_key(Vec::len).unwrap(),
        None => compare(case),
    }
}

#[test]
fn words_stand_whole_unless_a_star_opens_them() {
    assert!(has_word(
        "left out: here/step_0.pt: no values",
        "*step_0.pt"
    ));
    assert!(!has_word("here/step_0.pt2", "*step_0.pt"));
    assert!(!has_word("the generator", "g") && has_word("networks g and d", "G"));
    assert!(has_word("two shapes differ", "shape*") && !has_word("two shapes", "shape"));
}
