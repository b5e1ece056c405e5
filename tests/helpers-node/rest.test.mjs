// The REST API through the official library.

import assert from 'node:assert/strict';
import { describe } from 'node:test';

import conversations from '@twilio/conversations';

import { Person } from '../support/person.mjs';
import { library, refused, withServer } from './local.mjs';

const SID = (prefix) => new RegExp(`^${prefix}[0-9a-f]{32}$`);
const nobody = (prefix) => prefix + '0'.repeat(32);
const sids = (list) => list.map((one) => one.sid);

const recent = (date) => assert.ok(date instanceof Date && Math.abs(date - Date.now()) < 60_000, String(date));

describe('conversations', { concurrency: 4 }, () => {
  withServer('create_fetch_update_remove', async ({ server, chat }) => {
    const made = await chat.conversations.create({ friendlyName: 'Tertulia ☕', uniqueName: 'a name +&=?', attributes: '{"a":  1}' });
    assert.match(made.sid, SID('CH'));
    assert.deepEqual(
      [made.accountSid, made.chatServiceSid, made.friendlyName, made.uniqueName, made.attributes, made.state],
      [server.account, server.service, 'Tertulia ☕', 'a name +&=?', '{"a":  1}', 'active'],
    );
    assert.deepEqual([made.timers, made.bindings], [{}, {}]);
    recent(made.dateCreated);
    assert.deepEqual(made.dateUpdated, made.dateCreated);
    assert.ok(made.url.startsWith(server.url), made.url);
    for (const link of ['participants', 'messages', 'webhooks']) assert.ok(made.links[link].startsWith(`${made.url}/`), link);

    const updated = await chat.conversations(made.sid).update({ friendlyName: 'after', uniqueName: 'simple', attributes: '{}', state: 'inactive' });
    assert.deepEqual([updated.friendlyName, updated.uniqueName, updated.attributes, updated.state], ['after', 'simple', '{}', 'inactive']);
    for (const name of [made.sid, 'simple', made.sid.toUpperCase()]) {
      const fetched = await chat.conversations(name).fetch();
      assert.deepEqual([fetched.sid, fetched.friendlyName], [made.sid, 'after']);
      assert.equal(fetched.url, made.url);
    }
    assert.equal(await chat.conversations('simple').remove(), true);
    await assert.rejects(chat.conversations(made.sid).fetch(), refused(404, 20404));
    await assert.rejects(chat.conversations('simple').fetch(), refused(404, 20404));
    assert.equal((await chat.conversations.create({ uniqueName: 'simple' })).uniqueName, 'simple');
  });

  withServer('nothing_given_is_the_default', async ({ chat }) => {
    const made = await chat.conversations.create();
    assert.deepEqual([made.friendlyName, made.uniqueName, made.attributes], [null, null, '{}']);
  });

  withServer('listed_over_several_pages', async ({ chat, client }) => {
    const made = [];
    for (let n = 0; n < 12; n++) made.push((await chat.conversations.create({ friendlyName: `number ${n}` })).sid);
    assert.deepEqual(sids(await client.conversations.v1.conversations.list({ pageSize: 5 })).sort(), [...made].sort());
    const pages = client.requests.filter((request) => request.startsWith('GET'));
    assert.equal(pages.length, 3, String(pages));
    assert.ok(pages.slice(1).every((page) => /PageSize=5&Page=\d+&PageToken=./.test(page)), String(pages));
    assert.equal((await chat.conversations.list({ limit: 7, pageSize: 5 })).length, 7);
    assert.equal((await chat.conversations.list({ limit: 500 })).length, 12);
    assert.deepEqual(await chat.conversations.list({ state: 'closed' }), []);

    const each = [];
    await new Promise((resolve, reject) => {
      const done = (error) => (error ? reject(error) : resolve());
      chat.conversations.each({ pageSize: 5, callback: (one) => each.push(one.sid), done });
    });
    assert.deepEqual(each.sort(), [...made].sort());

    let page = await chat.conversations.page({ pageSize: 5 });
    const first = sids(page.instances);
    page = await page.nextPage();
    assert.equal(page.instances.length, 5);
    page = await (await page.nextPage()).previousPage();
    page = await page.previousPage();
    assert.deepEqual(sids(page.instances), first);
    assert.equal(page.previousPageUrl ?? null, null);
  });

  withServer('a_list_is_stable_while_it_grows', async ({ chat }) => {
    for (let n = 0; n < 6; n++) await chat.conversations.create();
    const first = await chat.conversations.page({ pageSize: 3 });
    await chat.conversations.create();
    await chat.conversations(first.instances[0].sid).remove();
    const second = await first.nextPage();
    const both = [...sids(first.instances), ...sids(second.instances)];
    assert.equal(new Set(both).size, 6);
  });

  withServer('refusals_have_the_documented_codes', async ({ chat }) => {
    const made = await chat.conversations.create({ uniqueName: 'taken' });
    const list = chat.conversations;
    await assert.rejects(list.create({ uniqueName: 'taken' }), refused(409, 50353));
    await assert.rejects(list.create({ attributes: '{broken' }), refused(400, 50304));
    await assert.rejects(list.create({ attributes: JSON.stringify('x'.repeat(16_384)) }), refused(400, 50303));
    await assert.rejects(list.create({ friendlyName: 'x'.repeat(257) }), refused(400, 50003));
    await assert.rejects(list.create({ uniqueName: 'x'.repeat(257) }), refused(400, 50004));
    await assert.rejects(list.create({ uniqueName: made.sid }), refused(400, 50390));
    await assert.rejects(list.create({ state: 'asleep' }), refused(400, 50378));
    await assert.rejects(list.create({ state: 'closed' }), refused(400, 50384));
    await assert.rejects(list(nobody('CH')).fetch(), refused(404, 20404));
    await assert.rejects(list(nobody('CH')).update({ friendlyName: 'x' }), refused(404, 20404));
    await assert.rejects(list(nobody('CH')).remove(), refused(404, 20404));
    await assert.rejects(list(nobody('CH')).messages.list(), refused(404, 20404));
    await assert.rejects(list.list({ startDate: '2026-02-01', endDate: '2026-01-01' }), refused(400, 50396));
    await list(made.sid).update({ state: 'closed' });
    await assert.rejects(list(made.sid).update({ friendlyName: 'x' }), refused(400, 50377));
    await assert.rejects(list(made.sid).messages.create({ body: 'x' }), refused(400, 50377));
    assert.equal((await list(made.sid).fetch()).state, 'closed');
    const error = await list(nobody('CH')).fetch().catch((error) => error);
    assert.ok(error.message.includes(`/Conversations/${nobody('CH')}`), error.message);
  });

  withServer('the_service_route_and_the_short_one_show_the_same', async ({ server, chat }) => {
    const service = chat.services(server.service);
    const made = await service.conversations.create({ friendlyName: 'both' });
    assert.ok(made.url.includes(`/v1/Services/${server.service}/Conversations/`), made.url);
    const short = await chat.conversations(made.sid).fetch();
    assert.ok(short.url.includes('/v1/Conversations/'), short.url);
    assert.equal(short.friendlyName, 'both');
    assert.deepEqual(sids(await service.conversations.list()), sids(await chat.conversations.list()));
    await assert.rejects(chat.services(nobody('IS')).conversations(made.sid).fetch(), refused(404, 20404));
  });
});

