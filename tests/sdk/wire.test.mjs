// Bad input over the websocket: the documented answer, and nobody else harmed.

import assert from 'node:assert/strict';
import http from 'node:http';
import { describe, test } from 'node:test';

import WebSocket from 'ws';

import { Server } from '../support/server.mjs';
import { Wire, packet, parsed } from '../support/wire.mjs';

const MESSAGE_BYTES_MAX = 256 * 1024;

/// A server with a conversation of alice, and alice and mallory connected. Afterwards alice's connection must
/// still work, and the server too.
function bad(title, body) {
  test(title, { timeout: 60_000 }, async () => {
    const server = await Server.start();
    const wires = [];
    const connect = async () => {
      const wire = await Wire.connect(WebSocket, server.socketUrl);
      wires.push(wire);
      return wire;
    };
    const enter = async (identity) => {
      const wire = await connect();
      const { header } = await wire.init(server.token(identity));
      assert.equal(header.status.code, 200);
      return wire;
    };
    try {
      const base = `/Client/v2/Services/${server.service}`;
      const alice = await enter('alice');
      const made = await alice.request('POST', `${base}/Conversations`, { friendly_name: 'hers', attributes: '{}' });
      assert.equal(made.status, 201);
      const hers = `${base}/Conversations/${made.body.sid}`;
      assert.equal((await alice.request('POST', `${hers}/Participants`, { identity: 'alice' })).status, 201);
      await body({ server, base, hers, alice, connect, enter });

      assert.ok(await alice.alive(), 'another connection goes on');
      assert.equal((await alice.request('POST', `${hers}/Messages`, { body: 'still here', attributes: '{}' })).status, 201);
      assert.ok(await (await enter('bob')).alive(), 'a new connection is taken');
      assert.equal((await server.rest('GET', `/v1/Conversations/${made.body.sid}`)).friendly_name, 'hers');
    } finally {
      for (const wire of wires) wire.socket.terminate();
      await server.stop();
    }
  });
}

/// Expects the connection to be closed without a reply of any kind but a `close` packet.
async function rejected(wire) {
  const { code } = await wire.end();
  const told = wire.packets.filter((one) => one.header.method !== 'close');
  return { code, told };
}

