//! What one issue, one seed and one read do to the books; alike on every engine.

use cplock::coupon::store::Store;
use cplock::coupon::{CouponId, Snapshot, StoreError, UserId, WriteMode};

use super::{COUPON, Lab, claim, on_every_engine};

const RMW: WriteMode = WriteMode::ReadModifyWrite;

on_every_engine!(
    an_issue_takes_one_unit_and_leaves_one_row,
    the_last_unit_is_issued_and_not_one_more,
    a_stock_of_none_is_sold_out_from_the_start,
    unknown_coupons_and_users_get_nothing,
    a_request_is_answered_once,
    one_per_user_is_kept_where_it_is_asked_for,
    seeding_starts_one_coupon_afresh_and_leaves_the_others,
    rows_come_in_pages_by_rising_id,
    snapshots_balance_while_others_write,
    sql_in_a_text_is_a_text,
    missing_tables_are_said_so,
    the_facts_name_engine_version_and_flush,
);

async fn issue(store: &Store, user: UserId, request: &str) -> Result<i64, StoreError> {
    store.issue_one(&claim(user, request), RMW.into()).await.map(|written| written.quantity)
}

async fn an_issue_takes_one_unit_and_leaves_one_row(lab: &Lab) {
    let (store, user) = lab.shop(2, 5).await;
    let written = store.issue_one(&claim(user, "r1"), RMW.into()).await.unwrap();
    assert_eq!(written.quantity, 5);
    let books = store.snapshot(COUPON).await.unwrap();
    let expected =
        Snapshot { coupon: COUPON, initial: 5, remaining: 4, issued: 1, last_row: written.row };
    assert_eq!(books, expected);
    let rows = store.rows(COUPON, 0).await.unwrap();
    assert_eq!(rows, store.user_rows(user, 0).await.unwrap());
    let [row] = rows.as_slice() else { panic!("one row, not {rows:?}") };
    assert_eq!((row.row, row.user, row.coupon), (written.row, user, COUPON));
    assert_eq!(row.request, "r1");
    let year_2026 = 1_767_225_600_000_000..1_798_761_600_000_000 * 2;
    assert!(year_2026.contains(&row.created_us), "microseconds since 1970: {}", row.created_us);
    let coupon = store.coupon(COUPON).await.unwrap();
    assert_eq!((coupon.name.as_str(), coupon.quantity, coupon.initial), ("ten percent off", 4, 5));
    assert!(!coupon.one_per_user);
    store.close().await;
    assert!(matches!(store.snapshot(COUPON).await, Err(StoreError::Failed(_))));
}

async fn the_last_unit_is_issued_and_not_one_more(lab: &Lab) {
    let (store, user) = lab.shop(1, 2).await;
    assert_eq!(issue(&store, user, "r1").await.unwrap(), 2);
    assert_eq!(issue(&store, user, "r2").await.unwrap(), 1);
    assert!(matches!(issue(&store, user, "r3").await, Err(StoreError::SoldOut(COUPON))));
    let books = store.snapshot(COUPON).await.unwrap();
    assert_eq!((books.remaining, books.issued), (0, 2));
}

async fn a_stock_of_none_is_sold_out_from_the_start(lab: &Lab) {
    let (store, user) = lab.shop(1, 0).await;
    assert!(matches!(issue(&store, user, "r1").await, Err(StoreError::SoldOut(COUPON))));
    let books = store.snapshot(COUPON).await.unwrap();
    assert_eq!((books.remaining, books.issued, books.last_row), (0, 0, 0));
}

async fn unknown_coupons_and_users_get_nothing(lab: &Lab) {
    let (store, user) = lab.shop(1, 3).await;
    let nothing = CouponId(77);
    let mut wrong = claim(user, "r1");
    wrong.coupon = nothing;
    let is_unknown = |error| matches!(error, Some(StoreError::UnknownCoupon(CouponId(77))));
    assert!(is_unknown(store.issue_one(&wrong, RMW.into()).await.err()));
    assert!(is_unknown(store.coupon(nothing).await.err()));
    assert!(is_unknown(store.snapshot(nothing).await.err()));
    assert!(store.rows(nothing, 0).await.unwrap().is_empty());
    let stranger = UserId(user.0 + 1);
    let refused = issue(&store, stranger, "r2").await;
    assert!(matches!(refused, Err(StoreError::UnknownUser(user)) if user == stranger));
    assert_eq!(store.snapshot(COUPON).await.unwrap().remaining, 3);
    // The one connection is fit for the next claim.
    assert_eq!(issue(&store, user, "r3").await.unwrap(), 3);
}

async fn a_request_is_answered_once(lab: &Lab) {
    let (store, user) = lab.shop(1, 3).await;
    issue(&store, user, "r1").await.unwrap();
    assert!(matches!(issue(&store, user, "r1").await, Err(StoreError::Duplicate(_))));
    let books = store.snapshot(COUPON).await.unwrap();
    assert_eq!((books.remaining, books.issued), (2, 1));
    assert_eq!(issue(&store, user, "R1").await.unwrap(), 2, "names differ by case");
}

async fn one_per_user_is_kept_where_it_is_asked_for(lab: &Lab) {
    let (store, user) = lab.shop(1, 3).await;
    issue(&store, user, "r1").await.unwrap();
    issue(&store, user, "r2").await.unwrap();
    store.seed(COUPON, "one each", 3, true).await.unwrap();
    assert!(store.coupon(COUPON).await.unwrap().one_per_user);
    issue(&store, user, "r1").await.unwrap();
    assert!(matches!(issue(&store, user, "r2").await, Err(StoreError::Duplicate(_))));
    let other = store.create_user("b@cplock.test", "hash", "b", "there").await.unwrap();
    issue(&store, other, "r3").await.unwrap();
    let books = store.snapshot(COUPON).await.unwrap();
    assert_eq!((books.remaining, books.issued), (1, 2));
}

