//! The lock room: one conformance suite over every strategy and store, and what only `fair`
//! promises.
//!
//! Here: what the files below share. Redis tests use the server named by `CPLOCK_TEST_REDIS`, or
//! start their own where they count its commands or kill it.

mod conformance;
mod costs;
mod line;
mod order;
mod push;
mod restart;

use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cplock::lock::lease_store::{Fault, Grant, Joined, LeaseStore};
use cplock::lock::{Key, Lease, Lock, LockError, Terms};

/// An ask that can be polled by hand and then moved into a task.
type Ask = Pin<Box<dyn Future<Output = Result<Lease, LockError>> + Send>>;

fn ask(lock: &Arc<dyn Lock>, key: &Key, request: impl Into<String>) -> Ask {
    let (lock, key, request) = (lock.clone(), key.clone(), request.into());
    Box::pin(async move { lock.acquire(&key, &request).await })
}

/// Polls once, as the server's dispatcher does: outside tokio's budget for one task.
async fn poll_once(ask: &mut Ask) -> Poll<Result<Lease, LockError>> {
    tokio::task::unconstrained(poll_fn(|cx| Poll::Ready(ask.as_mut().poll(cx)))).await
}

/// A key that no other test and no earlier run uses.
fn fresh_key() -> Key {
    Key::new(format!("cplock:test:{:016x}", RandomState::new().hash_one(0)))
}

fn shared_redis() -> String {
    std::env::var("CPLOCK_TEST_REDIS").expect("CPLOCK_TEST_REDIS names a Redis for tests")
}

/// Long enough never to matter unless a test means it to.
fn patient() -> Terms {
    Terms {
        wait: Duration::from_mins(1),
        lease: Duration::from_mins(1),
        poll: Duration::from_millis(5),
        attempts: 1,
        backoff: Duration::ZERO,
    }
}

/// A Redis of one test alone.
pub(crate) struct OwnRedis {
    server: Child,
    port: u16,
    folder: tempfile::TempDir,
    durable: bool,
}

impl OwnRedis {
    pub(crate) fn start(durable: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let seed = RandomState::new().hash_one(1) % 10_000;
        let first = 21_400 + u16::try_from(seed).unwrap();
        let port = (first..32_000)
            .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
            .expect("a free port below 32000");
        let server = launch(port, folder.path(), durable);
        Self { server, port, folder, durable }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// `kill -9`, then a new server in the same folder on the same port.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.server = launch(self.port, self.folder.path(), self.durable);
    }

    fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    pub(crate) fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> T {
        let client = redis::Client::open(self.url()).unwrap();
        command.query(&mut client.get_connection().unwrap()).unwrap()
    }

    /// How often the server ran `command`, by clients and scripts together.
    fn calls(&self, command: &str) -> u64 {
        let info: String = self.ask(redis::cmd("INFO").arg("commandstats"));
        let start = format!("cmdstat_{command}:calls=");
        let line = info.lines().find_map(|line| line.strip_prefix(&start));
        line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

fn launch(port: u16, folder: &std::path::Path, durable: bool) -> Child {
    let child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", if durable { "yes" } else { "no" }, "--appendfsync", "always"])
        .arg("--dir")
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed");
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
    let started = Instant::now();
    let ready = || -> redis::RedisResult<String> {
        redis::cmd("PING").query(&mut client.get_connection()?)
    };
    while ready().is_err() {
        assert!(started.elapsed() < Duration::from_secs(20), "redis-server does not answer");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

/// A store that counts the moves asked of the one inside.
struct Counting<S> {
    store: S,
    joins: AtomicU64,
    granted_by_join: AtomicU64,
    passes: AtomicU64,
    leaves: AtomicU64,
    ticks: AtomicU64,
}

impl<S> Counting<S> {
    fn new(store: S) -> Self {
        Self {
            store,
            joins: AtomicU64::new(0),
            granted_by_join: AtomicU64::new(0),
            passes: AtomicU64::new(0),
            leaves: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
        }
    }
}

#[async_trait]
impl<S: LeaseStore> LeaseStore for Counting<S> {
    async fn take(&self, key: &Key, request: &str) -> Result<bool, Fault> {
        self.store.take(key, request).await
    }

    async fn give_back(&self, key: &Key, request: &str) -> Result<bool, Fault> {
        self.store.give_back(key, request).await
    }

    async fn join(&self, key: &Key, request: &str) -> Result<Joined, Fault> {
        self.joins.fetch_add(1, Ordering::SeqCst);
        let joined = self.store.join(key, request).await;
        if let Ok(Joined::Granted(_)) = joined {
            self.granted_by_join.fetch_add(1, Ordering::SeqCst);
        }
        joined
    }

    async fn leave(&self, key: &Key, request: &str) -> Result<(), Fault> {
        self.leaves.fetch_add(1, Ordering::SeqCst);
        self.store.leave(key, request).await
    }

    async fn pass_on(&self, grant: &Grant) -> Result<bool, Fault> {
        self.passes.fetch_add(1, Ordering::SeqCst);
        self.store.pass_on(grant).await
    }

    async fn tick(&self) -> Duration {
        self.ticks.fetch_add(1, Ordering::SeqCst);
        self.store.tick().await
    }
}
