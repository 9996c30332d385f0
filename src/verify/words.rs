//! Numbers, and numbers in sentences. No judgement here.

/// A whole number with its thousands grouped: `30,000`, `-3`.
pub fn grouped(number: impl Into<i128>) -> String {
    let number = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number and its noun: `1 row`, `7,836 rows`. The noun takes an `s`.
pub(super) fn many(number: impl Into<i128>, noun: &str) -> String {
    let number = number.into();
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A moment of the run: `12.345 s` after its beginning.
pub(super) fn moment(us: u64) -> String {
    let millis = us / 1_000;
    format!("{}.{:03} s", grouped(millis / 1_000), millis % 1_000)
}

/// A length as a number that every sum here can hold.
pub(super) fn size(length: usize) -> i128 {
    i128::try_from(length).unwrap_or(i128::MAX)
}

/// The nearest `i64`.
pub(super) fn narrow(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

/// A count of violations as the document holds it: never negative.
pub(super) fn total(number: i128) -> u64 {
    u64::try_from(number.max(0)).unwrap_or(u64::MAX)
}

/// How many different values.
pub(super) fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> i128 {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.dedup();
    size(values.len())
}

#[cfg(test)]
mod tests {
    use super::{grouped, many, narrow};

    /// Goal: grouping at every length, the sign, and the extremes.
    #[test]
    fn numbers_are_grouped_by_thousands() {
        let cases = [(0, "0"), (999, "999"), (1_000, "1,000"), (-1_234_567, "-1,234,567")];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(grouped(i64::MIN), "-9,223,372,036,854,775,808");
        assert_eq!(many(1, "row"), "1 row");
        assert_eq!(many(0, "row"), "0 rows");
        assert_eq!(narrow(i128::from(i64::MIN) - 1), i64::MIN);
        assert_eq!(narrow(i128::MAX), i64::MAX);
    }
}
