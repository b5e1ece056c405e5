import assert from 'node:assert/strict';

/// An SDK error that carries this status and code.
const refused = (status, code) => (error) => {
  assert.deepEqual([error.status, error.body?.code], [status, code], String(error));
  return true;
};

const outside = refused(403, 50430);

export default ({ test }) => {
  test('an_outsider_neither_finds_nor_joins_a_conversation', async (w) => {
    const [alice, mallory] = await w.persons('alice', 'mallory');
    const [mine] = await w.conversation({ uniqueName: 'private' }, alice);
    await mine.sendMessage('between us');
    await assert.rejects(mallory.client.getConversationBySid(mine.sid), outside);
    await assert.rejects(mallory.client.peekConversationBySid(mine.sid), outside);
    await assert.rejects(mallory.client.getConversationByUniqueName('private'), (error) => {
      assert.match(error.body.message, /a participant or the backend can add one/);
      return outside(error);
    });
    assert.equal((await mallory.client.getSubscribedConversations()).items.length, 0);
    assert.equal(mallory.count('conversationAdded'), 0);
  });

  test('who_leaves_or_is_removed_is_an_outsider_at_once', async (w) => {
    const [alice, bob, carol] = await w.persons('alice', 'bob', 'carol');
    const [mine, his] = await w.conversation({ uniqueName: 'parting' }, alice, bob, carol);
    await mine.sendMessage('all are here');
    for (const person of [bob, carol]) await person.received('all are here');
    await his.leave();
    await mine.removeParticipant('carol');
    for (const person of [bob, carol]) {
      await person.until('conversationLeft', (left) => left.sid === mine.sid);
      await person.until('conversationRemoved', (gone) => gone.sid === mine.sid);
      await assert.rejects(person.client.getConversationBySid(mine.sid), outside);
      await assert.rejects(person.client.getConversationByUniqueName('parting'), outside);
    }
    await mine.sendMessage('alone now');
    await alice.received('alone now');
    for (const person of [bob, carol]) {
      assert.ok(!person.all('messageAdded').some((message) => message.body === 'alone now'), person.identity);
    }
  });

  // A rejection that nobody handles would end this process.
  test('being_removed_right_after_being_added_harms_nobody', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine] = await w.conversation({}, alice);
    for (let round = 1; round <= 5; round++) {
      await mine.add('bob');
      const his = (await bob.untilAll('conversationJoined', round)).at(-1);
      await his.getParticipants();
      await mine.removeParticipant('bob');
      await bob.untilAll('conversationRemoved', round);
    }
    await mine.add('bob');
    await bob.untilAll('conversationJoined', 6);
    await mine.sendMessage('at last');
    await bob.received('at last');
  });

  test('a_creator_adds_others_before_joining_and_is_given_the_creators_role', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const made = await alice.client.createConversation({ friendlyName: 'prepared' });
    await made.add('bob');
    const his = await bob.joined(made.sid);
    assert.equal(his.friendlyName, 'prepared');
    // The backend adds the creator: who adds does not matter for the role.
    await w.server.rest('POST', `/v1/Conversations/${made.sid}/Participants`, { Identity: 'alice' });
    const mine = await alice.joined(made.sid);
    await mine.removeParticipant('bob');
    await bob.until('conversationRemoved', (gone) => gone.sid === made.sid);
  });

  test('open_conversations_are_joined_but_not_by_who_was_removed', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const service = w.server.env.TWILIO_CHAT_SERVICE_SID;
    await w.server.rest('POST', `/tertulia/v1/Services/${service}/Settings`, { OpenConversations: 'true' });
    const [mine] = await w.conversation({ uniqueName: 'plaza' }, alice);
    const found = await bob.client.getConversationByUniqueName('plaza');
    await found.join();
    const his = await bob.joined(mine.sid);
    // (Taken out while it is still loading, a conversation makes the SDK reject a promise that nobody holds.)
    await his.getParticipants();
    await his.leave();
    await bob.until('conversationRemoved', (gone) => gone.sid === mine.sid);
    await (await bob.client.getConversationByUniqueName('plaza')).join();
    await (await bob.untilAll('conversationJoined', 2)).at(-1).getParticipants();
    await mine.removeParticipant('bob');
    await bob.untilAll('conversationRemoved', 2);
    await assert.rejects(bob.client.getConversationByUniqueName('plaza'), outside);
  });
};
