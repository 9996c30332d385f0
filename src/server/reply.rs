//! What is answered: the envelope, and the only place where an HTTP status is chosen.
//!
//! The envelope is the published service's; its `error` word is ours, because there one status
//! means several things (409: lock timeout, duplicate or deadlock).

use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use crate::coupon::{GrantFacts, IssueError, StoreError};
use crate::lock::LockError;

/// Why a request was not done. One word on the wire each, one status each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Problem {
    /// 409: the lock was not granted in time; nothing written.
    LockTimeout,
    /// 409: this user holds one already; nothing written.
    Duplicate,
    /// 409: deadlock victim, rolled back.
    Deadlock,
    /// 409: waited too long for a row lock, rolled back.
    LockWait,
    /// 409: the row changed since it was read, rolled back.
    Conflict,
    /// 400: no unit left.
    SoldOut,
    /// 404: no such coupon.
    UnknownCoupon,
    /// 404: nobody has signed up with this e-mail.
    UnknownUser,
    /// 409: somebody has signed up with this e-mail.
    KnownEmail,
    /// 401: no token, or one that was not signed here.
    Unauthorized,
    /// 401: the token's time is over.
    TokenExpired,
    /// 401: the password does not match.
    WrongPassword,
    /// 400: the request cannot be read.
    BadRequest,
    /// 404: nothing lives at this path.
    NotFound,
    /// 405: this path has other methods.
    MethodNotAllowed,
    /// 413: the body is larger than any request needs.
    BodyTooLarge,
    /// 408: the body did not arrive in time.
    BodyTimeout,
    /// 503: database, pool or lease store too busy; nothing written.
    Busy,
    /// 503: the server is draining; nothing written.
    ShuttingDown,
    /// 500: failed before the commit; nothing written.
    StoreFailed,
    /// 500: failed during the commit; written or not.
    CommitUnknown,
}

impl Problem {
    /// The word on the wire and the status beside it.
    fn parts(self) -> (&'static str, StatusCode) {
        match self {
            Self::LockTimeout => ("LOCK_TIMEOUT", StatusCode::CONFLICT),
            Self::Duplicate => ("DUPLICATE", StatusCode::CONFLICT),
            Self::Deadlock => ("DEADLOCK", StatusCode::CONFLICT),
            Self::LockWait => ("LOCK_WAIT", StatusCode::CONFLICT),
            Self::Conflict => ("CONFLICT", StatusCode::CONFLICT),
            Self::SoldOut => ("SOLD_OUT", StatusCode::BAD_REQUEST),
            Self::UnknownCoupon => ("UNKNOWN_COUPON", StatusCode::NOT_FOUND),
            Self::UnknownUser => ("UNKNOWN_USER", StatusCode::NOT_FOUND),
            Self::KnownEmail => ("KNOWN_EMAIL", StatusCode::CONFLICT),
            Self::Unauthorized => ("UNAUTHORIZED", StatusCode::UNAUTHORIZED),
            Self::TokenExpired => ("TOKEN_EXPIRED", StatusCode::UNAUTHORIZED),
            Self::WrongPassword => ("WRONG_PASSWORD", StatusCode::UNAUTHORIZED),
            Self::BadRequest => ("BAD_REQUEST", StatusCode::BAD_REQUEST),
            Self::NotFound => ("NOT_FOUND", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => ("METHOD_NOT_ALLOWED", StatusCode::METHOD_NOT_ALLOWED),
            Self::BodyTooLarge => ("BODY_TOO_LARGE", StatusCode::PAYLOAD_TOO_LARGE),
            Self::BodyTimeout => ("BODY_TIMEOUT", StatusCode::REQUEST_TIMEOUT),
            Self::Busy => ("BUSY", StatusCode::SERVICE_UNAVAILABLE),
            Self::ShuttingDown => ("SHUTTING_DOWN", StatusCode::SERVICE_UNAVAILABLE),
            Self::StoreFailed => ("STORE_FAILED", StatusCode::INTERNAL_SERVER_ERROR),
            Self::CommitUnknown => ("COMMIT_UNKNOWN", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        self.parts().0
    }
}

/// A problem with the sentence that the client reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which kind.
    pub problem: Problem,
    /// One sentence; never holds a secret or a database's internal text.
    pub message: String,
}

impl Refused {
    /// A problem with its sentence.
    pub fn new(problem: Problem, message: impl Into<String>) -> Self {
        Self { problem, message: message.into() }
    }
}

impl From<&StoreError> for Refused {
    fn from(error: &StoreError) -> Self {
        let problem = match error {
            StoreError::UnknownCoupon(_) => Problem::UnknownCoupon,
            StoreError::UnknownUser(_) => Problem::Unauthorized,
            StoreError::SoldOut(_) => Problem::SoldOut,
            StoreError::Duplicate(_) => Problem::Duplicate,
            StoreError::Deadlock => Problem::Deadlock,
            StoreError::LockWait => Problem::LockWait,
            StoreError::Conflict => Problem::Conflict,
            StoreError::PoolTimeout | StoreError::Busy => Problem::Busy,
            StoreError::CommitUnknown(_) => Problem::CommitUnknown,
            StoreError::Failed(_) | StoreError::Unusable(_) => Problem::StoreFailed,
        };
        let message = match error {
            StoreError::CommitUnknown(_) => "the commit was not confirmed".to_owned(),
            StoreError::Failed(_) | StoreError::Unusable(_) => {
                "the database failed; nothing was written".to_owned()
            }
            StoreError::Duplicate(_) => "already issued".to_owned(),
            plain => plain.to_string(),
        };
        Self { problem, message }
    }
}

impl From<&IssueError> for Refused {
    fn from(error: &IssueError) -> Self {
        match error {
            IssueError::Lock(wait @ LockError::WaitTimeout(_)) => {
                Self::new(Problem::LockTimeout, wait.to_string())
            }
            IssueError::Lock(_) => Self::new(Problem::Busy, "the lease store did not answer"),
            IssueError::Store(error) => Self::from(error),
        }
    }
}

#[derive(Serialize)]
struct Success<'a, T> {
    code: u16,
    status: &'static str,
    message: &'a str,
    data: T,
}

#[derive(Serialize)]
struct Failure<'a> {
    status: &'a str,
    code: u16,
    error: &'static str,
    message: &'a str,
    timestamp: String,
}

