//! `cplock verify`: close a run's books with the database where they are open, then judge them.

use std::path::{Path, PathBuf};

use super::args::{SummaryFormat, VerifyArgs};
use super::audit;
use super::exit::{Exit, usage};
use super::printer::Printer;
use super::rest::Patience;
use super::serve::DB_DEFAULT;
use crate::bundle::{self, Bundle, RunFacts};
use crate::coupon::CouponId;
use crate::coupon::store::Store;
use crate::report::findings::findings;
use crate::report::table::Canvas;
use crate::scenario::Expect;
use crate::verify::Verdict;

/// Where `load` and `run` leave their folders unless told otherwise.
const LATEST: &str = "reports/latest";

/// What is judged.
enum Subject {
    /// A run, or each strategy of one.
    Runs(Vec<Bundle>),
    /// The database alone.
    Database,
}

/// One verdict, and the one that was announced.
struct Judged {
    /// The run's folder; empty for a database alone.
    heading: String,
    verdict: Verdict,
    expect: Expect,
}

/// Judges, prints, and tells the verdict as exit code.
pub(super) async fn verify(args: &VerifyArgs, printer: Printer) -> anyhow::Result<Exit> {
    let patience = Patience::new(&args.rest, printer);
    let judged = match subject(args, printer)? {
        Subject::Database => vec![database_alone(args, patience).await?],
        Subject::Runs(bundles) => {
            let mut judged = Vec::new();
            for bundle in bundles {
                judged.push(run(&bundle, args, (patience, printer)).await?);
            }
            judged
        }
    };
    match args.format {
        SummaryFormat::Json => printer.data(&json(&judged)?)?,
        SummaryFormat::Table => {
            let canvas = Canvas { width: printer.width(), color: printer.color() };
            for one in &judged {
                if judged.len() > 1 {
                    printer.data(&one.heading)?;
                }
                printer.data(&findings(&one.verdict, canvas))?;
            }
        }
    }
    Ok(match judged.as_slice() {
        [one] => Exit::of(one.verdict.verdict),
        // A whole comparison is judged as `run` judges it: by what was announced.
        all => all
            .iter()
            .map(|one| Exit::of_expected(one.verdict.verdict, one.expect))
            .fold(Exit::Ok, Exit::worst),
    })
}

/// One document, or a list of them for the strategies of a run.
fn json(judged: &[Judged]) -> serde_json::Result<String> {
    let verdicts: Vec<&Verdict> = judged.iter().map(|one| &one.verdict).collect();
    match verdicts.as_slice() {
        [one] => serde_json::to_string_pretty(one),
        all => serde_json::to_string_pretty(all),
    }
}

fn subject(args: &VerifyArgs, printer: Printer) -> anyhow::Result<Subject> {
    let named = args.bundle.clone();
    let dir = match named.or_else(|| Some(PathBuf::from(LATEST)).filter(|path| path.exists())) {
        Some(dir) if !args.db_only => dir,
        _ => return Ok(Subject::Database),
    };
    let bundle = Bundle::open(&dir).map_err(usage)?;
    let parts = bundle.parts().map_err(usage)?;
    let bundles = if parts.is_empty() { vec![bundle] } else { parts };
    if bundles.iter().all(Bundle::closed) && args.db.is_some() && args.bundle.is_none() {
        printer.say(&format!("{} is closed; judging the database alone", dir.display()));
        return Ok(Subject::Database);
    }
    Ok(Subject::Runs(bundles))
}

async fn database_alone(args: &VerifyArgs, patience: Patience) -> anyhow::Result<Judged> {
    let store = open(args.db.as_deref().unwrap_or(DB_DEFAULT)).await?;
    let verdict = audit::database_alone(&store, CouponId(args.coupon), patience).await?;
    store.close().await;
    Ok(Judged { heading: String::new(), verdict, expect: Expect::Pass })
}

/// Closes the books of `bundle` where they are open, judges them, and draws its report again.
/// Where they are closed no database is asked: the same bundle gives the same verdict.
async fn run(
    bundle: &Bundle,
    args: &VerifyArgs,
    (patience, printer): (Patience, Printer),
) -> anyhow::Result<Judged> {
    let folder = bundle.path().display().to_string();
    let facts: RunFacts = bundle.read_json(bundle::RUN).map_err(usage)?;
    let (verdict, _) = if bundle.closed() {
        printer.say(&format!("judging {folder} with the books stored in it"));
        audit::conclude(bundle, &facts)?
    } else {
        let store = open(&database_of(bundle, args)).await?;
        audit::close_books(bundle, &store, CouponId(facts.coupon), patience).await?;
        let concluded = audit::conclude_guarded(bundle, &facts, &store, patience).await?;
        store.close().await;
        concluded
    };
    Ok(Judged { heading: folder, verdict, expect: facts.expect })
}

/// The given database, or the file that a killed `run` left beside its books, or the default.
fn database_of(bundle: &Bundle, args: &VerifyArgs) -> String {
    let own = bundle.file(bundle::DATABASE);
    let beside = || own.is_file().then(|| format!("sqlite://{}", own.display()));
    args.db.clone().or_else(beside).unwrap_or_else(|| DB_DEFAULT.to_owned())
}

/// Opens a database for reading, if our tables are there. A SQLite file that does not exist is not
/// made.
async fn open(url: &str) -> anyhow::Result<Store> {
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
