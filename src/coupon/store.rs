//! The books: coupons, users and issued units on SQLite, MySQL/MariaDB or PostgreSQL.
//!
//! Written once over the driver in `db.rs`; tables are created in `tables.rs`, users are kept in
//! `users.rs`. Who may write, and when, is not decided here (`issue.rs`).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::db::{Arg, Db, Intent, Kind, Tx};
use super::fault::Fault;
use super::{
    Claim, CouponId, IssuedRow, Snapshot, StoreError, Tell, UserId, Work, WriteMode, Written, open,
    statements,
};

/// One database and its pool of connections. Clones share the pool.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) db: Db,
}

/// One row of `coupons`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coupon {
    /// Column `coupon_id`.
    pub id: CouponId,
    /// Column `name`.
    pub name: String,
    /// Units left now, column `quantity`. Negative if the service let it.
    pub quantity: i64,
    /// Units at the start, column `initial_quantity`.
    pub initial: i64,
    /// Whether each user may hold at most one, column `one_per_user`.
    pub one_per_user: bool,
}

/// A row of `user_coupon`, in the order of the columns in the statements.
type IssuedTuple = (i64, i64, i64, String, i64);

impl Store {
    /// Most rows in one page of [`Store::rows`] and [`Store::user_rows`].
    pub const PAGE: usize = 10_000;

    /// Connects to `url`: `sqlite://FILE` (created if missing; WAL, synchronous NORMAL),
    /// `mysql://…` or `postgres://…`. At most `pool_size` connections, opened as needed; the
    /// server's own isolation level and durability settings are left alone.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] with one line: what, where (never the password), and a remedy.
    pub async fn open(url: &str, pool_size: u32) -> Result<Self, StoreError> {
        Ok(Self { db: open::open(url, pool_size).await? })
    }

    /// Closes every connection, each once its transaction is done.
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// Name and value of what decides the meaning of a run: engine, version, isolation, flush,
    /// limits; first `engine`, then the engine's own names, then `pool_size`.
    ///
    /// # Errors
    /// Whatever kept the database from answering.
    pub async fn server_facts(&self) -> Result<Vec<(String, String)>, StoreError> {
        let engine = match self.db.kind() {
            Kind::Sqlite => "sqlite",
            Kind::MySql => "mysql",
            Kind::Postgres => "postgres",
        };
        let mut facts = vec![("engine".to_owned(), engine.to_owned())];
        facts.extend(self.db.read(statements::settings(self.db.kind()), &[]).await?);
        facts.push(("pool_size".to_owned(), self.db.pool_size().to_string()));
        Ok(facts)
    }

    /// Starts `coupon` afresh: its issued units are deleted, quantity and initial quantity are
    /// `stock`. Other coupons and all users stay. One transaction.
    ///
    /// # Errors
    /// Nothing has changed then, unless it is [`StoreError::CommitUnknown`].
    pub async fn seed(
        &self,
        coupon: CouponId,
        name: &str,
        stock: u32,
        one_per_user: bool,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin(Intent::Write).await?;
        let replaced = replace(&mut tx, coupon.0, name, stock, one_per_user).await;
        tx.finish(replaced).await
    }

    /// What is offered as `coupon`.
    ///
    /// # Errors
    /// [`StoreError::UnknownCoupon`], or whatever kept the database from answering.
    pub async fn coupon(&self, coupon: CouponId) -> Result<Coupon, StoreError> {
        let rows = self.db.read(statements::DESCRIBE_COUPON, &[Arg::Int(coupon.0)]).await?;
        rows.into_iter()
            .next()
            .map(|(name, quantity, initial, once): (String, i64, i64, i64)| Coupon {
                id: coupon,
                name,
                quantity,
                initial,
                one_per_user: once != 0,
            })
            .ok_or(StoreError::UnknownCoupon(coupon))
    }

