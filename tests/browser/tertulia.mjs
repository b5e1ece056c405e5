// A server of a test's own.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const READY_MS = 15_000;
const END_MS = 5_000;

/** Starts `tertulia dev` and waits until it says where it is. */
export async function startTertulia({ args = [], data = null } = {}) {
  const binary = process.env.TERTULIA_BIN;
  if (!binary) throw new Error("TERTULIA_BIN must name the tertulia binary, built with the pages embedded");
  const folder = await mkdtemp(join(tmpdir(), "tertulia-browser-"));
  const envFile = join(folder, "env");
  const keeping = data ? ["--data", data] : ["--ephemeral"];
  const port = args.includes("--port") ? [] : ["--port", "0"];
  const child = spawn(binary, ["dev", ...keeping, ...port, "--env-file", envFile, ...args], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text));
  const ended = once(child, "exit");
  const stop = async () => {
    const late = setTimeoutToKill(child);
    child.kill("SIGTERM");
    if (child.exitCode === null && child.signalCode === null) await ended;
    clearTimeout(late);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const env = await readEnv(envFile, child, () => said);
    return { env, url: env.TERTULIA_URL, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function setTimeoutToKill(child) {
  return setTimeout(() => child.kill("SIGKILL"), END_MS);
}

async function readEnv(file, child, said) {
  for (const until = Date.now() + READY_MS; Date.now() < until; await sleep(20)) {
    if (child.exitCode !== null) throw new Error(`tertulia ended with ${child.exitCode}:\n${said()}`);
    const text = await readFile(file, "utf8").catch(() => null);
    if (text !== null) return parse(text);
  }
  throw new Error(`tertulia was not ready in ${READY_MS} ms:\n${said()}`);
}

function parse(text) {
  const line = /^([A-Z_]+)='(.*)'$/;
  const pairs = text.split("\n").map((one) => line.exec(one));
  return Object.fromEntries(pairs.filter(Boolean).map(([, name, value]) => [name, value]));
}

/** An Access Token from the command line, for as long as a test wants it to live. */
export async function mint({ env }, identity, seconds) {
  const args = ["--identity", identity, "--ttl", String(seconds), "--chat-service-sid", env.TWILIO_CHAT_SERVICE_SID];
  const account = ["--account-sid", env.TWILIO_ACCOUNT_SID, "--key-sid", env.TWILIO_API_KEY];
  const run = promisify(execFile);
  const { stdout } = await run(process.env.TERTULIA_BIN, ["token", "mint", ...account, ...args], { env });
  return stdout.trim();
}

/** A call of the REST API v1, with the account's credentials. */
export async function rest({ env, url }, method, path, form) {
  const basic = Buffer.from(`${env.TWILIO_ACCOUNT_SID}:${env.TWILIO_AUTH_TOKEN}`).toString("base64");
  const response = await fetch(`${url}/v1/Services/${env.TWILIO_CHAT_SERVICE_SID}${path}`, {
    method,
    headers: { authorization: `Basic ${basic}` },
    body: form && new URLSearchParams(form),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text ? JSON.parse(text) : null;
}
