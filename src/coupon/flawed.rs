//! What a planted flaw does at the desk and in the store, in place of the flow in `issue.rs`.
//!
//! Which flaws there are is said in `flaw.rs`. Nothing here runs in a server without one.

use std::time::{Duration, Instant};

use super::db::{Arg, Intent, Kind, Tx};
use super::flaw::{Flaw, Planted, SHORT_LEASE};
use super::issue::{Denied, Desk};
use super::statements;
use super::store::{Coupon, Store, now_us, write_back};
use super::{
    Claim, CouponId, GrantFacts, IssueError, IssuedRow, Receipt, Step, StoreError, Tell, Work,
    Written,
};
use crate::lock::Lease;

/// Long enough for another claim to come between two steps.
const MOMENT: Duration = Duration::from_millis(3);
/// How long a double click stays between its check and its lock.
const DOUBLE_CLICK: Duration = Duration::from_millis(20);
/// How old cached and replicated answers are.
const STALE: Duration = Duration::from_secs(1);
/// Rows of the last batch.
const BATCH: usize = 10;

/// Before and after the server's life.
impl Planted {
    /// Makes the database one that has room for the flaw. To be called before anything is served.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] for another database than SQLite; nothing has changed then. Any
    /// other error leaves the tables as they were.
    pub async fn prepare(&self, store: &Store) -> Result<(), StoreError> {
        if store.db.kind() != Kind::Sqlite {
            return Err(StoreError::Unusable(
                "--flaw needs a SQLite database; give --db sqlite://FILE".to_owned(),
            ));
        }
        if self.flaw() != Flaw::RepeatedWrite {
            return Ok(());
        }
        let mut tx = store.db.begin(Intent::Write).await?;
        let unkeyed = tx.script(statements::SCHEMA_UNKEYED).await.map_err(StoreError::from);
        tx.finish(unkeyed).await
    }

