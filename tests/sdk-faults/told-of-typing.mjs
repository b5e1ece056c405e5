// A client whose connection ends while it asks who types, in a process of its own: the SDK rejects a promise there
// that nobody holds, which ends a Node process unless it listens. Says when it is to be told of typing, and in the
// end what it was told.
//
//     node told-of-typing.mjs NAME SOCKET_URL TOKEN CONVERSATION_SID heedless|listening

import { load, WebSocket } from '../sdk/load.mjs';
import { settle } from '../support/pair.mjs';
import { Person } from '../support/person.mjs';

globalThis.WebSocket = WebSocket;
const [name, socketUrl, token, sid, manner] = process.argv.slice(2);
const sdk = await load(name);

const unheard = [];
if (manner === 'listening') process.on('unhandledRejection', (error) => unheard.push(String(error)));
const carol = await new Person(sdk, 'carol', token, socketUrl).ready();
const view = await carol.client.getConversationBySid(sid);
await settle(view, carol);
carol.client.once('typingStarted', () => console.log('told'));
console.log('settled');

await carol.received('meanwhile');
// Whoever got a message is told of typing.
await view.sendMessage('back');
await carol.until('typingStarted', (typist) => typist.identity === 'dave');
await view.sendMessage('last');
await carol.received('last');
console.log(JSON.stringify({
  unheard,
  messages: carol.all('messageAdded').map((message) => message.body),
  typists: carol.all('typingStarted').map((typist) => typist.identity),
  state: carol.client.connectionState,
}));
process.exit(0);
