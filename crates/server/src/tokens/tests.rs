use super::*;

#[test]
fn clients_that_came_together_come_back_apart_and_before_the_warning() {
    for ttl in [1, 2, 60, 300, 481, 600, 3600, 14_400, 86_400] {
        let mut seen = std::collections::BTreeSet::new();
        for chance in (0..2000).map(|step| step * 7_919) {
            let after = refresh_after(ttl, chance);
            assert!((ttl / 2..=ttl * 4 / 5).contains(&after), "{ttl}: {after}");
            assert!(ttl <= 480 || after <= ttl - 240, "{ttl}: {after}");
            seen.insert(after);
        }
        assert!(ttl < 3600 || seen.len() > 500, "{ttl}: {}", seen.len());
    }
}
