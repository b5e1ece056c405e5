//! Lengths of time in words.

/// `7384` as `2 h 3 min`: the two largest units, without a sign.
pub(crate) fn span(seconds: i64) -> String {
    let seconds = seconds.unsigned_abs();
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    let pair = |large: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {small_unit}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => pair(minutes, "min", rest, "s"),
        (0, _, _) => pair(hours, "h", minutes, "min"),
        (1, _, _) => pair(1, "day", hours, "h"),
        _ => pair(days, "days", hours, "h"),
    }
}

/// Where `time` is seen from `now`: `in 5 min`, `5 min ago`, `now`.
pub(crate) fn relative(time: i64, now: i64) -> String {
    let distance = time.saturating_sub(now);
    match distance.signum() {
        0 => "now".to_owned(),
        1 => format!("in {}", span(distance)),
        _ => format!("{} ago", span(distance)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_in_the_two_largest_units() {
        assert_eq!(span(59), "59 s");
        assert_eq!(span(60), "1 min");
        assert_eq!(span(-7384), "2 h 3 min");
        assert_eq!(span(90_000), "1 day 1 h");
        assert_eq!(relative(i64::MIN, i64::MAX).split(' ').nth(1), Some("days"));
        assert_eq!(relative(10, 10), "now");
    }
}
