//! Planted flaws: each comes out under a small crowd, and does to rows, stock and replies what it
//! says. Seen in the database and the replies, never through a verdict.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use cplock::coupon::flaw::{Flaw, Planted};
use cplock::coupon::issue::Desk;
use cplock::coupon::store::Store;
use cplock::coupon::{IssuedRow, WriteMode, flawed_lock};
use cplock::lock::{self, Strategy, Terms};
use cplock::server::auth::Tokens;
use cplock::server::{App, Limits};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::lock::OwnRedis;
use crate::support::{COUPON, SECRET, read};

/// A broken service over a fresh SQLite file.
struct Broken {
    _folder: TempDir,
    stock: i64,
    store: Store,
    planted: Arc<Planted>,
    app: App,
    /// One a user.
    tokens: Vec<String>,
}

/// What one claim was told.
struct Told {
    user: usize,
    request: String,
    status: u16,
    body: Value,
    /// Headers: ticket and grant.
    order: Option<(u64, u64)>,
}

impl Told {
    fn row(&self) -> i64 {
        self.body["data"]["userCouponId"].as_i64().unwrap()
    }

    fn quantity(&self) -> i64 {
        self.body["data"]["quantity"].as_i64().unwrap()
    }

    fn is(&self, word: &str) -> bool {
        self.body["error"] == word
    }
}

/// What the database holds in the end.
struct Books {
    remaining: i64,
    rows: Vec<IssuedRow>,
}

impl Books {
    fn issued(&self) -> i64 {
        i64::try_from(self.rows.len()).unwrap()
    }

    fn of(&self, request: &str) -> usize {
        self.rows.iter().filter(|row| row.request == request).count()
    }
}

/// How a [`Broken`] service is set up.
struct Setup {
    stock: u32,
    users: usize,
    once: bool,
    strategy: Strategy,
    redis: Option<String>,
}

/// Plenty for all, ten users, the fair lock.
const PLENTY: Setup =
    Setup { stock: 500, users: 10, once: false, strategy: Strategy::Fair, redis: None };

impl Broken {
    async fn open(flaw: Flaw, setup: Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path: PathBuf = folder.path().join("broken.db");
        let store = Store::open(&format!("sqlite://{}", path.display()), 8).await.unwrap();
        store.prepare().await.unwrap();
        store.seed(COUPON, "test", setup.stock, setup.once).await.unwrap();
        let planted = Arc::new(Planted::new(flaw));
        planted.prepare(&store).await.unwrap();
        let count = u32::try_from(setup.users).unwrap();
        let users = store.add_users(count, "flaws", "no hash").await.unwrap();
        let terms = Terms { poll: Duration::from_millis(2), ..Terms::default() };
        let terms = flaw.terms(terms);
        let (strategy, redis) = (flaw.strategy(setup.strategy), setup.redis.as_deref());
        let lock = lock::open(strategy, terms, redis).await.unwrap();
        let lock = flawed_lock::over(&planted, lock, terms);
        let desk = Desk::new(lock, store.clone(), WriteMode::ReadModifyWrite.into());
        let desk = desk.with(Some(Arc::clone(&planted)));
        let tokens = Tokens::new(SECRET);
        let tokens = users.iter().map(|user| format!("Bearer {}", tokens.mint(*user))).collect();
        let app = App::new(desk, Tokens::new(SECRET), 100, Limits::default());
        let stock = i64::from(setup.stock);
        Self { _folder: folder, stock, store, planted, app, tokens }
    }

    /// `vus` at once, each asking `times` in a row; the users take turns.
    async fn crowd(&self, vus: usize, times: usize) -> Vec<Told> {
        let visit = async |vu: usize| {
            let mut told = Vec::new();
            for time in 0..times {
                told.push(self.claim(vu % self.tokens.len(), format!("{vu}-{time}")).await);
            }
            told
        };
        let all = futures_util::future::join_all((0..vus).map(visit)).await;
        all.into_iter().flatten().collect()
    }