describe('bad input over the websocket', { concurrency: 4 }, () => {
  bad('a_text_frame_closes_the_connection', async ({ connect, enter }) => {
    for (const wire of [await connect(), await enter('mallory')]) {
      const before = wire.packets.length;
      wire.send('hello');
      const { code } = await wire.end();
      assert.equal(code, 1002);
      assert.deepEqual(wire.packets.slice(before).map((one) => one.header.method), ['close']);
    }
  });

  bad('bytes_that_are_no_packet_close_the_connection', async ({ connect, enter }) => {
    const ping = { id: 'TM1', method: 'ping' };
    const header = JSON.stringify({ ...ping, payload_size: 0 });
    const malformed = {
      nothing: Buffer.alloc(0),
      zeros: Buffer.alloc(64),
      'another protocol': Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      'another version': Buffer.from(String(packet(ping)).replace('V3.0', 'V9.9')),
      'no length': Buffer.from(`TWILSOCK V3.0 \r\n${header}\r\n`),
      'a length with a sign': Buffer.from(`TWILSOCK V3.0 +${header.length}\r\n${header}\r\n`),
      'a huge length': Buffer.from(`TWILSOCK V3.0 ${'9'.repeat(30)}\r\n${header}\r\n`),
      'a header length too short': packet(ping, '', { header: header.length - 1 }),
      'a header length too long': packet(ping, '', { header: header.length + 1 }),
      'a payload size too short': packet(ping, '{}', { payload: 1 }),
      'a payload size too long': packet(ping, '{}', { payload: 3 }),
      'a negative payload size': packet(ping, '', { payload: -1 }),
      'a header that is an array': Buffer.from('TWILSOCK V3.0 2\r\n[]\r\n'),
      'a header that is no JSON': Buffer.from('TWILSOCK V3.0 4\r\n{"a"\r\n'),
      'a header of broken UTF-8': Buffer.concat([Buffer.from('TWILSOCK V3.0 12\r\n{"id":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}x\r\n')]),
      'a cut packet': packet(ping).subarray(0, 20),
    };
    for (const [what, bytes] of Object.entries(malformed)) {
      for (const wire of [await connect(), await enter('mallory')]) {
        const before = wire.packets.length;
        wire.send(bytes);
        const { code } = await wire.end();
        assert.equal(code, 1002, what);
        const told = wire.packets.slice(before).map((one) => [one.header.method, one.header.status?.code]);
        assert.deepEqual(told, [['close', 406]], what);
      }
    }
  });

  bad('a_frame_over_256_kib_closes_with_1009', async ({ hers, enter }) => {
    const mallory = await enter('mallory');
    mallory.send(Buffer.alloc(MESSAGE_BYTES_MAX + 1));
    assert.equal((await mallory.end()).code, 1009);
    // In pieces as well: the whole counts.
    const eve = await enter('eve');
    const piece = Buffer.alloc(64 * 1024);
    for (let n = 0; n < 5; n++) eve.socket.send(piece, { binary: true, fin: n === 4 });
    assert.equal((await eve.end()).code, 1009);
    // Just below it is a request like any other.
    const trent = await enter('trent');
    const { status, code } = await trent.request('POST', `${hers}/Messages`, { body: 'x'.repeat(250_000), attributes: '{}' });
    assert.ok([[400, 50504], [404, 50350], [403, 50430]].some((pair) => String(pair) === String([status, code])), `${status} ${code}`);
    assert.ok(await trent.alive());
  });

  bad('nothing_is_answered_before_init', async ({ hers, connect, server }) => {
    const wire = await connect();
    const request = { host: 'x', path: hers, method: 'GET', params: {}, headers: {} };
    const early = await wire.ask({ method: 'message', http_request: request });
    assert.equal(early.header.status.code, 400);
    assert.equal(early.payload, undefined);
    assert.equal((await wire.ask({ method: 'update', token: server.token('mallory') })).header.status.code, 400);
    // The connection may still become somebody's.
    assert.equal((await wire.init(server.token('mallory'))).header.status.code, 200);
    assert.ok(await wire.alive());
  });

  bad('a_second_init_is_refused', async ({ enter, server }) => {
    const mallory = await enter('mallory');
    const again = await mallory.init(server.token('alice'));
    assert.equal(again.header.status.code, 400);
    const { body } = await mallory.request('GET', '/Client/v2/Configuration');
    assert.equal(body.identity, 'mallory');
  });

  bad('a_refused_init_closes_the_connection', async ({ connect }) => {
    const wire = await connect();
    const reply = await wire.init('garbage');
    assert.deepEqual([reply.header.status.code, reply.header.status.errorCode], [401, 20101]);
    assert.equal((await rejected(wire)).code, 1000);
  });

  bad('packets_of_unknown_or_missing_parts_harm_nobody', async ({ enter, server }) => {
    const mallory = await enter('mallory');
    for (const header of [
      { method: 'message' },
      { method: 'message', http_request: null },
      { method: 'message', http_request: { path: 5 } },
      { method: 'update' },
      { method: 'update', token: {} },
      { method: 'no such method' },
      { method: 7 },
    ]) {
      const reply = await mallory.ask(header);
      assert.ok(reply, `${JSON.stringify(header)}: answered`);
      assert.equal(reply.header.status.code, 400, JSON.stringify(header));
    }
    // Without an answer: what is itself one, and what asks for none.
    mallory.send(packet({ id: 'TMnobody', method: 'reply', status: { code: 200, status: 'OK' } }));
    mallory.send(packet({ id: 'TMt', method: 'telemetry.v1', events: [] }));
    assert.ok(await mallory.alive());
    assert.ok(mallory.packets.every((one) => !['TMnobody', 'TMt'].includes(one.header.id)));
    const { header } = await mallory.ask({ method: 'put_notification_ctx', notification_ctx_id: 'x' }, '{}');
    assert.equal(header.status.code, 200);
    assert.equal((await mallory.ask({ method: 'update', token: server.token('mallory') })).header.status.code, 200);
  });

  bad('an_unknown_path_is_404_and_a_wrong_method_405', async ({ base, enter }) => {
    const mallory = await enter('mallory');
    for (const path of ['/', '/nothing', `${base}/Nothing`, '/v1/Conversations', '/Client/v2/../../etc/passwd', '/%', '/%ff']) {
      const { status } = await mallory.request('GET', path);
      assert.equal(status, 404, path);
    }
    assert.equal((await mallory.request('DELETE', '/Client/v2/Configuration')).status, 405);
    assert.equal((await mallory.request('FLY', '/Client/v2/Configuration')).status, 405);
    assert.equal((await mallory.request('GET', `/Client/v2/Services/IS${'1'.repeat(32)}/Conversations/x`)).status, 404);
  });

  bad('bad_bodies_are_refused_with_their_codes', async ({ alice, base, hers }) => {
    const wrong = [];
    const refused = async (path, body, status, code) => {
      const answer = await alice.request('POST', path, body);
      const good = answer.status === status && answer.code === code && answer.body.status === status && answer.body.message.length > 0;
      if (!good) wrong.push(`${path.slice(-12)} ${JSON.stringify(body).slice(0, 80)}: ${answer.status} ${answer.code}, not ${code}`);
    };
    for (const path of [`${base}/Conversations`, `${hers}/Messages`, hers]) {
      await refused(path, { body: 'x', attributes: '{broken' }, 400, 50304);
      await refused(path, { body: 'x', attributes: '' }, 400, 50304);
    }
    await refused(`${hers}/Messages`, { body: 'x'.repeat(32_769), attributes: '{}' }, 400, 50504);
    await refused(`${hers}/Messages`, { body: 'x', attributes: JSON.stringify('x'.repeat(4095)) }, 400, 50303);
    await refused(hers, { attributes: JSON.stringify('x'.repeat(16_383)) }, 400, 50303);
    await refused(`${base}/Conversations`, { friendly_name: 'x'.repeat(257) }, 400, 50003);
    await refused(`${base}/Conversations`, { unique_name: 'x'.repeat(257) }, 400, 50004);
    await refused(`${base}/Conversations`, { unique_name: `CH${'a'.repeat(32)}` }, 400, 50390);
    await refused(`${hers}/Messages`, { body: 'a\u0000b', attributes: '{}' }, 400, 20001);
    await refused(`${hers}/Messages`, '{"body":"\\ud800","attributes":"{}"}', 400, 20001);
    for (const body of ['[]', 'null', '5', '{', '{"body":5}', '{"body":{}}', '{"attributes":{}}', '{"body":"x"']) {
      await refused(`${hers}/Messages`, body, 400, 20001);
    }
    assert.deepEqual(wrong, []);
    const deep = `${'['.repeat(5000)}${']'.repeat(5000)}`;
    const answer = await alice.request('POST', `${hers}/Messages`, { body: 'x', attributes: deep });
    assert.equal(answer.status, 400);
    const page = await alice.request('GET', hers);
    assert.equal(page.body.messages_count, 0);
  });

  bad('a_stranger_can_neither_read_nor_write', async ({ alice, base, hers, enter }) => {
    assert.equal((await alice.request('POST', `${hers}/Messages`, { body: 'secret', attributes: '{}' })).status, 201);
    const { body: conversation } = await alice.request('GET', hers);
    // By default everybody may join, and so see a conversation's names, but not what is said in it or by whom.
    const mallory = await enter('mallory');
    const { sid } = conversation;
    const names = [`/v3/Lists/${sid}.messages`, `/v3/Maps/${sid}.roster`];
    const objects = [];
    for (const name of names) {
      const { body } = await alice.request('GET', name);
      objects.push(body.sid);
      assert.equal((await mallory.request('GET', name)).status, 404, name);
      if (body.links?.items) {
        const items = new URL(body.links.items).pathname;
        assert.equal((await mallory.request('GET', items)).status, 404, items);
      }
    }
    for (const [method, path, body] of [
      ['POST', `${hers}/Messages`, { body: 'x', attributes: '{}' }],
      ['POST', hers, { friendly_name: 'mine now' }],
      ['DELETE', hers, {}],
      ['POST', `${hers}/Participants`, { identity: 'eve' }],
      ['DELETE', `${hers}/Participants/alice`, {}],
      ['POST', `${base}/MyConversations/${sid}`, { last_read_message_index: 0 }],
    ]) {
      const { status, code } = await mallory.request(method, path, body);
      assert.ok([403, 404].includes(status), `${method} ${path}: ${status} ${code}`);
    }
    // Subscribing by SID, guessed or leaked, gives nothing.
    const kinds = ['list', 'map'];
    const requests = objects.map((object_sid, n) => ({ object_sid, object_type: kinds[n], last_event_id: 0 }));
    const subscription = { event_protocol_version: 4, action: 'establish', correlation_id: 1, retried_requests: 0, ttl_in_s: -1, requests };
    assert.equal((await mallory.request('POST', '/v4/Subscriptions', subscription)).status, 200);
    for (const object of objects) {
      const answer = await mallory.until((one) => one.payload?.events?.[0]?.object_sid === object);
      assert.deepEqual([answer.payload.event_type, answer.payload.events[0].error.status], ['subscription_failed', 404]);
    }
    await alice.request('POST', `${hers}/Messages`, { body: 'secret, too', attributes: '{}' });
    assert.ok(await mallory.alive());
    assert.ok(!JSON.stringify(mallory.packets).includes('secret'));
  });

  bad('foreign_and_unknown_sids_are_404', async ({ alice, hers, base }) => {
    const nowhere = `${base}/Conversations/CH${'0'.repeat(32)}`;
    const missing = async (method, path, code, body) => {
      const answer = await alice.request(method, path, body);
      assert.deepEqual([answer.status, answer.code], [404, code], `${method} ${path}`);
    };
    await missing('GET', nowhere, 50350);
    await missing('POST', nowhere, 50350, { friendly_name: 'x' });
    await missing('DELETE', nowhere, 50350, {});
    await missing('POST', `${nowhere}/Messages`, 50350, { body: 'x', attributes: '{}' });
    await missing('POST', `${nowhere}/Participants`, 50350, { identity: 'alice' });
    await missing('POST', `${hers}/Messages/IM${'0'.repeat(32)}`, 20404, { body: 'x' });
    await missing('DELETE', `${hers}/Messages/IM${'0'.repeat(32)}`, 20404, {});
    await missing('POST', `${hers}/Participants/MB${'0'.repeat(32)}`, 20404, { attributes: '{}' });
    await missing('DELETE', `${hers}/Participants/nobody`, 20404, {});
    // A message of one conversation is not found in another.
    const { body: message } = await alice.request('POST', `${hers}/Messages`, { body: 'x', attributes: '{}' });
    const { body: other } = await alice.request('POST', `${base}/Conversations`, { attributes: '{}' });
    assert.equal((await alice.request('POST', `${base}/Conversations/${other.sid}/Participants`, { identity: 'alice' })).status, 201);
    await missing('DELETE', `${base}/Conversations/${other.sid}/Messages/${message.sid}`, 20404, {});
  });

  bad('subscriptions_of_bad_form_are_refused', async ({ enter }) => {
    const mallory = await enter('mallory');
    const good = { event_protocol_version: 4, action: 'establish', correlation_id: 1, requests: [] };
    for (const body of ['', '[]', { ...good, action: 'destroy' }, { ...good, requests: 'x' }, { ...good, requests: [{}] }, { ...good, correlation_id: 'x' }]) {
      const { status } = await mallory.request('POST', '/v4/Subscriptions', body);
      assert.equal(status, 400, JSON.stringify(body));
    }
    const unknown = [{ object_sid: `ES${'0'.repeat(32)}`, object_type: 'list', last_event_id: 0 }, { object_sid: 'nonsense', object_type: 'map', last_event_id: null }];
    assert.equal((await mallory.request('POST', '/v4/Subscriptions', { ...good, correlation_id: 2, requests: unknown })).status, 200);
    for (const { object_sid } of unknown) {
      const answer = await mallory.until((one) => one.payload?.events?.[0]?.object_sid === object_sid);
      assert.deepEqual([answer.payload.event_type, answer.payload.correlation_id], ['subscription_failed', 2]);
    }
    const cancel = { ...good, action: 'cancel', correlation_id: 3, requests: unknown.map(({ object_sid, object_type }) => ({ object_sid, object_type })) };
    assert.equal((await mallory.request('POST', '/v4/Subscriptions', cancel)).status, 200);
    for (const { object_sid } of unknown) {
      await mallory.until((one) => one.payload?.event_type === 'subscription_canceled' && one.payload.events[0].object_sid === object_sid);
    }
  });

  bad('a_connection_that_vanishes_is_forgotten', async ({ enter }) => {
    for (let n = 0; n < 20; n++) (await enter('mallory')).socket.terminate();
  });

  bad('replies_keep_the_order_of_requests', async ({ alice, hers }) => {
    const asked = Array.from({ length: 40 }, (_, n) => alice.request(n % 2 ? 'GET' : 'POST', n % 2 ? hers : `${hers}/Messages`, n % 2 ? undefined : { body: `${n}`, attributes: '{}' }));
    const answers = await Promise.all(asked);
    const indexes = answers.filter((_, n) => n % 2 === 0).map((answer) => answer.body.index);
    assert.deepEqual(indexes, Array.from({ length: 20 }, (_, n) => n));
    const counts = answers.filter((_, n) => n % 2).map((answer) => answer.body.messages_count);
    assert.deepEqual(counts, Array.from({ length: 20 }, (_, n) => n + 1));
  });
});

