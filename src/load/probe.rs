//! Asking on the side while the VUs claim: the remaining quantity, now and then with the count of
//! rows, and the own coupons of a user who has just been told yes.
//!
//! Two lanes, each with a connection of its own and never more than one question in flight: a slow
//! answer makes a lane skip its next turns. The file's format is `ledger::probes`'; what the
//! answers prove is not decided here.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::{Method, Request, Uri};
use serde::Deserialize;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::identity::Pass;
use super::reply::Reply;
use super::run::Run;
use super::stop::Phase;
use super::transport::{Dialer, Exchange, Target, Traffic, Wire};
use super::{Job, LoadError};
use crate::ledger::measured::Probed;
use crate::ledger::probes::{About, Kind, Own, Probe, ROWS_MAX, Saw, Writer};
use crate::ledger::timing::Timings;
use crate::ledger::{Attempt, Doubt, Outcome};
use crate::scenario::UserMode;

/// Each so many-th look at the quantity counts the rows too, which costs the service more.
const SNAPSHOT_EVERY: u64 = 10;
/// A user's own coupons are asked for once in so many looks.
const OWN_EVERY: u32 = 5;
/// Longest wait for one answer.
const LIMIT: Duration = Duration::from_secs(5);
/// So many unreadable answers in a row end a lane: the target has no such endpoint.
const UNREADABLE_MAX: u32 = 3;

/// An acknowledgement that was just heard.
#[derive(Debug)]
struct Heard {
    pass: Pass,
    request: String,
    row: Option<i64>,
}

/// Where a VU leaves an acknowledgement for the next look at own coupons, if one is wanted.
#[derive(Debug, Default)]
pub(super) struct Ear {
    wanted: AtomicBool,
    heard: Mutex<Option<Heard>>,
    came: Notify,
}

impl Ear {
    /// To be called with each finished attempt; costs one look unless one is wanted.
    pub(super) fn offer(&self, pass: &Pass, attempt: &Attempt) {
        if !self.wanted.load(Ordering::Relaxed)
            || attempt.outcome != Outcome::Acknowledged
            || !self.wanted.swap(false, Ordering::Relaxed)
        {
            return;
        }
        let (request, row) = (attempt.request.clone(), attempt.facts.row);
        let heard = Heard { pass: pass.clone(), request, row };
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(heard);
        self.came.notify_one();
    }

    /// The next acknowledgement from now on.
    async fn next(&self) -> Heard {
        loop {
            self.wanted.store(true, Ordering::Relaxed);
            self.came.notified().await;
            let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(heard) = heard {
                return heard;
            }
        }
    }
}

/// The prober of one run: its file, its two connections, what it has seen so far.
#[derive(Debug)]
pub(super) struct Prober {
    writer: Arc<Writer>,
    quantity: Lane,
    own: Option<Lane>,
    looks: [Uri; 2],
    list: Uri,
    every: Duration,
}

impl Prober {
    /// Checks what it needs and makes the file; `None` if the plan has no probes.
    pub(super) async fn new(job: &Job) -> Result<Option<Self>, LoadError> {
        let every = job.plan.probe;
        if every.is_zero() {
            return Ok(None);
        }
        // Bytes and connections of probes are not the load's.
        let dialer = Dialer::new(&job.target, Arc::new(Traffic::default())).await?;
        let look = format!("/api/v1/coupons/{}", job.plan.coupon);
        let about = About {
            run: job.run.clone(),
            coupon: job.plan.coupon,
            every_us: u64::try_from(every.as_micros()).unwrap_or(u64::MAX),
        };
        // The list of a user whom all share is the whole table.
        let own = (job.plan.users != UserMode::Shared)
            .then(|| Lane::new(&dialer, &job.target, "own coupons"))
            .transpose()?;
        Ok(Some(Self {
            quantity: Lane::new(&dialer, &job.target, "the remaining quantity")?,
            own,
            looks: [job.target.uri(&look)?, job.target.uri(&format!("{look}?rows=true"))?],
            list: job.target.uri("/api/v1/user-coupon")?,
            writer: Arc::new(Writer::create(&job.probes, &about)?),
            every,
        }))
    }

