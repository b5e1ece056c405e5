// The versions of the official SDK that must work, for suites that live elsewhere too.

export { default as WebSocket } from 'ws';

export const NAMES = ['3.0', '2.6', '2.4'];

/// The module of one version.
export const load = async (name) => (await import(`conversations-${name}`)).default;
