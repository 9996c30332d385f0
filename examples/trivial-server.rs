//! The other end of `scripts/bench load`: grants every claim at once and keeps nothing, so that
//! what is measured is the client. Prints its address and serves until it is ended.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;

static ROWS: AtomicU64 = AtomicU64::new(0);

async fn claim() -> impl IntoResponse {
    let row = ROWS.fetch_add(1, Ordering::Relaxed) + 1;
    let data = format!(r#"{{"userCouponId":{row},"couponId":1,"quantity":100}}"#);
    let body = format!(r#"{{"code":200,"status":"OK","message":"issued","data":{data}}}"#);
    let row = row.to_string();
    let timing = "wait;dur=0.001, hold;dur=0.002".to_owned();
    let json = "application/json".to_owned();
    let arrival = ("x-cplock-arrival", row.clone());
    ([(CONTENT_TYPE.as_str(), json), ("server-timing", timing), arrival], body)
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the script reads the address")]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/api/v1/user-coupon", post(claim))).await
}