    /// Probes from the run's beginning until `gone` turns true (every VU has gone) or is dropped;
    /// in the former case asks for the quantity and the rows once more. Closes the file.
    pub(super) async fn probe(
        self,
        run: Arc<Run>,
        gone: watch::Receiver<bool>,
    ) -> Result<Probed, LoadError> {
        let Self { writer, mut quantity, own, looks: [look, rows], list, every } = self;
        let over = || {
            let mut gone = gone.clone();
            async move { gone.wait_for(|gone| *gone).await.is_ok() }
        };
        let begun = tokio::select! {
            biased;
            () = run.begun() => true,
            _ = over() => false,
        };
        if !begun {
            writer.finish()?;
            return Ok(Probed::default());
        }
        writer.began(run.began_at());
        let quantity_lane = async {
            let mut turns = turns(every);
            for number in 1_u64.. {
                tokio::select! { biased; _ = over() => break, _ = turns.tick() => {} }
                let (kind, uri) = if number % SNAPSHOT_EVERY == 0 {
                    (Kind::Snapshot, &rows)
                } else {
                    (Kind::Remaining, &look)
                };
                if !quantity.look(&run, &writer, kind, uri).await {
                    break;
                }
            }
        };
        let own_lane = async {
            let mut lane = own?;
            let mut turns = turns(every * OWN_EVERY);
            loop {
                let heard = async {
                    turns.tick().await;
                    run.ear.next().await
                };
                let heard = tokio::select! {
                    biased;
                    _ = over() => break,
                    heard = heard => heard,
                };
                if !lane.list(&run, &writer, &list, heard).await {
                    break;
                }
            }
            Some(lane)
        };
        let ((), own) = tokio::join!(quantity_lane, own_lane);
        if over().await && quantity.stopped.is_none() && run.stop.phase() != Phase::Aborted {
            quantity.look(&run, &writer, Kind::Snapshot, &rows).await;
        }
        let mut probed = Probed::default();
        let timings = Timings::default();
        for lane in std::iter::once(quantity).chain(own) {
            lane.sum_up(&mut probed, &timings);
        }
        if let Some(all) = timings.finish().get("all") {
            (probed.p50_us, probed.p95_us) = (all.p50_us, all.p95_us);
        }
        writer.finish()?;
        Ok(probed)
    }
}

fn turns(every: Duration) -> Interval {
    let mut turns = tokio::time::interval(every);
    turns.set_missed_tick_behavior(MissedTickBehavior::Skip);
    turns
}

/// Why a question has no usable answer.
enum Fault {
    /// It may have one the next time.
    Silent(String),
    /// The target does not speak so.
    Unreadable(String),
}

/// One connection with at most one question in flight.
#[derive(Debug)]
struct Lane {
    wire: Wire,
    host: HeaderValue,
    what: &'static str,
    unreadable: u32,
    failed: u64,
    latencies_us: Vec<u64>,
    stopped: Option<String>,
}

impl Lane {
    fn new(dialer: &Dialer, target: &Target, what: &'static str) -> Result<Self, LoadError> {
        Ok(Self {
            wire: dialer.wire()?,
            host: target.host_header()?,
            what,
            unreadable: 0,
            failed: 0,
            latencies_us: Vec::new(),
            stopped: None,
        })
    }

    /// Looks at the quantity. Returns whether it makes sense to go on.
    async fn look(&mut self, run: &Run, writer: &Writer, kind: Kind, uri: &Uri) -> bool {
        let start = Instant::now();
        let answer = self.ask(run, uri, None).await;
        let end = Instant::now();
        let saw = answer.and_then(|reply| quantity_of(&reply));
        self.note(run, writer, kind, (start, end), saw)
    }

    /// Looks at the own coupons of the user who was heard. Returns whether to go on.
    async fn list(&mut self, run: &Run, writer: &Writer, uri: &Uri, heard: Heard) -> bool {
        let start = Instant::now();
        let answer = self.ask(run, uri, Some(&heard.pass.token)).await;
        let end = Instant::now();
        let saw = answer.and_then(|reply| own_of(&reply, heard));
        self.note(run, writer, Kind::Own, (start, end), saw)
    }

