//! A thin closed driver: three engines behind a few calls, so that the store is written once.
//!
//! Not sqlx's `Any` driver: that one hides error numbers and the engines' own types. No statement
//! stands here (`statements.rs`), and no meaning of an error (`fault.rs`).

use sqlx::mysql::MySqlRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{
    Arguments as _, AssertSqlSafe, Database, Encode, FromRow, MySql, MySqlPool, PgPool, Postgres,
    SqlSafeStr as _, SqlStr, Sqlite, SqlitePool, Transaction, Type,
};

use super::fault::Fault;
use super::{Step, StoreError, Tell};

/// The three engines, for what they cannot say alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sqlite,
    /// MySQL and MariaDB.
    MySql,
    Postgres,
}

/// One bound value. Texts are always bound, never spliced into a statement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Arg<'a> {
    Int(i64),
    Text(&'a str),
}

/// What a transaction is about to do; only SQLite asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    /// Reads only.
    Read,
    /// Writes. SQLite takes its one write lock at once, and waits for it.
    Write,
}

/// A tuple that can be read from a row of any of the three engines.
pub(super) trait AnyRow:
    for<'r> FromRow<'r, SqliteRow>
    + for<'r> FromRow<'r, MySqlRow>
    + for<'r> FromRow<'r, PgRow>
    + Send
    + Unpin
{
}

impl<T> AnyRow for T where
    T: for<'r> FromRow<'r, SqliteRow>
        + for<'r> FromRow<'r, MySqlRow>
        + for<'r> FromRow<'r, PgRow>
        + Send
        + Unpin
{
}

/// One pool of connections. Clones share it.
#[derive(Debug, Clone)]
pub(super) enum Db {
    Sqlite(SqlitePool),
    MySql(MySqlPool),
    Postgres(PgPool),
}

