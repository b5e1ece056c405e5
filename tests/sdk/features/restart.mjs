import assert from 'node:assert/strict';

import { toldBy } from '../../support/agreement.mjs';
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

  testWith({ keep: true }, 'what_happened_across_two_kills_is_told_to_whoever_was_away', async (w) => {
    const gate = await Gate.before(w.server.port);
    w.closing(() => gate.close());
    const [alice, carol] = await w.persons('alice', 'carol');
    const bob = await w.person('bob', undefined, gate.socketUrl);
    const [mine, his, hers] = await w.conversation({ friendlyName: 'before', attributes: { n: 1 } }, alice, bob, carol);
    const [doomed] = await w.conversation({ friendlyName: 'doomed' }, alice, bob);
    const [left] = await w.conversation({ friendlyName: 'left' }, alice, bob);
    const [rejoined, rejoinedByBob] = await w.conversation({ friendlyName: 'rejoined' }, alice, bob);
    for (const body of ['zero', 'one', 'two', 'three']) await mine.sendMessage(body);
    await rejoined.sendMessage('before');
    for (const person of [bob, carol]) await person.received('three');
    await bob.received('before');

    gate.shut();
    await bob.until('connectionStateChanged', () => bob.client.connectionState !== 'connected');
    bob.forget();
    const killed = async () => {
      // What an SDK asks when its connection ends may be a promise that nobody holds.
      await globalThis.WebSocket.idle([w.server.socketUrl]);
      await w.server.end('SIGKILL');
      for (const person of [alice, carol]) await person.until('connectionStateChanged', () => person.client.connectionState !== 'connected');
      await w.server.startAgain();
      for (const person of [alice, carol]) await person.connected();
    };
    await mine.sendMessage('four');
    await (await alice.received('zero')).updateBody('zero, edited');
    await mine.updateFriendlyName('between');
    await rejoined.removeParticipant('bob');
    await killed();
    await (await alice.received('one')).remove();
    await (await alice.received('two')).updateAttributes({ starred: true });
    await (await mine.getParticipantByIdentity('alice')).updateAttributes({ hat: 'red' });
    await mine.updateLastReadMessageIndex(3);
    await mine.sendMessage('five');
    await mine.sendMessage('six');
    await (await alice.received('six')).remove();
    await mine.updateFriendlyName('after');
    await mine.updateAttributes({ n: 2 });
    await hers.leave();
    await mine.add('dave', { late: true });
    await mine.add('erin');
    await mine.removeParticipant('erin');
    await doomed.delete();
    await left.removeParticipant('bob');
    await rejoined.sendMessage('while bob was out');
    await rejoined.add('bob');
    await rejoined.sendMessage('bob is back');
    const added = await alice.client.createConversation({ friendlyName: 'added' });
    await added.join();
    await alice.joined(added.sid);
    await added.sendMessage('a first word');
    await added.add('bob');
    await killed();

    gate.reopen();
    const found = await bob.joined(added.sid);
    assert.deepEqual((await found.getMessages()).items.map((message) => message.body), ['a first word']);
    // After this nothing is on its way: all was told once and in order.
    await mine.sendMessage('seven');
    await rejoined.sendMessage('welcome');
    await added.sendMessage('a second word');
    for (const body of ['seven', 'welcome', 'a second word']) await bob.received(body);
    await bob.eventually(() => his.lastMessage?.index === 7, 'the last message');

    assert.deepEqual(toldBy(bob), {
      after: {
        conversation: ['conversationUpdated attributes dateUpdated friendlyName lastMessage', 'conversationUpdated lastMessage'],
        message: [
          'messageAdded four', 'messageUpdated zero, edited body dateUpdated lastUpdatedBy', 'messageRemoved one',
          'messageUpdated two attributes dateUpdated lastUpdatedBy', 'messageAdded five', 'messageAdded seven',
        ],
        participant: [
          'participantUpdated alice attributes dateUpdated lastReadMessageIndex lastReadTimestamp',
          'participantLeft carol', 'participantJoined dave',
        ],
      },
      doomed: { conversation: ['conversationLeft', 'conversationRemoved'] },
      left: { conversation: ['conversationLeft', 'conversationRemoved'] },
      // Left and back: the conversation never went, and what was said meanwhile is there.
      rejoined: {
        conversation: ['conversationUpdated lastMessage', 'conversationUpdated lastMessage'],
        message: ['messageAdded while bob was out', 'messageAdded bob is back', 'messageAdded welcome'],
        participant: ['participantLeft bob', 'participantJoined bob'],
      },
      added: {
        conversation: ['conversationAdded', 'conversationJoined', 'conversationUpdated lastMessage'],
        message: ['messageAdded a second word'],
      },
    });
    assert.deepEqual([his.friendlyName, his.attributes], ['after', { n: 2 }]);
    assert.deepEqual((await his.getParticipants()).map((one) => one.identity).sort(), ['alice', 'bob', 'dave']);
    assert.equal(await rejoinedByBob.sendMessage('at home'), 4);
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
