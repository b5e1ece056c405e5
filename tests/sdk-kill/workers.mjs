// Those who keep the server busy until the ledger says stop.

// Not typing: SDKs 2.6 and 2.4 that are told of it ask for the conversation, and when the connection ends meanwhile,
// they reject a promise that nobody holds (../sdk-faults/typing.test.mjs). And nothing that reads a page, as setAllMessagesRead does: what a page
// brought before its event came is not told by messageAdded.
const SAYINGS = ['send', 'send', 'send', 'send', 'send', 'send', 'edit', 'remove', 'read'];

/// Somebody at an SDK who sends all the time, and edits and removes what came back.
export async function sender({ ledger, changing }, label, person, views, chance) {
  const own = () => person.all('messageAdded').filter((message) => message.conversation.sid === changing && mine(message));
  const mine = (message) => message.body?.startsWith(`${label}-`) && ledger.messages.get(changing).get(keyOf(message))?.removed === 'no';
  const acts = {
    send: async (n) => {
      const view = chance.of(views);
      return ledger.send(view.sid, `${label}-${n}`, person.identity, () => view.sendMessage(`${label}-${n}`));
    },
    edit: async (n) => {
      const message = own().at(-1 - chance.below(3));
      if (!message) return true;
      const key = keyOf(message);
      return ledger.edit(changing, key, `${key} edit ${n}`, () => message.updateBody(`${key} edit ${n}`));
    },
    remove: async () => {
      const message = own().at(-1 - chance.below(3));
      return !message || ledger.remove(changing, keyOf(message), message.index, () => message.remove());
    },
    read: async () => {
      const view = chance.of(views);
      return ledger.outcome(() => view.advanceLastReadMessageIndex(view.lastMessage.index));
    },
  };
  for (let n = 0; ledger.running; n++) {
    const answered = await acts[chance.of(SAYINGS)](n);
    if (!answered) await person.connected();
  }
}

/// A back end: guests come and go, names and attributes change, and it says something itself.
export async function api({ ledger, crowded, server, isUp }, chance) {
  ledger.crowded = crowded;
  const path = `/v1/Conversations/${crowded}`;
  const there = () => [...ledger.guests].filter(([, outcome]) => outcome === 'there').map(([identity]) => identity);
  const acts = {
    come: (n) => ledger.guest(`guest ${n}`, true, () => server.rest('POST', `${path}/Participants`, { Identity: `guest ${n}` })),
    go: () => {
      if (there().length === 0) return true;
      const identity = chance.of(there());
      return ledger.guest(identity, false, () => server.rest('DELETE', `${path}/Participants/${encodeURIComponent(identity)}`));
    },
    rename: (n) => ledger.outcome(() => server.rest('POST', path, { FriendlyName: `name ${n}` })),
    attributes: (n) => ledger.outcome(() => server.rest('POST', path, { Attributes: JSON.stringify({ n }) })),
    say: (n) => ledger.send(crowded, `api-${n}`, 'system', async () => (await server.rest('POST', `${path}/Messages`, { Body: `api-${n}` })).index),
  };
  const kinds = Object.keys(acts);
  for (let n = 0; ledger.running; n++) {
    const answered = await acts[chance.of(kinds)](n);
    if (!answered) await isUp();
  }
}

const keyOf = (message) => message.body.split(' ')[0];
