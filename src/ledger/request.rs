//! The name of a request, without a copy of its text where it follows from the run.

use std::fmt;

/// A request's name. Two are equal where their texts are, as long as both were [parsed](Self::of)
/// for the same run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request<'a> {
    /// Named by our load: `<run>-<vu>-<iteration>`.
    Own {
        /// The run's id, not empty.
        run: &'a str,
        /// Which VU.
        vu: u32,
        /// Which pass of that VU.
        iteration: u32,
    },
    /// Any other text.
    Text(&'a str),
}

impl<'a> Request<'a> {
    /// Reads `text` as a request of `run`. What does not have exactly that form is a text.
    pub fn of(run: &'a str, text: &'a str) -> Self {
        let own = || {
            let rest = text.strip_prefix(run).filter(|_| !run.is_empty())?.strip_prefix('-')?;
            let (vu, iteration) = rest.split_once('-')?;
            Some(Self::Own { run, vu: plain(vu)?, iteration: plain(iteration)? })
        };
        own().unwrap_or(Self::Text(text))
    }

    /// Whether there is no name.
    pub fn is_empty(self) -> bool {
        self == Self::Text("")
    }
}

/// A number as it is printed: no sign, no zero in front.
fn plain(text: &str) -> Option<u32> {
    let canonical = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| canonical)
}

impl fmt::Display for Request<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own { run, vu, iteration } => write!(to, "{run}-{vu}-{iteration}"),
            Self::Text(text) => to.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Request;

    /// Goal: only the exact form is taken for our own, so that a name always prints as it was.
    #[test]
    fn names_print_as_they_were() {
        let own = Request::of("19f-a", "19f-a-7-0");
        assert_eq!(own, Request::Own { run: "19f-a", vu: 7, iteration: 0 });
        for text in [
            "19f-a-7-0",
            "19f-a-07-0",
            "19f-a-7-+1",
            "19f-a-7",
            "19f-a-7-",
            "19f-a--1-2",
            "",
            "x",
            "19f-a-7-0-1",
            "19f-a-4294967296-0",
            "-1-2",
        ] {
            assert_eq!(Request::of("19f-a", text).to_string(), text);
            assert_eq!(Request::of("", text), Request::Text(text));
        }
        assert!(Request::of("r", "").is_empty());
    }
}