    /// What the flaw does once the server has drained.
    ///
    /// # Errors
    /// Nothing was done then, unless it is [`StoreError::CommitUnknown`].
    pub async fn shut_down(&self, store: &Store) -> Result<(), StoreError> {
        match self.flaw() {
            Flaw::LostBatch => self.lose_rows(store).await,
            Flaw::CancellingErrors => {
                let owed = self.memory().owed.take();
                match owed {
                    Some(coupon) => match self.leak(store, coupon).await {
                        // Nothing left to leak: what was lost has been sold again.
                        Err(StoreError::SoldOut(_)) => Ok(()),
                        done => done,
                    },
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    async fn lose_rows(&self, store: &Store) -> Result<(), StoreError> {
        let lost = std::mem::take(&mut self.memory().rows);
        let mut tx = store.db.begin(Intent::Write).await?;
        for (coupon, row) in &lost {
            tx.execute(statements::DELETE_ROW, &[Arg::Int(*row)]).await?;
            tx.execute(statements::INCREMENT, &[Arg::Int(coupon.0)]).await?;
        }
        tx.finish(Ok(())).await?;
        for _ in &lost {
            self.manifested();
        }
        Ok(())
    }
}

/// What is told.
impl Planted {
    /// What the client of `request` is told in place of what was done, if anything.
    pub fn told_instead(&self, request: &str) -> Option<Written> {
        self.memory().told.remove(request)
    }

    /// Makes `written` the newest acknowledged claim, and tells which was before it.
    pub fn newest(&self, claim: &Claim, written: Written) -> Option<Written> {
        let mut memory = self.memory();
        let before = memory.last.replace((claim.user, written));
        if before.is_some_and(|(user, _)| user != claim.user) {
            memory.other = before;
        }
        before.map(|(_, written)| written)
    }

    /// Puts what a cache still holds in the place of `coupon`.
    pub fn cached(&self, coupon: &mut Coupon) {
        if self.flaw() != Flaw::CachedStock {
            return;
        }
        let mut memory = self.memory();
        match &memory.shown {
            Some((since, old)) if since.elapsed() < STALE && old.id == coupon.id => {
                if old.quantity != coupon.quantity {
                    self.manifested();
                }
                *coupon = old.clone();
            }
            _ => memory.shown = Some((Instant::now(), coupon.clone())),
        }
    }

    /// Takes out of `rows` what a replica does not have yet.
    pub fn lagging(&self, rows: &mut Vec<IssuedRow>) {
        if self.flaw() != Flaw::LaggingList {
            return;
        }
        let all = rows.len();
        let lag_us = i64::try_from(STALE.as_micros()).unwrap_or(i64::MAX);
        let seen_us = now_us().saturating_sub(lag_us);
        rows.retain(|row| row.created_us <= seen_us);
        if rows.len() < all {
            self.manifested();
        }
    }
}

/// What is done for a claim.
impl Planted {
    /// Answers `claim` as the desk does, but for the flaw.
    pub(super) async fn issue(
        &self,
        desk: &Desk,
        claim: &Claim,
        tell: Tell<'_>,
    ) -> Result<Receipt, Denied> {
        // Also those who are turned away at the door have asked.
        tell(Step::Asked);
        self.at_the_door(desk.store(), claim).await?;
        let (lease, grant) = desk.enter(claim, tell).await?;
        if self.flaw() == Flaw::EarlyRelease {
            return self.release_first(desk, claim, (lease, grant), tell).await;
        }
        let written = self.write(desk.store(), claim, desk.work, tell).await;
        if self.flaw().pauses()
            && self.flaw() != Flaw::OwnerlessUnlock
            && written.is_ok()
            && lease.granted_at.elapsed() > SHORT_LEASE
        {
            self.manifested();
        }
        desk.leave(lease, grant, written, tell).await
    }

    /// Before the lock.
    async fn at_the_door(&self, store: &Store, claim: &Claim) -> Result<(), StoreError> {
        match self.flaw() {
            Flaw::UnguardedDecrement => match store.coupon(claim.coupon).await? {
                Coupon { quantity: ..=0, id, .. } => Err(StoreError::SoldOut(id)),
                _ => Ok(()),
            },
            Flaw::UnlockedCheck => {
                let once = store.coupon(claim.coupon).await?.one_per_user;
                let own = store.user_rows(claim.user, 0).await?;
                if once && own.iter().any(|row| row.coupon == claim.coupon) {
                    return Err(StoreError::Duplicate("checked before the lock".to_owned()));
                }
                tokio::time::sleep(DOUBLE_CLICK).await;
                Ok(())
            }
            Flaw::EarlyMarker => {
                let mut memory = self.memory();
                let Some(owns) = memory.marked.get(&claim.user).copied() else {
                    memory.marked.insert(claim.user, false);
                    return Ok(());
                };
                if !owns {
                    self.manifested();
                }
                Err(StoreError::Duplicate("this user has asked before".to_owned()))
            }
            Flaw::SharedReplay => {
                let mut memory = self.memory();
                let known = [memory.last, memory.other].into_iter().flatten();
                let other = known.into_iter().find(|(user, _)| *user != claim.user);
                match other {
                    Some((_, written)) if self.strikes() => {
                        memory.told.insert(claim.request.clone(), written);
                        self.manifested();
                        Err(StoreError::Duplicate("answered from the cache".to_owned()))
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// D03: everything but the commit, then the release, then the commit.
    async fn release_first(
        &self,
        desk: &Desk,
        claim: &Claim,
        (lease, grant): (Lease, GrantFacts),
        tell: Tell<'_>,
    ) -> Result<Receipt, Denied> {
        let (tx, written) = match uncommitted(desk.store(), claim, desk.work.gap).await {
            Ok((tx, written, _)) => (tx, written),
            Err(error) => return desk.leave(lease, grant, Err(error), tell).await,
        };
        let receipt = desk.leave(lease, grant, Ok(written), tell).await?;
        tokio::time::sleep(MOMENT).await;
        let committed = tx.finish_telling(Ok(()), tell).await;
        match committed {
            Ok(()) => {
                self.manifested();
                Ok(receipt)
            }
            Err(error) => {
                let Receipt { grant, hold, release, .. } = receipt;
                let error = error.into();
                Err(Denied { error, grant: Some(grant), hold, release: Some(release) })
            }
        }
    }

    /// Inside the lock, in place of [`Store::issue_telling`].
    async fn write(
        &self,
        store: &Store,
        claim: &Claim,
        work: Work,
        tell: Tell<'_>,
    ) -> Result<Written, StoreError> {
        match self.flaw() {
            Flaw::NoLock => {
                let (tx, written, stale) = uncommitted(store, claim, work.gap.max(MOMENT)).await?;
                tx.finish_telling(Ok(()), tell).await?;
                if stale {
                    self.manifested();
                }
                Ok(written)
            }
            Flaw::UnguardedDecrement => self.decrement(store, claim, tell).await,
            Flaw::UnlockedCheck => self.insert_unchecked(store, claim, tell).await,
            Flaw::StockShards => self.take_from_half(store, claim, work, tell).await,
            Flaw::ToldThenRolledBack | Flaw::SwallowedFailure if self.strikes() => {
                let (tx, written, _) = uncommitted(store, claim, work.gap).await?;
                tx.rollback().await;
                let told = match self.flaw() {
                    Flaw::ToldThenRolledBack => written,
                    // The entity as it was never saved.
                    _ => Written { row: 0, quantity: 0 },
                };
                self.memory().told.insert(claim.request.clone(), told);
                self.manifested();
                Err(StoreError::Deadlock)
            }
            Flaw::LeakedUnit if self.strikes() => {
                self.leak(store, claim.coupon).await?;
                Err(StoreError::Failed("the insert failed after the decrement".to_owned()))
            }
            Flaw::CancellingErrors if self.strikes() => self.cancel(store, claim, tell).await,
            flaw if flaw.pauses() && self.strikes() => {
                let work = Work { gap: SHORT_LEASE * 5 / 2, ..work };
                store.issue_telling(claim, work, tell).await
            }
            _ => {
                let written = store.issue_telling(claim, work, tell).await?;
                self.after(store, claim, written).await;
                Ok(written)
            }
        }
    }

    /// After a sound write, still inside. What fails here fails alone.
    async fn after(&self, store: &Store, claim: &Claim, written: Written) {
        match self.flaw() {
            Flaw::ForeignRow | Flaw::RepeatedWrite if self.strikes() => {
                let request = match self.flaw() {
                    Flaw::ForeignRow => format!("import-{}", written.row),
                    _ => claim.request.clone(),
                };
                let again = Claim { request, ..claim.clone() };
                if insert(store, &again, &mut |_| ()).await.is_ok() {
                    self.manifested();
                }
            }
            Flaw::EarlyMarker => {
                self.memory().marked.insert(claim.user, true);
            }
            Flaw::LostBatch => {
                let mut memory = self.memory();
                memory.rows.push_back((claim.coupon, written.row));
                if memory.rows.len() > BATCH {
                    memory.rows.pop_front();
                }
            }
            _ => {}
        }
    }

    /// D02: a row and a unit, whatever is left.
    async fn decrement(
        &self,
        store: &Store,
        claim: &Claim,
        tell: Tell<'_>,
    ) -> Result<Written, StoreError> {
        let (mut tx, quantity) = begin(store, claim.coupon).await?;
        // What was read here is exact, because SQLite has one writer: less one is the decrement.
        let row = write_back(&mut tx, claim, quantity).await;
        let written = tx.finish_telling(row.map(|row| Written { row, quantity }), tell).await?;
        if quantity <= 0 {
            self.manifested();
        }
        Ok(written)
    }

    /// D04: a row and a unit, whoever holds one already.
    async fn insert_unchecked(
        &self,
        store: &Store,
        claim: &Claim,
        tell: Tell<'_>,
    ) -> Result<Written, StoreError> {
        let once = store.coupon(claim.coupon).await?.one_per_user;
        let own = store.user_rows(claim.user, 0).await?;
        let written = insert(store, claim, tell).await?;
        if once && own.iter().any(|row| row.coupon == claim.coupon) {
            self.manifested();
        }
        Ok(written)
    }

    /// D23: from the half of the stock that this claim was sent to.
    async fn take_from_half(
        &self,
        store: &Store,
        claim: &Claim,
        work: Work,
        tell: Tell<'_>,
    ) -> Result<Written, StoreError> {
        let Coupon { quantity, initial, .. } = store.coupon(claim.coupon).await?;
        let (half, units) = match self.chance() % 4 {
            0 => (0, initial / 2),
            _ => (1, initial - initial / 2),
        };
        if self.memory().sold[half] >= units {
            if quantity > 0 {
                self.manifested();
            }
            return Err(StoreError::SoldOut(claim.coupon));
        }
        let written = store.issue_telling(claim, work, tell).await?;
        self.memory().sold[half] += 1;
        Ok(written)
    }

    /// D32: a row without its decrement, or the decrement that makes up for it.
    async fn cancel(
        &self,
        store: &Store,
        claim: &Claim,
        tell: Tell<'_>,
    ) -> Result<Written, StoreError> {
        if self.memory().owed.is_some() {
            self.leak(store, claim.coupon).await?;
            self.memory().owed = None;
            return Err(StoreError::Failed("the insert failed after the decrement".to_owned()));
        }
        let (mut tx, quantity) = begin_stocked(store, claim.coupon).await?;
        // One more, less one: what is written back is what was there.
        let row = write_back(&mut tx, claim, quantity + 1).await;
        let written = tx.finish_telling(row.map(|row| Written { row, quantity }), tell).await?;
        self.memory().owed = Some(claim.coupon);
        self.manifested();
        Ok(written)
    }

    /// A decrement without a row.
    async fn leak(&self, store: &Store, coupon: CouponId) -> Result<(), StoreError> {
        let (mut tx, quantity) = begin_stocked(store, coupon).await?;
        let less_one = [Arg::Int(quantity - 1), Arg::Int(coupon.0)];
        let done = tx.execute(statements::WRITE_QUANTITY, &less_one).await;
        tx.finish(done.map_err(StoreError::from)).await?;
        self.manifested();
        Ok(())
    }
}

/// A whole issue but for its commit, and whether the quantity was stale when it was written.
async fn uncommitted(
    store: &Store,
    claim: &Claim,
    gap: Duration,
) -> Result<(Tx, Written, bool), StoreError> {
    let (mut tx, quantity) = store.read_for_write(claim, gap).await?;
    let found = quantity_of(&mut tx, claim.coupon).await;
    let row = write_back(&mut tx, claim, quantity).await;
    match (found, row) {
        (Ok(found), Ok(row)) => Ok((tx, Written { row, quantity }, found != quantity)),
        (Err(error), _) | (_, Err(error)) => {
            tx.rollback().await;
            Err(error)
        }
    }
}

/// A row and a unit, if there is one, for whoever asks.
async fn insert(store: &Store, claim: &Claim, tell: Tell<'_>) -> Result<Written, StoreError> {
    let (mut tx, quantity) = begin_stocked(store, claim.coupon).await?;
    let row = write_back(&mut tx, claim, quantity).await;
    tx.finish_telling(row.map(|row| Written { row, quantity }), tell).await
}

/// A transaction that writes, and the quantity, which nobody else can change until its end.
async fn begin(store: &Store, coupon: CouponId) -> Result<(Tx, i64), StoreError> {
    let mut tx = store.db.begin(Intent::Write).await?;
    let quantity = quantity_of(&mut tx, coupon).await?;
    Ok((tx, quantity))
}

/// [`begin`], where there is a unit left.
async fn begin_stocked(store: &Store, coupon: CouponId) -> Result<(Tx, i64), StoreError> {
    let (tx, quantity) = begin(store, coupon).await?;
    if quantity <= 0 {
        tx.rollback().await;
        return Err(StoreError::SoldOut(coupon));
    }
    Ok((tx, quantity))
}

async fn quantity_of(tx: &mut Tx, coupon: CouponId) -> Result<i64, StoreError> {
    let found: Option<(i64, i64)> =
        tx.first(statements::READ_COUPON, &[Arg::Int(coupon.0)]).await?;
    found.map(|(quantity, _)| quantity).ok_or(StoreError::UnknownCoupon(coupon))
}

/// Turned away before the lock.
impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        let error = IssueError::from(error);
        Self { error, grant: None, hold: Duration::ZERO, release: None }
    }
}
