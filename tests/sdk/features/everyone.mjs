import assert from 'node:assert/strict';

import { agrees, toldBy } from '../../support/agreement.mjs';
import { settle } from '../../support/pair.mjs';

const refused = (status, code) => (error) => {
  assert.deepEqual([error.status, error.body?.code], [status, code], String(error));
  return true;
};

/// Alice at two devices, bob and carol, all in one conversation: people and their views, in this order.
async function four(w, friendlyName) {
  const people = await w.persons('alice', 'alice', 'bob', 'carol');
  const [phone, laptop, bob, carol] = people;
  const [mine, his, hers] = await w.conversation({ friendlyName }, phone, bob, carol);
  const there = await laptop.joined(mine.sid);
  await settle(mine, ...people);
  return { people, views: [mine, there, his, hers] };
}

export default ({ test }) => {
  // Every flow, and everybody who looks on: the one who acts, their other device, and the others.
  test('each_change_is_told_once_to_every_connection', async (w) => {
    const { people, views } = await four(w, 'here');
    const [phone, laptop, bob, carol] = people;
    const [mine, there, his] = views;
    const path = `/v1/Conversations/${mine.sid}`;
    const participant = (view, identity) => view.getParticipantByIdentity(identity);
    for (const person of [phone, carol]) await person.client.getUser('bob');
    let message;
    let atLaptop;

    const conversation = (...lines) => ({ here: { conversation: lines } });
    const roster = (...lines) => ({ here: { participant: lines } });
    const talk = (...lines) => ({ here: { message: lines } });
    const nothing = {};
    // What is done, what all are told (or, in order: the phone, the laptop, bob, carol).
    const steps = [
      ['send', async () => {
        await mine.sendMessage('first', { n: 1 });
        [message, atLaptop] = await Promise.all([phone.received('first'), laptop.received('first')]);
      }, {
        here: { message: ['messageAdded first'], conversation: ['conversationUpdated lastMessage'] },
      }],
      ['edit', () => message.updateBody('second'), talk('messageUpdated second body dateUpdated lastUpdatedBy')],
      ['attributes', () => message.updateAttributes({ n: 2 }), talk('messageUpdated second attributes dateUpdated')],
      ['edit at the other device', () => atLaptop.updateBody('third'), talk('messageUpdated third body dateUpdated')],
      ['edit over REST', () => w.server.rest('POST', `${path}/Messages/${message.sid}`, { Body: 'fourth' }), talk('messageUpdated fourth body dateUpdated lastUpdatedBy')],
      ['remove', () => message.remove(), {
        here: { message: ['messageRemoved fourth'] },
      }],
      ['a new name', () => mine.updateFriendlyName('elsewhere'), { elsewhere: { conversation: ['conversationUpdated dateUpdated friendlyName'] } }],
      ['the old name', () => there.updateFriendlyName('here'), conversation('conversationUpdated dateUpdated friendlyName')],
      ['the same name', () => mine.updateFriendlyName('here'), nothing],
      ['unique name', () => mine.updateUniqueName('unique'), conversation('conversationUpdated dateUpdated uniqueName')],
      ['attributes of the conversation', () => there.updateAttributes({ deep: [1] }), conversation('conversationUpdated attributes dateUpdated')],
      ['somebody comes', () => mine.add('dave', { n: 1 }), roster('participantJoined dave')],
      ['somebody is changed over REST', async () => w.server.rest('POST', `${path}/Participants/${(await participant(mine, 'dave')).sid}`, { Attributes: '{"n":2}' }),
        roster('participantUpdated dave attributes dateUpdated')],
      ['somebody changes themselves', async () => (await participant(his, 'bob')).updateAttributes({ mood: 'good' }), roster('participantUpdated bob attributes dateUpdated')],
      ['somebody is removed', () => there.removeParticipant('dave'), roster('participantLeft dave')],
      ['a read horizon', () => his.setAllMessagesRead(), (n) => ({
        here: {
          participant: ['participantUpdated bob lastReadMessageIndex lastReadTimestamp'],
          ...(n === 2 && { conversation: ['conversationUpdated lastReadMessageIndex'] }),
        },
      })],
      ['a read horizon of two devices', () => there.advanceLastReadMessageIndex(0), (n) => ({
        here: {
          participant: ['participantUpdated alice lastReadMessageIndex lastReadTimestamp'],
          ...(n < 2 && { conversation: ['conversationUpdated lastReadMessageIndex'] }),
        },
      })],
      ['a notification level', () => mine.setUserNotificationLevel('muted'), (n) => (n < 2 ? conversation('conversationUpdated notificationLevel') : nothing)],
      ['a user', () => bob.client.user.updateFriendlyName('Bob'), (n) => (n === 1 ? nothing : { user: ['userUpdated bob friendlyName'] })],
      ['attributes of a user', () => bob.client.user.updateAttributes({ a: 1 }), (n) => (n === 1 ? nothing : { user: ['userUpdated bob attributes'] })],
      ['an inactive state', () => w.server.rest('POST', path, { State: 'inactive' }), conversation('conversationUpdated dateUpdated state')],
      ['an active state', () => w.server.rest('POST', path, { State: 'active' }), conversation('conversationUpdated dateUpdated state')],
      ['somebody leaves', () => views[3].leave(), (n) => (n < 3 ? roster('participantLeft carol') : conversation('conversationLeft', 'conversationRemoved'))],
      ['somebody returns', () => mine.add('carol'), (n) => (n < 3 ? roster('participantJoined carol') : conversation('conversationAdded', 'conversationJoined'))],
      ['one leaves at one device', () => there.leave(), (n) => (n < 2 ? conversation('conversationLeft', 'conversationRemoved') : roster('participantLeft alice'))],
      ['and is added again', () => w.server.rest('POST', `${path}/Participants`, { Identity: 'alice' }), (n) => (n < 2 ? conversation('conversationAdded', 'conversationJoined') : roster('participantJoined alice'))],
      ['a closed state', () => w.server.rest('POST', path, { State: 'closed' }), conversation('conversationUpdated dateUpdated state')],
      ['deletion', () => w.server.rest('DELETE', path), conversation('conversationLeft', 'conversationRemoved')],
    ];
    const [barrier] = await w.conversation({ friendlyName: 'barrier' }, phone, bob, carol);
    await laptop.joined(barrier.sid);
    await settle(barrier, ...people);
    for (const [step, act, expected] of steps) {
      for (const person of people) person.forget();
      await act();
      for (const [n, person] of people.entries()) {
        const awaited = typeof expected === 'function' ? expected(n) : expected;
        const count = (told) => Object.values(told).flatMap((group) => Object.values(group)).flat().length;
        await person.eventually(() => count(toldBy(person)) >= count(awaited), step).catch(() => {});
        assert.deepEqual(toldBy(person), awaited, `${step}: ${person.identity} (${n})`);
      }
      // Whatever else was on its way comes before this.
      await barrier.sendMessage(step);
      for (const [n, person] of people.entries()) {
        await person.received(step);
        const { barrier: ignored, ...told } = toldBy(person);
        assert.deepEqual(told, typeof expected === 'function' ? expected(n) : expected, `${step}, afterwards: ${person.identity} (${n})`);
      }
    }
  });

  test('a_closed_conversation_can_be_read_and_left_but_not_changed', async (w) => {
    const { people, views } = await four(w, 'closing');
    const [phone, laptop, bob, carol] = people;
    const [mine, there, his, hers] = views;
    const [message] = phone.all('messageAdded');
    await w.server.rest('POST', `/v1/Conversations/${mine.sid}`, { State: 'closed' });
    for (const [n, person] of people.entries()) {
      await person.eventually(() => views[n].state.current === 'closed', 'the closed state');
      assert.ok(views[n].state.dateUpdated instanceof Date);
    }
    const closed = refused(400, 50377);
    await assert.rejects(his.sendMessage('too late'), closed);
    await assert.rejects(message.updateBody('too late'), closed);
    await assert.rejects(message.updateAttributes({ late: true }), closed);
    await assert.rejects(message.remove(), closed);
    await assert.rejects(mine.add('dave'), closed);
    await assert.rejects(mine.updateFriendlyName('too late'), closed);
    await assert.rejects(mine.updateAttributes({ late: true }), closed);
    await assert.rejects((await his.getParticipantByIdentity('bob')).updateAttributes({ late: true }), closed);

    assert.deepEqual((await there.getMessages()).items.map((one) => one.body), ['settled']);
    assert.equal(await his.setAllMessagesRead(), 0);
    await phone.until('participantUpdated', ({ participant }) => participant.identity === 'bob');
    await hers.leave();
    await carol.until('conversationRemoved', (gone) => gone.sid === mine.sid);
    await bob.until('participantLeft', (participant) => participant.identity === 'carol');
    // Somebody who starts now finds it, closed.
    const later = await w.person('bob');
    const found = await later.client.getConversationBySid(mine.sid);
    assert.deepEqual([found.state.current, found.status, found.lastReadMessageIndex], ['closed', 'joined', 0]);
    for (const [person, view] of [[phone, mine], [laptop, there], [bob, his]]) await agrees(w.server, person, view);
    await mine.delete();
    for (const person of [phone, laptop, bob]) await person.until('conversationRemoved', (gone) => gone.sid === mine.sid);
  });

  test('many_senders_in_many_conversations_leave_no_gap', async (w) => {
    const { people, views } = await four(w, 'first');
    const [phone, laptop, bob, carol] = people;
    const places = [views];
    for (const friendlyName of ['second', 'third']) {
      const [mine, his, hers] = await w.conversation({ friendlyName }, phone, bob, carol);
      const there = await laptop.joined(mine.sid);
      await settle(mine, ...people);
      places.push([mine, there, his, hers]);
    }
    // All at once: four connections and a back end, in three conversations.
    const sends = [];
    for (let n = 0; n < 8; n++) {
      for (const place of places) {
        for (const [m, view] of place.entries()) sends.push(view.sendMessage(`${m}: ${n}`).then((index) => [view.sid, index]));
        sends.push(w.server.say(place[0].sid, 'system', `REST: ${n}`).then(({ index }) => [place[0].sid, index]));
      }
    }
    const answers = await Promise.all(sends);
    for (const place of places) {
      const indexes = answers.filter(([sid]) => sid === place[0].sid).map(([, index]) => index).sort((a, b) => a - b);
      assert.deepEqual(indexes, Array.from({ length: 40 }, (_, n) => n + 1));
      for (const [n, person] of people.entries()) {
        const { messages } = await agrees(w.server, person, place[n]);
        assert.deepEqual(messages.map(([index]) => index), Array.from({ length: 41 }, (_, m) => m));
      }
      assert.equal(await place[2].setAllMessagesRead(), 0);
      assert.equal(await place[3].updateLastReadMessageIndex(0), 40);
    }
  });
};
