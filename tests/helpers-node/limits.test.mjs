// Too many requests, as the official library sees them: an error that says so, or nothing at all when it tries again
// by itself.

import assert from 'node:assert/strict';
import { describe } from 'node:test';

import { library, refused, withServer } from './local.mjs';

const MESSAGES = 10;

const rate = (perSecond, burst) => ({
  settings: { TERTULIA__LIMITS__REQUESTS_PER_SECOND: String(perSecond), TERTULIA__LIMITS__REQUESTS_BURST: String(burst) },
});

describe('too many requests', { concurrency: 4 }, () => {
  withServer('more_than_the_rate_are_429_with_the_seconds_to_wait', async ({ server, client }) => {
    const answers = [];
    client.httpClient.axios.interceptors.response.use((answer) => (answers.push(answer), answer));
    const create = (_, n) => client.conversations.v1.conversations.create({ uniqueName: `c-${n}` });
    const outcomes = await Promise.allSettled(Array.from({ length: 30 }, create));
    const errors = outcomes.filter((one) => one.status === 'rejected').map((one) => one.reason);
    assert.ok(errors.length > 0 && errors.length < 30, `${errors.length} of 30 were refused`);
    for (const error of errors) assert.ok(refused(429, 20429)(error));
    const told = answers.filter((answer) => answer.status === 429);
    assert.equal(told.length, errors.length, 'by itself the library tries nothing twice');
    for (const { headers } of told) assert.match(headers['retry-after'], /^[1-9]\d*$/);
    // What was refused was not done, and the library that waits for room sees it.
    const { conversations } = patient(server).client.conversations.v1;
    assert.equal((await conversations.list()).length, 30 - errors.length);
  }, rate(1, 3));

  withServer('a_library_that_repeats_gets_everything_through_once', async ({ server }) => {
    const { client, attempts } = patient(server);
    const { conversations } = client.conversations.v1;
    const { sid } = await conversations.create({});
    const bodies = Array.from({ length: MESSAGES }, (_, n) => `m-${n}`);
    await Promise.all(bodies.map((body) => conversations(sid).messages.create({ author: 'alice', body })));
    const said = (await conversations(sid).messages.list()).map((message) => message.body);
    assert.deepEqual(said.sort(), bodies);
    assert.ok(attempts() > MESSAGES + 2, `${attempts()} attempts: some had to wait`);
  }, rate(5, 1));
});

/// The library with its own repetition of refused requests, and how many it has sent. It takes a chance of its own
/// each time, not what the server says, so that it may need many.
function patient(server) {
  const transport = { autoRetry: true, maxRetries: 100, maxRetryDelay: 500 };
  const client = library(server, server.account, server.authToken, { transport });
  let sent = 0;
  client.httpClient.axios.interceptors.request.use((config) => {
    sent += 1;
    return config;
  });
  return { client, attempts: () => sent };
}
