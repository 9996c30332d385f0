//! The books and the flow that changes them, on real databases.
//!
//! Here: a database of its own for each test, on each engine. The tests are in the files beside.
//! `CPLOCK_TEST_MYSQL` and `CPLOCK_TEST_POSTGRES` name servers on which databases may be created
//! and dropped (`scripts/services` starts them); a missing server fails the test.

mod books;
mod desk;
mod faults;
mod interleavings;
mod tables;
mod users;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use cplock::coupon::store::Store;
use cplock::coupon::{Claim, CouponId, UserId};
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection, PgConnection, SqliteConnection};
use tokio::sync::RwLock;

/// The coupon that tests issue.
pub(crate) const COUPON: CouponId = CouponId(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    MySql,
    Postgres,
}

/// Makes one test an engine out of each function `async fn name(lab: &Lab)`.
macro_rules! on_every_engine {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $name() {
                crate::coupon::lab(crate::coupon::Engine::Sqlite, super::$name).await;
            })+
        }
        mod mysql {
            $(#[tokio::test] async fn $name() {
                crate::coupon::lab(crate::coupon::Engine::MySql, super::$name).await;
            })+
        }
        mod postgres {
            $(#[tokio::test] async fn $name() {
                crate::coupon::lab(crate::coupon::Engine::Postgres, super::$name).await;
            })+
        }
    };
}
pub(crate) use on_every_engine;

/// Read by every test on the MySQL server, written by those that change its global settings.
static MYSQL_GLOBALS: LazyLock<RwLock<()>> = LazyLock::new(RwLock::default);

/// One empty database.
pub(crate) struct Lab {
    pub(crate) engine: Engine,
    /// Its address.
    pub(crate) url: String,
    server: String,
    name: String,
}

/// Runs `test` in a database of its own, and drops that afterwards. The database of a failed test
/// stays, for a look at it.
pub(crate) async fn lab(engine: Engine, test: impl AsyncFnOnce(&Lab)) {
    let _globals = MYSQL_GLOBALS.read().await;
    lab_with_globals(engine, test).await;
}

/// The same for a test on MySQL that changes the server's global settings: alone there.
pub(crate) async fn lab_alone(test: impl AsyncFnOnce(&Lab)) {
    let _globals = MYSQL_GLOBALS.write().await;
    lab_with_globals(Engine::MySql, test).await;
}

async fn lab_with_globals(engine: Engine, test: impl AsyncFnOnce(&Lab)) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("cplock_test_{}_{count}", std::process::id());
    let folder = tempfile::tempdir().unwrap();
    let server = match engine {
        Engine::Sqlite => format!("sqlite://{}/{name}.db", folder.path().display()),
        Engine::MySql => std::env::var("CPLOCK_TEST_MYSQL").expect("CPLOCK_TEST_MYSQL"),
        Engine::Postgres => std::env::var("CPLOCK_TEST_POSTGRES").expect("CPLOCK_TEST_POSTGRES"),
    };
    let url = match engine {
        Engine::Sqlite => server.clone(),
        Engine::MySql | Engine::Postgres => {
            format!("{}/{name}", server.rsplit_once('/').unwrap().0)
        }
    };
    let lab = Lab { engine, url, server, name };
    if engine != Engine::Sqlite {
        run(engine, &lab.server, &format!("CREATE DATABASE {}", lab.name)).await;
    }
    test(&lab).await;
    match engine {
        Engine::Sqlite => {}
        Engine::MySql => run(engine, &lab.server, &format!("DROP DATABASE {}", lab.name)).await,
        Engine::Postgres => {
            run(engine, &lab.server, &format!("DROP DATABASE {} WITH (FORCE)", lab.name)).await;
        }
    }
}

/// Runs a script on a connection of its own.
async fn run(engine: Engine, url: &str, sql: &str) {
    let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    match engine {
        Engine::Sqlite => {
            let mut conn = SqliteConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
            sql.execute(&mut conn).await.unwrap();
            conn.close().await.unwrap();
        }
        Engine::MySql => {
            let mut conn = MySqlConnection::connect(url).await.unwrap();
            sql.execute(&mut conn).await.unwrap();
            conn.close().await.unwrap();
        }
        Engine::Postgres => {
            let mut conn = PgConnection::connect(url).await.unwrap();
            sql.execute(&mut conn).await.unwrap();
            conn.close().await.unwrap();
        }
    }
}

impl Lab {
    /// Another program at work in this database.
    pub(crate) async fn run(&self, sql: &str) {
        run(self.engine, &self.url, sql).await;
    }

    pub(crate) async fn open(&self, pool_size: u32) -> Store {
        Store::open(&self.url, pool_size).await.unwrap()
    }

    /// Tables, one user and `stock` units of [`COUPON`].
    pub(crate) async fn shop(&self, pool_size: u32, stock: u32) -> (Store, UserId) {
        let store = self.open(pool_size).await;
        store.prepare().await.unwrap();
        store.seed(COUPON, "ten percent off", stock, false).await.unwrap();
        let user = store.create_user("a@cplock.test", "hash", "a", "here").await.unwrap();
        (store, user)
    }
}

/// The claim named `request`.
pub(crate) fn claim(user: UserId, request: &str) -> Claim {
    Claim { user, coupon: COUPON, request: request.to_owned() }
}
