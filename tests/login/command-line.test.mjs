// `tertulia api-token` and `tertulia owner`, as an operator types them.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { ask, example, withConfig } from './counterparts.mjs';

const run = promisify(execFile);

// The source as docs/tokens.md shows it, and a rule that leads several devices to one identity.
const CONFIG = `${example('devices.toml')}
[[login.rules]]
name = "devices"
identity = "{model}"
`;

const command = (server) => async (...args) => {
  const env = { TERTULIA_URL: server.url, TWILIO_ACCOUNT_SID: server.account, TWILIO_AUTH_TOKEN: server.authToken };
  return (await run(process.env.TERTULIA_BIN, args, { env })).stdout;
};

withConfig('an_operator_makes_api_tokens_and_releases_identities', async () => ({ config: CONFIG }), async ({ server }) => {
  const tertulia = command(server);
  const bearer = (token) => ask(server, { authorization: `Bearer ${token}` });
  const make = async (subject) => (await tertulia('api-token', 'create', '--subject', subject, '--facts', '{"model": "m/1"}')).trim();
  assert.equal(await tertulia('api-token', 'list'), 'no API tokens\n');
  const [first, second] = [await make('one'), await make('two')];
  assert.match(first, /^tt_[0-9a-f]{16}_[A-Za-z0-9]{32}$/);
  const list = await tertulia('api-token', 'list');
  assert.ok(list.includes('one') && list.includes('two') && !list.includes(first.slice(20)), list);
  const { status, body } = await bearer(first);
  assert.deepEqual([status, body.identity], [200, 'm~2F1']);
  assert.equal((await bearer(second)).status, 409);
  assert.match(await tertulia('owner', 'list'), /^m~2F1 {2}devices {2}one /);
  assert.equal(await tertulia('owner', 'release', 'm~2F1'), 'm~2F1 is released\n');
  assert.equal((await bearer(second)).status, 200);
  assert.equal((await bearer(first)).status, 409);
  await assert.rejects(tertulia('owner', 'release', 'nobody'), /nobody owns the identity nobody/);
  await tertulia('api-token', 'delete', second.split('_')[1]);
  assert.equal((await bearer(second)).status, 401);
  const json = JSON.parse(await tertulia('owner', 'list', '-o', 'json'));
  assert.deepEqual([json.length, json[0].subject], [1, 'two']);
  await server.end('SIGTERM');
  for (const token of [first, second]) assert.ok(!server.log.includes(token), 'a token is in the log');
});
