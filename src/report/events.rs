//! An event of a session: a line for people, an object for programs.

use serde_json::{Map, Value};

use super::visible;

/// News of a session. Names and keys are other programs' to rely on; `docs/events.md` tells them.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    name: &'static str,
    facts: Map<String, Value>,
    /// The same for people; `None` if it would tell them nothing.
    line: Option<String>,
}

impl Event {
    /// Returns an event that has a line for people as well. Facts are an object.
    pub(super) fn with_line(name: &'static str, facts: Value, line: String) -> Self {
        Self {
            line: Some(line),
            ..Self::untold(name, facts)
        }
    }

    /// Returns an event for programs alone. Facts are an object.
    pub(super) fn untold(name: &'static str, facts: Value) -> Self {
        let facts = match facts {
            Value::Object(facts) => facts,
            _ => Map::new(),
        };
        Self {
            name,
            facts,
            line: None,
        }
    }

    /// Returns the end of the session: by a signal of this number, or of itself.
    #[must_use]
    pub fn ended(signal: Option<i32>) -> Self {
        Self::untold("ended", serde_json::json!({ "signal": signal }))
    }

    /// Returns the name.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the line for people; `None` if there is none.
    #[must_use]
    pub fn line(self) -> Option<String> {
        self.line
    }

    /// Returns the object in one line, without a line break; `time` is in seconds since 1970.
    #[must_use]
    pub fn json(self, time: f64) -> String {
        let mut object = Map::new();
        object.insert("event".into(), self.name.into());
        object.insert("time".into(), time.into());
        object.extend(self.facts);
        if let Some(line) = self.line {
            object.insert("text".into(), line.into());
        }
        visible::json(&Value::Object(object).to_string()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_one_line_of_json_and_what_is_no_number_is_null() {
        let event = Event::with_line(
            "loss",
            json!({"step": 3, "loss": f64::NAN}),
            "a\nb\u{202e}".into(),
        );
        let json = event.json(1.5);
        let begin = "{\"event\":\"loss\",";
        assert!(
            json.starts_with(begin) || json.contains("\"event\":\"loss\""),
            "{json}"
        );
        assert!(!json.contains('\n') && !json.contains('\u{202e}'), "{json}");
        let read: Value = serde_json::from_str(&json).unwrap_or_default();
        assert_eq!(
            read,
            json!({"event": "loss", "time": 1.5, "step": 3, "loss": null, "text": "a\nb\u{202e}"})
        );
    }

    #[test]
    fn an_end_says_by_which_signal() {
        let read = |event: Event| serde_json::from_str(&event.json(0.0)).unwrap_or(Value::Null);
        assert_eq!(read(Event::ended(Some(15)))["signal"], 15);
        assert_eq!(read(Event::ended(None))["signal"], Value::Null);
        assert_eq!(Event::ended(None).line(), None);
    }
}
