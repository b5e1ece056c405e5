// Chromium, and what a page does in it.

import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const WAIT_MS = 15_000;
const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const SCREENSHOTS = new URL("screenshots/", import.meta.url).pathname;

/** Chromium with a profile of its own, which is gone when it is closed. */
export async function startBrowser(options = {}) {
  const program = process.env.CHROMIUM || PLACES.find((place) => existsSync(place));
  if (!program) throw new Error("CHROMIUM must name the browser's program");
  const profile = await mkdtemp(join(tmpdir(), "tertulia-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: program,
    headless: true,
    viewport: { width: 1280, height: 800 },
    locale: "en-GB",
    ...options,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  context.setDefaultTimeout(WAIT_MS);
  const close = async () => {
    await context.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  return { context, close };
}

/** A new page that remembers everything it complains about. */
export async function openPage(browser) {
  const page = await browser.context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`page: ${error.stack ?? error}`));
  return { page, complaints };
}

/** Opens the demo; a server without pages fails here, and says how to get them. */
export async function openDemo(page, url) {
  await page.goto(url);
  if ((await page.locator("#facts").count()) === 0) {
    throw new Error(`the pages are not built into this binary: \`cargo xtask web\`, then build it again (${await page.title()})`);
  }
}

/** One person's half of the demo page. */
export function pane(page, index) {
  const root = page.locator(".pane").nth(index);
  const field = root.getByRole("textbox", { name: "Message" });
  return {
    root,
    field,
    connected: () => root.and(page.locator('[data-state="connected"]')).waitFor(),
    bubble: (text) => root.locator(".message:not(.outgoing) .bubble", { hasText: text }),
    own: (text) => root.locator(".message.own:not(.outgoing)", { hasText: text }),
    start: () => root.getByRole("button", { name: /^Start a conversation/ }).click(),
    say: async (text) => {
      await field.fill(text);
      await field.press("Enter");
    },
  };
}

export async function screenshot(page, name) {
  await mkdir(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), animations: "disabled" });
}
