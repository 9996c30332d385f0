//! Numbers as people read them: grouped thousands, ms with one decimal, bytes. One home for each
//! way of writing, so that tables never differ.

use crate::verify::grouped;

/// `number` as a float for a rate; exact below 2⁵³, which no run reaches.
pub fn float(number: impl TryInto<i64>) -> f64 {
    let number = number.try_into().unwrap_or(i64::MAX);
    #[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^53")]
    let float = number as f64;
    float
}

/// `30,000`; a dash where not known.
pub fn count(number: Option<impl Into<i128>>) -> String {
    number.map_or_else(dash, |number| grouped(number))
}

/// Microseconds as milliseconds with one decimal: `2,680.4`.
pub fn ms(micros: u64) -> String {
    let tenths = (micros + 50) / 100;
    format!("{}.{}", grouped(tenths / 10), tenths % 10)
}

/// A rate with one decimal: `1,694.2`; a dash where not known.
pub fn rate(per_second: Option<f64>) -> String {
    let Some(rate) = per_second.filter(|rate| rate.is_finite() && *rate >= 0.0) else {
        return dash();
    };
    #[expect(clippy::cast_possible_truncation, reason = "a rate of a run fits an i64")]
    let tenths = (rate * 10.0).round() as i64;
    format!("{}.{}", grouped(tenths / 10), tenths % 10)
}

/// Bytes in the unit that keeps three digits: `12.3 MB` (powers of ten, as k6).
pub fn bytes(number: u64) -> String {
    let mut value = float(number);
    for unit in ["B", "kB", "MB"] {
        if value < 1000.0 {
            return if unit == "B" {
                format!("{value:.0} B")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} GB")
}

/// Milliseconds as seconds with one decimal: `90.3 s`.
pub fn seconds(millis: u64) -> String {
    format!("{}.{} s", grouped(millis / 1000), millis % 1000 / 100)
}

fn dash() -> String {
    "–".to_owned()
}

/// Text from outside without what could command a terminal or break a line: control characters
/// and those that turn the direction of writing are shown as escapes, like `\u{1b}`.
pub fn plain(text: &str) -> String {
    let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || turns(character) {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    //! Known answers at the edges.

    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([ms(0), ms(49), ms(950), ms(2_680_449)], ["0.0", "0.0", "1.0", "2,680.4"]);
        assert_eq!([rate(Some(1_694.16)), rate(Some(f64::NAN)), rate(None)], ["1,694.2", "–", "–"]);
        assert_eq!([bytes(0), bytes(999), bytes(12_345_678)], ["0 B", "999 B", "12.3 MB"]);
        assert_eq!(seconds(90_349), "90.3 s");
        assert_eq!([count(Some(-3_767_i64)), count(None::<i64>)], ["-3,767", "–"]);
    }

    #[test]
    fn text_cannot_command_the_terminal() {
        assert_eq!(plain("선착순 a\u{1b}[2J\nb\u{9b}1m"), "선착순 a\\u{1b}[2J\\nb\\u{9b}1m");
        assert_eq!(plain("a\u{202e}b"), "a\\u{202e}b");
    }
}
