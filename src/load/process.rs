//! What concerns this process as a whole: its standard output and its CPU time.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Keeps standard output shut until it is dropped, on every way out.
///
/// goose prints "N users launched." there whatever it is told, and stdout is for data. Whatever
/// else is written to stdout meanwhile is lost too, so it is held for some milliseconds only.
#[derive(Debug)]
pub(super) struct QuietStdout {
    original: OwnedFd,
}

impl QuietStdout {
    /// Points standard output at the null device.
    pub(super) fn new() -> io::Result<Self> {
        io::stdout().flush()?;
        let original = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
        let null = OpenOptions::new().write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdout(&null)?;
        Ok(Self { original })
    }
}

impl Drop for QuietStdout {
    fn drop(&mut self) {
        // Nothing can be told if it fails, and nobody could be told either.
        let _ = io::stdout().flush();
        let _ = rustix::stdio::dup2_stdout(&self.original);
    }
}

/// CPU time that this process has used, user and system, all threads.
pub(super) fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
