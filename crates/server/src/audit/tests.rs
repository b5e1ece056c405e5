use super::*;

#[test]
fn every_event_is_read_back_from_its_word() {
    for event in Event::ALL {
        assert_eq!(Event::parse(event.word()), Some(*event));
    }
    assert_eq!(Event::parse("token"), None);
}

#[test]
fn uses_of_a_key_are_gathered_until_they_are_taken() {
    let uses = Uses::default();
    let (account, key) = (AccountNumber(1), Sid::from_number(1));
    uses.note(account, key, Evidence { last_used: 5, latest_expiry: 90, ..Evidence::default() });
    uses.note(account, key, Evidence { last_used: 7, latest_expiry: 80, ..Evidence::default() });
    uses.note(account, key, Evidence { last_called: 6, ..Evidence::default() });
    let gathered = Evidence { last_minted: 0, last_used: 7, last_called: 6, latest_expiry: 90 };
    assert_eq!(uses.take(), [(account, key, gathered)]);
    assert_eq!(uses.take(), []);
}
