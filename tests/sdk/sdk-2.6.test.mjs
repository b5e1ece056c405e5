import sdk from 'conversations-2.6';
import WebSocket from 'ws';

import { everything } from './suite.mjs';

everything({ title: 'conversations-2.6', sdk, WebSocket });
