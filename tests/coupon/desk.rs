//! The one flow: order of its steps, what it tells, and that the lock is what keeps the books.

use std::future::Future as _;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use async_trait::async_trait;
use cplock::coupon::issue::Desk;
use cplock::coupon::store::Store;
use cplock::coupon::{IssueError, StoreError, Work, WriteMode};
use cplock::lock::{Key, Lease, Lock, LockError, Release, Strategy};
use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{COUPON, Engine, Lab, claim, lab, on_every_engine};

on_every_engine!(
    an_exclusive_lock_never_loses,
    the_commit_is_visible_when_the_lock_is_released,
    refusals_and_failures_release_too,
);

/// At most `seats` holders at a time, whatever the key; remembers who asked.
struct Seats {
    free: Semaphore,
    asked: Mutex<Vec<String>>,
    /// Tickets and tokens given.
    grants: AtomicU64,
    /// What a release compares: rows that a look from outside finds, with releases so far.
    outside: Option<Store>,
}

impl Seats {
    fn new(seats: usize, outside: Option<Store>) -> Arc<Self> {
        let (asked, grants) = (Mutex::default(), AtomicU64::new(0));
        Arc::new(Self { free: Semaphore::new(seats), asked, grants, outside })
    }
}

#[async_trait]
impl Lock for Seats {
    async fn acquire(&self, key: &Key, request: &str) -> Result<Lease, LockError> {
        self.asked.lock().unwrap().push(request.to_owned());
        let began = Instant::now();
        if request.starts_with("never#") {
            return Err(LockError::WaitTimeout(Duration::from_secs(1)));
        }
        self.free.acquire().await.unwrap().forget();
        let ticket = self.grants.fetch_add(1, Ordering::SeqCst);
        Ok(Lease {
            key: key.clone(),
            request: request.to_owned(),
            ticket: Some(ticket),
            token: Some(ticket + 100),
            waited: began.elapsed(),
            granted_at: Instant::now(),
        })
    }

    async fn release(&self, lease: Lease) -> Release {
        if let Some(outside) = &self.outside {
            let issued = outside.snapshot(COUPON).await.unwrap().issued;
            let ticket = i64::try_from(lease.ticket.unwrap()).unwrap();
            assert_eq!(issued, ticket + 1, "released before its row was committed");
        }
        self.free.add_permits(1);
        Release::Clean
    }

    fn strategy(&self) -> Strategy {
        Strategy::None
    }
}

async fn an_exclusive_lock_never_loses(lab: &Lab) {
    let (store, user) = lab.shop(4, 30).await;
    let lock = Seats::new(1, None);
    let desk = Arc::new(Desk::new(lock.clone(), store, WriteMode::default().into()));
    let results = join_all((0..40).map(|n| {
        let (desk, claim) = (desk.clone(), claim(user, &format!("r{n}")));
        tokio::spawn(async move { desk.issue(&claim).await })
    }))
    .await;
    let mut grants = Vec::new();
    let mut quantities = Vec::new();
    for result in results {
        match result.unwrap() {
            Ok(receipt) => {
                grants.push(receipt.grant.grant);
                quantities.push(receipt.written.quantity);
                assert_eq!(receipt.release, Release::Clean);
                assert!(receipt.hold > Duration::ZERO);
            }
            Err(denied) => {
                assert!(matches!(denied.error, IssueError::Store(StoreError::SoldOut(COUPON))));
                grants.push(denied.grant.unwrap().grant);
            }
        }
    }
    grants.sort_unstable();
    assert_eq!(grants, (1..=40).collect::<Vec<_>>());
    quantities.sort_unstable();
    assert_eq!(quantities, (1..=30).collect::<Vec<_>>(), "each unit was read once");
    let books = desk.store().snapshot(COUPON).await.unwrap();
    assert_eq!((books.issued, books.remaining), (30, 0));
}

