import assert from 'node:assert/strict';

import { bothAgree, pair } from '../../support/pair.mjs';
import { within } from '../../support/server.mjs';

/// An SDK that was told to wait comes again five seconds later, and then after longer and longer.
const WAIT_MS = 5_000;
const PATIENCE_MS = 40_000;

const full = { settings: { TERTULIA__LIMITS__CONNECTIONS_PER_ACCOUNT_MAX: '2' } };

export default ({ testWith }) => {
  testWith(full, 'one_connection_too_many_is_told_to_wait_and_comes_in_by_itself_when_there_is_room', async (w) => {
    const { alice, bob, mine, his } = await pair(w);
    const carol = w.enter('carol');
    const error = await carol.until('connectionError');
    const told = performance.now();
    assert.deepEqual([error.terminal, error.httpStatusCode, error.errorCode], [false, 429, 20429]);
    assert.match(error.message, /limits\.connections_per_account_max/);
    assert.deepEqual([carol.count('initialized'), carol.client.connectionState], [0, 'connecting']);

    // Nobody who is in notices.
    await mine.sendMessage('still here');
    await bob.received('still here');
    await bothAgree(w, { alice, bob, mine, his });
    assert.deepEqual([alice.all('connectionError'), bob.all('connectionError')], [[], []]);

    // And a place that is left is carol's, without a word of hers.
    await bob.shutdown();
    await carol.until('initialized', undefined, PATIENCE_MS);
    assert.ok(performance.now() - told > WAIT_MS / 2, 'it came before its time');
    await within(carol.client.getSubscribedConversations(), PATIENCE_MS, 'the list of conversations');
    assert.equal(carol.client.connectionState, 'connected');
    assert.ok(carol.all('connectionError').every((one) => one.httpStatusCode === 429 && !one.terminal));
    assert.deepEqual([carol.count('tokenExpired'), carol.count('connectionStateChanged', (state) => state === 'denied')], [0, 0]);
  });
};