    /// Stock and counts of `coupon`, consistent with each other also while others write.
    ///
    /// # Errors
    /// [`StoreError::UnknownCoupon`], or whatever kept the database from answering.
    pub async fn snapshot(&self, coupon: CouponId) -> Result<Snapshot, StoreError> {
        let rows = self.db.read(statements::SNAPSHOT, &[Arg::Int(coupon.0)]).await?;
        rows.into_iter()
            .next()
            .map(|(initial, remaining, issued, last_row): (i64, i64, i64, i64)| Snapshot {
                coupon,
                initial,
                remaining,
                issued,
                last_row,
            })
            .ok_or(StoreError::UnknownCoupon(coupon))
    }

    /// The rows of `coupon` with ids above `after_row` (0 for the first page), by rising id, at
    /// most [`Store::PAGE`]; an empty page is the end. A page is consistent, a walk is so only
    /// while nobody writes: ids are given out before they are committed.
    ///
    /// # Errors
    /// Whatever kept the database from answering. An unknown coupon has no rows.
    pub async fn rows(
        &self,
        coupon: CouponId,
        after_row: i64,
    ) -> Result<Vec<IssuedRow>, StoreError> {
        self.page(statements::ROWS_OF_COUPON, coupon.0, after_row).await
    }

    /// The rows of `user`, in pages as with [`Store::rows`].
    ///
    /// # Errors
    /// Whatever kept the database from answering. An unknown user has no rows.
    pub async fn user_rows(
        &self,
        user: UserId,
        after_row: i64,
    ) -> Result<Vec<IssuedRow>, StoreError> {
        self.page(statements::ROWS_OF_USER, user.0, after_row).await
    }

    async fn page(
        &self,
        sql: &'static str,
        of: i64,
        after_row: i64,
    ) -> Result<Vec<IssuedRow>, StoreError> {
        let limit = i64::try_from(Self::PAGE).unwrap_or(i64::MAX);
        let args = [Arg::Int(of), Arg::Int(after_row), Arg::Int(limit)];
        let rows: Vec<IssuedTuple> = self.db.read(sql, &args).await?;
        Ok(rows
            .into_iter()
            .map(|(row, user, coupon, request, created_us)| IssuedRow {
                row,
                user: UserId(user),
                coupon: CouponId(coupon),
                request,
                created_us,
            })
            .collect())
    }

    /// Moves one unit to `claim.user`. When it returns `Ok`, that is committed.
    ///
    /// # Errors
    /// Nothing was written, as each variant of [`StoreError`] says, except for
    /// [`StoreError::CommitUnknown`]. A request name that was used before is a
    /// [`StoreError::Duplicate`].
    pub async fn issue_one(&self, claim: &Claim, work: Work) -> Result<Written, StoreError> {
        self.issue_telling(claim, work, &mut |_| ()).await
    }

    /// [`Store::issue_one`], telling of its commit: [`Step::CommitSent`](super::Step::CommitSent)
    /// and [`Step::Committed`](super::Step::Committed).
    ///
    /// # Errors
    /// As there.
    pub async fn issue_telling(
        &self,
        claim: &Claim,
        work: Work,
        tell: Tell<'_>,
    ) -> Result<Written, StoreError> {
        match work.write {
            WriteMode::ReadModifyWrite => self.read_modify_write(claim, work.gap, tell).await,
        }
    }

    /// Read, insert, write back: what an ORM flushes for `coupon.quantity -= 1; save(row)`. The
    /// insert comes before the update, as Hibernate orders them: on InnoDB the insert's foreign
    /// key takes a shared lock on the coupon that the update then needs exclusively.
    async fn read_modify_write(
        &self,
        claim: &Claim,
        gap: Duration,
        tell: Tell<'_>,
    ) -> Result<Written, StoreError> {
        let (mut tx, quantity) = self.read_for_write(claim, gap).await?;
        let written =
            write_back(&mut tx, claim, quantity).await.map(|row| Written { row, quantity });
        tx.finish_telling(written, tell).await
    }

