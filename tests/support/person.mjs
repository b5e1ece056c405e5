// Somebody at an official SDK: a client that remembers every event, so that no test waits by time.

import { within } from './server.mjs';

const EVENTS = [
  'stateChanged', 'initialized', 'initFailed', 'connectionStateChanged', 'connectionError',
  'tokenAboutToExpire', 'tokenExpired',
  'conversationAdded', 'conversationJoined', 'conversationLeft', 'conversationRemoved', 'conversationUpdated',
  'participantJoined', 'participantLeft', 'participantUpdated',
  'messageAdded', 'messageUpdated', 'messageRemoved',
  'typingStarted', 'typingEnded', 'userUpdated',
];

export const PATIENCE_MS = 10_000;

/// Short delays between attempts, so that a restarted server is found again soon.
const RETRY = { min: 50, max: 400, randomness: 0 };

export class Person {
  /// `sdk` is the module of an official SDK; the client starts at once.
  constructor(sdk, identity, token, socketUrl) {
    this.identity = identity;
    this.happened = [];
    this.waiting = new Set();
    this.client = new sdk.Client(token, { Twilsock: { uri: socketUrl }, logLevel: 'silent', retryPolicy: RETRY });
    for (const name of EVENTS) this.client.on(name, (value) => this.#note(name, value));
  }

  #note(name, value) {
    this.happened.push({ name, value });
    for (const check of [...this.waiting]) check();
  }

  /// The values of all events of this name so far.
  all(name) {
    return this.happened.filter((event) => event.name === name).map((event) => event.value);
  }

  count(name, predicate = () => true) {
    return this.all(name).filter(predicate).length;
  }

  /// Forgets what happened so far, before a second act.
  forget() {
    this.happened = [];
  }

  /// The first event of this name that fits, whether it has happened or is to come.
  async until(name, predicate = () => true, ms = PATIENCE_MS) {
    const events = await this.untilAll(name, 1, predicate, ms);
    return events[0];
  }

  /// The first `count` fitting events.
  async untilAll(name, count, predicate = () => true, ms = PATIENCE_MS) {
    const fitting = () => this.all(name).filter(predicate);
    let check;
    const enough = new Promise((resolve, reject) => {
      check = () => {
        try {
          const found = fitting();
          if (found.length >= count) resolve(found.slice(0, count));
        } catch (error) {
          reject(error);
        }
      };
      this.waiting.add(check);
      check();
    });
    try {
      return await within(enough, ms, () => {
        const names = this.happened.map((event) => event.name).join(' ');
        return `${this.identity}: ${fitting().length} of ${count} expected "${name}"; happened: ${names}`;
      });
    } finally {
      this.waiting.delete(check);
    }
  }

  /// Waits until `check` holds, asked now and after every event.
  async eventually(check, what) {
    for (const end = Date.now() + PATIENCE_MS; !(await check()); ) {
      const seen = this.happened.length;
      const next = new Promise((resolve) => {
        const look = () => {
          if (this.happened.length === seen) return;
          this.waiting.delete(look);
          resolve();
        };
        this.waiting.add(look);
        look();
      });
      await within(next, Math.max(1, end - Date.now()), `${this.identity}: ${what} did not come about`);
    }
  }

  /// Waits until the client is connected, after it lost its connection.
  connected() {
    return this.eventually(() => this.client.connectionState === 'connected', 'being connected');
  }

  /// The client, once it is initialised and has read its list of conversations.
  async ready() {
    await this.until('initialized');
    await this.client.getSubscribedConversations();
    return this;
  }

  async shutdown() {
    await within(this.client.shutdown(), PATIENCE_MS, `${this.identity}: shutdown`);
  }

  /// A conversation that this person has joined.
  async joined(sid) {
    return this.until('conversationJoined', (conversation) => conversation.sid === sid);
  }

  /// A received message, by its body.
  async received(body) {
    return this.until('messageAdded', (message) => message.body === body);
  }
}
