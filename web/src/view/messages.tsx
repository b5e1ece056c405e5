/** The messages of an open conversation, the newest at the bottom and in sight. */

import type { Message } from "@twilio/conversations";
import { Fragment } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Chat, Outgoing } from "../model/chat";
import { useDoing } from "./hooks";
import { Avatar, Failure, Icon, hueOf } from "./parts";
import { clockTime, dayName, exactTime, isSameDay } from "./time";

/** Messages of one author that are no further apart are one group. */
const TOGETHER_MS = 5 * 60 * 1000;
const NEAR_BOTTOM_PX = 60;

interface Props {
  chat: Chat;
  onEdit: (message: Message) => void;
}

export function Messages({ chat, onEdit }: Props) {
  const { messages, outgoing } = chat;
  const scroll = useStickToBottom(messages, outgoing.length + chat.typing.size);
  const seen = lastSeen(chat, messages);
  return (
    <div class="messages-frame">
      <div class="messages" ref={scroll.box} onScroll={scroll.onScroll} tabIndex={0} role="log" aria-label="Messages">
        <Top chat={chat} isEmpty={messages.length + outgoing.length === 0} />
        <ol>
          {messages.map((message, index) => {
            const before = messages[index - 1];
            const day = startsDay(message, before) && message.dateCreated;
            return (
              <Fragment key={message.sid}>
                {day && <li class="day">{dayName(day)}</li>}
                <Item chat={chat} message={message} isFirst={startsGroup(message, before)} onEdit={onEdit} />
                {seen?.message === message && <li class="seen">Read by {seen.readers.join(", ")}</li>}
              </Fragment>
            );
          })}
          {outgoing.map((one) => (
            <OutgoingItem key={one.id} chat={chat} outgoing={one} />
          ))}
        </ol>
        <Typing names={[...chat.typing]} />
      </div>
      {scroll.isAway && (
        <button type="button" class="to-bottom" onClick={scroll.toBottom}>
          <Icon name="down" /> Newest
        </button>
      )}
    </div>
  );
}

function Top({ chat, isEmpty }: { chat: Chat; isEmpty: boolean }) {
  const doing = useDoing();
  if (chat.opened !== "yes") return <p class="faint">Loading…</p>;
  if (isEmpty) {
    const others = chat.others.join(" and ");
    return <p class="faint">{others ? `You and ${others} are here. Say something.` : "Nobody else is here yet."}</p>;
  }
  if (!chat.hasEarlier) return null;
  return (
    <p class="earlier">
      <button type="button" disabled={doing.busy} onClick={() => void doing.run(() => chat.loadEarlier())}>
        Earlier messages
      </button>
      <Failure text={doing.failure} />
    </p>
  );
}

interface ItemProps {
  chat: Chat;
  message: Message;
  isFirst: boolean;
  onEdit: (message: Message) => void;
}

function Item({ chat, message, isFirst, onEdit }: ItemProps) {
  const doing = useDoing();
  const author = message.author ?? "the system";
  const own = author === chat.self;
  const isEdited = message.lastUpdatedBy !== null && changedLater(message);
  return (
    <li class={`message ${own ? "own" : ""} ${isFirst ? "first" : ""}`} data-index={message.index}>
      {!own && isFirst && <Avatar identity={author} small />}
      {isFirst && (
        <p class="byline">
          <span class={own ? "unseen" : `author ${hueOf(author)}`}>{own ? "You" : author}</span>{" "}
          <time dateTime={message.dateCreated?.toISOString()} title={exactTime(message.dateCreated)}>
            {clockTime(message.dateCreated)}
          </time>
        </p>
      )}
      <div class="bubble" title={exactTime(message.dateCreated)}>
        {message.body || <em>{message.type === "media" ? "An attachment" : "Nothing"}</em>}
        {isEdited && <small> edited</small>}
      </div>
      {own && (
        <div class="actions">
          <button type="button" class="bare" aria-label="Edit" title="Edit" onClick={() => onEdit(message)}>
            <Icon name="edit" />
          </button>
          <button
            type="button"
            class="bare"
            aria-label="Remove"
            title="Remove"
            disabled={doing.busy}
            onClick={() => void doing.run(() => message.remove())}
          >
            <Icon name="remove" />
          </button>
        </div>
      )}
      <Failure text={doing.failure} />
    </li>
  );
}

function OutgoingItem({ chat, outgoing }: { chat: Chat; outgoing: Outgoing }) {
  return (
    <li class={`message own outgoing ${outgoing.failure ? "failed" : ""}`}>
      <div class="bubble">{outgoing.text}</div>
      {outgoing.failure && (
        <p class="failure" role="alert">
          Not sent: {outgoing.failure}
          <button type="button" class="link" onClick={() => void chat.retry(outgoing)}>
            Send again
          </button>
          <button type="button" class="link" onClick={() => chat.discard(outgoing)}>
            Discard
          </button>
        </p>
      )}
    </li>
  );
}

function Typing({ names }: { names: string[] }) {
  const text = names.length === 0 ? "" : `${names.join(" and ")} ${names.length === 1 ? "is" : "are"} typing`;
  return (
    <p class="typing" aria-live="polite">
      {text && (
        <>
          {text}
          <span class="dots" aria-hidden="true">
            <i />
            <i />
            <i />
          </span>
        </>
      )}
    </p>
  );
}

function startsDay(message: Message, before: Message | undefined): boolean {
  if (!message.dateCreated) return false;
  return !before?.dateCreated || !isSameDay(before.dateCreated, message.dateCreated);
}

function startsGroup(message: Message, before: Message | undefined): boolean {
  if (!before || before.author !== message.author || startsDay(message, before)) return true;
  return (message.dateCreated?.getTime() ?? 0) - (before.dateCreated?.getTime() ?? 0) > TOGETHER_MS;
}

function changedLater(message: Message): boolean {
  const { dateCreated, dateUpdated } = message;
  return dateUpdated !== null && dateCreated !== null && dateUpdated.getTime() > dateCreated.getTime();
}

/** The newest own message, if it is the newest of all and others have read it. */
function lastSeen(chat: Chat, messages: Message[]): { message: Message; readers: string[] } | null {
  const message = messages.at(-1);
  if (!message || message.author !== chat.self) return null;
  const readers = chat.readersOf(message);
  return readers.length > 0 ? { message, readers } : null;
}

/** Keeps the newest in sight while one is there, and the place while earlier ones come in above. */
function useStickToBottom(messages: Message[], below: number) {
  const box = useRef<HTMLDivElement>(null);
  const [isAway, setAway] = useState(false);
  const before = useRef({ oldest: -1, height: 0, sticks: true });
  const oldest = messages[0]?.index ?? -1;
  const newest = messages.at(-1)?.index ?? -1;
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const was = before.current;
    if (was.sticks) element.scrollTop = element.scrollHeight;
    else if (oldest < was.oldest) element.scrollTop += element.scrollHeight - was.height;
    before.current = { oldest, height: element.scrollHeight, sticks: was.sticks };
  }, [oldest, newest, below, messages.length]);
  const onScroll = () => {
    const element = box.current;
    if (!element) return;
    const away = element.scrollHeight - element.scrollTop - element.clientHeight > NEAR_BOTTOM_PX;
    before.current.sticks = !away;
    setAway(away);
  };
  const toBottom = () => box.current?.scrollTo({ top: box.current.scrollHeight, behavior: "smooth" });
  return { box, isAway, onScroll, toBottom };
}
