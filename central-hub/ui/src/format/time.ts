// Times at the district's own offset from UTC, whatever the screen's machine believes.

import type { Language } from './number';

const MINUTE_MS = 60_000;

function local(ms: number, utc_offset_minutes: number): Date {
  return new Date(ms + utc_offset_minutes * MINUTE_MS);
}

const two = (value: number): string => String(value).padStart(2, '0');

/** 09:41:05 */
export function clock_time(ms: number, utc_offset_minutes: number): string {
  return `${short_time(ms, utc_offset_minutes)}:${two(local(ms, utc_offset_minutes).getUTCSeconds())}`;
}

/** 09:41 */
export function short_time(ms: number, utc_offset_minutes: number): string {
  const date = local(ms, utc_offset_minutes);
  return `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
}

const LOCALES: Record<Language, string> = { id: 'id-ID', en: 'en-GB' };

/** Selasa, 24 November 2026 */
export function long_date(ms: number, utc_offset_minutes: number, language: Language): string {
  return new Intl.DateTimeFormat(LOCALES[language], {
    timeZone: 'UTC',
    weekday: 'long',
    day: 'numeric',
    month: 'long',
    year: 'numeric',
  }).format(local(ms, utc_offset_minutes));
}

/** 09:41 today, else 23 Nov 09:41. */
export function moment(ms: number, now_ms: number, utc_offset_minutes: number, language: Language): string {
  const then = local(ms, utc_offset_minutes);
  const today = local(now_ms, utc_offset_minutes);
  const time = short_time(ms, utc_offset_minutes);
  if (then.toISOString().slice(0, 10) === today.toISOString().slice(0, 10)) return time;
  const with_year = then.getUTCFullYear() !== today.getUTCFullYear();
  const day = new Intl.DateTimeFormat(LOCALES[language], {
    timeZone: 'UTC',
    day: 'numeric',
    month: 'short',
    ...(with_year ? { year: 'numeric' } : {}),
  }).format(then);
  return `${day} ${time}`;
}

/** WIB, WITA or WIT; elsewhere the offset itself. */
export function zone(utc_offset_minutes: number): string {
  if (utc_offset_minutes === 420) return 'WIB';
  if (utc_offset_minutes === 480) return 'WITA';
  if (utc_offset_minutes === 540) return 'WIT';
  const size = Math.abs(utc_offset_minutes);
  return `UTC${utc_offset_minutes < 0 ? '−' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

export type AgePart = { unit: 'second' | 'minute' | 'hour' | 'day'; value: number };

/** An age in its one or two leading units. Seconds end at 90, so that a wall does not flicker between "60 s" and "1 min". */
export function age_parts(seconds: number): AgePart[] {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 90) return [{ unit: 'second', value: whole }];
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return [{ unit: 'minute', value: minutes }];
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return parts('hour', hours, 'minute', minutes % 60);
  return parts('day', Math.floor(hours / 24), 'hour', hours % 24);
}

function parts(unit: AgePart['unit'], value: number, minor: AgePart['unit'], rest: number): AgePart[] {
  return rest === 0 ? [{ unit, value }] : [{ unit, value }, { unit: minor, value: rest }];
}
