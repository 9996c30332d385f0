//! `cplock serve`: the coupon server alone.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};

use super::args::ServeArgs;
use super::exit::{Exit, usage};
use super::printer::Printer;
use crate::coupon::flaw::Planted;
use crate::coupon::issue::Desk;
use crate::coupon::store::Store;
use crate::coupon::{CouponId, Work, flawed_lock};
use crate::ledger::locks;
use crate::lock::Strategy;
use crate::scenario::ServerPlan;
use crate::server::auth::{self, Tokens};
use crate::server::{App, Limits};
use crate::{lock, server};

/// The coupon that the server offers.
pub(super) const COUPON: CouponId = CouponId(1);
/// Its name.
pub(super) const COUPON_NAME: &str = "flash sale";
/// Where state lives when nothing else is said.
pub(super) const DB_DEFAULT: &str = "sqlite://cplock.db";
/// Units in a new database when nothing else is said; the published fair run's stock.
const STOCK_DEFAULT: u32 = 100_000;

/// Connections that may wait to be accepted; the system may allow fewer. With the usual 128, VUs
/// that all start at once wait a second or more for their SYN to be sent again, and the lock is
/// blamed for it.
const UNACCEPTED_MAX: u32 = 4096;

/// Serves until SIGINT or SIGTERM, then drains.
pub(super) async fn serve(args: &ServeArgs, printer: Printer) -> anyhow::Result<Exit> {
    let mut plan = args.server.over(ServerPlan::default());
    plan.check().map_err(usage)?;
    let planted = planted(args, &mut plan)?;
    let strategy = planted.as_ref().map_or(args.lock, |it| it.flaw().strategy(args.lock));
    let tokens = Tokens::new(secret()?.as_bytes());
    let listener = listen(args.listen)?;
    let address = listener.local_addr().context("cannot read the address")?;
    let log = lock_log(args, strategy, &plan, address)?;
    let mut lock = lock::open(strategy, plan.terms, plan.redis.as_deref()).await?;
    // Last, once all else works: this is what deletes rows.
    let store = open_store(plan.db.as_deref().unwrap_or(DB_DEFAULT), plan.db_pool).await?;
    stock(&store, args, printer).await?;
    if let Some(planted) = &planted {
        planted.prepare(&store).await?;
        lock = flawed_lock::over(planted, lock, plan.terms);
    }
    let work = Work { write: args.write, gap: plan.gap };
    let desk = Desk::new(lock, store.clone(), work).with(planted.clone());
    let app = App::logged(desk, tokens, plan.workers, limits(), log.clone());
    warn_beyond_loopback(args.listen, printer);
    warn_of(planted.as_deref(), printer);
    printer.data(&format!("listening on http://{address}"))?;
    printer.say(&format!(
        "lock {}, write mode {}, {} workers, {} connections to {}, leases in {}; Ctrl-C stops",
        strategy,
        args.write.name(),
        plan.workers,
        plan.db_pool,
        crate::address::redacted(plan.db.as_deref().unwrap_or(DB_DEFAULT)),
        plan.redis.as_deref().map_or("this process".to_owned(), crate::address::redacted),
    ));
    let drained = server::serve(listener, app.clone(), stop_asked(args.until_stdin_closes)).await;
    if let Some(planted) = planted {
        planted.shut_down(&store).await?;
        let (flaw, times) = (planted.flaw(), planted.manifestations());
        printer.complain(&format!("flaw {flaw} manifested {times} times"));
    }
    store.close().await;
    if let Some(log) = log.filter(|_| drained) {
        log.finish()?;
    }
    if drained {
        printer.say(&format!("drained; {} claims were let in", app.arrivals()));
        return Ok(Exit::Ok);
    }
    printer.complain("error: the drain took too long; some answers were not delivered");
    Ok(Exit::CouldNotRun)
}

