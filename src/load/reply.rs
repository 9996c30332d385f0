//! What a reply means: status, headers and body in, [`Outcome`] and [`Facts`] out.
//!
//! Pure, and total: any bytes whatever get an outcome. How a reply is fetched is not known here.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;

use crate::ledger::{Doubt, Facts, Outcome, Refusal};

/// One complete reply.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Decides what the client was told.
///
/// - 2xx with the envelope of a success is acknowledged; any other 2xx, 1xx or 3xx is unreadable.
/// - 4xx is a refusal, by the `error` word of the body, else by its status.
/// - 503 is a refusal only with a known word; every other 5xx may have come after the commit.
pub fn classify(reply: &Reply) -> (Outcome, Facts) {
    let mut facts = header_facts(&reply.headers);
    let outcome = match reply.status {
        200..=299 => match success(&reply.body) {
            Some(data) => {
                facts.row = data.row;
                facts.quantity = data.quantity;
                Outcome::Acknowledged
            }
            None => Outcome::Unknown(Doubt::Unreadable),
        },
        status @ 400..=499 => {
            Outcome::Refused(refusal(&reply.body).unwrap_or_else(|| refusal_of_status(status)))
        }
        503 => match refusal(&reply.body) {
            Some(reason) => Outcome::Refused(reason),
            None => Outcome::Unknown(Doubt::ServerError),
        },
        500..=599 => Outcome::Unknown(Doubt::ServerError),
        _ => Outcome::Unknown(Doubt::Unreadable),
    };
    (outcome, facts)
}

/// What an envelope's `data` says of the written row.
#[derive(Default, serde::Deserialize)]
struct Data {
    #[serde(rename = "userCouponId")]
    row: Option<i64>,
    quantity: Option<i64>,
}

#[derive(serde::Deserialize)]
struct Envelope<T> {
    code: u16,
    #[serde(default = "Option::default")]
    data: Option<T>,
}

/// The data of a success envelope; `None` if the body is anything else. Data of another shape than
/// ours is still a success: the service said so, it only told us less.
fn success(body: &[u8]) -> Option<Data> {
    let (code, data) = match serde_json::from_slice::<Envelope<Data>>(body) {
        Ok(envelope) => (envelope.code, envelope.data),
        Err(_) => {
            (serde_json::from_slice::<Envelope<serde::de::IgnoredAny>>(body).ok()?.code, None)
        }
    };
    (200..=299).contains(&code).then(|| data.unwrap_or_default())
}

#[derive(serde::Deserialize)]
struct Failure<'a> {
    #[serde(borrow)]
    error: Cow<'a, str>,
}

/// The refusal that the body's `error` word names; `None` for a word (or a body) we do not know.
fn refusal(body: &[u8]) -> Option<Refusal> {
    let failure: Failure<'_> = serde_json::from_slice(body).ok()?;
    Some(match failure.error.as_ref() {
        "SOLD_OUT" => Refusal::SoldOut,
        "DUPLICATE" => Refusal::Duplicate,
        "LOCK_TIMEOUT" => Refusal::LockTimeout,
        "DEADLOCK" => Refusal::Deadlock,
        "LOCK_WAIT" => Refusal::LockWait,
        "CONFLICT" => Refusal::Conflict,
        "BUSY" | "SHUTTING_DOWN" | "POOL_TIMEOUT" => Refusal::Busy,
        "UNAUTHORIZED" => Refusal::Unauthorized,
        _ => return None,
    })
}

fn refusal_of_status(status: u16) -> Refusal {
    match status {
        401 => Refusal::Unauthorized,
        429 => Refusal::Busy,
        _ => Refusal::Invalid,
    }
}

fn header_facts(headers: &HeaderMap) -> Facts {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse().ok();
    let mut facts = Facts {
        arrival: number("x-cplock-arrival"),
        ticket: number("x-cplock-ticket"),
        token: number("x-cplock-token"),
        grant: number("x-cplock-grant"),
        ..Facts::default()
    };
    for line in headers.get_all("server-timing") {
        for metric in line.to_str().unwrap_or_default().split(',') {
            match timing(metric) {
                Some(("wait", us)) => facts.wait_us = Some(us),
                Some(("hold", us)) => facts.hold_us = Some(us),
                _ => {}
            }
        }
    }
    facts
}

/// One `name;dur=<ms>` of a `Server-Timing` header, in µs.
///
/// Source: W3C Server Timing, section 4: parameters in any order, names without case, ms as a
/// decimal number.
fn timing(metric: &str) -> Option<(&str, u64)> {
    let mut parts = metric.split(';').map(str::trim);
    let name = parts.next()?;
    let millis = parts.find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case("dur").then(|| value.trim().trim_matches('"'))
    })?;
    let millis: f64 = millis.parse().ok()?;
    let length = Duration::try_from_secs_f64(millis / 1_000.0).ok()?;
    Some((name, u64::try_from(length.as_micros()).ok()?))
}
