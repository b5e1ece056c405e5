// Accounts, API keys of every kind and auth tokens through the official library: what each may do, and how each ends.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { describe } from 'node:test';
import { promisify } from 'node:util';

import twilio from 'twilio';
import WebSocket from 'ws';

import { Wire } from '../support/wire.mjs';
import { library, refused, withServer } from './local.mjs';

const { AccessToken } = twilio.jwt;
const nobody = (prefix) => prefix + '0'.repeat(32);
const sids = (list) => list.map((one) => one.sid);
const allow = (...permissions) => ({ allow: permissions.map((name) => `/twilio/conversations/${name}`) });

const recent = (date) => assert.ok(date instanceof Date && Math.abs(date - Date.now()) < 60_000, String(date));

/// The library as a key, for the account it belongs to.
const asKey = (server, key, accountSid = server.account) => library(server, key.sid, key.secret, { accountSid });

/// The library as an account of its own.
const asAccount = (server, { sid, authToken }, secret = authToken) => library(server, sid, secret, { accountSid: sid });

/// What whoever runs the server does from the command line beside it.
async function command(server, ...args) {
  const { stdout } = await promisify(execFile)(process.env.TERTULIA_BIN, [...args, '--data', join(server.folder, 'data'), '-o', 'json']);
  return JSON.parse(stdout);
}

/// What the door says to a token of `key`.
async function tokenOf(server, key, account = server.account, serviceSid = server.service) {
  const token = new AccessToken(account, key.sid, key.secret, { identity: 'alice' });
  token.addGrant(new AccessToken.ChatGrant({ serviceSid }));
  const wire = await Wire.connect(WebSocket, server.socketUrl);
  const { header } = await wire.init(token.toJwt());
  wire.socket.terminate();
  return [header.status.code, header.status.errorCode];
}

/// Everything that only an account's own credentials and Main keys may.
function managing(server, client) {
  const { account } = server;
  const { iam, accounts } = client;
  return {
    'list accounts': () => client.api.v2010.accounts.list(),
    'create an account': () => client.api.v2010.accounts.create({}),
    'fetch the account': () => client.api.v2010.accounts(account).fetch(),
    'rename the account': () => client.api.v2010.accounts(account).update({ friendlyName: 'mine' }),
    'create a key': () => client.newKeys.create({}),
    'create a signing key': () => client.newSigningKeys.create({}),
    'list keys': () => client.keys.list(),
    'fetch a key': () => client.keys(server.key).fetch(),
    'rename a key': () => client.keys(server.key).update({ friendlyName: 'x' }),
    'create a managed key': () => iam.v1.newApiKey.create({ accountSid: account }),
    'list managed keys': () => iam.v1.getApiKeys.list({ accountSid: account }),
    'fetch a managed key': () => iam.v1.apiKey(server.key).fetch(),
    'rename a managed key': () => iam.v1.apiKey(server.key).update({ friendlyName: 'y' }),
    'make a secondary auth token': () => accounts.v1.secondaryAuthToken().create(),
    'remove the secondary auth token': () => accounts.v1.secondaryAuthToken().remove(),
  };
}

