import assert from 'node:assert/strict';

export default ({ test }) => {
  test('a_user_is_known_by_name_and_attributes', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const seen = await alice.client.getUser('bob');
    assert.equal(seen.identity, 'bob');
    const updated = (reason) => ({ user, updateReasons }) => user.identity === 'bob' && updateReasons.includes(reason);
    await bob.client.user.updateFriendlyName('Bob the Builder 🏗️');
    await alice.until('userUpdated', updated('friendlyName'));
    assert.equal(seen.friendlyName, 'Bob the Builder 🏗️');
    await bob.client.user.updateAttributes({ avatar: 'é.png', n: [1] });
    await alice.until('userUpdated', updated('attributes'));
    assert.deepEqual(seen.attributes, { avatar: 'é.png', n: [1] });
    await bob.until('userUpdated', updated('attributes'));
    assert.deepEqual(bob.client.user.attributes, { avatar: 'é.png', n: [1] });

    const later = await w.person('bob');
    assert.deepEqual(
      [later.client.user.friendlyName, later.client.user.attributes], ['Bob the Builder 🏗️', { avatar: 'é.png', n: [1] }],
    );
  });

  test('a_participant_leads_to_its_user', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine] = await w.conversation({}, alice, bob);
    await bob.client.user.updateFriendlyName('Robert');
    const user = await (await mine.getParticipantByIdentity('bob')).getUser();
    assert.equal(user.identity, 'bob');
    if (user.friendlyName !== 'Robert') await alice.until('userUpdated', () => user.friendlyName === 'Robert');
    assert.ok((await alice.client.getSubscribedUsers()).some((one) => one.identity === 'bob'));
  });

  test('somebody_added_before_they_ever_connected_is_a_user', async (w) => {
    const alice = await w.person('alice');
    const [mine] = await w.conversation({}, alice);
    await mine.add('dora');
    await alice.until('participantJoined', (participant) => participant.identity === 'dora');
    const user = await (await mine.getParticipantByIdentity('dora')).getUser();
    assert.equal(user.identity, 'dora');
    const dora = await w.person('dora');
    await dora.joined(mine.sid);
    await dora.client.user.updateFriendlyName('Dora');
    await alice.until('userUpdated', ({ user }) => user.identity === 'dora' && user.friendlyName === 'Dora');
  });

  test('an_unknown_user_is_404_or_empty', async (w) => {
    // Twilio's behaviour is not known; what counts is that the answer comes and the client goes on.
    const alice = await w.person('alice');
    const outcome = await alice.client.getUser('nobody knows').then((user) => user.identity, (error) => error.status);
    assert.ok(outcome === 404 || outcome === 'nobody knows', String(outcome));
    assert.equal((await alice.client.getUser('alice')).identity, 'alice');
  });
};
