import assert from 'node:assert/strict';

import { mint, nowSeconds } from '../../support/token.mjs';

const KEY = `SK${'1'.repeat(32)}`;
const SERVICE = `IS${'1'.repeat(32)}`;
const ACCOUNT = `AC${'1'.repeat(32)}`;

// What is wrong, the code, and the token.
const BAD = [
  ['garbage', 20101, () => 'garbage'],
  ['an empty token', 20101, () => '.'],
  ['a cut token', 20101, (s) => s.token('alice').split('.').slice(0, 2).join('.')],
  ['another algorithm', 20102, (s) => s.token('alice', { header: { alg: 'none' } })],
  ['not an Access Token', 20102, (s) => s.token('alice', { header: { cty: undefined } })],
  ['an unknown key', 20103, (s) => s.token('alice', { key: KEY })],
  ['another account', 20103, (s) => s.token('alice', { account: ACCOUNT })],
  ['the auth token as secret', 20107, (s) => s.token('alice', { secret: s.authToken })],
  ['a changed byte', 20107, (s) => `${s.token('alice').slice(0, -10)}AAAAAAAAAA`.replace(/A(?=A$)/, 'B')],
  ['an expired token', 20104, (s) => s.token('alice', { ttl: -60 })],
  ['a token of tomorrow', 20105, (s) => s.token('alice', { claims: { nbf: nowSeconds() + 600 } })],
  ['two days of validity', 20157, (s) => s.token('alice', { ttl: 2 * 86_400 })],
  ['no chat grant', 20106, (s) => s.token('alice', { grants: { chat: undefined } })],
  ['an unknown service', 20106, (s) => s.token('alice', { service: SERVICE })],
  ['no service', 20106, (s) => s.token('alice', { grants: { chat: {} } })],
  ['no identity', 20106, (s) => s.token(undefined)],
  ['a reserved identity', 20106, (s) => s.token('system')],
  ['an over-long identity', 51003, (s) => s.token('x'.repeat(257))],
];

export default ({ test, testWith }) => {
  test('a_bad_token_is_refused_with_its_code', async (w) => {
    for (const [what, code, make] of BAD) {
      const person = w.enter(what, make(w.server));
      const error = await person.until('connectionError', ({ errorCode }) => errorCode !== undefined);
      assert.deepEqual([error.terminal, error.httpStatusCode, error.errorCode], [true, 401, code], what);
      assert.ok(error.message.length > 'Connection error: '.length, `${what}: says why`);
      const failure = await person.until('initFailed', ({ error }) => error?.errorCode !== undefined);
      assert.equal(failure.error.errorCode, code, what);
      await person.until('connectionStateChanged', (state) => state === 'denied');
      assert.equal(person.count('initialized'), 0, what);
      assert.equal(person.count('tokenExpired') > 0, code === 20104, what);
      await person.shutdown();
    }
    const alice = await w.person('alice');
    assert.equal(alice.client.connectionState, 'connected');
  });

  test('tokens_of_every_library_are_accepted', async (w) => {
    const { server } = w;
    const { service } = server;
    const shapes = {
      ruby: { header: { twr: null }, claims: { nbf: nowSeconds() } },
      python: { claims: { nbf: nowSeconds() } },
      node: { claims: { iat: nowSeconds() } },
      old: { grants: { chat: undefined, ip_messaging: { service_sid: service } } },
      several: { grants: { video: { room: 'r' }, voice: {}, chat: { service_sid: service, endpoint_id: 'e' } } },
      longest: { ttl: 86_400 },
    };
    for (const [identity, changes] of Object.entries(shapes)) {
      assert.equal((await w.person(identity, server.token(identity, changes))).client.user.identity, identity);
    }
    const edge = 'x'.repeat(256);
    assert.equal((await w.person(edge)).client.user.identity, edge);
  });

  test('a_new_token_changes_nothing_but_the_token', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine] = await w.conversation({}, alice, bob);
    bob.forget();
    await bob.client.updateToken(w.server.token('bob', { ttl: 7200 }));
    assert.equal(bob.client.connectionState, 'connected');
    await mine.sendMessage('after the update');
    await bob.received('after the update');
    assert.deepEqual([bob.all('connectionStateChanged').filter((state) => state !== 'connected'), bob.all('connectionError')], [[], []]);
  });

  test('a_token_of_somebody_else_ends_the_connection', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine] = await w.conversation({}, alice, bob);
    await assert.rejects(bob.client.updateToken(w.server.token('mallory')));
    const error = await bob.until('connectionError', ({ errorCode }) => errorCode !== undefined);
    assert.deepEqual([error.terminal, error.httpStatusCode, error.errorCode], [true, 403, 20106]);
    assert.equal(bob.client.connectionState, 'denied');
    // One's own brings it back, and nothing was lost.
    await mine.sendMessage('meanwhile');
    await bob.client.updateToken(w.server.token('bob'));
    assert.equal((await bob.received('meanwhile')).author, 'alice');
  });

  test('a_bad_token_in_an_update_ends_the_connection', async (w) => {
    const alice = await w.person('alice');
    await assert.rejects(alice.client.updateToken(w.server.token('alice', { secret: 'x'.repeat(32) })));
    const error = await alice.until('connectionError', ({ errorCode }) => errorCode !== undefined);
    assert.deepEqual([error.terminal, error.httpStatusCode, error.errorCode], [true, 401, 20107]);
    await alice.client.updateToken(w.server.token('alice'));
    await alice.until('connectionStateChanged', () => alice.client.connectionState === 'connected');
  });

  const hurried = { settings: { TERTULIA__TOKENS__GRACE_SECONDS: '0' } };

  testWith(hurried, 'an_expired_token_ends_the_connection_unless_it_was_renewed', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    await w.server.clock({ Advance: 3600 - 60 });
    await Promise.all([alice, bob].map((person) => person.until('tokenAboutToExpire')));
    const [mine] = await w.conversation({}, alice, bob);
    await alice.client.updateToken(w.server.token('alice'));
    alice.forget();
    await w.server.clock({ Advance: 61 });
    await bob.until('tokenExpired');
    assert.equal(bob.client.connectionState, 'denied');
    assert.equal(alice.client.connectionState, 'connected');
    assert.equal(await mine.sendMessage('bob is out'), 0);
    assert.deepEqual([alice.all('tokenExpired'), alice.all('connectionError')], [[], []]);
    // Renewing in the handler, as everybody writes it, brings bob back.
    await bob.client.updateToken(w.server.token('bob'));
    await bob.received('bob is out');
  });

  test('the_warning_comes_again_after_an_update', async (w) => {
    const alice = await w.person('alice', w.server.token('alice', { ttl: 100 }));
    await alice.until('tokenAboutToExpire');
    await alice.client.updateToken(w.server.token('alice', { ttl: 150 }));
    await alice.untilAll('tokenAboutToExpire', 2);
    const bob = await w.person('bob', mint({ ...w.server, identity: 'bob' }));
    assert.equal(bob.count('tokenAboutToExpire'), 0);
  });
};
