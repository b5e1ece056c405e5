// web/token-client with the real SDK, a real endpoint, and a real end of a token's life.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

import WebSocket, { WebSocketServer } from 'ws';

import { Gate } from '../support/gate.mjs';
import { packet } from '../support/wire.mjs';
import { within } from '../support/server.mjs';
import { TokenClient } from '../../web/token-client/token-client.js';
import { ask, example, expressApp, person, plainServer, withConfig } from './counterparts.mjs';

/// Timers that fire when the test says so.
function handTimers() {
  const waiting = new Map();
  let next = 0;
  const changes = new Set();
  const timers = {
    setTimeout(run, ms) {
      waiting.set((next += 1), { run, ms });
      for (const look of [...changes]) look();
      return next;
    },
    clearTimeout: (timer) => waiting.delete(timer),
    /// Fires the timer that fits, once there is one.
    async fire(fits) {
      const find = () => [...waiting].find(([, { ms }]) => fits(ms));
      await within(
        new Promise((resolve) => {
          const look = () => find() && (changes.delete(look), resolve());
          changes.add(look);
          look();
        }),
        10_000,
        () => `no such timer among ${[...waiting.values()].map(({ ms }) => ms)}`,
      );
      const [timer, { run, ms }] = find();
      waiting.delete(timer);
      run();
      return ms;
    },
    delays: () => [...waiting.values()].map(({ ms }) => ms),
  };
  return timers;
}

async function withApp(later) {
  const app = await expressApp();
  later(app.stop);
  return { app, config: example('app.toml').replace('http://127.0.0.1:3000', app.url) };
}

/// A token client whose requests are counted; `change` sees each of them first.
function tokenClient(server, cookie, timers, change = async () => {}) {
  const seen = { tokens: [], errors: [] };
  const counted = async (url, options) => {
    const answer = (await change(seen.tokens.length)) ?? (await fetch(url, options));
    const copy = answer.clone();
    if (copy.ok) seen.tokens.push((await copy.json()).token);
    return answer;
  };
  const tokens = new TokenClient({
    url: `${server.url}/token`, headers: { cookie, connection: 'close' }, fetch: counted,
    onError: (error) => seen.errors.push(error), ...timers,
  });
  return { tokens, seen };
}

const advance = (server, seconds) => server.rest('POST', '/tertulia/v1/Clock', { Advance: String(seconds) });

withConfig('a_client_is_renewed_in_good_time_and_lives_on_past_its_first_token', withApp, async ({ server, app }) => {
  const timers = handTimers();
  const { tokens, seen } = tokenClient(server, await app.login('ana'), timers);
  const ana = await person(server, 'ana', await tokens.token());
  const stop = tokens.keep(ana.client);
  const ms = await timers.fire((ms) => ms > 60_000);
  assert.ok(ms >= 7_200_000 && ms <= 11_520_000, `${ms}`);
  // The renewal that the timer began.
  await tokens.refresh();
  assert.equal(seen.tokens.length, 2);
  await advance(server, 8000);
  await tokens.refresh();
  assert.ok(seen.tokens.length >= 3 && new Set(seen.tokens).size === seen.tokens.length);
  // The first tokens are dead by now; the last one keeps the connection.
  await advance(server, 8000);
  const conversation = await ana.client.createConversation({ friendlyName: 'still here' });
  assert.equal(conversation.friendlyName, 'still here');
  assert.equal(ana.count('tokenExpired'), 0);
  assert.deepEqual(seen.errors, []);
  stop();
  assert.deepEqual(timers.delays().filter((ms) => ms > 60_000), []);
  await ana.shutdown();
});

