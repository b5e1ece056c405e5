// The list of tests that every version of the SDK must pass.

import { describe, test } from 'node:test';

import { observed } from '../support/observed.mjs';
import { scene } from '../support/scene.mjs';
import bursts from './features/bursts.mjs';
import convergence from './features/convergence.mjs';
import conversations from './features/conversations.mjs';
import everyone from './features/everyone.mjs';
import horizons from './features/horizons.mjs';
import messages from './features/messages.mjs';
import participants from './features/participants.mjs';
import reachability from './features/reachability.mjs';
import privacy from './features/private.mjs';
import restart from './features/restart.mjs';
import start from './features/start.mjs';
import timers from './features/timers.mjs';
import tokens from './features/tokens.mjs';
import typing from './features/typing.mjs';
import users from './features/users.mjs';

const FEATURES = [
  start, conversations, privacy, messages, bursts, participants, horizons, users, reachability, timers, typing, everyone,
  tokens,
  restart, convergence,
];

/// `sdk` and `WebSocket` are the modules of a version of the SDK and of the ws package. `prepare` gives more
/// options for the server of a test; with `only`, just the tests of these titles. `features`: another list.
export function everything({ title, sdk, WebSocket, prepare = async () => ({}), only, features = FEATURES }) {
  globalThis.WebSocket = observed(WebSocket);
  const left = new Set(only);
  describe(`${title} (SDK ${sdk.Client.version})`, { concurrency: 4 }, () => {
    const testWith = (options, name, body) => {
      if (only && !left.delete(name)) return;
      test(name, { timeout: 60_000 }, async () => {
        const more = await prepare();
        const settings = { ...options.settings, ...more.settings };
        await scene(sdk, { ...options, ...more, settings }, body)();
      });
    };
    const plain = (name, body) => testWith({}, name, body);
    for (const feature of features) feature({ test: plain, testWith });
    if (left.size > 0) throw new Error(`no such tests: ${[...left].join(', ')}`);
  });
}