/// One open transaction. Dropped without a commit, it is rolled back before its connection serves
/// anyone else.
pub(super) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    MySql(Transaction<'static, MySql>),
    Postgres(Transaction<'static, Postgres>),
}

/// The same expression for whichever engine is behind `$self`.
macro_rules! each {
    ($self:expr, $of:ident, $inner:ident: $engine:ident => $body:expr) => {
        match $self {
            $of::Sqlite($inner) => {
                type $engine = Sqlite;
                $body
            }
            $of::MySql($inner) => {
                type $engine = MySql;
                $body
            }
            $of::Postgres($inner) => {
                type $engine = Postgres;
                $body
            }
        }
    };
}

impl Db {
    /// Which engine this is.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Sqlite(_) => Kind::Sqlite,
            Self::MySql(_) => Kind::MySql,
            Self::Postgres(_) => Kind::Postgres,
        }
    }

    /// Connections that may be open at once.
    pub(super) fn pool_size(&self) -> u32 {
        each!(self, Self, pool: _Engine => pool.options().get_max_connections())
    }

    /// Closes every connection, once its work is done.
    pub(super) async fn close(&self) {
        each!(self, Self, pool: _Engine => pool.close().await);
    }

    /// Begins a transaction at the engine's own isolation level.
    ///
    /// The pool does not test a connection before it lends it: that would be one more round trip
    /// for every claim. One that the server closed while it was idle fails at its first statement
    /// instead, where nothing has been written, so the next one may be tried.
    pub(super) async fn begin(&self, intent: Intent) -> Result<Tx, Fault> {
        for _ in 0..self.pool_size() {
            match self.try_begin(intent).await {
                Err(Fault::Lost(_)) => {}
                done => return done,
            }
        }
        self.try_begin(intent).await
    }

    async fn try_begin(&self, intent: Intent) -> Result<Tx, Fault> {
        Ok(match (self, intent) {
            (Self::Sqlite(pool), Intent::Read) => Tx::Sqlite(pool.begin().await?),
            (Self::Sqlite(pool), Intent::Write) => {
                Tx::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?)
            }
            (Self::MySql(pool), _) => Tx::MySql(pool.begin().await?),
            (Self::Postgres(pool), _) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// Every row of one statement that only reads, as a transaction of its own.
    pub(super) async fn read<T: AnyRow>(
        &self,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> Result<Vec<T>, Fault> {
        for _ in 0..self.pool_size() {
            match self.try_read(sql, args).await {
                Err(Fault::Lost(_)) => {}
                done => return done,
            }
        }
        self.try_read(sql, args).await
    }

    async fn try_read<T: AnyRow>(
        &self,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> Result<Vec<T>, Fault> {
        Ok(each!(self, Self, pool: Engine => {
            let (sql, args) = prepare::<Engine>(self.kind(), sql, args)?;
            sqlx::query_as_with(sql, args).fetch_all(pool).await?
        }))
    }
}

impl Tx {
    fn kind(&self) -> Kind {
        match self {
            Self::Sqlite(_) => Kind::Sqlite,
            Self::MySql(_) => Kind::MySql,
            Self::Postgres(_) => Kind::Postgres,
        }
    }

    /// The first row, if there is one.
    pub(super) async fn first<T: AnyRow>(
        &mut self,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> Result<Option<T>, Fault> {
        Ok(self.all(sql, args).await?.into_iter().next())
    }

    /// Every row.
    pub(super) async fn all<T: AnyRow>(
        &mut self,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> Result<Vec<T>, Fault> {
        let kind = self.kind();
        Ok(each!(self, Self, tx: Engine => {
            let (sql, args) = prepare::<Engine>(kind, sql, args)?;
            sqlx::query_as_with(sql, args).fetch_all(&mut **tx).await?
        }))
    }

    /// Rows changed (found, on MySQL: sqlx asks for it).
    pub(super) async fn execute(
        &mut self,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> Result<u64, Fault> {
        let kind = self.kind();
        Ok(each!(self, Self, tx: Engine => {
            let (sql, args) = prepare::<Engine>(kind, sql, args)?;
            sqlx::query_with(sql, args).execute(&mut **tx).await?.rows_affected()
        }))
    }

    /// Inserts one row and tells its key, from column `key`.
    pub(super) async fn insert(
        &mut self,
        sql: &'static str,
        key: &'static str,
        args: &[Arg<'_>],
    ) -> Result<i64, Fault> {
        match self {
            Self::Sqlite(tx) => {
                let (sql, args) = prepare::<Sqlite>(Kind::Sqlite, sql, args)?;
                Ok(sqlx::query_with(sql, args).execute(&mut **tx).await?.last_insert_rowid())
            }
            Self::MySql(tx) => {
                let (sql, args) = prepare::<MySql>(Kind::MySql, sql, args)?;
                let id = sqlx::query_with(sql, args).execute(&mut **tx).await?.last_insert_id();
                i64::try_from(id).map_err(|error| Fault::Other(error.to_string()))
            }
            Self::Postgres(tx) => {
                let (_, args) = prepare::<Postgres>(Kind::Postgres, sql, args)?;
                let sql = AssertSqlSafe(format!("{sql} RETURNING {key}"));
                Ok(sqlx::query_scalar_with(sql, args).fetch_one(&mut **tx).await?)
            }
        }
    }

    /// Runs several statements without arguments, in one go.
    pub(super) async fn script(&mut self, sql: &'static str) -> Result<(), Fault> {
        each!(self, Self, tx: _Engine => {
            sqlx::raw_sql(sql).execute(&mut **tx).await?;
        });
        Ok(())
    }

    /// The end of the work: commits if it went well, else rolls back. The work's own error stands.
    pub(super) async fn finish<T>(self, work: Result<T, StoreError>) -> Result<T, StoreError> {
        self.finish_telling(work, &mut |_| ()).await
    }

    /// [`Tx::finish`], telling of the commit.
    pub(super) async fn finish_telling<T>(
        self,
        work: Result<T, StoreError>,
        tell: Tell<'_>,
    ) -> Result<T, StoreError> {
        match work {
            Ok(done) => {
                tell(Step::CommitSent);
                self.commit().await?;
                tell(Step::Committed);
                Ok(done)
            }
            Err(error) => {
                // Also after a lock wait, where MySQL keeps the transaction and its insert.
                self.rollback().await;
                Err(error)
            }
        }
    }

    /// Commits; an error says whether that leaves a doubt.
    async fn commit(self) -> Result<(), StoreError> {
        each!(self, Self, tx: _Engine => tx.commit().await)
            .map_err(|error| Fault::from(error).at_commit())
    }

    /// Rolls back and waits for it, so that whoever locks next finds the row free. A connection
    /// that cannot even do that is broken: the server rolls back by itself, the pool drops it.
    pub(super) async fn rollback(self) {
        if let Err(error) = each!(self, Self, tx: _Engine => tx.rollback().await) {
            tracing::debug!(%error, "a connection broke while rolling back");
        }
    }
}

/// The statement as `kind` writes it, and its values as `DB` encodes them.
fn prepare<DB: Database>(
    kind: Kind,
    sql: &'static str,
    args: &[Arg<'_>],
) -> Result<(SqlStr, DB::Arguments), Fault>
where
    i64: for<'q> Encode<'q, DB> + Type<DB>,
    for<'t> &'t str: Encode<'t, DB> + Type<DB>,
{
    let sql = match kind {
        Kind::Sqlite | Kind::Postgres => sql.into_sql_str(),
        Kind::MySql => AssertSqlSafe(question_marks(sql)).into_sql_str(),
    };
    let mut values = DB::Arguments::default();
    for arg in args {
        match *arg {
            Arg::Int(number) => values.add(number),
            Arg::Text(text) => values.add(text),
        }
        .map_err(|error| Fault::Other(error.to_string()))?;
    }
    Ok((sql, values))
}

/// `$1`, `$2` … as `?`. Some hundred nanoseconds, beside a network round trip.
fn question_marks(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql.chars().peekable();
    while let Some(char) = rest.next() {
        if char == '$' {
            while rest.next_if(char::is_ascii_digit).is_some() {}
            out.push('?');
        } else {
            out.push(char);
        }
    }
    out
}
