//! One Rust file as the rules see it: its text, its tokens in a flat list, and its syntax tree.
//!
//! Tokens are used for names, because they also reach into macros and never into comments.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// One parsed file.
pub(super) struct Source {
    /// Path below the repository's root, with `/`.
    pub(super) path: String,
    /// The text as it stands.
    pub(super) text: String,
    /// Every token in order; `::` is one token, brackets are tokens of their own.
    pub(super) tokens: Vec<Token>,
    /// The same file as a tree.
    pub(super) tree: syn::File,
}

/// One token and the line it begins on, from 1.
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
}

impl Source {
    /// Reads `text` as the file `path`.
    pub(super) fn parse(path: &str, text: String) -> Result<Self, syn::Error> {
        let tree = syn::parse_file(&text)?;
        let stream: TokenStream = text.parse().map_err(syn::Error::from)?;
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        Ok(Self { path: path.to_owned(), text, tokens, tree })
    }

    /// Whether this is a file of the program itself, not of its tests.
    pub(super) fn is_program(&self) -> bool {
        self.path.starts_with("src/")
    }

    /// The room this file belongs to: its folder below `src`, if it has one.
    pub(super) fn room(&self) -> Option<&str> {
        self.path.strip_prefix("src/")?.split_once('/').map(|(room, _)| room)
    }

    /// Whether this file is at, or below, one of `homes` (`src/load/goose` holds both
    /// `src/load/goose.rs` and `src/load/goose/stop.rs`).
    pub(super) fn is_in(&self, homes: &[&str]) -> bool {
        homes.iter().any(|home| {
            self.path.strip_prefix(home).is_some_and(|rest| matches!(rest, "" | ".rs"))
                || self.path.starts_with(&format!("{home}/"))
        })
    }

    /// The token `ahead` places after `at`, or nothing past the end.
    pub(super) fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    /// Names that directly follow `prefix::`, with their lines: `a` in `prefix::a::b`, and both
    /// `a` and `b` in `prefix::{a, b::c}`.
    pub(super) fn names_after(&self, prefix: &str) -> Vec<(&str, usize)> {
        let mut names = Vec::new();
        for at in 0..self.tokens.len() {
            if self.word(at) != prefix || self.word(at + 1) != "::" {
                continue;
            }
            let mut depth = 0_u32;
            for (next, token) in self.tokens.iter().enumerate().skip(at + 2) {
                match token.text.as_str() {
                    "{" => depth += 1,
                    "}" => depth = depth.saturating_sub(1),
                    name if depth == 0
                        || depth == 1 && matches!(self.word(next - 1), "{" | ",") =>
                    {
                        names.push((name, token.line));
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
        }
        names
    }
}

/// Appends every token of `stream` to `tokens`, brackets included.
fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut colon = false;
    for tree in stream {
        let line = tree.span().start().line;
        let text = match tree {
            TokenTree::Group(group) => {
                let (open, close) = brackets(group.delimiter());
                tokens.push(Token { text: open.to_owned(), line });
                flatten(group.stream(), tokens);
                let line = group.span_close().start().line;
                tokens.push(Token { text: close.to_owned(), line });
                continue;
            }
            TokenTree::Punct(mark) if mark.as_char() == ':' => {
                if !colon && mark.spacing() == Spacing::Joint {
                    colon = true;
                    continue;
                }
                let text = if colon { "::" } else { ":" };
                colon = false;
                text.to_owned()
            }
            other => other.to_string(),
        };
        tokens.push(Token { text, line });
    }
}

/// How a group opens and closes.
fn brackets(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}
