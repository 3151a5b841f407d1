//! Says how a worker process ended, in a clause.

use std::process::ExitStatus;

/// Exit code of a worker that took more memory than it may, as its last words say.
pub(crate) const TOO_MUCH_MEMORY: i32 = 4;

/// Says how a process ended, with its last words; without a status it lives and has closed its output.
pub(super) fn how_it_ended(status: Option<ExitStatus>, last: Option<&str>) -> String {
    let is_told = status.and_then(|status| status.code()) == Some(TOO_MUCH_MEMORY);
    if let Some(last) = last.filter(|_| is_told) {
        return last.trim_start_matches("isoloss: ").to_owned();
    }
    let how = status.map_or_else(|| "it closed its output".to_owned(), of_status);
    match last {
        Some(last) => format!("{how}: {last}"),
        None => how,
    }
}

fn of_status(status: ExitStatus) -> String {
    match (signal(status), status.code()) {
        (Some(number), _) => of_signal(number),
        (None, Some(code)) => format!("it ended with exit code {code}"),
        (None, None) => "it ended".into(),
    }
}

/// Says what a signal usually means.
fn of_signal(number: i32) -> String {
    let meaning = match number {
        4 => "it met an instruction that this processor does not have",
        6 => "it aborted",
        7 | 11 => "it touched memory that is not its own, or its stack overflowed",
        9 => "it was killed, perhaps because memory ran out",
        15 => "it was asked to end",
        _ => "it was killed",
    };
    format!("{meaning} (signal {number})")
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<i32> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn an_end_is_told_with_its_usual_cause_and_the_last_words() {
        let told =
            |wait_status: i32, last| how_it_ended(Some(ExitStatus::from_raw(wait_status)), last);
        assert_eq!(
            told(9, None),
            "it was killed, perhaps because memory ran out (signal 9)"
        );
        assert_eq!(
            told(6, Some("fatal runtime error: stack overflow, aborting")),
            "it aborted (signal 6): fatal runtime error: stack overflow, aborting"
        );
        assert_eq!(
            told(11, None),
            "it touched memory that is not its own, or its stack overflowed (signal 11)"
        );
        assert_eq!(told(3 << 8, Some("no")), "it ended with exit code 3: no");
        let memory = "it took 303 MiB, more than --memory-limit 300 MiB";
        let last = format!("isoloss: {memory}");
        assert_eq!(told(TOO_MUCH_MEMORY << 8, Some(&last)), memory);
        assert_eq!(told(31, None), "it was killed (signal 31)");
        assert_eq!(how_it_ended(None, None), "it closed its output");
    }
}
