import assert from 'node:assert/strict';

import { settle } from '../../support/pair.mjs';
import { PATIENCE_MS } from '../../support/person.mjs';
import { within } from '../../support/server.mjs';

/// What was told are some of these, the first and the last among them, in this order and once.
function inOrder(person, bodies) {
  const told = person.all('messageAdded').map((message) => message.body);
  assert.deepEqual(told, bodies.filter((body) => told.includes(body)));
  assert.deepEqual([told[0], told.at(-1)], [bodies[0], bodies.at(-1)]);
}

export default ({ test }) => {
  for (const count of [24, 40, 100]) {
    test(`a_message_and_${count}_pages_that_nobody_waits_for_are_answered`, async (w) => {
      const [alice, bob] = await w.persons('alice', 'bob');
      const [mine, his] = await w.conversation({}, alice, bob);
      await settle(mine, alice, bob);
      // 100 of them took longer than an SDK waits for an answer when each page waited for its receipts by itself.
      const asked = [his.sendMessage('mine'), ...Array.from({ length: count }, () => his.getMessages(30))];
      const [index, ...pages] = await within(Promise.all(asked), PATIENCE_MS, 'the answers');
      assert.equal(index, 1);
      for (const page of pages) assert.deepEqual(page.items.map((message) => message.body), ['settled', 'mine']);
      await mine.sendMessage('last');
      await bob.received('last');
      // An SDK that sends a hundred requests in one go may be busy for so long that pages no longer wait for it, and
      // then its own message is not told (docs/decisions/0014). Nothing is told twice or out of order.
      inOrder(bob, ['settled', 'mine', 'last']);
    });
  }

  test('a_conversation_is_read_at_once_while_twenty_messages_arrive', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine, his] = await w.conversation({}, alice, bob);
    await settle(mine, alice, bob);
    const bodies = Array.from({ length: 20 }, (_, n) => `number ${n}`);
    // As the official demo app does: each message is read again with its page, and the horizon moves.
    const reads = [];
    bob.client.on('messageAdded', () => reads.push(his.getMessages(30), his.setAllMessagesRead()));
    for (const body of bodies) await mine.sendMessage(body);
    await mine.sendMessage('last');
    await bob.received('last');
    await within(Promise.all(reads), PATIENCE_MS, 'the reads');
    inOrder(bob, ['settled', ...bodies, 'last']);
  });
};
