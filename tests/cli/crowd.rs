//! Many connections at once, against the real server in a process of its own.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Place;

/// How many connections ask nothing: the issue's figure.
const IDLE: usize = 10_000;
/// How many come at once, as VUs without a ramp.
const BURST: usize = 2_000;

/// Goal: connections that ask nothing keep nobody out and change nothing; 2,000 that come at once
/// are all let in at once. Method: 10,000 of them, then one client signs up, signs in and claims.
#[test]
fn ten_thousand_idle_connections_keep_nobody_out() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let files = rlimit::getrlimit(rlimit::Resource::NOFILE).unwrap().0;
    assert!(files >= 10_500, "needs 10,500 open files, the hard limit is {files}: `ulimit -Hn`");
    let place = Place::new();
    let server = place.serve(&["--lock", "fair", "--stock", "10"]);
    let connect = |number| {
        let began = Instant::now();
        let stream = TcpStream::connect(server.address).unwrap();
        // Where the line of those not yet accepted overflows, the SYN is sent again after 1 s.
        let took = began.elapsed();
        assert!(number >= BURST || took < Duration::from_millis(900), "{number} took {took:?}");
        stream
    };
    let idle: Vec<TcpStream> = (0..IDLE).map(connect).collect();

    let began = Instant::now();
    let user = r#"{"email":"a@b","password":"password","nickname":"a","address":""}"#;
    assert_eq!(server.ask("POST /api/v1/auth/signup HTTP/1.1", user).0, 200);
    let (_, signed_in) = server.ask("POST /api/v1/auth/signin HTTP/1.1", user);
    let signed_in: serde_json::Value = serde_json::from_str(&signed_in).unwrap();
    let token = signed_in["data"]["accessToken"].as_str().unwrap();
    let claim = format!("POST /api/v1/user-coupon HTTP/1.1\r\nAuthorization: {token}");
    assert_eq!(server.ask(&claim, r#"{"couponId":1}"#).0, 200);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "one claim among the idle took {took:?}");

    let (_, coupon) = server.ask("GET /api/v1/coupons/1?rows=true HTTP/1.1", "");
    let coupon: serde_json::Value = serde_json::from_str(&coupon).unwrap();
    assert_eq!((&coupon["data"]["quantity"], &coupon["data"]["issued"]), (&9.into(), &1.into()));
    assert_eq!(server.counter("cplock_claim_requests_total"), 1);
    for stream in &idle {
        stream.set_nonblocking(true).unwrap();
        let held = stream.peek(&mut [0]).unwrap_err();
        assert_eq!(held.kind(), std::io::ErrorKind::WouldBlock, "the server dropped it");
    }
    drop(idle);
    server.stop().code(0);
}
