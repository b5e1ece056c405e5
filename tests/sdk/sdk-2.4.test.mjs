import sdk from 'conversations-2.4';
import WebSocket from 'ws';

import { everything } from './suite.mjs';

everything({ title: 'conversations-2.4', sdk, WebSocket });
