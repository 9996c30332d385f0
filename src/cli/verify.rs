//! `cplock verify`: close a run's books with the database where they are open, then judge them.

use std::path::{Path, PathBuf};

use super::args::{SummaryFormat, VerifyArgs};
use super::audit;
use super::exit::{Exit, usage};
use super::printer::Printer;
use super::serve::DB_DEFAULT;
use crate::bundle::{self, Bundle, RunFacts};
use crate::coupon::CouponId;
use crate::coupon::store::Store;
use crate::report::findings::findings;
use crate::report::table::Canvas;
use crate::verify::Verdict;

/// Where `load` and `run` leave their folders unless told otherwise.
const LATEST: &str = "reports/latest";

/// What is judged.
enum Subject {
    /// A run whose books the database must close first.
    Open(Bundle),
    /// A run whose books are closed: the database is not asked.
    Closed(Bundle),
    /// The database alone.
    Database,
}

/// Judges, prints, and tells the verdict as exit code.
pub(super) async fn verify(args: &VerifyArgs, printer: Printer) -> anyhow::Result<Exit> {
    let verdict = match subject(args, printer)? {
        Subject::Database => {
            let store = open(args.db.as_deref()).await?;
            let books = audit::database_alone(&store, CouponId(args.coupon)).await?;
            store.close().await;
            crate::verify::audit(&books)
        }
        Subject::Open(bundle) => {
            let store = open(args.db.as_deref()).await?;
            audit::close_books(&bundle, &store, coupon_of(&bundle)?).await?;
            store.close().await;
            judge_stored(&bundle)?
        }
        Subject::Closed(bundle) => judge_stored(&bundle)?,
    };
    match args.format {
        SummaryFormat::Json => printer.data(&serde_json::to_string_pretty(&verdict)?)?,
        SummaryFormat::Table => {
            let canvas = Canvas { width: printer.width(), color: printer.color() };
            printer.data(&findings(&verdict, canvas))?;
        }
    }
    Ok(Exit::of(verdict.verdict))
}

fn subject(args: &VerifyArgs, printer: Printer) -> anyhow::Result<Subject> {
    let named = args.bundle.clone();
    let dir = match named.or_else(|| Some(PathBuf::from(LATEST)).filter(|path| path.exists())) {
        Some(dir) if !args.db_only => dir,
        _ => return Ok(Subject::Database),
    };
    let bundle = Bundle::open(&dir).map_err(usage)?;
    if !bundle.parts().map_err(usage)?.is_empty() {
        anyhow::bail!(usage(format!(
            "{} holds one run a strategy; name one of its folders, or use `cplock report`",
            dir.display()
        )));
    }
    if !bundle.closed() {
        return Ok(Subject::Open(bundle));
    }
    if args.db.is_some() && args.bundle.is_none() {
        printer.say(&format!("{} is closed; judging the database alone", dir.display()));
        return Ok(Subject::Database);
    }
    printer.say(&format!("judging {} with the books stored in it", dir.display()));
    Ok(Subject::Closed(bundle))
}

/// Opens a database for reading, if our tables are there. A SQLite file that does not exist is not
/// made.
async fn open(url: Option<&str>) -> anyhow::Result<Store> {
    let url = url.unwrap_or(DB_DEFAULT);
    if let Some(file) = url.strip_prefix("sqlite://") {
        let file = file.split('?').next().unwrap_or(file);
        anyhow::ensure!(
            Path::new(file).exists(),
            "there is no database {file}; run `cplock serve` here first or give --db"
        );
    }
    let store = Store::open(url, 2).await?;
    store.check().await?;
    Ok(store)
}

fn coupon_of(bundle: &Bundle) -> anyhow::Result<CouponId> {
    let facts: RunFacts = bundle.read_json(bundle::RUN).map_err(usage)?;
    Ok(CouponId(facts.coupon))
}

/// Judges a closed bundle and draws its report again.
fn judge_stored(bundle: &Bundle) -> anyhow::Result<Verdict> {
    let facts: RunFacts = bundle.read_json(bundle::RUN).map_err(usage)?;
    let judged = audit::judge(bundle)?;
    let entry = audit::entry(&facts, Some(&judged));
    let report = audit::report_of(&facts.name, "", &facts, vec![entry]);
    bundle.write_json(bundle::REPORT, &report)?;
    Ok(judged.0)
}
