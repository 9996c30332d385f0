//! The rules, one function each: a file goes in, violations come out as `path:line: what`.

use super::source::Source;
use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Meta, ReturnType, Type, Visibility};

/// A rule reads one file and tells what in it is not allowed.
pub(super) type Rule = fn(&Source) -> Vec<String>;

/// Every rule with its name.
pub(super) const RULES: &[(&str, Rule)] = &[
    ("begins with //!", begins_with_its_purpose),
    ("sizes", sizes),
    ("short functions", short_functions),
    ("documented", documented),
    ("room edges", room_edges),
    ("crate homes", crate_homes),
    ("leftovers", leftovers),
    ("status codes", status_codes),
    ("environment", environment),
    ("pure verify", pure_verify),
];

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;
const COLUMNS: usize = 100;

/// Which rooms each room may use, besides itself: the table of `src/lib.rs`. `cli` may use all.
const EDGES: &[(&str, &[&str])] = &[
    ("lock", &[]),
    ("coupon", &["lock"]),
    ("scenario", &["lock", "coupon"]),
    ("server", &["lock", "coupon", "ledger"]),
    ("ledger", &[]),
    ("load", &["scenario", "ledger"]),
    ("verify", &["coupon", "ledger"]),
    ("bundle", &["scenario", "coupon", "ledger", "verify"]),
    ("report", &["scenario", "ledger", "verify"]),
];

/// Third-party crates that may be named in some places only.
const HOMES: &[(&str, &[&str])] = &[
    ("anyhow", &["src/cli", "src/main"]),
    ("argon2", &["src/server"]),
    ("axum", &["src/server"]),
    ("clap", &["src/cli", "src/main"]),
    ("comfy_table", &["src/report/table"]),
    ("ctrlc", &["src/cli", "src/main"]),
    ("goose", &["src/load/goose"]),
    ("hdrhistogram", &["src/ledger/timing"]),
    ("http_body_util", &["src/load/transport", "src/server"]),
    // Requests are built beside what they ask; connections are the transport's alone.
    ("hyper", &["src/load", "src/server"]),
    ("hyper_util", &["src/load/transport", "src/server"]),
    ("indicatif", &["src/load/progress", "src/cli/printer"]),
    ("jsonwebtoken", &["src/server"]),
    ("redis", &["src/lock/redis"]),
    ("reqwest", &["src/load/transport"]),
    ("rlimit", &["src/cli", "src/main"]),
    ("rustix", &["src/load/process"]),
    ("rustls", &["src/load/transport"]),
    ("rustls_platform_verifier", &["src/load/transport"]),
    ("sqlx", &["src/coupon"]),
    ("strsim", &["src/scenario"]),
    ("toml", &["src/scenario"]),
    ("tracing_subscriber", &["src/cli", "src/main"]),
];

fn at(source: &Source, line: usize, what: impl std::fmt::Display) -> String {
    format!("{}:{line}: {what}", source.path)
}

fn begins_with_its_purpose(source: &Source) -> Vec<String> {
    if source.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![at(source, 1, "begin with a `//!` line: what lives here, and what does not")]
}

fn sizes(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        if line.chars().count() > COLUMNS && !is_drawing(line) {
            found.push(at(source, index + 1, format!("more than {COLUMNS} columns")));
        }
    }
    let lines = source.text.lines().count();
    if lines > FILE_LINES {
        found.push(at(source, lines, format!("{lines} lines; split it below {FILE_LINES}")));
    }
    found
}

/// A row of a table or a line of a drawing in a comment: nothing that could be wrapped.
fn is_drawing(line: &str) -> bool {
    let comment = line.trim_start();
    comment.starts_with("//") && comment.contains(['|', '─', '│'])
}

