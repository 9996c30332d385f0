//! Getting users from the target: order, known e-mails, refusals, interruption.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};

use cplock::load::{LoadError, Stop, Target, sign_up};

use super::service::{Act, Hit, Service, failed};

/// Signs anybody in; the token's payload is `{"sub":"42"}`.
fn welcome(hit: &Hit) -> Act {
    let token =
        r#"{"code":200,"status":"OK","data":{"accessToken":"Bearer h.eyJzdWIiOiI0MiJ9.s"}}"#;
    match hit.path.as_str() {
        "/api/v1/auth/signin" => Act::Reply(200, token.to_owned()),
        _ => Act::Reply(200, r#"{"code":200,"status":"OK"}"#.to_owned()),
    }
}

fn email(hit: &Hit) -> String {
    let body: serde_json::Value = serde_json::from_str(&hit.body).unwrap();
    body["email"].as_str().unwrap().to_owned()
}

/// Everybody signs up once and in once, over at most 64 connections; each is told to the progress.
#[tokio::test(flavor = "multi_thread")]
async fn everybody() {
    let service = Service::start(|_, hit| welcome(hit)).await;
    let target = Target::parse(&service.url).unwrap();
    let most = AtomicU32::new(0);
    let progress = |done| _ = most.fetch_max(done, Ordering::Relaxed);
    let made = sign_up(&target, 300, "r1", &Stop::new(), &progress).await.unwrap();
    assert_eq!((made.len(), most.into_inner()), (300, 300));
    assert!(made.iter().all(|one| one.user == 42 && one.token == "Bearer h.eyJzdWIiOiI0MiJ9.s"));
    let hits = service.hits();
    let emails = |path: &str| -> HashSet<String> {
        hits.iter().filter(|hit| hit.path.ends_with(path)).map(email).collect()
    };
    assert_eq!((hits.len(), emails("signup").len()), (600, 300));
    assert_eq!(emails("signup"), emails("signin"));
    assert!(emails("signup").contains("cplock-r1-299@example.com"));
    assert!(service.connections() <= 64);
}

/// A known e-mail is signed in; that is how a run is repeated.
#[tokio::test(flavor = "multi_thread")]
async fn known() {
    let service = Service::start(|_, hit| {
        if hit.path.ends_with("signup") {
            Act::Reply(409, failed("DUPLICATE"))
        } else {
            welcome(hit)
        }
    })
    .await;
    let target = Target::parse(&service.url).unwrap();
    assert_eq!(sign_up(&target, 3, "r1", &Stop::new(), &|_| ()).await.unwrap().len(), 3);
}

/// Refused sign-ups and sign-ins, a dead target and a stop are told for what they are.
#[tokio::test(flavor = "multi_thread")]
async fn refused() {
    for path in ["/api/v1/auth/signup", "/api/v1/auth/signin"] {
        let service = Service::start(move |_, hit| {
            if hit.path == path { Act::Reply(400, failed("INVALID")) } else { welcome(hit) }
        })
        .await;
        let target = Target::parse(&service.url).unwrap();
        let error = sign_up(&target, 1, "r1", &Stop::new(), &|_| ()).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(path) && text.contains("status 400"), "{text}");
    }
    let service = Service::granting().await;
    let target = Target::parse(&service.url).unwrap();
    let stop = Stop::new();
    stop.now();
    let error = sign_up(&target, 1, "r1", &stop, &|_| ()).await.unwrap_err();
    assert!(matches!(error, LoadError::Interrupted));
    assert!(service.hits().is_empty());
}
