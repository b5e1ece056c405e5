import assert from 'node:assert/strict';

import { Chance, freshSeed } from '../../support/chance.mjs';
import { Gate } from '../../support/gate.mjs';
import { aBitOfEverything, bothAgree, cutOff, pair, settle } from '../../support/pair.mjs';

/// Alice and bob, whose sockets can be told from all others.
async function throughGate(w, name) {
  const gate = await Gate.before(w.server.port);
  w.closing(() => gate.close());
  const [alice, bob] = [await w.person('alice'), await w.person(name, undefined, gate.socketUrl)];
  const [mine, his] = await w.conversation({}, alice, bob);
  await settle(mine, alice, bob);
  return { gate, bob, mine, his };
}

/// Bob's app reads a page when his client is back; the request goes out just before his subscriptions, or is answered
/// long before them. Gives whether what the page brought was told.
async function readsOnReturn(w, { gate, bob, mine, his }, order) {
  await w.server.fault('refuse-upgrade', { Status: 503, Times: 2 });
  await w.server.fault('cut', { Identity: bob.identity });
  await bob.until('connectionStateChanged', () => bob.client.connectionState !== 'connected');
  await mine.sendMessage('meanwhile');
  const page = await new Promise((resolve, reject) => {
    const look = (state) => {
      if (state !== 'connected') return;
      bob.client.off('connectionStateChanged', look);
      const letGo = holdBack(socketTo(gate), order === 'page just before' ? '/Items' : '/v4/Subscriptions');
      his.getMessages(10).then(resolve, reject).finally(letGo);
    };
    bob.client.on('connectionStateChanged', look);
  });
  assert.deepEqual(page.items.map((message) => message.body), ['settled', 'meanwhile']);
  await mine.sendMessage('told');
  await bob.received('told');
  return bob.count('messageAdded', (message) => message.body === 'meanwhile') === 1;
}

const socketTo = ({ socketUrl }) => [...globalThis.WebSocket.all].find((one) => one.url === socketUrl && one.readyState === 1);

/// Keeps the client's requests for a path until it subscribes, or until it is told to let them go.
function holdBack(socket, path) {
  const held = [];
  const send = socket.send.bind(socket);
  const letGo = () => held.splice(0).forEach((packet) => send(...packet));
  let holds = true;
  socket.send = (...packet) => {
    const text = Buffer.from(packet[0]).toString('latin1');
    if (holds && text.includes(path)) return held.push(packet);
    if (text.includes('/v4/Subscriptions')) letGo();
    return send(...packet);
  };
  return () => {
    holds = false;
    letGo();
  };
}

/// Says it until it is answered; before that it may have been said, or not.
async function insist(person, view, text) {
  for (let n = 0; ; n++) {
    try {
      return await view.sendMessage(`${text} (${n})`);
    } catch (error) {
      if (error.body?.code) throw error;
      await person.connected();
    }
  }
}

export default ({ test, testWith }) => {
  test('a_refused_upgrade_is_tried_again', async (w) => {
    const both = await pair(w);
    const fault = await w.server.fault('refuse-upgrade', { Status: 503, Times: 5 });
    await w.server.fault('cut');
    for (const person of [both.alice, both.bob]) await person.until('connectionStateChanged', (state) => state !== 'connected');
    await w.server.say(both.mine.sid, 'eve', 'meanwhile');
    for (const person of [both.alice, both.bob]) {
      await person.received('meanwhile');
      await person.connected();
    }
    assert.equal(await w.server.hits(fault), 5);
    const last = await aBitOfEverything(w, both);
    await bothAgree(w, both, last);
    for (const person of [both.alice, both.bob]) assert.ok(person.all('connectionError').every((error) => !error.terminal));
  });

  // Where the SDK is at fault: `initFailed` comes although it goes on trying, and succeeds.
  test('a_first_connection_that_is_refused_fails_and_then_starts', async (w) => {
    await w.server.fault('refuse-upgrade', { Status: 503, Times: 2 });
    const carol = w.enter('carol');
    await carol.until('initFailed');
    await carol.until('initialized');
    assert.equal(carol.client.connectionState, 'connected');
  });

  test('a_cut_connection_comes_back_and_misses_nothing', async (w) => {
    const both = await pair(w);
    for (const person of [both.alice, both.bob]) {
      const back = cutOff(w, person);
      await w.server.say(both.mine.sid, 'eve', `while ${person.identity} was away`);
      assert.equal((await back).hits, 1);
    }
    const last = await aBitOfEverything(w, both);
    await bothAgree(w, both, last);
  });

  // The SDK subscribes again some 100 ms after it is back, and does not tell what a page brought before an event. So the
  // server holds a page for 100 ms (docs/decisions/0014). A busy client may need them: the best of three counts.
  test('what_a_page_brings_just_before_the_sdk_has_subscribed_again_is_told', async (w) => {
    for (const name of ['bob', 'ben', 'bill']) {
      if (await readsOnReturn(w, await throughGate(w, name), 'page just before')) return;
    }
    assert.fail('it was told in none of three rounds');
  });

  // Where the server cannot help: it cannot know what will be subscribed to, and does not wait for ever.
  test('what_a_page_brings_long_before_the_sdk_has_subscribed_again_is_not_told', async (w) => {
    assert.equal(await readsOnReturn(w, await throughGate(w, 'bob'), 'page long before'), false);
  });

  test('a_cut_after_any_packet_loses_and_doubles_nothing', async (w) => {
    const seed = freshSeed();
    console.log(`cut: TERTULIA_TEST_SEED=${seed}`);
    const chance = new Chance(seed);
    const both = await pair(w);
    for (let round = 0; round < 12; round++) {
      await w.server.fault('cut', { Identity: chance.of(['alice', 'bob']), AfterPackets: chance.below(12) });
      await Promise.all([insist(both.alice, both.mine, `alice ${round}`), insist(both.bob, both.his, `bob ${round}`), w.server.say(both.mine.sid, 'eve', `eve ${round}`)]);
    }
    await w.server.mend();
    for (const person of [both.alice, both.bob]) await person.connected();
    await both.mine.updateFriendlyName('the end');
    const { messages } = await bothAgree(w, both);
    assert.deepEqual(messages.map(([index]) => index), messages.map((_, n) => n));
  });

  testWith({ keep: true }, 'a_server_that_dies_between_commit_and_news_leaves_both_whole', async (w) => {
    const both = await pair(w);
    for (const stream of ['talk', 'roster', 'mine', 'info']) {
      await w.server.fault('stop', { Stream: stream });
      const act = {
        talk: () => both.mine.sendMessage('committed, and told by nobody'),
        roster: () => both.mine.add(`guest of ${stream}`),
        mine: () => both.his.setUserNotificationLevel('muted'),
        info: () => both.bob.client.user.updateFriendlyName('Bob 1'),
      }[stream];
      const failed = act().then(() => false, () => true);
      await w.server.ended;
      await w.server.startAgain();
      assert.ok(await failed, `${stream}: no answer`);
    }
    for (const person of [both.alice, both.bob]) await person.received('committed, and told by nobody');
    await both.alice.until('participantJoined', (participant) => participant.identity === 'guest of roster');
    await both.his.updateLastReadMessageIndex(0);
    await bothAgree(w, both, { level: 'muted', name: 'Bob 1', read: 0 });
  });
};
