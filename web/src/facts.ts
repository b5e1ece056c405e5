/** What the page knows of the server that it came from. */

export interface Facts {
  /** In dev mode the server hands out tokens. */
  dev: boolean;
  /** The fixed password of the token endpoint, if the server has one. */
  password: string | null;
}

export const facts: Facts = read();

/** The one address an app on the SDK has to know. */
export const realtimeUri = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v3/wsconnect`;

/** The one line that changes in an app. */
export const sdkLine = `new Client(token, { Twilsock: { uri: "${realtimeUri}" } })`;

function read(): Facts {
  const text = document.getElementById("facts")?.textContent ?? "";
  const told = JSON.parse(text) as { tertulia: Facts | null };
  return told.tertulia ?? { dev: false, password: null };
}
