"""Services on loopback: Redis, and MIT's key distribution centre."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional

import pytest

from tests.servers.processes import Process, eventually, free_port
from tests.support.on_postgres import PLACES

#: Programs, with the packages of Debian that have them.
PROGRAMS = {
    "redis-server": "redis-server",
    "krb5kdc": "krb5-kdc",
    "kdb5_util": "krb5-kdc",
    "kadmin.local": "krb5-admin-server",
    "kinit": "krb5-user",
    "klist": "krb5-user",
    "haproxy": "haproxy",
    "initdb": "postgresql",
}
REALM = "NATIVE.API"
PRINCIPAL = f"airflow/here@{REALM}"
KRB5_CONF = """\
[libdefaults]
default_realm = {realm}
dns_lookup_kdc = false
dns_lookup_realm = false
rdns = false
[realms]
{realm} = {{
    kdc = 127.0.0.1:{port}
}}
"""
KDC_CONF = """\
[kdcdefaults]
kdc_listen = 127.0.0.1:{port}
kdc_tcp_listen = 127.0.0.1:{port}
[realms]
{realm} = {{
    database_name = {folder}/principal
    key_stash_file = {folder}/stash
    acl_file = {folder}/acl
    max_renewable_life = 7d
}}
"""


def need(*programs: str) -> None:
    """Skip if a program is missing; fail if every test has to run."""
    missing = sorted({PROGRAMS[name] for name in programs if _where(name) is None})
    if not missing:
        return
    sentence = f"needs the packages {', '.join(missing)}, as Debian calls them"
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


def _where(name: str) -> Optional[str]:
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin", *map(str, PLACES)]))


def program(name: str) -> str:
    """Return the path of a program."""
    where = _where(name)
    assert where, name
    return where


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run Redis, and return its URL."""
    need("redis-server")
    port = free_port()
    words = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(folder)]
    process = Process([program("redis-server"), *words], os.environ, folder / "redis.log")
    try:
        eventually(lambda: listens(port), f"{process} listens\n{process.tail()}")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.stop()


def listens(port: int) -> bool:
    """Return whether something accepts connections at that port of this host."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class KeyDistributionCentre:
    """A realm with one principal."""

    folder: Path

    @property
    def environment(self) -> Dict[str, str]:
        """The environment in which Kerberos' programs find the realm."""
        return {"KRB5_CONFIG": str(self.folder / "krb5.conf"), "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf")}

    @property
    def keytab(self) -> Path:
        """The keytab of the principal."""
        return self.folder / "airflow.keytab"

    def run(self, name: str, *words: str) -> str:
        """Run a program of Kerberos, and return its output; fail if it fails."""
        environment = {**os.environ, **self.environment}
        command: List[str] = [program(name), *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done
        return done.stdout


@contextmanager
def kerberos(folder: Path) -> Iterator[KeyDistributionCentre]:
    """Run a key distribution centre."""
    need("krb5kdc", "kdb5_util", "kadmin.local", "kinit", "klist")
    port, centre = free_port(), KeyDistributionCentre(folder)
    (folder / "krb5.conf").write_text(KRB5_CONF.format(realm=REALM, port=port))
    (folder / "kdc.conf").write_text(KDC_CONF.format(realm=REALM, port=port, folder=folder))
    centre.run("kdb5_util", "create", "-s", "-r", REALM, "-P", "master")
    centre.run("kadmin.local", "-q", f"addprinc -randkey {PRINCIPAL}")
    centre.run("kadmin.local", "-q", f"ktadd -k {centre.keytab} {PRINCIPAL}")
    environment = {**os.environ, **centre.environment}
    words = ["-n", "-P", str(folder / "kdc.pid")]
    process = Process([program("krb5kdc"), *words], environment, folder / "kdc.log")
    try:
        eventually(lambda: listens(port), f"{process} listens\n{process.tail()}")
        yield centre
    finally:
        process.stop()
