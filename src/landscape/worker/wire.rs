//! The lines between isoloss and a worker process, one JSON object each: protocol 1 of `isoloss worker`.
//!
//! ```text
//! isoloss                                     worker
//!            ◀─ {"hello": {"protocol": 1, "version": "0.1.0", "host": "node7"}}
//! {"setup": {"data": …, "model": …, …}} ─▶
//!                                               opens its device, loads its samples
//!            ◀─ {"ready": {"place": "Cpu", "data": {"loaded": {"name": "digits", "samples": 1797}}}}
//! {"plan": {"plan": {"generation": 3, …}, "function": …}} ─▶
//! {"measure": {"id": 1, "index": 0}} ─▶
//!            ◀─ {"finding": {"Model": …}}       of the model and the samples, where there is something new
//!            ◀─ {"product": {"id": 1, "done": 1, "of": 80}}    of queries that take long
//!            ◀─ {"alive": {"id": 1}}            every second until the answer
//!            ◀─ {"found": {"id": 1, "found": {"value": {"Measure": {"loss": 0.25, "score": 0.5}}, "seconds": 0.01}}}
//! {"forget": {"id": 1}}, {"pause": true} ─▶     at any time, heeded between two products
//! ```
//!
//! The worker answers each `measure` with one `found` or `failed`, in their order; several may be asked ahead. It ends when its standard input does, whatever it
//! is at. A number that JSON lacks is written by its bits, `{"f64": "7ff8000000000000"}`, so that every value comes
//! over as it is.

use std::io;
use std::sync::Arc;

use ciborium::Value as Tree;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value as Json, json};

use crate::data::Dataset;
use crate::evaluator::process::shortened;
use crate::store::Digest;

use super::super::evidence::AssumedFunction;
use super::super::{Fault, LandscapeError};
use super::protocol::{Plan, Setup, TimedValue, WorkerEvent};
use crate::landscape::device::Place;

/// The protocol that this isoloss speaks.
pub const PROTOCOL: u32 = 1;

/// A line to the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerOrder {
    /// The first line.
    Setup(Box<Setup>),
    /// The plan that queries are of from now on, and the function that is measured.
    Plan {
        /// The plan.
        plan: Arc<Plan>,
        /// The function.
        function: AssumedFunction,
    },
    /// The query of this index is wanted.
    Measure {
        /// Number of the query, which its answer carries.
        id: u64,
        /// Place in the plan.
        index: usize,
    },
    /// Nobody waits for this query and those before it any more.
    Forget {
        /// Number of the query.
        id: u64,
    },
    /// Rest between two products, or go on.
    Pause(bool),
}

/// A line of the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerAnswer {
    /// The first line: what it speaks, and the machine that it is on.
    Hello {
        /// The protocol that the worker speaks.
        protocol: u32,
        /// Version of its isoloss.
        version: String,
        /// Name of its machine.
        #[serde(default)]
        host: Option<String>,
    },
    /// The device is open.
    Ready {
        /// The device.
        place: Place,
        /// The samples.
        data: Loaded,
    },
    /// The device does not open; one sentence says why.
    Refused(String),
    /// Samples that a forward pass takes at once.
    Batch(usize),
    /// Something about the samples or the model.
    Finding(WorkerEvent),
    /// Products that a query has taken, and the most that it will take.
    Product {
        /// Number of the query.
        id: u64,
        /// Products so far.
        done: usize,
        /// Products at most.
        of: usize,
    },
    /// The query is still worked at.
    Alive {
        /// Number of the query.
        id: u64,
    },
    /// The answer to a query.
    Found {
        /// Number of the query.
        id: u64,
        /// The answer.
        found: TimedValue,
    },
    /// A query has no answer.
    Failed {
        /// Number of the query.
        id: u64,
        /// The reason, in a sentence.
        reason: String,
        /// The part whose fault it is.
        fault: Fault,
    },
}

/// The samples of a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loaded {
    /// Their name and number, and the digest of their content.
    Loaded {
        /// Name of the data set.
        name: String,
        /// Number of samples.
        samples: usize,
        /// Digest of their content.
        #[serde(default)]
        content: Option<Digest>,
    },
    /// There are none; one sentence says why.
    Missing(String),
}