fn short_functions(source: &Source) -> Vec<String> {
    struct Functions(Vec<(Span, String)>);
    impl Functions {
        fn body(&mut self, block: &syn::Block, name: &syn::Ident) {
            let lines = block.span().end().line - block.span().start().line + 1;
            if lines > FUNCTION_LINES {
                let what = format!("`{name}` has {lines} lines; split it below {FUNCTION_LINES}");
                self.0.push((name.span(), what));
            }
        }
    }
    impl<'tree> Visit<'tree> for Functions {
        fn visit_item_fn(&mut self, item: &'tree syn::ItemFn) {
            self.body(&item.block, &item.sig.ident);
            visit::visit_item_fn(self, item);
        }
        fn visit_impl_item_fn(&mut self, item: &'tree syn::ImplItemFn) {
            self.body(&item.block, &item.sig.ident);
            visit::visit_impl_item_fn(self, item);
        }
        fn visit_trait_item_fn(&mut self, item: &'tree syn::TraitItemFn) {
            if let Some(block) = &item.default {
                self.body(block, &item.sig.ident);
            }
            visit::visit_trait_item_fn(self, item);
        }
    }
    let mut functions = Functions(Vec::new());
    functions.visit_file(&source.tree);
    functions.0.iter().map(|(span, what)| at(source, span.start().line, what)).collect()
}

/// Public items, fields and variants have a doc comment; public functions that return a `Result`
/// have an `# Errors` section.
fn documented(source: &Source) -> Vec<String> {
    if !source.is_program() {
        return Vec::new();
    }
    let mut missing = Undocumented::default();
    missing.visit_file(&source.tree);
    missing.found.iter().map(|(span, what)| at(source, span.start().line, what)).collect()
}

#[derive(Default)]
struct Undocumented {
    found: Vec<(Span, String)>,
}

impl Undocumented {
    fn item(&mut self, vis: &Visibility, attributes: &[Attribute], name: &syn::Ident) {
        if is_public(vis) && docs(attributes).trim().is_empty() {
            self.found.push((name.span(), format!("public `{name}` has no doc comment")));
        }
    }

    fn function(&mut self, attributes: &[Attribute], signature: &syn::Signature) {
        let ReturnType::Type(_, result) = &signature.output else { return };
        let Type::Path(path) = result.as_ref() else { return };
        let is_result = path.path.segments.last().is_some_and(|last| last.ident == "Result");
        if is_result && !docs(attributes).contains("# Errors") {
            let name = &signature.ident;
            self.found.push((name.span(), format!("`{name}` has no `# Errors` section")));
        }
    }

    fn fields(&mut self, fields: &syn::Fields) {
        for field in fields {
            if let Some(name) = &field.ident {
                self.item(&field.vis, &field.attrs, name);
            }
        }
    }
}

impl<'tree> Visit<'tree> for Undocumented {
    fn visit_item_fn(&mut self, item: &'tree syn::ItemFn) {
        self.item(&item.vis, &item.attrs, &item.sig.ident);
        if is_public(&item.vis) {
            self.function(&item.attrs, &item.sig);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'tree syn::ImplItemFn) {
        self.item(&item.vis, &item.attrs, &item.sig.ident);
        if is_public(&item.vis) {
            self.function(&item.attrs, &item.sig);
        }
    }

    fn visit_impl_item_const(&mut self, item: &'tree syn::ImplItemConst) {
        self.item(&item.vis, &item.attrs, &item.ident);
    }

    fn visit_item_const(&mut self, item: &'tree syn::ItemConst) {
        self.item(&item.vis, &item.attrs, &item.ident);
    }

    fn visit_item_static(&mut self, item: &'tree syn::ItemStatic) {
        self.item(&item.vis, &item.attrs, &item.ident);
    }

    fn visit_item_type(&mut self, item: &'tree syn::ItemType) {
        self.item(&item.vis, &item.attrs, &item.ident);
    }

    fn visit_item_struct(&mut self, item: &'tree syn::ItemStruct) {
        self.item(&item.vis, &item.attrs, &item.ident);
        if is_public(&item.vis) {
            self.fields(&item.fields);
        }
    }

    fn visit_item_enum(&mut self, item: &'tree syn::ItemEnum) {
        self.item(&item.vis, &item.attrs, &item.ident);
        for variant in &item.variants {
            self.item(&item.vis, &variant.attrs, &variant.ident);
        }
    }

    fn visit_item_trait(&mut self, item: &'tree syn::ItemTrait) {
        self.item(&item.vis, &item.attrs, &item.ident);
        for member in &item.items {
            if let syn::TraitItem::Fn(member) = member {
                self.item(&item.vis, &member.attrs, &member.sig.ident);
                if is_public(&item.vis) {
                    self.function(&member.attrs, &member.sig);
                }
            }
        }
    }
}

fn is_public(vis: &Visibility) -> bool {
    matches!(vis, Visibility::Public(_))
}

/// The doc comment as one text.
fn docs(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes {
        if let Meta::NameValue(pair) = &attribute.meta
            && pair.path.is_ident("doc")
            && let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(line), .. }) = &pair.value
        {
            text.push_str(&line.value());
            text.push('\n');
        }
    }
    text
}

