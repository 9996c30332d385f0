//! How it is asked: the HTTP API, tokens, arrival order, worker cap and drain.
//!
//! The door of the room: settings, and the accept loop with its limits. Handlers are in
//! `routes.rs`, statuses in `reply.rs`, the claim's way to the lock in `entrance.rs`, what the lock
//! log is told of it in `account.rs`. For testers there are servers that are wrong on purpose:
//! `coupon/flaw.rs` says how, `flawed.rs` what it does to replies.

mod account;
pub mod auth;
pub mod entrance;
mod flawed;
pub mod metrics;
pub mod reply;
pub mod routes;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::coupon::issue::Desk;
use crate::ledger::locks;
use auth::Tokens;
use entrance::Entrance;
use metrics::Metrics;
use routes::Shared;

/// What one request or connection may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest body of a request, in bytes.
    pub body_bytes_max: usize,
    /// Longest time for a body to arrive.
    pub body_time_max: Duration,
    /// Longest time for a request's head to arrive, and so the longest idle time of a connection.
    pub head_time_max: Duration,
    /// Connections served at once; further ones wait to be accepted.
    pub connections_max: usize,
    /// Longest drain at shutdown.
    pub drain_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 64 * 1024,
            body_time_max: Duration::from_secs(10),
            head_time_max: Duration::from_secs(75),
            connections_max: 16_384,
            drain_time_max: Duration::from_secs(45),
        }
    }
}

/// A coupon service: its state and its HTTP API. Listening is [`serve`]'s.
#[derive(Clone)]
pub struct App {
    shared: Arc<Shared>,
}

impl App {
    /// A service over `desk` for at most `workers` claims at once, with tokens signed by `tokens`.
    /// Must be called inside a tokio runtime.
    pub fn new(desk: Desk, tokens: Tokens, workers: u32, limits: Limits) -> Self {
        Self::logged(desk, tokens, workers, limits, None)
    }

    /// [`App::new`] that gives an account of each claim to `log`, if there is one. The account is
    /// whole once [`serve`] has drained; finishing the log is the caller's.
    pub fn logged(
        desk: Desk,
        tokens: Tokens,
        workers: u32,
        limits: Limits,
        log: Option<Arc<locks::Writer>>,
    ) -> Self {
        let desk = Arc::new(desk);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let shared = Shared {
            entrance: Entrance::open(Arc::clone(&desk), workers, log),
            desk,
            tokens,
            metrics: Metrics::default(),
            limits,
            unnamed: AtomicU64::new(1),
            process: format!("{:x}", now.unwrap_or_default().as_micros()),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The HTTP API as a value, for [`serve`] and for tests without a socket.
    pub fn router(&self) -> Router {
        routes::router(Arc::clone(&self.shared))
    }

    /// Claims let in since the start.
    pub fn arrivals(&self) -> u64 {
        self.shared.entrance.arrivals()
    }
}

/// Accepts connections on `listener` until `shutdown` is ready, then drains: no new connection, no
/// new claim, and every claim that was let in is finished and answered.
///
/// Returns whether the drain ended in time; otherwise some answers were not delivered.
pub async fn serve(listener: TcpListener, app: App, shutdown: impl Future<Output = ()>) -> bool {
    let limits = app.shared.limits;
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_time_max);
    let router = app.router();
    let accept = async {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let stream = accept_one(&listener).await;
            let service = TowerToHyperService::new(router.clone());
            let connection = http.serve_connection(TokioIo::new(stream), service);
            let watched = graceful.watch(connection);
            tokio::spawn(async move {
                // The client's side of a failed connection has the story; ours is not interesting.
                let _ = watched.await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = accept => {}
        () = shutdown => {}
    }
    drop(listener);
    app.shared.entrance.close();
    let drain = async {
        app.shared.entrance.drained().await;
        graceful.shutdown().await;
    };
    tokio::time::timeout(limits.drain_time_max, drain).await.is_ok()
}

/// The next connection; waits out a lack of file descriptors rather than giving up.
async fn accept_one(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // A reply is one small write: without this it may wait for the client's ACK.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
