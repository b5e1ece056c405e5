import { useState } from "preact/hooks";
import { facts, sdkLine } from "../facts";
import { Person } from "../model/person";
import { fetchToken, forgetPassword, keepPassword, needsPassword } from "../model/tokens";
import { useCopy, useDoing } from "./hooks";
import { Pane } from "./pane";
import { Failure } from "./parts";

const SIDES = ["left", "right"] as const;

/** The two people; `?left=carol&right=dan` chooses others. */
function people(): [Person, Person] {
  const asked = new URLSearchParams(location.search);
  return [new Person(asked.get("left") || "alice"), new Person(asked.get("right") || "bob")];
}

function remember(side: number, identity: string): void {
  const url = new URL(location.href);
  url.searchParams.set(SIDES[side] ?? "left", identity);
  history.replaceState(null, "", url);
}

export function App() {
  const [two] = useState(() => {
    const two = people();
    if (facts.dev && !needsPassword()) for (const person of two) void person.connect();
    return two;
  });
  const [locked, setLocked] = useState(needsPassword());
  const unlock = async (password: string) => {
    keepPassword(password);
    try {
      await fetchToken(two[0].identity);
    } catch (error) {
      forgetPassword();
      throw error;
    }
    setLocked(false);
    for (const person of two) void person.connect();
  };
  const [left, right] = two;
  return (
    <>
      <header class="masthead">
        <h1>
          <Logo /> Tertulia
        </h1>
        <p>Two people at one table: each side is a client of its own, on the unmodified Conversations SDK.</p>
      </header>
      {locked ? (
        <Password onEntered={unlock} />
      ) : (
        <main class="panes">
          <Pane person={left} partner={right} onNamed={(name) => remember(0, name)} onLocked={() => setLocked(true)} />
          <Pane person={right} partner={left} onNamed={(name) => remember(1, name)} onLocked={() => setLocked(true)} />
        </main>
      )}
      <SdkLine />
    </>
  );
}

function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <path class="steam" d="M11 8c-1.5-1.6 1.5-2.6 0-4.4M16 8c-1.5-1.6 1.5-2.6 0-4.4" />
      <path d="M4 11h19a1 1 0 0 1 1 1v6a9 9 0 0 1-9 9h-1l-5 4v-4.6A9 9 0 0 1 3 18v-6a1 1 0 0 1 1-1z" />
      <path class="handle" d="M24 14h1.5a3.5 3.5 0 0 1 0 7H23" />
    </svg>
  );
}

function Password({ onEntered }: { onEntered: (password: string) => Promise<void> }) {
  const [text, setText] = useState("");
  const doing = useDoing();
  const enter = (event: Event) => {
    event.preventDefault();
    if (text) void doing.run(() => onEntered(text));
  };
  return (
    <main class="gate">
      <form class="card" onSubmit={enter}>
        <h2>Which password?</h2>
        <p>
          <code>tertulia dev</code> printed it when it started, in the line <em>Token URL</em>. It is kept until this
          tab is closed.
        </p>
        <label>
          Password of the token endpoint
          <input
            type="password"
            autocomplete="current-password"
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
            autofocus
          />
        </label>
        <Failure text={doing.failure} />
        <button class="primary" disabled={!text || doing.busy}>
          Sit down
        </button>
      </form>
    </main>
  );
}

function SdkLine() {
  const [copied, copy] = useCopy();
  return (
    <footer class="sdk-line">
      <span>In your app, one option changes:</span>
      <code tabIndex={0}>{sdkLine}</code>
      <button type="button" onClick={() => copy(sdkLine)} aria-live="polite">
        {copied ? "Copied" : "Copy"}
      </button>
    </footer>
  );
}
