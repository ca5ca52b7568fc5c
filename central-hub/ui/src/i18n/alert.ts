// What needs someone at a board, in words.

import type { BoardAlert } from '../state/board';
import { t, word } from './language.svelte';

export function alert_text(alert: BoardAlert): string {
  switch (alert.kind) {
    case 'board':
      return word('board_condition', alert.code);
    case 'power':
      return word('power_alert', alert.code);
    case 'tamper':
      return t('board.lid_open');
    case 'optics':
      return t('board.at_cage', { what: word('optics', alert.code), cage: alert.cage ?? '' });
    case 'cage':
      return t('board.cage_unreadable', { cage: alert.cage ?? '', what: word('missing', alert.code) });
    case 'button':
      return t('board.button_stuck', { desk: alert.desk ?? '' });
  }
}
