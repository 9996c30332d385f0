//! What every real lock promises, asked of each strategy over each store.
//!
//! Over memory, time is virtual; over Redis it is real, so no assertion here has an upper bound in
//! time that a slow machine could cross.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cplock::lock::{Lock, LockError, Release, Strategy, Terms, open};
use tokio::time::{Instant, sleep, timeout};

use super::{ask, fresh_key, patient, poll_once, shared_redis};

const SHORT: Duration = Duration::from_millis(300);

/// One strategy over one store.
#[derive(Clone, Copy)]
struct Case {
    strategy: Strategy,
    redis: bool,
}

impl Case {
    async fn open(self, terms: Terms) -> Arc<dyn Lock> {
        let url = self.redis.then(shared_redis);
        open(self.strategy, terms, url.as_deref()).await.unwrap()
    }
}

/// One test a promise and a case.
macro_rules! promises {
    ($($promise:ident)*) => {
        mod spin_in_memory { promises!(@memory Spin $($promise)*); }
        mod fair_in_memory { promises!(@memory Fair $($promise)*); }
        mod spin_in_redis { promises!(@redis Spin $($promise)*); }
        mod fair_in_redis { promises!(@redis Fair $($promise)*); }
    };
    (@memory $strategy:ident $($promise:ident)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $promise() {
            let strategy = cplock::lock::Strategy::$strategy;
            super::$promise(super::Case { strategy, redis: false }).await;
        }
    )*};
    (@redis $strategy:ident $($promise:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            let strategy = cplock::lock::Strategy::$strategy;
            super::$promise(super::Case { strategy, redis: true }).await;
        }
    )*};
}

promises! {
    one_inside_at_a_time
    a_lapsed_lease_frees_the_lock_and_its_late_release_harms_nobody
    giving_up_leaves_nothing_behind
    a_dropped_ask_leaves_nothing_behind
    a_grant_to_a_dropped_ask_is_handed_on
    asking_again_is_the_same_question
    keys_are_independent
}

async fn one_inside_at_a_time(case: Case) {
    let (lock, key) = (case.open(patient()).await, fresh_key());
    let inside = Arc::new(AtomicU32::new(0));
    let crowd = (0..16).map(|who| {
        let (lock, key, inside) = (lock.clone(), key.clone(), inside.clone());
        tokio::spawn(async move {
            for round in 0..5 {
                let lease = lock.acquire(&key, &format!("{who}-{round}")).await.unwrap();
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two inside");
                sleep(Duration::from_millis(1)).await;
                inside.fetch_sub(1, Ordering::SeqCst);
                assert_eq!(lock.release(lease).await, Release::Clean);
            }
        })
    });
    for member in crowd.collect::<Vec<_>>() {
        member.await.unwrap();
    }
}

async fn a_lapsed_lease_frees_the_lock_and_its_late_release_harms_nobody(case: Case) {
    let lock = case.open(Terms { lease: SHORT, ..patient() }).await;
    let key = fresh_key();
    let began = Instant::now();
    let late = lock.acquire(&key, "late").await.unwrap();
    let next = lock.acquire(&key, "next").await.unwrap();
    // A tenth of tolerance: the lease begins at the store, a little before we hear of it.
    assert!(began.elapsed() >= SHORT.mul_f64(0.9), "granted while leased");
    assert!(next.waited >= SHORT / 2);
    assert_eq!(lock.release(late).await, Release::Lapsed);
    let third = timeout(SHORT / 4, lock.acquire(&key, "third")).await;
    assert!(third.is_err(), "the late release freed somebody else's lease");
    assert_eq!(lock.release(next).await, Release::Clean);
}

async fn giving_up_leaves_nothing_behind(case: Case) {
    let (wait, backoff) = (SHORT / 2, SHORT / 6);
    let lock = case.open(Terms { wait, backoff, attempts: 2, ..patient() }).await;
    let key = fresh_key();
    let holder = lock.acquire(&key, "holder").await.unwrap();
    let waited = match lock.acquire(&key, "impatient").await {
        Err(LockError::WaitTimeout(waited)) => waited,
        other => panic!("{other:?} while held"),
    };
    let patience = match case.strategy {
        Strategy::Fair => wait * 2 + backoff,
        Strategy::Spin | Strategy::None => wait,
    };
    assert!(waited >= patience, "gave up after {waited:?} of {patience:?}");
    assert_eq!(lock.release(holder).await, Release::Clean);
    let next = lock.acquire(&key, "next").await.expect("free for the next");
    assert_eq!(lock.release(next).await, Release::Clean);
}

