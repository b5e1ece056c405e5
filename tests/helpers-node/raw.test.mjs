// Bad input over REST, sent without a library: the documented error, and the server goes on.

import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { describe } from 'node:test';

import { withServer } from './local.mjs';

const nobody = (prefix) => prefix + '0'.repeat(32);

/// One request as told, with the account's credentials unless `headers` says otherwise; the path is not touched.
function ask(server, method, path, { body, headers = {} } = {}) {
  const authorization = `Basic ${Buffer.from(`${server.account}:${server.authToken}`).toString('base64')}`;
  const { hostname, port } = new URL(server.url);
  const all = { authorization, 'content-type': 'application/x-www-form-urlencoded', ...headers };
  for (const [name, value] of Object.entries(all)) if (value === undefined) delete all[name];
  return new Promise((resolve, reject) => {
    const request = http.request({ hostname, port, method, path, headers: all, agent: false, timeout: 10_000 }, (response) => {
      const pieces = [];
      response.on('data', (piece) => pieces.push(piece)).on('end', () => {
        const text = Buffer.concat(pieces).toString();
        let json;
        try {
          json = JSON.parse(text);
        } catch {
          // Then it is not JSON.
        }
        resolve({ status: response.statusCode, headers: response.headers, text, json });
      }).on('error', reject);
    });
    request.on('timeout', () => request.destroy(new Error(`${method} ${path}: no answer`))).on('error', reject);
    request.end(body);
  });
}

/// Expects exactly the documented error body.
function documented(answer, status, code, what) {
  assert.deepEqual([answer.status, answer.json?.status, answer.json?.code], [status, status, code], `${what}: ${answer.text}`);
  assert.deepEqual(Object.keys(answer.json).sort(), ['code', 'message', 'more_info', 'status'], what);
  assert.equal(answer.json.more_info, `https://www.twilio.com/docs/errors/${code}`, what);
  assert.match(answer.headers['content-type'], /^application\/json/, what);
}

