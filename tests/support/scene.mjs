// A test's own world: one server, and whoever the test brings to it. Everything is ended with the test.

import { Person } from './person.mjs';
import { Server } from './server.mjs';

export class Scene {
  constructor(sdk, server) {
    this.sdk = sdk;
    this.server = server;
    this.people = [];
    this.closers = [];
    this.addresses = new Set();
  }

  /// Somebody whose client has started, well or not.
  enter(identity, token = this.server.token(identity), socketUrl = this.server.socketUrl, sdk = this.sdk) {
    this.addresses.add(socketUrl);
    const person = new Person(sdk, identity, token, socketUrl);
    this.people.push(person);
    return person;
  }

  /// Somebody who is connected.
  async person(identity, token, socketUrl, sdk) {
    return this.enter(identity, token, socketUrl, sdk).ready();
  }

  /// Several at once.
  async persons(...identities) {
    return Promise.all(identities.map((identity) => this.person(identity)));
  }

  /// A conversation made and joined by the first, with the others added: each one's view of it, in order.
  /// All of them have loaded it and see each other: from now on whatever happens is an event to them.
  async conversation(options, ...people) {
    const [first, ...others] = people;
    const made = await first.client.createConversation(options);
    await made.join();
    await first.joined(made.sid);
    for (const other of others) await made.add(other.identity);
    return Promise.all(people.map(async (person) => {
      await person.joined(made.sid);
      const view = await person.client.getConversationBySid(made.sid);
      const complete = async () => (await view.getParticipants()).length === people.length;
      await person.eventually(complete, 'seeing everybody');
      return view;
    }));
  }

  /// Closes this with the test, before the server.
  closing(closer) {
    this.closers.push(closer);
  }

  async end() {
    // A client that is shut down while it still asks leaves promises behind that are rejected unheard.
    await globalThis.WebSocket?.idle?.([...this.addresses]);
    await Promise.allSettled(this.people.map((person) => person.shutdown()));
    for (const closer of this.closers) await closer();
    await this.server.stop();
  }
}

/// A test with a scene; `options` are those of the server.
export function scene(sdk, options, body) {
  return async () => {
    const world = new Scene(sdk, await Server.start(options));
    let failed = false;
    try {
      await body(world);
    } catch (error) {
      failed = true;
      error.message += `\n--- the server's last words ---\n${world.server.log.slice(-3000)}`;
      throw error;
    } finally {
      // The test's own error counts more than what went wrong while cleaning up.
      await world.end().catch((error) => {
        if (!failed) throw error;
      });
    }
  };
}
