//! `cplock report`: draw stored runs again.

use super::args::{ReportArgs, ReportFormat};
use super::exit::{Exit, usage};
use super::printer::Printer;
use crate::bundle::{self, Bundle};
use crate::report::Report;
use crate::report::comparison::comparison;
use crate::report::table::{Canvas, markdown};

/// Reads each bundle's report and draws all runs in one comparison.
pub(super) fn report(args: &ReportArgs, printer: Printer) -> anyhow::Result<Exit> {
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
    print(&whole, args.format, printer)?;
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
