// A door in front of a server that a test can close: to a client, the network.

import net from 'node:net';

export class Gate {
  static async before(port) {
    const gate = new Gate();
    gate.pairs = new Set();
    gate.open = true;
    gate.server = net.createServer((client) => gate.#enter(client, port));
    await new Promise((resolve) => gate.server.listen(0, '127.0.0.1', resolve));
    gate.socketUrl = `ws://127.0.0.1:${gate.server.address().port}/v3/wsconnect`;
    return gate;
  }

  #enter(client, port) {
    if (!this.open) return client.destroy();
    const upstream = net.connect(port, '127.0.0.1');
    const pair = [client, upstream];
    this.pairs.add(pair);
    const end = () => {
      this.pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const socket of pair) socket.on('error', end).on('close', end);
    client.pipe(upstream).pipe(client);
  }

  /// Cuts every connection and takes no new one.
  shut() {
    this.open = false;
    for (const pair of [...this.pairs]) for (const socket of pair) socket.destroy();
  }

  reopen() {
    this.open = true;
  }

  async close() {
    this.shut();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
