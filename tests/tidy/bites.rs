//! Proof that each rule finds what it forbids, and leaves alone what it allows.

use super::rules::RULES;
use super::source::Source;

/// Violations of the rule `name` in `text` as the file `path`.
fn violations(name: &str, path: &str, text: &str) -> Vec<String> {
    let (_, rule) = RULES.iter().find(|(rule, _)| *rule == name).expect("a rule of this name");
    rule(&Source::parse(path, text.to_owned()).expect("the snippet parses"))
}

/// Asserts that the rule `name` finds exactly `count` violations.
#[track_caller]
fn assert_bites(name: &str, path: &str, text: &str, count: usize) {
    let found = violations(name, path, text);
    assert_eq!(found.len(), count, "{name} on {path}: {found:?}\n{text}");
}

/// Goal: no rule is without a test here. Each name below is looked up in `RULES`.
#[test]
fn every_rule_has_a_snippet_that_it_bites() {
    let long_function = format!("//! x\nfn f() {{\n{}}}\n", "    g();\n".repeat(70));
    let long_file = format!("//! x\n{}", "// y\n".repeat(500));
    let long_line = format!("//! x\n// {}\n", "y".repeat(98));
    let marker = format!("//! x\n// {}{}: later\n", "TO", "DO");
    let bad: &[(&str, &str, &str)] = &[
        ("begins with //!", "src/load/mod.rs", "use std::fmt;\n"),
        ("sizes", "src/load/mod.rs", &long_file),
        ("sizes", "tests/load/mod.rs", &long_line),
        ("short functions", "src/load/mod.rs", &long_function),
        ("documented", "src/load/mod.rs", "pub fn f() {}"),
        ("room edges", "src/load/mod.rs", "use crate::coupon::Claim;"),
        ("crate homes", "src/load/mod.rs", "use sqlx::Row;"),
        ("leftovers", "src/load/mod.rs", &marker),
        ("status codes", "src/server/routes.rs", "fn f() -> u16 { StatusCode::OK.as_u16() }"),
        ("environment", "src/load/mod.rs", "fn f() { std::env::var(\"A\"); }"),
        ("pure verify", "src/verify/mod.rs", "fn f() { std::fs::read(\"a\"); }"),
    ];
    for (name, path, text) in bad {
        assert_bites(name, path, text, 1);
    }
    for (rule, _) in RULES {
        assert!(bad.iter().any(|(name, ..)| name == rule), "no bad snippet for `{rule}`");
    }
}

/// Goal: what stands at the limit passes, and drawings in comments are not wrapped.
#[test]
fn sizes_at_the_limit_pass() {
    let function = format!("//! x\nfn f() {{\n{}}}\n", "    g();\n".repeat(68));
    assert_bites("short functions", "src/a/b.rs", &function, 0);
    assert_bites("sizes", "src/a/b.rs", &format!("//! x\n{}", "// y\n".repeat(499)), 0);
    assert_bites("sizes", "src/a/b.rs", &format!("//! x\n// {}\n", "가".repeat(97)), 0);
    assert_bites("sizes", "src/a/b.rs", &format!("//! | {} |\n", "y".repeat(120)), 0);
}

/// Goal: methods, nested functions and trait defaults are measured too.
#[test]
fn long_methods_and_nested_functions_are_found() {
    let body = "    g();\n".repeat(70);
    for text in [
        format!("struct S;\nimpl S {{\nfn f() {{\n{body}}}\n}}"),
        format!("trait T {{\nfn f() {{\n{body}}}\n}}"),
        format!("mod a {{\nfn f() {{\n{body}}}\n}}"),
    ] {
        assert_bites("short functions", "src/a/b.rs", &text, 1);
    }
}