describe('participants', { concurrency: 4 }, () => {
  withServer('create_fetch_list_update_remove', async ({ server, chat }) => {
    const conversation = await chat.conversations.create();
    const { participants } = chat.conversations(conversation.sid);
    const made = await participants.create({ identity: 'user@some-domain.com', attributes: '{"seat":1}' });
    assert.match(made.sid, SID('MB'));
    assert.deepEqual(
      [made.accountSid, made.conversationSid, made.identity, made.attributes, made.messagingBinding, made.lastReadMessageIndex],
      [server.account, conversation.sid, 'user@some-domain.com', '{"seat":1}', null, null],
    );
    assert.match(made.roleSid, SID('RL'));
    recent(made.dateCreated);
    for (const name of [made.sid, 'user@some-domain.com']) {
      assert.equal((await chat.conversations(conversation.sid).participants(name).fetch()).sid, made.sid);
    }
    for (let n = 0; n < 4; n++) await participants.create({ identity: `p ${n}` });
    const listed = await participants.list({ pageSize: 2 });
    assert.deepEqual(listed.map((one) => one.identity).sort(), ['p 0', 'p 1', 'p 2', 'p 3', 'user@some-domain.com']);

    await chat.conversations(conversation.sid).messages.create({ body: 'zero' });
    const one = chat.conversations(conversation.sid).participants(made.sid);
    const updated = await one.update({ attributes: '{}', lastReadMessageIndex: 0 });
    assert.deepEqual([updated.attributes, updated.lastReadMessageIndex], ['{}', 0]);
    assert.ok(updated.lastReadTimestamp);
    assert.equal(await one.remove(), true);
    await assert.rejects(one.fetch(), refused(404, 20404));
    assert.equal((await participants.list()).length, 4);
  });

  withServer('refusals_have_the_documented_codes', async ({ chat }) => {
    const conversation = await chat.conversations.create();
    const { participants } = chat.conversations(conversation.sid);
    await participants.create({ identity: 'alice' });
    await assert.rejects(participants.create({ identity: 'alice' }), refused(409, 50433));
    await assert.rejects(participants.create({ identity: 'x'.repeat(257) }), refused(400, 50207));
    await assert.rejects(participants.create({ identity: 'bob', attributes: 'x' }), refused(400, 50304));
    const error = await participants.create({}).catch((error) => error);
    assert.equal(error.status, 400);
    await assert.rejects(chat.conversations(conversation.sid).participants(nobody('MB')).remove(), refused(404, 20404));
    await assert.rejects(chat.conversations(conversation.sid).participants('alice').update({ lastReadMessageIndex: 'x' }), refused(400, 50421));
    assert.equal((await participants.list()).length, 1);
  });
});

