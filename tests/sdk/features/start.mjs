import assert from 'node:assert/strict';

export default ({ test }) => {
  test('a_client_starts_and_knows_who_it_is', async (w) => {
    const alice = await w.person('alice');
    assert.equal(alice.client.connectionState, 'connected');
    assert.equal(alice.client.user.identity, 'alice');
    assert.deepEqual(alice.all('stateChanged'), ['initialized']);
    assert.deepEqual(alice.all('connectionError'), []);
    const mine = await alice.client.getSubscribedConversations();
    assert.deepEqual([mine.items.length, mine.hasNextPage], [0, false]);
  });

  test('identities_may_hold_any_letters', async (w) => {
    const identities = ['user@some-domain.com', 'Zoë Müller', '山田 太郎', "o'neil+chat/1?x=%41#", '😀'];
    const [alice, ...others] = await w.persons('alice', ...identities);
    const [mine, ...theirs] = await w.conversation({}, alice, ...others);
    for (const [index, view] of theirs.entries()) {
      await view.sendMessage(`from ${index}`);
      assert.equal((await alice.received(`from ${index}`)).author, identities[index]);
      const participant = await mine.getParticipantByIdentity(identities[index]);
      assert.equal((await participant.getUser()).identity, identities[index]);
      await mine.removeParticipant(identities[index]);
      await others[index].until('conversationRemoved', (gone) => gone.sid === mine.sid);
    }
  });

  test('identities_differ_by_letter_case', async (w) => {
    const [alice, lower, upper] = await w.persons('alice', 'bob', 'Bob');
    const [mine] = await w.conversation({}, alice, lower);
    assert.deepEqual((await mine.getParticipants()).map((one) => one.identity).sort(), ['alice', 'bob']);
    await mine.add('Bob');
    await upper.joined(mine.sid);
    await alice.until('participantJoined', (participant) => participant.identity === 'Bob');
    assert.equal(lower.count('conversationJoined'), 1);
  });

  test('a_client_that_shuts_down_leaves_plainly', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine] = await w.conversation({}, alice, bob);
    await bob.shutdown();
    // The SDK passes three seconds in `disconnecting` before it says so.
    assert.equal(bob.client.connectionState, 'disconnecting');
    assert.deepEqual(bob.all('connectionError'), []);
    await mine.sendMessage('is anybody there?');
    const again = await w.person('bob');
    const page = await (await again.client.getConversationBySid(mine.sid)).getMessages();
    assert.deepEqual(page.items.map((message) => message.body), ['is anybody there?']);
  });

  test('one_user_may_have_two_connections', async (w) => {
    const [phone, laptop, bob] = await w.persons('alice', 'alice', 'bob');
    const [mine] = await w.conversation({ friendlyName: 'both' }, phone, bob);
    const there = await laptop.joined(mine.sid);
    assert.equal(there.friendlyName, 'both');
    await mine.sendMessage('from the phone');
    await there.sendMessage('from the laptop');
    for (const person of [phone, laptop, bob]) {
      const messages = await person.untilAll('messageAdded', 2);
      assert.deepEqual(messages.map((message) => [message.index, message.author, message.body]), [
        [0, 'alice', 'from the phone'],
        [1, 'alice', 'from the laptop'],
      ]);
    }
    await phone.shutdown();
    await (await bob.client.getConversationBySid(mine.sid)).sendMessage('still there?');
    assert.equal((await laptop.received('still there?')).index, 2);
    assert.equal(laptop.count('messageAdded'), 3);
  });

  test('the_token_endpoint_of_dev_mode_gives_working_tokens', async (w) => {
    const { url, env } = w.server;
    const ask = (password) => fetch(`${url}/token?identity=carol&password=${password}`, { headers: { origin: 'http://elsewhere.example', connection: 'close' } });
    const given = await ask(env.TERTULIA_DEV_PASSWORD);
    assert.equal(given.status, 200);
    assert.ok(given.headers.get('access-control-allow-origin'), 'an app of another origin may ask');
    const carol = await w.person('carol', (await given.text()).trim());
    assert.equal(carol.client.user.identity, 'carol');
    const refused = await ask('wrong');
    assert.equal(refused.status, 401);
    assert.ok((await refused.text()).length > 0, 'says why');
  });
};
