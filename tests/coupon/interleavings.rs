//! Positive controls: interleavings that must lose an update or deadlock, forced each time.
//!
//! Without them a store that cannot lose anything would make every lock look right.

use std::time::Duration;

use cplock::coupon::store::Store;
use cplock::coupon::{StoreError, UserId, WriteMode, Written};
use sqlx::{Connection as _, MySqlConnection, PgConnection};
use tokio::task::JoinHandle;

use super::{COUPON, Engine, Lab, claim, lab, lab_alone};

const RMW: WriteMode = WriteMode::ReadModifyWrite;

/// Starts an issue that will meet a lock somewhere.
pub(super) fn start(
    store: &Store,
    user: UserId,
    request: &str,
) -> JoinHandle<Result<Written, StoreError>> {
    let (store, claim) = (store.clone(), claim(user, request));
    tokio::spawn(async move { store.issue_one(&claim, RMW.into()).await })
}

/// Returns once exactly `count` transactions of this database wait for a row lock.
pub(super) async fn mysql_waits(conn: &mut MySqlConnection, count: i64) {
    loop {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM information_schema.innodb_trx t \
             JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id \
             WHERE p.db = DATABASE() AND t.trx_state = 'LOCK WAIT'",
        )
        .fetch_one(&mut *conn)
        .await
        .unwrap();
        if waiting == count {
            return;
        }
        // InnoDB refreshes this table only if nobody has read it for 100 ms.
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
}

/// The same on PostgreSQL.
pub(super) async fn postgres_waits(conn: &mut PgConnection, count: i64) {
    loop {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
             WHERE NOT l.granted AND a.datname = current_database()",
        )
        .fetch_one(&mut *conn)
        .await
        .unwrap();
        if waiting == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn expect_lost(store: &Store, stock: i64) {
    let books = store.snapshot(COUPON).await.unwrap();
    assert_eq!((books.issued, books.remaining), (2, stock - 1), "two rows, one unit: {books:?}");
}

#[tokio::test]
async fn sqlite_loses_an_update_when_two_read_before_two_write() {
    lab(Engine::Sqlite, async |lab: &Lab| {
        // One connection, lent in the order of asking: read, read, write, write.
        let (store, user) = lab.shop(1, 9).await;
        let (first, second) = (claim(user, "r1"), claim(user, "r2"));
        let (first, second) =
            tokio::join!(store.issue_one(&first, RMW.into()), store.issue_one(&second, RMW.into()));
        assert_eq!((first.unwrap().quantity, second.unwrap().quantity), (9, 9));
        expect_lost(&store, 9).await;
    })
    .await;
}

#[tokio::test]
async fn postgres_loses_an_update_when_two_read_before_two_write() {
    lab(Engine::Postgres, async |lab: &Lab| {
        let (store, user) = lab.shop(2, 9).await;
        let mut conn = PgConnection::connect(&lab.url).await.unwrap();
        let mut gate = conn.begin().await.unwrap();
        // Lets reads and foreign keys through, and holds the updates.
        sqlx::query("SELECT 1 FROM coupons FOR NO KEY UPDATE").execute(&mut *gate).await.unwrap();
        let (first, second) = (start(&store, user, "r1"), start(&store, user, "r2"));
        postgres_waits(&mut gate, 2).await;
        gate.rollback().await.unwrap();
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        expect_lost(&store, 9).await;
    })
    .await;
}

#[tokio::test]
async fn innodb_deadlocks_when_two_insert_before_two_update() {
    lab(Engine::MySql, async |lab: &Lab| {
        let (store, user) = lab.shop(2, 9).await;
        let mut conn = MySqlConnection::connect(&lab.url).await.unwrap();
        let mut gate = conn.begin().await.unwrap();
        // Both have read, and wait for the shared lock of their foreign key.
        sqlx::query("SELECT 1 FROM coupons FOR UPDATE").execute(&mut *gate).await.unwrap();
        let (first, second) = (start(&store, user, "r1"), start(&store, user, "r2"));
        mysql_waits(&mut gate, 2).await;
        gate.rollback().await.unwrap();
        let mut results = [first.await.unwrap(), second.await.unwrap()];
        results.sort_by_key(Result::is_err);
        let [Ok(written), Err(StoreError::Deadlock)] = &results else { panic!("{results:?}") };
        let books = store.snapshot(COUPON).await.unwrap();
        assert_eq!((books.issued, books.remaining), (1, 8), "the victim left nothing");
        assert_eq!(books.last_row, written.row);
        // Its connection is fit for the next claim.
        let next = [start(&store, user, "r3").await, start(&store, user, "r4").await];
        assert!(next.iter().all(|result| matches!(result, Ok(Ok(_)))), "{next:?}");
    })
    .await;
}

/// One issue that reads, then sees somebody else's commit before it writes.
async fn overtaken_on_innodb(
    lab: &Lab,
    store: &Store,
    user: UserId,
) -> Result<Written, StoreError> {
    let mut conn = MySqlConnection::connect(&lab.url).await.unwrap();
    let mut other = conn.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO user_coupon (user_id, coupon_id, request_id, created_us) \
         VALUES (?, 1, 'other', 0)",
    )
    .bind(user.0)
    .execute(&mut *other)
    .await
    .unwrap();
    sqlx::query("UPDATE coupons SET quantity = 8").execute(&mut *other).await.unwrap();
    let late = start(store, user, "r1");
    mysql_waits(&mut other, 1).await;
    other.commit().await.unwrap();
    late.await.unwrap()
}

#[tokio::test]
async fn innodb_loses_an_update_or_finds_the_conflict_as_it_is_set() {
    lab_alone(async |lab: &Lab| {
        for (setting, is_lost) in [("OFF", true), ("ON", false)] {
            let was = "SET @was = @@GLOBAL.innodb_snapshot_isolation";
            lab.run(&format!("{was}; SET GLOBAL innodb_snapshot_isolation = {setting}")).await;
            let (store, user) = if is_lost {
                lab.shop(1, 9).await
            } else {
                let store = lab.open(1).await;
                store.seed(COUPON, "again", 9, false).await.unwrap();
                let user = store.user_by_email("a@cplock.test").await.unwrap().unwrap().id;
                (store, user)
            };
            let late = overtaken_on_innodb(lab, &store, user).await;
            if is_lost {
                assert_eq!(late.unwrap().quantity, 9);
                expect_lost(&store, 9).await;
            } else {
                assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
                let books = store.snapshot(COUPON).await.unwrap();
                assert_eq!((books.issued, books.remaining), (1, 8));
            }
        }
        lab.run("SET GLOBAL innodb_snapshot_isolation = DEFAULT").await;
    })
    .await;
}
