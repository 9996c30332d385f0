//! Failures of Redis and of processes: nobody is forgotten, nobody is doubled, order is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cplock::lock::{Key, Lease, Lock, LockError, Release, Strategy, Terms, open};
use tokio::time::{Instant, sleep};

use super::{Ask, OwnRedis, ask, fresh_key, patient, poll_once};

/// Counts who is inside; more than one at once is what a lock must prevent.
#[derive(Clone, Default)]
struct Room(Arc<AtomicU32>);

impl Room {
    fn enter(&self) {
        assert_eq!(self.0.fetch_add(1, Ordering::SeqCst), 0, "two inside");
    }

    fn leave(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn until_queued(server: &OwnRedis, key: &Key, count: usize) {
    let queue = format!("{{{}}}:queue", key.as_str());
    let (mut queued, began) = (0, Instant::now());
    while queued < count {
        assert!(began.elapsed() < Duration::from_secs(20), "{queued} of {count} queued");
        queued = server.ask(redis::cmd("ZCARD").arg(&queue));
        sleep(Duration::from_millis(5)).await;
    }
}

async fn the_line_outlives_a_restart(durable: bool) {
    let mut server = OwnRedis::start(durable);
    let terms = Terms { lease: Duration::from_secs(2), ..patient() };
    // Two processes' worth of clients, so that order is kept between them, too.
    let mut locks = Vec::new();
    for _ in 0..2 {
        locks.push(open(Strategy::Fair, terms, Some(&server.url())).await.unwrap());
    }
    let (key, room) = (fresh_key(), Room::default());
    let holder = locks[0].acquire(&key, "holder").await.unwrap();
    room.enter();
    let mut asks: Vec<(Arc<dyn Lock>, Ask)> = Vec::new();
    for who in 0..20 {
        let lock = locks[who % 2].clone();
        let mut ask = ask(&lock, &key, format!("w{who}"));
        assert!(poll_once(&mut ask).await.is_pending());
        until_queued(&server, &key, who + 1).await;
        asks.push((lock, ask));
    }
    let (told, mut grants) = tokio::sync::mpsc::unbounded_channel();
    for (who, (lock, ask)) in asks.into_iter().enumerate() {
        let (told, room) = (told.clone(), room.clone());
        tokio::spawn(async move {
            let lease: Lease = ask.await.unwrap();
            room.enter();
            sleep(Duration::from_millis(5)).await;
            told.send((who, lease.ticket, lease.token)).unwrap();
            room.leave();
            lock.release(lease).await
        });
    }
    drop(told);
    let token_before = holder.token;
    server.restart();
    // The holder from before is still at work for a part of its lease.
    sleep(Duration::from_millis(500)).await;
    room.leave();
    locks[0].release(holder).await;
    let mut seen = Vec::new();
    while let Some(grant) = grants.recv().await {
        seen.push(grant);
    }
    assert_eq!(seen.iter().map(|(who, ..)| *who).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    assert!(seen.is_sorted_by(|a, b| a.1 < b.1), "tickets of before");
    assert!(token_before < seen[0].2 && seen.is_sorted_by(|a, b| a.2 < b.2), "tokens grow on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_line_outlives_a_restart_that_loses_the_data() {
    the_line_outlives_a_restart(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_line_outlives_a_restart_that_keeps_the_data() {
    the_line_outlives_a_restart(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_while_redis_is_away_is_served_in_order_after_it_returns() {
    let mut server = OwnRedis::start(false);
    // Long enough for a busy machine to release in time; it is also the silence after a restart.
    let terms = Terms { lease: Duration::from_secs(3), ..patient() };
    let lock = open(Strategy::Fair, terms, Some(&server.url())).await.unwrap();
    let key = fresh_key();
    server.kill();
    let mut asks: Vec<Ask> = (0..5).map(|who| ask(&lock, &key, format!("w{who}"))).collect();
    for ask in &mut asks {
        assert!(poll_once(ask).await.is_pending());
    }
    server.server = super::launch(server.port, server.folder.path(), false);
    let mut tickets = Vec::new();
    for ask in asks {
        let lease = ask.await.unwrap();
        tickets.push(lease.ticket);
        assert_eq!(lock.release(lease).await, Release::Clean);
    }
    assert!(tickets.is_sorted_by(|a, b| a < b));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spin_outlasts_an_outage_shorter_than_its_wait() {
    let mut server = OwnRedis::start(false);
    let lock = open(Strategy::Spin, patient(), Some(&server.url())).await.unwrap();
    server.kill();
    let brief = Terms { wait: Duration::from_millis(200), ..patient() };
    let key = fresh_key();
    let mut waiting = ask(&lock, &key, "patient");
    assert!(poll_once(&mut waiting).await.is_pending());
    assert!(open(Strategy::Spin, brief, Some(&server.url())).await.is_err());
    server.server = super::launch(server.port, server.folder.path(), false);
    let lease = waiting.await.unwrap();
    assert_eq!(lock.release(lease).await, Release::Clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_an_ask_ends_with_its_patience_and_a_release_is_unconfirmed() {
    for strategy in [Strategy::Spin, Strategy::Fair] {
        let mut server = OwnRedis::start(false);
        let terms = Terms { wait: Duration::from_millis(300), ..patient() };
        let lock = open(strategy, terms, Some(&server.url())).await.unwrap();
        let key = fresh_key();
        let held = lock.acquire(&key, "held").await.unwrap();
        server.kill();
        assert_eq!(lock.release(held).await, Release::Unconfirmed);
        let refused = lock.acquire(&key, "refused").await;
        assert!(matches!(refused, Err(LockError::Store(_))), "{refused:?}");
    }
}

/// A process that ends without a word: its connections close, nothing is taken back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiters_of_a_dead_process_are_skipped() {
    let server = OwnRedis::start(false);
    let lock = open(Strategy::Fair, patient(), Some(&server.url())).await.unwrap();
    let key = fresh_key();
    let holder = lock.acquire(&key, "holder").await.unwrap();
    let (url, line) = (server.url(), key.clone());
    let process = move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        runtime.block_on(async {
            let lock = open(Strategy::Fair, patient(), Some(&url)).await.unwrap();
            for who in 0..40 {
                let mut ask = ask(&lock, &line, format!("dead-{who}"));
                assert!(poll_once(&mut ask).await.is_pending());
                // Death drops nothing.
                std::mem::forget(ask);
            }
            let queue = format!("{{{}}}:queue", line.as_str());
            let client = redis::Client::open(url).unwrap();
            let mut connection = client.get_connection().unwrap();
            while redis::cmd("ZCARD").arg(&queue).query::<u32>(&mut connection).unwrap() < 40 {
                sleep(Duration::from_millis(5)).await;
            }
            std::mem::forget(lock);
        });
    };
    std::thread::spawn(process).join().unwrap();
    let mut next = ask(&lock, &key, "alive");
    assert!(poll_once(&mut next).await.is_pending());
    until_queued(&server, &key, 41).await;
    let released = Instant::now();
    assert_eq!(lock.release(holder).await, Release::Clean);
    let next = next.await.unwrap();
    // 32 absent heads a script: the rest are skipped by the next tick, a second later at most.
    assert!(released.elapsed() < patient().lease / 4, "took {:?}", released.elapsed());
    assert_eq!(lock.release(next).await, Release::Clean);
}

/// Goal: a process that was quiet for long is not taken for dead when it comes back. Method: age
/// its heartbeat, as minutes without a waiter would, then contend: no hand-over waits for a tick.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_time_makes_nobody_absent() {
    let server = OwnRedis::start(false);
    let lock = open(Strategy::Fair, patient(), Some(&server.url())).await.unwrap();
    let key = fresh_key();
    let first = lock.acquire(&key, "first").await.unwrap();
    assert_eq!(lock.release(first).await, Release::Clean);
    let beats = format!("{{{}}}:beats", key.as_str());
    let mut connection = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let process: Vec<String> =
        redis::cmd("ZRANGE").arg(&beats).arg(0).arg(-1).query(&mut connection).unwrap();
    assert_eq!(process.len(), 1);
    let () = redis::cmd("ZADD").arg(&beats).arg(1).arg(&process[0]).query(&mut connection).unwrap();

    let mut before = None;
    for round in 0..200 {
        let holder = lock.acquire(&key, &format!("holder-{round}")).await.unwrap();
        let waiter_name = format!("waiter-{round}");
        let mut waiter = ask(&lock, &key, &waiter_name);
        assert!(poll_once(&mut waiter).await.is_pending());
        until_queued(&server, &key, 1).await;
        assert_eq!(lock.release(holder).await, Release::Clean);
        let waiter = waiter.await.unwrap();
        assert!(waiter.token > before, "tokens grow");
        before = waiter.token;
        assert!(waiter.waited < Duration::from_millis(900), "waited {:?}", waiter.waited);
        assert_eq!(lock.release(waiter).await, Release::Clean);
    }
}