async fn a_dropped_ask_leaves_nothing_behind(case: Case) {
    // The lease outlasts the wait: whatever is left behind would refuse the last ask.
    let lock = case.open(Terms { wait: 4 * SHORT, ..patient() }).await;
    let key = fresh_key();
    let holder = lock.acquire(&key, "holder").await.unwrap();
    let mut dropped = ask(&lock, &key, "dropped");
    assert!(poll_once(&mut dropped).await.is_pending());
    drop(dropped);
    assert_eq!(lock.release(holder).await, Release::Clean);
    let next = lock.acquire(&key, "next").await.expect("free for the next");
    assert_eq!(lock.release(next).await, Release::Clean);
}

async fn a_grant_to_a_dropped_ask_is_handed_on(case: Case) {
    let lock = case.open(Terms { wait: 4 * SHORT, ..patient() }).await;
    let key = fresh_key();
    let holder = lock.acquire(&key, "holder").await.unwrap();
    let mut dropped = ask(&lock, &key, "dropped");
    assert!(poll_once(&mut dropped).await.is_pending());
    assert_eq!(lock.release(holder).await, Release::Clean);
    // The grant is on its way, or here, and nobody looks at it.
    sleep(SHORT / 6).await;
    drop(dropped);
    let next = lock.acquire(&key, "next").await.expect("handed on");
    assert_eq!(lock.release(next).await, Release::Clean);
}

async fn asking_again_is_the_same_question(case: Case) {
    let (lock, key) = (case.open(patient()).await, fresh_key());
    let first = lock.acquire(&key, "same").await.unwrap();
    let again = lock.acquire(&key, "same").await.unwrap();
    assert_eq!((first.ticket, first.token), (again.ticket, again.token));
    assert_eq!(lock.release(first).await, Release::Clean);
    assert_eq!(lock.release(again).await, Release::Lapsed, "one grant, one release");
    let other = lock.acquire(&key, "other").await.unwrap();
    assert_eq!(lock.release(other).await, Release::Clean);
}

async fn keys_are_independent(case: Case) {
    let lock = case.open(patient()).await;
    let one = lock.acquire(&fresh_key(), "a").await.unwrap();
    let two = lock.acquire(&fresh_key(), "a").await.unwrap();
    assert_eq!(lock.release(one).await, Release::Clean);
    assert_eq!(lock.release(two).await, Release::Clean);
}

#[tokio::test]
async fn no_lock_lets_everyone_in() {
    let lock = open(Strategy::None, patient(), None).await.unwrap();
    let key = fresh_key();
    let one = lock.acquire(&key, "a").await.unwrap();
    let two = lock.acquire(&key, "b").await.unwrap();
    assert_eq!((one.ticket, two.token), (None, None));
    assert_eq!(lock.release(one).await, Release::Clean);
    assert_eq!(lock.release(two).await, Release::Clean);
}

#[tokio::test]
async fn a_dead_redis_is_one_line_with_the_remedy_and_without_the_password() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("redis://me:hunter2@{dead}/0");
    let Err(error) = open(Strategy::Fair, patient(), Some(&url)).await else {
        panic!("opened");
    };
    let text = error.to_string();
    assert!(text.contains(&dead.to_string()) && text.contains("start Redis"), "{text}");
    assert!(!text.contains("hunter2") && !text.contains('\n'), "{text}");
}

/// Goal: a run's record can name the Redis it stood on. Method: ask one, and one that is not there.
#[tokio::test]
async fn a_redis_tells_its_version_and_a_dead_one_is_no_secret_leak() {
    let server = super::OwnRedis::start(false);
    let facts = cplock::lock::redis::facts::redis_facts(&server.url()).await.unwrap();
    assert!(facts.iter().any(|(what, value)| what == "redis_version" && !value.is_empty()));
    let error = cplock::lock::redis::facts::redis_facts("redis://me:hunter2@127.0.0.1:1/0").await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("127.0.0.1:1") && !text.contains("hunter2"), "{text}");
}
