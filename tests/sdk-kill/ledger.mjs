// What was asked of the server, and what came of it: done, or not known.

import assert from 'node:assert/strict';

export class Ledger {
  constructor(sids) {
    this.running = true;
    this.acknowledged = 0;
    this.unknown = 0;
    this.waiting = [];
    this.messages = new Map(sids.map((sid) => [sid, new Map()]));
    this.guests = new Map();
  }

  stop() {
    this.running = false;
    for (const { resolve } of this.waiting.splice(0)) resolve();
  }

  /// Waits for this many more acknowledgements.
  more(count) {
    return new Promise((resolve) => this.waiting.push({ at: this.acknowledged + count, resolve }));
  }

  /// Whether this was acknowledged; else its outcome is unknown. What comes back is given to `then`.
  async outcome(asked, then = () => {}) {
    let value;
    try {
      value = await asked();
    } catch (error) {
      // A refusal would be an answer; the load asks for nothing that may be refused.
      if (error.body?.code) throw error;
      this.unknown += 1;
      return false;
    }
    then(value);
    this.acknowledged += 1;
    this.waiting = this.waiting.filter(({ at, resolve }) => at > this.acknowledged || resolve());
    return true;
  }

  send(sid, key, author, asked) {
    const entry = { author, index: undefined, bodies: new Set([key]), removed: 'no' };
    this.messages.get(sid).set(key, entry);
    return this.outcome(asked, (index) => (entry.index = index));
  }

  edit(sid, key, body, asked) {
    const entry = this.messages.get(sid).get(key);
    entry.bodies.add(body);
    return this.outcome(asked, () => (entry.bodies = new Set([body])));
  }

  remove(sid, key, index, asked) {
    const entry = this.messages.get(sid).get(key);
    entry.removed = 'perhaps';
    entry.index = index;
    return this.outcome(asked, () => (entry.removed = 'yes'));
  }

  guest(identity, there, asked) {
    this.guests.set(identity, 'perhaps');
    return this.outcome(asked, () => this.guests.set(identity, there ? 'there' : 'gone'));
  }

  /// The store against what was acknowledged.
  check(sid, { messages, roster }) {
    const found = new Map();
    for (const [index, , author, body] of messages) {
      const key = body.split(' ')[0];
      if (['start', 'end'].includes(key)) continue;
      assert.ok(!found.has(key), `${key} is there twice`);
      found.set(key, { index, author, body });
    }
    const highest = messages.at(-1)[0];
    const indexes = new Set(messages.map(([index]) => index));
    const removed = new Set();
    for (const [key, entry] of this.messages.get(sid)) {
      const there = found.get(key);
      if (entry.removed !== 'no') removed.add(entry.index);
      if (entry.removed === 'yes') assert.ok(!there, `${key} was removed`);
      if (entry.removed === 'no' && entry.index !== undefined) assert.ok(there, `${key} was acknowledged`);
      if (!there) continue;
      found.delete(key);
      if (entry.index !== undefined) assert.equal(there.index, entry.index, `${key}: as acknowledged`);
      assert.equal(there.author, entry.author, key);
      assert.ok(entry.bodies.has(there.body), `${key}: ${there.body} is none of ${[...entry.bodies]}`);
    }
    assert.deepEqual([...found.keys()], [], 'nobody sent these');
    for (let index = 0; index <= highest; index++) {
      assert.ok(indexes.has(index) || removed.has(index), `nobody removed the message ${index}`);
    }
    const present = new Set(roster.map(([, identity]) => identity));
    for (const [identity, outcome] of sid === this.crowded ? this.guests : []) {
      if (outcome !== 'perhaps') assert.equal(present.has(identity), outcome === 'there', `${identity}: ${outcome}`);
    }
  }

  summary() {
    return `${this.acknowledged} acknowledged, ${this.unknown} of unknown outcome`;
  }
}