impl Loaded {
    /// Returns the outcome of loading samples.
    pub(super) fn of(data: &Result<Arc<Dataset>, String>) -> Self {
        match data {
            Ok(data) => Self::Loaded {
                name: data.name.clone(),
                samples: data.samples(),
                content: Some(Digest(data.content())),
            },
            Err(reason) => Self::Missing(reason.clone()),
        }
    }
}

impl WorkerAnswer {
    /// Returns the answer to a query that was measured or not.
    pub(super) fn of(id: u64, found: Result<TimedValue, LandscapeError>) -> Self {
        match found {
            Ok(found) => Self::Found { id, found },
            Err(error) => Self::Failed {
                id,
                reason: error.to_string(),
                fault: error.fault(),
            },
        }
    }
}

/// Key of a number that JSON lacks.
const BITS: &str = "f64";

/// Writes a message as a line without its end.
///
/// # Errors
/// It holds what JSON does not have.
pub fn line(message: &impl Serialize) -> io::Result<String> {
    let tree = Tree::serialized(message).map_err(io::Error::other)?;
    Ok(json_of(tree)?.to_string())
}

/// Reads a message from a line.
///
/// # Errors
/// The line is no such message.
pub fn message<T: DeserializeOwned>(line: &str) -> io::Result<T> {
    let json: Json = serde_json::from_str(line)?;
    let read = tree_of(json)?.deserialized();
    // A wrong name is quoted whole.
    read.map_err(|ciborium::value::Error::Custom(reason)| io::Error::other(shortened(&reason)))
}

fn json_of(tree: Tree) -> io::Result<Json> {
    let unfit = || io::Error::other("a message holds what JSON does not have");
    Ok(match tree {
        Tree::Null => Json::Null,
        Tree::Bool(is) => is.into(),
        Tree::Text(text) => text.into(),
        Tree::Integer(integer) => {
            let integer = i128::from(integer);
            let narrow = u64::try_from(integer).map(Number::from);
            let narrow = narrow.or_else(|_| i64::try_from(integer).map(Number::from));
            narrow.map_err(|_| unfit())?.into()
        }
        Tree::Float(value) => Number::from_f64(value).map_or_else(
            || json!({ BITS: format!("{:016x}", value.to_bits()) }),
            Json::from,
        ),
        Tree::Array(items) => {
            Json::Array(items.into_iter().map(json_of).collect::<Result<_, _>>()?)
        }
        Tree::Map(pairs) => {
            let pairs = pairs.into_iter().map(|(key, value)| match key {
                Tree::Text(key) => Ok((key, json_of(value)?)),
                _ => Err(unfit()),
            });
            Json::Object(pairs.collect::<Result<Map<_, _>, _>>()?)
        }
        _ => return Err(unfit()),
    })
}

fn tree_of(json: Json) -> io::Result<Tree> {
    Ok(match json {
        Json::Null => Tree::Null,
        Json::Bool(is) => is.into(),
        Json::String(text) => text.into(),
        Json::Number(number) => {
            let integer = number.as_u64().map(Tree::from);
            let integer = integer.or_else(|| number.as_i64().map(Tree::from));
            integer.unwrap_or_else(|| Tree::Float(number.as_f64().unwrap_or(f64::NAN)))
        }
        Json::Array(items) => {
            Tree::Array(items.into_iter().map(tree_of).collect::<Result<_, _>>()?)
        }
        Json::Object(pairs) => {
            if let Some(value) = bits(&pairs) {
                return Ok(Tree::Float(value));
            }
            let pairs = pairs.into_iter();
            let pairs = pairs.map(|(key, value)| Ok((key.into(), tree_of(value)?)));
            Tree::Map(pairs.collect::<io::Result<_>>()?)
        }
    })
}

