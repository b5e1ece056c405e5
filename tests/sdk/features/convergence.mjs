import assert from 'node:assert/strict';

import { Chance, freshSeed } from '../../support/chance.mjs';
import { Gate } from '../../support/gate.mjs';

const STEPS = 80;

export default ({ test }) => {
  // Whatever happens, and however often somebody is cut off: in the end everybody has the store's state, and
  // each message and each removal was told once and in order.
  test('everybody_ends_with_the_same_state', async (w) => {
    const seed = freshSeed();
    console.log(`convergence: TERTULIA_TEST_SEED=${seed}`);
    const chance = new Chance(seed);
    const gate = await Gate.before(w.server.port);
    w.closing(() => gate.close());
    const alice = await w.person('alice');
    const bob = await w.person('bob', undefined, gate.socketUrl);
    const [mine, his] = await w.conversation({ friendlyName: 'start' }, alice, bob);
    // Bob has subscribed when this arrives; the SDK does not survive a cut before.
    await mine.sendMessage('start');
    await bob.received('start');

    const path = `/v1/Conversations/${mine.sid}`;
    const rest = (...call) => w.server.rest(...call);
    const sids = [(await rest('GET', `${path}/Messages`)).messages[0].sid];
    const guests = new Map();
    const acts = {
      say: async (step) => sids.push((await w.server.say(mine.sid, chance.of(['alice', 'bob', 'eve']), `said ${step}`)).sid),
      send: async (step) => {
        await mine.sendMessage(`sent ${step}`);
        sids.push((await rest('GET', `${path}/Messages?Order=desc&PageSize=1`)).messages[0].sid);
      },
      edit: async (step) => sids.length && rest('POST', `${path}/Messages/${chance.of(sids)}`, { Body: `edited ${step}` }),
      remove: async () => sids.length && rest('DELETE', `${path}/Messages/${sids.splice(chance.below(sids.length), 1)[0]}`),
      rename: async (step) => rest('POST', path, { FriendlyName: `name ${step}` }),
      come: async (step) => guests.set(`guest ${step}`, (await rest('POST', `${path}/Participants`, { Identity: `guest ${step}` })).sid),
      go: async () => {
        if (guests.size === 0) return;
        const guest = chance.of([...guests.keys()]);
        await rest('DELETE', `${path}/Participants/${guests.get(guest)}`);
        guests.delete(guest);
      },
      shut: async () => gate.shut(),
      open: async () => gate.reopen(),
      flap: async () => {
        gate.shut();
        gate.reopen();
      },
    };
    const kinds = ['say', 'say', 'send', 'send', 'edit', 'edit', 'remove', 'rename', 'come', 'go', 'shut', 'open', 'open', 'flap'];
    try {
      for (let step = 0; step < STEPS; step++) await acts[chance.of(kinds)](step);
      gate.reopen();
      await mine.sendMessage('the end');
      await mine.updateFriendlyName('the end');
      await Promise.all([alice, bob].map((person) => person.received('the end')));
      const views = [[alice, mine], [bob, his]];
      await Promise.all(views.map(([person, view]) => person.eventually(() => view.friendlyName === 'the end', 'the last name')));

      const { messages } = await rest('GET', `${path}/Messages?PageSize=100`);
      const stored = messages.map((message) => [message.index, message.body]);
      const present = ['alice', 'bob', ...guests.keys()].sort();
      for (const [person, view] of views) {
        // The message objects that the events brought are kept up to date by the SDK.
        const told = () => {
          const removed = person.all('messageRemoved').map((message) => message.index);
          const left = person.all('messageAdded').filter((message) => !removed.includes(message.index));
          return left.map((message) => [message.index, message.body]).sort(([a], [b]) => a - b);
        };
        await person.eventually(() => String(told()) === String(stored), 'the stored messages').catch(() => {});
        assert.deepEqual(told(), stored, `${person.identity}: as stored`);
        const added = person.all('messageAdded').map((message) => message.index);
        assert.deepEqual(added, [...new Set(added)].sort((a, b) => a - b), `${person.identity}: each once, in order`);
        const removed = person.all('messageRemoved').map((message) => message.index);
        assert.equal(new Set(removed).size, removed.length, `${person.identity}: each removal once`);
        const seen = async () => (await view.getParticipants()).map((participant) => participant.identity).sort();
        await person.eventually(async () => String(await seen()) === String(present), 'the stored roster').catch(() => {});
        assert.deepEqual(await seen(), present, person.identity);
      }
      // Somebody with nothing cached reads the same.
      const later = await w.person('bob');
      const page = await (await later.client.getConversationBySid(mine.sid)).getMessages(100);
      assert.deepEqual(page.items.map((message) => [message.index, message.body]), stored);
    } catch (error) {
      error.message += `\nTERTULIA_TEST_SEED=${seed}`;
      throw error;
    }
  });
};
