const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const whole = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

export function clockTime(time: Date | null): string {
  return time ? clock.format(time) : "";
}

export function exactTime(time: Date | null): string {
  return time ? exact.format(time) : "";
}

/** The time if it was today, else the day. */
export function shortTime(time: Date): string {
  return isSameDay(time, new Date()) ? clock.format(time) : date.format(time);
}

export function dayName(time: Date): string {
  const yesterday = new Date();
  yesterday.setDate(yesterday.getDate() - 1);
  if (isSameDay(time, new Date())) return "Today";
  if (isSameDay(time, yesterday)) return "Yesterday";
  return whole.format(time);
}

export function isSameDay(a: Date, b: Date): boolean {
  return a.toDateString() === b.toDateString();
}
