//! Clients that mean harm or do not care, over real sockets: each changes nothing, and others are
//! still served.

use std::net::SocketAddr;
use std::time::Duration;

use cplock::lock::Strategy;
use cplock::server::{self, Limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::{COUPON, Laboratory, free_address};

/// A laboratory that listens, and how to stop it.
struct Open {
    lab: Laboratory,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<bool>,
}

async fn open(limits: Limits) -> Open {
    let lab = Laboratory::open(Strategy::Fair, 100, limits).await;
    let address = free_address();
    let listener = TcpListener::bind(address).await.unwrap();
    let (stop, stopped) = oneshot::channel();
    let app = lab.app.clone();
    let server = tokio::spawn(server::serve(listener, app, async {
        let _ = stopped.await;
    }));
    Open { lab, address, stop, server }
}

impl Open {
    /// Ends the server; nothing may have been issued but `expected`.
    async fn close(self, expected: i64) {
        let after = self.lab.store.snapshot(COUPON).await.unwrap();
        assert_eq!((after.issued, after.remaining), (expected, 100 - expected));
        self.stop.send(()).unwrap();
        assert!(self.server.await.unwrap(), "drained");
        assert!(self.lab.folder.path().exists());
    }

    fn claim_head(&self, length: usize) -> String {
        format!(
            "POST /api/v1/user-coupon HTTP/1.1\r\nHost: a\r\nAuthorization: {}\r\n\
             Content-Length: {length}\r\n\r\n",
            self.lab.token
        )
    }

    /// One good claim on a fresh connection; its status line.
    async fn good_claim(&self) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let body = r#"{"couponId":1}"#;
        let request = self.claim_head(body.len()) + body;
        stream.write_all(request.as_bytes()).await.unwrap();
        first_line(&mut stream).await
    }
}

async fn first_line(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 512];
    let read = stream.read(&mut buffer).await.unwrap_or(0);
    let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
    text.lines().next().unwrap_or_default().to_owned()
}

/// Goal: a body of 100 MB is refused early. Method: announce it, send until the server stops us.
#[tokio::test]
async fn a_huge_body_is_refused_without_being_read() {
    let open = open(Limits::default()).await;
    let mut stream = TcpStream::connect(open.address).await.unwrap();
    stream.write_all(open.claim_head(100_000_000).as_bytes()).await.unwrap();
    let chunk = vec![b' '; 64 * 1024];
    let mut sent = 0_usize;
    while sent < 100_000_000 && stream.write_all(&chunk).await.is_ok() {
        sent += chunk.len();
    }
    assert!(sent < 50_000_000, "the server read {sent} bytes");
    assert!(open.good_claim().await.contains("200"));
    open.close(1).await;
}

/// Goal: a slow client costs one idle connection for a bounded time. Method: half a head, and half
/// a body, with short limits; the server must end both.
#[tokio::test]
async fn slow_loris_clients_are_cut_off() {
    let short = Duration::from_millis(200);
    let limits = Limits { head_time_max: short, body_time_max: short, ..Limits::default() };
    let open = open(limits).await;
    let mut half_head = TcpStream::connect(open.address).await.unwrap();
    half_head.write_all(b"POST /api/v1/user-coupon HTTP/1.1\r\nHo").await.unwrap();
    let mut half_body = TcpStream::connect(open.address).await.unwrap();
    let head = open.claim_head(14) + "{\"cou";
    half_body.write_all(head.as_bytes()).await.unwrap();
    assert!(open.good_claim().await.contains("200"), "others are served meanwhile");
    assert!(first_line(&mut half_body).await.contains("408"));
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), half_head.read_to_end(&mut rest));
    assert!(ended.await.is_ok(), "the half head is cut off");
    open.close(1).await;
}

/// Goal: SQL in any field is only text. Method: a hostile sign-up and request id, then look.
#[tokio::test]
async fn sql_in_any_field_is_only_text() {
    let open = open(Limits::default()).await;
    let hostile = "x'); DELETE FROM coupons; --";
    let form = serde_json::json!({"email": "x';DROP/**/TABLE/**/coupons;--@host",
        "password": hostile, "nickname": hostile, "address": hostile});
    for path in ["signup", "signin"] {
        let request = axum::http::Request::post(format!("/api/v1/auth/{path}"))
            .body(axum::body::Body::from(form.to_string()))
            .unwrap();
        let (status, reply) = open.lab.ask(request).await;
        assert_eq!(status, 200, "{path}: {reply}");
    }
    let mut request = crate::support::claim_request(&open.lab.token, r#"{"couponId":1}"#);
    request.headers_mut().insert("x-request-id", "1'; DROP TABLE users; --".parse().unwrap());
    assert_eq!(open.lab.ask(request).await.0, 400);
    assert!(open.good_claim().await.contains("200"));
    open.close(1).await;
}

/// Goal: the drain finishes what was let in and refuses what comes after. Method: stop with claims
/// under way on open connections.
#[tokio::test(flavor = "multi_thread")]
async fn the_drain_answers_everyone_who_was_let_in() {
    let open = open(Limits::default()).await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(open.address).await.unwrap();
        let request = open.claim_head(14) + r#"{"couponId":1}"#;
        stream.write_all(request.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    while open.lab.app.arrivals() < 50 {
        tokio::task::yield_now().await;
    }
    open.stop.send(()).unwrap();
    let mut answered = 0;
    for mut stream in streams {
        answered += i64::from(first_line(&mut stream).await.contains("200"));
    }
    assert!(open.server.await.unwrap());
    let after = open.lab.store.snapshot(COUPON).await.unwrap();
    assert_eq!((answered, after.issued, after.remaining), (50, 50, 50));
}
