/** One conversation as one person sees it. */

import type { Conversation, Message, Paginator, Participant } from "@twilio/conversations";
import { reason } from "./explain";
import { Model } from "./model";

const PAGE = 25;

/** A message on its way: it stands in the list until the server's own comes back. */
export interface Outgoing {
  id: number;
  text: string;
  failure: string | null;
}

let outgoingCount = 0;

export class Chat extends Model {
  people: Participant[] = [];
  last: Message | null = null;
  unread = 0;
  typing = new Set<string>();
  outgoing: Outgoing[] = [];
  /** Has the newest page been asked for, and is it here? */
  opened: "no" | "loading" | "yes" = "no";
  /** The half-written message, kept while one looks at another conversation. */
  draft = "";
  private readonly byIndex = new Map<number, Message>();
  private oldestPage: Paginator<Message> | null = null;
  private counting = false;
  private countAgain = false;

  constructor(
    readonly conversation: Conversation,
    readonly self: string,
    /** Is this chat in front of somebody? Then what arrives is read. */
    private readonly isWatched: (chat: Chat) => boolean,
  ) {
    super();
  }

  get sid(): string {
    return this.conversation.sid;
  }

  get isJoined(): boolean {
    return this.conversation.status === "joined";
  }

  get others(): string[] {
    const identities = this.people.map((person) => person.identity ?? "a guest");
    return identities.filter((identity) => identity !== this.self).sort((a, b) => a.localeCompare(b));
  }

  get title(): string {
    return this.conversation.friendlyName || this.others.join(", ") || this.conversation.uniqueName || "Just you";
  }

  get latest(): Date {
    const { lastMessage, dateCreated } = this.conversation;
    return this.last?.dateCreated ?? lastMessage?.dateCreated ?? dateCreated ?? new Date(0);
  }

  get messages(): Message[] {
    return [...this.byIndex.values()].sort((a, b) => a.index - b.index);
  }

  get hasEarlier(): boolean {
    return this.oldestPage?.hasPrevPage ?? false;
  }

  /** Who else has read up to this message. */
  readersOf(message: Message): string[] {
    const read = (person: Participant) => (person.lastReadMessageIndex ?? -1) >= message.index;
    const readers = this.people.filter((person) => person.identity !== this.self && read(person));
    return readers.map((person) => person.identity ?? "a guest");
  }

  /** What the list shows: who is here, the last message, how much is unread. */
  async refresh(): Promise<void> {
    this.changed();
    if (!this.isJoined) return;
    try {
      const [page, people] = await Promise.all([this.conversation.getMessages(1), this.conversation.getParticipants()]);
      this.people = people;
      this.last = page.items.at(-1) ?? this.last;
    } catch {
      // Cut off in the middle. The person refreshes again on coming back.
      return;
    }
    this.changed();
    await this.count();
  }

  /** Loads the newest page, once; what fails is tried again when the person is back. */
  async open(): Promise<void> {
    if (this.opened !== "no" || !this.isJoined) return;
    this.opened = "loading";
    this.changed();
    try {
      this.take(await this.conversation.getMessages(PAGE));
      this.opened = "yes";
    } catch {
      this.opened = "no";
    }
    this.changed();
  }

  async loadEarlier(): Promise<void> {
    if (this.oldestPage?.hasPrevPage) this.take(await this.oldestPage.prevPage());
  }

  private take(page: Paginator<Message>): void {
    this.oldestPage = page;
    for (const message of page.items) this.byIndex.set(message.index, message);
    this.changed();
  }

  async send(text: string): Promise<void> {
    const outgoing: Outgoing = { id: ++outgoingCount, text, failure: null };
    this.outgoing.push(outgoing);
    await this.deliver(outgoing);
  }

  async retry(outgoing: Outgoing): Promise<void> {
    outgoing.failure = null;
    await this.deliver(outgoing);
  }

  discard(outgoing: Outgoing): void {
    this.outgoing = this.outgoing.filter((other) => other !== outgoing);
    this.changed();
  }

  private async deliver(outgoing: Outgoing): Promise<void> {
    this.changed();
    try {
      await this.conversation.sendMessage(outgoing.text);
      // Usually the message itself was here before, and took this one's place.
      setTimeout(() => this.discard(outgoing), 1000);
    } catch (error) {
      outgoing.failure = reason(error);
    }
    this.changed();
  }

  markRead(): void {
    if (this.isJoined && this.unread > 0) void this.count();
  }

  /** Unread messages as the server counts them; none while somebody looks at them. */
  private async count(): Promise<void> {
    if (this.counting) {
      this.countAgain = true;
      return;
    }
    this.counting = true;
    do {
      this.countAgain = false;
      this.unread = await this.counted().catch(() => this.unread);
      this.changed();
    } while (this.countAgain);
    this.counting = false;
  }

  private async counted(): Promise<number> {
    if (this.isWatched(this)) {
      const newest = this.last?.index ?? -1;
      if (newest > (this.conversation.lastReadMessageIndex ?? -1)) await this.conversation.setAllMessagesRead();
      return 0;
    }
    const unread = await this.conversation.getUnreadMessagesCount();
    return unread ?? (await this.conversation.getMessagesCount());
  }

  // What the person's client reports.

  onMessage(message: Message): void {
    if (this.opened !== "no") this.byIndex.set(message.index, message);
    if (message.index >= (this.last?.index ?? -1)) this.last = message;
    const own = message.author === this.self;
    const arrived = own ? this.outgoing.findIndex((outgoing) => outgoing.text === message.body) : -1;
    if (arrived >= 0) this.outgoing.splice(arrived, 1);
    this.changed();
    void this.count();
  }

  onMessageChanged(): void {
    this.changed();
  }

  onMessageRemoved(message: Message): void {
    this.byIndex.delete(message.index);
    this.changed();
    if (this.last?.index === message.index) {
      this.last = this.messages.at(-1) ?? null;
      void this.refresh();
    } else {
      void this.count();
    }
  }

  onTyping(participant: Participant, starts: boolean): void {
    const identity = participant.identity ?? "somebody";
    if (starts) this.typing.add(identity);
    else this.typing.delete(identity);
    this.changed();
  }

  async onPeople(): Promise<void> {
    if (this.isJoined) this.people = await this.conversation.getParticipants().catch(() => this.people);
    this.changed();
  }

  onConversation(): void {
    this.changed();
  }

  /** Left, or removed by somebody: what was loaded may have a gap once they are back. */
  onLeft(): void {
    this.opened = "no";
    this.byIndex.clear();
    this.oldestPage = null;
    this.people = [];
    this.typing.clear();
    this.unread = 0;
    this.changed();
  }
}
