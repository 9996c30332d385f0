//! What only `fair` promises: arrival order, growing numbers, one push a release, and a cost that
//! does not depend on the length of the line.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use cplock::lock::fair::FairLock;
use cplock::lock::lease_store::{Joined, LeaseStore};
use cplock::lock::memory::MemoryStore;
use cplock::lock::redis::RedisStore;
use cplock::lock::waiters::Waiters;
use cplock::lock::{Key, Lease, Lock, Release, Strategy, Terms, open};
use tokio::sync::mpsc;

use super::{Ask, Counting, OwnRedis, ask, fresh_key, patient, poll_once, shared_redis};

/// Polls `count` asks once each, in order, then lets them run as tasks on all threads. Returns
/// their leases' tickets in order of asking, and the places of asking in order of granting.
async fn queue_up(lock: &Arc<dyn Lock>, key: &Key, count: usize) -> (Vec<u64>, Vec<usize>) {
    let holder = lock.acquire(key, "holder").await.unwrap();
    let mut asks: Vec<Ask> = (0..count).map(|who| ask(lock, key, format!("w{who}"))).collect();
    for ask in &mut asks {
        assert!(poll_once(ask).await.is_pending());
    }
    let (told, mut grants) = mpsc::unbounded_channel();
    let tasks: Vec<_> = asks
        .into_iter()
        .enumerate()
        .map(|(who, ask)| {
            let (lock, told) = (lock.clone(), told.clone());
            tokio::spawn(async move {
                let lease = ask.await.unwrap();
                let ticket = lease.ticket.unwrap();
                told.send(who).unwrap();
                assert_eq!(lock.release(lease).await, Release::Clean);
                ticket
            })
        })
        .collect();
    assert_eq!(lock.release(holder).await, Release::Clean);
    let mut tickets = Vec::new();
    for task in tasks {
        tickets.push(task.await.unwrap());
    }
    drop(told);
    let mut order = Vec::new();
    while let Some(who) = grants.recv().await {
        order.push(who);
    }
    (tickets, order)
}

