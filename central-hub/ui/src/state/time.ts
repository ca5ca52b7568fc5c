// The moment that a picture is drawn for.

export interface Time {
  /** The hub's time. */
  now_ms: number;
  utc_offset_minutes: number;
}