describe('messages', { concurrency: 4 }, () => {
  withServer('create_fetch_update_remove', async ({ server, chat }) => {
    const conversation = await chat.conversations.create();
    const { messages, participants } = chat.conversations(conversation.sid);
    const alice = await participants.create({ identity: 'alice' });
    const made = await messages.create({ author: 'alice', body: 'Grüße 👋\r\n+&=%', attributes: '{"n": 1}' });
    assert.match(made.sid, SID('IM'));
    assert.deepEqual(
      [made.accountSid, made.conversationSid, made.index, made.author, made.body, made.attributes, made.participantSid],
      [server.account, conversation.sid, 0, 'alice', 'Grüße 👋\r\n+&=%', '{"n": 1}', alice.sid],
    );
    assert.deepEqual([made.media, made.delivery, made.contentSid], [null, null, null]);
    recent(made.dateCreated);
    assert.ok(made.links.delivery_receipts && made.links.channel_metadata);
    const system = await messages.create({ body: 'by nobody' });
    assert.deepEqual([system.index, system.author, system.participantSid], [1, 'system', null]);

    const one = chat.conversations(conversation.sid).messages(made.sid);
    const updated = await one.update({ body: 'after', attributes: '{}', author: 'bob' });
    assert.deepEqual([updated.body, updated.attributes, updated.author, updated.index], ['after', '{}', 'bob', 0]);
    assert.equal((await one.fetch()).body, 'after');
    assert.equal(await one.remove(), true);
    await assert.rejects(one.fetch(), refused(404, 20404));
    assert.equal((await messages.create({ body: 'next' })).index, 2);
    assert.deepEqual((await messages.list()).map((message) => message.index), [1, 2]);
  });

  withServer('listed_in_both_orders_over_pages', async ({ chat }) => {
    const conversation = await chat.conversations.create();
    const { messages } = chat.conversations(conversation.sid);
    for (let n = 0; n < 11; n++) await messages.create({ body: `number ${n}` });
    const up = Array.from({ length: 11 }, (_, n) => `number ${n}`);
    const bodies = (list) => list.map((message) => message.body);
    assert.deepEqual(bodies(await messages.list({ pageSize: 4 })), up);
    assert.deepEqual(bodies(await messages.list({ order: 'desc', pageSize: 4 })), [...up].reverse());
    assert.deepEqual(bodies(await messages.list({ order: 'desc', limit: 3 })), up.slice(-3).reverse());
  });

  withServer('refusals_have_the_documented_codes', async ({ chat }) => {
    const conversation = await chat.conversations.create();
    const other = await chat.conversations.create();
    const { messages } = chat.conversations(conversation.sid);
    await assert.rejects(messages.create({ body: 'x'.repeat(32_769) }), refused(400, 50504));
    await assert.rejects(messages.create({ body: 'x', attributes: '[' }), refused(400, 50304));
    await assert.rejects(messages.create({ body: 'x', attributes: JSON.stringify('x'.repeat(4096)) }), refused(400, 50303));
    await assert.rejects(messages.create({ body: 'x', author: 'x'.repeat(257) }), refused(400, 50310));
    await assert.rejects(messages.create({}), refused(400, 50503));
    const made = await messages.create({ body: 'x'.repeat(32_768) });
    assert.equal(made.index, 0);
    await assert.rejects(chat.conversations(other.sid).messages(made.sid).fetch(), refused(404, 20404));
    await assert.rejects(chat.conversations(conversation.sid).messages(nobody('IM')).update({ body: 'x' }), refused(404, 20404));
  });

  withServer('made_over_rest_they_arrive_live_at_the_sdk', async ({ server, chat }) => {
    const person = new Person(conversations, 'alice', server.token('alice'), server.socketUrl);
    await person.ready();
    const { sid } = await chat.conversations.create({ friendlyName: 'live' });
    await chat.conversations(sid).participants.create({ identity: 'alice' });
    const joined = await person.joined(sid);
    assert.equal(joined.friendlyName, 'live');
    const made = await chat.conversations(sid).messages.create({ author: 'shop', body: 'your order 📦', attributes: '{"order":5}' });
    const message = await person.received('your order 📦');
    assert.deepEqual([message.sid, message.author, message.index, message.attributes], [made.sid, 'shop', made.index, { order: 5 }]);
    await chat.conversations(sid).messages(made.sid).update({ body: 'changed' });
    await person.until('messageUpdated', ({ message }) => message.body === 'changed');
    // And the other way.
    const index = await joined.sendMessage('thank you');
    const [last] = await chat.conversations(sid).messages.list({ order: 'desc', limit: 1 });
    assert.deepEqual([last.index, last.author, last.body], [index, 'alice', 'thank you']);
    await chat.conversations(sid).remove();
    await person.until('conversationRemoved', (gone) => gone.sid === sid);
    await person.shutdown();
  });
});

