// A connection without an SDK: packets as bytes, so that wrong ones can be sent too.

import { randomUUID } from 'node:crypto';

import { within } from './server.mjs';

const PATIENCE_MS = 10_000;

/// One packet. `lengths` may lie about the header and the payload.
export function packet(header, payload = '', lengths = {}) {
  const body = Buffer.from(payload);
  const head = Buffer.from(JSON.stringify({ payload_size: lengths.payload ?? body.length, ...header }));
  return Buffer.concat([Buffer.from(`TWILSOCK V3.0 ${lengths.header ?? head.length}\r\n`), head, Buffer.from('\r\n'), body]);
}

/// Reads a packet and insists on its form.
export function parsed(bytes) {
  const text = bytes.toString('latin1');
  const [first, length] = /^TWILSOCK V3\.0 (\d+)\r\n/.exec(text) ?? [];
  if (!first) throw new Error(`not a packet: ${text.slice(0, 80)}`);
  const end = first.length + Number(length);
  const header = JSON.parse(bytes.subarray(first.length, end));
  const payload = bytes.subarray(end + 2);
  if (text.slice(end, end + 2) !== '\r\n') throw new Error('no line end after the header');
  if (payload.length !== (header.payload_size ?? 0)) throw new Error(`payload_size is ${header.payload_size} of ${payload.length}`);
  return { header, payload: payload.length ? JSON.parse(payload) : undefined };
}

export class Wire {
  /// `WebSocket` is the class of the ws package.
  static async connect(WebSocket, url) {
    const wire = new Wire();
    wire.socket = new WebSocket(url);
    wire.packets = [];
    wire.asking = new Set();
    wire.closed = new Promise((resolve) => wire.socket.on('close', (code, reason) => resolve({ code, reason: String(reason) })));
    wire.closed.then(() => wire.#changed());
    wire.socket.on('error', () => {});
    wire.socket.on('message', (data, isBinary) => {
      if (!isBinary) throw new Error('a text frame from the server');
      wire.packets.push(parsed(data));
      wire.#changed();
    });
    await within(new Promise((resolve, reject) => wire.socket.on('open', resolve).on('error', reject)), PATIENCE_MS, 'no websocket');
    return wire;
  }

  #changed() {
    for (const look of [...this.asking]) look();
  }

  send(bytes) {
    this.socket.send(bytes);
  }

  /// The first packet that fits, come or to come; `undefined` when the connection ends without.
  async until(fits) {
    let look;
    const found = new Promise((resolve) => {
      look = () => {
        const packet = this.packets.find(fits);
        if (packet || this.socket.readyState >= 2) resolve(packet);
      };
      this.asking.add(look);
      look();
    });
    try {
      return await within(found, PATIENCE_MS, () => `no such packet among ${JSON.stringify(this.packets.map((one) => one.header.method))}`);
    } finally {
      this.asking.delete(look);
    }
  }

  /// Sends a header with an id of its own and waits for the reply.
  async ask(header, payload) {
    const id = `TM${randomUUID()}`;
    this.send(packet({ id, ...header }, payload));
    return this.until((one) => one.header.method === 'reply' && one.header.id === id);
  }

  init(token) {
    return this.ask({ method: 'init', token, continuation_token: null, metadata: {}, registrations: [], capabilities: [] });
  }

  /// A tunnelled request: `{ status, code, body }` of its answer.
  async request(method, path, body, headers = { 'Content-Type': 'application/json' }) {
    const request = { host: 'anything.example', path, method, params: {}, headers };
    const payload = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
    const reply = await this.ask({ method: 'message', active_grant: 'ip_messaging', payload_type: 'application/json', http_request: request }, payload);
    if (!reply) throw new Error(`${method} ${path}: the connection ended`);
    if (reply.header.status.code !== 200) throw new Error(`${method} ${path}: transport ${JSON.stringify(reply.header.status)}`);
    return { status: reply.header.http_status.code, code: reply.payload?.code, body: reply.payload };
  }

  /// Whether the connection still answers.
  async alive() {
    return (await this.request('GET', '/Client/v2/Configuration')).status === 200;
  }

  /// How the connection was closed.
  end() {
    return within(this.closed, PATIENCE_MS, 'the connection was not closed');
  }

  async close() {
    this.socket.close();
    await this.end();
  }
}
