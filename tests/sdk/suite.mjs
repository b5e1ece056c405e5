// The list of tests that every version of the SDK must pass.

import { createRequire } from 'node:module';
import { describe, test } from 'node:test';

import WebSocket from 'ws';

import { observed } from '../support/observed.mjs';
import { scene } from '../support/scene.mjs';
import conversations from './features/conversations.mjs';
import horizons from './features/horizons.mjs';
import messages from './features/messages.mjs';
import participants from './features/participants.mjs';
import restart from './features/restart.mjs';
import start from './features/start.mjs';
import tokens from './features/tokens.mjs';
import typing from './features/typing.mjs';
import users from './features/users.mjs';

const FEATURES = { start, conversations, messages, participants, horizons, users, typing, tokens, restart };

globalThis.WebSocket = observed(WebSocket);

/// `name` is the folder in node_modules, an alias of one version.
export function everything(name) {
  const sdk = createRequire(import.meta.url)(name);
  describe(`${name} (${sdk.Client.version})`, { concurrency: 4 }, () => {
    const testWith = (options, title, body) => test(title, { timeout: 60_000 }, scene(sdk, options, body));
    const plain = (title, body) => testWith({}, title, body);
    for (const feature of Object.values(FEATURES)) feature({ test: plain, testWith });
  });
}
