// Counts messages that no `messageAdded` told, because the app read a page before its SDK had subscribed. A count,
// no test: docs/sdk.md says what it came to.
//
//     TERTULIA_BIN=… node swallowed.mjs [RUNS] [SDK_NAME]

import { load, NAMES, WebSocket } from '../sdk/load.mjs';
import { settle } from '../support/pair.mjs';
import { Scene } from '../support/scene.mjs';
import { Server } from '../support/server.mjs';

globalThis.WebSocket = WebSocket;
const runs = Number(process.argv[2] ?? 200);
const names = process.argv[3] ? [process.argv[3]] : NAMES;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/// Whether the message is told before one that comes behind it, though a page showed it.
async function isTold(bob, view, body) {
  await view.sendMessage(`behind ${body}`);
  await bob.received(`behind ${body}`);
  return bob.count('messageAdded', (message) => message.body === body) === 1;
}

/// The app reads a page as soon as its client is back.
async function reconnects(w, alice, bob, mine, his) {
  let told = 0;
  for (let run = 0; run < runs; run++) {
    bob.forget();
    await w.server.mend();
    await w.server.fault('refuse-upgrade', { Status: 503, Times: 1 });
    const read = new Promise((resolve) => {
      const look = (state) => {
        if (state !== 'connected') return;
        bob.client.off('connectionStateChanged', look);
        his.getMessages(10).then(resolve);
      };
      bob.client.on('connectionStateChanged', look);
    });
    await w.server.fault('cut', { Identity: 'bob' });
    await bob.until('connectionStateChanged', () => bob.client.connectionState !== 'connected');
    await mine.sendMessage(`meanwhile ${run}`);
    await read;
    told += await isTold(bob, mine, `meanwhile ${run}`);
  }
  return told;
}

/// The app reads a page soon after its client was added to a conversation in which somebody types and speaks.
async function joins(w, alice, bob) {
  let told = 0;
  for (let run = 0; run < runs; run++) {
    bob.forget();
    const made = await alice.client.createConversation({});
    await made.join();
    await made.add('bob');
    const his = await bob.joined(made.sid);
    made.typing();
    await made.sendMessage(`first ${run}`);
    await pause(run % 60);
    await his.getMessages(10);
    told += await isTold(bob, made, `first ${run}`);
  }
  return told;
}

for (const name of names) {
  const w = new Scene(await load(name), await Server.start());
  const [alice, bob] = await w.persons('alice', 'bob');
  const [mine, his] = await w.conversation({}, alice, bob);
  await settle(mine, alice, bob);
  const back = await reconnects(w, alice, bob, mine, his);
  const joined = await joins(w, alice, bob);
  console.log(`${name}: not told ${runs - back} of ${runs} after a reconnect, ${runs - joined} of ${runs} after joining`);
  await w.end();
}
process.exit(0);
