import assert from 'node:assert/strict';

const is = (identity) => (participant) => participant.identity === identity;

export default ({ test }) => {
  test('who_comes_and_goes_is_told', async (w) => {
    const [alice, bob, carol] = await w.persons('alice', 'bob', 'carol');
    const [mine, his] = await w.conversation({}, alice, bob);
    const added = await mine.add('carol', { seat: 3 });
    const [seenByAlice, seenByBob] = await Promise.all(
      [alice, bob].map((person) => person.until('participantJoined', is('carol'))),
    );
    for (const participant of [seenByAlice, seenByBob]) {
      assert.deepEqual([participant.sid, participant.attributes, participant.type], [added.sid, { seat: 3 }, 'chat']);
    }
    await carol.joined(mine.sid);
    assert.equal(await his.getParticipantsCount(), 3);
    assert.equal((await his.getParticipantBySid(seenByBob.sid)).identity, 'carol');

    await mine.removeParticipant('carol');
    await Promise.all([alice, bob].map((person) => person.until('participantLeft', is('carol'))));
    await carol.until('conversationLeft', (left) => left.sid === mine.sid);
    await carol.until('conversationRemoved', (gone) => gone.sid === mine.sid);
    assert.equal(await his.getParticipantsCount(), 2);
    assert.equal((await carol.client.getSubscribedConversations()).items.length, 0);
  });

  test('whoever_was_removed_hears_nothing_more', async (w) => {
    const [alice, bob, carol] = await w.persons('alice', 'bob', 'carol');
    const [mine, , hers] = await w.conversation({}, alice, bob, carol);
    await mine.removeParticipant('carol');
    await carol.until('conversationRemoved');
    await mine.sendMessage('a secret');
    await bob.received('a secret');
    await assert.rejects(hers.sendMessage('let me in'), (error) => [403, 404].includes(error.status));
    // Later news to carol come after anything that would have been sent to her before.
    const [other] = await w.conversation({}, alice, carol);
    await other.sendMessage('for carol');
    await carol.received('for carol');
    assert.equal(carol.count('messageAdded', (message) => message.body === 'a secret'), 0);
  });

  test('participants_have_attributes', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine, his] = await w.conversation({}, alice, bob);
    const self = await his.getParticipantByIdentity('bob');
    await self.updateAttributes({ mood: 'good ☀️' });
    const { participant } = await alice.until('participantUpdated', ({ participant, updateReasons }) =>
      participant.identity === 'bob' && updateReasons.includes('attributes'));
    assert.deepEqual(participant.attributes, { mood: 'good ☀️' });
    assert.deepEqual((await mine.getParticipantByIdentity('bob')).attributes, { mood: 'good ☀️' });
  });

  test('nobody_is_added_twice', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine] = await w.conversation({}, alice, bob);
    await assert.rejects(mine.add('bob'), (error) => error.status === 409 && error.body.code === 50433);
    assert.equal(await mine.getParticipantsCount(), 2);
  });

  test('whoever_left_may_come_back', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine, his] = await w.conversation({ friendlyName: 'the club' }, alice, bob);
    const before = await mine.getParticipantByIdentity('bob');
    for (let round = 0; round < 3; round++) {
      alice.forget();
      bob.forget();
      const view = round === 0 ? his : await bob.client.getConversationBySid(mine.sid);
      await view.leave();
      await bob.until('conversationLeft', (left) => left.sid === mine.sid);
      await bob.until('conversationRemoved', (gone) => gone.sid === mine.sid);
      await alice.until('participantLeft', is('bob'));
      await mine.sendMessage(`while bob was away ${round}`);
      await alice.received(`while bob was away ${round}`);
      assert.equal(bob.count('messageAdded'), 0);

      await mine.add('bob');
      const back = await bob.joined(mine.sid);
      const after = await alice.until('participantJoined', is('bob'));
      assert.notEqual(after.sid, before.sid);
      assert.equal(back.friendlyName, 'the club');
      await back.sendMessage(`back again ${round}`);
      assert.equal((await alice.received(`back again ${round}`)).author, 'bob');
      await mine.sendMessage(`welcome ${round}`);
      await bob.received(`welcome ${round}`);
    }
  });

  test('whoever_made_a_conversation_may_leave_and_join_it', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine] = await w.conversation({}, alice, bob);
    await mine.leave();
    await alice.until('conversationRemoved', (gone) => gone.sid === mine.sid);
    await bob.until('participantLeft', is('alice'));
    await w.server.rest('POST', `/v1/Conversations/${mine.sid}/Participants`, { Identity: 'alice' });
    await bob.until('participantJoined', is('alice'));
    const back = await alice.untilAll('conversationJoined', 2, (joined) => joined.sid === mine.sid).then((twice) => twice[1]);
    // The SDK still holds the conversation, so it tells of joining before it has loaded it.
    await back.getParticipants();
    await back.sendMessage('here again');
    for (const person of [alice, bob]) await person.received('here again');
  });

  test('participants_added_over_rest_are_live', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine] = await w.conversation({}, alice);
    const path = `/v1/Conversations/${mine.sid}/Participants`;
    const added = await w.server.rest('POST', path, { Identity: 'bob', Attributes: '{"by":"rest"}' });
    await bob.joined(mine.sid);
    const seen = await alice.until('participantJoined', is('bob'));
    assert.deepEqual([seen.sid, seen.attributes], [added.sid, { by: 'rest' }]);
    await w.server.rest('DELETE', `${path}/${added.sid}`);
    await bob.until('conversationRemoved', (gone) => gone.sid === mine.sid);
    await alice.until('participantLeft', is('bob'));
  });
};