    async fn ask(
        &mut self,
        run: &Run,
        uri: &Uri,
        token: Option<&HeaderValue>,
    ) -> Result<Reply, Fault> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = uri.clone();
        request.headers_mut().insert(HOST, self.host.clone());
        if let Some(token) = token {
            request.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        let mut signals = run.stop.watch();
        let exchange = tokio::select! {
            biased;
            exchange = self.wire.exchange(request) => Some(exchange),
            () = tokio::time::sleep(LIMIT.min(run.plan.timeout)) => None,
            Ok(_) = signals.wait_for(|phase| *phase == Phase::Aborted) => None,
        };
        let exchange = exchange.unwrap_or_else(|| self.wire.give_up(Doubt::Timeout));
        match exchange {
            Exchange::Reply(reply) if reply.status == 200 => Ok(reply),
            Exchange::Reply(reply) => {
                let what = format!("status {}", reply.status);
                let later = reply.status == 429 || reply.status >= 500;
                Err(if later { Fault::Silent(what) } else { Fault::Unreadable(what) })
            }
            Exchange::Unsent => Err(Fault::Silent("not sent".to_owned())),
            Exchange::Lost { doubt, .. } => Err(Fault::Silent(doubt.name().to_owned())),
        }
    }

    /// Writes one probe down. Returns whether to go on.
    fn note(
        &mut self,
        run: &Run,
        writer: &Writer,
        kind: Kind,
        (start, end): (Instant, Instant),
        saw: Result<Saw, Fault>,
    ) -> bool {
        let (start_us, end_us) = (run.since_began(start), run.since_began(end));
        let saw = match saw {
            Ok(saw) => {
                self.unreadable = 0;
                self.latencies_us.push(end_us - start_us);
                saw
            }
            Err(Fault::Silent(error)) => {
                self.failed += 1;
                Saw::Failed { kind, error }
            }
            Err(Fault::Unreadable(error)) => {
                self.failed += 1;
                self.unreadable += 1;
                if self.unreadable == UNREADABLE_MAX {
                    let what = self.what;
                    self.stopped = Some(format!(
                        "the target does not tell {what} ({error}); it was not asked further"
                    ));
                }
                Saw::Failed { kind, error }
            }
        };
        writer.append(&Probe { start_us, end_us, saw });
        self.stopped.is_none()
    }

    fn sum_up(self, probed: &mut Probed, timings: &Timings) {
        let answered = u64::try_from(self.latencies_us.len()).unwrap_or(u64::MAX);
        probed.count += answered + self.failed;
        probed.failed += self.failed;
        probed.stopped.extend(self.stopped);
        for latency_us in self.latencies_us {
            timings.record(0, Outcome::Acknowledged, latency_us);
        }
    }
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

fn data_of<'a, T: Deserialize<'a>>(reply: &'a Reply) -> Result<T, Fault> {
    serde_json::from_slice::<Envelope<T>>(&reply.body)
        .map(|envelope| envelope.data)
        .map_err(|_| Fault::Unreadable("other JSON".to_owned()))
}

/// What the service tells of its stock. One that does not count rows is seen without them.
fn quantity_of(reply: &Reply) -> Result<Saw, Fault> {
    #[derive(Deserialize)]
    struct Stock {
        quantity: i64,
        issued: Option<i64>,
    }
    let Stock { quantity, issued } = data_of(reply)?;
    Ok(match issued {
        Some(issued) => Saw::Snapshot { quantity, issued },
        None => Saw::Remaining { quantity },
    })
}

/// What the service tells of a user's coupons.
fn own_of(reply: &Reply, heard: Heard) -> Result<Saw, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Row<'a> {
        user_coupon_id: i64,
        #[serde(borrow)]
        request_id: Option<Cow<'a, str>>,
    }
    let list: Vec<Row<'_>> = data_of(reply)?;
    let Heard { pass, request, row } = heard;
    let present = list.iter().any(|listed| match row {
        Some(row) => listed.user_coupon_id == row,
        None => listed.request_id.as_deref() == Some(&*request),
    });
    let rows =
        (list.len() <= ROWS_MAX).then(|| list.iter().map(|listed| listed.user_coupon_id).collect());
    let count = u64::try_from(list.len()).unwrap_or(u64::MAX);
    Ok(Saw::Own(Own { user: pass.user, request, row, present, count, rows }))
}