/// The snippet of docs/tokens.md, as a program of its own. What a page has and Node has not is lent to it: an origin,
/// and a cookie that goes along.
async function pageOf(server, cookie) {
  const client = new URL('../../web/token-client/token-client.js', import.meta.url).href;
  const swap = (text, from, to) => {
    assert.ok(text.includes(from), `the example has ${from}`);
    return text.replace(from, () => to);
  };
  let text = swap(example('page.mjs'), "'./token-client.js'", JSON.stringify(client));
  text = swap(text, 'wss://chat.example.com/v3/wsconnect', server.socketUrl);
  // Imports come first, wherever they stand.
  const before = `
    const bare = globalThis.fetch;
    globalThis.fetch = (url, options) => bare(new URL(url, ${JSON.stringify(server.url)}),
      { ...options, headers: { ...options.headers, cookie: ${JSON.stringify(cookie)}, connection: 'close' } });`;
  const after = `
    const conversation = await client.createConversation({ friendlyName: 'from the page' });
    await tokens.refresh();
    stop();
    console.log(JSON.stringify({ identity: client.user.identity, name: conversation.friendlyName, state: client.connectionState }));
    await client.shutdown();
    process.exit(0);`;
  const args = ['--input-type=module', '--eval', `${before}\n${text}\n${after}`];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: new URL('.', import.meta.url), timeout: 30_000 });
  return JSON.parse(stdout);
}

withConfig('the_page_of_the_documentation_comes_in_and_stays', withApp, async ({ server, app }) => {
  const told = await pageOf(server, await app.login('ana'));
  assert.deepEqual(told, { identity: 'ana', name: 'from the page', state: 'connected' });
  const minted = await server.rest('GET', '/tertulia/v1/Audit?Event=token.minted');
  assert.equal(minted.audit.filter(({ identity }) => identity === 'ana').length, 2, 'one to begin with, one to go on');
});

withConfig('a_warning_renews_once_however_often_it_comes', withApp, async ({ server, app }) => {
  const { tokens, seen } = tokenClient(server, await app.login('ana'), handTimers());
  const ana = await person(server, 'ana', await tokens.token());
  tokens.keep(ana.client);
  const sent = [];
  const update = ana.client.updateToken.bind(ana.client);
  let under = 0;
  ana.client.updateToken = async (token) => {
    sent.push(token);
    assert.equal((under += 1), 1, 'two updates at once');
    await update(token);
    under -= 1;
  };
  const asked = [tokens.refresh(), tokens.refresh(), tokens.refresh()];
  ana.client.emit('tokenAboutToExpire');
  await Promise.all(asked);
  assert.equal(sent.length, 1);
  await advance(server, 14_300);
  await ana.until('tokenAboutToExpire');
  await tokens.refresh();
  assert.ok(sent.length >= 2);
  assert.equal(new Set(sent).size, sent.length);
  assert.equal(ana.client.connectionState, 'connected');
  assert.deepEqual(seen.errors, []);
  await ana.shutdown();
});

withConfig('a_client_whose_token_has_died_comes_back', withApp, async ({ server, app }) => {
  const { tokens, seen } = tokenClient(server, await app.login('ana'), handTimers());
  const gate = await Gate.before(server.port);
  const ana = await person({ socketUrl: gate.socketUrl }, 'ana', await tokens.token());
  tokens.keep(ana.client);
  // The laptop sleeps, and wakes up a day later.
  gate.shut();
  await advance(server, 86_400);
  ana.forget();
  gate.reopen();
  await ana.until('tokenExpired');
  await ana.until('connectionStateChanged', (state) => state === 'connected');
  await ana.client.createConversation({ friendlyName: 'awake' });
  assert.ok(seen.tokens.length >= 2);
  await ana.shutdown();
  await gate.close();
});