describe('users', { concurrency: 4 }, () => {
  withServer('create_fetch_list_update_remove', async ({ server, chat }) => {
    const made = await chat.users.create({ identity: 'user@some-domain.com', friendlyName: 'U', attributes: '{"a":1}' });
    assert.match(made.sid, SID('US'));
    assert.deepEqual(
      [made.accountSid, made.chatServiceSid, made.identity, made.friendlyName, made.attributes, made.isOnline, made.isNotifiable],
      [server.account, server.service, 'user@some-domain.com', 'U', '{"a":1}', null, null],
    );
    assert.match(made.roleSid, SID('RL'));
    for (const name of [made.sid, 'user@some-domain.com']) assert.equal((await chat.users(name).fetch()).sid, made.sid);
    const updated = await chat.users('user@some-domain.com').update({ friendlyName: 'V', attributes: '{}' });
    assert.deepEqual([updated.friendlyName, updated.attributes], ['V', '{}']);
    for (let n = 0; n < 5; n++) await chat.users.create({ identity: `u${n}` });
    const identities = (await chat.users.list({ pageSize: 2 })).map((user) => user.identity);
    for (const one of ['user@some-domain.com', 'u0', 'u4']) assert.ok(identities.includes(one), one);
    assert.equal(new Set(identities).size, identities.length);
    assert.equal(await chat.users(made.sid).remove(), true);
    await assert.rejects(chat.users(made.sid).fetch(), refused(404, 20404));
  });

  withServer('refusals_have_the_documented_codes', async ({ chat }) => {
    await chat.users.create({ identity: 'taken' });
    await assert.rejects(chat.users.create({ identity: 'taken' }), refused(409, 50201));
    await assert.rejects(chat.users.create({ identity: 'x'.repeat(257) }), refused(400, 50207));
    await assert.rejects(chat.users.create({ identity: nobody('US') }), refused(400, 50206));
    await assert.rejects(chat.users.create({ identity: 'a', attributes: '{' }), refused(400, 50304));
    await assert.rejects(chat.users('nobody').fetch(), refused(404, 20404));
    assert.equal((await chat.users.create({ identity: 'Taken' })).identity, 'Taken');
  });

  withServer('their_conversations_are_listed_and_changed', async ({ chat }) => {
    const made = await chat.conversations.create({ friendlyName: 'f', uniqueName: 'u' });
    const participant = await chat.conversations(made.sid).participants.create({ identity: 'alice' });
    for (let n = 0; n < 3; n++) await chat.conversations(made.sid).messages.create({ body: `${n}` });
    const [own] = await chat.users('alice').userConversations.list();
    assert.deepEqual(
      [own.conversationSid, own.participantSid, own.friendlyName, own.unreadMessagesCount, own.lastReadMessageIndex, own.notificationLevel],
      [made.sid, participant.sid, 'f', null, null, 'default'],
    );
    const updated = await chat.users('alice').userConversations(made.sid).update({ lastReadMessageIndex: 0, notificationLevel: 'muted' });
    assert.deepEqual([updated.unreadMessagesCount, updated.lastReadMessageIndex, updated.notificationLevel], [2, 0, 'muted']);
    const [row] = await chat.participantConversations.list({ identity: 'alice' });
    assert.deepEqual([row.conversationSid, row.participantSid, row.participantIdentity], [made.sid, participant.sid, 'alice']);
    assert.equal(await chat.users('alice').userConversations(made.sid).remove(), true);
    assert.deepEqual(await chat.conversations(made.sid).participants.list(), []);
    await assert.rejects(chat.users('alice').userConversations(made.sid).fetch(), refused(404, 20404));
  });

  withServer('changed_over_rest_they_change_at_the_sdk', async ({ server, chat }) => {
    const person = new Person(conversations, 'alice', server.token('alice'), server.socketUrl);
    await person.ready();
    await chat.users('alice').update({ friendlyName: 'Alice 🐇', attributes: '{"from":"rest"}' });
    await person.until('userUpdated', ({ user }) => user.friendlyName === 'Alice 🐇');
    await person.eventually(() => person.client.user.attributes.from === 'rest', 'the attributes');
    await person.shutdown();
  });
});

