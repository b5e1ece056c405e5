import assert from 'node:assert/strict';

import { Gate } from '../../support/gate.mjs';

const REASON = 'reachabilityOnline';

/// The chat service says who is online from now on; clients that start later know.
async function sayWhoIsOnline(w) {
  await w.server.rest('POST', `/v1/Services/${w.server.service}/Configuration`, { ReachabilityEnabled: 'true' });
}

/// What somebody has heard of another user's coming and going.
const heard = (person, identity) =>
  person.count('userUpdated', ({ user, updateReasons }) => user.identity === identity && updateReasons.includes(REASON));

const isOnline = async (w, identity) => (await w.server.rest('GET', `/v1/Users/${identity}`)).is_online;

/// Somebody's view of a user who is connected and shown so.
async function seenOnline(w, person, identity) {
  const user = await person.client.getUser(identity);
  await person.eventually(() => user.isOnline === true, `${identity} online`);
  assert.equal(await isOnline(w, identity), true);
  return user;
}

export default ({ test, testWith }) => {
  test('who_comes_and_goes_is_told', async (w) => {
    await sayWhoIsOnline(w);
    const alice = await w.person('alice');
    assert.equal(alice.client.reachabilityEnabled, true);
    await w.server.rest('POST', '/v1/Users', { Identity: 'bob' });
    const seen = await alice.client.getUser('bob');
    assert.ok(!seen.isOnline);

    const bob = await w.person('bob');
    await alice.until('userUpdated', ({ user, updateReasons }) => user.identity === 'bob' && updateReasons.includes(REASON));
    assert.deepEqual([seen.isOnline, seen.isNotifiable], [true, false]);
    await bob.eventually(() => bob.client.user.isOnline === true, 'knowing oneself online');

    const page = await w.person('bob');
    await page.shutdown();
    await bob.shutdown();
    // The server hears of the end in its own time, and counts from there: it is moved until it has.
    for (let tries = 0; heard(alice, 'bob') < 2 && tries < 50; tries++) {
      await w.server.rest('POST', '/tertulia/v1/Clock', { Advance: '11' });
      await alice.until('userUpdated', () => heard(alice, 'bob') === 2, 200).catch(() => {});
    }
    assert.deepEqual([seen.isOnline, await isOnline(w, 'bob'), heard(alice, 'bob')], [false, false, 2]);
  });

  test('a_reconnect_is_no_flicker', async (w) => {
    await sayWhoIsOnline(w);
    const gate = await Gate.before(w.server.port);
    w.closing(() => gate.close());
    const alice = await w.person('alice');
    const bob = await w.person('bob', undefined, gate.socketUrl);
    const seen = await seenOnline(w, alice, 'bob');
    alice.forget();
    for (let n = 0; n < 3; n++) {
      bob.forget();
      gate.shut();
      await bob.until('connectionStateChanged', (state) => state !== 'connected');
      gate.reopen();
      await bob.until('connectionStateChanged', (state) => state === 'connected');
    }
    await bob.client.user.updateFriendlyName('still here');
    await alice.until('userUpdated', ({ user }) => user.friendlyName === 'still here');
    assert.deepEqual([seen.isOnline, heard(alice, 'bob')], [true, 0]);
  });

  for (const signal of ['SIGTERM', 'SIGKILL']) {
    testWith({ keep: true }, `a_restart_after_${signal}_is_no_flicker`, async (w) => {
      await sayWhoIsOnline(w);
      const [alice, bob] = await w.persons('alice', 'bob');
      const seen = await seenOnline(w, alice, 'bob');
      for (const person of [alice, bob]) person.forget();
      await w.server.end(signal);
      await w.server.startAgain();
      for (const person of [alice, bob]) {
        await person.until('connectionStateChanged', (state) => state === 'connected');
      }
      await bob.client.user.updateFriendlyName('back again');
      await alice.until('userUpdated', ({ user }) => user.friendlyName === 'back again');
      assert.deepEqual([seen.isOnline, await isOnline(w, 'bob'), heard(alice, 'bob')], [true, true, 0]);
    });
  }

  test('nobody_is_online_where_the_service_does_not_say', async (w) => {
    const [alice] = await w.persons('alice', 'bob');
    assert.equal(alice.client.reachabilityEnabled, false);
    const seen = await alice.client.getUser('bob');
    assert.deepEqual([seen.isOnline, await isOnline(w, 'bob')], [null, null]);
  });
};
