//! Coming to rest, through the binary: a service that never does, and a row that comes in after
//! the verdict.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use cplock::bundle::{self, Bundle, RUN_SCHEMA, RunFacts};
use cplock::coupon::store::Store;
use cplock::coupon::{Claim, CouponId, Snapshot, UserId, WriteMode};
use cplock::scenario::Expect;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{Place, json, until};

const COUPON: CouponId = CouponId(1);
const STOCK: u32 = 100_000;

/// A database with stock beside an open bundle of a run on it.
struct Scene {
    place: Place,
    runtime: Runtime,
    store: Store,
    user: UserId,
    bundle: Bundle,
}

impl Scene {
    /// A run that began with `remaining` units.
    fn new(remaining: i64) -> Self {
        let (place, runtime) = (Place::new(), Runtime::new().unwrap());
        let url = format!("sqlite://{}", place.path("cplock.db").display());
        let (store, user) = runtime.block_on(async {
            let store = Store::open(&url, 2).await.unwrap();
            store.prepare().await.unwrap();
            store.seed(COUPON, "rest", STOCK, false).await.unwrap();
            let user = store.create_user("a@b", "no hash", "a", "").await.unwrap();
            (store, user)
        });
        let at = SystemTime::UNIX_EPOCH;
        let bundle = Bundle::create(&place.path("reports"), "rest", at).unwrap();
        bundle.write_json(bundle::RUN, &facts()).unwrap();
        let before = Snapshot {
            coupon: COUPON,
            initial: i64::from(STOCK),
            remaining,
            issued: 0,
            last_row: 0,
        };
        bundle.write_json(bundle::BEFORE, &before).unwrap();
        Self { place, runtime, store, user, bundle }
    }

    fn issue(&self, number: u64) {
        let (user, coupon, request) = (self.user, COUPON, format!("late-{number}"));
        let claim = Claim { user, coupon, request };
        let issued = self.store.issue_one(&claim, WriteMode::ReadModifyWrite.into());
        self.runtime.block_on(issued).unwrap();
    }

    /// Verifies with `args` while rows are written until it ends: exit code, verdict, what was
    /// said on stderr.
    fn verify_in_motion(&self, args: &[&str]) -> (i32, Value, String) {
        let over = AtomicBool::new(false);
        let end = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut number = 0;
                while !over.load(Ordering::Acquire) {
                    self.issue(number);
                    number += 1;
                }
            });
            // More rows than the tested stock of 5 before anybody looks.
            until("rows are there", || self.issued() > 5);
            let args: Vec<_> = ["verify", "--format", "json"].iter().chain(args).copied().collect();
            let end = self.place.call(&args);
            over.store(true, Ordering::Release);
            end
        });
        (end.code, end.json(), end.err)
    }

    fn issued(&self) -> i64 {
        self.runtime.block_on(self.store.snapshot(COUPON)).unwrap().issued
    }
}

fn facts() -> RunFacts {
    RunFacts {
        schema: RUN_SCHEMA.to_owned(),
        version: "0.1.0".to_owned(),
        name: "rest".to_owned(),
        run: "late".to_owned(),
        scenario: Value::Null,
        strategy: None,
        write: None,
        expect: Expect::Pass,
        one_per_user: false,
        fifo: false,
        coupon: COUPON.0,
        started: "2026-11-22T20:01:30Z".to_owned(),
        target: "http://127.0.0.1:8080".to_owned(),
        machine: Vec::new(),
        settings: Vec::new(),
        interrupted: false,
        measured: None,
    }
}

#[track_caller]
fn ruling<'a>(verdict: &'a Value, id: &str) -> &'a str {
    let mut findings = verdict["findings"].as_array().unwrap().iter();
    findings.find(|finding| finding["id"] == id).unwrap()["verdict"].as_str().unwrap()
}