describe('services and their configuration', { concurrency: 4 }, () => {
  withServer('create_fetch_list_remove', async ({ server, chat }) => {
    const made = await chat.services.create({ friendlyName: 'second ☕' });
    assert.match(made.sid, SID('IS'));
    assert.deepEqual([made.accountSid, made.friendlyName], [server.account, 'second ☕']);
    for (const link of ['conversations', 'users', 'roles', 'configuration']) assert.ok(made.links[link], link);
    assert.equal((await chat.services(made.sid).fetch()).friendlyName, 'second ☕');
    for (let n = 0; n < 4; n++) await chat.services.create({ friendlyName: `n ${n}` });
    const listed = sids(await chat.services.list({ pageSize: 2 }));
    assert.equal(listed.length, 6);
    assert.ok(listed.includes(server.service) && listed.includes(made.sid));
    assert.equal(await chat.services(made.sid).remove(), true);
    await assert.rejects(chat.services(made.sid).fetch(), refused(404, 20404));
    const error = await chat.services.create({ friendlyName: 'x'.repeat(257) }).catch((error) => error);
    assert.deepEqual([error.status, error.code], [400, 50003]);
  });

  withServer('services_share_nothing', async ({ server, chat }) => {
    const other = chat.services((await chat.services.create({ friendlyName: 'other' })).sid);
    const here = await chat.conversations.create({ uniqueName: 'same' });
    const there = await other.conversations.create({ uniqueName: 'same' });
    assert.notEqual(here.sid, there.sid);
    await other.users.create({ identity: 'only there' });
    await assert.rejects(chat.users('only there').fetch(), refused(404, 20404));
    await assert.rejects(chat.conversations(there.sid).fetch(), refused(404, 20404));
    await assert.rejects(other.conversations(here.sid).messages.create({ body: 'x' }), refused(404, 20404));
    for (const service of [chat, other]) await service.conversations('same').participants.create({ identity: 'alice' });
    const person = new Person(conversations, 'alice', server.token('alice', { service: there.chatServiceSid }), server.socketUrl);
    await person.ready();
    assert.equal((await person.client.getConversationByUniqueName('same')).sid, there.sid);
    await assert.rejects(person.client.getConversationBySid(here.sid), (error) => error.status === 404);
    await person.shutdown();
  });

  withServer('the_configuration_of_a_service', async ({ server, chat }) => {
    const configuration = chat.services(server.service).configuration();
    const before = await configuration.fetch();
    assert.equal(before.chatServiceSid, server.service);
    for (const role of [before.defaultConversationCreatorRoleSid, before.defaultConversationRoleSid, before.defaultChatServiceRoleSid]) {
      assert.match(role, SID('RL'));
    }
    assert.equal(before.reachabilityEnabled, false);
    const role = await chat.roles.create({ friendlyName: 'talker', type: 'conversation', permission: ['sendMessage'] });
    const after = await configuration.update({ defaultConversationRoleSid: role.sid, reachabilityEnabled: true });
    assert.deepEqual([after.defaultConversationRoleSid, after.reachabilityEnabled], [role.sid, true]);
    const { sid } = await chat.conversations.create();
    assert.equal((await chat.conversations(sid).participants.create({ identity: 'alice' })).roleSid, role.sid);
    const error = await configuration.update({ defaultChatServiceRoleSid: role.sid }).catch((error) => error);
    assert.ok(error.status >= 400 && error.status < 500, 'a role of the wrong type');
  });

  withServer('the_configuration_of_the_account', async ({ server, chat }) => {
    const before = await chat.configuration().fetch();
    assert.deepEqual([before.accountSid, before.defaultChatServiceSid], [server.account, server.service]);
    const other = await chat.services.create({ friendlyName: 'the new default' });
    const after = await chat.configuration().update({ defaultChatServiceSid: other.sid });
    assert.equal(after.defaultChatServiceSid, other.sid);
    assert.equal((await chat.conversations.create()).chatServiceSid, other.sid);
  });
});

