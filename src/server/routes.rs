//! Handlers: read the request, call, reply. What they reply with is decided in `reply.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Request, Response, header};
use axum::routing::{get, post};
use http_body_util::{BodyExt as _, Limited};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Limits;
use super::auth::{self, TokenError, Tokens};
use super::entrance::{Answer, Entrance, NoAnswer};
use super::flawed;
use super::metrics::Metrics;
use super::reply::{self, Problem, Refused};
use crate::coupon::flaw::Planted;
use crate::coupon::issue::Desk;
use crate::coupon::{Claim, CouponId, StoreError, UserId};

/// What the handlers share.
pub struct Shared {
    /// The desk; here only its store is asked, for users and reads. Claims go by the entrance.
    pub desk: Arc<Desk>,
    /// The door for claims.
    pub entrance: Entrance,
    /// Makes and reads tokens.
    pub tokens: Tokens,
    /// Counters.
    pub metrics: Metrics,
    /// Limits on what a request may cost.
    pub limits: Limits,
    /// Names for claims whose client sent none.
    pub unnamed: AtomicU64,
    /// Distinguishes the unnamed claims of this process from those of another.
    pub process: String,
}

type Reply = Result<Response<Body>, Refused>;

/// The whole HTTP API over `shared`.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/api/v1/auth/signup", post(sign_up))
        .route("/api/v1/auth/signin", post(sign_in))
        .route("/api/v1/user-coupon", post(claim).get(own_coupons))
        .route("/api/v1/coupons/{id}", get(coupon))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .fallback(async || refuse(Problem::NotFound, "nothing lives at this path"))
        .method_not_allowed_fallback(async || {
            refuse(Problem::MethodNotAllowed, "this path has no such method")
        })
        .with_state(shared)
}

fn refuse(problem: Problem, message: &str) -> Response<Body> {
    reply::refused(&Refused::new(problem, message))
}

fn finish(reply: Reply) -> Response<Body> {
    reply.unwrap_or_else(|refused| reply::refused(&refused))
}

/// Body of a sign-up.
#[derive(Deserialize)]
struct SignUp {
    email: String,
    password: String,
    nickname: String,
    #[serde(default)]
    address: String,
}

/// Body of a sign-in.
#[derive(Deserialize)]
struct SignIn {
    email: String,
    password: String,
}

/// Body of a claim.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimBody {
    coupon_id: i64,
}

/// What an acknowledged claim tells.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptData {
    user_coupon_id: i64,
    coupon_id: i64,
    quantity: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CouponData {
    coupon_id: i64,
    name: String,
    quantity: i64,
    initial_quantity: i64,
    #[serde(flatten)]
    rows: Option<RowCounts>,
}

/// With `?rows=true`: a load generator's baseline, read in one transaction with the quantity.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RowCounts {
    issued: i64,
    last_user_coupon_id: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OwnCoupon {
    user_coupon_id: i64,
    coupon_id: i64,
    request_id: String,
}

async fn sign_up(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    finish(try_sign_up(&shared, request).await)
}

async fn try_sign_up(shared: &Shared, request: Request<Body>) -> Reply {
    let form: SignUp = body(shared, request.into_body()).await?;
    let wrong = |message: &str| Err(Refused::new(Problem::BadRequest, message));
    if !plausible_email(&form.email) {
        return wrong("`email` must look like name@host and have at most 190 characters");
    }
    if !(8..=128).contains(&form.password.chars().count()) {
        return wrong("`password` must have 8 to 128 characters");
    }
    if form.nickname.is_empty() || form.nickname.chars().count() > 100 {
        return wrong("`nickname` must have 1 to 100 characters");
    }
    if form.address.chars().count() > 255 {
        return wrong("`address` must have at most 255 characters");
    }
    let hash = auth::hash_password(&form.password)
        .map_err(|_| Refused::new(Problem::StoreFailed, "no random bytes for the salt"))?;
    match shared.desk.store().create_user(&form.email, &hash, &form.nickname, &form.address).await {
        Ok(user) => Ok(reply::ok("signed up", serde_json::json!({ "userId": user.0 }))),
        Err(StoreError::Duplicate(_)) => {
            Err(Refused::new(Problem::KnownEmail, "somebody has signed up with this e-mail"))
        }
        Err(error) => Err(Refused::from(&error)),
    }
}

