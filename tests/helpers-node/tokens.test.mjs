// Access Tokens of the official library at the door.

import assert from 'node:assert/strict';
import { describe } from 'node:test';

import conversations from '@twilio/conversations';
import twilio from 'twilio';
import WebSocket from 'ws';

import { Person } from '../support/person.mjs';
import { Wire } from '../support/wire.mjs';
import { withServer } from './local.mjs';

const { AccessToken } = twilio.jwt;

function minted(server, identity, { options = {}, grant = {}, key = server.key, secret = server.secret } = {}) {
  const token = new AccessToken(server.account, key, secret, { identity, ...options });
  token.addGrant(new AccessToken.ChatGrant({ serviceSid: server.service, ...grant }));
  return token;
}

async function answer(server, token) {
  const wire = await Wire.connect(WebSocket, server.socketUrl);
  const { header } = await wire.init(token);
  wire.socket.terminate();
  return header.status;
}

describe('tokens of the official library', { concurrency: 4 }, () => {
  withServer('a_token_of_the_library_is_accepted_by_the_sdk', async ({ server }) => {
    const person = new Person(conversations, 'user@some-domain.com', minted(server, 'user@some-domain.com').toJwt(), server.socketUrl);
    await person.ready();
    assert.equal(person.client.user.identity, 'user@some-domain.com');
    await person.shutdown();
  });

  withServer('all_options_of_the_library_are_understood', async ({ server }) => {
    const now = Math.floor(Date.now() / 1000);
    const tokens = [
      minted(server, 'alice'),
      minted(server, 'alice', { options: { ttl: 86_400 } }),
      minted(server, 'alice', { options: { nbf: now } }),
      minted(server, 'alice', { options: { region: 'us1' } }),
      minted(server, 'alice', { grant: { endpointId: 'app:alice:device' } }),
      minted(server, '名前 ☕'),
      minted(server, 42),
    ];
    const more = minted(server, 'alice');
    more.addGrant(new AccessToken.SyncGrant({ serviceSid: server.service }));
    more.addGrant(new AccessToken.VoiceGrant({ incomingAllow: true }));
    more.addGrant(new AccessToken.VideoGrant({ room: 'r' }));
    for (const token of [...tokens, more]) assert.equal((await answer(server, token.toJwt())).code, 200, JSON.stringify(token));
  });

  withServer('wrong_tokens_of_the_library_get_the_documented_code', async ({ server }) => {
    const now = Math.floor(Date.now() / 1000);
    const empty = new AccessToken(server.account, server.key, server.secret, { identity: 'alice' });
    const wrong = [
      [20104, minted(server, 'alice', { options: { ttl: -60 } }).toJwt()],
      [20105, minted(server, 'alice', { options: { nbf: now + 600 } }).toJwt()],
      [20157, minted(server, 'alice', { options: { ttl: 200_000 } }).toJwt()],
      [20107, minted(server, 'alice', { secret: server.authToken }).toJwt()],
      [20103, minted(server, 'alice', { key: `SK${'9'.repeat(32)}` }).toJwt()],
      [20106, minted(server, 'alice', { grant: { serviceSid: `IS${'9'.repeat(32)}` } }).toJwt()],
      [20106, minted(server, 'alice', { grant: { serviceSid: undefined } }).toJwt()],
      [20106, empty.toJwt()],
      [20102, minted(server, 'alice').toJwt('HS384')],
    ];
    for (const [code, token] of wrong) {
      const status = await answer(server, token);
      assert.deepEqual([status.code, status.errorCode], [401, code], token);
    }
  });

  withServer('a_key_made_over_rest_signs_tokens_until_it_is_deleted', async ({ server, client }) => {
    const key = await client.newKeys.create({ friendlyName: 'signer' });
    const token = minted(server, 'alice', { key: key.sid, secret: key.secret }).toJwt();
    assert.equal((await answer(server, token)).code, 200);
    await client.keys(key.sid).remove();
    const status = await answer(server, token);
    assert.deepEqual([status.code, status.errorCode], [401, 20103]);
  });
});
