//! The program. Everything is in the library, so that tests and examples can reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    isoloss::cli::main()
}
