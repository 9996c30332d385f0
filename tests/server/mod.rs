//! The HTTP API without a socket: each status, the envelope, and that bad input changes nothing.

mod flaws;
mod hostile;

use axum::body::Body;
use axum::http::Request;
use cplock::lock::Strategy;
use cplock::server::Limits;
use cplock::server::auth::Tokens;
use serde_json::{Value, json};

use crate::support::{COUPON, Laboratory, SECRET, claim_request, read};

async fn laboratory(stock: u32) -> Laboratory {
    Laboratory::open(Strategy::Fair, stock, Limits::default()).await
}

fn post(path: &str, body: &Value) -> Request<Body> {
    Request::post(path).body(Body::from(body.to_string())).unwrap()
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

/// Goal: a whole visit works as published. Method: sign up, in, claim, look.
#[tokio::test]
async fn a_visit_from_sign_up_to_own_coupons() {
    let lab = laboratory(10).await;
    let form = json!({"email":"kim@example.com","password":"Password1234!",
        "nickname":"김","address":"서울"});
    let (status, reply) = lab.ask(post("/api/v1/auth/signup", &form)).await;
    assert_eq!((status, &reply["code"], &reply["status"]), (200, &json!(200), &json!("OK")));
    let (status, reply) = lab.ask(post("/api/v1/auth/signup", &form)).await;
    assert_eq!((status, &reply["error"]), (409, &json!("KNOWN_EMAIL")));
    let (status, reply) = lab.ask(post("/api/v1/auth/signin", &form)).await;
    let token = reply["data"]["accessToken"].as_str().unwrap().to_owned();
    assert!(status == 200 && token.starts_with("Bearer "), "{reply}");

    let (status, reply) = lab.claim(&token, r#"{"couponId":1}"#).await;
    assert_eq!((status, &reply["data"]["quantity"]), (200, &json!(10)));
    let row = reply["data"]["userCouponId"].clone();
    let own = Request::get("/api/v1/user-coupon").header("Authorization", &token);
    let (status, reply) = lab.ask(own.body(Body::empty()).unwrap()).await;
    assert_eq!((status, &reply["data"][0]["userCouponId"]), (200, &row));
    let (status, reply) = lab.ask(get("/api/v1/coupons/1?rows=true")).await;
    assert_eq!(status, 200);
    assert_eq!(
        reply["data"],
        json!({"couponId":1,"name":"test","quantity":9,"initialQuantity":10,
            "issued":1,"lastUserCouponId":row})
    );
}

#[tokio::test]
async fn sign_in_tells_a_wrong_password_from_an_unknown_e_mail() {
    let lab = laboratory(1).await;
    let form = json!({"email":"a@example.com","password":"Password1234!","nickname":"a"});
    lab.ask(post("/api/v1/auth/signup", &form)).await;
    let wrong = json!({"email":"a@example.com","password":"password1234!"});
    let (status, reply) = lab.ask(post("/api/v1/auth/signin", &wrong)).await;
    assert_eq!((status, &reply["error"]), (401, &json!("WRONG_PASSWORD")));
    let nobody = json!({"email":"b@example.com","password":"Password1234!"});
    let (status, reply) = lab.ask(post("/api/v1/auth/signin", &nobody)).await;
    assert_eq!((status, &reply["error"]), (404, &json!("UNKNOWN_USER")));
}

/// Goal: what a claim went through is told. Method: the headers of one acknowledged claim.
#[tokio::test]
async fn an_acknowledged_claim_tells_its_way() {
    let lab = laboratory(1).await;
    let request = claim_request(&lab.token, r#"{"couponId":1}"#);
    let router = lab.app.router();
    let response = tower::ServiceExt::oneshot(router, request).await.unwrap();
    let headers = response.headers().clone();
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    assert_eq!((header("x-cplock-arrival"), header("x-cplock-grant")), ("1".into(), "1".into()));
    assert!(header("x-cplock-ticket").parse::<u64>().is_ok());
    assert!(header("x-cplock-token").parse::<u64>().is_ok());
    let timing = header("server-timing");
    assert!(timing.starts_with("wait;dur=") && timing.contains(", hold;dur="), "{timing}");
    assert_eq!(read(response).await.0, 200);
}

/// Goal: the last unit is the last. Method: one unit more asked than there is, and a stock of 0.
#[tokio::test]
async fn sold_out_is_400_from_the_exact_unit_on() {
    let lab = laboratory(2).await;
    for expected in [200, 200, 400, 400] {
        let (status, reply) = lab.claim(&lab.token, r#"{"couponId":1}"#).await;
        assert_eq!(status, expected, "{reply}");
        if status == 400 {
            assert_eq!(reply["error"], json!("SOLD_OUT"));
            assert_eq!((&reply["status"], &reply["code"]), (&json!("BAD_REQUEST"), &json!(400)));
            assert!(reply["timestamp"].as_str().unwrap().ends_with('Z'));
        }
    }
    let empty = laboratory(0).await;
    assert_eq!(empty.claim(&empty.token, r#"{"couponId":1}"#).await.0, 400);
    assert_eq!(empty.store.snapshot(COUPON).await.unwrap().issued, 0);
}

/// Goal: bad input gets the envelope and changes nothing. Method: each kind, then count rows.
#[tokio::test]
async fn bad_input_gets_the_envelope_and_changes_nothing() {
    let lab = laboratory(5).await;
    let good = r#"{"couponId":1}"#;
    let tokens = Tokens::new(SECRET);
    let ghost = format!("Bearer {}", tokens.mint(cplock::coupon::UserId(999_999)));
    for (token, body, status, word) in [
        (lab.token.as_str(), "{", 400, "BAD_REQUEST"),
        (&lab.token, "", 400, "BAD_REQUEST"),
        (&lab.token, r#"{"couponId":"1; DROP TABLE coupons"}"#, 400, "BAD_REQUEST"),
        (&lab.token, r#"{"couponId":99999999999999999999}"#, 400, "BAD_REQUEST"),
        (&lab.token, r#"{"couponId":2}"#, 404, "UNKNOWN_COUPON"),
        (&lab.token, r#"{"couponId":-1}"#, 404, "UNKNOWN_COUPON"),
        ("", good, 401, "UNAUTHORIZED"),
        ("Bearer", good, 401, "UNAUTHORIZED"),
        ("Basic YTpi", good, 401, "UNAUTHORIZED"),
        ("Bearer a.b.c", good, 401, "UNAUTHORIZED"),
        (&ghost, good, 401, "UNAUTHORIZED"),
    ] {
        let (got, reply) = lab.claim(token, body).await;
        assert_eq!((got, &reply["error"]), (status, &json!(word)), "{token:.20} {body}: {reply}");
    }
    let (status, reply) = lab.ask(get("/nowhere")).await;
    assert_eq!((status, &reply["error"]), (404, &json!("NOT_FOUND")));
    let put = Request::put("/api/v1/user-coupon").body(Body::empty()).unwrap();
    let (status, reply) = lab.ask(put).await;
    assert_eq!((status, &reply["error"]), (405, &json!("METHOD_NOT_ALLOWED")));
    let (status, reply) = lab.ask(get("/api/v1/coupons/one")).await;
    assert_eq!((status, &reply["error"]), (400, &json!("BAD_REQUEST")));
    let after = lab.store.snapshot(COUPON).await.unwrap();
    assert_eq!((after.remaining, after.issued), (5, 0));
}

/// Goal: a client that hangs up leaves no lease behind. Method: drop the request half-way, then
/// claim again: with the lease left standing this would take its 10 s.
#[tokio::test]
async fn a_hang_up_leaves_no_lease_and_a_known_outcome() {
    let lab = laboratory(5).await;
    let request = claim_request(&lab.token, r#"{"couponId":1}"#);
    let dropped = tower::ServiceExt::oneshot(lab.app.router(), request);
    assert!(futures_util::future::poll_immediate(Box::pin(dropped)).await.is_none());
    let began = std::time::Instant::now();
    assert_eq!(lab.claim(&lab.token, r#"{"couponId":1}"#).await.0, 200);
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "waited for a dead lease");
    let after = lab.store.snapshot(COUPON).await.unwrap();
    assert_eq!(after.issued, 5 - after.remaining, "nothing half-done");
    assert_eq!(lab.app.arrivals(), u64::try_from(after.issued).unwrap());
}

#[tokio::test]
async fn metrics_count_every_claim_request() {
    let lab = laboratory(1).await;
    for body in [r#"{"couponId":1}"#, r#"{"couponId":1}"#, "{"] {
        lab.claim(&lab.token, body).await;
    }
    lab.claim("", "{}").await;
    let response = tower::ServiceExt::oneshot(lab.app.router(), get("/metrics")).await.unwrap();
    let bytes = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    for line in [
        "cplock_claim_requests_total 4",
        "cplock_claim_replies_total{answer=\"ACKNOWLEDGED\"} 1",
        "cplock_claim_replies_total{answer=\"SOLD_OUT\"} 1",
        "cplock_claim_replies_total{answer=\"BAD_REQUEST\"} 1",
        "cplock_claim_replies_total{answer=\"UNAUTHORIZED\"} 1",
        "cplock_claims_inside 0",
        "# TYPE cplock_grants_total counter",
    ] {
        assert!(text.contains(line), "{line} is missing in:\n{text}");
    }
    assert_eq!(lab.user.0, 1);
}
