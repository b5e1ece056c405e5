import assert from 'node:assert/strict';

const because = (message, reason) => (event) => event.message.sid === message.sid && event.updateReasons.includes(reason);

export default ({ test }) => {
  test('a_message_arrives_byte_for_byte', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine] = await w.conversation({}, alice, bob);
    const bodies = [
      'Hello Bob', 'Grüße, señor Čapek', '你好，世界', 'שלום עולם', '👩‍👩‍👧‍👦 🏳️‍🌈 \u{1F9D1}\u{1F3FD}‍🚀',
      'two\r\nlines\tand a tab', '  spaces around  ', '{"json": "not parsed"}', '<b>&amp;</b> \\ " \' %41 +', 'e\u0301 is not \u00e9',
      '\u0001\u007f\u2028\u2029\ufeff', 'x'.repeat(32_768), '',
    ];
    for (const [index, body] of bodies.entries()) {
      assert.equal(await mine.sendMessage(body, { index }), index);
    }
    for (const person of [alice, bob]) {
      const messages = await person.untilAll('messageAdded', bodies.length);
      for (const [index, message] of messages.entries()) {
        assert.equal(message.body, bodies[index]);
        assert.deepEqual(
          [message.index, message.author, message.attributes, message.type], [index, 'alice', { index }, 'text'],
        );
        assert.match(message.sid, /^IM[0-9a-f]{32}$/);
        assert.match(message.participantSid, /^MB[0-9a-f]{32}$/);
        assert.ok(Math.abs(message.dateCreated - Date.now()) < 60_000);
      }
    }
    const later = await w.person('bob');
    const page = await (await later.client.getConversationBySid(mine.sid)).getMessages(50);
    assert.deepEqual(page.items.map((message) => message.body), bodies);
  });

  test('fifty_at_once_keep_one_order', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine, his] = await w.conversation({}, alice, bob);
    const sends = Array.from({ length: 50 }, (_, n) => {
      const [who, where] = n % 2 ? [alice, mine] : [bob, his];
      const body = `${who.identity} ${n}`;
      return where.sendMessage(body).then((index) => [index, body]);
    });
    const sent = (await Promise.all(sends)).sort(([a], [b]) => a - b);
    assert.deepEqual(sent.map(([index]) => index), Array.from({ length: 50 }, (_, n) => n));
    for (const person of [alice, bob]) {
      const messages = await person.untilAll('messageAdded', 50);
      assert.deepEqual(messages.map((message) => [message.index, message.body]), sent);
    }
    // What one client sent first comes first: answers on a connection keep their order.
    for (const name of ['alice', 'bob']) {
      const numbers = sent.map(([, body]) => body.split(' ')).filter(([who]) => who === name).map(([, n]) => Number(n));
      assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b));
    }
    // A last one after which nothing may be on its way: each came once.
    await mine.sendMessage('last');
    for (const person of [alice, bob]) {
      assert.equal((await person.received('last')).index, 50);
      assert.equal(person.count('messageAdded'), 51);
    }
    assert.equal(await his.getMessagesCount(), 51);
  });

  test('history_is_paged_both_ways', async (w) => {
    const [alice] = await w.persons('alice');
    const [mine] = await w.conversation({}, alice);
    await mine.add('bob');
    for (let n = 0; n < 35; n++) await w.server.say(mine.sid, 'alice', `number ${n}`);
    const bob = await w.person('bob');
    const his = await bob.client.getConversationBySid(mine.sid);
    const numbers = (page) => page.items.map((message) => message.index);
    const range = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

    let page = await his.getMessages(10);
    for (const [from, to, before] of [[25, 34, true], [15, 24, true], [5, 14, true], [0, 4, false]]) {
      assert.deepEqual(numbers(page), range(from, to));
      assert.deepEqual(page.items.map((message) => message.body), range(from, to).map((n) => `number ${n}`));
      assert.equal(page.hasPrevPage, before);
      if (before) page = await page.prevPage();
    }
    for (const [from, to] of [[5, 14], [15, 24], [25, 34]]) {
      assert.equal(page.hasNextPage, true);
      page = await page.nextPage();
      assert.deepEqual(numbers(page), range(from, to));
    }
    assert.equal(page.hasNextPage, false);
  });

  test('history_is_read_from_an_anchor', async (w) => {
    const [alice] = await w.persons('alice');
    const [mine] = await w.conversation({}, alice);
    await mine.add('bob');
    await mine.add('carol');
    for (let n = 0; n < 35; n++) await w.server.say(mine.sid, 'alice', `number ${n}`);
    const numbers = (page) => page.items.map((message) => message.index);
    const range = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

    const bob = await w.person('bob');
    const his = await bob.client.getConversationBySid(mine.sid);
    let page = await his.getMessages(10, 0, 'forward');
    assert.equal(page.hasPrevPage, false);
    for (const [from, to, after] of [[0, 9, true], [10, 19, true], [20, 29, true], [30, 34, false]]) {
      assert.deepEqual([numbers(page), page.hasNextPage], [range(from, to), after]);
      if (after) page = await page.nextPage();
    }

    // In the middle, by somebody with nothing cached: both ways lead on.
    const carol = await w.person('carol');
    const hers = await carol.client.getConversationBySid(mine.sid);
    const middle = await hers.getMessages(10, 20, 'backwards');
    assert.deepEqual([numbers(middle), middle.hasPrevPage, middle.hasNextPage], [range(11, 20), true, true]);
    assert.deepEqual(numbers(await middle.prevPage()), range(1, 10));
    assert.deepEqual(numbers(await middle.nextPage()), range(21, 30));
  });

  test('an_edited_body_reaches_everybody', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine] = await w.conversation({}, alice, bob);
    await mine.sendMessage('before', { kept: true });
    const [hers, his] = await Promise.all([alice.received('before'), bob.received('before')]);
    await hers.updateBody('after 🎉');
    for (const [person, message] of [[alice, hers], [bob, his]]) {
      await person.until('messageUpdated', because(message, 'body'));
      assert.deepEqual(
        [message.body, message.attributes, message.lastUpdatedBy, message.index], ['after 🎉', { kept: true }, 'alice', 0],
      );
      assert.ok(message.dateUpdated >= message.dateCreated);
    }
    const later = await w.person('bob');
    const page = await (await later.client.getConversationBySid(mine.sid)).getMessages();
    assert.deepEqual(page.items.map((message) => message.body), ['after 🎉']);
  });

  test('changed_message_attributes_reach_everybody', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine] = await w.conversation({}, alice, bob);
    await mine.sendMessage('body', { a: 1 });
    const [hers, his] = await Promise.all([alice.received('body'), bob.received('body')]);
    await hers.updateAttributes({ b: ['ü'] });
    await bob.until('messageUpdated', because(his, 'attributes'));
    assert.deepEqual([his.attributes, his.body], [{ b: ['ü'] }, 'body']);
  });

  test('only_the_author_edits_and_removes', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine, his] = await w.conversation({}, alice, bob);
    await mine.sendMessage('hers');
    const message = await bob.received('hers');
    await assert.rejects(message.updateBody('his'), (error) => error.status === 403);
    await assert.rejects(message.remove(), (error) => error.status === 403);
    await his.sendMessage('barrier');
    await bob.received('barrier');
    assert.deepEqual([message.body, bob.count('messageUpdated'), bob.count('messageRemoved')], ['hers', 0, 0]);
  });

  test('a_removed_message_is_gone_and_its_index_not_reused', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine, his] = await w.conversation({}, alice, bob);
    for (const body of ['zero', 'one', 'two']) await mine.sendMessage(body);
    await bob.received('two');
    for (const body of ['two', 'one']) {
      await (await alice.received(body)).remove();
      const gone = await bob.until('messageRemoved', (message) => message.body === body);
      assert.equal(gone.index, body === 'two' ? 2 : 1);
    }
    assert.equal(await his.sendMessage('three'), 3);
    await alice.received('three');
    const later = await w.person('bob');
    const page = await (await later.client.getConversationBySid(mine.sid)).getMessages();
    assert.deepEqual(page.items.map((message) => [message.index, message.body]), [[0, 'zero'], [3, 'three']]);
    assert.equal(await his.getMessagesCount(), 2);
  });

  test('the_last_message_of_a_conversation_is_told', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine, his] = await w.conversation({}, alice, bob);
    await mine.sendMessage('zero');
    await mine.sendMessage('one');
    await bob.until('conversationUpdated', ({ conversation, updateReasons }) =>
      updateReasons.includes('lastMessage') && conversation.lastMessage?.index === 1);
    assert.ok(Math.abs(his.lastMessage.dateCreated - Date.now()) < 60_000);
  });

  test('a_body_over_the_limit_is_refused', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine] = await w.conversation({}, alice, bob);
    const refused = (code) => (error) => error.status === 400 && error.body.code === code;
    await assert.rejects(mine.sendMessage('x'.repeat(32_769)), refused(50504));
    // Bytes of UTF-8 count, not letters.
    await assert.rejects(mine.sendMessage('ü'.repeat(16_385)), refused(50504));
    await assert.rejects(mine.sendMessage('x', { long: 'x'.repeat(4096) }), refused(50303));
    assert.equal(await mine.sendMessage('ü'.repeat(16_384)), 0);
    await bob.until('messageAdded', (message) => message.index === 0);
  });

  test('a_message_made_over_rest_arrives_live', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine] = await w.conversation({}, alice, bob);
    const made = await w.server.say(mine.sid, 'alice', 'over REST, ¡olé! 🎸', { Attributes: '{"from": "rest"}' });
    for (const person of [alice, bob]) {
      const message = await person.received('over REST, ¡olé! 🎸');
      assert.deepEqual(
        [message.sid, message.author, message.index, message.attributes], [made.sid, 'alice', made.index, { from: 'rest' }],
      );
    }
    await w.server.rest('POST', `/v1/Conversations/${mine.sid}/Messages`, { Body: 'by nobody' });
    assert.equal((await bob.received('by nobody')).author, 'system');
    await w.server.rest('POST', `/v1/Conversations/${mine.sid}/Messages/${made.sid}`, { Body: 'edited over REST' });
    await bob.until('messageUpdated', ({ message }) => message.body === 'edited over REST');
    await w.server.rest('DELETE', `/v1/Conversations/${mine.sid}/Messages/${made.sid}`);
    await bob.until('messageRemoved', (message) => message.sid === made.sid);
  });
};
