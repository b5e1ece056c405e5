// All versions at once.

import { load, NAMES } from './load.mjs';

export { WebSocket } from './load.mjs';
export const VERSIONS = await Promise.all(NAMES.map(load));
