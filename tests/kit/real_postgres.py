"""A real PostgreSQL of a test's own: started, killed, frozen, made read-only, followed by a standby.

Its data lie in a folder of its own under /tmp; it listens on a held port of the loopback address and on a socket in
that folder, where its superuser comes in without a password.  As root it runs as another user, for it refuses root.
fsync is off: kill -9 of all its processes leaves what they wrote with the kernel.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg

from ports import held_port
from waiting import wait_until

SUPERUSER = "postgres"
ROLES = ("callsign_owner", "callsign", "callsign_view")
PASSWORD = "role-password"
"""Of each of ROLES, which need it over TCP."""

# Over TCP any address: a proxy or pgbouncer stands between here and there.
RULES = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 trust\n"

ENDS_WITH_US = ("setpriv", "--pdeathsig=KILL")
"""Before a command: nothing of it is left where a whole run is killed."""

SETTINGS = {
    "fsync": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "40",
    "shared_buffers": "16MB",
    "jit": "off",
    "log_line_prefix": "%m [%p] %q%u ",
}

FIRST_OF_A_USER = 16384
"""The oid of the first thing in a database that PostgreSQL has not made itself."""

SET_UP = """
CREATE ROLE callsign_owner LOGIN PASSWORD '{password}';
CREATE ROLE callsign LOGIN PASSWORD '{password}';
CREATE ROLE callsign_view LOGIN PASSWORD '{password}';
ALTER ROLE callsign SET statement_timeout = '2s';
ALTER ROLE callsign SET lock_timeout = '1s';
ALTER ROLE callsign SET idle_in_transaction_session_timeout = '5s';
"""

OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

LEFT = f"""
SELECT (SELECT count(*) FROM pg_class WHERE oid >= {FIRST_OF_A_USER})
     + (SELECT count(*) FROM pg_proc WHERE oid >= {FIRST_OF_A_USER})
     + (SELECT count(*) FROM pg_namespace WHERE oid >= {FIRST_OF_A_USER})
     + (SELECT count(*) FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase
        WHERE datname = current_database())
"""


def other_user() -> dict[str, Any]:
    """For Popen: who runs it where the tests run as root."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def folder_of_its_own() -> Path:
    """Not pytest's, which only their owner may enter; short, for a socket's path is."""
    folder = Path(tempfile.mkdtemp(prefix="callsign-postgres-", dir="/tmp"))
    folder.chmod(0o755)
    user = other_user()
    if user:
        os.chown(folder, user["user"], user["group"])
    return folder


def children(pid: int) -> list[int]:
    """The processes that `pid` has started and that still run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = entry.read_text().rpartition(")")[2].split()[:2]
        except OSError:  # it has just ended
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(entry.parent.name))
    return found


def state_of(pid: int) -> str:
    """As ps(1) writes it; "" where it is no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


