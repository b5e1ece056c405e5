// The nginx examples of docs/tokens.md, as they stand there, in front of a server of one's own.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { WebSocket } from 'ws';

import { Server } from '../support/server.mjs';
import { ask, example, logged, person, plainServer } from './counterparts.mjs';

const ANA = { authorization: `Basic ${Buffer.from('ana:open sesame').toString('base64')}` };

/// A port that nobody listens on now: nginx is told its port in the configuration.
async function freePort() {
  const probe = createServer();
  await new Promise((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/// An nginx with one server, in a folder of its own, once it listens.
async function nginx(later, block, port) {
  const program = process.env.NGINX;
  assert.ok(program, 'NGINX names the program');
  const folder = await mkdtemp(join(tmpdir(), 'tertulia-test-'));
  later(() => rm(folder, { recursive: true, force: true }));
  const digest = createHash('sha1').update('open sesame').digest('base64');
  await writeFile(join(folder, 'htpasswd'), `ana:{SHA}${digest}\n`);
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const temporary = kinds.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join('\n');
  // As root, its worker would be somebody else, who may not read the folder.
  const user = process.getuid() === 0 ? 'user root;' : '';
  const main = `${user}\ndaemon off;\nworker_processes 1;\npid nginx.pid;\nevents {}\nhttp {\naccess_log off;\n${temporary}\n${block}\n}\n`;
  const file = join(folder, 'nginx.conf');
  await writeFile(file, main);
  const child = spawn(program, ['-p', folder, '-c', file, '-e', 'stderr'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (said += text));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  later(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; tries < 500; tries += 1) {
    assert.equal(child.exitCode, null, `nginx ended: ${said}`);
    const listens = await fetch(`${url}/healthz`, { headers: { connection: 'close' } }).then((answer) => answer.ok, () => false);
    if (listens) return url;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`nginx does not listen: ${said}`);
}

/// A test with nginx in front of a server; `change` alters nginx's example, `config` is added to Tertulia's.
function withNginx(title, { change = (text) => text, config = {} }, body) {
  test(title, { timeout: 60_000 }, async () => {
    const ends = [];
    const later = (end) => ends.unshift(end);
    let server;
    try {
      const port = await freePort();
      const { http = '', more = '' } = config;
      const own = example('proxy.toml').replace('[http]\n', `[http]\n${http.replace('PORT', port)}\n`);
      server = await Server.start({ config: `${own}\n${more}` });
      const block = (await change(example('nginx.conf'), later))
        .replaceAll('127.0.0.1:8765', `127.0.0.1:${server.port}`)
        .replace('127.0.0.1:8080', `127.0.0.1:${port}`);
      await body({ server, url: await nginx(later, block, port) });
    } catch (error) {
      error.message += `\n--- the server's last words ---\n${server?.log.slice(-2000)}`;
      throw error;
    } finally {
      for (const end of ends) await end();
      await server?.stop();
    }
  });
}

/// Somebody at the official SDK, whose websocket goes through nginx, hears what is said.
async function talk(server, url, token) {
  const ana = await person({ socketUrl: `${url.replace('http', 'ws')}/v3/wsconnect` }, 'ana', token);
  const conversation = await ana.client.createConversation({ friendlyName: 'through nginx' });
  await conversation.join();
  // The SDK opens the list of messages in its own time; news of before that would only be read.
  await conversation.getMessages();
  await server.say(conversation.sid, 'backend', 'hello');
  assert.equal((await ana.received('hello')).author, 'backend');
  await ana.shutdown();
}

/// How an upgrade by a page of this origin is answered.
function upgrade(url, origin) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v3/wsconnect`, { origin });
  return new Promise((resolve, reject) => {
    socket.once('open', () => {
      socket.close();
      resolve({ status: 101 });
    });
    socket.once('unexpected-response', (_, answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part) => (text += part)).once('end', () => resolve({ status: answer.statusCode, text }));
    });
    socket.once('error', reject);
  });
}

withNginx('basic_auth_of_nginx_and_a_websocket_through_it', {}, async ({ server, url }) => {
  assert.equal((await ask({ url })).status, 401);
  assert.equal((await ask({ url }, { authorization: 'Basic eDp5' })).status, 401);
  const { status, body } = await ask({ url }, ANA);
  assert.deepEqual([status, body.identity], [200, 'ana'], JSON.stringify(body));
  // What a client says of itself is replaced.
  const claimed = await ask({ url }, { ...ANA, 'x-forwarded-user': 'root', 'x-forwarded-host': 'evil.example' });
  assert.deepEqual([claimed.status, claimed.body.identity], [200, 'ana']);
  assert.equal((await ask({ url }, { ...ANA, origin: url })).status, 200);
  await talk(server, url, body.token);
});

withNginx('auth_request_of_nginx_and_a_websocket_through_it', {
  change: async (text, later) => {
    const app = await plainServer((request, response) => {
      const isAna = request.headers.cookie === 's=1' && request.url === '/session';
      response.writeHead(isAna ? 200 : 401, isAna ? { 'x-chat-user': 'ana' } : {}).end();
    });
    later(() => app.stop());
    const locations = example('nginx-auth-request.conf').replace('http://127.0.0.1:3000', app.url);
    const changed = text.replace(/\tlocation = \/token \{[\s\S]*?\n\t\}\n/, locations);
    assert.ok(changed.includes('auth_request') && !changed.includes('auth_basic'), changed);
    return changed;
  },
}, async ({ server, url }) => {
  assert.equal((await ask({ url })).status, 401);
  assert.equal((await ask({ url }, { cookie: 's=2', 'x-forwarded-user': 'root' })).status, 401);
  const { status, body } = await ask({ url }, { cookie: 's=1', 'x-forwarded-user': 'root' });
  assert.deepEqual([status, body.identity], [200, 'ana'], JSON.stringify(body));
  await talk(server, url, body.token);
});

withNginx('the_refusal_of_a_page_names_its_origin_and_what_it_was_compared_with', { change: (text) => text.replaceAll('$http_host', '$host') }, async ({ server, url }) => {
  // Without the port the origin that Tertulia sees is not the one that the browser sees.
  const { status, body } = await ask({ url }, { ...ANA, origin: url });
  assert.deepEqual([status, body.code], [403, 20403]);
  assert.ok(body.message.includes(`"${url}"`) && body.message.includes('this server is http://127.0.0.1 (http.public_url'), body.message);
  const line = await logged(server, / tokens: refused /);
  assert.ok(line.includes(`found \\"${url}\\", expected http://127.0.0.1 (from the request's Host, as http.public_url is empty)`), line);
});

withNginx('public_url_says_the_origin_where_the_proxy_does_not', {
  change: (text) => text.replaceAll('$http_host', '$host'),
  config: { http: 'public_url = "http://127.0.0.1:PORT"' },
}, async ({ url }) => {
  assert.equal((await ask({ url }, { ...ANA, origin: url })).status, 200);
  assert.equal((await ask({ url }, { ...ANA, origin: 'http://evil.example' })).status, 403);
});

withNginx('the_websocket_of_a_page_that_is_not_listed_is_refused_by_name', {
  config: { http: 'public_url = "http://127.0.0.1:PORT"', more: '[realtime]\nallowed_origins = ["https://app.example.com"]' },
}, async ({ server, url }) => {
  assert.equal((await upgrade(url, 'https://app.example.com')).status, 101);
  const { status, text } = await upgrade(url, 'https://evil.example');
  assert.equal(status, 403);
  for (const word of ['"https://evil.example"', 'realtime.allowed_origins', url]) assert.ok(text.includes(word), text);
  const line = await logged(server, / websocket: refused/);
  for (const word of ['evil.example', 'https://app.example.com', url]) assert.ok(line.includes(word), line);
});
