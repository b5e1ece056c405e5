import assert from 'node:assert/strict';

const ATTRIBUTES = { topic: 'café ☕', deep: { list: [1, 2.5, null, true, 'x'] }, empty: {} };

const because = (sid, reason) => ({ conversation, updateReasons }) =>
  conversation.sid === sid && updateReasons.includes(reason);

/// An SDK error that carries this status and code.
const refused = (status, code) => (error) => {
  assert.deepEqual([error.status, error.body?.code], [status, code], String(error));
  return true;
};

export default ({ test }) => {
  test('a_conversation_is_what_its_creator_said', async (w) => {
    const alice = await w.person('alice');
    const made = await alice.client.createConversation({
      friendlyName: 'Tertulia ☕', uniqueName: 'round table', attributes: ATTRIBUTES,
    });
    assert.match(made.sid, /^CH[0-9a-f]{32}$/);
    assert.deepEqual(
      [made.friendlyName, made.uniqueName, made.attributes, made.createdBy, made.status],
      ['Tertulia ☕', 'round table', ATTRIBUTES, 'alice', 'notParticipating'],
    );
    assert.equal(made.state.current, 'active');
    assert.ok(Math.abs(made.dateCreated - Date.now()) < 60_000);
    await made.join();
    await alice.joined(made.sid);
    assert.equal(made.status, 'joined');
    assert.equal(made.lastReadMessageIndex, null);
    assert.equal(made.notificationLevel, 'default');
  });

  test('whoever_is_added_sees_the_conversation_at_once', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine, his] = await w.conversation({ friendlyName: 'f', uniqueName: 'u', attributes: ATTRIBUTES }, alice, bob);
    await bob.until('conversationAdded', (conversation) => conversation.sid === mine.sid);
    assert.deepEqual(
      [his.friendlyName, his.uniqueName, his.attributes, his.createdBy, his.status],
      ['f', 'u', ATTRIBUTES, 'alice', 'joined'],
    );
    assert.deepEqual((await his.getParticipants()).map((participant) => participant.identity).sort(), ['alice', 'bob']);
    assert.equal(bob.count('conversationAdded'), 1);
    assert.equal(bob.count('conversationJoined'), 1);
  });

  test('a_conversation_is_found_by_name_and_by_sid', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine] = await w.conversation({ friendlyName: 'f', uniqueName: 'a name/with?signs&ümläut' }, alice, bob);
    for (const person of [alice, bob]) {
      const named = await person.client.getConversationByUniqueName('a name/with?signs&ümläut');
      const numbered = await person.client.getConversationBySid(mine.sid);
      const peeked = await person.client.peekConversationBySid(mine.sid);
      for (const found of [named, numbered, peeked]) {
        assert.deepEqual([found.sid, found.friendlyName, found.createdBy], [mine.sid, 'f', 'alice']);
      }
    }
  });

  test('what_is_not_there_is_404', async (w) => {
    const alice = await w.person('alice');
    const nowhere = `CH${'0'.repeat(32)}`;
    await assert.rejects(alice.client.getConversationBySid(nowhere), refused(404, 50350));
    await assert.rejects(alice.client.peekConversationBySid(nowhere), refused(404, 50350));
    await assert.rejects(alice.client.getConversationByUniqueName('nowhere'), refused(404, 50350));
  });

  test('a_unique_name_is_taken_once', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const first = await alice.client.createConversation({ uniqueName: 'taken' });
    await assert.rejects(bob.client.createConversation({ uniqueName: 'taken' }), refused(409, 50353));
    const second = await alice.client.createConversation({ uniqueName: 'free' });
    await second.join();
    await assert.rejects(second.updateUniqueName('taken'), refused(409, 50353));
    assert.equal(second.uniqueName, 'free');
    assert.notEqual(first.sid, second.sid);
  });

  test('concurrent_claims_of_a_unique_name_have_one_winner', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const claims = Array.from({ length: 10 }, (_, n) => (n % 2 ? alice : bob).client.createConversation({ uniqueName: 'one' }));
    const outcomes = await Promise.allSettled(claims);
    assert.equal(outcomes.filter((outcome) => outcome.status === 'fulfilled').length, 1);
    for (const { reason } of outcomes.filter((outcome) => outcome.status === 'rejected')) refused(409, 50353)(reason);
  });

  test('a_change_of_name_and_attributes_reaches_everybody', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine, his] = await w.conversation({ friendlyName: 'before', uniqueName: 'old' }, alice, bob);
    await mine.updateFriendlyName('after');
    await bob.until('conversationUpdated', because(mine.sid, 'friendlyName'));
    assert.equal(his.friendlyName, 'after');
    await mine.updateAttributes(ATTRIBUTES);
    await bob.until('conversationUpdated', because(mine.sid, 'attributes'));
    assert.deepEqual(his.attributes, ATTRIBUTES);
    await mine.updateUniqueName('new');
    await bob.until('conversationUpdated', because(mine.sid, 'uniqueName'));
    assert.equal(his.uniqueName, 'new');
    assert.equal((await bob.client.getConversationByUniqueName('new')).sid, mine.sid);
    await assert.rejects(bob.client.getConversationByUniqueName('old'), refused(404, 50350));

    // The old name is free, and the new one after it was given up.
    await alice.client.createConversation({ uniqueName: 'old' });
    bob.forget();
    await mine.updateUniqueName('');
    await bob.until('conversationUpdated', because(mine.sid, 'uniqueName'));
    assert.ok(!his.uniqueName);
    await alice.client.createConversation({ uniqueName: 'new' });
    // What the SDK was told still holds for somebody who comes later.
    const later = await w.person('bob');
    const seen = await later.client.getConversationBySid(mine.sid);
    assert.deepEqual([seen.friendlyName, seen.attributes], ['after', ATTRIBUTES]);
  });

  test('attributes_may_be_any_json', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine, his] = await w.conversation({}, alice, bob);
    for (const value of ['text', 5, [1, { a: null }], { '"quotes"': '\\ \u0001 \u2028' }]) {
      bob.forget();
      await mine.sendMessage('carrier', value);
      assert.deepEqual((await bob.received('carrier')).attributes, value);
      await mine.updateAttributes(value);
      await bob.until('conversationUpdated', because(mine.sid, 'attributes'));
      assert.deepEqual(his.attributes, value);
    }
  });

  test('a_state_set_over_rest_reaches_the_sdk', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine, his] = await w.conversation({}, alice, bob);
    await w.server.rest('POST', `/v1/Conversations/${mine.sid}`, { State: 'inactive' });
    await bob.until('conversationUpdated', because(mine.sid, 'state'));
    assert.equal(his.state.current, 'inactive');
    await w.server.rest('POST', `/v1/Conversations/${mine.sid}`, { State: 'closed' });
    await alice.until('conversationUpdated', () => mine.state.current === 'closed');
    await assert.rejects(his.sendMessage('too late'), (error) => error.body.code === 50377);
  });

  test('a_deleted_conversation_is_gone_for_everybody', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine] = await w.conversation({ uniqueName: 'brief' }, alice, bob);
    await mine.sendMessage('soon forgotten');
    await bob.received('soon forgotten');
    await mine.delete();
    for (const person of [alice, bob]) {
      await person.until('conversationRemoved', (gone) => gone.sid === mine.sid);
      await assert.rejects(person.client.getConversationBySid(mine.sid), refused(404, 50350));
      await assert.rejects(person.client.getConversationByUniqueName('brief'), refused(404, 50350));
      assert.equal((await person.client.getSubscribedConversations()).items.length, 0);
    }
    const [next] = await w.conversation({ uniqueName: 'brief' }, bob);
    assert.equal(await next.sendMessage('afresh'), 0);
    await bob.received('afresh');
  });

  // (Removed while the SDK is still loading it, a conversation makes the SDK reject a promise that nobody
  // holds, whatever the server answers; so the deletion comes right after the loading, before the subscriptions.)
  test('deleting_right_after_adding_harms_nobody', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    for (let round = 0; round < 5; round++) {
      const made = await alice.client.createConversation();
      await made.join();
      await alice.joined(made.sid);
      await made.getParticipants();
      await made.add('bob');
      const his = await bob.joined(made.sid);
      await his.getParticipants();
      await made.delete();
      for (const person of [alice, bob]) await person.until('conversationRemoved', (gone) => gone.sid === made.sid);
    }
    const [mine] = await w.conversation({}, alice, bob);
    await mine.sendMessage('alive');
    await bob.received('alive');
    assert.deepEqual([alice.all('connectionError'), bob.all('connectionError')], [[], []]);
  });

  test('somebody_in_many_conversations_finds_them_all', async (w) => {
    const { server } = w;
    const made = [];
    for (let number = 0; number < 60; number++) {
      const { sid } = await server.rest('POST', '/v1/Conversations', { FriendlyName: `number ${number}` });
      await server.rest('POST', `/v1/Conversations/${sid}/Participants`, { Identity: 'alice' });
      made.push(sid);
    }
    const alice = await w.person('alice');
    const found = [];
    for (let page = await alice.client.getSubscribedConversations(); ; page = await page.nextPage()) {
      found.push(...page.items);
      if (!page.hasNextPage) break;
    }
    assert.deepEqual(found.map((conversation) => conversation.sid).sort(), made.sort());
    for (const [number, sid] of [[0, made[0]], [1, made[59]]]) {
      await server.say(sid, 'system', `to ${number}`);
      assert.equal((await alice.received(`to ${number}`)).conversation.sid, sid);
    }
  });
};
