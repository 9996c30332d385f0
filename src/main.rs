//! The `cplock` binary: hands over to [`cplock::cli`] and holds no logic.

use std::process::ExitCode;

fn main() -> ExitCode {
    cplock::cli::main()
}
