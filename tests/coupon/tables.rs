//! Opening a database and preparing its tables, with every way in which that is refused.

use cplock::coupon::StoreError;
use cplock::coupon::store::Store;
use futures_util::future::join_all;

use super::{COUPON, Engine, Lab, lab, on_every_engine};

on_every_engine!(
    preparing_again_keeps_what_is_there,
    several_may_prepare_at_once,
    another_version_is_refused,
    another_programs_tables_are_refused,
    an_unfinished_preparation_is_completed,
);

async fn preparing_again_keeps_what_is_there(lab: &Lab) {
    let (store, _) = lab.shop(1, 7).await;
    store.prepare().await.unwrap();
    lab.open(1).await.prepare().await.unwrap();
    assert_eq!(store.snapshot(COUPON).await.unwrap().remaining, 7);
}

async fn several_may_prepare_at_once(lab: &Lab) {
    // As separate processes do it: each opens, possibly creating the file, and prepares.
    let results = join_all((0..8).map(async |_| {
        let store = Store::open(&lab.url, 1).await?;
        store.prepare().await
    }))
    .await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    lab.open(1).await.seed(COUPON, "mine", 1, false).await.unwrap();
}

fn unusable(result: Result<(), StoreError>) -> String {
    match result {
        Err(StoreError::Unusable(text)) => {
            assert!(!text.contains('\n'), "one line: {text}");
            text
        }
        other => panic!("{other:?}"),
    }
}

async fn another_version_is_refused(lab: &Lab) {
    let (store, _) = lab.shop(1, 7).await;
    lab.run("UPDATE cplock_schema SET version = 999").await;
    let text = unusable(store.prepare().await);
    assert!(text.contains("version 999") && text.contains("--db"), "{text}");
}

async fn another_programs_tables_are_refused(lab: &Lab) {
    lab.run("CREATE TABLE coupons (id INT)").await;
    let store = lab.open(1).await;
    let text = unusable(store.prepare().await);
    assert!(text.contains("`coupons` of another program"), "{text}");
    lab.run("DROP TABLE coupons").await;
    store.prepare().await.unwrap();
}

async fn an_unfinished_preparation_is_completed(lab: &Lab) {
    // What a process leaves that dies on MySQL, where each CREATE commits by itself.
    lab.run("CREATE TABLE cplock_schema (version BIGINT NOT NULL PRIMARY KEY)").await;
    let (store, _) = lab.shop(1, 7).await;
    assert_eq!(store.snapshot(COUPON).await.unwrap().remaining, 7);
}

async fn open_error(url: &str) -> String {
    unusable(Store::open(url, 1).await.map(|_| ()))
}

#[tokio::test]
async fn addresses_that_cannot_work_get_one_line_and_a_remedy() {
    assert!(open_error("oracle://u:secret@h/d").await.contains("`oracle://`; use sqlite://FILE"));
    assert!(open_error("cplock.db").await.contains("no scheme; use sqlite://FILE"));
    assert!(open_error("sqlite://").await.contains("needs a file"));
    assert!(open_error("sqlite:///no/such/folder/x.db").await.contains("check the path"));
    assert!(open_error("mysql://root@127.0.0.1:1").await.contains("names no database"));
    let dead = open_error("mysql://root:secret@127.0.0.1:1/shop").await;
    assert!(dead.contains("`mysql://root@127.0.0.1:1/shop`"), "{dead}");
    let dead = open_error("postgres://me:secret@127.0.0.1:1/shop?password=secret").await;
    assert!(dead.contains("`postgres://me@127.0.0.1:1/shop`"), "{dead}");
    assert!(!dead.contains("secret"), "{dead}");
    let text = open_error("mysql://u:sec:ret@@h:port/d").await;
    assert!(!text.contains("ret"), "{text}");
    let no_pool = Store::open("sqlite://x.db", 0).await.map(|_| ());
    assert!(unusable(no_pool).contains("use 1 or more"));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "not a database, but long enough to be looked at as one ".repeat(20))
        .unwrap();
    let text = open_error(&format!("sqlite://{}", path.display())).await;
    assert!(text.contains("not a database"), "{text}");
}

#[tokio::test]
async fn a_missing_database_and_a_wrong_password_name_the_address_but_no_secret() {
    lab(Engine::MySql, async |lab: &Lab| {
        let text = open_error(&format!("{}_nope", lab.url)).await;
        assert!(text.contains("Unknown database") && text.contains("CREATE DATABASE"), "{text}");
        let text = open_error(&lab.url.replace("root@", "root:hunter2@")).await;
        assert!(text.contains("Access denied") && !text.contains("hunter2"), "{text}");
    })
    .await;
    lab(Engine::Postgres, async |lab: &Lab| {
        let text = open_error(&format!("{}_nope", lab.url)).await;
        assert!(text.contains("does not exist") && text.contains("CREATE DATABASE"), "{text}");
    })
    .await;
}
