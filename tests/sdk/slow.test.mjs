// A client that stops reading: it is let go, costs nobody else anything, and catches up when it is back.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import WebSocket from 'ws';

import { Server } from '../support/server.mjs';
import { Wire } from '../support/wire.mjs';

/// More than what the kernel and the server keep for somebody who does not read.
const MESSAGES = 500;
const AT_ONCE = 10;
const BODY = 'x'.repeat(30_000);

/// Subscribes to a message list from this position, again and again until all that was missed has come.
async function caughtUp(wire, list, position) {
  for (let round = 1; ; round++) {
    const requests = [{ object_sid: list, object_type: 'list', last_event_id: position }];
    const subscription = { event_protocol_version: 4, action: 'establish', correlation_id: round, retried_requests: 0, ttl_in_s: -1, requests };
    assert.equal((await wire.request('POST', '/v4/Subscriptions', subscription)).status, 200);
    const answer = await wire.until(({ payload }) => payload?.event_type === 'subscription_established' && payload.correlation_id === round);
    position = answer.payload.events[0].last_event_id;
    if (answer.payload.events[0].replay_status === 'completed') return;
    assert.equal(answer.payload.events[0].replay_status, 'interrupted');
  }
}

/// The messages that this connection was told of.
const told = (wire) => wire.packets.map((one) => one.payload).filter((payload) => payload?.event_type === 'list_item_added').flatMap((payload) => payload.events);

test('whoever_stops_reading_is_let_go_and_catches_up_whole', { timeout: 60_000 }, async () => {
  const server = await Server.start({ settings: { TERTULIA__REALTIME__MAILBOX_BYTES_MAX: '1000000' } });
  const wires = [];
  const enter = async (identity) => {
    const wire = await Wire.connect(WebSocket, server.socketUrl);
    wires.push(wire);
    assert.equal((await wire.init(server.token(identity))).header.status.code, 200);
    return wire;
  };
  try {
    const { sid } = await server.rest('POST', '/v1/Conversations', {});
    for (const identity of ['slow', 'quick']) await server.rest('POST', `/v1/Conversations/${sid}/Participants`, { Identity: identity });
    const [slow, quick] = await Promise.all([enter('slow'), enter('quick')]);
    const { body: list } = await slow.request('GET', `/v3/Lists/${sid}.messages`);
    for (const wire of [slow, quick]) await caughtUp(wire, list.sid, 0);

    slow.socket.pause();
    const said = [];
    const say = async () => {
      const { index, sid: message } = await server.say(sid, 'system', BODY);
      said[index] = message;
    };
    for (let n = 0; n < MESSAGES; n += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, say));
    await quick.until(({ payload }) => payload?.event_type === 'list_item_added' && payload.events[0].item_index === MESSAGES - 1);
    assert.equal(told(quick).length, MESSAGES, 'nobody else waits');

    slow.socket.resume();
    const { code } = await slow.end();
    assert.ok([1001, 1006].includes(code), `closed with ${code}`);
    const before = told(slow);
    console.log(`a slow reader got ${before.length} of ${MESSAGES} messages, then ${code}`);
    assert.ok(before.length < MESSAGES, 'it was let go before all were sent');
    assert.deepEqual(before.map((event) => event.item_index), before.map((_, n) => n), 'whole and in order so far');

    const again = await enter('slow');
    await caughtUp(again, list.sid, before.at(-1)?.id ?? 0);
    const all = [...before, ...told(again)];
    assert.deepEqual(all.map((event) => event.item_data.sid), said, 'each once and in order');
    assert.deepEqual(all.map((event) => [event.item_index, event.item_data.text === BODY]), said.map((_, n) => [n, true]));
    await server.say(sid, 'system', 'live again');
    await again.until(({ payload }) => payload?.events?.[0]?.item_data?.text === 'live again');
  } finally {
    for (const wire of wires) wire.socket.terminate();
    await server.stop();
  }
});
