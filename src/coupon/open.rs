//! From a database address to a pool, and what to say when that does not work.
//!
//! Nothing is created here but an empty SQLite file: tables are `store.rs`.

use std::path::Path;
use std::time::Duration;

use sqlx::mysql::MySqlConnectOptions;
use sqlx::pool::PoolOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection as _, Database};

use super::StoreError;
use super::db::Db;

/// Longest wait for a pooled connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for the first connection, which shows whether the address works at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long SQLite waits for its one writer before it says `SQLITE_BUSY`.
const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const SCHEMES: &str = "use sqlite://FILE, mysql://USER:PASSWORD@HOST:PORT/DATABASE or \
                       postgres://USER:PASSWORD@HOST:PORT/DATABASE";

/// Opens what `url` names, and proves with one connection that it answers.
pub(super) async fn open(url: &str, pool_size: u32) -> Result<Db, StoreError> {
    if pool_size == 0 {
        return Err(StoreError::Unusable(
            "a pool of 0 database connections serves nobody; use 1 or more".to_owned(),
        ));
    }
    match url.split_once("://") {
        Some(("sqlite", path)) => open_sqlite(path, pool_size).await,
        Some(("mysql" | "mariadb", _)) => open_mysql(url, pool_size).await,
        Some(("postgres" | "postgresql", _)) => open_postgres(url, pool_size).await,
        // Only the scheme is shown: what cannot be read may hold a password anywhere.
        Some((scheme, _)) => Err(StoreError::Unusable(format!(
            "no database is known by the scheme `{}://`; {SCHEMES}",
            scheme.escape_debug()
        ))),
        None => Err(StoreError::Unusable(format!("the database address has no scheme; {SCHEMES}"))),
    }
}

async fn open_sqlite(path: &str, pool_size: u32) -> Result<Db, StoreError> {
    if path.is_empty() || path == ":memory:" {
        return Err(StoreError::Unusable(
            "a SQLite database needs a file, which its connections share; use sqlite://FILE"
                .to_owned(),
        ));
    }
    let options = SqliteConnectOptions::new()
        .filename(Path::new(path))
        .create_if_missing(true)
        .busy_timeout(SQLITE_BUSY_TIMEOUT)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .disable_statement_logging();
    let remedy = "check the path, its folder and its permissions";
    try_out(&options, "SQLite", &format!("sqlite://{path}"), remedy).await?;
    Ok(Db::Sqlite(pool_options(pool_size).connect_lazy_with(options)))
}

async fn open_mysql(url: &str, pool_size: u32) -> Result<Db, StoreError> {
    let options: MySqlConnectOptions = url.parse().map_err(|error| unreadable("mysql", &error))?;
    let options = options.disable_statement_logging();
    let database = options.get_database().ok_or_else(|| no_database("mysql"))?;
    let address = format!(
        "mysql://{}@{}:{}/{database}",
        options.get_username(),
        options.get_host(),
        options.get_port()
    );
    let remedy = "start the database, create it with CREATE DATABASE, or correct user and password";
    try_out(&options, "MySQL or MariaDB", &address, remedy).await?;
    Ok(Db::MySql(pool_options(pool_size).connect_lazy_with(options)))
}

async fn open_postgres(url: &str, pool_size: u32) -> Result<Db, StoreError> {
    let options: PgConnectOptions = url.parse().map_err(|error| unreadable("postgres", &error))?;
    let options = options.disable_statement_logging();
    let database = options.get_database().ok_or_else(|| no_database("postgres"))?;
    let address = format!(
        "postgres://{}@{}:{}/{database}",
        options.get_username(),
        options.get_host(),
        options.get_port()
    );
    let remedy = "start the database, create it with CREATE DATABASE, or correct user and password";
    try_out(&options, "PostgreSQL", &address, remedy).await?;
    Ok(Db::Postgres(pool_options(pool_size).connect_lazy_with(options)))
}

/// One connection outside the pool: a pool would ask a dead server again and again for 30 s.
async fn try_out<O: ConnectOptions>(
    options: &O,
    engine: &str,
    address: &str,
    remedy: &str,
) -> Result<(), StoreError>
where
    O::Connection: Sized,
{
    let reason = match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(Ok(connection)) => {
            // What matters was shown; a clumsy goodbye changes nothing.
            let _ = connection.close().await;
            return Ok(());
        }
        Ok(Err(sqlx::Error::Database(answer))) => answer.message().to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {}", humantime::format_duration(CONNECT_TIMEOUT)),
    };
    Err(StoreError::Unusable(format!(
        "cannot use {engine} at `{address}`: {}; {remedy}",
        reason.replace('\n', " ")
    )))
}

fn unreadable(scheme: &str, error: &sqlx::Error) -> StoreError {
    StoreError::Unusable(format!("cannot read the {scheme}:// address: {error}; {SCHEMES}"))
}

fn no_database(scheme: &str) -> StoreError {
    StoreError::Unusable(format!("the {scheme}:// address names no database; {SCHEMES}"))
}

/// A fixed set of connections, opened when first needed and then kept: no lifetimes that would
/// show as spikes in the middle of a run, no ping before each use.
fn pool_options<DB: Database>(pool_size: u32) -> PoolOptions<DB> {
    PoolOptions::new()
        .max_connections(pool_size)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // Above the timeout: waiting here is what a load test provokes, not news.
        .acquire_slow_threshold(ACQUIRE_TIMEOUT * 2)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}