/// Goal: a service that never rests is UNKNOWN, not FAIL and not PASS, and says so in the bundle;
/// judging the bundle again needs no database and gives the same bytes.
#[test]
fn a_service_that_never_rests_is_unknown() {
    let scene = Scene::new(i64::from(STOCK));
    let (code, verdict, err) = scene.verify_in_motion(&["--settle", "600ms", "reports/latest"]);
    assert_eq!((code, &verdict["verdict"]), (4, &Value::from("UNKNOWN")), "{verdict}");
    for id in ["V01", "V02", "V03"] {
        assert_eq!(ruling(&verdict, id), "UNKNOWN", "{id}");
    }
    assert!(err.contains("warning: coupon 1 still moves"), "{err}");
    let rest = json(&scene.bundle.file(bundle::REST));
    assert_eq!((&rest["settled"], &rest["late"]), (&false.into(), &Value::Null), "{rest}");
    assert!(rest["polls"].as_u64().unwrap() >= 2 && rest["guard_ms"] == 0, "{rest}");
    assert!(verdict["evidence"]["flaw"].as_str().unwrap().contains("still moving"), "{verdict}");

    let stored = || fs::read(scene.bundle.file(bundle::VERDICT)).unwrap();
    let first = stored();
    fs::remove_file(scene.place.path("cplock.db")).unwrap();
    scene.place.call(&["verify", "reports/latest"]).code(4);
    assert_eq!(first, stored(), "pure");
}

/// Goal: what more rows can only make worse is final: an oversell stays FAIL while rows move.
#[test]
fn an_oversell_in_motion_stays_a_violation() {
    let scene = Scene::new(5);
    let (code, verdict, _) = scene.verify_in_motion(&["--settle", "600ms", "reports/latest"]);
    assert_eq!((code, &verdict["verdict"]), (3, &Value::from("FAIL")), "{verdict}");
    assert_eq!((ruling(&verdict, "V03"), ruling(&verdict, "V01")), ("FAIL", "UNKNOWN"));
}

/// Goal: a database alone is judged with the same care.
#[test]
fn a_database_alone_in_motion_is_unknown() {
    let scene = Scene::new(i64::from(STOCK));
    let (code, verdict, _) = scene.verify_in_motion(&["--settle", "600ms", "--db-only"]);
    assert_eq!((code, ruling(&verdict, "V01")), (4, "UNKNOWN"), "{verdict}");
}

/// Goal: a row that comes in after the verdict withdraws it, the bundle tells what changed, and
/// the second look at the bundle gives the same bytes.
#[test]
fn a_late_row_withdraws_the_verdict() {
    let scene = Scene::new(i64::from(STOCK));
    scene.issue(1);
    let mut verify = scene.place.start(&["verify", "--guard", "3s", "reports/latest"]);
    let verdict = scene.bundle.file(bundle::VERDICT);
    until("there is a verdict", || verdict.exists());
    let first = json(&verdict);
    assert_eq!((&first["verdict"], ruling(&first, "V01")), (&"PASS".into(), "PASS"));
    scene.issue(2);
    let end = verify.end().code(4);
    assert!(end.err.contains("moved after the verdict, which is withdrawn"), "{}", end.err);
    assert!(end.out.starts_with("VERDICT UNKNOWN"), "{}", end.out);

    let rest = json(&scene.bundle.file(bundle::REST));
    let late = serde_json::json!({"initial": 0, "remaining": -1, "issued": 1, "last_row": 1});
    assert_eq!((&rest["late"], &rest["guard_ms"]), (&late, &3_000.into()));
    let second = json(&verdict);
    assert_eq!((ruling(&second, "V01"), ruling(&second, "V28")), ("UNKNOWN", "PASS"));
    assert_eq!(second["counts"], first["counts"], "the books are those that were closed");
    let bytes = fs::read(&verdict).unwrap();
    scene.place.call(&["verify", "reports/latest"]).code(4);
    assert_eq!(bytes, fs::read(&verdict).unwrap(), "pure");
}

/// Goal: what stays at rest is told so, and the guard can be switched off; a wait in which rest
/// cannot be seen is wrong usage.
#[test]
fn what_stays_at_rest_is_believed() {
    let scene = Scene::new(i64::from(STOCK));
    scene.issue(1);
    let short = scene.place.call(&["verify", "--settle", "300ms", "reports/latest"]).code(2);
    assert!(short.err.contains("rest cannot be seen in less than 400ms"), "{}", short.err);
    let end = scene.place.call(&["verify", "--guard", "0s", "reports/latest"]).code(0);
    assert_eq!(end.err, "");
    let rest = json(&scene.bundle.file(bundle::REST));
    assert_eq!((&rest["settled"], &rest["polls"]), (&true.into(), &3.into()), "{rest}");
    assert_eq!((&rest["guard_ms"], &rest["late"]), (&0.into(), &Value::Null), "{rest}");
}