    async fn claim(&self, user: usize, request: String) -> Told {
        let claim = Request::post("/api/v1/user-coupon")
            .header("Authorization", &self.tokens[user])
            .header("X-Request-Id", &request)
            .body(Body::from(r#"{"couponId":1}"#))
            .unwrap();
        let response = self.app.router().oneshot(claim).await.unwrap();
        let number = |name: &str| response.headers().get(name)?.to_str().ok()?.parse().ok();
        let order = number("x-cplock-ticket").zip(number("x-cplock-grant"));
        let (status, body) = read(response).await;
        Told { user, request, status, body, order }
    }

    async fn get(&self, path: &str) -> Value {
        let get = Request::get(path).header("Authorization", &self.tokens[0]);
        let response = self.app.router().oneshot(get.body(Body::empty()).unwrap()).await.unwrap();
        read(response).await.1
    }

    async fn books(&self) -> Books {
        let remaining = self.store.snapshot(COUPON).await.unwrap().remaining;
        Books { remaining, rows: self.store.rows(COUPON, 0).await.unwrap() }
    }

    fn count(&self) -> usize {
        usize::try_from(self.planted.manifestations()).unwrap()
    }

    /// Units that were issued and never left the stock (lost updates), less those that left it and
    /// were not issued.
    fn lost(&self, books: &Books) -> i64 {
        books.issued() - (self.stock - books.remaining)
    }
}

fn acknowledged(told: &[Told]) -> impl Iterator<Item = &Told> {
    told.iter().filter(|one| one.status == 200)
}

/// Goal: every flaw is known by its code, and no code stands for two.
#[test]
fn codes() {
    for flaw in Flaw::ALL {
        assert_eq!(flaw.code().parse(), Ok(flaw));
        assert!(!flaw.sentence().is_empty());
    }
    assert!("D05".parse::<Flaw>().unwrap_err().contains("there is D01, D02"));
}

/// Goal: with nobody holding anybody back (D01), or with the commit after the release (D03), stock
/// is lost, and nobody is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_updates() {
    for flaw in [Flaw::NoLock, Flaw::EarlyRelease] {
        let broken = Broken::open(flaw, PLENTY).await;
        let told = broken.crowd(10, 5).await;
        let books = broken.books().await;
        assert_eq!((acknowledged(&told).count(), books.rows.len()), (50, 50), "{flaw}");
        assert!(broken.count() > 0 && broken.lost(&books) > 0, "{flaw}");
    }
}

/// Goal: a holder that is paused beyond its lease writes late (D16, D17) or frees another's lock
/// (D15, also with leases in Redis), and stock is lost either way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lapsed_leases() {
    let server = OwnRedis::start(false);
    for (flaw, strategy, redis) in [
        (Flaw::OwnerlessUnlock, Strategy::Fair, None),
        (Flaw::OwnerlessUnlock, Strategy::Spin, None),
        (Flaw::OwnerlessUnlock, Strategy::Fair, Some(server.url())),
        (Flaw::OwnerlessUnlock, Strategy::Spin, Some(server.url())),
        (Flaw::ShortLease, Strategy::Spin, None),
        (Flaw::UncheckedToken, Strategy::Spin, None),
    ] {
        // Who is inside when a paused holder returns is a matter of timing: on a busy machine now
        // and then nobody.
        let mut came_out = false;
        for _ in 0..10 {
            let setup = Setup { strategy, redis: redis.clone(), ..PLENTY };
            let broken = Broken::open(flaw, setup).await;
            let told = broken.crowd(10, 4).await;
            let books = broken.books().await;
            assert_eq!(acknowledged(&told).count(), books.rows.len(), "{flaw}");
            let fair = flaw.strategy(strategy) == Strategy::Fair;
            assert_eq!(told[0].order.is_some(), fair, "{flaw}");
            came_out = broken.count() > 0 && broken.lost(&books) > 0;
            if came_out {
                break;
            }
        }
        assert!(came_out, "{flaw} {strategy}");
    }
}

/// Goal: the unguarded decrement (D02) goes below 0, and every row has left the stock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn below_zero() {
    let broken = Broken::open(Flaw::UnguardedDecrement, Setup { stock: 20, ..PLENTY }).await;
    let told = broken.crowd(10, 4).await;
    let books = broken.books().await;
    assert!(books.remaining < 0 && told.iter().any(|one| one.is("SOLD_OUT")));
    assert_eq!(
        (broken.lost(&books), -books.remaining),
        (0, i64::try_from(broken.count()).unwrap())
    );
}

