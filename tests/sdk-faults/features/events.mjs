import assert from 'node:assert/strict';

import { aBitOfEverything, bothAgree, cutOff, pair } from '../../support/pair.mjs';

/// Bob reads a message before its news come. Gives whether it was told; if so, changes of it must be told, too.
async function readsBeforeItsNews(w, read) {
  const { alice, bob, mine, his } = await pair(w);
  // Until the next news uncover it.
  await w.server.fault('delay-event', { Stream: 'talk', Milliseconds: 60_000 });
  await mine.sendMessage('read before its news came');
  await read(his);
  await mine.sendMessage('told');
  const all = ['settled', 'read before its news came', 'told'];
  await Promise.all([alice, bob].map((person) => person.received('told')));
  const told = (person) => person.all('messageAdded').map((message) => message.body);
  assert.deepEqual(told(alice), all);
  const { items } = await his.getMessages(10);
  assert.deepEqual(items.map((message) => message.body), all);
  if (told(bob).length < all.length) return false;
  assert.deepEqual(told(bob), all);
  await w.server.rest('POST', `/v1/Conversations/${mine.sid}/Messages/${items[1].sid}`, { Body: 'edited' });
  await bob.until('messageUpdated', ({ message }) => message.body === 'edited');
  return true;
}

export default ({ test }) => {
  for (const [kind, more] of [['delay-event', { Milliseconds: 60 }], ['duplicate-event', {}], ['reorder-event', { Milliseconds: 60 }], ['drop-event', {}]]) {
    test(`${kind}_of_everything_leaves_both_with_the_stores_history`, async (w) => {
      const both = await pair(w);
      const fault = await w.server.fault(kind, { ...more, Times: 0 });
      await aBitOfEverything(w, both, 1);
      assert.ok((await w.server.hits(fault)) > 10, 'it struck');
      await w.server.mend();
      // The next news of each stream uncover what was lost.
      const last = await aBitOfEverything(w, both, 2);
      await bothAgree(w, both, last);
    });
  }

  for (const stream of ['talk', 'roster', 'mine', 'info']) {
    test(`one_lost_piece_of_news_of_${stream}_is_made_good_by_the_next`, async (w) => {
      const both = await pair(w);
      const fault = await w.server.fault('drop-event', { Stream: stream });
      await aBitOfEverything(w, both, 1);
      const last = await aBitOfEverything(w, both, 2);
      assert.equal(await w.server.hits(fault), 1);
      await bothAgree(w, both, last);
    });
  }

  test('a_lost_invitation_is_made_good_by_the_next', async (w) => {
    const both = await pair(w);
    const { alice, bob } = both;
    const made = [];
    for (const name of ['lost', 'told']) {
      const one = await alice.client.createConversation({ friendlyName: name });
      await one.join();
      await alice.joined(one.sid);
      await w.server.fault('drop-event', { Stream: 'mine', Times: name === 'lost' ? 1 : 0, Skip: name === 'lost' ? 0 : 100 });
      await one.add('bob');
      made.push(one);
    }
    for (const one of made) {
      const joined = await bob.joined(one.sid);
      assert.equal(joined.friendlyName, one.friendlyName);
      assert.equal(bob.count('conversationJoined', (view) => view.sid === one.sid), 1);
    }
    await bothAgree(w, both);
  });

  for (const stream of ['talk', 'roster', 'mine']) {
    test(`a_hole_in_${stream}_is_passed_over`, async (w) => {
      const both = await pair(w);
      const where = { ConversationSid: both.mine.sid, ...(stream === 'mine' && { Identity: 'bob' }) };
      for (const positions of [1, 7]) await w.server.fault('hole', { ...where, Stream: stream, Positions: positions });
      await aBitOfEverything(w, both, 1);
      await w.server.fault('hole', { ...where, Stream: stream, Positions: 3 });
      // Coming back over a hole is as good as passing it.
      await cutOff(w, both.bob);
      const last = await aBitOfEverything(w, both, 2);
      await bothAgree(w, both, last);
    });
  }

  // The SDK does not tell what a page brought before its event came, so the server lets the page wait for it.
  const readers = { getMessages: (view) => view.getMessages(10), setAllMessagesRead: (view) => view.setAllMessagesRead() };
  for (const [name, read] of Object.entries(readers)) {
    test(`a_message_that_${name}_reads_before_its_news_come_is_told`, async (w) => {
      // A page waits for its receipts for 100 ms, which a busy client may need: the best of three counts.
      for (let round = 0; round < 3; round++) {
        if (await readsBeforeItsNews(w, read)) return;
      }
      assert.fail('it was told in none of three rounds');
    });
  }
};