describe('bad input over REST', { concurrency: 4 }, () => {
  withServer('without_good_credentials_nothing_is_told', async ({ server }) => {
    const basic = (text) => `Basic ${Buffer.from(text).toString('base64')}`;
    const wrong = [undefined, '', 'Basic', 'Basic !!!', 'Basic AAAA', basic('no colon'), basic(':'), basic(`${server.account}:`), `Bearer ${server.token('alice')}`,
      basic(`${nobody('AC')}:${server.authToken}`), basic(`${server.account}:${'x'.repeat(10_000)}`), basic(`${server.account.toLowerCase()}x:y`)];
    for (const authorization of wrong) {
      for (const path of ['/v1/Conversations', `/v1/Conversations/${nobody('CH')}`, `/2010-04-01/Accounts/${server.account}/Keys.json`]) {
        const answer = await ask(server, 'GET', path, { headers: { authorization } });
        documented(answer, 401, 20003, `${String(authorization).slice(0, 40)} ${path}`);
        assert.match(answer.headers['www-authenticate'], /^Basic realm="Twilio API"/);
      }
    }
  });

  withServer('unknown_paths_and_wrong_methods', async ({ server }) => {
    for (const path of ['/v1/Nothing', '/v1/Conversations/a/b/c', '/v2/Conversations', `/v1/Services/${nobody('IS')}/Conversations`, '/v1/Services/nonsense/Users',
      `/2010-04-01/Accounts/${nobody('AC')}/Keys.json`, '/v1/Conversations/%', '/v1/Conversations/%ff', '/v1/Conversations/%00', '/v1/Conversations/..%2f..%2fetc']) {
      documented(await ask(server, 'GET', path), 404, 20404, path);
    }
    for (const [method, path] of [['PUT', '/v1/Conversations'], ['PATCH', '/v1/Conversations'], ['DELETE', '/v1/Conversations']]) {
      documented(await ask(server, method, path), 405, 20004, `${method} ${path}`);
    }
  });

  withServer('bodies_of_bad_form', async ({ server }) => {
    const { sid } = await server.rest('POST', '/v1/Conversations', { FriendlyName: 'before' });
    const self = `/v1/Conversations/${sid}`;
    documented(await ask(server, 'POST', self, { body: 'FriendlyName=%ff%fe' }), 400, 20001, 'not UTF-8');
    documented(await ask(server, 'POST', self, { body: 'FriendlyName=a%00b' }), 400, 20001, 'NUL');
    documented(await ask(server, 'POST', `${self}/Messages`, { body: Buffer.from('Body=\xff', 'latin1') }), 400, 20001, 'a raw byte');
    documented(await ask(server, 'POST', self, { body: `FriendlyName=${'x'.repeat(2_000_000)}` }), 413, 20413, 'two megabytes');
    documented(await ask(server, 'POST', `${self}/Messages`, { body: `Body=${'%C3%BC'.repeat(16_385)}` }), 400, 50504, 'bytes count, not letters');
    const nothing = await ask(server, 'POST', `${self}/Participants`, { body: '' });
    documented(nothing, 400, nothing.json?.code, 'a participant without identity or address');
    // Unknown parameters are ignored, and an update without any other changes nothing.
    const answer = await ask(server, 'POST', self, { body: 'Nonsense=1&=&&x' });
    assert.deepEqual([answer.status, answer.json.friendly_name], [200, 'before']);
    assert.equal((await server.rest('GET', self)).friendly_name, 'before');
  });

  withServer('addresses_in_answers_are_those_of_the_request', async ({ server }) => {
    for (let n = 0; n < 3; n++) await server.rest('POST', '/v1/Conversations');
    const { json } = await ask(server, 'GET', '/v1/Conversations?PageSize=2', { headers: { host: 'chat.example:8765' } });
    for (const url of [json.meta.url, json.meta.first_page_url, json.meta.next_page_url, json.conversations[0].url, json.conversations[0].links.messages]) {
      assert.ok(url.startsWith('http://chat.example:8765/v1/Conversations'), url);
    }
  });

  withServer('pages_of_bad_form', async ({ server }) => {
    for (const query of ['PageSize=0', 'PageSize=-1', 'PageSize=x', 'PageSize=1.5', 'PageToken=nonsense', 'PageToken=PT', 'PageToken=PT00ff', `PageToken=${'P'.repeat(5000)}`, 'State=asleep', 'StartDate=yesterday']) {
      const answer = await ask(server, 'GET', `/v1/Conversations?${query}`);
      assert.equal(answer.status, 400, `${query}: ${answer.text}`);
      assert.ok(answer.json.code >= 20001, query);
    }
    const large = await ask(server, 'GET', '/v1/Conversations?PageSize=100000');
    assert.deepEqual([large.status, large.json.meta.page_size], [200, 100]);
  });

  withServer('bytes_that_are_no_http', async ({ server }) => {
    const { hostname, port } = new URL(server.url);
    for (const bytes of ['\x00\x01\x02\r\n\r\n', 'GET\r\n\r\n', 'TWILSOCK V3.0 2\r\n{}\r\n', `GET /${'x'.repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
      `GET / HTTP/1.1\r\n${'x: y\r\n'.repeat(5_000)}\r\n`, 'POST /v1/Conversations HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n',
      'POST /v1/Conversations HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nabcde']) {
      await new Promise((resolve, reject) => {
        const socket = net.connect(Number(port), hostname, () => socket.write(bytes));
        socket.setTimeout(10_000, () => socket.destroy(new Error(`no end after ${JSON.stringify(bytes.slice(0, 30))}`)));
        // Refused or cut off, it ends; `end` is asked for so that a server that waits for more sees there is none.
        socket.on('data', () => socket.end()).on('close', resolve).on('error', (error) => (error.code ? resolve() : reject(error)));
        socket.end();
      });
    }
    assert.equal((await ask(server, 'GET', '/v1/Conversations')).status, 200);
  });

  withServer('requests_cut_off_in_the_middle_leave_nothing', async ({ server }) => {
    const { hostname, port } = new URL(server.url);
    const { sid } = await server.rest('POST', '/v1/Conversations');
    const authorization = Buffer.from(`${server.account}:${server.authToken}`).toString('base64');
    for (let n = 0; n < 10; n++) {
      await new Promise((resolve, reject) => {
        const socket = net.connect(Number(port), hostname, () => {
          socket.write(`POST /v1/Conversations/${sid}/Messages HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ${authorization}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nBody=half`, () => socket.destroy());
        });
        socket.on('close', resolve).on('error', reject);
      });
    }
    assert.deepEqual((await server.rest('GET', `/v1/Conversations/${sid}/Messages`)).messages, []);
  });
});
