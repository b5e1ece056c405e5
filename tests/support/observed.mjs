// A WebSocket that knows which requests are still without a reply. The SDK takes the global WebSocket where
// there is one, as in browsers, so it need not be touched.

const IDLE_MS = 5_000;
/// Turns of the event loop, timers included, that the SDK may take between a reply and its next request.
const QUIET_TURNS = 15;

/// `WebSocket` is the class of the ws package.
export function observed(WebSocket) {
  return class ObservedWebSocket extends WebSocket {
    static all = new Set();
    pending = new Set();

    constructor(...rest) {
      super(...rest);
      ObservedWebSocket.all.add(this);
      this.on('close', () => ObservedWebSocket.all.delete(this));
      this.on('message', (data) => {
        const header = headerOf(data);
        if (header?.method === 'reply') this.pending.delete(header.id);
      });
    }

    send(data, ...rest) {
      const header = headerOf(data);
      if (header?.method === 'message') this.pending.add(header.id);
      return super.send(data, ...rest);
    }

    /// Waits until every request to these addresses has its reply and the SDK asks nothing more, or for a while.
    static async idle(addresses) {
      const mine = () => [...ObservedWebSocket.all].filter((socket) => addresses.includes(socket.url));
      const end = Date.now() + IDLE_MS;
      for (let quiet = 0; quiet < QUIET_TURNS && Date.now() < end; ) {
        const busy = mine().filter((socket) => socket.pending.size > 0);
        quiet = busy.length === 0 ? quiet + 1 : 0;
        if (quiet > 0) await new Promise((resolve) => setTimeout(resolve, 2));
        else await Promise.race(busy.map(changed));
      }
    }
  };
}

/// The next message of a socket, or its end.
function changed(socket) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      socket.off('message', done).off('close', done);
      resolve();
    };
    const timer = setTimeout(done, IDLE_MS);
    socket.on('message', done).on('close', done);
  });
}

/// The header of a packet.
function headerOf(data) {
  const bytes = Buffer.from(data);
  const lineEnd = bytes.indexOf('\r\n');
  const length = Number(bytes.subarray(0, lineEnd).toString().split(' ')[2]);
  return JSON.parse(bytes.subarray(lineEnd + 2, lineEnd + 2 + length).toString());
}
