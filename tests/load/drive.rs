//! Whole runs: the books of service, ledger and measured numbers agree, and VUs follow the stages.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cplock::ledger::measured::Measured;
use cplock::ledger::{Doubt, Outcome, Refusal};
use cplock::load::{LoadError, Stop, Target, Watch, drive};
use cplock::scenario::UserMode;

use super::service::{Act, Desk, Service, failed, granted, plan, stage, users};

async fn run(desk: &Desk) -> Measured {
    drive(desk.job.clone(), &Stop::new(), Watch::Nobody).await.unwrap()
}

/// Every request that the service saw is one ledger line and one count, with its id; each VU has
/// one connection; the zero-length first stage starts all VUs at once.
#[tokio::test(flavor = "multi_thread")]
async fn books_agree() {
    let service = Service::start(|number, _| match number % 3 {
        0 => Act::Reply(200, granted(number)),
        1 => Act::Reply(400, failed("SOLD_OUT")),
        _ => Act::Reply(500, failed("OOPS")),
    })
    .await;
    let desk = Desk::new(&service.url, plan(&[stage(0, 20), stage(400, 20)]));
    let measured = run(&desk).await;
    let (hits, attempts) = (service.hits(), desk.attempts());
    assert!(hits.len() > 100, "{} requests in 0.4 s", hits.len());
    assert_eq!(attempts.len(), hits.len());
    assert_eq!(measured.attempts, hits.len() as u64);
    let seen: HashSet<_> = hits.iter().map(|hit| hit.request_id.clone()).collect();
    let told: HashSet<_> = attempts.iter().map(|attempt| attempt.request.clone()).collect();
    assert_eq!(seen.len(), hits.len(), "ids are unique");
    assert_eq!(seen, told);
    let count = |outcome| attempts.iter().filter(|one| one.outcome == outcome).count() as u64;
    assert_eq!(measured.acknowledged, count(Outcome::Acknowledged));
    assert_eq!(measured.refused["sold_out"], count(Outcome::Refused(Refusal::SoldOut)));
    assert_eq!(measured.unknown["server_error"], count(Outcome::Unknown(Doubt::ServerError)));
    assert_eq!(
        measured.attempts,
        measured.acknowledged + measured.refused_total() + measured.unknown_total()
    );
    assert_eq!((measured.vus_max, measured.vus_lost, measured.vus_starved), (20, 0, 0));
    assert_eq!((measured.connections, service.connections()), (20, 20));
    assert_eq!(measured.latency["all"].count, measured.attempts);
    assert_eq!(measured.seconds.iter().map(|line| line.attempts).sum::<u64>(), measured.attempts);
    assert!(!measured.interrupted && measured.elapsed_ms >= 350 && measured.client_cpu_ms > 0);
    assert!(measured.bytes_sent > measured.attempts * 150);
    assert!(measured.bytes_received > measured.attempts * 50);
    assert!(std::fs::metadata(&desk.job.latency).unwrap().len() > 100);
}