withConfig('a_client_comes_back_from_the_hole_after_close_410', withApp, async ({ server, app }) => {
  // A server of another kind, which ends expired connections by a packet: between the two, updateToken never settles.
  const relay = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  const clients = [];
  relay.on('connection', (client) => {
    const upstream = new WebSocket(server.socketUrl);
    const early = [];
    client.on('message', (data) => (upstream.readyState === 1 ? upstream.send(data) : early.push(data)));
    upstream.on('open', () => early.forEach((data) => upstream.send(data)));
    upstream.on('message', (data) => client.send(data));
    for (const [one, other] of [[client, upstream], [upstream, client]]) one.on('error', () => {}).on('close', () => other.terminate());
    clients.push(client);
  });
  const { tokens, seen } = tokenClient(server, await app.login('ana'), {});
  const ana = await person({ socketUrl: `ws://127.0.0.1:${relay.address().port}` }, 'ana', await tokens.token());
  tokens.keep(ana.client);
  ana.forget();
  const status = { code: 410, status: 'TOKEN_EXPIRED', description: 'expired' };
  clients.at(-1).send(packet({ id: 'TM00000000000000000000000000000001', method: 'close', status }));
  await ana.until('tokenExpired');
  await ana.until('connectionStateChanged', (state) => state === 'connected', 20_000);
  await ana.client.createConversation({ friendlyName: 'through the hole' });
  assert.equal(seen.tokens.length, 2);
  await ana.shutdown();
  relay.close();
});

withConfig('a_key_that_is_gone_is_replaced_by_another_token', withApp, async ({ server, app }) => {
  const { tokens, seen } = tokenClient(server, await app.login('ana'), handTimers());
  const gate = await Gate.before(server.port);
  const ana = await person({ socketUrl: gate.socketUrl }, 'ana', await tokens.token());
  tokens.keep(ana.client);
  const key = JSON.parse(Buffer.from(seen.tokens[0].split('.')[1], 'base64url')).iss;
  await server.rest('DELETE', `/2010-04-01/Accounts/${server.account}/Keys/${key}.json`);
  ana.forget();
  gate.shut();
  gate.reopen();
  await ana.until('connectionStateChanged', (state) => state === 'connected');
  assert.equal(seen.tokens.length, 2);
  await ana.shutdown();
  await gate.close();
});

withConfig('what_may_pass_is_tried_again_and_what_is_final_is_told', withApp, async ({ server, app }) => {
  const timers = handTimers();
  const answers = [
    () => Promise.reject(new TypeError('fetch failed')),
    async () => new Response('{"message": "slow down"}', { status: 429, headers: { 'retry-after': '90' } }),
    async () => new Response('<html>', { status: 502 }),
  ];
  const { tokens, seen } = tokenClient(server, await app.login('ana'), timers, async () => answers.shift()?.());
  const token = tokens.token();
  await timers.fire((ms) => ms < 2000);
  assert.equal(await timers.fire((ms) => ms >= 90_000), 90_000);
  await timers.fire((ms) => ms < 10_000);
  const { body } = await ask(server, { cookie: await app.login('ana') });
  assert.equal(typeof (await token), typeof body.token);
  assert.deepEqual(seen.errors.map((error) => [error.status, error.final]), [[0, false], [429, false], [502, false]]);
  const nobody = tokenClient(server, 'nobody=1', handTimers());
  await assert.rejects(nobody.tokens.token(), (error) => error.final && error.status === 401 && error.code === 20003);
});

test('an_endpoint_that_repeats_itself_is_told_and_not_looped_over', async () => {
  const body = JSON.stringify({ token: 'same', expires_at: 100, refresh_after: 50, server_time: 0 });
  const server = await plainServer((request, response) => response.end(body));
  const errors = [];
  const timers = handTimers();
  const tokens = new TokenClient({ url: server.url, onError: (error) => errors.push(error.message), ...timers });
  const client = { connectionState: 'connected', updateToken: async () => {}, on() {}, removeListener() {} };
  await tokens.token();
  const stop = tokens.keep(client);
  await tokens.refresh();
  await tokens.refresh();
  assert.deepEqual(errors, ['the token endpoint gave the same token again']);
  stop();
  await server.stop();
});
