//! Numbers as people read them: thousands grouped, milliseconds with one decimal. No tables here.

use std::time::Duration;

use crate::ledger::measured::Measured;
use crate::verify::grouped;

/// What stands where a number is not known.
pub(super) const NOT_KNOWN: &str = "–";

/// A whole number, or a dash.
pub(super) fn whole(number: Option<impl Into<i128>>) -> String {
    number.map_or_else(|| NOT_KNOWN.to_owned(), |number| grouped(number))
}

/// Microseconds as milliseconds: `1,234.5`. Rounded half up, in whole numbers.
pub(super) fn ms(us: u64) -> String {
    let tenths = us / 100 + u64::from(us % 100 >= 50);
    format!("{}.{}", grouped(tenths / 10), tenths % 10)
}

/// Fractional microseconds as milliseconds.
pub(super) fn ms_of_mean(us: f64) -> String {
    decimal(us / 1_000.0)
}

/// A number with one decimal and its thousands grouped; a dash where it is none.
pub(super) fn decimal(number: f64) -> String {
    if !number.is_finite() || number.abs() > 1e15 {
        return NOT_KNOWN.to_owned();
    }
    let text = format!("{number:.1}");
    let (whole, part) = text.split_once('.').unwrap_or((&text, "0"));
    whole.parse::<i64>().map_or(text.clone(), |whole| format!("{}.{part}", grouped(whole)))
}

/// A count over the run's length; 0 for a run without length.
#[expect(clippy::cast_precision_loss, reason = "a rate for people; counts stay below 2^52")]
pub(super) fn per_second(count: impl Into<i128>, measured: &Measured) -> f64 {
    let seconds = Duration::from_millis(measured.elapsed_ms).as_secs_f64();
    if seconds > 0.0 { count.into() as f64 / seconds } else { 0.0 }
}

/// A part of a whole in percent: `25.3 %`.
#[expect(clippy::cast_precision_loss, reason = "a share for people; counts stay below 2^52")]
pub(super) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return NOT_KNOWN.to_owned();
    }
    format!("{:.1} %", part as f64 * 100.0 / whole as f64)
}

/// Bytes with a decimal unit: `1.2 MB`.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub(super) fn bytes(count: u64) -> String {
    let mut size = count as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB"] {
        if size < 1_000.0 {
            break;
        }
        size /= 1_000.0;
        unit = next;
    }
    if unit == "B" { format!("{count} B") } else { format!("{size:.1} {unit}") }
}

/// A length in seconds with one decimal: `90.2 s`.
pub(super) fn seconds(ms: u64) -> String {
    let tenths = ms / 100 + u64::from(ms % 100 >= 50);
    format!("{}.{} s", grouped(tenths / 10), tenths % 10)
}

/// Text from outside without control characters, so that it can neither break a table nor command
/// a terminal.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{bytes, decimal, ms, plain, seconds, share};

    /// Goal: units, rounding and grouping, at the borders too.
    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(ms(0), "0.0");
        assert_eq!(ms(49), "0.0");
        assert_eq!(ms(50), "0.1");
        assert_eq!(ms(1_234_567), "1,234.6");
        assert_eq!(ms(u64::MAX), "18,446,744,073,709,551.6");
        assert_eq!(decimal(1_234.56), "1,234.6");
        assert_eq!(decimal(f64::NAN), "–");
        assert_eq!(share(22_164, 30_000), "73.9 %");
        assert_eq!(share(0, 0), "–");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_234_567), "1.2 MB");
        assert_eq!(seconds(90_151), "90.2 s");
        assert_eq!(plain("a\u{1b}[2J\nb"), "a\\u{1b}[2J\\nb");
    }
}
