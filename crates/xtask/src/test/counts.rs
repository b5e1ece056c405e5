//! Reading how many tests a runner says have passed and failed.

use std::ops::AddAssign;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl Counts {
    pub(crate) fn total(self) -> u64 {
        self.passed + self.failed + self.skipped
    }
}

/// Adds up the closing lines of cargo's test binaries; what tests print themselves does not count.
pub(crate) fn read_cargo(lines: &[String]) -> Counts {
    let mut counts = Counts::default();
    for result in lines.iter().filter_map(|line| line.strip_prefix("test result: ")) {
        counts += listed(result.split_once(". ").map_or("", |(_, list)| list), ';');
    }
    counts
}

/// Adds up the closing lines of node, pytest, unittest, or the plain `N passed, N failed`.
pub(crate) fn read(lines: &[String]) -> Counts {
    let mut counts = Counts::default();
    let mut unittest = 0;
    for line in lines.iter().map(|line| line.trim()) {
        if let Some(count) = node(line) {
            counts += count;
        } else if let Some(ran) = line.strip_prefix("Ran ").and_then(first_number) {
            unittest = ran;
        } else if let Some(result) = unittest_result(line, unittest) {
            counts += result;
            unittest = 0;
        } else if is_summary(line) {
            counts += listed(line.trim_matches(|c| c == '=' || c == ' '), ',');
        }
    }
    counts
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// `3 passed; 1 failed; 2 ignored`, whatever else is listed, and `2 errors` too.
fn listed(list: &str, separator: char) -> Counts {
    let mut counts = Counts::default();
    for item in list.split(separator) {
        let mut words = item.split_whitespace();
        let Some(number) = words.next().and_then(|word| word.parse::<u64>().ok()) else {
            continue;
        };
        match words.next().unwrap_or_default() {
            "passed" | "xfailed" | "xpassed" => counts.passed += number,
            "failed" | "error" | "errors" => counts.failed += number,
            "ignored" | "skipped" => counts.skipped += number,
            _ => {}
        }
    }
    counts
}

/// node's runner: `# pass 4` when piped, `ℹ pass 4` on a terminal.
fn node(line: &str) -> Option<Counts> {
    let rest = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ "))?;
    let (word, number) = rest.split_once(' ')?;
    let number = number.parse().ok()?;
    let mut counts = Counts::default();
    match word {
        "pass" => counts.passed = number,
        "fail" | "cancelled" => counts.failed = number,
        "skipped" | "todo" => counts.skipped = number,
        _ => return None,
    }
    Some(counts)
}

/// unittest: `Ran 5 tests in 0.1s`, then `OK (skipped=1)` or `FAILED (failures=1, errors=2)`.
fn unittest_result(line: &str, ran: u64) -> Option<Counts> {
    if ran == 0 || !(line.starts_with("OK") || line.starts_with("FAILED (")) {
        return None;
    }
    let inside = line.split_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'));
    let mut counts = Counts::default();
    for (word, number) in inside.split(", ").filter_map(|item| item.split_once('=')) {
        let number = number.parse().unwrap_or(0);
        match word {
            "failures" | "errors" | "unexpected successes" => counts.failed += number,
            "skipped" => counts.skipped += number,
            _ => {}
        }
    }
    counts.passed = ran.saturating_sub(counts.failed + counts.skipped);
    Some(counts)
}

/// pytest's last line (`=== 3 passed, 1 failed in 0.1s ===`) or the plain closing line: nothing
/// but numbers with such words, and perhaps the time.
fn is_summary(line: &str) -> bool {
    let line = line.trim_matches(|c| c == '=' || c == ' ');
    let list = line.split_once(" in ").map_or(line, |(list, _)| list);
    const WORDS: [&str; 10] =
        ["passed", "failed", "skipped", "error", "errors", "warning", "warnings", "deselected", "xfailed", "xpassed"];
    let counted = |item: &str| {
        let mut words = item.split_whitespace();
        let number = words.next().is_some_and(|word| word.parse::<u64>().is_ok());
        number && words.next().is_some_and(|word| WORDS.contains(&word)) && words.next().is_none()
    };
    list.split(',').all(counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(text: &str) -> (u64, u64, u64) {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let Counts { passed, failed, skipped } = read(&lines);
        (passed, failed, skipped)
    }

    #[test]
    fn cargo_test_over_several_binaries() {
        let text = "running 3 tests\ntest a ... ok\n9 passed, 9 failed\n\
            test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s";
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(read_cargo(&lines), Counts { passed: 7, failed: 3, skipped: 1 });
    }

    #[test]
    fn node_piped_and_on_a_terminal() {
        let piped =
            "# tests 6\n# suites 0\n# pass 4\n# fail 1\n# cancelled 1\n# skipped 2\n# todo 0\n# duration_ms 5.1";
        assert_eq!(counts(piped), (4, 2, 2));
        assert_eq!(counts("ℹ tests 2\nℹ pass 2\nℹ fail 0"), (2, 0, 0));
    }

    #[test]
    fn pytest_in_both_moods() {
        assert_eq!(counts("===== 3 passed, 1 failed, 2 skipped in 0.12s ====="), (3, 1, 2));
        assert_eq!(counts("1 failed, 2 passed, 1 warning, 1 error in 0.5s (0:00:01)"), (2, 2, 0));
        assert_eq!(counts("4 passed in 0.10s"), (4, 0, 0));
    }

    #[test]
    fn unittest_good_and_bad() {
        assert_eq!(counts("Ran 5 tests in 0.001s\n\nOK"), (5, 0, 0));
        assert_eq!(counts("Ran 5 tests in 1s\n\nOK (skipped=2)"), (3, 0, 2));
        assert_eq!(counts("Ran 6 tests in 1s\n\nFAILED (failures=1, errors=2)"), (3, 3, 0));
    }

    #[test]
    fn the_plain_closing_line_and_prose() {
        assert_eq!(counts("12 passed, 0 failed"), (12, 0, 0));
        assert_eq!(counts("OK\nall 3 passed, hooray\n# a note\nRan away\n3 apples, 2 pears"), (0, 0, 0));
    }
}