/// What is sent: the published API's request, with the user's token and our id.
#[tokio::test(flavor = "multi_thread")]
async fn the_claim() {
    let service = Service::granting().await;
    let mut load = plan(&[stage(0, 1), stage(5_000, 1)]);
    (load.iterations, load.coupon) = (Some(2), 77);
    let desk = Desk::new(&format!("{}/shop/", service.url), load);
    let measured = run(&desk).await;
    let hits = service.hits();
    assert_eq!(hits.len(), 2);
    assert_eq!(hits[0].path, "/shop/api/v1/user-coupon");
    assert_eq!(hits[0].body, r#"{"couponId":77}"#);
    assert_eq!(hits[0].token, "Bearer t1");
    assert_eq!((&*hits[0].request_id, &*hits[1].request_id), ("r1-0-0", "r1-0-1"));
    assert!(measured.elapsed_ms < 2_000, "the run ends when all iterations are done");
    let attempt = &desk.attempts()[1];
    assert_eq!((attempt.user, attempt.iteration, attempt.status), (1, 1, 200));
    assert_eq!((attempt.facts.row, attempt.facts.quantity), (Some(1), Some(9)));
}

/// VUs come and go linearly: at each second the count is the planned one, within 2 % of the top
/// (one VU at least). Up 2 s, hold 1 s, down 2 s.
#[tokio::test(flavor = "multi_thread")]
async fn vus_follow_the_stages() {
    let service = Service::granting().await;
    let mut load = plan(&[stage(2_000, 200), stage(1_000, 200), stage(2_000, 0)]);
    load.think = Duration::from_millis(300);
    let desk = Desk::new(&service.url, load);
    let measured = run(&desk).await;
    assert_eq!(measured.vus_max, 200);
    assert!(measured.seconds.len() >= 5, "{:?}", measured.seconds);
    for line in &measured.seconds {
        let off = line.vus.abs_diff(line.vus_planned);
        assert!(off <= 4, "second {}: {} of {}", line.second, line.vus, line.vus_planned);
    }
    assert_eq!(measured.seconds[0].vus_planned, 100);
    let last = desk.attempts().iter().map(|attempt| attempt.start_us).max().unwrap();
    assert!(last < 5_000_000, "no attempt begins after the stages: {last}");
}

/// No attempt begins after the end of the hold, though the engine's own clock is half a second
/// coarse, and the last VU is awaited.
#[tokio::test(flavor = "multi_thread")]
async fn ends_on_time() {
    let service =
        Service::start(|row, _| Act::Late(Duration::from_millis(200), 200, granted(row))).await;
    let desk = Desk::new(&service.url, plan(&[stage(0, 10), stage(730, 10)]));
    let measured = run(&desk).await;
    let attempts = desk.attempts();
    let last = attempts.iter().map(|attempt| attempt.start_us).max().unwrap();
    assert!((500_000..730_000).contains(&last), "{last}");
    assert!(attempts.iter().all(|attempt| attempt.outcome == Outcome::Acknowledged));
    assert!((730..1_200).contains(&measured.elapsed_ms), "{}", measured.elapsed_ms);
}

/// Each user of a per-claim plan asks once; when all have, the VUs stop and it is told.
#[tokio::test(flavor = "multi_thread")]
async fn per_claim_users_ask_once() {
    let service = Service::granting().await;
    let mut load = plan(&[stage(0, 8), stage(20_000, 8)]);
    load.users = UserMode::PerClaim;
    let mut desk = Desk::new(&service.url, load);
    desk.job.identities = users(100);
    let measured = run(&desk).await;
    assert_eq!((measured.attempts, measured.vus_starved), (100, 8));
    let tokens: HashSet<_> = service.hits().into_iter().map(|hit| hit.token).collect();
    assert_eq!(tokens.len(), 100);
    let who: HashSet<_> = desk.attempts().iter().map(|attempt| attempt.user).collect();
    assert_eq!(who, (1..=100).collect());
}

/// Per-VU users stay with their place, also when a place is filled a second time.
#[tokio::test(flavor = "multi_thread")]
async fn per_vu_users_keep_their_place() {
    let service = Service::granting().await;
    let mut load = plan(&[stage(0, 3), stage(300, 3), stage(0, 1), stage(0, 3), stage(300, 3)]);
    load.users = UserMode::PerVu;
    load.think = Duration::from_millis(20);
    let mut desk = Desk::new(&service.url, load);
    desk.job.identities = users(3);
    run(&desk).await;
    let pairs: HashSet<_> = desk.attempts().iter().map(|one| (one.vu, one.user)).collect();
    assert_eq!(pairs, HashSet::from([(0, 1), (1, 2), (2, 3), (3, 2), (4, 3)]));
}

/// Two runs in one process, as a comparison of strategies makes them.
#[tokio::test(flavor = "multi_thread")]
async fn twice_in_one_process() {
    let service = Service::granting().await;
    for _ in 0..2 {
        let before = service.hits().len();
        let mut load = plan(&[stage(100, 5), stage(5_000, 5)]);
        load.iterations = Some(4);
        let desk = Desk::new(&service.url, load);
        let measured = run(&desk).await;
        assert_eq!((measured.attempts, measured.vus_max), (20, measured.vus_max.min(5)));
        assert_eq!(service.hits().len() - before, 20);
        assert_eq!(desk.attempts().len(), 20);
    }
}

/// A log gets whole lines with the state; the last one holds the final counts.
#[tokio::test(flavor = "multi_thread")]
async fn plain_progress() {
    let service = Service::granting().await;
    let mut load = plan(&[stage(0, 2), stage(5_000, 2)]);
    load.iterations = Some(3);
    let desk = Desk::new(&service.url, load);
    let lines = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&lines);
    let say = move |line: &str| theirs.lock().unwrap().push(line.to_owned());
    drive(desk.job.clone(), &Stop::new(), Watch::Lines(Box::new(say))).await.unwrap();
    let lines = lines.lock().unwrap();
    let last = lines.last().expect("at least the last line");
    assert!(last.contains("6 acknowledged · 0 refused · 0 unknown"), "{last}");
}

/// What is wrong is told before anything is sent.
#[tokio::test(flavor = "multi_thread")]
async fn refused_before_the_run() {
    let service = Service::granting().await;
    let nobody = Desk::new(&service.url, plan(&[stage(1_000, 0)]));
    let error = drive(nobody.job.clone(), &Stop::new(), Watch::Nobody).await.unwrap_err();
    assert!(matches!(error, LoadError::Plan), "{error}");
    let mut few = Desk::new(&service.url, plan(&[stage(0, 2)]));
    few.job.plan.users = UserMode::PerVu;
    let error = drive(few.job.clone(), &Stop::new(), Watch::Nobody).await.unwrap_err();
    assert!(matches!(error, LoadError::Identities { given: 1, needed: 2 }), "{error}");
    for url in ["localhost:8080", "ftp://host", "http://", "http://u@host", "http://host?q", "a b"]
    {
        assert!(matches!(Target::parse(url), Err(LoadError::Target { .. })), "{url}");
    }
    assert!(service.hits().is_empty());
}