/// Goal: a double click gets two (D04), and both have left the stock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_for_one_user() {
    let setup = Setup { users: 1, once: true, ..PLENTY };
    let broken = Broken::open(Flaw::UnlockedCheck, setup).await;
    let told = broken.crowd(10, 2).await;
    let books = broken.books().await;
    assert!(books.rows.len() > 1 && told.iter().any(|one| one.is("DUPLICATE")));
    assert_eq!((broken.lost(&books), broken.count()), (0, books.rows.len() - 1));
}

/// Goal: rows that nobody asked for (D06), and second rows of one request (D10): the stock agrees
/// with the rows, the clients do not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn surplus_rows() {
    for flaw in [Flaw::ForeignRow, Flaw::RepeatedWrite] {
        let broken = Broken::open(flaw, PLENTY).await;
        let told = broken.crowd(10, 4).await;
        let books = broken.books().await;
        assert_eq!((broken.lost(&books), broken.count()), (0, 4), "{flaw}");
        assert_eq!(books.rows.len(), acknowledged(&told).count() + 4, "{flaw}");
        let twice = told.iter().filter(|one| books.of(&one.request) == 2).count();
        let foreign = books.rows.iter().filter(|row| row.request.starts_with("import-")).count();
        let expected = if flaw == Flaw::ForeignRow { (0, 4) } else { (4, 0) };
        assert_eq!((twice, foreign), expected, "{flaw}");
    }
}

/// Goal: a committed claim is told sold out (D07) while there are units left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_sold_out() {
    let broken = Broken::open(Flaw::CommitToldSoldOut, PLENTY).await;
    let told = broken.crowd(10, 4).await;
    let books = broken.books().await;
    let wronged = told.iter().filter(|one| one.is("SOLD_OUT") && books.of(&one.request) == 1);
    assert_eq!((wronged.count(), broken.count(), broken.lost(&books)), (4, 4, 0));
}

/// Goal: an acknowledged claim has no row: rolled back after the answer (D08), its failure
/// swallowed (D09), or answered with what another user got (D29). Stock and rows agree.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_and_not_there() {
    for flaw in [Flaw::ToldThenRolledBack, Flaw::SwallowedFailure, Flaw::SharedReplay] {
        let broken = Broken::open(flaw, PLENTY).await;
        let told = broken.crowd(10, 5).await;
        let books = broken.books().await;
        let empty: Vec<_> = acknowledged(&told).filter(|one| books.of(&one.request) == 0).collect();
        assert_eq!(empty.len(), broken.count(), "{flaw}");
        assert!(broken.count() > 0 && broken.lost(&books) == 0, "{flaw}");
        for one in empty.iter().filter(|_| flaw == Flaw::SharedReplay) {
            let real = acknowledged(&told)
                .find(|other| other.row() == one.row() && books.of(&other.request) == 1);
            assert_ne!(real.unwrap().user, one.user);
        }
    }
}

/// Goal: units leave the stock and nobody gets them (D11); the client is told that it failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaked_units() {
    let broken = Broken::open(Flaw::LeakedUnit, PLENTY).await;
    let told = broken.crowd(10, 4).await;
    let books = broken.books().await;
    assert_eq!((broken.lost(&books), broken.count()), (-4, 4));
    assert_eq!(told.iter().filter(|one| one.status == 500).count(), 4);
}

/// Goal: who was told sold out is told duplicate from then on (D14), with nothing in hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_duplicate() {
    let setup = Setup { stock: 4, once: true, ..PLENTY };
    let broken = Broken::open(Flaw::EarlyMarker, setup).await;
    let told = broken.crowd(10, 3).await;
    let winners: Vec<_> = acknowledged(&told).map(|one| one.user).collect();
    let wronged = told.iter().filter(|one| one.is("DUPLICATE") && !winners.contains(&one.user));
    assert_eq!((winners.len(), wronged.count(), broken.count()), (4, 12, 12));
}

