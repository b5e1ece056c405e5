import { everything } from '../sdk/suite.mjs';
import { VERSIONS, WebSocket } from '../sdk/versions.mjs';
import clock from './features/clock.mjs';
import connections from './features/connections.mjs';
import events from './features/events.mjs';
import limits from './features/limits.mjs';
import requests from './features/requests.mjs';

for (const sdk of VERSIONS) everything({ title: 'faults', sdk, WebSocket, features: [connections, events, requests, clock, limits] });
