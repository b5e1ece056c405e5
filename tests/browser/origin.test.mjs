// An app of another origin: it fetches its token from Tertulia and runs the SDK's browser bundle.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { openPage, startBrowser } from "./browser.mjs";
import { startTertulia } from "./tertulia.mjs";

const LIMIT = { timeout: 60_000 };
const BUNDLE = "@twilio/conversations/builds/twilio-conversations.min.js";
const PAGE = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script src="/sdk.js"></script>`;

let tertulia;
let browser;
let app;

before(async () => {
  tertulia = await startTertulia();
  browser = await startBrowser();
  const sdk = await readFile(createRequire(import.meta.url).resolve(BUNDLE));
  app = createServer((request, response) => {
    const isSdk = request.url === "/sdk.js";
    response.setHeader("content-type", isSdk ? "text/javascript" : "text/html");
    response.end(isSdk ? sdk : PAGE);
  });
  app.listen(0, "127.0.0.1");
  await once(app, "listening");
}, LIMIT);

after(async () => {
  await browser?.close();
  app?.closeAllConnections();
  app?.close();
  await tertulia?.stop();
}, LIMIT);

async function openApp() {
  const { page, complaints } = await openPage(browser);
  // Another host name and another port: as foreign as an app on one machine can be.
  await page.goto(`http://localhost:${app.address().port}/`);
  return { page, complaints };
}

/** In the page: the token endpoint's answer as the page may read it. */
function readToken({ url, password, headers }) {
  const query = new URLSearchParams({ identity: "alice", password });
  return fetch(`${url}/token?${query}`, { headers }).then(async (response) => ({
    status: response.status,
    text: await response.text(),
  }));
}

test("/token is readable across origins, refusals and preflights too", LIMIT, async () => {
  const { page } = await openApp();
  const { url } = tertulia;
  const password = tertulia.env.TERTULIA_DEV_PASSWORD;
  const plain = await page.evaluate(readToken, { url, password });
  assert.equal(plain.status, 200);
  assert.match(plain.text, /^[\w-]+\.[\w-]+\.[\w-]+$/, "a bare token");
  const preflighted = await page.evaluate(readToken, { url, password, headers: { "x-app": "1" } });
  assert.equal(preflighted.status, 200);
  const refused = await page.evaluate(readToken, { url, password: "wrong" });
  assert.equal(refused.status, 401);
  assert.match(refused.text, /password/);
  await page.close();
});

test("the SDK works in a page of another origin", LIMIT, async () => {
  const { page, complaints } = await openApp();
  const place = { url: tertulia.url, uri: tertulia.env.TERTULIA_TWILSOCK_URI, password: tertulia.env.TERTULIA_DEV_PASSWORD };
  const received = await page.evaluate(async ({ url, uri, password }) => {
    const { Client } = window.Twilio.Conversations;
    const connect = async (identity) => {
      const query = new URLSearchParams({ identity, password });
      const token = await (await fetch(`${url}/token?${query}`)).text();
      const client = new Client(token, { Twilsock: { uri } });
      await new Promise((resolve, reject) => {
        client.on("initialized", resolve);
        client.on("connectionError", (error) => reject(new Error(error.message)));
      });
      return client;
    };
    const [alice, bob] = await Promise.all([connect("alice"), connect("bob")]);
    const invited = new Promise((resolve) => bob.on("conversationJoined", resolve));
    const arrives = new Promise((resolve) => bob.on("messageAdded", resolve));
    const conversation = await alice.createConversation();
    await conversation.join();
    await conversation.add("bob");
    // The SDK announces what comes after it has opened the conversation, not what was there before.
    await (await invited).getMessages();
    await conversation.sendMessage("from another origin");
    const { author, body } = await arrives;
    await Promise.all([alice.shutdown(), bob.shutdown()]);
    return { author, body };
  }, place);
  assert.deepEqual(received, { author: "alice", body: "from another origin" });
  assert.deepEqual(complaints, []);
  await page.close();
});
