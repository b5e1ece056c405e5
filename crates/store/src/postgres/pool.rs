//! A bounded pool of connections, and which life of the server they belong to.
//!
//! After a crash, or on a promoted standby, the server may give a transaction number out again. So
//! the pool notices when a connection reaches another server, or the same after a restart; see
//! `outcome.rs` for who must know.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, PoolError, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

use super::session::Session;
use crate::failure::{Failure, OpenError};
use crate::tx::Trouble;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A dead network is noticed after this long, not after the system's quarter of an hour.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// The first statement of every connection: a write is answered only when it is durable, whatever
/// the server's default is, and the answer tells one life of the server from another. A restart and
/// a standby have another starting time; a crash of one of its processes, after which the server
/// recovers without starting anew, throws its statistics away. Everyone may read both.
const GREETING: &str = "SELECT set_config('synchronous_commit', 'on', false)
     WHERE current_setting('synchronous_commit') = 'off';
 SELECT concat_ws(' ', pg_postmaster_start_time(),
     (SELECT min(stats_reset) FROM pg_stat_slru)) AS life";

pub(super) struct Pool {
    connections: deadpool_postgres::Pool,
    life: Arc<Life>,
    statements: Arc<AtomicU64>,
}

impl Pool {
    /// A statement that runs longer than `statement_time_max` is ended by the server.
    pub(super) fn new(
        url: &str,
        connections_max: usize,
        statement_time_max: Duration,
        statements: &Arc<AtomicU64>,
    ) -> Result<Self, OpenError> {
        let config = configured(url, statement_time_max)?;
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let life = Arc::new(Life::default());
        let connections = deadpool_postgres::Pool::builder(Manager::from_config(config, NoTls, recycling))
            .max_size(connections_max.max(1))
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts {
                wait: Some(statement_time_max),
                create: Some(CONNECT_TIMEOUT),
                recycle: Some(CONNECT_TIMEOUT),
            })
            .post_create(greeting(&life))
            .build()
            .map_err(|error| OpenError::database("making a pool of connections", error))?;
        Ok(Self { connections, life, statements: Arc::clone(statements) })
    }

    /// A connection that is alive, as far as one can know.
    pub(super) async fn get(&self) -> Result<Session, (Failure, Trouble)> {
        let doing = "connecting to the database";
        match self.connections.get().await {
            Ok(client) => Ok(Session::new(client, Arc::clone(&self.statements))),
            Err(PoolError::Timeout(deadpool_postgres::TimeoutType::Wait)) => Err((Failure::Busy, Trouble::Failed)),
            Err(PoolError::Closed) => Err((Failure::Closed, Trouble::Failed)),
            Err(error) => Err((Failure::storage(doing, error), Trouble::Lost)),
        }
    }

    /// The number of the server's present life, as the newest connection saw it.
    pub(super) fn life(&self) -> u64 {
        self.life.number()
    }

    pub(super) fn close(&self) {
        self.connections.close();
    }
}

/// Counts the lives of the server.
#[derive(Default)]
struct Life {
    newest: Mutex<(u64, String)>,
}

impl Life {
    fn number(&self) -> u64 {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn seen(&self, life: &str) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.1 != life {
            newest.0 += 1;
            life.clone_into(&mut newest.1);
        }
    }
}

fn greeting(life: &Arc<Life>) -> Hook {
    let life = Arc::clone(life);
    Hook::async_fn(move |client, _| {
        let life = Arc::clone(&life);
        Box::pin(async move {
            let answer = client.simple_query(GREETING).await;
            for message in answer.map_err(HookError::Backend)? {
                if let SimpleQueryMessage::Row(row) = message
                    && let Ok(Some(seen)) = row.try_get("life")
                {
                    life.seen(seen);
                }
            }
            Ok(())
        })
    })
}

fn configured(url: &str, statement_time_max: Duration) -> Result<Config, OpenError> {
    // The parser's message never quotes the address, which holds a password.
    let parsed = url.parse::<Config>();
    let mut config = parsed.map_err(|error| OpenError::Address { source: error.into() })?;
    let own = format!(
        "-c statement_timeout={} -c idle_in_transaction_session_timeout={}",
        statement_time_max.as_millis(),
        2 * statement_time_max.as_millis(),
    );
    let theirs = config.get_options().unwrap_or_default();
    let options = format!("{own} {theirs}");
    config.options(options.trim_end());
    if config.get_application_name().is_none() {
        config.application_name("tertulia");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENCE_MAX);
        config.keepalives_idle(SILENCE_MAX);
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_understood_is_not_repeated() {
        let error = configured("postgres://me:hush@[", Duration::from_secs(1)).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
    }

    #[test]
    fn the_operators_options_come_last_and_so_win() {
        let url = "postgres://me@h/db?options=-c%20statement_timeout%3D1";
        let config = configured(url, Duration::from_secs(2)).unwrap();
        let options = config.get_options().unwrap();
        assert!(options.starts_with("-c statement_timeout=2000"), "{options}");
        assert!(options.ends_with("-c statement_timeout=1"), "{options}");
    }

    #[test]
    fn lives_are_told_apart() {
        let life = Life::default();
        life.seen("a");
        let first = life.number();
        life.seen("a");
        assert_eq!(life.number(), first);
        life.seen("b");
        assert_ne!(life.number(), first);
    }
}