class Postgres:
    """A server that runs from the beginning of a `with` to its end.

    `settings` goes beside SETTINGS, `environment` into its processes (LD_PRELOAD, say).  `primary` makes it a standby.
    """

    def __init__(
        self,
        programs: Path,
        settings: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        primary: Postgres | None = None,
    ) -> None:
        self.programs = programs
        self._settings = {**SETTINGS, **(settings or {})}
        self._environment = {**os.environ, **(environment or {}), "LC_ALL": "C"}
        self._primary = primary

    def __enter__(self) -> Postgres:
        with ExitStack() as held:
            self.folder = folder_of_its_own()
            held.callback(shutil.rmtree, self.folder)
            self.data = self.folder / "data"
            self.port = held.enter_context(held_port())
            if self._primary is None:
                self._run("initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", SUPERUSER)
                (self.data / "pg_hba.conf").write_text(RULES)
            else:
                where = f"host=127.0.0.1 port={self._primary.port} user={SUPERUSER}"
                self._run("pg_basebackup", "--no-sync", "--checkpoint=fast", "--write-recovery-conf", "-d", where)
            self._log = held.enter_context((self.folder / "log").open("wb"))
            held.callback(self.kill)
            self.start()
            if self._primary is None:
                self.sql(SET_UP.format(password=PASSWORD))
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), "-D", str(self.data), *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=self.folder, env=self._environment, **other_user()
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Starts it, also after a kill, and waits until it answers."""
        command = [*ENDS_WITH_US, str(self.programs / "postgres"), "-D", str(self.data)]
        command += ["-k", str(self.folder), "-p", str(self.port)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            cwd=self.folder,
            env=self._environment,
            start_new_session=True,
            **other_user(),
        )
        wait_until(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log
        try:
            self.sql("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def sql(self, statement: str, *values: object, database: str = "postgres") -> list[Any]:
        """What its superuser is answered, also while it is read-only for all others."""
        with self.superuser(database) as connection:
            cursor = connection.execute(statement, values)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def superuser(self, database: str = "postgres") -> psycopg.Connection[Any]:
        where = f"host={self.folder} port={self.port} dbname={database} user={SUPERUSER} connect_timeout=5"
        return psycopg.connect(where, autocommit=True, options="-c default_transaction_read_only=off")

    def make_database(self, name: str = "callsign") -> None:
        """An empty one, in which callsign_owner may do all."""
        self.sql(f"CREATE DATABASE {name} OWNER callsign_owner")

    def empty_database(self, name: str) -> bool:
        """Ends who is in it and takes away what ROLES own there.  Returns whether it is as it was made."""
        with self.superuser(name) as connection:
            connection.execute(f"SELECT pg_terminate_backend(pid) {OTHERS}")
            wait_until(lambda: connection.execute(f"SELECT {OTHERS}").rowcount == 0)
            connection.execute(f"DROP OWNED BY {', '.join(ROLES)}")
            return connection.execute(LEFT).fetchall() == [(0,)]

    def where(self, role: str = "callsign", database: str = "callsign") -> str:
        """[cluster] database, without the password."""
        return f"host=127.0.0.1 port={self.port} dbname={database} user={role}"

    def connect(self, role: str = "callsign", database: str = "callsign") -> psycopg.Connection[Any]:
        """As one of ROLES, over TCP."""
        return psycopg.connect(self.where(role, database), password=PASSWORD, autocommit=True)

    def kill(self) -> None:
        """kill -9 of all of it."""
        family = self._stop_all()
        for pid in family:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        wait_until(lambda: all(state_of(pid) in ("", "Z") for pid in family))

    def freeze(self) -> None:
        """SIGSTOP of all of it: connections stay open, and the kernel still takes what is sent to it."""
        self._stop_all()

    def wake(self) -> None:
        for pid in [*children(self.process.pid), self.process.pid]:
            os.kill(pid, signal.SIGCONT)

    def _stop_all(self) -> list[int]:
        """The first process stands before the others are looked for: it starts no more."""
        if self.process.poll() is not None:
            return []
        halt(self.process.pid)
        family = [self.process.pid, *children(self.process.pid)]
        for pid in family[1:]:
            halt(pid)
        return family

    def read_only(self, is_read_only: bool = True) -> None:
        """Each transaction fails that writes (25006), as on a primary that has become a standby."""
        value = "on" if is_read_only else "off"
        self.sql(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        self.sql("SELECT pg_reload_conf()")

    def is_followed(self) -> bool:
        """Whether a standby has all that was written here."""
        lag = "SELECT pg_current_wal_lsn() = replay_lsn FROM pg_stat_replication"
        return self.sql(lag) == [(True,)]

    def hold_back(self) -> None:
        """From now on a standby gets nothing more."""
        [(sender,)] = self.sql("SELECT pid FROM pg_stat_replication")
        halt(sender)

    def promote(self) -> None:
        """This standby becomes a primary."""
        assert self.sql("SELECT pg_promote(true)") == [(True,)]


def halt(pid: int) -> None:
    """SIGSTOP, and waits until it stands."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: state_of(pid) in ("T", "Z", ""))


class PgBouncer:
    """pgbouncer with transaction pooling before `postgres`, from the beginning of a `with` to its end."""

    def __init__(self, program: Path, postgres: Postgres) -> None:
        self._program = program
        self._postgres = postgres

    def __enter__(self) -> PgBouncer:
        with ExitStack() as held:
            folder = folder_of_its_own()
            held.callback(shutil.rmtree, folder)
            self.port = held.enter_context(held_port())
            program = folder / "pgbouncer"  # where the other user may read it
            shutil.copy(self._program, program)
            users = folder / "users"
            users.write_text("".join(f'"{role}" "{PASSWORD}"\n' for role in ROLES))
            settings = folder / "pgbouncer.ini"
            settings.write_text(
                "[databases]\n"
                f"* = host=127.0.0.1 port={self._postgres.port}\n"
                "[pgbouncer]\n"
                f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
                f"auth_type = scram-sha-256\nauth_file = {users}\n"
                "pool_mode = transaction\ndefault_pool_size = 4\nserver_login_retry = 1\n"
            )
            log = held.enter_context((folder / "log").open("wb"))
            process = subprocess.Popen([*ENDS_WITH_US, program, settings], stdout=log, stderr=log, **other_user())
            held.callback(process.wait)
            held.callback(process.kill)
            wait_until(lambda: "listening on" in (folder / "log").read_text())
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def where(self, role: str = "callsign", database: str = "callsign") -> str:
        """[cluster] database, without the password."""
        return f"host=127.0.0.1 port={self.port} dbname={database} user={role}"
