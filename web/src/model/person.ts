/** One identity with an SDK client of its own. */

import { Client, type ClientOptions, type ConnectionState, type Conversation } from "@twilio/conversations";
import { realtimeUri } from "../facts";
import { Chat } from "./chat";
import { type ConnectionError, explainConnection, explainToken, type Trouble } from "./explain";
import { Model } from "./model";
import { fetchToken, identityOf } from "./tokens";

/** Tokens that live for seconds only shall not be fetched in a circle. */
const RENEWAL_PAUSE_MS = 5000;

export class Person extends Model {
  state: ConnectionState = "unknown";
  trouble: Trouble | null = null;
  /** Are all conversations listed? */
  isReady = false;
  chats = new Map<string, Chat>();
  selected: Chat | null = null;
  /** The token is used up, and nobody but the reader of the page has another. */
  wantsToken = false;
  private client: Client | null = null;
  private pasted = false;
  private initialized = false;
  /** A token came near its end before the client was there to take another. */
  private renewalIsDue = false;
  private renewedAt = 0;

  constructor(public identity: string) {
    super();
    document.addEventListener("visibilitychange", () => this.selected?.markRead());
  }

  /** Connects with a token from the server's token endpoint. */
  async connect(identity = this.identity): Promise<void> {
    this.reset(identity);
    this.pasted = false;
    this.state = "connecting";
    const mine = this.client;
    try {
      const token = await fetchToken(identity);
      if (this.client === mine && this.identity === identity) this.start(token);
    } catch (error) {
      this.state = "disconnected";
      this.trouble = explainToken(error);
    }
    this.changed();
  }

  connectWith(token: string): void {
    this.reset(identityOf(token) ?? "somebody");
    this.pasted = true;
    this.start(token);
  }

  /** Another token for the same client, or for a new one if this one never got anywhere. */
  async renewWith(token: string): Promise<void> {
    if (!this.client || !this.initialized || this.state === "disconnected") return this.connectWith(token);
    await this.client.updateToken(token);
    this.wantsToken = false;
    this.changed();
  }

  disconnect(): void {
    this.reset(this.identity);
    this.state = "disconnected";
  }

  select(chat: Chat | null): void {
    this.selected = chat;
    this.changed();
    if (!chat) return;
    void chat.open();
    chat.markRead();
  }

  get sorted(): Chat[] {
    return [...this.chats.values()].sort((a, b) => b.latest.getTime() - a.latest.getTime());
  }

  /** Creates a conversation, enters it, and brings the others in. */
  async create(name: string, others: string[]): Promise<void> {
    const conversation = await this.ready().createConversation(name ? { friendlyName: name } : {});
    await conversation.join();
    this.select(this.chat(conversation));
    for (const identity of others) await conversation.add(identity);
  }

  private ready(): Client {
    if (!this.client) throw new Error(`${this.identity} is not connected`);
    return this.client;
  }

  private reset(identity: string): void {
    this.client?.shutdown().catch(() => {});
    this.client = null;
    this.identity = identity;
    this.state = "unknown";
    this.trouble = null;
    this.isReady = this.initialized = this.wantsToken = this.renewalIsDue = false;
    this.chats = new Map();
    this.selected = null;
    this.changed();
  }

  private start(token: string): void {
    const options: ClientOptions = { Twilsock: { uri: realtimeUri } };
    const client = new Client(token, options);
    this.client = client;
    // What a client says after it was put away concerns nobody.
    const on: Client["on"] = (event, listener) => {
      const heard = (...args: unknown[]) => {
        if (client === this.client) (listener as (...args: unknown[]) => void)(...args);
      };
      return client.on(event, heard as typeof listener);
    };
    this.watchConnection(client, on);
    this.watchConversations(on);
    this.changed();
  }

  private watchConnection(client: Client, on: Client["on"]): void {
    on("connectionStateChanged", (state) => {
      this.state = state;
      if (state === "connected") this.resume(client);
      this.changed();
    });
    on("connectionError", (error) => {
      this.trouble = explainConnection(error as ConnectionError);
      this.changed();
    });
    on("initialized", () => {
      this.initialized = true;
      void this.list(client);
      if (this.renewalIsDue) void this.renew(client);
    });
    on("tokenAboutToExpire", () => {
      this.renewalIsDue = true;
      if (this.initialized) void this.renew(client);
    });
    on("tokenExpired", () => {
      // In the middle of disconnecting the SDK loses a new token: wait for the end of it.
      const settled = () => client.connectionState !== "disconnecting";
      const wait = () => (settled() ? void this.renew(client) : setTimeout(wait, 250));
      wait();
    });
  }

