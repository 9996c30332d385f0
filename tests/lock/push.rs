//! Grants that a store pushes: on the connection that asks, to somebody or to nobody, or late.
//!
//! The order in which they come is `order.rs`'s; restarts of the server are `restart.rs`'s.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use cplock::lock::fair::FairLock;
use cplock::lock::lease_store::{Fault, Grant, Joined, LeaseStore};
use cplock::lock::memory::MemoryStore;
use cplock::lock::redis::RedisStore;
use cplock::lock::waiters::{Seat, Waiters};
use cplock::lock::{Key, Lock, Release, Strategy, open};
use tokio::time::{Instant, sleep, timeout};

use super::{OwnRedis, fresh_key, patient};

/// A store in Redis without a lock around it: nothing ticks, so nothing but a push brings a grant.
struct Line {
    store: RedisStore,
    waiters: Arc<Waiters>,
    key: Key,
}

impl Line {
    async fn open(server: &OwnRedis) -> Self {
        let waiters = Arc::new(Waiters::default());
        let store = RedisStore::open(&server.url(), patient().lease, waiters.clone()).await;
        Self { store: store.unwrap(), waiters, key: fresh_key() }
    }

    async fn join(&self, request: &str) -> (Seat, Joined) {
        let seat = self.waiters.enter(&self.key, request);
        let joined = self.store.join(&self.key, request).await.unwrap();
        (seat, joined)
    }

    async fn hold(&self, request: &str) -> Grant {
        match self.join(request).await.1 {
            Joined::Granted(grant) => grant,
            Joined::Queued(ticket) => panic!("{request} waits with {ticket}"),
        }
    }
}

/// Far beyond a hand-over, and well within a lease: what ends in it did not merely lapse.
const SOON: Duration = Duration::from_secs(20);

fn subscribed(server: &OwnRedis) -> Vec<String> {
    let list: String = server.ask(redis::cmd("CLIENT").arg(&["LIST", "TYPE", "pubsub"]));
    list.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// Goal: a grant reaches its waiter on the very connection whose script pushed it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_asks_and_is_pushed_to() {
    let server = OwnRedis::start(false);
    let line = Line::open(&server).await;
    let holder = line.hold("holder").await;
    let (seat, joined) = line.join("next").await;
    assert!(matches!(joined, Joined::Queued(_)), "{joined:?}");
    assert!(line.store.pass_on(&holder).await.unwrap());
    let next = timeout(SOON, seat.grant).await.expect("pushed").unwrap();
    assert_eq!(next.request, "next");
    assert!(line.store.pass_on(&next).await.unwrap(), "replies are not mixed up with pushes");
    assert_eq!(subscribed(&server).len(), 1);
    let others: String = server.ask(redis::cmd("CLIENT").arg(&["LIST", "TYPE", "normal"]));
    assert_eq!(others.lines().count(), 1, "only who asks for this list: {others}");
}

/// Goal: a grant pushed to somebody who left unnoticed by Redis goes on to the next in line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_to_nobody_is_passed_on() {
    let server = OwnRedis::start(false);
    let line = Line::open(&server).await;
    let holder = line.hold("holder").await;
    let (gone, _) = line.join("gone").await;
    let (next, _) = line.join("next").await;
    assert!(line.waiters.leave(&line.key, "gone", gone.entry));
    assert!(line.store.pass_on(&holder).await.unwrap());
    let next = timeout(SOON, next.grant).await.expect("passed on").unwrap();
    assert_eq!(next.request, "next");
}

/// Goal: a connection that ends while nobody asks anything is replaced, and the line goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_in_silence_is_replaced() {
    let server = OwnRedis::start(false);
    let line = Line::open(&server).await;
    let holder = line.hold("holder").await;
    let (seat, _) = line.join("next").await;
    let before = subscribed(&server);
    let killed: u32 = server.ask(redis::cmd("CLIENT").arg(&["KILL", "TYPE", "pubsub"]));
    assert_eq!(killed, 1);
    let began = Instant::now();
    while subscribed(&server).is_empty() || subscribed(&server) == before {
        assert!(began.elapsed() < SOON, "not replaced");
        sleep(Duration::from_millis(5)).await;
    }
    // If the new link is not settled yet, this is a debt that it pays first.
    drop(line.store.pass_on(&holder).await);
    let next = timeout(SOON, seat.grant).await.expect("pushed on the new link").unwrap();
    assert_eq!(next.request, "next");
}

/// A store that pushes each grant once more while it is being released.
struct LatePush {
    store: MemoryStore,
    waiters: Arc<Waiters>,
    passed_on: AtomicU32,
}

#[async_trait]
impl LeaseStore for LatePush {
    async fn take(&self, key: &Key, request: &str) -> Result<bool, Fault> {
        self.store.take(key, request).await
    }

    async fn give_back(&self, key: &Key, request: &str) -> Result<bool, Fault> {
        self.store.give_back(key, request).await
    }

    async fn join(&self, key: &Key, request: &str) -> Result<Joined, Fault> {
        self.store.join(key, request).await
    }

    async fn leave(&self, key: &Key, request: &str) -> Result<(), Fault> {
        self.store.leave(key, request).await
    }

    async fn pass_on(&self, grant: &Grant) -> Result<bool, Fault> {
        self.passed_on.fetch_add(1, SeqCst);
        // As every store does with a push: whose nobody knows is passed on.
        if !self.waiters.deliver(grant.clone()) {
            self.passed_on.fetch_add(1, SeqCst);
            drop(self.store.pass_on(grant).await);
        }
        self.store.pass_on(grant).await
    }

    async fn tick(&self) -> Duration {
        self.store.tick().await
    }
}

/// Goal: a late push of its own grant during its release is not passed on beside that release,
/// which would then be told that its lease had lapsed.
#[tokio::test(start_paused = true)]
async fn a_late_push_finds_its_holder_until_the_release_is_answered() {
    let waiters = Arc::new(Waiters::default());
    let store = MemoryStore::new(patient().lease, waiters.clone());
    let passed_on = AtomicU32::new(0);
    let store = Arc::new(LatePush { store, waiters: waiters.clone(), passed_on });
    let lock = FairLock::new(store.clone(), waiters.clone(), patient());
    let key = fresh_key();
    for round in 1..=2 {
        let lease = lock.acquire(&key, "holder").await.unwrap();
        assert_eq!(lock.release(lease).await, Release::Clean);
        assert_eq!(store.passed_on.load(SeqCst), round, "once a release");
    }
    assert!(waiters.standing().is_empty());
}

/// Answers every command as Redis 5 does when it does not know it, and echoes its arguments.
fn old_redis() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut received = [0; 4096];
        while let Ok(length @ 1..) = client.read(&mut received) {
            let commands = String::from_utf8_lossy(&received[..length]).matches('*').count();
            let no = "-ERR unknown command `HELLO`, with args beginning with: `3`, `hunter2`, \r\n";
            if client.write_all(no.repeat(commands).as_bytes()).is_err() {
                return;
            }
        }
    });
    place
}

/// Goal: a Redis too old to push on one connection is one line with the remedy, and no secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_before_6_is_one_line_with_the_remedy_and_without_the_password() {
    let url = format!("redis://me:hunter2@{}/0", old_redis());
    let Err(error) = open(Strategy::Fair, patient(), Some(&url)).await else {
        panic!("opened");
    };
    let text = error.to_string();
    assert!(text.contains("RESP3") && text.contains("use Redis 6 or newer"), "{text}");
    assert!(!text.contains("hunter2") && !text.contains('\n'), "{text}");
}
