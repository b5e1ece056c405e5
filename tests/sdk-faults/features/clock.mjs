import assert from 'node:assert/strict';

import { agrees } from '../../support/agreement.mjs';
import { bothAgree, pair } from '../../support/pair.mjs';

const TOKEN_SECONDS = 3600;
const WARNING_SECONDS = 180;
/// What the issue of this feature asks for, and how often it may be tried on a machine that is busy.
const PROMPT_MS = 200;
const TRIES = 3;

const hurried = { settings: { TERTULIA__TOKENS__GRACE_SECONDS: '0' } };

/// The quickest of a few tries: how long after `from` the event came.
async function promptly(what, once) {
  const took = [];
  for (let n = 0; n < TRIES; n++) {
    took.push(await once());
    if (took.at(-1) <= PROMPT_MS) return;
  }
  assert.fail(`${what} took ${took.join(', ')} ms`);
}

/// Notes when an event comes; the time is of this process.
function watch(person, name, fits = () => true) {
  return new Promise((resolve) => {
    const note = (value) => {
      if (!fits(value)) return;
      person.client.removeListener(name, note);
      resolve(performance.now());
    };
    person.client.on(name, note);
  });
}

export default ({ test, testWith }) => {
  testWith(hurried, 'the_warning_comes_within_200_ms_of_the_clocks_move', async (w) => {
    await promptly('tokenAboutToExpire', async () => {
      const alice = await w.person('alice');
      assert.equal(alice.count('tokenAboutToExpire'), 0);
      const warned = watch(alice, 'tokenAboutToExpire');
      await w.server.clock({ Advance: TOKEN_SECONDS - WARNING_SECONDS + 1 });
      const from = performance.now();
      const took = await warned - from;
      assert.equal(alice.count('tokenExpired'), 0);
      assert.equal(alice.client.connectionState, 'connected');
      await alice.client.updateToken(w.server.token('alice'));
      assert.equal(alice.client.connectionState, 'connected');
      return took;
    });
  });

  testWith(hurried, 'expiry_is_told_within_200_ms_of_the_reconnect_and_renewed_in_the_handler', async (w) => {
    const { alice, bob, mine, his } = await pair(w);
    let renewals = 0;
    const renew = async () => {
      renewals += 1;
      await bob.client.updateToken(w.server.token('bob'));
    };
    bob.client.on('tokenExpired', renew);
    await promptly('tokenExpired', async () => {
      const lost = watch(bob, 'connectionStateChanged', (state) => state === 'connecting');
      const expired = watch(bob, 'tokenExpired');
      const before = renewals;
      // Alice renews in time, and for all tries.
      await w.server.clock({ Advance: TOKEN_SECONDS - 60 });
      await alice.client.updateToken(w.server.token('alice', { ttl: (TRIES + 1) * TOKEN_SECONDS }));
      await w.server.clock({ Advance: 61 });
      const took = await expired - await lost;
      await mine.sendMessage(`while bob was out ${before}`);
      await bob.received(`while bob was out ${before}`);
      assert.equal(renewals, before + 1);
      return took;
    });
    assert.deepEqual([alice.all('tokenExpired'), alice.all('connectionError')], [[], []]);
    await agrees(w.server, alice, mine);
    await agrees(w.server, bob, his);
  });

  testWith(hurried, 'a_token_renewed_long_after_expiry_brings_everything_back', async (w) => {
    const { alice, bob, mine, his } = await pair(w);
    await w.server.clock({ Advance: TOKEN_SECONDS + 1 });
    for (const person of [alice, bob]) {
      await person.until('tokenExpired');
      await person.until('connectionStateChanged', (state) => state === 'denied');
    }
    await alice.client.updateToken(w.server.token('alice'));
    await alice.connected();
    await mine.sendMessage('bob is out');
    await alice.received('bob is out');
    assert.equal(bob.client.connectionState, 'denied');
    await assert.rejects(his.sendMessage('let me in'));
    await bob.client.updateToken(w.server.token('bob'));
    await bob.received('bob is out');
    await his.sendMessage('back');
    await bothAgree(w, { alice, bob, mine, his });
    assert.equal(bob.count('tokenExpired'), 1);
  });

  testWith({ settings: { TERTULIA__TOKENS__GRACE_SECONDS: '60' } }, 'within_the_grace_a_dead_token_still_lives', async (w) => {
    const { alice, bob, mine, his } = await pair(w);
    await w.server.clock({ Advance: TOKEN_SECONDS + 30, Freeze: true });
    for (const person of [alice, bob]) await person.until('tokenAboutToExpire');
    await mine.sendMessage('still alive');
    await bob.received('still alive');
    assert.deepEqual([alice.count('tokenExpired'), bob.count('tokenExpired')], [0, 0]);
    await w.server.clock({ Advance: 31 });
    for (const person of [alice, bob]) await person.until('tokenExpired');
    for (const person of [alice, bob]) await person.client.updateToken(w.server.token(person.identity));
    await bothAgree(w, { alice, bob, mine, his });
  });

  test('a_frozen_clock_stops_dates_and_nothing_else', async (w) => {
    const { alice, bob, mine, his } = await pair(w);
    const at = '2031-05-06T07:08:09Z';
    await w.server.clock({ At: at, Freeze: true });
    // Their tokens died with that.
    for (const person of [alice, bob]) {
      await person.until('tokenExpired');
      await person.client.updateToken(w.server.token(person.identity));
      await person.connected();
    }
    for (const text of ['one', 'two']) await mine.sendMessage(text);
    for (const person of [alice, bob]) {
      for (const text of ['one', 'two']) assert.equal((await person.received(text)).dateCreated.toISOString(), '2031-05-06T07:08:09.000Z');
    }
    await his.typing();
    await alice.until('typingStarted', (participant) => participant.identity === 'bob');
    await his.sendMessage('typed');
    await alice.until('typingEnded', (participant) => participant.identity === 'bob');
    await bothAgree(w, { alice, bob, mine, his });
    await w.server.clock({ Reset: true });
  });
};
