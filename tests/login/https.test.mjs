// An app behind TLS: its certificate is checked, and redirects lead nowhere.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { generate } from 'selfsigned';

import { Server } from '../support/server.mjs';
import { ask, logged, plainServer } from './counterparts.mjs';

const source = (url) => `[[login.sources]]\nname = "site"\nkind = "app"\nurl = "${url}"\n`;

async function secureApp(names) {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'a test' }], {
    keySize: 2048, algorithm: 'sha256', extensions: [{ name: 'subjectAltName', altNames: names }],
  });
  const asked = [];
  const server = createServer({ key, cert }, (request, response) => {
    asked.push(request.headers.cookie);
    response.end(JSON.stringify({ identity: 'ana' }));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: `https://127.0.0.1:${server.address().port}/me`, cert, asked, stop };
}

const ADDRESS = [{ type: 7, ip: '127.0.0.1' }];

test('a_certificate_is_trusted_when_the_machine_trusts_it', { timeout: 60_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tertulia-test-'));
  const [known, unknown, misnamed] = await Promise.all([secureApp(ADDRESS), secureApp(ADDRESS), secureApp([{ type: 2, value: 'app.example' }])]);
  const file = join(folder, 'trusted.pem');
  await writeFile(file, `${known.cert}\n${misnamed.cert}`);
  try {
    for (const [app, status] of [[known, 200], [unknown, 503], [misnamed, 503]]) {
      const server = await Server.start({ config: source(app.url), settings: { SSL_CERT_FILE: file } });
      const answer = await ask(server, { cookie: 's=1' });
      await server.stop();
      assert.equal(answer.status, status, `${JSON.stringify(answer.body)}\n${server.log.slice(-1500)}`);
      assert.deepEqual(app.asked, status === 200 ? ['s=1'] : [], 'a cookie is shown to nobody unproven');
    }
  } finally {
    for (const app of [known, unknown, misnamed]) await app.stop();
    await rm(folder, { recursive: true, force: true });
  }
});

test('a_redirect_is_not_followed_and_its_target_is_named_in_the_log', { timeout: 60_000 }, async () => {
  let followed = 0;
  const elsewhere = await plainServer((request, response) => {
    followed += 1;
    response.end('{"identity": "root"}');
  });
  const app = await plainServer((request, response) => response.writeHead(302, { location: `${elsewhere.url}/login?ticket=s3cret` }).end());
  const server = await Server.start({ config: source(`${app.url}/me`) });
  try {
    const { status, body } = await ask(server, { cookie: 's=1' });
    assert.deepEqual([status, body.code, body.status], [502, 20503, 502]);
    assert.equal(followed, 0);
    const line = await logged(server, / tokens: refused /);
    assert.ok(line.includes(`redirect: found 302 to ${elsewhere.url}/login?…, expected an answer of ${app.url}/me itself`), line);
    assert.ok(!line.includes('s3cret'), line);
  } finally {
    await server.stop();
    await app.stop();
    await elsewhere.stop();
  }
});
