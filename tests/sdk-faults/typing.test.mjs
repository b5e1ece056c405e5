import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';

import { load, NAMES, WebSocket } from '../sdk/load.mjs';
import { observed } from '../support/observed.mjs';
import { settle } from '../support/pair.mjs';
import { PATIENCE_MS } from '../support/person.mjs';
import { scene } from '../support/scene.mjs';
import { within } from '../support/server.mjs';

globalThis.WebSocket = observed(WebSocket);

/// SDK 3.0 knows the conversation already.
const ASKING = NAMES.filter((name) => name !== '3.0');

describe('told of typing', () => {
  for (const name of ASKING) {
    // Where the SDK is at fault: told that somebody types, it asks for the conversation, and nobody holds that promise.
    test(`a_cut_while_the_sdk_asks_who_types_ends_a_process_that_does_not_listen (SDK ${name})`, { timeout: 60_000 }, async () => {
      const { code, errors, said } = await cutWhileAsking(name, 'heedless');
      assert.equal(code, 1);
      assert.match(errors, /disconnected/);
      assert.deepEqual(said, ['settled']);
    });

    test(`a_process_that_listens_goes_on_and_loses_that_typing_only (SDK ${name})`, { timeout: 60_000 }, async () => {
      const { code, errors, said } = await cutWhileAsking(name, 'listening');
      assert.equal(code, 0, errors);
      const { unheard, ...told } = JSON.parse(said.at(-1));
      assert.equal(unheard.length, 1, String(unheard));
      assert.match(unheard[0], /disconnected/);
      assert.deepEqual(told, { messages: ['settled', 'meanwhile', 'back', 'last'], typists: ['dave'], state: 'connected' });
    });
  }

  test('sdk_3_0_asks_nothing_and_rejects_nothing', { timeout: 60_000 }, async () => {
    const { code, errors, said } = await cutWhileAsking('3.0', 'listening', { asks: false });
    assert.equal(code, 0, errors);
    const told = { messages: ['settled', 'meanwhile', 'back', 'last'], typists: ['bob', 'dave'], state: 'connected' };
    assert.deepEqual(JSON.parse(said.at(-1)), { unheard: [], ...told });
  });
});

/// Carol, in a process of its own, is told that bob types, and cut off before she has learnt where. Something is said
/// while she is away, and then dave types. Gives how her process ended and what it said.
async function cutWhileAsking(name, manner, { asks = true } = {}) {
  let outcome;
  await scene(await load(name), {}, async (w) => {
    const [bob, dave] = await w.persons('bob', 'dave');
    const [his, daves] = await w.conversation({}, bob, dave);
    await settle(his, bob, dave);
    await his.add('carol');
    const carol = child(w, name, w.server.token('carol'), his.sid, manner);
    w.closing(() => carol.process.kill());
    const orElse = (what) => within(Promise.race([what, carol.ended]), PATIENCE_MS, () => `carol waits; she said ${carol.said}`);
    await orElse(carol.settled);

    const hold = await w.server.fault('hold', { Method: 'GET', Path: '/v3/Maps/*', Identity: 'carol', Times: 0 });
    await his.typing();
    const asked = async () => {
      while (await w.server.hits(hold) < 1);
    };
    await orElse(asks ? asked() : carol.told);
    if (!asks) assert.equal(await w.server.hits(hold), 0);
    await w.server.fault('cut', { Identity: 'carol' });
    await his.sendMessage('meanwhile');
    await w.server.mend(hold);
    if (manner === 'listening') {
      // She says so once she has read what she missed, and whoever got a message is told of typing.
      await orElse(bob.received('back'));
      await daves.typing();
    }
    outcome = { code: await within(carol.ended, PATIENCE_MS, 'carol goes on'), errors: carol.errors, said: carol.said };
  })();
  return outcome;
}

function child(w, name, token, sid, manner) {
  const script = new URL('told-of-typing.mjs', import.meta.url).pathname;
  const started = spawn(process.execPath, [script, name, w.server.socketUrl, token, sid, manner], { stdio: ['ignore', 'pipe', 'pipe'] });
  const it = { process: started, said: [], errors: '' };
  started.stderr.setEncoding('utf8').on('data', (text) => (it.errors += text));
  const lines = createInterface({ input: started.stdout }).on('line', (line) => it.said.push(line));
  const line = (text) => new Promise((resolve) => lines.on('line', (found) => found === text && resolve()));
  [it.settled, it.told] = [line('settled'), line('told')];
  it.ended = new Promise((resolve) => started.once('close', resolve));
  return it;
}
