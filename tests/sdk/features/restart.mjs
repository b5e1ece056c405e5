import assert from 'node:assert/strict';

import { Gate } from '../../support/gate.mjs';

export default ({ test, testWith }) => {
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    testWith({ keep: true }, `clients_survive_a_restart_after_${signal}`, async (w) => {
      const [alice, bob] = await w.persons('alice', 'bob');
      const [mine, his] = await w.conversation({ friendlyName: 'kept', uniqueName: 'kept' }, alice, bob);
      await mine.sendMessage('before');
      await bob.received('before');
      await his.setAllMessagesRead();
      await bob.client.user.updateFriendlyName('Bob');

      await w.server.end(signal);
      await w.server.startAgain();
      await w.server.say(mine.sid, 'alice', 'meanwhile');
      await Promise.all([alice, bob].map((person) => person.received('meanwhile')));
      assert.equal(await his.sendMessage('after'), 2);
      for (const person of [alice, bob]) assert.equal((await person.received('after')).author, 'bob');
      for (const person of [alice, bob]) {
        assert.deepEqual(person.all('messageAdded').map((message) => message.body), ['before', 'meanwhile', 'after']);
        assert.equal(person.client.connectionState, 'connected');
        assert.ok(person.all('connectionError').every((error) => !error.terminal));
        assert.deepEqual([person.count('conversationLeft'), person.count('conversationRemoved')], [0, 0]);
      }
      const later = await w.person('bob');
      const kept = await later.client.getConversationByUniqueName('kept');
      assert.deepEqual([kept.sid, kept.friendlyName, later.client.user.friendlyName], [mine.sid, 'kept', 'Bob']);
      assert.deepEqual([kept.lastReadMessageIndex, await kept.getUnreadMessagesCount()], [0, 2]);
    });
  }

  testWith({ keep: true }, 'what_was_acknowledged_before_a_kill_is_kept', async (w) => {
    const alice = await w.person('alice');
    const [mine] = await w.conversation({}, alice);
    const acknowledged = new Map();
    const unknown = [];
    let enough;
    const some = new Promise((resolve) => (enough = resolve));
    const sends = Array.from({ length: 60 }, (_, n) => mine.sendMessage(`number ${n}`).then(
      (index) => acknowledged.set(index, `number ${n}`).size === 20 && enough(),
      () => unknown.push(`number ${n}`),
    ));
    await some;
    await w.server.end('SIGKILL');
    await w.server.startAgain();
    await Promise.all(sends);
    const later = await w.person('alice');
    const kept = (await (await later.client.getConversationBySid(mine.sid)).getMessages(100)).items;
    assert.deepEqual(kept.map((message) => message.index), kept.map((_, n) => n));
    for (const [index, body] of acknowledged) assert.equal(kept[index]?.body, body);
    const bodies = kept.map((message) => message.body);
    assert.equal(new Set(bodies).size, bodies.length, 'none twice');
  });

  test('what_happened_during_an_outage_is_told_once', async (w) => {
    const gate = await Gate.before(w.server.port);
    w.closing(() => gate.close());
    const alice = await w.person('alice');
    const bob = await w.person('bob', undefined, gate.socketUrl);
    const [mine, his] = await w.conversation({ friendlyName: 'before' }, alice, bob);
    const [doomed] = await w.conversation({ friendlyName: 'doomed' }, alice, bob);
    const [left] = await w.conversation({ friendlyName: 'left' }, alice, bob);
    for (const body of ['zero', 'one', 'two']) await mine.sendMessage(body);
    await bob.received('two');

    gate.shut();
    await bob.until('connectionStateChanged', () => bob.client.connectionState !== 'connected');
    bob.forget();
    await mine.sendMessage('three');
    await mine.sendMessage('four');
    await (await alice.received('zero')).updateBody('zero, edited');
    await (await alice.received('one')).remove();
    await (await alice.received('four')).remove();
    await mine.sendMessage('five');
    await mine.add('carol', { late: true });
    await mine.updateFriendlyName('after');
    await doomed.delete();
    await left.removeParticipant('bob');
    const added = await alice.client.createConversation({ friendlyName: 'added' });
    await added.join();
    await added.add('bob');
    await added.sendMessage('a first word');

    gate.reopen();
    await bob.received('five');
    const removed = await bob.until('messageRemoved', (message) => message.body === 'one');
    assert.equal(removed.index, 1);
    await bob.until('messageUpdated', ({ message }) => message.body === 'zero, edited');
    const carol = await bob.until('participantJoined', (participant) => participant.identity === 'carol');
    assert.deepEqual(carol.attributes, { late: true });
    await bob.until('conversationUpdated', ({ updateReasons }) => updateReasons.includes('friendlyName'));
    assert.equal(his.friendlyName, 'after');
    for (const gone of [doomed, left]) await bob.until('conversationRemoved', (conversation) => conversation.sid === gone.sid);
    const found = await bob.joined(added.sid);
    assert.equal(found.friendlyName, 'added');
    assert.deepEqual((await found.getMessages()).items.map((message) => message.body), ['a first word']);

    // After a last message nothing is on its way: all was told once and in order.
    await mine.sendMessage('six');
    await bob.received('six');
    const here = bob.all('messageAdded').filter((message) => message.conversation.sid === mine.sid);
    assert.deepEqual(here.map((message) => message.body), ['three', 'five', 'six']);
    assert.equal(bob.count('messageRemoved', (message) => message.body === 'one'), 1);
    assert.equal(bob.count('participantJoined', (participant) => participant.identity === 'carol'), 1);
    assert.equal(bob.count('conversationJoined'), 1);
    assert.equal(bob.count('conversationRemoved'), 2);
  });

  test('many_short_outages_lose_and_double_nothing', async (w) => {
    const gate = await Gate.before(w.server.port);
    w.closing(() => gate.close());
    const alice = await w.person('alice');
    const bob = await w.person('bob', undefined, gate.socketUrl);
    const [mine] = await w.conversation({}, alice, bob);
    for (let n = 0; n < 30; n++) {
      await mine.sendMessage(`number ${n}`);
      if (n % 3 === 0) {
        gate.shut();
        gate.reopen();
      }
      if (n % 10 === 9) await bob.received(`number ${n}`);
    }
    const messages = await bob.untilAll('messageAdded', 30);
    assert.deepEqual(messages.map((message) => message.body), Array.from({ length: 30 }, (_, n) => `number ${n}`));
    await mine.sendMessage('last');
    await bob.received('last');
    assert.equal(bob.count('messageAdded'), 31);
  });
};
