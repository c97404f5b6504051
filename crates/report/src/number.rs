//! Numbers as terminals, tables and sentences write them.

/// Shown where there is no number.
pub(crate) const ABSENT: &str = "\u{2013}";

/// `value` with its sign, a true minus and two decimals; without sign if it rounds to zero, and an en dash if it is not
/// finite.
///
/// ```
/// use lookahead_report::signed;
/// assert_eq!([0.5, -0.5, -0.001].map(signed), ["+0.50", "\u{2212}0.50", "0.00"]);
/// ```
pub fn signed(value: f64) -> String {
    if !value.is_finite() {
        return ABSENT.to_owned();
    }
    let text = format!("{:.2}", value.abs());
    let zero = text.bytes().all(|byte| byte == b'0' || byte == b'.');
    match (zero, value < 0.0) {
        (true, _) => text,
        (false, true) => format!("\u{2212}{text}"),
        (false, false) => format!("+{text}"),
    }
}

/// An interval, with both ends as [`signed`] writes them.
///
/// ```
/// use lookahead_report::interval;
/// assert_eq!(interval(-0.35, 0.1), "\u{2212}0.35 to +0.10");
/// ```
pub fn interval(low: f64, high: f64) -> String {
    format!("{} to {}", signed(low), signed(high))
}

/// `count` and `noun`, with an s unless `count` is 1.
///
/// ```
/// use lookahead_report::counted;
/// assert_eq!([0, 1, 2].map(|count| counted(count, "run")), ["0 runs", "1 run", "2 runs"]);
/// ```
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The middle value, or the mean of the two in the middle; `None` if there are no values. Sorts `values`.
///
/// ```
/// use lookahead_report::median;
/// assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
/// assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), Some(2.5));
/// assert_eq!(median(&mut []), None);
/// ```
pub fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle)?;
    Some(if values.len().is_multiple_of(2) { 0.5 * (values[middle - 1] + upper) } else { *upper })
}

/// Seconds as `m:ss` or `h:mm:ss`, to the nearest second; an en dash if they are not finite.
///
/// ```
/// use lookahead_report::clock;
/// assert_eq!([0.4, 59.6, 61.2, 3_725.0].map(clock), ["0:00", "1:00", "1:01", "1:02:05"]);
/// ```
pub fn clock(seconds: f64) -> String {
    if !seconds.is_finite() {
        return ABSENT.to_owned();
    }
    let whole = seconds.round() as u64;
    match whole / 3600 {
        0 => format!("{}:{:02}", whole / 60, whole % 60),
        hours => format!("{hours}:{:02}:{:02}", whole / 60 % 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_written_out() {
        assert_eq!([signed(0.001), signed(12.345), signed(f64::NAN)], ["0.00", "+12.35", ABSENT]);
    }

    #[test]
    fn an_hour_is_no_sixty_minutes() {
        assert_eq!([3_599.0, 3_599.5, 0.0].map(clock), ["59:59", "1:00:00", "0:00"]);
        assert_eq!(clock(f64::NAN), ABSENT);
    }
}