describe('roles', { concurrency: 4 }, () => {
  withServer('create_fetch_list_update_remove', async ({ chat }) => {
    const before = await chat.roles.list();
    assert.deepEqual(before.map((role) => role.friendlyName).sort(), ['channel admin', 'channel user', 'service admin', 'service user']);
    const made = await chat.roles.create({ friendlyName: 'quiet', type: 'conversation', permission: ['leaveConversation', 'sendMessage'] });
    assert.match(made.sid, SID('RL'));
    assert.deepEqual([made.friendlyName, made.type, [...made.permissions].sort()], ['quiet', 'conversation', ['leaveConversation', 'sendMessage']]);
    const updated = await chat.roles(made.sid).update({ permission: ['leaveConversation'] });
    assert.deepEqual(updated.permissions, ['leaveConversation']);
    assert.deepEqual((await chat.roles(made.sid).fetch()).permissions, ['leaveConversation']);
    assert.equal((await chat.roles.list({ pageSize: 2 })).length, 5);
    assert.equal(await chat.roles(made.sid).remove(), true);
    await assert.rejects(chat.roles(made.sid).fetch(), refused(404, 20404));
    await assert.rejects(chat.roles.create({ friendlyName: 'x', type: 'conversation', permission: ['fly'] }), refused(400, 50104));
    await assert.rejects(chat.roles.create({ friendlyName: 'x', type: 'planet', permission: ['sendMessage'] }), refused(400, 50105));
  });

  withServer('a_role_binds_at_the_sdk', async ({ server, chat }) => {
    const quiet = await chat.roles.create({ friendlyName: 'quiet', type: 'conversation', permission: ['leaveConversation'] });
    const { sid } = await chat.conversations.create();
    const participant = await chat.conversations(sid).participants.create({ identity: 'alice', roleSid: quiet.sid });
    assert.equal(participant.roleSid, quiet.sid);
    const person = new Person(conversations, 'alice', server.token('alice'), server.socketUrl);
    await person.ready();
    const joined = await person.joined(sid);
    await assert.rejects(joined.sendMessage('x'), (error) => error.status === 403);
    await chat.roles(quiet.sid).update({ permission: ['leaveConversation', 'sendMessage'] });
    assert.equal(await joined.sendMessage('now'), 0);
    await person.shutdown();
  });
});

