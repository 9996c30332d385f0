//! Where output goes: data to stdout, talk to stderr. The only file that prints.

use std::io::{BufWriter, IsTerminal as _, Write as _};

/// What may be printed, decided once from flags, environment and terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Printer {
    quiet: bool,
    color: bool,
    width: Option<u16>,
}

impl Printer {
    /// `quiet` silences talk, not data. Colour needs a terminal, no `NO_COLOR` and no dumb `TERM`.
    pub(super) fn new(quiet: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let terminal = std::io::stdout().is_terminal();
        let width = terminal.then(crate::report::terminal_width).flatten();
        Self { quiet, color: terminal && !no_color && !dumb, width }
    }

    /// Whether tables may be coloured.
    pub(super) fn color(self) -> bool {
        self.color
    }

    /// Columns of the terminal; `None` when stdout is not one.
    pub(super) fn width(self) -> Option<u16> {
        self.width
    }

    /// Whether progress may be drawn as bars.
    pub(super) fn bars(self) -> bool {
        !self.quiet && std::io::stderr().is_terminal()
    }

    /// Prints data to stdout. A closed pipe is the reader's choice, not an error.
    ///
    /// # Errors
    /// Writing failed for another reason than a closed pipe.
    #[expect(clippy::unused_self, reason = "printing goes through the printer, whatever its state")]
    pub(super) fn data(self, text: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        let end = if text.ends_with('\n') { "" } else { "\n" };
        match write!(out, "{text}{end}").and_then(|()| out.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// Lets `write` stream data to stdout. A closed pipe ends it, and is the reader's choice.
    ///
    /// # Errors
    /// `write` failed for another reason than a closed pipe.
    #[expect(clippy::unused_self, reason = "printing goes through the printer, whatever its state")]
    pub(super) fn stream(
        self,
        write: impl FnOnce(&mut dyn std::io::Write) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut out = BufWriter::new(std::io::stdout().lock());
        let written = write(&mut out).and_then(|()| Ok(out.flush()?));
        let closed = |error: &anyhow::Error| {
            let fault = error.root_cause().downcast_ref::<std::io::Error>();
            fault.is_some_and(|fault| fault.kind() == std::io::ErrorKind::BrokenPipe)
        };
        match written {
            Err(error) if closed(&error) => {
                // What is still buffered has no reader: it must not be tried again.
                let _ = out.into_parts();
                Ok(())
            }
            other => other,
        }
    }

    /// Says one line to stderr unless quiet.
    pub(super) fn say(self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// Says one line to stderr, also when quiet: errors and warnings.
    #[expect(clippy::unused_self, reason = "printing goes through the printer, whatever its state")]
    pub(super) fn complain(self, text: &str) {
        // With stderr gone there is nobody left to tell.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
}
