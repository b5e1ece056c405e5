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

/// A Unix time as a date, for example `2023-11-14 22:13:20 UTC`. Years of more than four digits
/// are nobody's and stay numbers.
pub(crate) fn date(time: i64) -> String {
    if !(0..253_402_300_800).contains(&time) {
        return format!("Unix time {time}");
    }
    let (days, seconds) = (time / 86_400, time % 86_400);
    // Counting years from March puts the leap day last, so that months have a formula. The eras
    // of 400 years all have the same number of days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year_of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
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

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(date(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(date(1_700_000_000), "2023-11-14 22:13:20 UTC");
        assert_eq!(date(253_402_300_799), "9999-12-31 23:59:59 UTC");
        assert_eq!(date(-1), "Unix time -1");
    }
}