async fn seeding_starts_one_coupon_afresh_and_leaves_the_others(lab: &Lab) {
    let (store, user) = lab.shop(1, 3).await;
    let other = CouponId(2);
    store.seed(other, "other", 9, false).await.unwrap();
    let mut of_other = claim(user, "r1");
    of_other.coupon = other;
    let kept = store.issue_one(&of_other, RMW.into()).await.unwrap();
    let before = store.issue_one(&claim(user, "r2"), RMW.into()).await.unwrap();
    store.seed(COUPON, "again", 4, false).await.unwrap();
    let books = store.snapshot(COUPON).await.unwrap();
    assert_eq!((books.initial, books.remaining, books.issued), (4, 4, 0));
    let books = store.snapshot(other).await.unwrap();
    assert_eq!((books.remaining, books.issued, books.last_row), (8, 1, kept.row));
    let after = store.issue_one(&claim(user, "r2"), RMW.into()).await.unwrap();
    assert!(after.row > before.row, "a row id is never used twice");
}

async fn rows_come_in_pages_by_rising_id(lab: &Lab) {
    let (store, user) = lab.shop(1, 1).await;
    let count = Store::PAGE + 3;
    for chunk in (0..count).collect::<Vec<_>>().chunks(500) {
        let values: Vec<_> =
            chunk.iter().map(|n| format!("({}, 1, 'r{n}', {n})", user.0)).collect();
        lab.run(&format!(
            "INSERT INTO user_coupon (user_id, coupon_id, request_id, created_us) VALUES {}",
            values.join(",")
        ))
        .await;
    }
    let first = store.rows(COUPON, 0).await.unwrap();
    assert_eq!(first.len(), Store::PAGE);
    let second = store.rows(COUPON, first[Store::PAGE - 1].row).await.unwrap();
    assert_eq!(second.len(), 3);
    assert!(store.rows(COUPON, second[2].row).await.unwrap().is_empty());
    let all: Vec<_> = first.iter().chain(&second).collect();
    assert!(all.windows(2).all(|pair| pair[0].row < pair[1].row));
    assert!(all.iter().enumerate().all(|(n, row)| row.request == format!("r{n}")));
    assert_eq!(store.user_rows(user, second[0].row).await.unwrap(), second[1..]);
}

async fn snapshots_balance_while_others_write(lab: &Lab) {
    let (store, user) = lab.shop(2, 60).await;
    let writer = async {
        for n in 0..60 {
            issue(&store, user, &format!("r{n}")).await.unwrap();
        }
    };
    let reader = async {
        let mut seen = 0;
        while seen < 60 {
            let books = store.snapshot(COUPON).await.unwrap();
            assert_eq!(books.initial - books.remaining, books.issued, "{books:?}");
            seen = books.issued;
        }
    };
    tokio::join!(writer, reader);
}

async fn sql_in_a_text_is_a_text(lab: &Lab) {
    let (store, _) = lab.shop(1, 3).await;
    let evil = "'; DROP TABLE user_coupon; -- \" $1 ? \\ %_ é 🎟";
    store.seed(COUPON, evil, 3, false).await.unwrap();
    let user = store.create_user(evil, evil, evil, evil).await.unwrap();
    issue(&store, user, evil).await.unwrap();
    assert_eq!(store.coupon(COUPON).await.unwrap().name, evil);
    assert_eq!(store.rows(COUPON, 0).await.unwrap()[0].request, evil);
    let found = store.user_by_email(evil).await.unwrap().unwrap();
    assert_eq!(found.id, user);
    assert_eq!([found.email, found.password_hash, found.nickname, found.address], [evil; 4]);
    assert_eq!(store.add_users(2, evil, evil).await.unwrap().len(), 2);
}

async fn missing_tables_are_said_so(lab: &Lab) {
    let store = lab.open(1).await;
    let error = store.snapshot(COUPON).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unusable(_)), "{error:?}");
    assert!(error.to_string().contains("cplock serve"), "{error}");
}

async fn the_facts_name_engine_version_and_flush(lab: &Lab) {
    let store = lab.open(3).await;
    let facts = store.server_facts().await.unwrap();
    let value = |name: &str| facts.iter().find(|fact| fact.0 == name).map(|fact| &*fact.1);
    assert_eq!(facts[0].0, "engine");
    assert_eq!(value("pool_size"), Some("3"));
    match lab.engine {
        super::Engine::Sqlite => {
            assert_eq!(value("engine"), Some("sqlite"));
            assert_eq!(value("journal_mode"), Some("wal"));
            assert_eq!(value("synchronous"), Some("1"));
            assert_eq!(value("foreign_keys"), Some("1"));
            assert_eq!(value("busy_timeout_ms"), Some("5000"));
        }
        super::Engine::MySql => {
            assert_eq!(value("engine"), Some("mysql"));
            assert_eq!(value("innodb_flush_log_at_trx_commit"), Some("1"));
            let isolation = value("transaction_isolation").or(value("tx_isolation"));
            assert_eq!(isolation, Some("REPEATABLE-READ"));
            assert!(value("version").is_some());
        }
        super::Engine::Postgres => {
            assert_eq!(value("engine"), Some("postgres"));
            assert_eq!(value("default_transaction_isolation"), Some("read committed"));
            assert_eq!(value("synchronous_commit"), Some("on"));
            assert!(value("server_version").is_some());
        }
    }
}