fn plausible_email(email: &str) -> bool {
    let parts = email.split_once('@');
    email.chars().count() <= 190
        && parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
        && !email.chars().any(|c| c.is_whitespace() || c.is_control())
}

async fn sign_in(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    finish(try_sign_in(&shared, request).await)
}

async fn try_sign_in(shared: &Shared, request: Request<Body>) -> Reply {
    let form: SignIn = body(shared, request.into_body()).await?;
    let found =
        shared.desk.store().user_by_email(&form.email).await.map_err(|e| Refused::from(&e))?;
    let Some(user) = found else {
        return Err(Refused::new(Problem::UnknownUser, "nobody has signed up with this e-mail"));
    };
    if !auth::password_matches(&form.password, &user.password_hash) {
        return Err(Refused::new(Problem::WrongPassword, "the password does not match"));
    }
    let token = format!("Bearer {}", shared.tokens.mint(user.id));
    Ok(reply::ok("signed in", serde_json::json!({ "accessToken": token, "userId": user.id.0 })))
}

async fn claim(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    shared.metrics.request();
    match try_claim(&shared, request).await {
        Ok((answer, claim)) => reply_to_claim(&shared, answer, &claim),
        Err(refused) => {
            shared.metrics.refused(refused.problem);
            reply::refused(&refused)
        }
    }
}

async fn try_claim(shared: &Shared, request: Request<Body>) -> Result<(Answer, Claimed), Refused> {
    let user = user_of(shared, request.headers())?;
    let request_id = request_id(shared, request.headers())?;
    let form: ClaimBody = body(shared, request.into_body()).await?;
    let claim = Claim { user, coupon: CouponId(form.coupon_id), request: request_id };
    let claimed = Claimed {
        coupon: claim.coupon,
        flawed: shared.desk.planted().is_some().then(|| claim.clone()),
    };
    match shared.entrance.enter(claim).await {
        Ok(answer) => Ok((answer, claimed)),
        Err(NoAnswer::Closed) => {
            Err(Refused::new(Problem::ShuttingDown, "the server is draining; nothing was written"))
        }
        Err(NoAnswer::Lost) => {
            Err(Refused::new(Problem::CommitUnknown, "the issuance ended without an answer"))
        }
    }
}

/// What is kept of a claim while it is inside.
struct Claimed {
    coupon: CouponId,
    /// The whole claim, where a planted flaw may want to see it.
    flawed: Option<Claim>,
}

fn reply_to_claim(shared: &Shared, answer: Answer, claimed: &Claimed) -> Response<Body> {
    let (told, grant, hold) = match answer.result {
        Ok(receipt) => (Ok(receipt.written), Some(receipt.grant), receipt.hold),
        Err(denied) => (Err(Refused::from(&denied.error)), denied.grant, denied.hold),
    };
    let told = match (shared.desk.planted(), &claimed.flawed) {
        (Some(planted), Some(claim)) => flawed::retold(planted, claim, told),
        _ => told,
    };
    let mut response = match told {
        Ok(written) => {
            shared.metrics.acknowledged();
            let data = ReceiptData {
                user_coupon_id: written.row,
                coupon_id: claimed.coupon.0,
                quantity: written.quantity,
            };
            reply::ok("issued", data)
        }
        Err(refused) => {
            shared.metrics.refused(refused.problem);
            reply::refused(&refused)
        }
    };
    if let Some(grant) = grant {
        shared.metrics.granted(grant.waited, hold);
    }
    reply::add_facts(&mut response, answer.arrival, grant, hold);
    response
}

