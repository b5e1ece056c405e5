// The demo page, as somebody meets it who has just started Tertulia.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openDemo, openPage, pane, screenshot, startBrowser } from "./browser.mjs";
import { rest, startTertulia } from "./tertulia.mjs";

const LIMIT = { timeout: 60_000 };

let tertulia;
let browser;

before(async () => {
  tertulia = await startTertulia();
  browser = await startBrowser();
}, LIMIT);

after(async () => {
  await browser?.close();
  await tertulia?.stop();
}, LIMIT);

/** The demo with two people of this test's own, both connected. */
async function twoPeople(left, right) {
  const { page, complaints } = await openPage(browser);
  await openDemo(page, `${tertulia.url}/demo?left=${left}&right=${right}`);
  const people = [pane(page, 0), pane(page, 1)];
  for (const person of people) await person.connected();
  return { page, complaints, people };
}

test("alice and bob talk", LIMIT, async () => {
  const { page, complaints } = await openPage(browser);
  const hosts = new Set();
  for (const kind of ["request", "websocket"]) page.on(kind, (asked) => hosts.add(new URL(asked.url()).host));
  await openDemo(page, `${tertulia.url}/demo`);
  const [alice, bob] = [pane(page, 0), pane(page, 1)];
  await alice.connected();
  await bob.connected();
  assert.equal(await alice.root.getAttribute("data-identity"), "alice");
  assert.equal(await bob.root.getAttribute("data-identity"), "bob");
  await bob.root.getByText("No conversations yet").waitFor();
  await screenshot(page, "first-visit");

  await alice.start();
  await bob.field.waitFor();
  // The SDK shows nobody typing whom it does not know to be there.
  await alice.root.getByText("You, bob").waitFor();
  await bob.field.pressSequentially("He");
  await alice.root.getByText("bob is typing").waitFor();
  await bob.field.fill("");
  await alice.say("Are you coming on Thursday?");
  await bob.bubble("Are you coming on Thursday?").waitFor();
  await bob.say("Yes — the table at the window ☕\nat seven");
  await alice.bubble("at seven").waitFor();
  assert.equal(await alice.own("Thursday").count(), 1, "her own message stands on her side, once");
  assert.equal(await alice.own("at seven").count(), 0, "his does not");
  await bob.root.getByText("Read by alice").waitFor();
  await screenshot(page, "two-people");
  assert.deepEqual(complaints, []);
  hosts.delete(""); // the icon stands in the page
  assert.deepEqual([...hosts], [new URL(tertulia.url).host], "nothing is asked of anybody else");
  await page.close();
});

test("markup stays text, Shift+Enter is a line, a message is edited and removed", LIMIT, async () => {
  const { page, complaints, people } = await twoPeople("carol", "dan");
  const [carol, dan] = people;
  await carol.start();
  await carol.field.waitFor();
  await carol.field.fill("<img src=x onerror=alert(1)>");
  await carol.field.press("Shift+Enter");
  await carol.field.pressSequentially("second line");
  await carol.field.press("Enter");
  const arrived = dan.bubble("<img src=x onerror=alert(1)>");
  await arrived.waitFor();
  assert.equal(await arrived.textContent(), "<img src=x onerror=alert(1)>\nsecond line");

  // Only a message that has come back to its author can be edited: before that, this would send another.
  await carol.own("second line").waitFor();
  await carol.field.press("ArrowUp");
  await carol.field.fill("Corrected");
  await carol.field.press("Enter");
  await dan.bubble("Corrected").waitFor();
  await dan.bubble("edited").waitFor();

  await carol.own("Corrected").hover();
  await carol.own("Corrected").getByRole("button", { name: "Remove" }).click();
  await dan.bubble("Corrected").waitFor({ state: "detached" });
  assert.deepEqual(complaints, []);
  await page.close();
});

test("unread messages are counted, others are invited, one leaves", LIMIT, async () => {
  const { page, complaints, people } = await twoPeople("erin", "frank");
  const [erin, frank] = people;
  await erin.start();
  await frank.field.waitFor();
  await erin.root.getByLabel("New conversation").click();
  await erin.root.getByLabel("What is it about?").fill("Book club");
  await erin.root.getByRole("button", { name: "Start the conversation" }).click();
  const item = frank.root.locator(".chat-item", { hasText: "Book club" });
  await item.waitFor();
  await erin.say("one");
  await erin.say("two");
  await item.getByLabel("2 unread").waitFor();
  await item.getByText("two").waitFor();
  await item.click();
  await frank.bubble("one").waitFor();
  await item.getByLabel("2 unread").waitFor({ state: "detached" });

  const invite = async (person) => {
    await person.root.getByLabel("Invite somebody").click();
    await person.root.getByPlaceholder("Identity").fill("grace");
    await person.root.getByRole("button", { name: "Invite", exact: true }).click();
  };
  await invite(frank);
  await frank.root.getByText("addParticipant").waitFor();
  await page.keyboard.press("Escape");
  await invite(erin);
  await erin.root.getByText("You, frank, grace").waitFor();
  await frank.root.getByLabel("More about this conversation").click();
  await frank.root.getByRole("button", { name: "Leave" }).click();
  await erin.root.getByText("You, grace").waitFor();
  assert.deepEqual(complaints, []);
  await page.close();
});

test("messages over REST arrive live, and earlier ones are paged", LIMIT, async () => {
  const { page, complaints, people } = await twoPeople("heidi", "ivan");
  const [heidi, ivan] = people;
  const conversation = await rest(tertulia, "POST", "/Conversations", { FriendlyName: "By REST" });
  const inside = `/Conversations/${conversation.sid}`;
  for (let n = 1; n <= 40; n++) await rest(tertulia, "POST", `${inside}/Messages`, { Author: "heidi", Body: `number ${n}.` });
  for (const Identity of ["heidi", "ivan"]) await rest(tertulia, "POST", `${inside}/Participants`, { Identity });
  await ivan.bubble("number 40.").waitFor();
  assert.equal(await ivan.bubble("number 1.").count(), 0);
  await ivan.root.getByRole("button", { name: "Earlier messages" }).click();
  await ivan.bubble("number 1.").waitFor();
  const bodies = await ivan.root.locator(".bubble").allTextContents();
  assert.deepEqual(bodies, Array.from({ length: 40 }, (_, n) => `number ${n + 1}.`));
  await rest(tertulia, "POST", `${inside}/Messages`, { Author: "system", Body: "live" });
  await heidi.bubble("live").waitFor();
  assert.deepEqual(complaints, []);
  await page.close();
});

test("dark, and on a phone", LIMIT, async () => {
  const { page, complaints, people } = await twoPeople("judy", "mallory");
  const [judy, mallory] = people;
  await judy.start();
  await judy.say("Good evening");
  await mallory.bubble("Good evening").waitFor();
  await page.emulateMedia({ colorScheme: "dark" });
  await screenshot(page, "dark");
  await page.setViewportSize({ width: 390, height: 844 });
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= 390, `the page is ${width} px wide on a phone of 390`);
  await judy.root.getByRole("button", { name: "All conversations" }).click();
  await judy.root.locator(".chat-item").click();
  await judy.bubble("Good evening").waitFor();
  await page.emulateMedia({ colorScheme: "light" });
  await screenshot(page, "phone");
  assert.deepEqual(complaints, []);
  await page.close();
});
