//! Lines between isoloss and the processes that measure for it.

use isoloss::evaluator::message;
use isoloss::landscape::worker::wire::{self};
use isoloss::landscape::{WorkerAnswer, WorkerOrder};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::assert_sentence;

/// Lines to a worker, and of one.
pub fn worker(input: &[u8]) {
    for line in String::from_utf8_lossy(input).lines() {
        there_and_back::<WorkerOrder>(line);
        there_and_back::<WorkerAnswer>(line);
    }
}

/// Reads a message; one that is none is refused, and what was read is written so that it is read again.
fn there_and_back<T: Serialize + DeserializeOwned>(line: &str) {
    let read: T = match wire::message(line) {
        Ok(read) => read,
        Err(error) => return assert_sentence(error),
    };
    let written = wire::line(&read).unwrap();
    let again: T = wire::message(&written).unwrap();
    assert_eq!(wire::line(&again).unwrap(), written);
}

/// Lines of an evaluator.
pub fn evaluator(input: &[u8]) {
    for line in String::from_utf8_lossy(input).lines() {
        let answer = message::EvaluatorAnswer::of(line);
        let is_ready = matches!(answer, Some(message::EvaluatorAnswer::Ready(_)));
        assert!(!(is_ready && message::EvaluatorAnswer::is_malformed_greeting(line)));
    }
}
