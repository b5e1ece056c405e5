import assert from 'node:assert/strict';

const because = (sid, reason) => ({ conversation, updateReasons }) =>
  conversation.sid === sid && updateReasons.includes(reason);

export default ({ test }) => {
  test('unread_messages_are_counted_from_the_read_horizon', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine, his] = await w.conversation({}, alice, bob);
    for (let n = 0; n < 5; n++) await mine.sendMessage(`number ${n}`);
    await bob.received('number 4');
    assert.equal(await his.getUnreadMessagesCount(), null);
    assert.equal(await his.advanceLastReadMessageIndex(1), 3);
    await bob.until('conversationUpdated', because(mine.sid, 'lastReadMessageIndex'));
    assert.equal(his.lastReadMessageIndex, 1);
    assert.equal(await his.getUnreadMessagesCount(), 3);
    // Never back by advancing, but by setting.
    assert.equal(await his.advanceLastReadMessageIndex(0), 3);
    assert.equal(await his.updateLastReadMessageIndex(0), 4);
    assert.equal(await his.setAllMessagesRead(), 0);
    assert.equal(await his.getUnreadMessagesCount(), 0);
    await mine.sendMessage('one more');
    await bob.received('one more');
    assert.equal(await his.getUnreadMessagesCount(), 1);
  });

  test('removed_messages_are_not_unread', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine, his] = await w.conversation({}, alice, bob);
    for (let n = 0; n < 4; n++) await mine.sendMessage(`number ${n}`);
    await bob.received('number 3');
    assert.equal(await his.advanceLastReadMessageIndex(0), 3);
    await (await alice.received('number 2')).remove();
    await bob.until('messageRemoved');
    assert.equal(await his.getUnreadMessagesCount(), 2);
  });

  test('a_read_horizon_is_seen_by_the_others', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine, his] = await w.conversation({}, alice, bob);
    await mine.sendMessage('zero');
    await mine.sendMessage('one');
    await bob.received('one');
    const seen = await mine.getParticipantByIdentity('bob');
    assert.equal(seen.lastReadMessageIndex, null);
    await his.setAllMessagesRead();
    const { participant } = await alice.until('participantUpdated', ({ participant, updateReasons }) =>
      participant.identity === 'bob' && updateReasons.includes('lastReadMessageIndex'));
    assert.equal(participant.lastReadMessageIndex, 1);
    assert.ok(Math.abs(participant.lastReadTimestamp - Date.now()) < 60_000);

    alice.forget();
    await his.setAllMessagesUnread();
    await alice.until('participantUpdated', ({ updateReasons }) => updateReasons.includes('lastReadMessageIndex'));
    assert.equal(participant.lastReadMessageIndex, null);
    // Nobody else's horizon moved.
    assert.equal(mine.lastReadMessageIndex, null);
  });

  test('a_read_horizon_is_shared_by_all_devices_and_kept', async (w) => {
    const [alice, phone, laptop] = await w.persons('alice', 'bob', 'bob');
    const [mine, his] = await w.conversation({}, alice, phone);
    const there = await laptop.joined(mine.sid);
    for (let n = 0; n < 3; n++) await mine.sendMessage(`number ${n}`);
    await phone.received('number 2');
    await his.advanceLastReadMessageIndex(1);
    await laptop.until('conversationUpdated', because(mine.sid, 'lastReadMessageIndex'));
    assert.equal(there.lastReadMessageIndex, 1);
    const later = await w.person('bob');
    const kept = await later.client.getConversationBySid(mine.sid);
    assert.deepEqual([kept.lastReadMessageIndex, await kept.getUnreadMessagesCount()], [1, 1]);
  });

  test('a_notification_level_is_ones_own', async (w) => {
    const [alice, phone, laptop] = await w.persons('alice', 'bob', 'bob');
    const [mine, his] = await w.conversation({}, alice, phone);
    const there = await laptop.joined(mine.sid);
    await his.setUserNotificationLevel('muted');
    for (const [person, view] of [[phone, his], [laptop, there]]) {
      await person.until('conversationUpdated', because(mine.sid, 'notificationLevel'));
      assert.equal(view.notificationLevel, 'muted');
    }
    assert.equal(mine.notificationLevel, 'default');
    laptop.forget();
    await his.setUserNotificationLevel('default');
    await laptop.until('conversationUpdated', because(mine.sid, 'notificationLevel'));
    assert.equal(there.notificationLevel, 'default');
  });
};
