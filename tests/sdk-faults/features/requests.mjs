import assert from 'node:assert/strict';

import { bothAgree, pair, settle } from '../../support/pair.mjs';

const refused = (status, code) => (error) => {
  assert.deepEqual([error.status, error.body?.code], [status, code], String(error));
  return true;
};

export default ({ test }) => {
  for (const [status, code] of [[429, 20429], [500, 20500], [503, 20503]]) {
    test(`a_change_refused_with_${status}_is_not_made_and_not_tried_again`, async (w) => {
      const both = await pair(w);
      const { mine, alice } = both;
      const [message] = alice.all('messageAdded');
      const wrong = (Method, Path) => w.server.fault('answer', { Method, Path, Status: status, Code: code });
      const faults = [];
      for (const [method, path, act] of [
        ['POST', '*/Messages', () => mine.sendMessage('refused')],
        ['POST', '*/Messages/*', () => message.updateBody('refused')],
        ['DELETE', '*/Messages/*', () => message.remove()],
        ['POST', '*/Participants', () => mine.add('eve')],
        ['POST', `*/Conversations/${mine.sid}`, () => mine.updateFriendlyName('refused')],
        ['POST', '*/MyConversations/*', () => mine.updateLastReadMessageIndex(0)],
        ['POST', '*/Users/*', () => alice.client.user.updateFriendlyName('refused')],
        ['DELETE', '*/Participants/*', () => mine.removeParticipant('bob')],
      ]) {
        faults.push(await wrong(method, path));
        await assert.rejects(act(), refused(status, code), `${method} ${path}`);
      }
      for (const fault of faults) assert.equal(await w.server.hits(fault), 1);
      await mine.sendMessage('accepted');
      const { messages, facts, roster } = await bothAgree(w, both);
      assert.deepEqual(messages.map(([, , , body]) => body), ['settled', 'accepted']);
      assert.deepEqual([facts[0], roster.map(([, identity]) => identity).sort()], ['before', ['alice', 'bob']]);
    });
  }

  test('a_change_whose_answer_was_lost_is_made_and_told_once', async (w) => {
    const both = await pair(w);
    const { mine, alice, bob } = both;
    await w.server.fault('answer', { Method: 'POST', Path: '*/Messages', Status: 503, Code: 20503, When: 'after' });
    await assert.rejects(mine.sendMessage('answered wrongly'), refused(503, 20503));
    for (const person of [alice, bob]) await person.received('answered wrongly');
    await w.server.fault('answer', { Method: 'POST', Path: '*/Participants', Status: 503, Code: 20503, When: 'after' });
    await assert.rejects(mine.add('eve'), refused(503, 20503));
    // Whoever tries again learns that it was done.
    await assert.rejects(mine.add('eve'), refused(409, 50433));
    const { messages } = await bothAgree(w, both);
    assert.equal(messages.length, 2);
  });

  test('a_subscription_refused_is_tried_again', async (w) => {
    const both = await pair(w);
    for (const status of [429, 500]) {
      const fault = await w.server.fault('answer', { Method: 'POST', Path: '/v4/Subscriptions', Status: status, Times: 4 });
      await w.server.fault('cut');
      await w.server.say(both.mine.sid, 'eve', `during ${status}`);
      for (const person of [both.alice, both.bob]) await person.received(`during ${status}`);
      assert.equal(await w.server.hits(fault), 4);
    }
    await bothAgree(w, both);
  });

  test('a_start_survives_a_configuration_that_fails_five_times', async (w) => {
    const fault = await w.server.fault('answer', { Method: 'GET', Path: '/Client/v2/Configuration', Times: 5 });
    const alice = await w.person('alice');
    assert.equal(await w.server.hits(fault), 5);
    const [mine] = await w.conversation({}, alice);
    await settle(mine, alice);
  });

  test('an_answer_held_back_comes_after_its_events', async (w) => {
    const both = await pair(w);
    const { mine, alice, bob } = both;
    const hold = await w.server.fault('hold', { Method: 'POST', Path: '*/Messages', Identity: 'alice', Times: 0 });
    let answered = 0;
    const sends = [1, 2, 3].map((n) => mine.sendMessage(`held ${n}`).then((index) => {
      answered += 1;
      return index;
    }));
    await bob.received('held 1');
    await alice.received('held 1');
    assert.equal(answered, 0);
    await w.server.mend(hold);
    assert.deepEqual(await Promise.all(sends), [1, 2, 3]);
    await bothAgree(w, both);
  });

  test('a_connection_that_ends_while_an_answer_is_held_says_so', async (w) => {
    const both = await pair(w);
    const { mine, alice, bob } = both;
    await w.server.fault('hold', { Method: 'POST', Path: '*/Messages', Identity: 'alice', Times: 0 });
    const send = mine.sendMessage('unanswered').then(() => 'answered', () => 'refused');
    await bob.received('unanswered');
    await w.server.fault('cut', { Identity: 'alice' });
    assert.equal(await send, 'refused');
    await w.server.mend();
    await alice.received('unanswered');
    await bothAgree(w, both);
  });
};