describe('accounts', { concurrency: 4 }, () => {
  withServer('fetched_renamed_and_listed_with_subaccounts', async ({ server, client }) => {
    const own = await client.api.v2010.accounts(server.account).fetch();
    assert.deepEqual([own.sid, own.ownerAccountSid, own.authToken, own.status, own.type], [server.account, server.account, server.authToken, 'active', 'Full']);
    assert.ok(own.uri === `/2010-04-01/Accounts/${server.account}.json` && own.subresourceUris.keys, own.uri);
    recent(own.dateCreated);
    const renamed = await client.api.v2010.accounts(server.account).update({ friendlyName: 'Café' });
    assert.equal(renamed.friendlyName, 'Café');

    const made = [];
    for (let n = 0; n < 3; n++) made.push(await client.api.v2010.accounts.create({ friendlyName: `sub ${n}` }));
    const [first, second] = made;
    assert.match(first.sid, /^AC[0-9a-f]{32}$/);
    assert.match(first.authToken, /^[0-9a-f]{32}$/);
    assert.equal(first.ownerAccountSid, server.account);
    const nameless = await client.api.v2010.accounts.create();
    assert.match(nameless.friendlyName, /^SubAccount Created at \d{4}-\d\d-\d\d \d\d:\d\d [ap]m$/);
    const everybody = sids(await client.api.v2010.accounts.list({ pageSize: 2 }));
    assert.deepEqual([...everybody].sort(), [server.account, nameless.sid, ...sids(made)].sort());
    assert.deepEqual(sids(await client.api.v2010.accounts.list({ friendlyName: 'sub 1' })), [second.sid]);

    // A subaccount is a world of its own.
    const sub = asAccount(server, first);
    assert.deepEqual(sids(await sub.api.v2010.accounts.list()), [first.sid]);
    assert.equal((await sub.conversations.v1.conversations.create({ uniqueName: 'same' })).accountSid, first.sid);
    assert.deepEqual(await client.conversations.v1.conversations.list(), []);
    await assert.rejects(sub.api.v2010.accounts.create({}), refused(403, 20006));
    for (const other of [server.account, second.sid, nobody('AC')]) {
      await assert.rejects(sub.api.v2010.accounts(other).fetch(), refused(404, 20404));
      await assert.rejects(sub.api.v2010.accounts(other).update({ status: 'closed' }), refused(404, 20404));
      await assert.rejects(sub.iam.v1.newApiKey.create({ accountSid: other }), refused(404, 20404));
    }
    // The parent manages its keys, in both forms.
    const key = await client.api.v2010.accounts(first.sid).newKeys.create({ friendlyName: 'from above' });
    const managed = await client.iam.v1.newApiKey.create({ accountSid: first.sid });
    assert.deepEqual(sids(await sub.keys.list()).sort(), [key.sid, managed.sid].sort());
    assert.equal((await asKey(server, managed, first.sid).conversations.v1.conversations('same').fetch()).accountSid, first.sid);
  });

  withServer('suspended_and_closed_ones_are_refused_everywhere', async ({ server, client }) => {
    const made = await client.api.v2010.accounts.create({ friendlyName: 'sub' });
    const [sub, above] = [asAccount(server, made), client.api.v2010.accounts(made.sid)];
    const key = await sub.newKeys.create({});
    const service = (await sub.conversations.v1.configuration().fetch()).defaultChatServiceSid;
    const token = () => tokenOf(server, key, made.sid, service);
    const calls = [() => sub.conversations.v1.conversations.list(), () => asKey(server, key, made.sid).conversations.v1.conversations.create(), () => sub.keys.list(), () => sub.iam.v1.getApiKeys.list({ accountSid: made.sid }), () => sub.api.v2010.accounts(made.sid).fetch()];
    assert.deepEqual(await token(), [200, undefined]);
    await assert.rejects(sub.api.v2010.accounts(made.sid).update({ status: 'suspended' }), refused(403, 20006));

    assert.equal((await above.update({ status: 'suspended' })).status, 'suspended');
    for (const call of calls) await assert.rejects(call(), refused(401, 20005));
    assert.deepEqual(await token(), [401, 20103]);
    assert.deepEqual(sids(await client.api.v2010.accounts.list({ status: 'suspended' })), [made.sid]);
    await above.update({ status: 'active' });
    for (const call of calls) await call();
    assert.deepEqual(await token(), [200, undefined]);

    assert.equal((await above.update({ status: 'closed' })).status, 'closed');
    for (const call of calls) await assert.rejects(call(), refused(401, 20005));
    assert.deepEqual(await token(), [401, 20103]);
    await assert.rejects(above.update({ status: 'active' }), refused(400, 20001));
    assert.equal((await above.fetch()).status, 'closed');
  });

  withServer('a_suspended_parent_takes_its_subaccounts_along', async ({ server, client }) => {
    const sub = asAccount(server, await client.api.v2010.accounts.create({}));
    await command(server, 'account', 'update', server.account, '--status', 'suspended');
    for (const one of [client, sub, library(server, server.key, server.secret)]) {
      await assert.rejects(one.conversations.v1.conversations.list(), refused(401, 20005));
    }
    assert.deepEqual(await tokenOf(server, { sid: server.key, secret: server.secret }), [401, 20103]);
    await command(server, 'account', 'update', server.account, '--status', 'active');
    assert.deepEqual(await sub.conversations.v1.conversations.list(), []);
  }, { keep: true });

  withServer('there_is_a_bound_and_it_is_an_error_that_the_library_does_not_repeat', async ({ client }) => {
    await client.api.v2010.accounts.create({});
    await assert.rejects(client.api.v2010.accounts.create({}), refused(409, 20409));
    await client.newKeys.create({});
    const before = client.requests.length;
    await assert.rejects(client.newKeys.create({}), refused(409, 20409));
    assert.equal(client.requests.length, before + 1);
  }, { settings: { TERTULIA__LIMITS__SUBACCOUNTS_MAX: '1', TERTULIA__LIMITS__KEYS_MAX: '2' } });
});

