// The commonest mistakes with a certified OpenID provider (oidc-provider): what the log says of each.

import assert from 'node:assert/strict';
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { createServer } from 'node:http';

import Provider from 'oidc-provider';

import { ask, bearer, logged, plainServer, withConfig } from './counterparts.mjs';

const CLIENT = { id: 'chat-app', secret: 'a secret of the client, for tests only' };

/// A signing key of a provider, as a JWK.
function signingKey(kid) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' };
}

/// A provider on loopback that gives JWTs to a client by its own credentials.
async function certified(later, kid) {
  const listener = createServer((request, response) => answer(request, response));
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  later(() => {
    listener.closeAllConnections();
    return new Promise((resolve) => listener.close(resolve));
  });
  const issuer = `http://127.0.0.1:${listener.address().port}`;
  const provider = new Provider(issuer, {
    jwks: { keys: [signingKey(kid)] },
    clients: [{
      client_id: CLIENT.id, client_secret: CLIENT.secret, grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
    }],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      dPoP: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'https://chat.example.com',
        getResourceServerInfo: () => ({ scope: '', audience: 'chat', accessTokenFormat: 'jwt', accessTokenTTL: 3600, jwt: { sign: { alg: 'RS256' } } }),
      },
    },
  });
  const answer = provider.callback();
  /// An access token, with these headers beside the client's credentials.
  const token = async (headers = {}) => {
    const basic = Buffer.from(`${CLIENT.id}:${encodeURIComponent(CLIENT.secret)}`).toString('base64');
    const response = await fetch(`${issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${basic}`, ...headers },
      body: new URLSearchParams({ grant_type: 'client_credentials' }),
    });
    const body = await response.json();
    assert.equal(response.status, 200, JSON.stringify(body));
    return body.access_token;
  };
  return { issuer, token, jwks: `${issuer}/jwks` };
}

/// Proves that the sender has a key (RFC 9449).
function proof(url) {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: publicKey.export({ format: 'jwk' }) };
  const claims = { jti: randomUUID(), htm: 'POST', htu: url, iat: Math.floor(Date.now() / 1000) };
  const message = `${part(header)}.${part(claims)}`;
  const signature = sign('sha256', Buffer.from(message), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return `${message}.${signature.toString('base64url')}`;
}

const source = (issuer, more = '') => `[[login.sources]]
name = "company"
kind = "oidc"
issuer = "${issuer}"
${more.includes('audience') ? '' : 'audience = ["chat"]'}
${more}
`;

/// A server with a provider; `configure` gives the source, which may be wrong.
function withCertified(title, configure, body) {
  const set = async (later) => {
    const provider = await certified(later, 'first');
    return { config: await configure(provider, later), provider };
  };
  withConfig(title, set, body);
}

/// Asks with a token of the provider; gives the log line about it, in which the token is not.
async function refused(server, token) {
  const { status, body } = await ask(server, bearer(token));
  assert.deepEqual([status, body.code, body.message], [401, 20003, 'Nobody is logged in here']);
  const line = await logged(server, / tokens: refused .*/);
  const parts = token.split('.').filter((part) => part.length > 10);
  assert.ok(!parts.some((part) => line.includes(part)), `a part of the token is in the log: ${line}`);
  // The audit entry says the same.
  for (let tries = 0; tries < 500; tries += 1) {
    const { audit } = await server.rest('GET', '/tertulia/v1/Audit?Event=mint.refused');
    if (audit.length > 0) return { line, said: audit[0].detail.sources[0] };
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('the refusal is not in the audit log');
}

withCertified('a_token_of_a_certified_provider_comes_in', ({ issuer }) => source(issuer), async ({ server, provider }) => {
  const { status, body } = await ask(server, bearer(await provider.token()));
  assert.deepEqual([status, body.identity], [200, CLIENT.id], JSON.stringify(body));
});

withCertified('a_wrong_issuer_is_named_with_the_right_one', ({ issuer }) => source(`${issuer}/`), async ({ server, provider }) => {
  const { line, said } = await refused(server, await provider.token());
  const [found, expected] = [`"${provider.issuer}"`, `"${provider.issuer}/"`];
  assert.ok(line.includes(`company (oidc) passed on: issuer (iss): found ${found}, expected ${expected}`.replaceAll('"', '\\"')), line);
  assert.deepEqual([said.check, said.found, said.expected], ['issuer', found, expected]);
  assert.match(said.hint, /slash/);
});

withCertified('a_wrong_audience_is_named_with_the_right_one', ({ issuer }) => source(issuer, 'audience = ["web", "mobile"]'), async ({ server, provider }) => {
  const { line, said } = await refused(server, await provider.token());
  assert.ok(line.includes('audience (aud): found \\"chat\\", expected \\"web\\" or \\"mobile\\"'), line);
  assert.deepEqual([said.verdict, said.check, said.found, said.expected], ['refused', 'audience', '"chat"', '"web" or "mobile"']);
});

withCertified('an_unknown_key_is_named_with_those_of_the_provider', async ({ issuer }, later) => {
  const other = await certified(later, 'second');
  return source(issuer, `jwks_url = "${other.jwks}"`);
}, async ({ server, provider }) => {
  const { line, said } = await refused(server, await provider.token());
  assert.ok(line.includes('key (kid): found \\"first\\", expected one of the 1 that the provider publishes: second'), line);
  assert.deepEqual([said.check, said.found], ['key_id', '"first"']);
});

withCertified('a_wrong_algorithm_is_named_with_those_that_are_pinned', ({ issuer }) => source(issuer, 'algorithms = ["ES256", "EdDSA"]'), async ({ server, provider }) => {
  const { line, said } = await refused(server, await provider.token());
  assert.ok(line.includes('algorithm (alg): found \\"RS256\\", expected ES256 or EdDSA'), line);
  assert.deepEqual([said.check, said.found, said.expected], ['algorithm', '"RS256"', 'ES256 or EdDSA']);
});

withCertified('a_token_that_is_bound_to_its_sender_is_refused', ({ issuer }) => source(issuer), async ({ server, provider }) => {
  const { line, said } = await refused(server, await provider.token({ dpop: proof(`${provider.issuer}/token`) }));
  assert.ok(line.includes("binding to a sender (cnf): found cnf.jkt, expected a plain bearer token"), line);
  assert.match(line, /nobody checks the sender's proof yet/);
  assert.equal(said.check, 'sender_bound');
});

withCertified('keys_that_are_elsewhere_are_named_with_the_place', async ({ issuer, jwks }, later) => {
  const moved = await plainServer((request, response) => response.writeHead(301, { location: jwks }).end());
  later(() => moved.stop());
  return source(issuer, `jwks_url = "${moved.url}/keys"`);
}, async ({ server, provider }) => {
  const { status, body } = await ask(server, bearer(await provider.token()));
  assert.deepEqual([status, body.code], [502, 20503]);
  const line = await logged(server, / tokens: refused /);
  assert.ok(line.includes(`redirect: found 301 to ${provider.jwks}, expected an answer of http://127.0.0.1:`), line);
});
