"""Places that keep files, of our own and of other people's making: each a server on loopback over a test's folder."""

from __future__ import annotations

import asyncio
import getpass
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import asyncssh
import pytest

from adapters import ADAPTERS
from adapters.files.adapter import FileAdapter
from adapters.files.keys import FileSubscription, FileTarget
from partners.demo import PASSWORD, USER
from partners.ftp_server import FtpServer, Mode
from partners.sftp_server import SftpServer
from pipe.testing import FakeClock, FakeServices
from tests.adapters.pki import Pki

PATIENCE = 60.0
_TYPES: dict[str, Any] = {adapter.Config.model_fields["type"].default: adapter for adapter in ADAPTERS}


async def until(question: Any, what: str = "it") -> None:
    """Returns once the answer is true; fails after PATIENCE."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not question():  # noqa: ASYNC110  what is asked for happens elsewhere
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"{what} did not come true within {PATIENCE:g} s")


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that servers which run as somebody else can enter; pytest's own cannot be."""
    with tempfile.TemporaryDirectory(prefix="pipe-files-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        yield folder


def open_to_all(folder: Path) -> None:
    """Makes a folder that a server may use under whatever name it runs."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o777)


class Place:
    """One of them. `root` is where a client may go; a test has a folder of its own below it."""

    name: ClassVar[str]
    type: ClassVar[str]
    keeps: ClassVar[bool] = True
    """it may go on running while another event loop takes over"""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        open_to_all(self.root)
        os.environ["FILES_PASSWORD"] = PASSWORD

    async def start(self) -> None:
        """Returns once it takes connections; harmless when it does."""

    async def stop(self) -> None:
        """It is gone for now; safe twice."""

    def move(self) -> None:
        """Another port at the next start, where it has one of its own choice."""

    def keys(self, folder: str) -> dict[str, Any]:
        """The keys of a connection to a folder below the root."""
        raise NotImplementedError

    def config(self, folder: str, **keys: Any) -> dict[str, Any]:
        """The whole of it."""
        patience = {"connect": "3s", "read": "3s", "total": "20s"}
        return {"type": self.type, "timeout": patience, **self.keys(folder), **keys}

    def adapter(self, folder: str, clock: FakeClock | None = None, services: Any = None, **keys: Any) -> FileAdapter:
        """An adapter that leads there, not opened."""
        made = _TYPES[self.type]
        config = made.Config.model_validate(self.config(folder, **keys))
        adapter: FileAdapter = made(self.name, config, services or FakeServices(clock))
        return adapter


class FolderPlace(Place):
    """A folder of this machine."""

    name, type = "folder", "file_folder"

    async def start(self) -> None:
        """See Place."""
        gone = self.root.with_name("gone")
        if gone.exists():
            shutil.rmtree(self.root, ignore_errors=True)
            gone.rename(self.root)

    async def stop(self) -> None:
        """See Place."""
        if self.root.exists():
            self.root.rename(self.root.with_name("gone"))

    def keys(self, folder: str) -> dict[str, Any]:
        """See Place."""
        return {"path": str(self.root / folder)}


class _FtpPlace(Place):
    type = "ftp"
    mode: ClassVar[Mode] = "none"
    host, user = "127.0.0.1", USER
    port = 0

    def keys(self, folder: str) -> dict[str, Any]:
        """See Place."""
        tls: Any = "none" if self.mode == "none" else {"mode": self.mode, "ca": self.pki.ca_file}
        url = f"ftp://{self.host}:{self.port}"
        return {"url": url, "tls": tls, "user": self.user, "password": "${env:FILES_PASSWORD}", "folder": folder}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.pki = Pki(folder)
        issued = self.pki.ca.issue_cert("127.0.0.1", "localhost")
        self.certificate, self.private = folder / "server.pem", folder / "server.key"
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        self.private.write_bytes(issued.private_key_pem.bytes())
        self.certificate.write_bytes(issued.private_key_pem.bytes() + chain)


class Pyftpd(_FtpPlace):
    """pyftpdlib, which is in the lock."""

    name = "pyftpdlib"

    def __init__(self, folder: Path, **settings: Any) -> None:
        super().__init__(folder)
        self.partner = FtpServer(self.root, tls=self.mode, certificate=self.certificate, settings=settings)

    async def start(self) -> None:
        """See Place."""
        await self.partner.start()
        self.port = self.partner.port

    async def stop(self) -> None:
        """See Place."""
        await self.partner.stop()

    def move(self) -> None:
        """See Place."""
        self.partner.port = 0


class PyftpdExplicit(Pyftpd):
    """The same with AUTH TLS."""

    name = "pyftpdlib explicit"
    mode: ClassVar[Mode] = "explicit"


class PyftpdImplicit(Pyftpd):
    """The same with TLS from the first byte."""

    name = "pyftpdlib implicit"
    mode: ClassVar[Mode] = "implicit"


class _Process(Place):
    """A server of Debian's, as a process on a port that it keeps."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """What starts it."""
        raise NotImplementedError

    async def start(self) -> None:
        """See Place."""
        if self._process is None:
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder)
            await until(self._takes, f"{self.name} takes connections")

    def _takes(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text(encoding="utf-8", errors="replace")
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    async def stop(self) -> None:
        """See Place; what it has forked goes with it."""
        process, self._process = self._process, None
        if process is not None:
            children = _children(process.pid)
            process.terminate()
            await asyncio.to_thread(process.wait)
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(child, 9)


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    below = [int(line) for line in listed.stdout.split()]
    return below + [deeper for child in below for deeper in _children(child)]


def free_port() -> int:
    """A port of loopback that nobody listens on; these servers cannot choose one themselves."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def program(name: str, *elsewhere: str) -> str:
    """Where it is; the test is skipped where it is not, or where we may not start it."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *elsewhere]))
    if found is None:
        pytest.skip(f"{name} is not installed: see .ci/run")
    if os.geteuid() != 0:
        pytest.skip(f"{name} wants to be started by root")
    return found


class Vsftpd(_Process, _FtpPlace):
    """Debian's vsftpd, with the strictest of its rules: data connections must resume the session."""

    name, user = "vsftpd", "anonymous"
    mode: ClassVar[Mode] = "none"
    lines: ClassVar[tuple[str, ...]] = ("ssl_enable=NO",)

    def keys(self, folder: str) -> dict[str, Any]:
        """See Place; its anonymous root must not be writable."""
        return {**super().keys(folder), "folder": f"root/{folder}"}

    def command(self) -> Sequence[str]:
        """See _Process."""
        path = program("vsftpd", "/opt/vsftpd/usr/sbin")
        (self.folder / "passwords").write_text(f"{PASSWORD}\n", encoding="utf-8")
        config = self.folder / "vsftpd.conf"
        own = [
            "listen=YES", "listen_address=127.0.0.1", f"listen_port={self.port}", "background=NO",
            "anonymous_enable=YES", "local_enable=NO", "write_enable=YES", "anon_upload_enable=YES",
            "anon_mkdir_write_enable=YES", "anon_other_write_enable=YES", "anon_world_readable_only=NO",
            "anon_umask=000", "allow_writeable_chroot=YES", "ftp_username=daemon", f"anon_root={self.folder}",
            "secure_email_list_enable=YES", f"email_password_file={self.folder / 'passwords'}",
            f"secure_chroot_dir={self.folder}", "seccomp_sandbox=NO", "isolate=NO", "isolate_network=NO",
            "xferlog_enable=NO", "use_localtime=NO", "max_clients=100",
            "delay_failed_login=0", "delay_successful_login=0",
        ]  # fmt: skip
        secured = [f"rsa_cert_file={self.certificate}", f"rsa_private_key_file={self.private}"]
        config.write_text("\n".join([*own, *(secured if self.mode != "none" else []), *self.lines, ""]))
        return [path, str(config)]


class VsftpdExplicit(Vsftpd):
    """The same with AUTH TLS."""

    name = "vsftpd explicit"
    mode: ClassVar[Mode] = "explicit"
    lines = (
        "ssl_enable=YES", "allow_anon_ssl=YES", "force_anon_data_ssl=YES", "force_anon_logins_ssl=YES",
        "require_ssl_reuse=YES", "ssl_ciphers=HIGH", "strict_ssl_read_eof=YES",
    )  # fmt: skip


class VsftpdImplicit(Vsftpd):
    """The same with TLS from the first byte."""

    name = "vsftpd implicit"
    mode: ClassVar[Mode] = "implicit"
    lines = (*VsftpdExplicit.lines, "implicit_ssl=YES")


class Proftpd(_Process, _FtpPlace):
    """Debian's ProFTPD with AUTH TLS."""

    name = "ProFTPD explicit"
    mode: ClassVar[Mode] = "explicit"

    def command(self) -> Sequence[str]:
        """See _Process."""
        path = program("proftpd")
        users = self.folder / "users"
        hashed = subprocess.run(["openssl", "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True)
        users.write_text(f"{USER}:{hashed.stdout.strip()}:65534:65534::{self.root}:/bin/sh\n", encoding="utf-8")
        users.chmod(0o600)
        implicit = " UseImplicitSSL" if self.mode == "implicit" else ""
        config = self.folder / "proftpd.conf"
        config.write_text(
            f"""
ModulePath /usr/lib/proftpd
LoadModule mod_tls.c
ServerName test
ServerType standalone
DefaultAddress 127.0.0.1
Port {self.port}
UseIPv6 off
User nobody
Group nogroup
PidFile {self.folder}/pid
ScoreboardFile {self.folder}/scoreboard
DelayTable none
SystemLog {self.folder}/log
WtmpLog off
UseReverseDNS off
AuthUserFile {users}
AuthOrder mod_auth_file.c
AuthPAM off
RequireValidShell off
DefaultRoot ~
Umask 000
AllowOverwrite on
AllowStoreRestart on
DeferWelcome off
MaxLoginAttempts 10
TLSEngine on
TLSRequired on
TLSRSACertificateFile {self.certificate}
TLSRSACertificateKeyFile {self.private}
TLSOptions NoEmptyFragments{implicit}
TLSProtocol TLSv1.2 TLSv1.3
<Directory />
  AllowOverwrite on
</Directory>
"""
        )
        return [path, "-n", "-c", str(config)]


class ProftpdImplicit(Proftpd):
    """The same with TLS from the first byte."""

    name = "ProFTPD implicit"
    mode: ClassVar[Mode] = "implicit"


class AsyncsshPlace(Place):
    """asyncssh's server, which is in the lock. It belongs to one event loop."""

    name, type, keeps = "asyncssh", "sftp", False

    def __init__(self, folder: Path, **made: Any) -> None:
        super().__init__(folder)
        self.partner = SftpServer(self.root, **made)

    async def start(self) -> None:
        """See Place."""
        await self.partner.start()

    async def stop(self) -> None:
        """See Place."""
        await self.partner.stop()

    def move(self) -> None:
        """See Place."""
        self.partner.port = 0

    def keys(self, folder: str) -> dict[str, Any]:
        """See Place."""
        pinned = [self.partner.fingerprint]
        own = {"user": USER, "password": "${env:FILES_PASSWORD}", "host_keys": pinned}
        return {"url": self.partner.address, **own, "folder": folder}


class Openssh(_Process):
    """OpenSSH's sshd with a key of ours."""

    name, type = "OpenSSH", "sftp"
    lines: ClassVar[tuple[str, ...]] = ("Subsystem sftp internal-sftp",)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.host_key, self.ours = (
            asyncssh.generate_private_key("ssh-ed25519"),
            asyncssh.generate_private_key("ssh-ed25519"),
        )
        self.known_hosts = folder / "known_hosts"

    def command(self) -> Sequence[str]:
        """See _Process."""
        path = program("sshd")
        Path("/run/sshd").mkdir(exist_ok=True)
        key, authorized = self.folder / "host", self.folder / "authorized"
        self.host_key.write_private_key(str(key))
        key.chmod(0o600)
        self.ours.write_private_key(str(self.folder / "ours"))
        authorized.write_bytes(self.ours.export_public_key())
        self.known_hosts.write_text(
            f"[127.0.0.1]:{self.port} {self.host_key.export_public_key().decode()}", encoding="utf-8"
        )
        config = self.folder / "sshd_config"
        own = [
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {key}", f"AuthorizedKeysFile {authorized}",
            "PermitRootLogin prohibit-password", "PasswordAuthentication no", "UsePAM no", "StrictModes no",
            f"PidFile {self.folder}/pid", "MaxStartups 100:30:200", "UseDNS no",
        ]  # fmt: skip
        config.write_text("\n".join([*own, *self.lines, ""]), encoding="utf-8")
        return [path, "-D", "-e", "-f", str(config)]

    def keys(self, folder: str) -> dict[str, Any]:
        """See Place."""
        key = f"${{file:{self.folder / 'ours'}}}"
        place = {"url": f"sftp://127.0.0.1:{self.port}", "folder": str(self.root / folder)}
        return {"user": getpass.getuser(), "key": key, "known_hosts": str(self.known_hosts), **place}


PLACES: tuple[type[Place], ...] = (
    FolderPlace, Pyftpd, PyftpdExplicit, PyftpdImplicit, Vsftpd, VsftpdExplicit, VsftpdImplicit, Proftpd,
    ProftpdImplicit, AsyncsshPlace, Openssh,
)  # fmt: skip


class FilesPeer:
    """One test's folder at a place, and whoever looks into it from the other side."""

    target = FileTarget.model_validate({"put": "out/${message.id}"})

    def __init__(self, place: Place, folder: str) -> None:
        self.place, self.folder, self.clock, self.number = place, folder, FakeClock(), 0
        self.disk = place.root / folder
        open_to_all(self.disk)
        open_to_all(self.disk / "in")
        self.options = FileSubscription.model_validate({"get": "in/*.msg", "every": "1s"})
        self.names: dict[bytes, str] = {}

    def make(self, **keys: Any) -> FileAdapter:
        """A new adapter that leads here."""
        return self.place.adapter(self.folder, self.clock, **keys)

    async def leave(self) -> None:
        """Nobody answers any more."""
        await self.place.stop()

    def put(self, template: str) -> FileTarget:
        """A target that puts to this path."""
        return FileTarget.model_validate({"put": template})

    async def files(self) -> dict[str, bytes]:
        """Every file below the folder."""
        found = {}
        for path in self.disk.rglob("*"):
            with suppress(FileNotFoundError):  # it was moved on meanwhile
                if path.is_file():
                    found[path.relative_to(self.disk).as_posix()] = path.read_bytes()
        return found

    async def received(self) -> list[bytes]:
        """What arrived."""
        return [body for name, body in (await self.files()).items() if name.startswith("out/")]

    def write(self, name: str | bytes, body: bytes, *, modified: float | None = None) -> None:
        """Puts a file there, as somebody of the partner's does."""
        path = self.disk / os.fsdecode(name)
        open_to_all(path.parent)
        path.write_bytes(body)
        path.chmod(0o666)
        if modified is not None:
            os.utime(path, (modified, modified))

    async def offer(self, body: bytes) -> None:
        """One message more to take."""
        self.number += 1
        self.names[body] = f"{self.number}.msg"
        self.write(f"in/{self.number}.msg", body)

    async def tick(self) -> None:
        """Time for the next look."""
        await self.clock.advance(1)

    async def told(self, body: bytes) -> bool:
        """Whether it was confirmed."""
        return not any(name.rpartition("/")[2] == self.names[body] for name in await self.files())


_folders = (f"test-{number}" for number in itertools.count())


@contextmanager
def standing() -> Iterator[Callable[[type[Place]], Place]]:
    """Places, each made when it is asked for and then kept; stopped at the end."""
    made: dict[type[Place], Place] = {}
    with open_folder() as folder:
        yield lambda kind: made.get(kind) or made.setdefault(kind, kind(folder / str(len(made))))
        for place in made.values():
            asyncio.run(place.stop())


@asynccontextmanager
async def visited(place: Place) -> AsyncIterator[FilesPeer]:
    """A fresh folder at a place, which goes on running where its nature lets it."""
    try:
        await place.start()
    except OSError:  # a test before this one had stopped it, and somebody took its port meanwhile
        place.move()
        await place.start()
    try:
        yield FilesPeer(place, next(_folders))
    finally:
        if not place.keeps:
            await place.stop()
