// Numbers and times as the district writes them.

import { describe, expect, it } from 'vitest';
import { bytes, measure, number, percent } from '../../src/format/number';
import { age_parts, clock_time, long_date, moment, short_time, zone } from '../../src/format/time';
import { NOW_MS, WIB } from '../fixtures';

describe('numbers', () => {
  it('are 1.234,56 in Indonesian and 1,234.56 in English', () => {
    expect(number(1_234.56, 'id', 2)).toBe('1.234,56');
    expect(number(1_234.56, 'en', 2)).toBe('1,234.56');
    expect(measure(-27.5, 'id')).toBe('−27,5');
  });
  it('of bytes are in decimal units', () => {
    expect([0, 999, 1_000, 41_800, 1_710_000_000].map((value) => bytes(value, 'id'))).toEqual(['0 B', '999 B', '1 kB', '42 kB', '1,7 GB']);
  });
  it('of shares never show a little as nothing', () => {
    expect([0, 0.000_2, 0.052, 0.857].map((share) => percent(share, 'id'))).toEqual(['0%', '<0,1%', '5,2%', '86%']);
  });
});

describe('times', () => {
  it('are of the district, not of the screen', () => {
    expect(clock_time(NOW_MS, WIB)).toBe('09:41:05');
    expect(clock_time(NOW_MS, 540)).toBe('11:41:05');
    expect(short_time(Date.UTC(2026, 0, 1, 17, 5), WIB)).toBe('00:05');
  });
  it('have long dates in both languages', () => {
    expect(long_date(NOW_MS, WIB, 'id')).toBe('Selasa, 24 November 2026');
    expect(long_date(NOW_MS, WIB, 'en')).toMatch(/^Tuesday,? 24 November 2026$/);
  });
  it('of another day carry the day', () => {
    expect(moment(NOW_MS - 60_000, NOW_MS, WIB, 'id')).toBe('09:40');
    expect(moment(NOW_MS - 10 * 3_600_000, NOW_MS, WIB, 'id')).toBe('23 Nov 23:41');
    expect(moment(Date.UTC(2025, 11, 31, 3), NOW_MS, WIB, 'id')).toBe('31 Des 2025 10:00');
  });
  it('name the three zones of the country, and others by their offset', () => {
    expect([420, 480, 540, 330, -60].map(zone)).toEqual(['WIB', 'WITA', 'WIT', 'UTC+05:30', 'UTC−01:00']);
  });
  it('make ages of one or two units', () => {
    const text = (seconds: number): string => age_parts(seconds).map((part) => `${part.value} ${part.unit}`).join(' ');
    expect([-3, 0, 89.9, 90, 3_599, 3_600, 7_260, 86_400, 93_600].map(text)).toEqual([
      '0 second', '0 second', '89 second', '1 minute', '59 minute', '1 hour', '2 hour 1 minute', '1 day', '1 day 2 hour',
    ]);
  });
});