async fn the_commit_is_visible_when_the_lock_is_released(lab: &Lab) {
    let (store, user) = lab.shop(3, 20).await;
    let lock = Seats::new(1, Some(lab.open(1).await));
    let desk = Arc::new(Desk::new(lock, store, WriteMode::default().into()));
    let claims: Vec<_> = (0..20).map(|n| claim(user, &format!("r{n}"))).collect();
    let results = join_all(claims.iter().map(|claim| desk.issue(claim))).await;
    for (n, result) in (0..).zip(results) {
        let receipt = result.unwrap();
        assert_eq!((receipt.grant.ticket, receipt.grant.token), (Some(n), Some(n + 100)));
    }
}

async fn refusals_and_failures_release_too(lab: &Lab) {
    let (store, user) = lab.shop(1, 1).await;
    let lock = Seats::new(1, None);
    let desk = Desk::new(lock.clone(), store, WriteMode::default().into());
    let never = desk.issue(&claim(user, "never")).await.unwrap_err();
    assert!(matches!(never.error, IssueError::Lock(LockError::WaitTimeout(_))));
    assert!(never.grant.is_none() && never.release.is_none() && never.hold.is_zero());
    desk.issue(&claim(user, "r1")).await.unwrap();
    let denied = desk.issue(&claim(user, "r2")).await.unwrap_err();
    assert!(matches!(denied.error, IssueError::Store(StoreError::SoldOut(COUPON))));
    assert_eq!(denied.to_string(), "coupon 1 is sold out");
    assert_eq!(denied.release, Some(Release::Clean));
    assert_eq!(denied.grant.unwrap().grant, 2, "no grant, no number");
    desk.store().close().await;
    let denied = desk.issue(&claim(user, "r3")).await.unwrap_err();
    assert!(matches!(denied.error, IssueError::Store(StoreError::Failed(_))), "{denied:?}");
    assert_eq!(lock.free.available_permits(), 1);
}

#[tokio::test]
async fn without_exclusion_the_same_flow_loses() {
    lab(Engine::Sqlite, async |lab: &Lab| {
        // One connection, lent in the order of asking: read, read, write, write.
        let (store, user) = lab.shop(1, 9).await;
        let desk = Desk::new(Seats::new(2, None), store, WriteMode::default().into());
        let (first, second) = (claim(user, "r1"), claim(user, "r2"));
        let (first, second) = tokio::join!(desk.issue(&first), desk.issue(&second));
        assert_eq!((first.unwrap().written.quantity, second.unwrap().written.quantity), (9, 9));
        let books = desk.store().snapshot(COUPON).await.unwrap();
        assert_eq!((books.issued, books.remaining), (2, 8));
    })
    .await;
}

/// Goal: the gap stands between the read and the write. Method: two claims, each on a connection of
/// its own, with a gap far longer than a read takes: both read before either writes.
#[tokio::test]
async fn a_gap_stands_between_the_read_and_the_write() {
    lab(Engine::Sqlite, async |lab: &Lab| {
        let (store, user) = lab.shop(2, 9).await;
        let work = Work { gap: Duration::from_millis(300), ..Work::default() };
        let desk = Desk::new(Seats::new(2, None), store, work);
        let (first, second) = (claim(user, "r1"), claim(user, "r2"));
        let began = Instant::now();
        let (first, second) = tokio::join!(desk.issue(&first), desk.issue(&second));
        assert!(began.elapsed() >= work.gap);
        assert_eq!((first.unwrap().written.quantity, second.unwrap().written.quantity), (9, 9));
    })
    .await;
}

/// Goal: two claims of the same client-made name never share a grant. Method: the names asked for.
#[tokio::test]
async fn the_first_poll_takes_the_place_in_line() {
    lab(Engine::Sqlite, async |lab: &Lab| {
        let (store, user) = lab.shop(1, 9).await;
        let lock = Seats::new(0, None);
        let desk = Desk::new(lock.clone(), store, WriteMode::default().into());
        let (first, second) = (claim(user, "r1"), claim(user, "r2"));
        let mut second = pin!(desk.issue(&second));
        let mut first = pin!(desk.issue(&first));
        let mut context = Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert_eq!(*lock.asked.lock().unwrap(), ["r1#0", "r2#1"]);
    })
    .await;
}