describe('the newer form of keys', { concurrency: 4 }, () => {
  withServer('create_fetch_list_update_remove', async ({ server, client }) => {
    const { iam } = client;
    const made = await iam.v1.newApiKey.create({ accountSid: server.account, friendlyName: 'a key ☕' });
    assert.match(made.sid, /^SK[0-9a-f]{32}$/);
    assert.deepEqual([made.secret.length, made.friendlyName, made.policy], [32, 'a key ☕', null]);
    recent(made.dateCreated);
    const fetched = await iam.v1.apiKey(made.sid).fetch();
    assert.deepEqual([fetched.sid, fetched.friendlyName, fetched.policy, fetched.secret], [made.sid, 'a key ☕', null, undefined]);
    recent(fetched.dateUpdated);
    assert.equal((await iam.v1.apiKey(made.sid).update({ friendlyName: 'renamed' })).friendlyName, 'renamed');
    const policy = allow('messages/list');
    const reader = await iam.v1.newApiKey.create({ accountSid: server.account, keyType: 'restricted', policy });
    assert.deepEqual(reader.policy, policy);
    const listed = await iam.v1.getApiKeys.list({ accountSid: server.account, pageSize: 2 });
    const flags = Object.fromEntries(listed.map((key) => [key.sid, key.flags]));
    assert.deepEqual([flags[made.sid], flags[reader.sid], flags[server.key]], [['rest_api', 'signing'], ['rest_api'], ['rest_api', 'signing']]);
    // It is the same key in the older form.
    assert.equal((await client.keys(made.sid).fetch()).friendlyName, 'renamed');
    assert.equal(await iam.v1.apiKey(made.sid).remove(), true);
    await assert.rejects(iam.v1.apiKey(made.sid).fetch(), refused(404, 20404));
    await assert.rejects(client.keys(made.sid).fetch(), refused(404, 20404));
    await assert.rejects(asKey(server, made).conversations.v1.conversations.list(), refused(401, 20003));
  });

  withServer('what_cannot_be_is_refused', async ({ server, client }) => {
    const { newApiKey } = client.iam.v1;
    const accountSid = server.account;
    const wrong = [
      { keyType: 'restricted' }, { keyType: 'main' }, { keyType: 'nonsense' }, { policy: allow('messages/list') }, { keyType: 'restricted', policy: { deny: [] } },
      { keyType: 'restricted', policy: { allow: ['messages'] } }, { keyType: 'restricted', policy: { allow: Array(101).fill('/a') } }, { friendlyName: 'x'.repeat(65) },
    ];
    for (const form of wrong) await assert.rejects(newApiKey.create({ accountSid, ...form }), refused(400, 20001), JSON.stringify(form));
    await assert.rejects(client.iam.v1.apiKey(server.key).update({ policy: allow('messages/list') }), refused(400, 20001));
    await assert.rejects(newApiKey.create({ accountSid: nobody('AC') }), refused(404, 20404));
    await assert.rejects(client.iam.v1.getApiKeys.list({ accountSid: nobody('AC') }), refused(404, 20404));
  });
});

