// JWTs of an identity provider, a real one on loopback.

import assert from 'node:assert/strict';

import { OAuth2Server } from 'oauth2-mock-server';

import { ask, bearer, withConfig, withProvider } from './counterparts.mjs';

withConfig('a_jwt_of_the_provider_comes_in', withProvider, async ({ server, token }) => {
  const { status, body } = await ask(server, bearer(await token()));
  assert.equal(status, 200, JSON.stringify(body));
  assert.equal(body.identity, 'ana@example.com');
  assert.equal((await ask(server, bearer(await token({ aud: ['other', 'chat'] })))).status, 200);
  assert.equal((await ask(server, bearer(await token({ groups: [] })))).status, 403);
  assert.equal((await ask(server, bearer(await token({ email_verified: false })))).status, 403);
});

withConfig('what_is_not_the_providers_or_not_for_us_stays_out', withProvider, async ({ server, token, provider }) => {
  const now = Math.floor(Date.now() / 1000);
  const good = await token();
  const [head, payload, signature] = good.split('.');
  const unsigned = Buffer.from(JSON.stringify({ alg: 'none', kid: 'first' })).toString('base64url');
  const changed = Buffer.from(Buffer.from(payload, 'base64url').toString().replace('"7"', '"8"')).toString('base64url');
  const other = new OAuth2Server();
  await other.issuer.keys.generate('RS256', { kid: 'first' });
  other.issuer.url = provider.issuer.url;
  const forged = await other.issuer.buildToken({ scopesOrTransform: (_, claims) => Object.assign(claims, { sub: '7', aud: 'chat' }) });
  await provider.issuer.keys.generate('ES256', { kid: 'curve' });
  const wrong = {
    expired: await token({ exp: now - 60 }),
    'for somebody else': await token({ aud: 'other' }),
    'for nobody': await token({ aud: undefined }),
    'without end': await token({ exp: undefined }),
    'with a text as its end': await token({ exp: `${now + 60}` }),
    'not valid yet': await token({ nbf: now + 600 }),
    'of another issuer': await token({ iss: 'http://127.0.0.1:1' }),
    'without a subject': await token({ sub: undefined }),
    unsigned: `${unsigned}.${payload}.`,
    changed: `${head}.${changed}.${signature}`,
    forged,
    'of an algorithm that is not pinned': await token({}, { kid: 'curve' }),
    'of an unknown key': await token({}, { kid: 'first', header: { kid: 'unknown' } }),
    nonsense: 'a.b.c',
    'too long': `${'x'.repeat(20_000)}.b.c`,
  };
  for (const [what, jwt] of Object.entries(wrong)) {
    const { status, body } = await ask(server, bearer(jwt));
    assert.deepEqual([status, body.code], [401, 20003], what);
  }
  assert.equal((await ask(server, bearer(good))).status, 200);
});

withConfig('keys_are_kept_and_read_again_when_they_rotate', withProvider, async ({ server, token, provider }) => {
  assert.equal((await ask(server, bearer(await token()))).status, 200);
  const read = () => server.log.match(/the provider's keys were read/g)?.length ?? 0;
  for (let count = 0; count < 3; count += 1) assert.equal((await ask(server, bearer(await token()))).status, 200);
  await provider.issuer.keys.generate('RS256', { kid: 'second' });
  const rotated = await token({}, { kid: 'second' });
  assert.equal((await ask(server, bearer(rotated))).status, 200);
  // Not for every unknown key, though: whoever makes them up would make us ask the provider.
  for (const kid of ['a', 'b', 'c']) assert.equal((await ask(server, bearer(await token({}, { kid: 'second', header: { kid } })))).status, 401);
  // A provider that is away lets nobody out whose key is known.
  await provider.stop();
  assert.equal((await ask(server, bearer(rotated))).status, 200);
  // The log comes by a pipe, and the server's end is the end of it.
  await server.end('SIGTERM');
  assert.equal(read(), 2);
});

withConfig('other_algorithms_can_be_pinned', (later) => withProvider(later, 'algorithms = ["ES256", "EdDSA", "PS256"]'), async ({ server, token, provider }) => {
  assert.equal((await ask(server, bearer(await token()))).status, 401, 'RS256 is not among them');
  for (const algorithm of ['ES256', 'EdDSA', 'PS256']) {
    await provider.issuer.keys.generate(algorithm, { kid: algorithm });
  }
  for (const kid of ['ES256', 'EdDSA', 'PS256']) {
    const { status, body } = await ask(server, bearer(await token({}, { kid })));
    assert.equal(status, 200, `${kid}: ${JSON.stringify(body)}`);
  }
});

withConfig('a_provider_that_is_away_is_no_logout', withProvider, async ({ server, token, provider }) => {
  const jwt = await token();
  const port = Number(new URL(provider.issuer.url).port);
  await provider.stop();
  const { status, headers } = await ask(server, bearer(jwt));
  assert.deepEqual([status, headers.get('retry-after')], [503, '2']);
  await provider.start(port, '127.0.0.1');
  assert.equal((await ask(server, bearer(jwt))).status, 200);
});
