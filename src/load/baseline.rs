//! What the target says of its stock before the load: whether it answers at all, and the baseline
//! that `verify` subtracts. Rows are never read here; only the API is asked.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HOST;
use hyper::{Method, Request};
use serde::Deserialize;

use super::LoadError;
use super::transport::{Dialer, Exchange, Target, Traffic};

/// Longest wait for the answer.
const LIMIT: Duration = Duration::from_secs(10);

/// Stock and counts as the target tells them, before the first claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// Units when the coupon was made.
    pub initial_quantity: i64,
    /// Units left.
    pub quantity: i64,
    /// Rows issued.
    pub issued: i64,
    /// Highest row id, 0 without rows.
    pub last_user_coupon_id: i64,
}

#[derive(Deserialize)]
struct Envelope {
    data: Baseline,
}

/// Asks `GET /api/v1/coupons/{coupon}?rows=true`. `None` if the target answers but does not tell
/// rows: then there is no baseline, and `verify` audits the coupon's whole life.
///
/// # Errors
/// [`LoadError::Target`]: the target does not answer.
pub async fn baseline(target: &Target, coupon: i64) -> Result<Option<Baseline>, LoadError> {
    let dialer = Dialer::new(target, Arc::new(Traffic::default())).await?;
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = target.uri(&format!("/api/v1/coupons/{coupon}?rows=true"))?;
    request.headers_mut().insert(HOST, target.host_header()?);
    let silent = |what: &str| LoadError::Target {
        url: target.authority().to_owned(),
        what: what.to_owned(),
    };
    let mut wire = dialer.wire()?;
    match tokio::time::timeout(LIMIT, wire.exchange(request)).await {
        Ok(Exchange::Reply(reply)) => {
            let told = serde_json::from_slice::<Envelope>(&reply.body).ok();
            Ok(told.filter(|_| reply.status == 200).map(|envelope| envelope.data))
        }
        Ok(Exchange::Unsent) => Err(silent("nothing listens there")),
        Ok(Exchange::Lost { .. }) => Err(silent("it closed the connection instead of answering")),
        Err(_) => Err(silent("it did not answer within 10 s")),
    }
}
