//! Asking on the side: what is asked, when, in whose name, and that it never disturbs the run.

use std::collections::HashMap;
use std::time::Duration;

use cplock::ledger::Outcome;
use cplock::ledger::measured::{Measured, Probed};
use cplock::ledger::probes::{Kind, Own, Probe, Saw};
use cplock::load::{Stop, Watch, drive};
use cplock::scenario::UserMode;

use super::service::{Act, Desk, Hit, Service, granted, plan, stage, users};

const CLAIM: &str = "/api/v1/user-coupon";

async fn run(desk: &Desk) -> (Measured, Probed) {
    let measured = drive(desk.job.clone(), &Stop::new(), Watch::Nobody).await.unwrap();
    let probed = measured.probes.clone().expect("this plan has probes");
    (measured, probed)
}

/// A desk whose plan probes every 10 ms while five VUs claim for half a second.
fn probing(service: &Service) -> Desk {
    let mut load = plan(&[stage(0, 5), stage(500, 5)]);
    load.think = Duration::from_millis(2);
    load.probe = Duration::from_millis(10);
    Desk::new(&service.url, load)
}

fn is_claim(hit: &Hit) -> bool {
    hit.path == CLAIM && !hit.body.is_empty()
}

/// A service that grants every claim, and answers what is asked on the side as `aside` says.
async fn service(aside: impl Fn(&Hit) -> Act + Send + Sync + 'static) -> Service {
    Service::start(
        move |number, hit| {
            if is_claim(hit) { Act::Reply(200, granted(number)) } else { aside(hit) }
        },
    )
    .await
}

