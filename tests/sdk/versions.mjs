// The versions of the official SDK that must work, for suites that live elsewhere too.

import old from 'conversations-2.4';
import middle from 'conversations-2.6';
import current from 'conversations-3.0';

export { default as WebSocket } from 'ws';
export const VERSIONS = [current, middle, old];
