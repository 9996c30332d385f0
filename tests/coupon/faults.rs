//! Refusals and failures, each provoked on the engine that has it: what the store calls it, and
//! that nothing of it stays behind.

use std::future::Future as _;
use std::task::{Context, Waker};

use cplock::coupon::store::Store;
use cplock::coupon::{StoreError, UserId, WriteMode};
use sqlx::{Connection as _, MySqlConnection, PgConnection, SqliteConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::interleavings::{mysql_waits, postgres_waits, start};
use super::{COUPON, Engine, Lab, claim, lab, lab_alone, on_every_engine};

on_every_engine!(a_pool_that_stays_empty_times_out);

const RMW: WriteMode = WriteMode::ReadModifyWrite;

/// The failed claim wrote nothing, and the connection it used serves the next one.
async fn expect_intact(store: &Store, user: UserId, stock: i64) {
    let books = store.snapshot(COUPON).await.unwrap();
    assert_eq!((books.issued, books.remaining), (0, stock));
    store.issue_one(&claim(user, "next"), RMW.into()).await.unwrap();
    let books = store.snapshot(COUPON).await.unwrap();
    assert_eq!((books.issued, books.remaining), (1, stock - 1));
}

async fn a_pool_that_stays_empty_times_out(lab: &Lab) {
    let (store, user) = lab.shop(1, 3).await;
    let (held, late) = (claim(user, "r1"), claim(user, "r2"));
    // Polled once: it has the only connection, or is first in line for it.
    let mut held = Box::pin(store.issue_one(&held, RMW.into()));
    assert!(held.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let refused = store.issue_one(&late, RMW.into()).await;
    assert!(matches!(refused, Err(StoreError::PoolTimeout)), "{refused:?}");
    assert_eq!(began.elapsed().as_secs(), 30);
    tokio::time::resume();
    drop(held);
    expect_intact(&store, user, 3).await;
}

#[tokio::test]
async fn sqlite_is_busy_while_another_process_writes() {
    lab(Engine::Sqlite, async |lab: &Lab| {
        let (store, user) = lab.shop(1, 3).await;
        let mut conn = SqliteConnection::connect(&lab.url).await.unwrap();
        let writer = conn.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let refused = store.issue_one(&claim(user, "r1"), RMW.into()).await;
        assert!(matches!(refused, Err(StoreError::Busy)), "{refused:?}");
        writer.rollback().await.unwrap();
        expect_intact(&store, user, 3).await;
    })
    .await;
}

#[tokio::test]
async fn a_lock_wait_on_innodb_takes_the_insert_back_too() {
    lab_alone(async |lab: &Lab| {
        lab.run("SET GLOBAL innodb_lock_wait_timeout = 1").await;
        let (store, user) = lab.shop(1, 3).await;
        lab.run("SET GLOBAL innodb_lock_wait_timeout = DEFAULT").await;
        let mut conn = MySqlConnection::connect(&lab.url).await.unwrap();
        let mut gate = conn.begin().await.unwrap();
        // Shared: lets the insert's foreign key through, and holds the update.
        sqlx::query("SELECT 1 FROM coupons LOCK IN SHARE MODE").execute(&mut *gate).await.unwrap();
        let refused = store.issue_one(&claim(user, "r1"), RMW.into()).await;
        assert!(matches!(refused, Err(StoreError::LockWait)), "{refused:?}");
        gate.rollback().await.unwrap();
        expect_intact(&store, user, 3).await;
    })
    .await;
}

/// A store on PostgreSQL whose sessions have other settings, with the shop in it.
async fn postgres_shop(lab: &Lab, settings: &str) -> (Store, UserId) {
    let (_, user) = lab.shop(1, 3).await;
    (Store::open(&format!("{}?{settings}", lab.url), 1).await.unwrap(), user)
}

#[tokio::test]
async fn a_lock_wait_on_postgres_is_named() {
    lab(Engine::Postgres, async |lab: &Lab| {
        let (store, user) = postgres_shop(lab, "options[lock_timeout]=100").await;
        let mut conn = PgConnection::connect(&lab.url).await.unwrap();
        let mut gate = conn.begin().await.unwrap();
        sqlx::query("SELECT 1 FROM coupons FOR NO KEY UPDATE").execute(&mut *gate).await.unwrap();
        let refused = store.issue_one(&claim(user, "r1"), RMW.into()).await;
        assert!(matches!(refused, Err(StoreError::LockWait)), "{refused:?}");
        gate.rollback().await.unwrap();
        expect_intact(&store, user, 3).await;
    })
    .await;
}

#[tokio::test]
async fn a_conflict_on_postgres_is_named() {
    lab(Engine::Postgres, async |lab: &Lab| {
        let isolation = "options[default_transaction_isolation]=serializable";
        let (store, user) = postgres_shop(lab, isolation).await;
        let mut conn = PgConnection::connect(&lab.url).await.unwrap();
        let mut gate = conn.begin().await.unwrap();
        sqlx::query("UPDATE coupons SET version = 1").execute(&mut *gate).await.unwrap();
        let late = start(&store, user, "r1");
        postgres_waits(&mut gate, 1).await;
        gate.commit().await.unwrap();
        let late = late.await.unwrap();
        assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
        expect_intact(&store, user, 3).await;
    })
    .await;
}

#[tokio::test]
async fn a_deadlock_on_postgres_is_named() {
    lab(Engine::Postgres, async |lab: &Lab| {
        // The first of the circle to look for it is its victim: we look, the other does not.
        let (store, user) = postgres_shop(lab, "options[deadlock_timeout]=2000").await;
        let mut conn = PgConnection::connect(&lab.url).await.unwrap();
        sqlx::query("SET deadlock_timeout = 60000").execute(&mut conn).await.unwrap();
        let mut gate = conn.begin().await.unwrap();
        sqlx::query("SELECT 1 FROM coupons FOR NO KEY UPDATE").execute(&mut *gate).await.unwrap();
        let victim = start(&store, user, "r1");
        postgres_waits(&mut gate, 1).await;
        // The claim's foreign key holds its user; it waits for our coupon, we for its user.
        sqlx::query("SELECT 1 FROM users FOR UPDATE").execute(&mut *gate).await.unwrap();
        let victim = victim.await.unwrap();
        assert!(matches!(victim, Err(StoreError::Deadlock)), "{victim:?}");
        gate.rollback().await.unwrap();
        expect_intact(&store, user, 3).await;
    })
    .await;
}

#[tokio::test]
async fn connections_that_the_server_closed_are_replaced_unnoticed() {
    lab(Engine::Postgres, async |lab: &Lab| {
        let (store, user) = lab.shop(2, 3).await;
        lab.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        expect_intact(&store, user, 3).await;
    })
    .await;
    lab(Engine::MySql, async |lab: &Lab| {
        let (store, user) = lab.shop(2, 3).await;
        let mut conn = MySqlConnection::connect(&lab.url).await.unwrap();
        let others: Vec<i64> = sqlx::query_scalar(
            "SELECT CAST(id AS SIGNED) FROM information_schema.processlist \
             WHERE db = DATABASE() AND id <> CONNECTION_ID()",
        )
        .fetch_all(&mut conn)
        .await
        .unwrap();
        assert!(!others.is_empty());
        for id in others {
            lab.run(&format!("KILL {id}")).await;
        }
        expect_intact(&store, user, 3).await;
    })
    .await;
}

#[tokio::test]
async fn a_dropped_issue_is_rolled_back() {
    lab(Engine::MySql, async |lab: &Lab| {
        let (store, user) = lab.shop(1, 3).await;
        let mut conn = MySqlConnection::connect(&lab.url).await.unwrap();
        let mut gate = conn.begin().await.unwrap();
        sqlx::query("SELECT 1 FROM coupons LOCK IN SHARE MODE").execute(&mut *gate).await.unwrap();
        let dropped = start(&store, user, "r1");
        mysql_waits(&mut gate, 1).await;
        dropped.abort();
        assert!(dropped.await.unwrap_err().is_cancelled());
        gate.rollback().await.unwrap();
        expect_intact(&store, user, 3).await;
    })
    .await;
}

/// When a connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// Instead of passing the text on.
    Before,
    /// After passing it on, instead of the answer.
    After,
}

/// A wire to `server` that breaks at the first message that contains `text`; gives its address.
async fn breaking_wire(server: String, text: &'static str, cut: Cut) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await.unwrap();
                let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
                loop {
                    tokio::select! {
                        Ok(length) = client.read(&mut up) => {
                            let sent = &up[..length];
                            let is_it = sent.windows(text.len()).any(|at| at == text.as_bytes());
                            if length == 0 || (is_it && cut == Cut::Before) {
                                return;
                            }
                            server.write_all(sent).await.unwrap();
                            if is_it {
                                // The server has done it when it answers.
                                let _ = server.read(&mut down).await.unwrap();
                                return;
                            }
                        }
                        Ok(length) = server.read(&mut down) => {
                            if length == 0 || client.write_all(&down[..length]).await.is_err() {
                                return;
                            }
                        }
                        else => return,
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_a_doubt_only_at_the_commit() {
    for engine in [Engine::MySql, Engine::Postgres] {
        for (text, cut, issued) in [
            ("COMMIT", Cut::Before, 0),
            ("COMMIT", Cut::After, 1),
            ("INSERT INTO user_coupon", Cut::After, 0),
            ("UPDATE coupons", Cut::After, 0),
        ] {
            lab(engine, async |lab: &Lab| {
                let (direct, user) = lab.shop(1, 3).await;
                let (head, database) = lab.url.rsplit_once('/').unwrap();
                let (head, server) = head.split_once('@').unwrap();
                let wire = breaking_wire(server.to_owned(), text, cut).await;
                let store = Store::open(&format!("{head}@{wire}/{database}"), 1).await.unwrap();
                let result = store.issue_one(&claim(user, "r1"), RMW.into()).await;
                match text {
                    "COMMIT" => assert!(
                        matches!(result, Err(StoreError::CommitUnknown(_))),
                        "{engine:?} {text} {cut:?}: {result:?}"
                    ),
                    _ => assert!(
                        matches!(result, Err(StoreError::Failed(_))),
                        "{engine:?} {text} {cut:?}: {result:?}"
                    ),
                }
                assert_eq!(direct.snapshot(COUPON).await.unwrap().issued, issued);
            })
            .await;
        }
    }
}