  /** Connected, perhaps again: what was cut off goes on. */
  private resume(client: Client): void {
    this.trouble = null;
    if (!this.initialized) return;
    if (!this.isReady) void this.list(client);
    for (const chat of this.chats.values()) if (!chat.last) void chat.refresh();
    void this.selected?.open();
  }

  private async renew(client: Client): Promise<void> {
    if (client !== this.client) return;
    if (this.pasted) {
      this.wantsToken = true;
      this.changed();
      return;
    }
    const pause = this.renewedAt + RENEWAL_PAUSE_MS - Date.now();
    if (pause > 0) return void setTimeout(() => void this.renew(client), pause);
    this.renewedAt = Date.now();
    this.renewalIsDue = false;
    try {
      const token = await fetchToken(this.identity);
      if (client !== this.client) return;
      if (this.initialized) await client.updateToken(token);
      else await this.connect();
    } catch (error) {
      this.trouble ??= explainToken(error);
      this.changed();
    }
  }

  private async list(client: Client): Promise<void> {
    try {
      let page = await client.getSubscribedConversations();
      if (client !== this.client) return;
      for (const conversation of page.items) this.chat(conversation);
      while (page.hasNextPage) {
        page = await page.nextPage();
        for (const conversation of page.items) this.chat(conversation);
      }
    } catch {
      // Cut off in the middle: `resume` lists again.
      return;
    }
    if (client !== this.client) return;
    await Promise.all([...this.chats.values()].map((chat) => chat.refresh()));
    this.isReady = true;
    this.changed();
    if (!this.selected) this.select(this.sorted[0] ?? null);
  }

  private watchConversations(on: Client["on"]): void {
    on("conversationAdded", (conversation) => {
      const chat = this.chat(conversation);
      void chat.refresh();
    });
    on("conversationJoined", (conversation) => {
      const chat = this.chat(conversation);
      void chat.refresh();
      if (this.selected === chat) void chat.open();
      if (this.isReady && !this.selected) this.select(chat);
    });
    on("conversationLeft", (conversation) => this.chat(conversation).onLeft());
    on("conversationRemoved", (conversation) => this.forget(conversation));
    on("conversationUpdated", ({ conversation }) => this.known(conversation)?.onConversation());
    on("participantJoined", ({ conversation }) => void this.known(conversation)?.onPeople());
    on("participantLeft", ({ conversation }) => void this.known(conversation)?.onPeople());
    on("participantUpdated", ({ participant }) => this.known(participant.conversation)?.onConversation());
    on("messageAdded", (message) => this.known(message.conversation)?.onMessage(message));
    on("messageUpdated", ({ message }) => this.known(message.conversation)?.onMessageChanged());
    on("messageRemoved", (message) => this.known(message.conversation)?.onMessageRemoved(message));
    on("typingStarted", (who) => this.known(who.conversation)?.onTyping(who, true));
    on("typingEnded", (who) => this.known(who.conversation)?.onTyping(who, false));
  }

  private known(conversation: Conversation): Chat | undefined {
    return this.chats.get(conversation.sid);
  }

  /** The chat of a conversation; a changed chat changes the list too. */
  private chat(conversation: Conversation): Chat {
    const known = this.known(conversation);
    // After leaving and coming back the SDK has a new object for the same conversation.
    if (known?.conversation === conversation) return known;
    const isWatched = (chat: Chat) => this.selected === chat && document.visibilityState === "visible";
    const chat = new Chat(conversation, this.identity, isWatched);
    chat.watch(() => this.changed());
    this.chats.set(conversation.sid, chat);
    if (known && this.selected === known) this.selected = chat;
    this.changed();
    return chat;
  }

  private forget(conversation: Conversation): void {
    const gone = this.known(conversation);
    this.chats.delete(conversation.sid);
    if (gone && gone === this.selected) this.selected = null;
    this.changed();
  }
}
