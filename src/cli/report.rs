//! `cplock report`: draw stored runs again, or tell one of them as a history.

use super::args::{ReportArgs, ReportFormat, Telling};
use super::exit::{Exit, usage};
use super::printer::Printer;
use crate::bundle::{self, Bundle};
use crate::report::Report;
use crate::report::comparison::comparison;
use crate::report::history::{self, History, HistoryError};
use crate::report::table::{Canvas, markdown};

/// Tells the named runs in the format that was asked for.
pub(super) fn report(args: &ReportArgs, printer: Printer) -> anyhow::Result<Exit> {
    match args.format.telling() {
        Telling::Comparison(format) => compare(args, format, printer),
        Telling::History(history) => tell(args, history, printer),
    }
}

/// Reads each bundle's report and draws all runs in one comparison.
fn compare(args: &ReportArgs, format: ReportFormat, printer: Printer) -> anyhow::Result<Exit> {
    let mut reports = args
        .bundles
        .iter()
        .map(|dir| Bundle::open(dir).and_then(|bundle| bundle.read_json::<Report>(bundle::REPORT)));
    let mut whole = match reports.next() {
        Some(first) => first.map_err(usage)?,
        None => return Err(usage("name at least one run's folder")),
    };
    for report in reports {
        let report = report.map_err(usage)?;
        whole.name = format!("{}, {}", whole.name, report.name);
        whole.runs.extend(report.runs);
    }
    print(&whole, format, printer)?;
    Ok(Exit::Ok)
}

/// Streams the history of the single run that is named.
fn tell(args: &ReportArgs, history: History, printer: Printer) -> anyhow::Result<Exit> {
    let [dir] = args.bundles.as_slice() else {
        return Err(usage("a history is that of one run; name one folder"));
    };
    let mut bundle = Bundle::open(dir).map_err(usage)?;
    let mut parts = bundle.parts().map_err(usage)?;
    if parts.len() > 1 {
        let first = parts[0].path().display();
        return Err(usage(format!("a history is that of one run; name one, like {first}")));
    }
    bundle = parts.pop().unwrap_or(bundle);
    let books = bundle.read_books().map_err(usage)?;
    let probes = books.probes.as_ref().map_or(&[][..], |probes| &probes.probes);
    printer.stream(|to| match history::write(history, &books, probes, to) {
        Err(error @ HistoryError::Missing(_)) => {
            Err(usage(format!("{}: {error}", bundle.path().display())))
        }
        other => Ok(other?),
    })?;
    Ok(Exit::Ok)
}

/// Prints `report` as `format`.
pub(super) fn print(report: &Report, format: ReportFormat, printer: Printer) -> anyhow::Result<()> {
    let text = match format {
        ReportFormat::Json => serde_json::to_string_pretty(report)?,
        ReportFormat::Markdown => {
            format!("### {}\n\n{}\n", markdown(&report.name), comparison(report).markdown())
        }
        ReportFormat::Table => {
            let canvas = Canvas { width: printer.width(), color: printer.color() };
            comparison(report).draw(canvas)
        }
    };
    Ok(printer.data(&text)?)
}