/// Returns the number that an object stands for; `None` if it is an object.
fn bits(pairs: &Map<String, Json>) -> Option<f64> {
    let bits = pairs.get(BITS).filter(|_| pairs.len() == 1)?.as_str()?;
    u64::from_str_radix(bits, 16).ok().map(f64::from_bits)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use proptest::prelude::*;

    use super::*;
    use crate::landscape::curvature::Extremes;
    use crate::landscape::curvature::density::Density;
    use crate::landscape::evidence::Assumed;
    use crate::landscape::grid::surface::Measure;
    use crate::landscape::sharpness::CriticalStep;
    use crate::landscape::worker::protocol::QueryAnswer;

    /// Returns the bits of a value's numbers.
    fn bits(value: QueryAnswer) -> Vec<u64> {
        match value {
            QueryAnswer::Measure(Measure { loss, score }) => vec![loss, score],
            QueryAnswer::Critical(step) => vec![step.step],
            QueryAnswer::Curvature(ends) => vec![ends.lambda_max, ends.lambda_min],
            QueryAnswer::Density(density) => [density.nodes, density.weights].concat(),
            QueryAnswer::Part(sums) => vec![sums.totals.loss.value()],
            QueryAnswer::Assumed => Vec::new(),
        }
        .into_iter()
        .map(f64::to_bits)
        .collect()
    }

    fn there_and_back<T: Serialize + DeserializeOwned>(told: &T) -> T {
        let line = line(told).unwrap();
        assert!(!line.contains('\n'));
        message(&line).unwrap()
    }

    proptest! {
        #[test]
        fn numbers_come_over_to_the_bit(a: u64, b: u64, seconds in 0.0f64..1e9) {
            let [a, b] = [a, b].map(f64::from_bits);
            for value in [
                QueryAnswer::Measure(Measure { loss: a, score: b }),
                QueryAnswer::Critical(CriticalStep { step: a, evaluations: 3 }),
                QueryAnswer::Curvature(Extremes { lambda_max: a, lambda_min: b, iterations: 3, converged: true }),
                QueryAnswer::Density(Density { nodes: vec![a, b], weights: vec![b] }),
                QueryAnswer::Assumed,
            ] {
                let told = WorkerAnswer::Found { id: 7, found: TimedValue { value: value.clone(), seconds } };
                let WorkerAnswer::Found { id: 7, found } = there_and_back(&told) else {
                    panic!("another answer");
                };
                prop_assert_eq!(bits(found.value), bits(value));
                prop_assert_eq!(found.seconds.to_bits(), seconds.to_bits());
            }
        }
    }

    #[test]
    fn odd_numbers_come_over_to_the_bit() {
        let odd = [
            f64::NAN,
            -f64::NAN,
            f64::from_bits(0x7ff0_0000_0000_0001),
            f64::from_bits(0xffff_ffff_ffff_ffff),
            f64::INFINITY,
            f64::NEG_INFINITY,
            -0.0,
            0.0,
            3.0,
            f64::MIN_POSITIVE,
            f64::from_bits(1),
            f64::MAX,
            0.1 + 0.2,
            2.225_073_858_507_201e-308,
            9_007_199_254_740_993.0,
        ];
        for value in odd {
            let again: f64 = there_and_back(&value);
            assert_eq!(again.to_bits(), value.to_bits(), "{value}");
            let again: Option<f64> = there_and_back(&Some(value));
            assert_eq!(again.map(f64::to_bits), Some(value.to_bits()));
        }
        assert_eq!(there_and_back(&None::<f64>), None);
    }

    #[test]
    fn an_assumption_with_numbers_that_are_none_comes_over() {
        let assumed = Assumed {
            cosine: Some(f64::INFINITY),
            loss_range: Some([0.1, f64::INFINITY]),
            ..Assumed::default()
        };
        let told = WorkerAnswer::Finding(WorkerEvent::Assumed(Box::new(assumed)));
        assert_eq!(there_and_back(&told), told);
    }

    #[test]
    fn lines_can_be_read_by_other_programs() {
        let hello = WorkerAnswer::Hello {
            protocol: PROTOCOL,
            version: "0.1.0".into(),
            host: Some("node7".into()),
        };
        assert_eq!(
            line(&hello).unwrap(),
            r#"{"hello":{"host":"node7","protocol":1,"version":"0.1.0"}}"#
        );
        let order = WorkerOrder::Measure { id: 1, index: 0 };
        assert_eq!(line(&order).unwrap(), r#"{"measure":{"id":1,"index":0}}"#);
        for wrong in [
            "",
            "{}",
            "hello",
            r#"{"measure":{"id":-1,"index":0}}"#,
            "[1]",
        ] {
            assert!(message::<WorkerOrder>(wrong).is_err(), "{wrong}");
        }
        let long = format!("{{\"{}\": 1}}", "pause".repeat(1000));
        let error = message::<WorkerOrder>(&long).unwrap_err().to_string();
        assert!(error.starts_with("unknown variant `pausepause"), "{error}");
        assert!(error.chars().count() < 300, "{error}");
    }
}
