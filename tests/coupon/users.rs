//! Users, one by one and by the thousand; alike on every engine.

use cplock::coupon::{StoreError, WriteMode};

use super::{Lab, claim, on_every_engine};

on_every_engine!(
    an_email_is_taken_once,
    users_by_the_thousand_come_in_order,
    adding_the_same_users_again_finds_them,
    a_text_that_is_too_long_is_refused,
);

async fn an_email_is_taken_once(lab: &Lab) {
    let (store, user) = lab.shop(1, 1).await;
    let again = store.create_user("a@cplock.test", "other", "other", "other").await;
    assert!(matches!(again, Err(StoreError::Duplicate(_))), "{again:?}");
    let found = store.user_by_email("a@cplock.test").await.unwrap().unwrap();
    assert_eq!((found.id, found.password_hash.as_str()), (user, "hash"));
    assert_eq!((found.nickname.as_str(), found.address.as_str()), ("a", "here"));
    assert!(!format!("{found:?}").contains("hash"), "no secrets in logs");
    assert!(store.user_by_email("nobody@cplock.test").await.unwrap().is_none());
    let upper = store.create_user("A@cplock.test", "hash", "", "").await.unwrap();
    assert_ne!(upper, user, "e-mails differ by case");
}

async fn users_by_the_thousand_come_in_order(lab: &Lab) {
    let (store, _) = lab.shop(1, 1).await;
    let ids = store.add_users(2_345, "vu", "hash").await.unwrap();
    assert_eq!(ids.len(), 2_345);
    for number in [1, 9, 10, 1_000, 1_001, 2_345] {
        let email = format!("vu{number}@cplock.test");
        let found = store.user_by_email(&email).await.unwrap().unwrap();
        assert_eq!(found.id, ids[number - 1], "{email}");
        assert_eq!(found.password_hash, "hash");
    }
    assert!(store.user_by_email("vu2346@cplock.test").await.unwrap().is_none());
    assert!(store.add_users(0, "none", "hash").await.unwrap().is_empty());
    store.issue_one(&claim(ids[2_000], "r"), WriteMode::ReadModifyWrite.into()).await.unwrap();
}

async fn adding_the_same_users_again_finds_them(lab: &Lab) {
    let (store, _) = lab.shop(1, 1).await;
    let known = store.create_user("vu2@cplock.test", "kept", "", "").await.unwrap();
    let first = store.add_users(3, "vu", "new").await.unwrap();
    assert_eq!(first[1], known);
    let more = store.add_users(5, "vu", "newer").await.unwrap();
    assert_eq!(more[..3], first);
    let hash_of =
        async |email: &str| store.user_by_email(email).await.unwrap().unwrap().password_hash;
    assert_eq!(hash_of("vu2@cplock.test").await, "kept");
    assert_eq!(hash_of("vu3@cplock.test").await, "new");
    assert_eq!(hash_of("vu5@cplock.test").await, "newer");
}

async fn a_text_that_is_too_long_is_refused(lab: &Lab) {
    let (store, user) = lab.shop(1, 1).await;
    let long = "x".repeat(65);
    let refused = store.issue_one(&claim(user, &long), WriteMode::ReadModifyWrite.into()).await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
    let refused = store.create_user(&"x".repeat(256), "hash", "", "").await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
    store.issue_one(&claim(user, &long[1..]), WriteMode::ReadModifyWrite.into()).await.unwrap();
}
