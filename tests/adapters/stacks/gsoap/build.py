"""Makes `gsoap_peer` of all WSDLs of the matrix with gSOAP's own tools: a caller and a partner in one program.

`build(wsdls, folder)` takes half a minute; what it made is kept for as long as nothing that it was made of changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from adapters.soap.names import SOAP12, WSDL

HERE = Path(__file__).parent
PLUGIN = Path("/usr/share/gsoap/plugin")
UNITS = ("soapC.cpp", "soapClient.cpp", "soapServer.cpp", "operations.cpp", "peer.cpp")
FLAGS = ("-w", "-O0", "-DWITH_OPENSSL", "-DWITH_DOM", f"-I{PLUGIN}", "-I.")
_SENT = re.compile(
    r"int SOAP_FMAC6 soap_send_(?P<name>\w+)\(struct soap \*soap, const char \*soap_endpoint, "
    r"const char \*soap_action(?P<arguments>[^;]*)\);"
)
_CALLED = (
    r"int SOAP_FMAC6 soap_call_{}\(struct soap \*soap, const char \*soap_endpoint, const char \*soap_action([^;]*)\);"
)


def build(wsdls: Path, cache: Path) -> Path:
    """The program. Raises CalledProcessError where gSOAP or the compiler fails."""
    made_of = sorted(path for path in (*wsdls.rglob("*"), *HERE.iterdir()) if path.is_file())
    mark = hashlib.sha256(b"".join(path.read_bytes() for path in made_of)).hexdigest()[:16]
    folder = cache / f"gsoap-{mark}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "gsoap.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two workers of a test run would build it twice, into each other's files
        program = folder / "gsoap_peer"
        if not program.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            _build(wsdls, folder, program)
    return program


def _build(wsdls: Path, folder: Path, program: Path) -> None:
    services = list(_copied(wsdls, folder / "wsdl"))
    (folder / "typemap.dat").write_text(
        Path("/usr/share/gsoap/WS/typemap.dat").read_text(encoding="utf-8") + (HERE / "typemap.dat").read_text()
    )
    _run(folder / "wsdl", "wsdl2h", "-s", "-g", "-L", "-t", "../typemap.dat", "-o", "../all.h", *services)
    header = (folder / "all.h").read_text(encoding="utf-8")
    (folder / "all.h").write_text('#import "wsse.h"\n' + header, encoding="utf-8")
    _run(folder, "soapcpp2", "-x", "-w", "-L", "-I/usr/share/gsoap/import", "-I/usr/share/gsoap", "all.h")
    stubs = [(folder / name).read_text(encoding="utf-8") for name in ("soapStub.h", "soapClient.cpp")]
    (folder / "operations.cpp").write_text(_operations(*stubs), encoding="utf-8")
    shutil.copy(HERE / "peer.cpp", folder)
    shutil.copy(HERE / "peer.h", folder)
    table = next(folder.glob("*.nsmap"))
    shutil.copy(table, folder / "names.nsmap")
    half = [*FLAGS, "-c"]
    plugins = [
        str(PLUGIN / name)
        for name in ("wsseapi.cpp", "smdevp.c", "mecevp.c", "threads.c", "../custom/struct_timeval.c")
    ]
    jobs = [
        subprocess.Popen(["g++", *half, *each], cwd=folder, stderr=subprocess.PIPE, text=True)
        for each in (UNITS[:1], (*UNITS[1:], *plugins))
    ]
    for job in jobs:
        _, words = job.communicate(timeout=300)
        if job.returncode:
            raise RuntimeError(f"g++ failed:\n{words[:4000]}")
    objects = [path.name for path in folder.glob("*.o")]
    _run(folder, "g++", *objects, "-lgsoapssl++", "-lssl", "-lcrypto", "-lz", "-o", program.name)


def _copied(wsdls: Path, to: Path) -> Iterator[str]:
    """Copies of all files; of WSDLs with both versions gSOAP reads one, and speaks both."""
    for path in sorted(wsdls.rglob("*")):
        if not path.is_file():
            continue
        copy = to / path.relative_to(wsdls)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".wsdl":
            shutil.copy(path, copy)
            continue
        root = etree.parse(path).getroot()
        for binding in root.findall(f"{{{WSDL}}}binding"):
            if binding.find(f"{{{SOAP12.binding}}}binding") is not None:
                root.remove(binding)
        for service in root.findall(f"{{{WSDL}}}service"):
            for port in service.findall(f"{{{WSDL}}}port"):
                if port.find(f"{{{SOAP12.binding}}}address") is not None:
                    service.remove(port)
        copy.write_bytes(etree.tostring(root))
        if root.find(f"{{{WSDL}}}service") is not None:
            yield copy.relative_to(to).as_posix()


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


# --- what differs from operation to operation


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a stub fills, and how gSOAP reads and writes it as a message."""

    kind: str
    """of the stub's last parameter, without the reference"""
    message: str
    """the type that is read from the wire"""
    tag: str
    field: str | None
    """of the message, where the answer is a part of it"""

    @property
    def is_class(self) -> bool:
        """Whether it reads and writes itself."""
        return self.field is None and not self.kind.startswith("struct ")

    def read(self, soap: str, path: str) -> str:
        """A pointer to the message of a file."""
        get = f"soap_get_{self.message}" if not self.is_class else f"get_object<{self.message}>"
        return f'read_body<{self.message}>({soap}, {path}, {get}, "{self.tag}")'

    def write(self, pointer: str) -> str:
        """The message as text."""
        if self.is_class:
            return f'write_body({pointer}, put_object<{self.message}>, serialize_object<{self.message}>, "{self.tag}")'
        return f'write_body({pointer}, soap_put_{self.message}, soap_serialize_{self.message}, "{self.tag}")'


