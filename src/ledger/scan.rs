//! A line of `ledger.ndjson` as `file.rs` writes it, read by hand.
//!
//! Anything else (other order, spaces, escapes, numbers out of range) is `None` and is left to
//! serde in `read.rs`: this accepts nothing that serde would refuse.

use super::attempts::Entry;
use super::{Facts, read};

/// The attempt on `line`, which ends with its line end; `None` if it is to be read by serde.
pub(super) fn entry(line: &[u8]) -> Option<Entry<'_>> {
    let mut at = Cursor(line);
    let entry = whole(&mut at).ok()?;
    (at.0 == b"}\n").then_some(entry)
}

/// Something that is not as our writer writes it.
struct Odd;

fn whole<'a>(at: &mut Cursor<'a>) -> Result<Entry<'a>, Odd> {
    Ok(Entry {
        vu: narrow(at.first(b"{\"vu\":")?)?,
        iteration: narrow(at.first(b",\"iteration\":")?)?,
        request: at.text(b",\"request\":\"")?,
        user: at.signed(b",\"user\":")?,
        scheduled_us: at.first(b",\"scheduled_us\":")?,
        start_us: at.first(b",\"start_us\":")?,
        end_us: at.first(b",\"end_us\":")?,
        outcome: {
            let word = at.text(b",\"outcome\":\"")?;
            let reason = if at.skip(b",\"reason\":\"") { Some(at.rest_of_text()?) } else { None };
            read::outcome(word, reason).map_err(|_| Odd)?
        },
        status: narrow(at.first(b",\"status\":")?)?,
        facts: Facts {
            row: at.maybe_signed(b",\"row\":")?,
            quantity: at.maybe_signed(b",\"quantity\":")?,
            arrival: at.maybe(b",\"arrival\":")?,
            ticket: at.maybe(b",\"ticket\":")?,
            token: at.maybe(b",\"token\":")?,
            grant: at.maybe(b",\"grant\":")?,
            wait_us: at.maybe(b",\"wait_us\":")?,
            hold_us: at.maybe(b",\"hold_us\":")?,
        },
    })
}

fn narrow<T: TryFrom<u64>>(number: u64) -> Result<T, Odd> {
    T::try_from(number).map_err(|_| Odd)
}

/// What is left of the line.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// Goes past `word`, if it is next.
    fn skip(&mut self, word: &[u8]) -> bool {
        let rest = self.0.strip_prefix(word);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// The number behind `key`.
    fn first(&mut self, key: &[u8]) -> Result<u64, Odd> {
        self.maybe(key)?.ok_or(Odd)
    }

    /// The number behind `key`, if the key is next.
    fn maybe(&mut self, key: &[u8]) -> Result<Option<u64>, Odd> {
        if self.skip(key) { self.number().map(Some) } else { Ok(None) }
    }

    fn signed(&mut self, key: &[u8]) -> Result<i64, Odd> {
        self.maybe_signed(key)?.ok_or(Odd)
    }

    fn maybe_signed(&mut self, key: &[u8]) -> Result<Option<i64>, Odd> {
        if !self.skip(key) {
            return Ok(None);
        }
        let negative = self.skip(b"-");
        let size: i64 = narrow(self.number()?)?;
        // "-0" is a number to serde too, but not one of ours.
        if negative && size == 0 {
            return Err(Odd);
        }
        Ok(Some(if negative { -size } else { size }))
    }

    /// Digits without a zero in front. Nineteen cannot overflow; longer ones are serde's.
    fn number(&mut self) -> Result<u64, Odd> {
        let length = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at(length);
        if !(1..=19).contains(&length) || (digits[0] == b'0' && length > 1) {
            return Err(Odd);
        }
        self.0 = rest;
        Ok(digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
    }

    /// The text behind `key`, which ends with the opening quote.
    fn text(&mut self, key: &[u8]) -> Result<&'a str, Odd> {
        if self.skip(key) { self.rest_of_text() } else { Err(Odd) }
    }

    fn rest_of_text(&mut self) -> Result<&'a str, Odd> {
        let plain = |byte: &u8| (0x20..0x7f).contains(byte) && *byte != b'"' && *byte != b'\\';
        let length = self.0.iter().take_while(|byte| plain(byte)).count();
        let (text, rest) = self.0.split_at(length);
        self.0 = rest.strip_prefix(b"\"").ok_or(Odd)?;
        std::str::from_utf8(text).map_err(|_| Odd)
    }
}
