// An identity provider that tells of logouts: OpenID Connect Back-Channel Logout 1.0.

import assert from 'node:assert/strict';

import { OAuth2Server } from 'oauth2-mock-server';

import { ask, bearer, person, withConfig, withProvider } from './counterparts.mjs';

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';

let number = 0;

/// Tells of a logout; `claims` change the logout token.
async function logout(server, provider, claims, { as = provider } = {}) {
  const payload = { aud: 'chat', jti: `logout-${number += 1}`, events: { [EVENT]: {} }, sub: undefined, ...claims };
  const scopesOrTransform = (_, own) => {
    Object.assign(own, payload);
    for (const name of Object.keys(own)) if (own[name] === undefined) delete own[name];
  };
  return tell(server, await as.issuer.buildToken({ scopesOrTransform, expiresIn: 120 }));
}

async function tell(server, token) {
  const response = await fetch(`${server.url}/token/logout`, { method: 'POST', body: new URLSearchParams({ logout_token: token }) });
  assert.equal(response.headers.get('cache-control'), 'no-store');
  return { status: response.status, text: await response.text() };
}

/// What docs/revocation.md promises between the answer and the end, and how often it may be tried on a machine that is busy.
const PROMISED_MS = 1000;
const TRIES = 3;

/// In a second in which nothing was revoked.
const later = () => new Promise((resolve) => setTimeout(resolve, 1100));

withConfig('a_session_that_ends_at_the_provider_ends_here_and_no_other', withProvider, async ({ server, token, provider }) => {
  const [home, phone] = [await token({ sid: 'home' }), await token({ sid: 'phone' })];
  const minted = (await ask(server, bearer(home))).body;
  const ana = await person(server, minted.identity, minted.token);
  const disconnected = new Promise((resolve) => ana.client.on('connectionStateChanged', (state) => state !== 'connected' && resolve()));
  assert.deepEqual(await logout(server, provider, { sid: 'home', sub: '7' }), { status: 200, text: '' });
  await disconnected;
  assert.equal((await ask(server, bearer(home))).status, 401);
  assert.equal((await ask(server, bearer(phone))).status, 200);
  await ana.client.shutdown();
});

withConfig('a_logout_ends_a_live_connection_within_a_second', withProvider, async ({ server, token, provider }) => {
  const took = [];
  while (!took.some((ms) => ms <= PROMISED_MS)) {
    assert.ok(took.length < TRIES, `each time too late: ${took.join(', ')} ms`);
    const sid = `try ${took.length}`;
    const minted = (await ask(server, bearer(await token({ sid })))).body;
    const ana = await person(server, minted.identity, minted.token);
    let ended;
    const disconnected = new Promise((resolve) => ana.client.on('connectionStateChanged', (state) => {
      if (state === 'connected') return;
      ended ??= performance.now();
      resolve();
    }));
    assert.equal((await logout(server, provider, { sid })).status, 200);
    const answered = performance.now();
    await disconnected;
    took.push(ended - answered);
    await ana.client.shutdown();
  }
});

withConfig('a_subject_that_is_logged_out_has_nothing_left_until_it_logs_in_again', withProvider, async ({ server, token, provider }) => {
  const before = [await token({ sid: 'home' }), await token()];
  const minted = (await ask(server, bearer(before[0]))).body;
  const ana = await person(server, minted.identity, minted.token);
  const disconnected = new Promise((resolve) => ana.client.on('connectionStateChanged', (state) => state !== 'connected' && resolve()));
  assert.equal((await logout(server, provider, { sub: '7' })).status, 200);
  await disconnected;
  for (const jwt of before) assert.equal((await ask(server, bearer(jwt))).status, 401);
  await later();
  assert.equal((await ask(server, bearer(await token({ sid: 'home' })))).status, 200);
  await ana.client.shutdown();
});

withConfig('what_is_no_logout_token_of_the_provider_ends_nothing', withProvider, async ({ server, token, provider }) => {
  const jwt = await token({ sid: 'home' });
  const now = Math.floor(Date.now() / 1000);
  const other = new OAuth2Server();
  await other.issuer.keys.generate('RS256', { kid: 'first' });
  other.issuer.url = provider.issuer.url;
  const wrong = {
    'without the event': { events: {} },
    'with a text for the event': { events: { [EVENT]: 'yes' } },
    'with a nonce': { nonce: 'x' },
    'without a name of its own': { jti: undefined },
    'of nobody': { sid: undefined },
    'without its moment': { iat: undefined },
    expired: { exp: now - 60 },
    'for somebody else': { aud: 'other' },
    'of another issuer': { iss: 'http://127.0.0.1:1' },
  };
  for (const [what, claims] of Object.entries(wrong)) {
    const { status, text } = await logout(server, provider, { sid: 'home', ...claims });
    assert.deepEqual([status, JSON.parse(text).error], [400, 'invalid_request'], what);
  }
  assert.equal((await logout(server, provider, { sid: 'home' }, { as: other })).status, 400, 'forged');
  assert.equal((await tell(server, 'a.b.c')).status, 400);
  assert.equal((await tell(server, jwt)).status, 400, 'a login is no logout');
  assert.equal((await fetch(`${server.url}/token/logout`)).status, 405);
  assert.equal((await ask(server, bearer(jwt))).status, 200);
  // A logout token counts once.
  assert.equal((await logout(server, provider, { sid: 'away', jti: 'once' })).status, 200);
  assert.equal((await logout(server, provider, { sid: 'home', jti: 'once' })).status, 400);
  assert.equal((await ask(server, bearer(jwt))).status, 200);
});
