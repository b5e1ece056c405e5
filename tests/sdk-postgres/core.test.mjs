// What must hold on PostgreSQL as on SQLite, through the official SDK: the core of the list in tests/sdk.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import sdk from '@twilio/conversations';
import WebSocket from 'ws';

import { everything } from '../sdk/suite.mjs';

const CORE = [
  'a_client_starts_and_knows_who_it_is',
  'identities_may_hold_any_letters',
  'a_conversation_is_found_by_name_and_by_sid',
  'concurrent_claims_of_a_unique_name_have_one_winner',
  'a_change_of_name_and_attributes_reaches_everybody',
  'a_deleted_conversation_is_gone_for_everybody',
  'somebody_in_many_conversations_finds_them_all',
  'a_message_arrives_byte_for_byte',
  'fifty_at_once_keep_one_order',
  'history_is_paged_both_ways',
  'history_is_read_from_an_anchor',
  'a_removed_message_is_gone_and_its_index_not_reused',
  'a_message_made_over_rest_arrives_live',
  'whoever_left_may_come_back',
  'unread_messages_are_counted_from_the_read_horizon',
  'removed_messages_are_not_unread',
  'a_user_is_known_by_name_and_attributes',
  'clients_survive_a_restart_after_SIGTERM',
  'clients_survive_a_restart_after_SIGKILL',
  'what_was_acknowledged_before_a_kill_is_kept',
  'what_happened_during_an_outage_is_told_once',
  'everybody_ends_with_the_same_state',
];

let databases = 0;

/// A database of its own for each test, beside the suite's.
async function prepare() {
  const url = process.env.TERTULIA_TEST_POSTGRES;
  if (!url) throw new Error('TERTULIA_TEST_POSTGRES is the address of a database that this suite may use');
  const name = `sdk_${process.pid}_${(databases += 1)}`;
  const psql = process.env.POSTGRES_BIN ? join(process.env.POSTGRES_BIN, 'psql') : 'psql';
  await promisify(execFile)(psql, [url, '-v', 'ON_ERROR_STOP=1', '-qc', `CREATE DATABASE ${name}`]);
  const own = new URL(url);
  own.pathname = `/${name}`;
  // The folder keeps the key that seals secrets.
  return { keep: true, settings: { TERTULIA__STORE__ENGINE: 'postgres', TERTULIA__STORE__URL: own.href } };
}

everything({ title: 'PostgreSQL', sdk, WebSocket, prepare, only: CORE });
