//! Ends of attempts and of runs: silence, resets, dead targets, signals. Nothing is lost, and what
//! is not known is never called a success or a failure.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cplock::ledger::measured::Measured;
use cplock::ledger::{Attempt, Doubt, Outcome, Refusal};
use cplock::load::{Stop, Watch, drive};

use super::service::{Act, Desk, Service, granted, listen, plan, reply, stage};

/// One VU, one request, one reply of these bytes, after which the connection ends if `end`.
async fn told(act: impl Fn() -> Act + Send + Sync + 'static) -> Attempt {
    let service = Service::start(move |_, _| act()).await;
    let mut load = plan(&[stage(0, 1), stage(5_000, 1)]);
    load.iterations = Some(1);
    load.timeout = Duration::from_millis(300);
    let desk = Desk::new(&service.url, load);
    drive(desk.job.clone(), &Stop::new(), Watch::Nobody).await.unwrap();
    assert_eq!(service.hits().len(), 1, "sent once, never again");
    desk.attempts().pop().expect("one attempt")
}

/// Each way in which a reply can fail to come, and what is then known.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_known() {
    let ok = reply(200, &granted(1));
    let half = ok[..ok.len() - 5].to_vec();
    let huge = reply(200, &"x".repeat(3 << 20));
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_vec();
    let redirect = b"HTTP/1.1 307 X\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n".to_vec();
    let garbage = b"\x00\xff\xfegarbage\r\n\r\n".to_vec();
    let unknown = Outcome::Unknown;
    let closed = told(|| Act::End(Vec::new())).await;
    assert_eq!((closed.outcome, closed.status), (unknown(Doubt::Reset), 0));
    let cut = told(move || Act::End(half.clone())).await;
    assert_eq!((cut.outcome, cut.status), (unknown(Doubt::Reset), 200));
    let stuck = told(move || Act::Raw(head.clone())).await;
    assert_eq!(stuck.outcome, unknown(Doubt::Timeout));
    let silent = told(|| Act::Hang).await;
    assert_eq!((silent.outcome, silent.status), (unknown(Doubt::Timeout), 0));
    assert!((300_000..600_000).contains(&(silent.end_us - silent.start_us)), "{silent:?}");
    let long = told(move || Act::Raw(huge.clone())).await;
    assert_eq!((long.outcome, long.status), (unknown(Doubt::Unreadable), 200));
    let moved = told(move || Act::Raw(redirect.clone())).await;
    assert_eq!((moved.outcome, moved.status), (unknown(Doubt::Unreadable), 307));
    let odd = told(move || Act::End(garbage.clone())).await;
    assert_eq!((odd.outcome, odd.status), (unknown(Doubt::Reset), 0));
    let fine = told(|| Act::Reply(200, granted(1))).await;
    assert_eq!((fine.outcome, fine.status), (Outcome::Acknowledged, 200));
}

/// A server that closes the idle connection after each reply costs a new connection, and never an
/// unknown outcome or a second request.
#[tokio::test(flavor = "multi_thread")]
async fn closed_while_idle() {
    let service = Service::start(|row, _| Act::End(reply(200, &granted(row)))).await;
    let mut load = plan(&[stage(0, 4), stage(10_000, 4)]);
    load.iterations = Some(5);
    load.think = Duration::from_millis(30);
    let desk = Desk::new(&service.url, load);
    let measured = drive(desk.job.clone(), &Stop::new(), Watch::Nobody).await.unwrap();
    assert_eq!((measured.attempts, measured.acknowledged), (20, 20), "{measured:?}");
    assert_eq!((service.hits().len(), measured.connections), (20, 20));
}

/// Nobody listens: every attempt is refused as unsent, and the pauses double, so there are few.
#[tokio::test(flavor = "multi_thread")]
async fn dead_target_is_not_hammered() {
    let listener = listen().await;
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let desk = Desk::new(&url, plan(&[stage(0, 5), stage(1_000, 5)]));
    let measured = drive(desk.job.clone(), &Stop::new(), Watch::Nobody).await.unwrap();
    // At 0, 100, 300 and 700 ms.
    assert_eq!((measured.attempts, measured.refused["unsent"]), (20, 20), "{measured:?}");
    assert_eq!((measured.connections, measured.bytes_sent), (0, 0));
    assert!(desk.attempts().iter().all(|one| one.outcome == Outcome::Refused(Refusal::Unsent)));
}

/// Runs against a service and calls the stop as soon as it saw so many requests.
async fn stopped(service: &Service, desk: &Desk, hits: usize, abort: bool) -> (Measured, Duration) {
    let stop = Stop::new();
    let watched = async {
        while service.hits().len() < hits {
            tokio::task::yield_now().await;
        }
        stop.now();
        if abort {
            stop.abort();
        }
        Instant::now()
    };
    let (measured, called) = tokio::join!(drive(desk.job.clone(), &stop, Watch::Nobody), watched);
    (measured.unwrap(), called.elapsed())
}