fn room_edges(source: &Source) -> Vec<String> {
    let Some(room) = source.room() else { return Vec::new() };
    if room == "cli" {
        return Vec::new();
    }
    let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == room) else {
        return vec![at(source, 1, format!("`{room}` is no room; add it to lib.rs and to EDGES"))];
    };
    let is_room = |name: &str| name == "cli" || EDGES.iter().any(|(room, _)| *room == name);
    let mut found = Vec::new();
    for prefix in ["crate", "super"] {
        for (name, line) in source.names_after(prefix) {
            if is_room(name) && name != room && !allowed.contains(&name) {
                found.push(at(source, line, format!("`{room}` may not use `{name}`")));
            }
        }
    }
    found
}

fn crate_homes(source: &Source) -> Vec<String> {
    if !source.is_program() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        let Some((name, homes)) = HOMES.iter().find(|(name, _)| token.text == *name) else {
            continue;
        };
        if names_a_crate(source, index) && !source.is_in(homes) {
            let what = format!("`{name}` may be named in {} only", homes.join(", "));
            found.push(at(source, token.line, what));
        }
    }
    found
}

/// Whether the token at `index` begins a path into a crate: not inside a longer path, and not a
/// module of this file that has the same name.
fn names_a_crate(source: &Source, index: usize) -> bool {
    let before = |back: usize| index.checked_sub(back).map_or("", |place| source.word(place));
    let continues_a_path = before(1) == "::" && !matches!(before(2), "" | ";" | "{" | "use" | "(");
    let begins_a_path = source.word(index + 1) == "::" || before(1) == "use";
    let own = (0..source.tokens.len())
        .any(|at| source.word(at) == "mod" && source.word(at + 1) == source.word(index));
    begins_a_path && !continues_a_path && !own
}

fn leftovers(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        for mark in [concat!("TO", "DO"), concat!("FIX", "ME")] {
            if line.contains(mark) {
                found.push(at(source, index + 1, format!("`{mark}`: do it, or open an issue")));
            }
        }
    }
    if !source.is_program() || source.is_in(&["src/cli/printer"]) {
        return found;
    }
    for (index, token) in source.tokens.iter().enumerate() {
        let prints = ["println", "print", "eprintln", "eprint", "dbg"].contains(&&*token.text);
        if prints && source.word(index + 1) == "!" {
            let what = format!("`{}!`: only src/cli/printer.rs prints", token.text);
            found.push(at(source, token.line, what));
        }
    }
    found
}

fn status_codes(source: &Source) -> Vec<String> {
    if !source.is_program() || source.is_in(&["src/server/reply"]) {
        return Vec::new();
    }
    let lines = source.names_after("StatusCode").into_iter().map(|(_, line)| line);
    lines
        .map(|line| at(source, line, "HTTP status codes are chosen in src/server/reply.rs"))
        .collect()
}

fn environment(source: &Source) -> Vec<String> {
    if !source.is_program() || source.is_in(&["src/cli", "src/main"]) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (name, line) in source.names_after("std") {
        if name == "env" {
            found.push(at(source, line, "only `cli` reads the environment"));
        }
    }
    for (name, line) in source.names_after("process") {
        if matches!(name, "exit" | "abort") {
            found.push(at(source, line, "only `cli` ends the process"));
        }
    }
    found
}

fn pure_verify(source: &Source) -> Vec<String> {
    if source.room() != Some("verify") {
        return Vec::new();
    }
    let banned = ["async", "await", "tokio", "Instant", "SystemTime", "File", "thread"];
    let mut found = Vec::new();
    for token in &source.tokens {
        if banned.contains(&&*token.text) {
            found.push(at(source, token.line, format!("`{}` in `verify`: it is pure", token.text)));
        }
    }
    for (name, line) in source.names_after("std") {
        if matches!(name, "fs" | "io" | "net" | "process") {
            found.push(at(source, line, format!("`std::{name}` in `verify`: it is pure")));
        }
    }
    found
}
