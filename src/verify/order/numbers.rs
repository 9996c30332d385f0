//! Small arithmetic of this folder: widths, floats, percentiles.

/// The same number. A list of 2³² places (137 GB) is what this program cannot be given.
pub(super) fn narrow(length: usize) -> u32 {
    u32::try_from(length).expect("fewer than 2³² places fit in memory")
}

/// The same number.
pub(super) fn index(number: u32) -> usize {
    number as usize
}

/// The same number.
pub(super) fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// The nearest float; exact below 2⁵³.
pub(super) fn float(number: u64) -> f64 {
    let low = u32::try_from(number & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    let high = u32::try_from(number >> 32).unwrap_or(u32::MAX);
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

/// The smallest of `values` that at least `percent` % of them do not exceed (nearest rank): for 50
/// the lower of two middles. Reorders `values`; absent if there are none.
///
/// `percent` is 1 to 100.
pub(super) fn percentile<T: Ord + Copy>(values: &mut [T], percent: usize) -> Option<T> {
    let rank = values.len().checked_mul(percent)?.div_ceil(100).checked_sub(1)?;
    Some(*values.select_nth_unstable(rank).1)
}

#[cfg(test)]
mod tests {
    use super::{float, percentile};

    /// Goal: nearest ranks by hand, and the empty list.
    #[test]
    fn percentiles_by_hand() {
        let mut hundred: Vec<u32> = (1..=100).rev().collect();
        assert_eq!(percentile(&mut hundred, 99), Some(99));
        assert_eq!(percentile(&mut hundred, 50), Some(50));
        assert_eq!(percentile(&mut [3, 1, 2, 9], 50), Some(2));
        assert_eq!(percentile(&mut [7], 99), Some(7));
        assert_eq!(percentile::<u32>(&mut [], 99), None);
    }

    /// Goal: both halves of a number reach the float.
    #[test]
    fn floats_keep_both_halves() {
        for (number, same) in
            [(0, 0.0), (5, 5.0), (1 << 32, 4_294_967_296.0), (1 << 52, 2_f64.powi(52))]
        {
            assert!((float(number) - same).abs() < f64::EPSILON, "{number}");
        }
        assert!((float((1 << 52) + 3) - (2_f64.powi(52) + 3.0)).abs() < f64::EPSILON);
    }
}