describe('keys and credentials', { concurrency: 4 }, () => {
  withServer('create_fetch_list_update_remove', async ({ server, client }) => {
    const made = await client.newKeys.create({ friendlyName: 'a key' });
    assert.match(made.sid, SID('SK'));
    assert.equal(made.secret.length, 32);
    recent(made.dateCreated);
    const fetched = await client.keys(made.sid).fetch();
    assert.deepEqual([fetched.sid, fetched.friendlyName, fetched.secret], [made.sid, 'a key', undefined]);
    assert.equal((await client.keys(made.sid).update({ friendlyName: 'renamed' })).friendlyName, 'renamed');
    for (let n = 0; n < 4; n++) await client.newKeys.create({});
    const listed = sids(await client.keys.list({ pageSize: 2 }));
    assert.equal(new Set(listed).size, listed.length);
    assert.ok(listed.length >= 5 && listed.includes(made.sid));

    // Another origin in `next_page_uri` would have gone past the local client: all pages came from here.
    assert.ok(client.requests.filter((request) => request.includes('/Keys.json')).length >= 3);
    const asKey = library(server, made.sid, made.secret).conversations.v1;
    assert.match((await asKey.conversations.create()).sid, SID('CH'));
    assert.equal(await client.keys(made.sid).remove(), true);
    await assert.rejects(client.keys(made.sid).fetch(), refused(404, 20404));
    await assert.rejects(asKey.conversations.list(), refused(401, 20003));
  });

  withServer('wrong_credentials_are_401', async ({ server }) => {
    const pairs = [
      [server.account, 'wrong'],
      [`AC${'9'.repeat(32)}`, server.authToken],
      [server.key, server.authToken],
      [`SK${'9'.repeat(32)}`, server.secret],
    ];
    for (const [username, password] of pairs) {
      const { conversations } = library(server, username, password).conversations.v1;
      await assert.rejects(conversations.list(), refused(401, 20003));
      await assert.rejects(conversations.create(), refused(401, 20003));
    }
    const key = library(server, server.key, server.secret).conversations.v1;
    assert.deepEqual(await key.conversations.list(), []);
  });
});
