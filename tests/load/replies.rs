//! What replies mean: the table of the API, and any bytes whatever.

use cplock::ledger::{Doubt, Facts, Outcome, Refusal};
use cplock::load::reply::{Reply, classify};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::service::{failed, granted};

fn reply(status: u16, body: &str) -> Reply {
    Reply { status, body: body.to_owned().into(), ..Reply::default() }
}

fn told(status: u16, body: &str) -> Outcome {
    classify(&reply(status, body)).0
}

/// The `error` word decides, whatever the 4xx status; a 503 needs a known word; other 5xx never
/// are refusals.
#[test]
fn words() {
    for (word, refusal) in [
        ("SOLD_OUT", Refusal::SoldOut),
        ("DUPLICATE", Refusal::Duplicate),
        ("LOCK_TIMEOUT", Refusal::LockTimeout),
        ("DEADLOCK", Refusal::Deadlock),
        ("LOCK_WAIT", Refusal::LockWait),
        ("CONFLICT", Refusal::Conflict),
        ("BUSY", Refusal::Busy),
        ("SHUTTING_DOWN", Refusal::Busy),
        ("POOL_TIMEOUT", Refusal::Busy),
        ("UNAUTHORIZED", Refusal::Unauthorized),
    ] {
        for status in [400, 401, 409, 422, 503] {
            assert_eq!(told(status, &failed(word)), Outcome::Refused(refusal), "{status} {word}");
        }
        for status in [500, 502, 504] {
            assert_eq!(told(status, &failed(word)), Outcome::Unknown(Doubt::ServerError));
        }
    }
    assert_eq!(told(503, &failed("MYSTERY")), Outcome::Unknown(Doubt::ServerError));
    assert_eq!(told(503, ""), Outcome::Unknown(Doubt::ServerError));
    assert_eq!(told(401, ""), Outcome::Refused(Refusal::Unauthorized));
    assert_eq!(told(429, "slow down"), Outcome::Refused(Refusal::Busy));
    for status in [400, 404, 405, 413, 415, 422] {
        assert_eq!(told(status, &failed("MYSTERY")), Outcome::Refused(Refusal::Invalid));
    }
}

/// A 2xx is a yes only with the envelope of one; data of another shape tells less, not no.
#[test]
fn successes() {
    let (outcome, facts) = classify(&reply(200, &granted(31)));
    assert_eq!(outcome, Outcome::Acknowledged);
    assert_eq!(facts, Facts { row: Some(31), quantity: Some(9), ..Facts::default() });
    for body in [
        r#"{"code":200,"status":"OK","message":"ok","data":null}"#,
        r#"{"code":200,"status":"OK"}"#,
        r#"{"code":201,"data":"created"}"#,
        r#"{"code":200,"data":{"userCouponId":"u-1","quantity":[1]}}"#,
    ] {
        assert_eq!(classify(&reply(200, body)), (Outcome::Acknowledged, Facts::default()));
    }
    for body in
        ["", "OK", "null", "[]", "{}", r#"{"code":409}"#, r#"{"code":"200"}"#, "{\"code\":2"]
    {
        assert_eq!(told(200, body), Outcome::Unknown(Doubt::Unreadable), "{body}");
    }
    for status in [100, 204, 301, 307, 999] {
        assert_eq!(told(status, ""), Outcome::Unknown(Doubt::Unreadable), "{status}");
    }
}

/// The facts in the headers, on any reply, in any order, on one line or several.
#[test]
fn header_facts() {
    let mut reply = reply(409, &failed("LOCK_TIMEOUT"));
    for (name, value) in [
        ("x-cplock-arrival", "17"),
        ("x-cplock-ticket", " 5 "),
        ("x-cplock-token", "-3"),
        ("server-timing", "cache;desc=\"a\", wait;dur=12.3456"),
        ("server-timing", "hold ; desc=x; Dur=\"0.5\", hold2;dur=9, wait2"),
    ] {
        reply.headers.append(name, HeaderValue::from_static(value));
    }
    let (_, facts) = classify(&reply);
    let expected = Facts {
        arrival: Some(17),
        ticket: Some(5),
        wait_us: Some(12_345),
        hold_us: Some(500),
        ..Facts::default()
    };
    assert_eq!(facts, expected, "a negative token is none");
}

proptest! {
    /// Any reply whatever gets an outcome, and only a 2xx can be a yes.
    #[test]
    fn total(
        status in 0..1_000_u16,
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            any::<String>().prop_map(String::into_bytes),
            "\\{\"(code|error|data)\":[0-9a-z\"{}:,]{0,20}".prop_map(String::into_bytes),
        ],
        headers in proptest::collection::vec(
            (0..5_usize, proptest::collection::vec(any::<u8>(), 0..40)), 0..6),
    ) {
        let names =
            ["server-timing", "x-cplock-arrival", "x-cplock-ticket", "x-cplock-token", "other"];
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                map.append(HeaderName::from_static(names[name]), value);
            }
        }
        let (outcome, _) = classify(&Reply { status, headers: map, body: body.into() });
        prop_assert!(outcome != Outcome::Acknowledged || (200..300).contains(&status));
    }

    /// Any `Server-Timing` value: no panic, whatever the number.
    #[test]
    fn any_timing(value in "(wait|hold);dur=[-+0-9.eEinfNa]{0,30}") {
        let mut reply = Reply::default();
        reply.headers.insert("server-timing", HeaderValue::from_str(&value).unwrap());
        classify(&reply);
    }
}

/// A million bytes of nonsense.
#[test]
fn a_million_bytes() {
    assert_eq!(told(200, &"[".repeat(1_000_000)), Outcome::Unknown(Doubt::Unreadable));
    assert_eq!(told(400, &"{\"error\":".repeat(100_000)), Outcome::Refused(Refusal::Invalid));
}
