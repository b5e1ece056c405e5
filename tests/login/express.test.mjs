// The app's own session: the Express example of docs/tokens.md.

import assert from 'node:assert/strict';

import { ask, example, expressApp, person, withConfig } from './counterparts.mjs';

async function withExpress(later, more = '') {
  const app = await expressApp();
  later(app.stop);
  return { app, config: example('app.toml').replace('http://127.0.0.1:3000', app.url) + more };
}

withConfig('a_session_of_an_express_app_chats', withExpress, async ({ server, app }) => {
  assert.equal((await ask(server)).status, 401);
  assert.equal((await ask(server, { cookie: 'connect.sid=s%3Anonsense' })).status, 401);
  const cookie = await app.login('ana');
  const { status, headers, body } = await ask(server, { cookie });
  assert.equal(status, 200, JSON.stringify(body));
  assert.equal(headers.get('cache-control'), 'no-store');
  assert.equal(body.identity, 'ana');
  const ana = await person(server, 'ana', body.token);
  assert.equal(ana.client.user.identity, 'ana');
  await ana.shutdown();
});

const RULES = `
[[login.rules]]
name = "staff"
when = { groups = "staff" }
role = "service admin"
ttl_seconds = 600
`;

withConfig('a_role_of_the_policy_holds_on_the_connection', (later) => withExpress(later, RULES), async ({ server, app }) => {
  const { body } = await ask(server, { cookie: await app.login('ana') });
  assert.equal(body.expires_at - body.server_time, 600);
  const conversation = await server.rest('POST', '/v1/Conversations', { FriendlyName: 'before' });
  const ana = await person(server, 'ana', body.token);
  // Only a service admin sees a conversation that is not their own.
  const seen = await ana.client.getConversationBySid(conversation.sid);
  assert.equal(seen.friendlyName, 'before');
  await ana.shutdown();
});

withConfig('an_app_that_is_gone_is_not_a_logout', withExpress, async ({ server, app }) => {
  const cookie = await app.login('ana');
  await app.stop();
  const { status, headers, body } = await ask(server, { cookie: `${cookie}; other=1` });
  assert.deepEqual([status, body.code, headers.get('retry-after')], [503, 20503, '2']);
  await server.end('SIGTERM');
  assert.match(server.log, /reason="connection: found no connection/);
  assert.ok(!server.log.includes(cookie.split('=')[1]), 'a cookie is in the log');
});
