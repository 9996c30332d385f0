//! Secrets: passwords of databases, the token secret and tokens are in no file, argument or output.

use std::fs;
use std::path::Path;

use super::{End, Place, scenario, until};
use crate::coupon::{Engine, Lab, lab};
use crate::lock::OwnRedis;

const PASSWORD: &str = "hunter2-of-the-database";
const REDIS_PASSWORD: &str = "hunter3-of-redis";
const TOKEN_SECRET: &str = "hunter4-of-the-tokens";
/// How each of our tokens begins: `{"typ":` and `{"alg":` in base64.
const TOKEN_HEADS: [&str; 2] = ["eyJ0eXAiOi", "eyJhbGciOi"];

/// Every file below `folder`, with its content.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    files
}

#[track_caller]
fn holds_no_secret(what: &str, bytes: &[u8]) {
    for secret in [PASSWORD, REDIS_PASSWORD, TOKEN_SECRET].iter().chain(&TOKEN_HEADS) {
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{secret} in {what}");
    }
}

#[track_caller]
fn nothing_is_told(place: &Place, ends: &[End]) {
    let files = files(&place.path(""));
    assert!(files.len() > 8, "{} files", files.len());
    for (name, bytes) in &files {
        holds_no_secret(name, bytes);
    }
    for end in ends {
        holds_no_secret("stdout", end.out.as_bytes());
        holds_no_secret("stderr", end.err.as_bytes());
    }
}

/// A database user with a password, in addresses like those of a user; dropped at the end.
async fn with_password(lab: &Lab) -> (String, String) {
    let user = format!("cplock_{}", std::process::id());
    lab.run(&format!("CREATE USER {user}@'%' IDENTIFIED BY '{PASSWORD}'")).await;
    lab.run(&format!("GRANT ALL ON *.* TO {user}@'%'")).await;
    let host = lab.url.rsplit_once('@').unwrap().1;
    (format!("mysql://{user}:{PASSWORD}@{host}"), user)
}

/// Goal: a run with every secret there is leaves none of them behind; its server's arguments, which
/// every user of the machine can read, hold none either.
#[tokio::test]
async fn a_run_tells_no_secret() {
    lab(Engine::MySql, async |lab| {
        let place = Place::new();
        let (db, user) = with_password(lab).await;
        let redis = OwnRedis::start(false);
        let set = ["SET", "requirepass", REDIS_PASSWORD];
        redis.ask::<()>(redis::cmd("CONFIG").arg(&set));
        let redis = redis.url().replace("://", &format!("://:{REDIS_PASSWORD}@"));
        place.write("tiny.toml", &scenario(&[("fair", "PASS")]));
        let env =
            [("CPLOCK_DB", &*db), ("CPLOCK_REDIS", &redis), ("CPLOCK_JWT_SECRET", TOKEN_SECRET)];

        let mut command = place.command(&["run", "tiny.toml"]);
        command.envs(env);
        let mut run = super::Process::start(command);
        let mut arguments = Vec::new();
        until("the server of the run", || {
            let servers = super::interrupt::children(run.child.id());
            let read = |id: &u32| fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            arguments = servers.first().map(read).unwrap_or_default();
            String::from_utf8_lossy(&arguments).contains("serve")
        });
        holds_no_secret("the server's arguments", &arguments);
        let run = run.end().code(0);

        let server = place.serve_with(&["--lock", "spin", "--stock", "100"], &env);
        let user_form = r#"{"email":"a@b","password":"password","nickname":"a","address":""}"#;
        server.ask("POST /api/v1/auth/signup HTTP/1.1", user_form);
        let (_, reply) = server.ask("POST /api/v1/auth/signin HTTP/1.1", user_form);
        let reply: serde_json::Value = serde_json::from_str(&reply).unwrap();
        let token = reply["data"]["accessToken"].as_str().unwrap().replace("Bearer ", "");
        assert!(TOKEN_HEADS.iter().any(|head| token.starts_with(head)), "{token}");
        let load = ["load", "--target", &server.url, "--vus", "3", "--iterations", "4"];
        let mut load = place.command(&[&load[..], &["--think", "1ms"]].concat());
        load.env("CPLOCK_TOKEN", &token);
        let load = super::end_of(load).code(0);
        let mut verify = place.command(&["verify"]);
        verify.env("CPLOCK_DB", &db);
        let verify = super::end_of(verify).code(0);
        let check = place.call(&["check", "tiny.toml"]).code(0);
        nothing_is_told(&place, &[run, load, verify, check, server.stop().code(0)]);
        lab.run(&format!("DROP USER {user}@'%'")).await;
    })
    .await;
}

/// Goal: the same for a scenario that holds the password in its text.
#[tokio::test]
async fn a_scenario_with_a_password_is_told_without_it() {
    let place = Place::new();
    let db = format!("[server]\ndb = \"mysql://app:{PASSWORD}@127.0.0.1:1/shop\"\n");
    place.write("x.toml", &scenario(&[("fair", "PASS")]).replace("[server]\n", &db));
    let check = place.call(&["check", "x.toml"]).code(0);
    let run = place.call(&["run", "x.toml"]).code(1);
    for end in [check, run] {
        holds_no_secret("stdout", end.out.as_bytes());
        holds_no_secret("stderr", end.err.as_bytes());
    }
}
