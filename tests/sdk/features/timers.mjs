import assert from 'node:assert/strict';

const advance = (w, seconds) => w.server.rest('POST', '/tertulia/v1/Clock', { Advance: String(seconds) });

export default ({ test }) => {
  test('a_quiet_conversation_becomes_inactive_then_closed', async (w) => {
    const [alice, bob] = await w.persons('alice', 'bob');
    const [mine, his] = await w.conversation({}, alice, bob);
    await w.server.rest('POST', `/v1/Conversations/${mine.sid}`, { 'Timers.Inactive': 'PT1M', 'Timers.Closed': 'PT10M' });
    const becomes = (state) => Promise.all([[alice, mine], [bob, his]].map(([person, view]) => person.until(
      'conversationUpdated',
      ({ conversation, updateReasons }) =>
        conversation.sid === mine.sid && updateReasons.includes('state') && view.state.current === state,
    )));

    await advance(w, 61);
    await becomes('inactive');
    assert.ok(his.state.dateUpdated instanceof Date);
    // A message wakes it, and both timers begin anew.
    await mine.sendMessage('awake');
    await becomes('active');
    await advance(w, 61);
    await bob.until('conversationUpdated', () => his.state.current === 'inactive');
    await advance(w, 540);
    await becomes('closed');
    await assert.rejects(his.sendMessage('too late'));
  });
};
