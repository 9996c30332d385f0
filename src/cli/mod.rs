//! What the user types: parse, run one command, tell the exit code. The only room that prints,
//! exits or reads the environment; each command is one file.

mod args;
mod audit;
mod check;
mod exit;
mod load;
mod printer;
mod report;
mod rest;
mod run;
mod serve;
mod server_process;
mod signals;
mod users;
mod verify;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command};
pub use exit::Exit;
use exit::UsageError;
use printer::Printer;

use crate::load::LoadError;
use crate::report::units::plain;

/// Runs the command line of this process to its end.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers (stdout, 0); the rest is wrong usage (stderr, 2).
            let _ = error.print();
            let usage = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            return usage.into();
        }
    };
    let printer = Printer::new(cli.quiet);
    log_to_stderr(cli.quiet);
    raise_open_files();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            printer.complain(&format!("error: cannot start: {error}"));
            return Exit::CouldNotRun.into();
        }
    };
    let end = runtime.block_on(dispatch(cli.command, printer));
    // Whatever still runs (a connection nobody closed) must not hold the process back.
    runtime.shutdown_background();
    end.unwrap_or_else(|error| tell(printer, &error)).into()
}

async fn dispatch(command: Command, printer: Printer) -> anyhow::Result<Exit> {
    match command {
        Command::Serve(args) => serve::serve(&args, printer).await,
        Command::Load(args) => load::load(&args, printer).await,
        Command::Verify(args) => verify::verify(&args, printer).await,
        Command::Run(args) => run::run(&args, printer).await,
        Command::Report(args) => report::report(&args, printer),
        Command::Check(args) => check::check(&args, printer),
    }
}

/// One line: what went wrong and what to do. It may quote a service's reply or a file, so nothing
/// in it may command the terminal.
fn tell(printer: Printer, error: &anyhow::Error) -> Exit {
    let interrupted = |cause: &LoadError| matches!(cause, LoadError::Interrupted);
    if error.chain().any(|cause| cause.downcast_ref().is_some_and(interrupted)) {
        printer.say("interrupted before the first claim");
        return Exit::Interrupted;
    }
    let line = format!("{error:#}").lines().map(str::trim).collect::<Vec<_>>().join("; ");
    printer.complain(&format!("error: {}", plain(&line)));
    if error.chain().any(<dyn std::error::Error>::is::<UsageError>) {
        Exit::Usage
    } else {
        Exit::CouldNotRun
    }
}

/// Our own warnings and errors go to stderr; goose, which logs each failed request, is silenced.
fn log_to_stderr(quiet: bool) {
    let standard = if quiet { "error,goose=off" } else { "warn,goose=off,sqlx=error" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("CPLOCK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(standard));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Fails only if a log is installed already, as in tests: then that one serves.
    let _ = log.with_ansi(false).try_init();
}

/// 2,000 VUs are 2,000 sockets: raises the soft limit of open files to the hard one.
fn raise_open_files() {
    // Where it cannot be raised, the commands that need many files say so themselves.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
}
