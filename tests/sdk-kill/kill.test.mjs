// The server is killed again and again under load from official SDK clients of all versions. A send that was
// answered is kept; one that was refused may be there or not, at most once; and everybody is told the same.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { VERSIONS, WebSocket } from '../sdk/versions.mjs';
import { agrees } from '../support/agreement.mjs';
import { Chance, freshSeed } from '../support/chance.mjs';
import { observed } from '../support/observed.mjs';
import { scene } from '../support/scene.mjs';
import { Ledger } from './ledger.mjs';
import { api, sender } from './workers.mjs';

const KILLS = 25;
/// Senders at once per client.
const SENDERS = 2;

globalThis.WebSocket = observed(WebSocket);

test('what_was_acknowledged_is_at_every_client_exactly_once_after_25_kills', { timeout: 240_000 }, scene(null, { keep: true }, async (w) => {
  const seed = freshSeed();
  console.log(`kill: TERTULIA_TEST_SEED=${seed}`);
  const [current, middle, old] = VERSIONS;
  const enter = (identity, sdk) => w.person(identity, undefined, undefined, sdk);
  const people = await Promise.all([enter('alice', current), enter('bob', middle), enter('carol', old), enter('bob', current)]);
  const [alice, bob, carol, bobToo] = people;

  // Nothing is removed from the first conversation, so that its indexes leave no gap.
  const places = [];
  for (const name of ['only said', 'changed', 'crowded']) {
    const [hers, his, theirs] = await w.conversation({ friendlyName: name }, alice, bob, carol);
    await bobToo.joined(hers.sid);
    places.push([hers, his, theirs, await bobToo.client.getConversationBySid(hers.sid)]);
    // Whoever got a message has subscribed. The SDK does not survive a cut before.
    await hers.sendMessage('start');
    await Promise.all(people.map((person) => person.until('messageAdded', (message) => message.conversation.sid === hers.sid)));
  }
  const sids = places.map(([view]) => view.sid);

  const ledger = new Ledger(sids);
  let up = Promise.resolve();
  const work = { ledger, changing: sids[1], crowded: sids[2], server: w.server, isUp: () => up };
  const workers = people.flatMap((person, n) => Array.from({ length: SENDERS }, (_, m) => {
    const views = places.map((place) => place[n]);
    return sender(work, `${person.identity}${n}${m}`, person, views, new Chance(seed + 10 * n + m + 1));
  }));
  workers.push(api(work, new Chance(seed + 99)));

  const chance = new Chance(seed);
  try {
    for (let kill = 0; kill < KILLS; kill++) {
      // Now and then while the clients are still coming back, else while all of them are at it.
      if (chance.below(4) > 0) await ledger.more(10 + chance.below(120));
      await pause(chance.below(100));
      let started;
      up = new Promise((resolve) => (started = resolve));
      await w.server.end('SIGKILL');
      await w.server.startAgain();
      started();
    }
    ledger.stop();
    await Promise.all(workers);

    for (const [n, person] of people.entries()) {
      await person.connected();
      for (const place of places) await place[n].sendMessage(`end of ${n}`);
    }
    for (const place of places) {
      await place[0].updateFriendlyName('the end');
      let truth;
      for (const [n, person] of people.entries()) truth = await agrees(w.server, person, place[n]);
      ledger.check(place[0].sid, truth);
    }
    const { messages } = await agrees(w.server, alice, places[0][0]);
    assert.deepEqual(messages.map(([index]) => index), messages.map((_, n) => n), 'no gap and none twice');
    console.log(`kill: ${KILLS} kills, ${ledger.summary()}`);
  } catch (error) {
    error.message += `\nTERTULIA_TEST_SEED=${seed}; ${ledger.summary()}`;
    throw error;
  } finally {
    ledger.stop();
  }
}));
