//! One PostgreSQL server for the suites that need one: in a folder of its own, on a free port,
//! gone when xtask is gone, even by a signal. (Rust tests start theirs through `testkit`.)
//!
//! A shell watches over the server: it reads a pipe whose other end only we hold.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::sh;

/// `$1` the folder, `$2` the programs, `$3` the port. Nothing here outlives a test, so nothing is
/// synced to the disk.
const WATCH: &str = r#"
"$2/initdb" --no-sync -D "$1/data" -U postgres -A trust -E UTF8 --locale=C >"$1/log" 2>&1 || exit 1
"$2/postgres" -D "$1/data" -k "$1" -p "$3" -c listen_addresses=127.0.0.1 -c max_connections=200 \
    -c fsync=off -c full_page_writes=off </dev/null >>"$1/log" 2>&1 &
server=$!
tries=0
until "$2/pg_isready" -q -h 127.0.0.1 -p "$3"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ] || ! kill -0 "$server"; then kill -QUIT "$server"; exit 1; fi
    sleep 0.1
done
echo ready
cat >/dev/null
kill -QUIT "$server"
wait "$server"
rm -rf "$1"
"#;

pub(crate) struct Server {
    programs: PathBuf,
    port: u16,
    /// Never read: while it lives, its standard input is open.
    _watch: Child,
}

impl Server {
    pub(crate) fn start(programs: PathBuf) -> Result<Server, String> {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.map_err(|error| format!("no free port: {error}"))?.port();
        let folder = std::env::temp_dir().join(format!("tertulia-suites-{}-{port}", std::process::id()));
        std::fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut command = Command::new("sh");
        command.args(["-c", WATCH, "sh"]).args([&folder, &programs]).arg(port.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        leave_root(&mut command, &folder)?;
        let mut watch = command.spawn().map_err(|error| format!("PostgreSQL did not start: {error}"))?;
        match is_ready(&mut watch) {
            true => Ok(Server { programs, port, _watch: watch }),
            false => Err(failure(&folder)),
        }
    }

    /// An empty database, made anew under this name, as an address.
    pub(crate) fn database(&self, name: &str) -> Result<String, String> {
        let port = self.port.to_string();
        let server = ["-h", "127.0.0.1", "-U", "postgres", "-p", &port];
        let run = |program: &str, arguments: &[&str]| {
            sh::run(Command::new(self.programs.join(program)).args(server).args(arguments))
        };
        run("dropdb", &["--if-exists", name])?;
        run("createdb", &[name])?;
        Ok(format!("postgres://postgres@127.0.0.1:{port}/{name}"))
    }
}

fn is_ready(watch: &mut Child) -> bool {
    let mut line = String::new();
    let stdout = watch.stdout.take();
    stdout.is_some_and(|stdout| BufReader::new(stdout).read_line(&mut line).is_ok_and(|length| length > 0))
}

fn failure(folder: &Path) -> String {
    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    let _kept_when_it_cannot_go = std::fs::remove_dir_all(folder);
    let last = log.lines().last().unwrap_or("and left no word").to_owned();
    format!("PostgreSQL did not start: {last}")
}

/// PostgreSQL refuses to run as root: then it runs as `postgres`, or as `nobody`.
#[cfg(unix)]
fn leave_root(command: &mut Command, folder: &Path) -> Result<(), String> {
    use std::os::unix::fs::{MetadataExt, chown};
    use std::os::unix::process::CommandExt;
    command.process_group(0); // a Ctrl-C is for us; the shell ends after us, when its pipe does
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    if std::fs::metadata(folder).map_err(failed)?.uid() != 0 {
        return Ok(());
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let (uid, gid) = user(&users, "postgres")
        .or_else(|| user(&users, "nobody"))
        .ok_or("PostgreSQL does not run as root, and there is no other user")?;
    chown(folder, Some(uid), Some(gid)).map_err(failed)?;
    command.current_dir(folder).gid(gid).uid(uid);
    Ok(())
}

#[cfg(not(unix))]
fn leave_root(_: &mut Command, _: &Path) -> Result<(), String> {
    Err("suites on PostgreSQL run on Unix only".into())
}

#[cfg_attr(not(unix), expect(dead_code, reason = "only Unix has such a file"))]
fn user(users: &str, name: &str) -> Option<(u32, u32)> {
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name() {
        let users = "root:x:0:0::/r:/bin/sh\npostgres:x:101:104::/p:/bin/sh\n";
        assert_eq!(user(users, "postgres"), Some((101, 104)));
        assert_eq!(user(users, "post"), None);
    }
}
