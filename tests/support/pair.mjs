// Two people in a conversation, and a bit of everything that may happen there.

import { agrees } from './agreement.mjs';

/// Alice and bob in a conversation that both have subscribed, as `{ alice, bob, mine, his }`.
export async function pair(w) {
  const [alice, bob] = await w.persons('alice', 'bob');
  const [mine, his] = await w.conversation({ friendlyName: 'before' }, alice, bob);
  await settle(mine, alice, bob);
  await alice.client.getUser('bob');
  return { alice, bob, mine, his };
}

/// The SDK subscribes some 100 ms after it has loaded a conversation. Whoever got a message has.
export async function settle(view, ...people) {
  await view.sendMessage('settled');
  for (const person of people) await person.until('messageAdded', (message) => message.conversation.sid === view.sid);
}

/// Cuts somebody's connection; gives when they have noticed and are back.
export async function cutOff(w, person) {
  const before = person.count('connectionStateChanged', (state) => state === 'connected');
  const fault = await w.server.fault('cut', { Identity: person.identity });
  await person.untilAll('connectionStateChanged', before + 1, (state) => state === 'connected');
  await person.connected();
  return fault;
}

/// A change of every kind, in every stream. Gives what tells whether all of it has arrived.
export async function aBitOfEverything(w, { mine, his, bob }, round = 1) {
  const path = `/v1/Conversations/${mine.sid}`;
  const said = [];
  for (let n = 0; n < 4; n++) {
    await (n % 2 ? mine : his).sendMessage(`said ${round}.${n}`, { n });
    said.push(...(await w.server.rest('GET', `${path}/Messages?Order=desc&PageSize=1`)).messages);
  }
  await w.server.rest('POST', `${path}/Messages/${said[0].sid}`, { Body: `edited ${round}`, Attributes: '{"edited":true}' });
  await w.server.rest('DELETE', `${path}/Messages/${said[2].sid}`);
  const { sid: eve } = await w.server.rest('POST', `${path}/Participants`, { Identity: `eve ${round}`, Attributes: '{"n":1}' });
  await w.server.rest('POST', `${path}/Participants/${eve}`, { Attributes: '{"n":2}' });
  const { sid: dan } = await w.server.rest('POST', `${path}/Participants`, { Identity: `dan ${round}` });
  await w.server.rest('DELETE', `${path}/Participants/${dan}`);
  await mine.updateFriendlyName(`name ${round}`);
  await mine.updateAttributes({ round });
  await his.updateLastReadMessageIndex(said[1].index);
  await his.setUserNotificationLevel(round % 2 ? 'muted' : 'default');
  await bob.client.user.updateFriendlyName(`Bob ${round}`);
  return { level: round % 2 ? 'muted' : 'default', name: `Bob ${round}`, read: said[1].index };
}

/// Both see what the store holds, each thing told once, and bob's own facts are as they were last set.
export async function bothAgree(w, { alice, bob, mine, his }, last) {
  const truth = await agrees(w.server, alice, mine);
  await agrees(w.server, bob, his);
  if (!last) return truth;
  const seen = await alice.client.getUser('bob');
  await alice.eventually(() => seen.friendlyName === last.name, 'the name of bob');
  const own = () => his.notificationLevel === last.level && his.lastReadMessageIndex === last.read && bob.client.user.friendlyName === last.name;
  await bob.eventually(own, 'his own facts');
  return truth;
}