/// The flaw that was asked for twice, if any; `plan` becomes one that has room for it.
fn planted(args: &ServeArgs, plan: &mut ServerPlan) -> anyhow::Result<Option<Arc<Planted>>> {
    let Some(flaw) = args.flaw else { return Ok(None) };
    if !args.i_want_a_broken_server {
        let what = flaw.sentence();
        return Err(usage(format!(
            "--flaw {flaw} breaks the server on purpose ({what}); it needs \
             --i-want-a-broken-server too"
        )));
    }
    if plan.db.as_ref().is_some_and(|url| !url.starts_with("sqlite:")) {
        return Err(usage(format!("--flaw {flaw} needs SQLite; give --db sqlite://FILE")));
    }
    plan.terms = flaw.terms(plan.terms);
    Ok(Some(Arc::new(Planted::new(flaw))))
}

/// The lock log, where one is asked for.
fn lock_log(
    args: &ServeArgs,
    strategy: Strategy,
    plan: &ServerPlan,
    address: SocketAddr,
) -> anyhow::Result<Option<Arc<locks::Writer>>> {
    let Some(path) = &args.lock_log else { return Ok(None) };
    let about = locks::About {
        process: address.to_string(),
        strategy: strategy.name().to_owned(),
        lease_us: locks::micros(plan.terms.lease),
        wait_us: locks::micros(plan.terms.wait),
    };
    Ok(Some(Arc::new(locks::Writer::create(path, &about)?)))
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // As std does: a restarted server may take the port of the one before at once.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(UNACCEPTED_MAX)
    };
    open().map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("{address} is in use; stop what listens there or give another --listen")
        }
        _ => anyhow::anyhow!("cannot listen on {address}: {error}"),
    })
}

/// Opens a database and makes sure that our tables are there.
pub(super) async fn open_store(url: &str, pool: u32) -> anyhow::Result<Store> {
    let store = Store::open(url, pool).await?;
    store.prepare().await?;
    Ok(store)
}

async fn stock(store: &Store, args: &ServeArgs, printer: Printer) -> anyhow::Result<()> {
    if let Some(units) = args.stock {
        return Ok(store.seed(COUPON, COUPON_NAME, units, args.one_per_user).await?);
    }
    match store.coupon(COUPON).await {
        Ok(coupon) => {
            printer.say(&format!(
                "coupon 1 goes on with {} of {} units; --stock N starts afresh",
                coupon.quantity, coupon.initial
            ));
            Ok(())
        }
        Err(crate::coupon::StoreError::UnknownCoupon(_)) => {
            Ok(store.seed(COUPON, COUPON_NAME, STOCK_DEFAULT, false).await?)
        }
        Err(error) => Err(error.into()),
    }
}

/// `CPLOCK_JWT_SECRET`, so that several servers can share tokens, or a fresh secret.
fn secret() -> anyhow::Result<String> {
    match std::env::var("CPLOCK_JWT_SECRET") {
        Ok(given) if given.len() >= 16 => Ok(given),
        Ok(_) => {
            Err(usage("CPLOCK_JWT_SECRET is too short; give at least 16 characters or unset it"))
        }
        Err(_) => auth::random_secret().context("cannot make a token secret"),
    }
}

/// As many connections as open files allow, some kept back for the database and the rest.
fn limits() -> Limits {
    let standard = Limits::default();
    let files = rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(1024, |(soft, _)| soft);
    let spare = usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(256).max(64);
    Limits { connections_max: standard.connections_max.min(spare), ..standard }
}

fn warn_beyond_loopback(address: SocketAddr, printer: Printer) {
    if !address.ip().is_loopback() {
        printer.complain(&format!(
            "warning: {address} can be reached from other machines; this laboratory server is not \
             hardened for that, prefer 127.0.0.1"
        ));
    }
}

fn warn_of(planted: Option<&Planted>, printer: Printer) {
    if let Some(flaw) = planted.map(Planted::flaw) {
        let what = flaw.sentence();
        printer.complain(&format!("warning: this server is broken on purpose, {flaw}: {what}"));
    }
}

/// Ready at SIGINT or SIGTERM, or at the end of stdin where that was asked for.
async fn stop_asked(until_stdin_closes: bool) {
    let stdin = async {
        if until_stdin_closes {
            let mut sink = tokio::io::sink();
            let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut sink).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    let signalled = async {
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return std::future::pending().await;
        };
        tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
    };
    tokio::select! { () = stdin => {} () = signalled => {} }
}
