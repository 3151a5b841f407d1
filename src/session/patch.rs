//! Changes between two values of a recording: only these are written.

use ciborium::Value;
use serde::{Deserialize, Serialize};

/// The change from one value to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Patch {
    /// Another value stands in its place.
    #[serde(rename = "is")]
    Is(Value),
    /// These fields of a structure change.
    #[serde(rename = "in")]
    Fields(Vec<(String, Patch)>),
    /// These items of a list change.
    #[serde(rename = "at")]
    Items {
        /// Number of items from the first on that are kept.
        keep: usize,
        /// Items among these that change.
        change: Vec<(usize, Patch)>,
        /// Items that come behind them.
        add: Vec<Value>,
    },
}

impl Patch {
    /// Returns the change that makes `after` of `before`; `None` if they are the same.
    pub(super) fn between(before: &Value, after: &Value) -> Option<Self> {
        match (before, after) {
            (Value::Map(old), Value::Map(new)) if has_same_keys(old, new) => {
                let change = |((key, old), (_, new)): (&(Value, Value), &(Value, Value))| {
                    Some((key.as_text()?.to_owned(), Self::between(old, new)?))
                };
                let fields: Vec<_> = old.iter().zip(new).filter_map(change).collect();
                (!fields.is_empty()).then_some(Self::Fields(fields))
            }
            (Value::Array(old), Value::Array(new)) => Self::between_lists(old, new),
            (Value::Float(old), Value::Float(new)) => {
                // NaN is the same as itself here.
                (old.to_bits() != new.to_bits()).then_some(Self::Is(after.clone()))
            }
            _ => (before != after).then(|| Self::Is(after.clone())),
        }
    }

    fn between_lists(old: &[Value], new: &[Value]) -> Option<Self> {
        let keep = old.len().min(new.len());
        let pairs = old.iter().zip(new).enumerate();
        let change: Vec<_> = pairs
            .filter_map(|(at, (old, new))| Some((at, Self::between(old, new)?)))
            .collect();
        if change.is_empty() && old.len() == new.len() {
            return None;
        }
        // A list most of which is new is shorter as it is.
        if 2 * change.len() > keep || keep == 0 {
            return Some(Self::Is(Value::Array(new.to_vec())));
        }
        Some(Self::Items {
            keep,
            change,
            add: new[keep..].to_vec(),
        })
    }

    /// Changes a value; `None` if it is not one for which this was made.
    pub(super) fn apply(self, value: &mut Value) -> Option<()> {
        match self {
            Self::Is(new) => *value = new,
            Self::Fields(fields) => {
                // Each once and in their order, as they were written.
                let mut known = value.as_map_mut()?.iter_mut();
                for (name, patch) in fields {
                    let (_, old) = known.find(|(key, _)| key.as_text() == Some(&name))?;
                    patch.apply(old)?;
                }
            }
            Self::Items { keep, change, add } => {
                let items = value.as_array_mut().filter(|items| keep <= items.len())?;
                items.truncate(keep);
                for (at, patch) in change {
                    patch.apply(items.get_mut(at)?)?;
                }
                items.extend(add);
            }
        }
        Some(())
    }
}

fn has_same_keys(old: &[(Value, Value)], new: &[(Value, Value)]) -> bool {
    let mut pairs = old.iter().zip(new);
    old.len() == new.len() && pairs.all(|((old, _), (new, _))| old == new && old.is_text())
}

/// Returns the approximate memory that a value takes, in units of one number.
pub(super) fn weight(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Value::Map(fields) => {
            let pair = |(key, value): &(Value, Value)| weight(key) + weight(value);
            1 + fields.iter().map(pair).sum::<usize>()
        }
        Value::Tag(_, tagged) => 1 + weight(tagged),
        Value::Text(text) => 1 + text.len() / size_of::<Value>(),
        Value::Bytes(bytes) => 1 + bytes.len() / size_of::<Value>(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_field_is_changed_once_and_in_its_order() {
        let fields = |names: &[&str]| {
            let patch = |name: &&str| ((*name).to_owned(), Patch::Is(Value::from(2)));
            Patch::Fields(names.iter().map(patch).collect())
        };
        let apply = |names: &[&str]| {
            let pairs = [("a".into(), Value::from(1)), ("b".into(), Value::from(1))];
            fields(names).apply(&mut Value::Map(pairs.into()))
        };
        assert_eq!(apply(&["a", "b"]), Some(()));
        assert_eq!(apply(&["b"]), Some(()));
        assert_eq!(apply(&["b", "b"]), None);
        assert_eq!(apply(&["b", "a"]), None);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<u8>().prop_map(Value::from),
            prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(0.0), Just(-0.0)]
                .prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            let field = ("[a-c]", inner.clone());
            let fields = prop::collection::btree_map(field.0, field.1, 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..6).prop_map(Value::Array),
                fields.prop_map(|fields| {
                    let pairs = fields.into_iter().map(|(key, value)| (key.into(), value));
                    Value::Map(pairs.collect())
                }),
            ]
        })
    }

    fn bytes(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes).unwrap();
        bytes
    }

    proptest! {
        #[test]
        fn a_value_and_its_changes_make_the_next_one(before in value(), after in value()) {
            let mut made = before.clone();
            if let Some(patch) = Patch::between(&before, &after) {
                patch.apply(&mut made).unwrap();
            }
            prop_assert_eq!(bytes(&made), bytes(&after));
        }
    }

    #[test]
    fn one_new_item_is_all_that_is_written_of_a_long_list() {
        let list = |count: u32| Value::Array((0..count).map(Value::from).collect());
        let patch = Patch::between(&list(100), &list(101)).unwrap();
        let expected = Patch::Items {
            keep: 100,
            change: Vec::new(),
            add: vec![100.into()],
        };
        assert_eq!(patch, expected);
        assert_eq!(Patch::between(&list(100), &list(100)), None);
    }

    #[test]
    fn a_patch_for_another_value_changes_nothing_and_does_not_panic() {
        let stranger = Patch::Items {
            keep: 3,
            change: vec![(7, Patch::Is(Value::Null))],
            add: Vec::new(),
        };
        assert_eq!(
            stranger.clone().apply(&mut Value::Array(vec![1.into()])),
            None
        );
        assert_eq!(
            stranger.clone().apply(&mut Value::Array(vec![1.into(); 5])),
            None
        );
        assert_eq!(stranger.apply(&mut Value::from("text")), None);
    }
}