/// The success envelope around `data`.
pub fn ok<T: Serialize>(message: &str, data: T) -> Response<Body> {
    json(StatusCode::OK, &Success { code: 200, status: "OK", message, data })
}

/// The error envelope.
pub fn refused(refused: &Refused) -> Response<Body> {
    let (word, status) = refused.problem.parts();
    let name = status.canonical_reason().unwrap_or("ERROR").to_uppercase().replace(' ', "_");
    let body = Failure {
        status: &name,
        code: status.as_u16(),
        error: word,
        message: &refused.message,
        timestamp: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
    };
    json(status, &body)
}

/// Plain text, for `/metrics`.
pub fn text(body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn json<T: Serialize>(status: StatusCode, body: &T) -> Response<Body> {
    let bytes = serde_json::to_vec(body).expect("our own structs always serialise");
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Order in which the requests came in, from 1, one counter a server process.
pub const ARRIVAL: HeaderName = HeaderName::from_static("x-cplock-arrival");
/// Order of the grants, from 1, one counter a server process.
pub const GRANT: HeaderName = HeaderName::from_static("x-cplock-grant");
/// Place in the lock's line.
pub const TICKET: HeaderName = HeaderName::from_static("x-cplock-ticket");
/// Fencing token.
pub const TOKEN: HeaderName = HeaderName::from_static("x-cplock-token");
/// Wait and hold time in ms, W3C Server-Timing.
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Adds what a claim's way through the server was like: arrival, grant, ticket, token, times.
pub fn add_facts(
    response: &mut Response<Body>,
    arrival: u64,
    grant: Option<GrantFacts>,
    hold: Duration,
) {
    let headers = response.headers_mut();
    headers.insert(ARRIVAL, HeaderValue::from(arrival));
    let Some(facts) = grant else { return };
    headers.insert(GRANT, HeaderValue::from(facts.grant));
    for (name, value) in [(TICKET, facts.ticket), (TOKEN, facts.token)] {
        if let Some(value) = value {
            headers.insert(name, HeaderValue::from(value));
        }
    }
    let wait_ms = facts.waited.as_secs_f64() * 1e3;
    let hold_ms = hold.as_secs_f64() * 1e3;
    let timing = format!("wait;dur={wait_ms:.3}, hold;dur={hold_ms:.3}");
    headers.insert(SERVER_TIMING, HeaderValue::from_str(&timing).expect("digits are ASCII"));
}
