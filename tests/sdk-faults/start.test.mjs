import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';

import { NAMES } from '../sdk/load.mjs';
import { scene } from '../support/scene.mjs';

describe('a first start', () => {
  // Where the SDK is at fault: it asks for some things only once, and never again.
  for (const name of NAMES) {
    test(`cut_short_needs_a_new_client (SDK ${name})`, { timeout: 60_000 }, scene(null, {}, async (w) => {
      const { sid } = await w.server.rest('POST', '/v1/Conversations', {});
      await w.server.rest('POST', `/v1/Conversations/${sid}/Participants`, { Identity: 'carol' });
      // Its own list of conversations is asked for, and no answer comes before the end of the connection.
      const hold = await w.server.fault('hold', { Method: 'GET', Path: '/v3/Maps/*', Identity: 'carol', Times: 0 });
      const child = [new URL('cut-short.mjs', import.meta.url).pathname, name, w.server.socketUrl, w.server.token('carol')];
      const running = promisify(execFile)(process.execPath, child, { timeout: 40_000 });
      const asked = async () => {
        while (await w.server.hits(hold) < 1);
      };
      await Promise.race([asked(), running]);
      await w.server.fault('cut', { Identity: 'carol' });
      await w.server.mend(hold);
      const { stdout } = await running;
      const { first, second } = JSON.parse(stdout.trim().split('\n').at(-1));
      assert.match(first.list, /disconnected/);
      assert.match(first.unheard, /disconnected/);
      assert.equal(first.state, 'connected');
      assert.deepEqual(second, { initialized: 1, list: 1 });
    }));
  }
});
