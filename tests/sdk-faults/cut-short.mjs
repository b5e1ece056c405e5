// A client whose connection ends in the middle of its first start, in a process of its own: the SDK rejects
// promises there that nobody holds, which ends a Node process unless it listens. Prints what became of it.
//
//     node cut-short.mjs NAME SOCKET_URL TOKEN

import { load, WebSocket } from '../sdk/load.mjs';
import { Person } from '../support/person.mjs';

globalThis.WebSocket = WebSocket;
const [name, socketUrl, token] = process.argv.slice(2);
const sdk = await load(name);

const unheard = new Promise((resolve) => process.once('unhandledRejection', (error) => resolve(String(error))));
process.on('unhandledRejection', () => {});
const first = new Person(sdk, 'carol', token, socketUrl);
await first.untilAll('connectionStateChanged', 2, (state) => state === 'connected');
const list = await first.client.getSubscribedConversations().then(({ items }) => items.length, (error) => error.message);

// The next client finds everything, so what the first one lacks is not to come.
const second = await new Person(sdk, 'carol', token, socketUrl).ready();
const { items } = await second.client.getSubscribedConversations();
console.log(JSON.stringify({
  first: { state: first.client.connectionState, list, unheard: await unheard },
  second: { initialized: second.count('initialized'), list: items.length },
}));
process.exit(0);