fn same_books(service: &Service, desk: &Desk, measured: &Measured) {
    let mut books: HashMap<String, i32> = HashMap::new();
    service.hits().into_iter().for_each(|hit| *books.entry(hit.request_id).or_default() += 1);
    desk.attempts().into_iter().for_each(|one| *books.entry(one.request).or_default() -= 1);
    assert!(books.values().all(|balance| *balance == 0), "{books:?}");
    assert_eq!(measured.attempts, service.hits().len() as u64);
    assert!(measured.interrupted);
}

/// The first signal, in the middle of the ramp: nothing is sent any more, what is in flight is
/// awaited, VUs that think wake up, and all books agree.
#[tokio::test(flavor = "multi_thread")]
async fn first_signal_drains() {
    let service = Service::start(|row, _| {
        if row % 2 == 0 {
            Act::Late(Duration::from_millis(400), 200, granted(row))
        } else {
            Act::Reply(200, granted(row))
        }
    })
    .await;
    let mut load = plan(&[stage(20_000, 400), stage(60_000, 400)]);
    load.think = Duration::from_mins(1);
    let desk = Desk::new(&service.url, load);
    let (measured, took) = stopped(&service, &desk, 10, false).await;
    same_books(&service, &desk, &measured);
    assert_eq!(measured.acknowledged, measured.attempts, "all replies were awaited");
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(measured.vus_max < 60, "no VU starts after the stop: {}", measured.vus_max);
}

/// The second signal: what is in flight is cut off at once and is unknown.
#[tokio::test(flavor = "multi_thread")]
async fn second_signal_cuts_off() {
    let service = Service::start(|_, _| Act::Hang).await;
    let mut load = plan(&[stage(0, 10), stage(60_000, 10)]);
    (load.timeout, load.graceful_stop) = (Duration::from_mins(1), Duration::from_mins(1));
    let desk = Desk::new(&service.url, load);
    let (measured, took) = stopped(&service, &desk, 10, true).await;
    same_books(&service, &desk, &measured);
    assert_eq!(measured.unknown["cut_off"], 10);
    assert!(took < Duration::from_secs(3), "{took:?}");
}

/// Without any signal: the graceful stop after the stages ends a hung attempt as cut off, which is
/// not a timeout.
#[tokio::test(flavor = "multi_thread")]
async fn graceful_stop_is_bounded() {
    let service = Service::start(|_, _| Act::Hang).await;
    let mut load = plan(&[stage(0, 3), stage(300, 3)]);
    load.graceful_stop = Duration::from_millis(400);
    let desk = Desk::new(&service.url, load);
    let measured = drive(desk.job.clone(), &Stop::new(), Watch::Nobody).await.unwrap();
    assert_eq!((measured.attempts, measured.unknown["cut_off"]), (3, 3));
    for attempt in desk.attempts() {
        assert!((700_000..1_000_000).contains(&attempt.end_us), "{attempt:?}");
    }
    assert!(!measured.interrupted);
}

/// A stop before the start: no request, and the files are there, empty and readable.
#[tokio::test(flavor = "multi_thread")]
async fn stopped_before_the_start() {
    let service = Service::granting().await;
    let desk = Desk::new(&service.url, plan(&[stage(0, 3), stage(60_000, 3)]));
    let stop = Stop::new();
    stop.now();
    let measured = drive(desk.job.clone(), &stop, Watch::Nobody).await.unwrap();
    assert_eq!((measured.attempts, measured.interrupted), (0, true));
    assert!(service.hits().is_empty() && desk.attempts().is_empty());
}

/// A caller that drops the run (a timeout around it, say) does not leave VUs behind: they end, and
/// the next run, which has to wait for that, is soon done.
#[tokio::test(flavor = "multi_thread")]
async fn dropped_run_ends() {
    let service = Service::granting().await;
    let desk = Desk::new(&service.url, plan(&[stage(0, 5), stage(60_000, 5)]));
    let stop = Stop::new();
    let endless = drive(desk.job.clone(), &stop, Watch::Nobody);
    let some = async {
        while service.hits().len() < 20 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = endless => panic!("it is a minute long"),
        () = some => {}
    }
    let mut load = plan(&[stage(0, 1), stage(60_000, 1)]);
    load.iterations = Some(1);
    let next = Desk::new(&service.url, load);
    let begin = Instant::now();
    let measured = drive(next.job.clone(), &Stop::new(), Watch::Nobody).await.unwrap();
    assert_eq!(measured.attempts, 1);
    // Other tests' runs take their turns too.
    assert!(begin.elapsed() < Duration::from_secs(40), "{:?}", begin.elapsed());
}
