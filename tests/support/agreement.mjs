// What the store holds, and whether somebody at an SDK was told just that.

import assert from 'node:assert/strict';

/// All rows of a list of the REST API; `key` is the list's name in a page.
export async function rows(server, path, key) {
  const found = [];
  for (let next = `${path}?PageSize=100`; next; ) {
    const page = await server.rest('GET', next);
    found.push(...page[key]);
    const url = page.meta.next_page_url && new URL(page.meta.next_page_url);
    next = url && url.pathname + url.search;
  }
  return found;
}

/// A conversation as the REST API knows it.
export async function stored(server, sid) {
  const path = `/v1/Conversations/${sid}`;
  const [conversation, messages, participants] = await Promise.all([
    server.rest('GET', path), rows(server, `${path}/Messages`, 'messages'), rows(server, `${path}/Participants`, 'participants'),
  ]);
  return {
    facts: [conversation.friendly_name, conversation.unique_name ?? null, JSON.parse(conversation.attributes), conversation.state],
    messages: messages.map((one) => [one.index, one.sid, one.author, one.body, JSON.parse(one.attributes)]),
    roster: sorted(participants.map((one) => [one.sid, one.identity, JSON.parse(one.attributes), one.last_read_message_index])),
  };
}

/// The same as an SDK's view of it shows it, the messages from what its events told.
export async function seen(person, view) {
  const here = (message) => message.conversation.sid === view.sid;
  const removed = new Set(person.all('messageRemoved').filter(here).map((message) => message.sid));
  // The SDK keeps the message objects that it gave to the app up to date.
  const left = person.all('messageAdded').filter((message) => here(message) && !removed.has(message.sid));
  const participants = await view.getParticipants();
  return {
    facts: [view.friendlyName, view.uniqueName ?? null, view.attributes, view.state.current],
    messages: left.map(shape).sort(([a], [b]) => a - b),
    roster: sorted(participants.map((one) => [one.sid, one.identity, one.attributes, one.lastReadMessageIndex])),
  };
}

/// Waits until this person sees what the store holds, and insists that each message, each removal, each coming
/// and each going was told once, and the messages in the order of their indexes. `from`: the index of the first
/// message that this person was told of.
export async function agrees(server, person, view, { from = 0 } = {}) {
  const truth = await stored(server, view.sid);
  const all = truth.messages;
  truth.messages = all.filter(([index]) => index >= from);
  const same = async () => JSON.stringify(await seen(person, view)) === JSON.stringify(truth);
  await person.eventually(same, 'the state of the store').catch(() => {});
  const now = await seen(person, view);
  for (const what of ['facts', 'roster', 'messages']) assert.deepEqual(now[what], truth[what], `${person.identity}: ${what} as stored`);
  toldOnce(person, view.sid);
  assert.deepEqual(await history(view), all, `${person.identity}: the history, page by page`);
  return truth;
}

/// Each message once and in order; each removal, coming and going once.
export function toldOnce(person, sid) {
  const of = (name) => person.all(name).filter((value) => value.conversation.sid === sid);
  const added = of('messageAdded').map((message) => message.index);
  for (const [n, index] of added.entries()) {
    if (n > 0 && index <= added[n - 1]) assert.fail(`${person.identity}: messageAdded ${added[n - 1]}, then ${index}`);
  }
  for (const name of ['messageRemoved', 'participantJoined', 'participantLeft']) {
    const sids = of(name).map((one) => one.sid);
    assert.deepEqual(sids, [...new Set(sids)], `${person.identity}: ${name}`);
  }
}

/// What somebody was told since they last forgot, by conversation (its friendly name) and stream, in order:
/// `{ name: { message: ['messageUpdated text body'], participant: [...], conversation: [...] } }`. The reasons of
/// an update follow, in the order of letters.
export function toldBy(person) {
  const told = {};
  for (const { name, value } of person.happened) {
    const stream = /^(message|participant|conversation|user)/.exec(name)?.[1];
    if (!stream) continue;
    const thing = value[stream] ?? value;
    const what = stream === 'conversation' ? [] : [thing.body ?? thing.identity];
    const line = [name, ...what, ...[...(value.updateReasons ?? [])].sort()].join(' ');
    const group = stream === 'user' ? told : (told[(thing.conversation ?? thing).friendlyName] ??= {});
    (group[stream] ??= []).push(line);
  }
  return told;
}

/// The whole history as the SDK reads it, newest page first.
async function history(view) {
  const found = [];
  for (let page = await view.getMessages(100); ; page = await page.prevPage()) {
    found.unshift(...page.items.map(shape));
    if (!page.hasPrevPage) return found;
  }
}

const shape = (message) => [message.index, message.sid, message.author, message.body, message.attributes];

const sorted = (list) => list.sort(([a], [b]) => (a < b ? -1 : 1));
