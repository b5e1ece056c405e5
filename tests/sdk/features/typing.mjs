import assert from 'node:assert/strict';

/// The SDK subscribes some 100 ms after it has loaded a conversation, and who has not yet subscribed is told
/// nothing of typing. Whoever got a message has.
async function settle(view, ...people) {
  await view.sendMessage('settled');
  for (const person of people) await person.received('settled');
}

export default ({ test, testWith }) => {
  test('typing_is_seen_by_the_others_only', async (w) => {
    const [alice, phone, laptop, carol] = await w.persons('alice', 'bob', 'bob', 'carol');
    const [mine, his] = await w.conversation({}, alice, phone, carol);
    await laptop.joined(mine.sid);
    const [foreign] = await w.conversation({}, alice);
    await settle(mine, alice, phone, laptop, carol);
    await his.typing();
    for (const person of [alice, carol]) {
      const participant = await person.until('typingStarted', (typist) => typist.identity === 'bob');
      assert.equal(participant.conversation.sid, mine.sid);
      assert.equal(participant.isTyping, true);
    }
    // A message ends it, and comes after whatever the sender's own devices were told before.
    await his.sendMessage('typed');
    for (const person of [alice, carol]) {
      const participant = await person.until('typingEnded', (typist) => typist.identity === 'bob');
      assert.equal(participant.isTyping, false);
    }
    for (const person of [phone, laptop]) {
      await person.received('typed');
      assert.equal(person.count('typingStarted'), 0);
    }
    assert.equal(alice.count('typingStarted', (typist) => typist.conversation.sid === foreign.sid), 0);
  });

  testWith({ settings: { TERTULIA__REALTIME__TYPING_SECONDS: '1' } }, 'typing_ends_by_itself', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine, his] = await w.conversation({}, alice, bob);
    await settle(mine, alice, bob);
    for (let round = 0; round < 2; round++) {
      alice.forget();
      await his.typing();
      await alice.until('typingStarted', (typist) => typist.identity === 'bob');
      await alice.until('typingEnded', (typist) => typist.identity === 'bob');
    }
  });

  test('whoever_is_not_a_participant_cannot_be_seen_typing', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine, his] = await w.conversation({}, alice, bob);
    await settle(mine, alice, bob);
    await mine.removeParticipant('bob');
    await bob.until('conversationRemoved');
    await his.typing().catch(() => {});
    await mine.sendMessage('barrier');
    await alice.received('barrier');
    assert.equal(alice.count('typingStarted'), 0);
  });
};
