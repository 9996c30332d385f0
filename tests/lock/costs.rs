//! What locking costs. Measurements, not tests: run them by name with `--ignored --nocapture`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cplock::lock::{Lock, Strategy, open};

use super::{fresh_key, patient, shared_redis};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: needs an idle machine"]
async fn costs() {
    let redis = shared_redis();
    for url in [None, Some(redis.as_str())] {
        for strategy in [Strategy::Spin, Strategy::Fair] {
            let lock = open(strategy, patient(), url).await.unwrap();
            let place = if url.is_some() { "Redis" } else { "memory" };
            let pairs = if url.is_some() { 5_000 } else { 200_000 };
            let alone = alone(&lock, pairs).await;
            println!("{strategy} in {place}: {alone:?} for acquire + release, uncontended");
            if strategy == Strategy::Fair {
                let turn = in_a_crowd(&lock, 100, if url.is_some() { 50 } else { 1_000 }).await;
                println!("{strategy} in {place}: {turn:?} a grant with 100 waiting (hand-over)");
            }
        }
    }
}

async fn alone(lock: &Arc<dyn Lock>, pairs: u32) -> Duration {
    let key = fresh_key();
    let requests: Vec<String> = (0..pairs).map(|number| format!("r{number}")).collect();
    let began = Instant::now();
    for request in &requests {
        let lease = lock.acquire(&key, request).await.unwrap();
        lock.release(lease).await;
    }
    began.elapsed() / pairs
}

/// Nobody works inside, so time a grant is the gap from one holder's release to the next's entry.
async fn in_a_crowd(lock: &Arc<dyn Lock>, people: u32, rounds: u32) -> Duration {
    let key = fresh_key();
    let began = Instant::now();
    let tasks: Vec<_> = (0..people)
        .map(|who| {
            let (lock, key) = (lock.clone(), key.clone());
            tokio::spawn(async move {
                for round in 0..rounds {
                    let lease = lock.acquire(&key, &format!("{who}-{round}")).await.unwrap();
                    lock.release(lease).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    began.elapsed() / (people * rounds)
}
