// The demo page when something is not as it should be.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openDemo, openPage, pane, screenshot, startBrowser } from "./browser.mjs";
import { mint, startTertulia } from "./tertulia.mjs";

const LIMIT = { timeout: 60_000 };
const SHORT_SECONDS = 4;

let browser;

before(async () => {
  browser = await startBrowser();
}, LIMIT);

after(async () => {
  await browser?.close();
}, LIMIT);

test("the server goes away and comes back", LIMIT, async (t) => {
  const data = await mkdtemp(join(tmpdir(), "tertulia-browser-data-"));
  t.after(() => rm(data, { recursive: true, force: true }));
  const first = await startTertulia({ data });
  t.after(first.stop);
  const { page, complaints } = await openPage(browser);
  await openDemo(page, `${first.url}/demo`);
  const [alice, bob] = [pane(page, 0), pane(page, 1)];
  await alice.start();
  await bob.field.waitFor();
  await alice.say("before");
  await bob.bubble("before").waitFor();

  await first.stop();
  await alice.root.getByText(/Trying again|Connecting/).waitFor();
  await alice.root.getByText("The server cannot be reached").waitFor();
  await screenshot(page, "server-away");

  const second = await startTertulia({ data, args: ["--port", new URL(first.url).port] });
  t.after(second.stop);
  await alice.connected();
  await bob.connected();
  await alice.root.getByText("The server cannot be reached").waitFor({ state: "detached" });
  await alice.say("after");
  await bob.bubble("after").waitFor();
  const ofThePage = complaints.filter((complaint) => complaint.startsWith("page:"));
  assert.deepEqual(ofThePage, [], "Chromium may complain of the lost socket, the page may not break");
  await page.close();
});

test("a password that is not fixed is asked for, and a wrong one is explained", LIMIT, async (t) => {
  const tertulia = await startTertulia({ args: ["--host", "0.0.0.0"] });
  t.after(tertulia.stop);
  const { page } = await openPage(browser);
  const url = `http://127.0.0.1:${new URL(tertulia.url).port}/demo`;
  await openDemo(page, url);
  const enter = async (password) => {
    await page.getByLabel("Password of the token endpoint").fill(password);
    await page.keyboard.press("Enter");
  };
  await screenshot(page, "password");
  await enter("wrong");
  await page.getByText("Wrong password").waitFor();
  await screenshot(page, "wrong-password");
  await enter(tertulia.env.TERTULIA_DEV_PASSWORD);
  const alice = pane(page, 0);
  await alice.connected();
  await page.reload();
  await alice.connected();

  await page.evaluate(() => sessionStorage.setItem("tertulia.password", "of yesterday"));
  await page.reload();
  await page.getByLabel("Password of the token endpoint").waitFor();
  await page.close();
});

test("without a token endpoint a token is pasted, and a refused one is explained", LIMIT, async (t) => {
  const tertulia = await startTertulia();
  t.after(tertulia.stop);
  const { page } = await openPage(browser);
  // The page as a server beyond dev mode would give it. (Answering in the server's place would not
  // do: Chromium would then take the page for one from elsewhere, and ask before it lets it in here.)
  await page.addInitScript(() => {
    const notDev = JSON.stringify({ tertulia: { dev: false, password: null } });
    document.addEventListener("readystatechange", () => {
      const facts = document.getElementById("facts");
      if (document.readyState === "interactive" && facts) facts.textContent = notDev;
    });
  });
  await openDemo(page, `${tertulia.url}/demo`);
  const [left, right] = [pane(page, 0), pane(page, 1)];
  await screenshot(page, "paste");
  const token = await mint(tertulia, "zoë", 600);
  const [head, payload, signature] = token.split(".");
  const changed = (signature.startsWith("A") ? "B" : "A") + signature.slice(1);
  const paste = async (side, token) => {
    await side.root.getByRole("textbox").fill(token);
    await side.root.getByRole("button", { name: "Connect as zoë" }).click();
  };
  await paste(left, token);
  await left.connected();
  assert.equal(await left.root.getAttribute("data-identity"), "zoë");
  await paste(right, `${head}.${payload}.${changed}`);
  await right.root.getByText("The token's signature is wrong").waitFor();
  await right.root.getByText("20107").waitFor();
  await right.root.getByText("Denied").waitFor();
  await screenshot(page, "denied");
  await paste(right, await mint(tertulia, "zoë", 30));
  await right.connected();
  await right.root.getByText("The token is about to expire").waitFor();
  await paste(right, token);
  await right.root.getByText("The token is about to expire").waitFor({ state: "detached" });
  await right.connected();
  await page.close();
});

test("a token near its end is replaced, on the same connection", LIMIT, async (t) => {
  const tertulia = await startTertulia();
  t.after(tertulia.stop);
  const { page, complaints } = await openPage(browser);
  const asked = [];
  await page.route("**/token?*", async (route) => {
    const identity = new URL(route.request().url()).searchParams.get("identity");
    const isFirst = !asked.includes(identity);
    asked.push(identity);
    await (isFirst ? route.fulfill({ body: await mint(tertulia, identity, SHORT_SECONDS) }) : route.continue());
  });
  let sockets = 0;
  page.on("websocket", () => sockets++);
  await openDemo(page, `${tertulia.url}/demo`);
  const [alice, bob] = [pane(page, 0), pane(page, 1)];
  await alice.start();
  await bob.field.waitFor();
  await page.waitForTimeout((SHORT_SECONDS + 1) * 1000);
  await alice.say("still here");
  await bob.bubble("still here").waitFor();
  assert.deepEqual(asked.sort(), ["alice", "alice", "bob", "bob"]);
  assert.equal(sockets, 2);
  assert.deepEqual(complaints, []);
  await page.close();
});