async fn own_coupons(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response<Body> {
    finish(try_own_coupons(&shared, &headers).await)
}

async fn try_own_coupons(shared: &Shared, headers: &HeaderMap) -> Reply {
    let user = user_of(shared, headers)?;
    let mut rows = shared.desk.store().user_rows(user, 0).await.map_err(|e| Refused::from(&e))?;
    if let Some(planted) = shared.desk.planted() {
        planted.lagging(&mut rows);
    }
    let own: Vec<OwnCoupon> = rows
        .into_iter()
        .map(|row| OwnCoupon {
            user_coupon_id: row.row,
            coupon_id: row.coupon.0,
            request_id: row.request,
        })
        .collect();
    Ok(reply::ok("own coupons", own))
}

async fn coupon(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    // Counting rows costs more than a poll should, so only who asks for it pays for it.
    let with_rows = query.as_deref() == Some("rows=true");
    finish(try_coupon(&shared, &id, with_rows).await)
}

async fn try_coupon(shared: &Shared, id: &str, with_rows: bool) -> Reply {
    let id = id.parse().map(CouponId).map_err(|_| {
        Refused::new(Problem::BadRequest, "the coupon id in the path must be a whole number")
    })?;
    let store = shared.desk.store();
    let mut coupon = store.coupon(id).await.map_err(|e| Refused::from(&e))?;
    if let Some(planted) = shared.desk.planted() {
        planted.cached(&mut coupon);
    }
    let mut data = CouponData {
        coupon_id: id.0,
        name: coupon.name,
        quantity: coupon.quantity,
        initial_quantity: coupon.initial,
        rows: None,
    };
    if with_rows {
        let now = store.snapshot(id).await.map_err(|e| Refused::from(&e))?;
        data.quantity = now.remaining;
        data.rows = Some(RowCounts { issued: now.issued, last_user_coupon_id: now.last_row });
    }
    Ok(reply::ok("coupon", data))
}

async fn health() -> Response<Body> {
    reply::ok("alive", serde_json::json!({}))
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let flaw = shared.desk.planted().map(Planted::manifestations);
    reply::text(shared.metrics.text(shared.entrance.inside(), flaw))
}

/// The user whose valid token the request carries.
fn user_of(shared: &Shared, headers: &HeaderMap) -> Result<UserId, Refused> {
    let missing =
        || Refused::new(Problem::Unauthorized, "an Authorization: Bearer header is needed");
    let value = headers.get(header::AUTHORIZATION).ok_or_else(missing)?;
    let token =
        value.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).ok_or_else(missing)?;
    shared.tokens.read(token.trim()).map_err(|error| match error {
        TokenError::Invalid => Refused::new(Problem::Unauthorized, error.to_string()),
        TokenError::Expired => Refused::new(Problem::TokenExpired, error.to_string()),
    })
}

/// The client's name for this claim, or one of ours.
fn request_id(shared: &Shared, headers: &HeaderMap) -> Result<String, Refused> {
    let Some(value) = headers.get("x-request-id") else {
        let number = shared.unnamed.fetch_add(1, Ordering::Relaxed);
        return Ok(format!("srv-{}-{number}", shared.process));
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    value
        .to_str()
        .ok()
        .filter(|text| (1..=64).contains(&text.len()) && text.chars().all(plain))
        .map(str::to_owned)
        .ok_or_else(|| {
            let message = "X-Request-Id must have 1 to 64 letters, digits or `-_.:`";
            Refused::new(Problem::BadRequest, message)
        })
}

/// Reads a JSON body of bounded size in bounded time.
async fn body<T: DeserializeOwned>(shared: &Shared, body: Body) -> Result<T, Refused> {
    let limited = Limited::new(body, shared.limits.body_bytes_max);
    let read = tokio::time::timeout(shared.limits.body_time_max, limited.collect());
    let bytes = match read.await {
        Err(_) => {
            return Err(Refused::new(Problem::BodyTimeout, "the body did not arrive in time"));
        }
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(Refused::new(Problem::BodyTooLarge, "the body is too large"));
        }
        Ok(Err(_)) => return Err(Refused::new(Problem::BadRequest, "the body ended early")),
        Ok(Ok(collected)) => collected.to_bytes(),
    };
    serde_json::from_slice(&bytes).map_err(|error| {
        Refused::new(
            Problem::BadRequest,
            format!("the body is not the JSON expected here: {error}"),
        )
    })
}