    /// The first half: a transaction that may write, and the quantity that was read, once, before.
    pub(super) async fn read_for_write(
        &self,
        claim: &Claim,
        gap: Duration,
    ) -> Result<(Tx, i64), StoreError> {
        let mut tx = self.db.begin(Intent::Read).await?;
        let quantity = match look(&mut tx, claim).await {
            Ok(quantity) => quantity,
            Err(error) => {
                tx.rollback().await;
                return Err(error);
            }
        };
        think(gap).await;
        if self.db.kind() == Kind::Sqlite {
            // A SQLite transaction whose snapshot is old may not write: it fails and never loses
            // an update. What is to be shown is an entity read earlier, so the read stands alone.
            tx.rollback().await;
            tx = self.db.begin(Intent::Write).await?;
        }
        Ok((tx, quantity))
    }
}

/// One coupon, whole and untouched, in place of whatever was there.
async fn replace(
    tx: &mut Tx,
    id: i64,
    name: &str,
    stock: u32,
    one_per_user: bool,
) -> Result<(), StoreError> {
    let (id, stock) = (Arg::Int(id), Arg::Int(i64::from(stock)));
    let whole = [id, Arg::Text(name), stock, stock, Arg::Int(i64::from(one_per_user))];
    tx.execute(statements::DELETE_ISSUED, &[id]).await?;
    tx.execute(statements::DELETE_COUPON, &[id]).await?;
    tx.execute(statements::INSERT_COUPON, &whole).await?;
    Ok(())
}

/// The application's own time between its read and its write.
async fn think(gap: Duration) {
    let began = Instant::now();
    // The timer counts in whole milliseconds and rounds up; a shorter rest is waited out here.
    let coarse = Duration::from_millis(u64::try_from(gap.as_millis()).unwrap_or(u64::MAX));
    if coarse > Duration::from_millis(1) {
        tokio::time::sleep(coarse.saturating_sub(Duration::from_millis(1))).await;
    }
    while began.elapsed() < gap {
        tokio::task::yield_now().await;
    }
}

/// The quantity that this claim would take from, without any lock.
async fn look(tx: &mut Tx, claim: &Claim) -> Result<i64, StoreError> {
    let coupon = Arg::Int(claim.coupon.0);
    let (quantity, once): (i64, i64) = tx
        .first(statements::READ_COUPON, &[coupon])
        .await?
        .ok_or(StoreError::UnknownCoupon(claim.coupon))?;
    if quantity <= 0 {
        return Err(StoreError::SoldOut(claim.coupon));
    }
    if once != 0 {
        let holds: Option<(i64,)> =
            tx.first(statements::HOLDS_ONE, &[Arg::Int(claim.user.0), coupon]).await?;
        if holds.is_some() {
            return Err(StoreError::Duplicate(format!(
                "user {} holds coupon {}",
                claim.user.0, claim.coupon.0
            )));
        }
    }
    Ok(quantity)
}

/// The row, then the quantity that was read, less one.
pub(super) async fn write_back(
    tx: &mut Tx,
    claim: &Claim,
    quantity: i64,
) -> Result<i64, StoreError> {
    let issued = [
        Arg::Int(claim.user.0),
        Arg::Int(claim.coupon.0),
        Arg::Text(&claim.request),
        Arg::Int(now_us()),
    ];
    let row = match tx.insert(statements::INSERT_ISSUED, "user_coupon_id", &issued).await {
        // The coupon was read a moment ago, so it is the user who is missing.
        Err(Fault::ForeignKey(_)) => return Err(StoreError::UnknownUser(claim.user)),
        inserted => inserted?,
    };
    let less_one = [Arg::Int(quantity - 1), Arg::Int(claim.coupon.0)];
    if tx.execute(statements::WRITE_QUANTITY, &less_one).await? == 0 {
        return Err(StoreError::UnknownCoupon(claim.coupon));
    }
    Ok(row)
}

/// Microseconds since the Unix epoch, this machine's clock; 0 before it.
pub(super) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
