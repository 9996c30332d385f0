//! What several test modules need: a free port, an app over a fresh SQLite file, requests without
//! a socket. Nothing here asserts the product's behaviour.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};

use axum::body::Body;
use axum::http::{Request, Response};
use cplock::coupon::issue::Desk;
use cplock::coupon::store::Store;
use cplock::coupon::{CouponId, UserId, WriteMode};
use cplock::lock::{self, Strategy, Terms};
use cplock::server::auth::Tokens;
use cplock::server::{App, Limits};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

/// A free loopback address below the ephemeral range. Each call starts looking at another port.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = u16::try_from(std::process::id() % 5_000).expect("below 5,000");
    (0..5_000)
        .map(|_| 12_000 + (process + NEXT.fetch_add(1, Ordering::Relaxed)) % 8_000)
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .find(|address| std::net::TcpListener::bind(address).is_ok())
        .expect("a free port between 12000 and 20000")
}

/// A service over a fresh SQLite file, with coupon 1 and one user.
pub(crate) struct Laboratory {
    /// Holds the file.
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    pub(crate) app: App,
    pub(crate) user: UserId,
    pub(crate) token: String,
}

pub(crate) const SECRET: &[u8] = b"a secret of the tests";
pub(crate) const COUPON: CouponId = CouponId(1);

impl Laboratory {
    /// `stock` units under `strategy` on the in-process lease store.
    pub(crate) async fn open(strategy: Strategy, stock: u32, limits: Limits) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}", folder.path().join("lab.db").display());
        let store = Store::open(&url, 5).await.expect("a fresh file opens");
        store.prepare().await.expect("tables");
        store.seed(COUPON, "test", stock, false).await.expect("stock");
        let user = store.create_user("a@b", "no hash", "a", "").await.expect("a user");
        let lock = lock::open(strategy, Terms::default(), None).await.expect("in process");
        let desk = Desk::new(lock, store.clone(), WriteMode::ReadModifyWrite.into());
        let app = App::new(desk, Tokens::new(SECRET), 100, limits);
        let token = format!("Bearer {}", Tokens::new(SECRET).mint(user));
        Self { folder, store, app, user, token }
    }

    /// One request without a socket: status and body.
    pub(crate) async fn ask(&self, request: Request<Body>) -> (u16, Value) {
        let response = self.app.router().oneshot(request).await.expect("infallible");
        read(response).await
    }

    /// A claim with `token` and `body`.
    pub(crate) async fn claim(&self, token: &str, body: &str) -> (u16, Value) {
        self.ask(claim_request(token, body)).await
    }
}

/// `POST /api/v1/user-coupon`.
pub(crate) fn claim_request(token: &str, body: &str) -> Request<Body> {
    Request::post("/api/v1/user-coupon")
        .header("Authorization", token)
        .header("Content-Type", "application/json")
        .body(Body::from(body.to_owned()))
        .expect("a valid request")
}

/// Status and JSON body; `Null` for a body that is none.
pub(crate) async fn read(response: Response<Body>) -> (u16, Value) {
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.expect("a whole body").to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}