describe('who may do what', { concurrency: 4 }, () => {
  withServer('the_account_and_a_main_key_may_everything', async ({ server, client }) => {
    const main = await command(server, 'key', 'create', 'main', '--kind', 'main');
    for (const one of [client, asKey(server, main)]) {
      for (const [what, call] of Object.entries(managing(server, one))) await assert.doesNotReject(call(), what);
      assert.deepEqual(await one.conversations.v1.conversations.list(), []);
    }
    assert.deepEqual(await tokenOf(server, main), [200, undefined]);
  }, { keep: true });

  withServer('a_standard_key_manages_neither_accounts_nor_keys', async ({ server, client }) => {
    const standard = await client.newKeys.create({});
    const one = asKey(server, standard);
    for (const [what, call] of Object.entries(managing(server, one))) await assert.rejects(call(), refused(401, 20003), what);
    const { sid } = await one.conversations.v1.conversations.create();
    assert.equal((await one.conversations.v1.conversations(sid).messages.create({ body: 'x' })).index, 0);
    assert.deepEqual(await tokenOf(server, standard), [200, undefined]);
  });

  withServer('a_restricted_key_does_what_its_policy_says_and_signs_no_tokens', async ({ server, client }) => {
    const policy = allow('conversations/read', 'messages/list', 'messages/create');
    const made = await client.iam.v1.newApiKey.create({ accountSid: server.account, keyType: 'restricted', policy });
    const one = asKey(server, made);
    const { sid } = await client.conversations.v1.conversations.create();
    const conversation = one.conversations.v1.conversations(sid);
    assert.equal((await conversation.fetch()).sid, sid);
    assert.equal((await conversation.messages.create({ body: 'x' })).index, 0);
    assert.equal((await conversation.messages.list()).length, 1);
    const beyond = {
      ...managing(server, one),
      'list conversations': () => one.conversations.v1.conversations.list(),
      'create a conversation': () => one.conversations.v1.conversations.create(),
      'delete the conversation': () => conversation.remove(),
      'fetch a message': () => conversation.messages(nobody('IM')).fetch(),
      'list participants': () => conversation.participants.list(),
      'list roles': () => one.conversations.v1.roles.list(),
    };
    for (const [what, call] of Object.entries(beyond)) await assert.rejects(call(), refused(401, 20003), what);
    assert.deepEqual(await tokenOf(server, made), [401, 20103]);
    // Another policy counts at once.
    await client.iam.v1.apiKey(made.sid).update({ policy: allow('roles/list') });
    assert.equal((await one.conversations.v1.roles.list()).length, 4);
    await assert.rejects(conversation.fetch(), refused(401, 20003));
  });
});

describe('auth tokens', { concurrency: 4 }, () => {
  withServer('change_without_a_gap', async ({ server, client }) => {
    const made = await client.api.v2010.accounts.create({});
    const sub = asAccount(server, made);
    await assert.rejects(sub.accounts.v1.authTokenPromotion().update(), refused(404, 20404));
    await assert.rejects(sub.accounts.v1.secondaryAuthToken().remove(), refused(404, 20404));
    const secondary = await sub.accounts.v1.secondaryAuthToken().create();
    assert.equal(secondary.accountSid, made.sid);
    assert.match(secondary.secondaryAuthToken, /^[0-9a-f]{32}$/);
    recent(secondary.dateCreated);
    const renewed = asAccount(server, made, secondary.secondaryAuthToken);
    for (const one of [sub, renewed]) assert.deepEqual(await one.conversations.v1.conversations.list(), []);
    const promoted = await renewed.accounts.v1.authTokenPromotion().update();
    assert.deepEqual([promoted.accountSid, promoted.authToken], [made.sid, secondary.secondaryAuthToken]);
    await assert.rejects(sub.conversations.v1.conversations.list(), refused(401, 20003));
    assert.equal((await client.api.v2010.accounts(made.sid).fetch()).authToken, secondary.secondaryAuthToken);

    const unwanted = await renewed.accounts.v1.secondaryAuthToken().create();
    assert.equal(await renewed.accounts.v1.secondaryAuthToken().remove(), true);
    await assert.rejects(asAccount(server, made, unwanted.secondaryAuthToken).keys.list(), refused(401, 20003));
  });
});