fn told(data: &str) -> Act {
    Act::Reply(200, format!(r#"{{"code":200,"data":{data}}}"#))
}

fn stock(hit: &Hit) -> Act {
    let with_rows = hit.path.ends_with("?rows=true");
    told(if with_rows { r#"{"quantity":7,"issued":3}"# } else { r#"{"quantity":8}"# })
}

fn quantity_lane(probes: &[Probe]) -> Vec<&Probe> {
    probes.iter().filter(|probe| probe.saw.kind() != Kind::Own).collect()
}

/// Goal: the quantity is asked for at the interval, every tenth time with the rows, once more when
/// all VUs have gone; on a connection of its own, in none of the run's numbers.
#[tokio::test(flavor = "multi_thread")]
async fn the_quantity() {
    let service = service(stock).await;
    let desk = probing(&service);
    let (measured, probed) = run(&desk).await;
    let (attempts, read) = (desk.attempts(), desk.probes());
    let asked = service.hits().iter().filter(|hit| !is_claim(hit)).count();
    assert!(read.complete && read.began_unix_us.is_some());
    assert_eq!((&*read.about.run, read.about.coupon, read.about.every_us), ("r1", 1, 10_000));
    assert_eq!((read.probes.len(), probed.count), (asked, asked as u64));
    assert!((25..80).contains(&asked), "{asked} in half a second");
    let (last, during) = read.probes.split_last().unwrap();
    for (number, probe) in (1..).zip(during) {
        let snapshot = Saw::Snapshot { quantity: 7, issued: 3 };
        let remaining = Saw::Remaining { quantity: 8 };
        assert_eq!(probe.saw, if number % 10 == 0 { snapshot } else { remaining }, "{number}");
    }
    assert_eq!(last.saw.kind(), Kind::Snapshot);
    assert!(last.start_us >= attempts.iter().map(|attempt| attempt.end_us).max().unwrap());
    let lane = quantity_lane(&read.probes);
    assert!(lane.windows(2).all(|pair| pair[0].end_us <= pair[1].start_us), "one at a time");
    assert_eq!((measured.connections, service.connections()), (5, 6));
    assert_eq!(measured.attempts, attempts.len() as u64);
    assert!(probed.failed == 0 && probed.stopped.is_empty() && probed.p50_us > 0);
    assert!(probed.p50_us <= probed.p95_us);
}

/// Goal: own coupons are asked for in the name of a user who was told yes a moment before, with
/// what the list is expected to show; never where all share one user.
#[tokio::test(flavor = "multi_thread")]
async fn own_coupons() {
    let service = service(|hit| match &*hit.path {
        CLAIM => told(r#"[{"userCouponId":1,"requestId":"r1-0-0","couponId":1}]"#),
        _ => stock(hit),
    })
    .await;
    let mut desk = probing(&service);
    (desk.job.plan.users, desk.job.identities) = (UserMode::PerVu, users(5));
    let (_, probed) = run(&desk).await;
    let acknowledged: HashMap<_, _> = desk
        .attempts()
        .into_iter()
        .filter(|attempt| attempt.outcome == Outcome::Acknowledged)
        .map(|attempt| (attempt.request.clone(), attempt))
        .collect();
    let probes = desk.probes().probes;
    let own = |probe: &Probe| match &probe.saw {
        Saw::Own(own) => Some((probe.start_us, own.clone())),
        _ => None,
    };
    let owns: Vec<(u64, Own)> = probes.iter().filter_map(own).collect();
    assert!((5..20).contains(&owns.len()), "{} in half a second", owns.len());
    for (start_us, own) in &owns {
        let attempt = &acknowledged[&own.request];
        assert!(*start_us >= attempt.end_us, "asked before the answer was heard");
        assert_eq!((own.user, own.row), (attempt.user, attempt.facts.row));
        assert_eq!((own.count, own.rows.as_deref()), (1, Some(&[1][..])));
        assert_eq!(own.present, own.row == Some(1));
    }
    let lists = |hit: &Hit| hit.path == CLAIM && hit.body.is_empty();
    let tokens: Vec<_> = service.hits().into_iter().filter(lists).map(|hit| hit.token).collect();
    let expected: Vec<_> = owns.iter().map(|(_, own)| format!("Bearer t{}", own.user)).collect();
    assert_eq!((tokens, probed.failed), (expected, 0));

    let shared = probing(&service);
    run(&shared).await;
    assert!(shared.probes().probes.iter().all(|probe| probe.saw.kind() != Kind::Own));
}

/// Goal: a target without the endpoint, or one that speaks otherwise there, is asked three times
/// and then left alone; the run does not suffer, and it is told once.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_does_not_tell() {
    for (status, body) in [(404, "{}"), (200, "<html>"), (200, r#"{"data":{"stock":1}}"#)] {
        let service = service(move |_| Act::Reply(status, body.to_owned())).await;
        let mut desk = probing(&service);
        (desk.job.plan.users, desk.job.identities) = (UserMode::PerVu, users(5));
        let (measured, probed) = run(&desk).await;
        let asked = |list: bool| {
            let hits = service.hits();
            hits.iter().filter(|hit| !is_claim(hit) && (hit.path == CLAIM) == list).count()
        };
        assert_eq!((asked(false), asked(true)), (3, 3), "{body}");
        assert_eq!((probed.count, probed.failed, probed.stopped.len()), (6, 6, 2));
        assert!(probed.stopped[0].contains("does not tell the remaining quantity"), "{probed:?}");
        assert!(probed.stopped[1].contains("does not tell own coupons"), "{probed:?}");
        let read = desk.probes();
        assert!(read.complete && read.probes.len() == 6);
        assert!(read.probes.iter().all(|probe| matches!(probe.saw, Saw::Failed { .. })));
        assert!(measured.attempts > 50 && measured.acknowledged == measured.attempts);
    }
}

/// Goal: a service that fails or keeps silent on the side is asked again and again, never twice at
/// once, and what happened is written down.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_in_trouble() {
    let broken = service(|_| Act::Reply(500, "oops".to_owned())).await;
    let desk = probing(&broken);
    let (measured, probed) = run(&desk).await;
    assert!(probed.failed > 20 && probed.failed == probed.count, "{probed:?}");
    assert!(probed.stopped.is_empty() && measured.acknowledged == measured.attempts);
    let failed = Saw::Failed { kind: Kind::Remaining, error: "status 500".to_owned() };
    assert_eq!(desk.probes().probes[0].saw, failed);

    let silent = service(|_| Act::Hang).await;
    let mut desk = probing(&silent);
    desk.job.plan.timeout = Duration::from_millis(100);
    let (measured, probed) = run(&desk).await;
    assert!((3..10).contains(&probed.count), "a slow answer makes it skip turns: {probed:?}");
    assert_eq!(measured.acknowledged, measured.attempts);
    let probes = desk.probes().probes;
    assert!(probes.windows(2).all(|pair| pair[0].end_us <= pair[1].start_us), "one at a time");
    let timeout = Saw::Failed { kind: Kind::Remaining, error: "timeout".to_owned() };
    assert_eq!(probes[0].saw, timeout);
}

/// Goal: a run that is stopped before it began has asked nothing.
#[tokio::test(flavor = "multi_thread")]
async fn stopped_before_it_began() {
    let service = service(stock).await;
    let desk = probing(&service);
    let stop = Stop::new();
    stop.now();
    drive(desk.job.clone(), &stop, Watch::Nobody).await.unwrap();
    let read = desk.probes();
    assert!(read.complete && read.probes.is_empty() && read.began_unix_us.is_none());
    assert!(service.hits().is_empty());
}
