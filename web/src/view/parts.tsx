/** Small things used in several places. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

const ICONS = {
  plus: "M12 5v14M5 12h14",
  back: "M15 5l-7 7 7 7",
  down: "M6 9l6 6 6-6",
  send: "M5 12h13M12.5 5.5L19 12l-6.5 6.5",
  more: "M5.5 12h.01M12 12h.01M18.5 12h.01",
  edit: "M4.5 19.5l1-4L16 5l3 3L8.5 18.5zM14 7l3 3",
  remove: "M5 7h14M10 7V4.5h4V7M7 7l1 12.5h8L17 7M10.5 11v5M13.5 11v5",
  invite: "M9.5 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3 20c.4-3.6 3-5.5 6.5-5.5s6.1 1.9 6.5 5.5M19 8v6M16 11h6",
};

export function Icon({ name }: { name: keyof typeof ICONS }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 24 24" aria-hidden="true">
      <path d={ICONS[name]} />
    </svg>
  );
}

const HUES = ["clay", "olive", "plum", "teal", "ochre", "rose"] as const;

/** Each name keeps its colour; the two sample people get different ones. */
export function hueOf(identity: string): string {
  let sum = 0;
  for (const letter of identity) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 9973;
  return HUES[sum % HUES.length] ?? "clay";
}

export function Avatar({ identity, small }: { identity: string; small?: boolean }) {
  const initial = [...identity][0]?.toUpperCase() ?? "?";
  return (
    <span class={`avatar ${hueOf(identity)} ${small ? "small" : ""}`} aria-hidden="true">
      {initial}
    </span>
  );
}

interface PopoverProps {
  class: string;
  label: string;
  summary: ComponentChildren;
  /** Gets what closes the popover. */
  children: (close: () => void) => ComponentChildren;
}

/** A button that opens a small panel; Escape and a click elsewhere close it. */
export function Popover({ class: name, label, summary, children }: PopoverProps) {
  const details = useRef<HTMLDetailsElement>(null);
  const close = () => {
    if (!details.current?.open) return;
    const inside = details.current.contains(document.activeElement);
    details.current.open = false;
    if (inside) details.current.querySelector("summary")?.focus();
  };
  useEffect(() => {
    const outside = (event: PointerEvent) => {
      if (!details.current?.contains(event.target as Node)) close();
    };
    const escape = (event: KeyboardEvent) => event.key === "Escape" && close();
    document.addEventListener("pointerdown", outside);
    document.addEventListener("keydown", escape);
    return () => {
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("keydown", escape);
    };
  }, []);
  const focusField = () => {
    if (details.current?.open) details.current.querySelector<HTMLInputElement>("input")?.select();
  };
  return (
    <details class={`popover ${name}`} ref={details} onToggle={focusField}>
      <summary aria-label={label} title={label}>
        {summary}
      </summary>
      <div class="panel">{children(close)}</div>
    </details>
  );
}

/** Text with `code` in it. */
export function Prose({ text }: { text: string }) {
  const parts = text.split("`");
  return <>{parts.map((part, index) => (index % 2 ? <code key={index}>{part}</code> : part))}</>;
}

export function Failure({ text }: { text: string | null }) {
  return text === null ? null : (
    <p class="failure" role="alert">
      <Prose text={text} />
    </p>
  );
}

/** Two cups on a table. */
export function Cups() {
  return (
    <svg class="cups" viewBox="0 0 160 84" aria-hidden="true">
      <path class="steam" d="M47 24c-5-6 5-9 0-16M59 24c-5-6 5-9 0-16M99 24c-5-6 5-9 0-16M111 24c-5-6 5-9 0-16" />
      <path class="cup left" d="M32 32h42v18a18 18 0 0 1-18 18h-6a18 18 0 0 1-18-18z" />
      <path class="handle left" d="M32 37h-5a8 8 0 0 0 0 16h6" />
      <path class="cup right" d="M84 32h42v18a18 18 0 0 1-18 18h-6a18 18 0 0 1-18-18z" />
      <path class="handle right" d="M126 37h5a8 8 0 0 1 0 16h-6" />
      <path class="table" d="M8 76h144" />
    </svg>
  );
}