async fn the_first_poll_takes_the_place(redis: Option<String>) {
    let lock = open(Strategy::Fair, patient(), redis.as_deref()).await.unwrap();
    let (tickets, order) = queue_up(&lock, &fresh_key(), 500).await;
    assert!(tickets.is_sorted_by(|a, b| a < b), "tickets do not ascend");
    assert_eq!(order, (0..500).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_poll_takes_the_place_in_memory() {
    the_first_poll_takes_the_place(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_poll_takes_the_place_in_redis() {
    the_first_poll_takes_the_place(Some(shared_redis())).await;
}

/// `people` ask, enter, leave and ask again, `rounds` times each. Returns (ticket, token) of every
/// grant in order of tokens.
async fn crowd(lock: &Arc<dyn Lock>, people: usize, rounds: usize) -> Vec<(u64, u64)> {
    let key = fresh_key();
    let tasks: Vec<_> = (0..people)
        .map(|who| {
            let (lock, key) = (lock.clone(), key.clone());
            tokio::spawn(async move {
                let mut grants = Vec::new();
                for round in 0..rounds {
                    let lease: Lease = lock.acquire(&key, &format!("{who}-{round}")).await.unwrap();
                    grants.push((lease.ticket.unwrap(), lease.token.unwrap()));
                    assert_eq!(lock.release(lease).await, Release::Clean);
                }
                grants
            })
        })
        .collect();
    let mut grants = Vec::new();
    for task in tasks {
        grants.extend(task.await.unwrap());
    }
    grants.sort_by_key(|(_, token)| *token);
    grants
}

fn assert_no_inversion(grants: &[(u64, u64)]) {
    assert!(grants.is_sorted_by(|a, b| a.1 < b.1), "a token was given twice");
    assert!(grants.is_sorted_by(|a, b| a.0 < b.0), "a later ticket was granted earlier");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_grants_in_order_in_memory() {
    let lock = open(Strategy::Fair, patient(), None).await.unwrap();
    let grants = crowd(&lock, 50, 200).await;
    assert_eq!(grants.len(), 10_000);
    assert_no_inversion(&grants);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_grants_in_order_with_one_push_each_in_redis() {
    let server = OwnRedis::start(false);
    let (counts, lock) = counted(&server).await;
    let grants = crowd(&lock, 50, 200).await;
    assert_eq!(grants.len(), 10_000);
    assert_no_inversion(&grants);
    let pushed = 10_000 - counts.granted_by_join.load(SeqCst);
    assert!(pushed > 9_000, "hardly contended: {pushed} pushed grants");
    assert_eq!(server.calls("publish"), pushed, "one push for each grant that was handed over");
}

async fn counted(server: &OwnRedis) -> (Arc<Counting<RedisStore>>, Arc<dyn Lock>) {
    let (terms, waiters) = (patient(), Arc::new(Waiters::default()));
    let store = RedisStore::open(&server.url(), terms.lease, waiters.clone()).await.unwrap();
    let counts = Arc::new(Counting::new(store));
    let lock = FairLock::new(counts.clone(), waiters, terms);
    (counts, Arc::new(lock))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_round_trips_and_a_push_whatever_the_length_of_the_line() {
    for length in [10_u64, 100, 1000] {
        let server = OwnRedis::start(false);
        let (counts, lock) = counted(&server).await;
        queue_up(&lock, &fresh_key(), usize::try_from(length).unwrap()).await;
        let asked = length + 1;
        assert_eq!(counts.joins.load(SeqCst), asked);
        assert_eq!(counts.passes.load(SeqCst), asked);
        assert_eq!(counts.leaves.load(SeqCst), 0);
        // A tick is one script a line, and there is one line.
        let scripts = server.calls("evalsha");
        let ticks = counts.ticks.load(SeqCst);
        assert!((2 * asked..=2 * asked + ticks).contains(&scripts), "{scripts} for {length}");
        assert_eq!(server.calls("publish"), length);
    }
}

async fn a_ticket_survives_every_try(lock: Arc<dyn Lock>) {
    let key = fresh_key();
    let holder = lock.acquire(&key, "holder").await.unwrap();
    let mut early = ask(&lock, &key, "early");
    let mut late = ask(&lock, &key, "late");
    assert!(poll_once(&mut early).await.is_pending());
    assert!(poll_once(&mut late).await.is_pending());
    let early = tokio::spawn(early);
    let late = tokio::spawn(late);
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(lock.release(holder).await, Release::Clean);
    let early = early.await.unwrap().unwrap();
    assert!(early.waited >= Duration::from_millis(390), "more than two tries");
    assert!(!late.is_finished());
    let (ticket, token) = (early.ticket, early.token);
    assert_eq!(lock.release(early).await, Release::Clean);
    let late = late.await.unwrap().unwrap();
    assert!(ticket < late.ticket && token < late.token);
    assert_eq!(lock.release(late).await, Release::Clean);
}

/// Tries of 100 ms, 50 ms apart; enough of them for a slow machine.
fn many_tries() -> Terms {
    let (wait, backoff) = (Duration::from_millis(100), Duration::from_millis(50));
    Terms { wait, backoff, attempts: 100, ..patient() }
}

#[tokio::test(start_paused = true)]
async fn a_ticket_survives_every_try_in_memory() {
    a_ticket_survives_every_try(open(Strategy::Fair, many_tries(), None).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_survives_every_try_in_redis() {
    let url = shared_redis();
    let lock = open(Strategy::Fair, many_tries(), Some(&url)).await.unwrap();
    a_ticket_survives_every_try(lock).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_of_two_equal_asks_waits_in_the_place_of_the_first() {
    let waiters = Arc::new(Waiters::default());
    let store = Arc::new(MemoryStore::new(patient().lease, waiters.clone()));
    let lock: Arc<dyn Lock> = Arc::new(FairLock::new(store, waiters, patient()));
    let key = fresh_key();
    let holder = lock.acquire(&key, "holder").await.unwrap();
    let mut asks = ["same", "other", "same"].map(|request| ask(&lock, &key, request));
    for ask in &mut asks {
        assert!(poll_once(ask).await.is_pending());
    }
    let [first, other, last] = asks;
    assert!(first.await.is_err(), "replaced");
    assert_eq!(lock.release(holder).await, Release::Clean);
    let last = last.await.unwrap();
    assert_eq!(lock.release(last).await, Release::Clean);
    assert_eq!(lock.release(other.await.unwrap()).await, Release::Clean);
}

/// A tick that overtakes the first join of a new line must not take it for one that lost its data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_before_the_first_join_delays_nobody() {
    let waiters = Arc::new(Waiters::default());
    let url = shared_redis();
    let store = RedisStore::open(&url, patient().lease, waiters.clone()).await.unwrap();
    let key = fresh_key();
    let _seat = waiters.enter(&key, "first");
    store.tick().await;
    let joined = store.join(&key, "first").await.unwrap();
    assert!(matches!(joined, Joined::Granted(_)), "{joined:?}");
}