def _operations(stub: str, client: str) -> str:
    """C++ that calls and serves each operation, from what soapcpp2 wrote."""
    text = ['#include "peer.h"', ""]
    rows = []
    for found in _SENT.finditer(stub):
        name, inputs = found["name"], _parameters(found["arguments"])
        if name.startswith("SOAP_ENV__"):
            continue
        called = re.search(_CALLED.format(name), stub)
        answer = _answer(name, _parameters(called[1])[-1], client) if called else None
        text += [_caller(name, inputs, answer), _server(name, inputs, answer)]
        rows.append(f'    {{"{name}", call_{name}}},')
    return "\n".join([*text, "const Operation operations[] = {", *rows, "    {0, 0},", "};", ""])


def _parameters(arguments: str) -> list[tuple[str, str]]:
    """Type and name of each."""
    return [
        (re.sub(r"\s+", " ", kind).strip(), name)
        for kind, name in re.findall(r",\s*([^,]*?[\s*&])(\w+)(?=,|$)", arguments)
    ]


def _answer(name: str, parameter: tuple[str, str], client: str) -> _Answer:
    kind, field = parameter[0].removesuffix("&").strip(), parameter[1]
    body = client.partition(f"SOAP_FMAC6 soap_recv_{name}(")[2].partition("\nSOAP_FMAC5")[0]
    if own := re.search(rf'{field}\.soap_get\(soap, "([^"]*)", NULL\)', body):
        return _Answer(kind, kind, own[1] or _tag(kind.lstrip("_")), None)
    read = re.search(r'soap_get_(\w+)\(soap, (&?\w+), "([^"]*)", NULL\)', body)
    assert read is not None, name
    return _Answer(kind, read[1], read[3], field if read[2] == "NULL" else None)


def _tag(name: str) -> str:
    """As soapcpp2 calls it: `-` stands before a message that is no element."""
    prefix, _, local = name.lstrip("_").partition("__")
    return f"-{prefix}:{local}" if name.startswith("__") else f"{prefix}:{local}"


def _caller(name: str, inputs: Iterable[tuple[str, str]], answer: _Answer | None) -> str:
    arguments = "".join(f", request->{each}" for _, each in inputs)
    lines = [
        f"static int call_{name}(struct soap *soap, const char *url, const std::string &path, std::string &told)",
        "{",
        f'    struct {name} *request = read_body<struct {name}>(soap, path, soap_get_{name}, "{_tag(name)}");',
        "    if (!request || prepare(soap))",
        "        return soap->error ? soap->error : SOAP_ERR;",
        *(f"    detach(soap, request->{each});" for _, each in inputs),
    ]
    if answer is None:
        sent = f"soap_send_{name}(soap, url, NULL{arguments}) || soap_recv_empty_response(soap)"
        return "\n".join([*lines, f"    return {sent};", "}", ""])
    lines += [
        f"    {answer.kind} *answer = fresh_object<{answer.kind}>(soap);",
        f"    if (soap_call_{name}(soap, url, NULL{arguments}, *answer))",
        "        return soap->error;",
    ]
    if answer.field is None:
        lines.append(f"    told = {answer.write('answer')};")
    else:
        value = "answer" if f"{answer.kind} *" in answer.message else "*answer"
        lines += [
            f"    struct {answer.message} whole;",
            f"    soap_default_{answer.message}(soap, &whole);",
            f"    put_part(whole.{answer.field}, {value});",
            f"    told = {answer.write('&whole')};",
        ]
    return "\n".join([*lines, "    return SOAP_OK;", "}", ""])


def _server(name: str, inputs: list[tuple[str, str]], answer: _Answer | None) -> str:
    declared = "".join(f", {kind} {each}" for kind, each in inputs)
    last = "" if answer is None else f", {answer.kind} &answer"
    lines = [
        f"int {name}(struct soap *soap{declared}{last})",
        "{",
        f"    struct {name} request;",
        f"    soap_default_{name}(soap, &request);",
        *(f"    request.{each} = {each};" for _, each in inputs),
        "    if (check(soap))",
        "        return soap->error;",
        f'    note(soap, "{name}", write_body(&request, soap_put_{name}, soap_serialize_{name}, "{_tag(name)}"));',
        *(f"    if (refuses(soap, {each}))\n        return soap->error;" for _, each in inputs),
    ]
    if answer is None:
        return "\n".join([*lines, "    return soap_send_empty_response(soap, 202);", "}", ""])
    lines += [
        f"    {answer.message} *whole = {answer.read('planned(soap)', f'reply_of({chr(34)}{name}{chr(34)})')};",
        "    if (!whole)",
        '        return soap_receiver_fault(soap, "the planned answer cannot be read", NULL);',
        "    answer = *whole;" if answer.field is None else f"    take_part(answer, whole->{answer.field});",
        "    detach(soap, answer);",
        "    return finish(soap);",
        "}",
        "",
    ]
    return "\n".join(lines)
