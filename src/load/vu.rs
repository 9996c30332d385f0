//! The life of one VU: ask, note what it was told, think, ask again.
//!
//! When it begins is goose's part, when it ends is the plan's (`shape.rs`) or the stop's.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use tokio::time::Instant;

use super::LoadError;
use super::identity::Pass;
use super::reply;
use super::run::Run;
use super::stop::Reins;
use super::transport::{Exchange, Target, Wire};
use crate::ledger::{Attempt, Facts, Outcome, Refusal};

/// First pause after a request that could not be sent; doubles up to the last.
const BACK_OFF_FIRST: Duration = Duration::from_millis(100);
const BACK_OFF_LAST: Duration = Duration::from_secs(2);

/// The parts of a claim that are the same for all VUs.
#[derive(Debug)]
pub(super) struct ClaimForm {
    uri: Uri,
    host: HeaderValue,
    body: Bytes,
}

impl ClaimForm {
    /// `POST /api/v1/user-coupon` for one coupon.
    pub(super) fn new(target: &Target, coupon: i64) -> Result<Self, LoadError> {
        Ok(Self {
            uri: target.uri("/api/v1/user-coupon")?,
            host: target.host_header()?,
            body: format!("{{\"couponId\":{coupon}}}").into(),
        })
    }

    fn fill(&self, pass: &Pass, request_id: HeaderValue) -> Request<Bytes> {
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.reserve(8);
        headers.insert(HOST, self.host.clone());
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(AUTHORIZATION, pass.token.clone());
        headers.insert(HeaderName::from_static("x-request-id"), request_id);
        request
    }
}

const AGENT: &str = concat!("cplock/", env!("CARGO_PKG_VERSION"));

/// Lives the `vu`-th life of a run, from its start to its end by the plan or by the stop.
pub(super) async fn live(run: Arc<Run>, vu: u32) {
    let index = usize::try_from(vu).unwrap_or(usize::MAX);
    let berth = run.berths.get(index).expect("goose starts as many VUs as there are berths");
    let mut wire = run.dialer.wire().expect("a wire was made before the run began");
    let mut reins = Reins::new(&run.stop, run.began() + berth.retires, run.plan.graceful_stop);
    let mut back_off = BACK_OFF_FIRST;
    let limit = run.plan.iterations.unwrap_or(u32::MAX);
    for iteration in 0..limit {
        if reins.over() {
            return;
        }
        let Some(pass) = run.identities.next(berth.slot) else {
            run.tally.starved();
            return;
        };
        let outcome = attempt(&run, &mut wire, &mut reins, pass, (vu, iteration)).await;
        if outcome == Outcome::Refused(Refusal::Unsent) {
            // A server that is gone must not be hammered, nor fill the ledger.
            reins.pause(back_off.max(run.plan.think)).await;
            back_off = (back_off * 2).min(BACK_OFF_LAST);
        } else {
            back_off = BACK_OFF_FIRST;
            if iteration + 1 < limit {
                reins.pause(run.plan.think).await;
            }
        }
    }
}

/// One attempt, from its start to its line in the ledger. It always ends: by a reply, by the time
/// limit, or by the cut at the end of the graceful stop.
async fn attempt(
    run: &Run,
    wire: &mut Wire,
    reins: &mut Reins,
    pass: &Pass,
    (vu, iteration): (u32, u32),
) -> Outcome {
    let request_id = format!("{}-{vu}-{iteration}", run.id);
    let start = Instant::now();
    let limit = start + run.plan.timeout;
    let exchange = match HeaderValue::from_str(&request_id) {
        Ok(header) => {
            let request = run.form.fill(pass, header);
            let given_up = tokio::select! {
                biased;
                exchange = wire.exchange(request) => Ok(exchange),
                doubt = reins.give_up(limit) => Err(doubt),
            };
            given_up.unwrap_or_else(|doubt| wire.give_up(doubt))
        }
        Err(_) => Exchange::Unsent,
    };
    let end_us = run.since_began(Instant::now());
    let start_us = run.since_began(start);
    let (outcome, status, facts) = match &exchange {
        Exchange::Reply(reply) => {
            let (outcome, facts) = reply::classify(reply);
            (outcome, reply.status, facts)
        }
        Exchange::Unsent => (Outcome::Refused(Refusal::Unsent), 0, Facts::default()),
        Exchange::Lost { doubt, status } => (Outcome::Unknown(*doubt), *status, Facts::default()),
    };
    let attempt = Attempt {
        vu,
        iteration,
        request: request_id,
        user: pass.user,
        scheduled_us: start_us,
        start_us,
        end_us,
        outcome,
        status,
        facts,
    };
    run.note(&attempt);
    run.ear.offer(pass, &attempt);
    outcome
}
