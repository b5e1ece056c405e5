import sdk from 'conversations-3.0';
import WebSocket from 'ws';

import { everything } from './suite.mjs';

everything({ title: 'conversations-3.0', sdk, WebSocket });