/// Goal: what is shown is old: the quantity (D21), the own coupons (D22). The rows are sound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_answers() {
    let broken = Broken::open(Flaw::CachedStock, PLENTY).await;
    let look = async || broken.get("/api/v1/coupons/1").await["data"]["quantity"].clone();
    assert_eq!(look().await, 500);
    broken.claim(0, "a".to_owned()).await;
    assert_eq!(
        (look().await, broken.count(), broken.books().await.remaining),
        (500.into(), 1, 499)
    );
    let fresh = broken.get("/api/v1/coupons/1?rows=true").await;
    assert_eq!(fresh["data"]["quantity"], 499, "only the plain look is cached");

    let broken = Broken::open(Flaw::LaggingList, PLENTY).await;
    broken.claim(0, "a".to_owned()).await;
    let own = broken.get("/api/v1/user-coupon").await;
    assert_eq!((own["data"].as_array().unwrap().len(), broken.count()), (0, 1));
    assert_eq!(broken.books().await.rows.len(), 1);
}

/// Goal: one half of the stock sells out early (D23). Method: of 60 claims 45 go to a half of 20.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sold_out_early() {
    let broken = Broken::open(Flaw::StockShards, Setup { stock: 40, ..PLENTY }).await;
    let told = broken.crowd(10, 6).await;
    let books = broken.books().await;
    assert_eq!((books.remaining, books.rows.len(), broken.lost(&books)), (5, 35, 0));
    assert_eq!((told.iter().filter(|one| one.is("SOLD_OUT")).count(), broken.count()), (25, 25));
}

/// Goal: told numbers are wrong: the quantity (D24) or the row (D30). The rows are sound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_numbers() {
    for flaw in [Flaw::WrongNumber, Flaw::WrongRow] {
        let broken = Broken::open(flaw, PLENTY).await;
        let told = broken.crowd(10, 4).await;
        let books = broken.books().await;
        let by_request: HashMap<_, _> =
            (0..).zip(&books.rows).map(|(place, row)| (&*row.request, (place, row.row))).collect();
        let wrong = told.iter().filter(|one| {
            let (place, row) = by_request[&*one.request];
            (one.quantity(), one.row()) != (broken.stock - place, row)
        });
        assert_eq!((wrong.count(), broken.count()), (4, 4), "{flaw}");
        assert_eq!((acknowledged(&told).count(), broken.lost(&books)), (40, 0), "{flaw}");
    }
}

/// Goal: the newest waiter first (D25): tickets are passed by, and the books balance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newest_first() {
    let broken = Broken::open(Flaw::NewestFirst, PLENTY).await;
    let told = broken.crowd(10, 4).await;
    let books = broken.books().await;
    let mut order: Vec<_> = told.iter().map(|one| one.order.unwrap()).collect();
    order.sort_unstable_by_key(|(_, grant)| *grant);
    let passed_by = order.windows(2).filter(|pair| pair[0].0 > pair[1].0).count();
    assert!(passed_by > 0 && broken.count() > 0, "{order:?}");
    assert_eq!((books.rows.len(), broken.lost(&books)), (40, 0));
}

/// Goal: ten acknowledged rows are gone after the shutdown (D31), as if they had never been.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_at_shutdown() {
    let broken = Broken::open(Flaw::LostBatch, PLENTY).await;
    let told = broken.crowd(10, 3).await;
    assert_eq!((broken.books().await.rows.len(), broken.count()), (30, 0));
    broken.planted.shut_down(&broken.store).await.unwrap();
    let books = broken.books().await;
    assert_eq!((acknowledged(&told).count(), books.rows.len(), broken.count()), (30, 20, 10));
    assert_eq!(broken.lost(&books), 0);
}

/// Goal: two errors cancel out (D32): the sum is right in the end and was wrong before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_errors() {
    let broken = Broken::open(Flaw::CancellingErrors, PLENTY).await;
    let told = broken.crowd(10, 3).await;
    let books = broken.books().await;
    assert_eq!((broken.lost(&books), broken.count()), (1, 3));
    broken.planted.shut_down(&broken.store).await.unwrap();
    assert_eq!((broken.lost(&broken.books().await), broken.count()), (0, 4));
    let failed = told.iter().filter(|one| one.status == 500).count();
    assert_eq!((acknowledged(&told).count(), books.rows.len(), failed), (29, 29, 1));
}