describe('the end of the server', () => {
  test('connections_are_closed_plainly_with_1001', { timeout: 60_000 }, async () => {
    const server = await Server.start();
    const [idle, fresh] = [await Wire.connect(WebSocket, server.socketUrl), await Wire.connect(WebSocket, server.socketUrl)];
    try {
      assert.equal((await idle.init(server.token('alice'))).header.status.code, 200);
      const { code } = await server.end('SIGTERM');
      assert.equal(code, 0);
      for (const wire of [idle, fresh]) {
        assert.equal((await wire.end()).code, 1001);
        assert.equal(wire.packets.filter((one) => one.header.method === 'close').length, 0, 'no close packet, which would cost three seconds');
      }
    } finally {
      await server.stop();
    }
  });

  test('what_is_not_a_websocket_is_refused_on_its_path', { timeout: 60_000 }, async () => {
    const server = await Server.start();
    try {
      const plain = await new Promise((resolve, reject) => {
        http.get(`${server.url}/v3/wsconnect`, { agent: false }, (response) => resolve(response.resume().statusCode)).on('error', reject);
      });
      assert.ok(plain >= 400 && plain < 500, String(plain));
      // Compression that the client offers is declined, and sub-protocols are not asked for.
      const wire = await Wire.connect(WebSocket, server.socketUrl);
      assert.deepEqual([wire.socket.extensions, wire.socket.protocol], ['', '']);
      await wire.close();
    } finally {
      await server.stop();
    }
  });

  test('a_packet_is_what_the_protocol_says', () => {
    // The test's own reader: without this, a broken one would accept anything.
    assert.throws(() => parsed(Buffer.from('TWILSOCK V3.0 2\r\n{}x')));
    assert.throws(() => parsed(packet({ id: 'x' }, '{}', { payload: 3 })));
    assert.deepEqual(parsed(packet({ id: 'ü' }, '{"a":"é"}')).payload, { a: 'é' });
  });
});