/// Goal: every kind of public item needs a doc comment, private ones do not.
#[test]
fn each_kind_of_public_item_is_asked_for_docs() {
    for text in [
        "pub struct S;",
        "/// S.\npub struct S { pub field: u8, private: u8 }",
        "/// E.\npub enum E { Bare }",
        "pub trait T {}",
        "/// T.\npub trait T { fn f(); }",
        "pub const C: u8 = 1;",
        "pub type A = u8;",
        "struct S; impl S { pub fn f() {} }",
        "struct S; impl S { pub const C: u8 = 1; }",
        "/// Fails.\npub fn f() -> Result<(), ()> { Ok(()) }",
        "/// T.\npub trait T { /// F.\n fn f() -> std::io::Result<()>; }",
    ] {
        assert_bites("documented", "src/a/b.rs", text, 1);
        assert_bites("documented", "tests/a/b.rs", text, 0);
    }
    for text in [
        "pub(crate) struct S { pub field: u8 }",
        "/// Fails.\n///\n/// # Errors\n/// Always.\npub fn f() -> Result<(), ()> { Err(()) }",
        "pub mod a; pub use a::B;",
    ] {
        assert_bites("documented", "src/a/b.rs", text, 0);
    }
}

/// Goal: an edge is seen however it is written, and allowed ones pass.
#[test]
fn room_edges_are_seen_in_every_spelling() {
    for text in [
        "use crate::coupon;",
        "use crate::{ledger::Attempt, coupon::{Claim, UserId}};",
        "fn f() -> crate::server::Reply { g() }",
        "fn f() -> String { format!(\"{}\", crate::lock::NAME) }",
        "use super::super::coupon::Claim;",
        "use crate::cli::Exit;",
    ] {
        assert_bites("room edges", "src/load/vu.rs", text, 1);
        assert_bites("room edges", "src/cli/run.rs", text, 0);
    }
    for text in [
        "use crate::scenario::{LoadPlan, Stage}; use crate::ledger::Attempt;",
        "use crate::load::vu; // crate::coupon in a comment\n",
        "fn f() { crate::ledger::coupon(); }",
    ] {
        assert_bites("room edges", "src/load/vu.rs", text, 0);
    }
    assert_bites("room edges", "src/attic/mod.rs", "fn f() {}", 1);
}

/// Goal: a crate is found outside its home, and a module of the same name is not mistaken for it.
#[test]
fn crates_are_told_from_modules_of_the_same_name() {
    for text in ["use goose::prelude::*;", "fn f() { ::goose::run(); }", "use goose;"] {
        assert_bites("crate homes", "src/load/mod.rs", text, 1);
        assert_bites("crate homes", "src/load/goose.rs", text, 0);
        assert_bites("crate homes", "src/load/goose/stop.rs", text, 0);
    }
    for text in [
        "mod goose;\nfn f() { goose::drive(); }",
        "fn f() { super::goose::drive(); }",
        "use crate::load::goose::drive;",
        "fn f(goose: u8) -> u8 { goose + 1 }",
    ] {
        assert_bites("crate homes", "src/load/mod.rs", text, 0);
    }
    assert_bites("crate homes", "tests/load/mod.rs", "use sqlx::Row;", 0);
}

/// Goal: printing, reading the environment and exiting are found, and allowed in their homes.
#[test]
fn side_effects_are_found_outside_their_homes() {
    for text in ["println!(\"x\")", "eprint!(\"x\")", "dbg!(1)"] {
        let text = format!("fn f() {{ {text}; }}");
        assert_bites("leftovers", "src/cli/run.rs", &text, 1);
        assert_bites("leftovers", "src/cli/printer.rs", &text, 0);
        assert_bites("leftovers", "tests/cli/mod.rs", &text, 0);
    }
    for text in ["use std::{env, fmt};", "fn f() { std::process::exit(1) }"] {
        assert_bites("environment", "src/report/mod.rs", text, 1);
        assert_bites("environment", "src/cli/mod.rs", text, 0);
        assert_bites("environment", "src/main.rs", text, 0);
    }
    assert_bites("environment", "src/report/mod.rs", "const A: &str = env!(\"B\");", 0);
    assert_bites("status codes", "src/server/reply.rs", "fn f() { StatusCode::OK; }", 0);
}

/// Goal: `verify` has no async, no clock and no I/O.
#[test]
fn verify_is_kept_pure() {
    for text in [
        "async fn f() {}",
        "fn f() { std::time::Instant::now(); }",
        "use std::net::TcpStream;",
        "use tokio::sync::Mutex;",
    ] {
        assert_bites("pure verify", "src/verify/checks.rs", text, 1);
        assert_bites("pure verify", "src/load/mod.rs", text, 0);
    }
}
