"""Where the processor's time of the full path goes: py-spy samples the gateway, a picture shows the parts.

py-spy is no part of the lock; it is looked for on the PATH and in a virtual environment of the cache folder.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bars import Bar, picture
from benchmarks.measures import of_deliveries
from benchmarks.optional import Missing, cache
from benchmarks.options import Options
from benchmarks.processes import cpu_seconds, thread_seconds
from benchmarks.report import circumstances
from benchmarks.subjects import ROOT, folder, gateway, server

HOW_TO_GET = """py-spy is not here. It stays outside the checkout and its lock; get it once, then try again:
  python3 -m venv {folder} && {folder}/bin/pip install py-spy"""
RATE = 250
"""samples a second"""
PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("HTTP in", ("adapters/http_server", "adapters/http_surface", "adapters/http_body", "adapters/http_paths",
                 "adapters/http_a", "adapters/http_keys", "adapters/http_rate", "web/", "aiohttp/web")),
    ("door", ("pipe/door", "pipe/room", "pipe/answering", "pipe/clock")),
    ("steps", ("transformers/", "pipe/steps/", "pipe/expression", "pipe/jmes", "pipe/functions", "pipe/prepared")),
    ("store", ("pipe/store/",)),
    ("HTTP out", ("adapters/http_client", "adapters/http_line", "adapters/http_transport", "adapters/http_outbound",
                  "adapters/http_replies", "adapters/http_network", "aiohttp/client", "aiohttp/connector",
                  "pipe/connection", "pipe/overdue", "pipe/rate")),
    ("station", ("pipe/stations/", "pipe/outcomes", "pipe/engine", "pipe/scheduler", "pipe/gathering",
                 "pipe/inflight", "pipe/route", "pipe/retry", "pipe/upkeep", "pipe/confirming")),
    ("metrics", ("monitoring/", "pipe/events", "prometheus_client/")),
)  # fmt: skip
LOOP, OTHER = "event loop", "other"
_IDLE = {("_worker", "concurrent/futures/thread.py"), ("Writer._run", "pipe/store/writer.py")}
"""innermost calls of threads that wait for work"""
FUNCTIONS = 3
"""named below each bar"""
_FRAME = re.compile(r"(?P<function>.+) \((?P<file>[^()]+?)(?::[0-9]+)?\)")
_THREAD = re.compile(r"thread \(([0-9]+)\)")
_PATHS = sysconfig.get_paths()
_BASES = tuple(f"{base}/" for base in (_PATHS["purelib"], _PATHS["platlib"], _PATHS["stdlib"], ROOT))
_FRAMEWORK = ("asyncio/", "uvloop/", "pipe/__main__", "pipe/cli/", "pipe/app", "typer/", "<frozen")


@dataclass(frozen=True, slots=True)
class Stack:
    """Where a thread was, and in how many samples."""

    thread: int
    frames: tuple[tuple[str, str], ...]
    """function and file, the outermost call first; files as from the folder on Python's path"""
    times: int


def profile(options: Options) -> str:
    """Draws the picture; returns what docs/benchmarks.md says of it. Raises Missing where py-spy is not here."""
    spy = sampler()
    with ExitStack() as stack:
        backend = stack.enter_context(server("benchmarks.backend"))
        pipe = stack.enter_context(gateway(stack.enter_context(folder()) / "data", backend))
        deliveries = of_deliveries(pipe.url("full"), backend)
        deliveries(min(1, options.seconds))
        before = cpu_seconds(pipe.pid)
        messages = deliveries(options.seconds).count
        micros = (cpu_seconds(pipe.pid) - before) / messages * 1e6
        sampling, start = stack.enter_context(_sampling(spy, pipe.pid, options.seconds)), thread_seconds(pipe.pid)
        deliveries(options.seconds)
        spent = {thread: end - start.get(thread, 0) for thread, end in thread_seconds(pipe.pid).items()}
        stacks = list(stacks_of(sampling()))
    bars = bars_of(stacks, spent)
    title = f"A message of the full path: {micros:.0f} µs of processor"
    options.picture.write_text(picture(title, micros, bars), encoding="utf-8")
    how = circumstances(f"{sum(one.times for one in stacks):,} samples by py-spy. {options.load}")
    shares = ", ".join(f"{bar.name} {bar.share:.0%}" for bar in bars)
    return f"{how}\n\n![{title}: {shares}]({options.picture.name})"


def stacks_of(raw: str) -> Iterator[Stack]:
    """Of py-spy's raw format, `thread (number): name;function (file:line);… times`; idle ones are left out."""
    for line in raw.splitlines():
        calls, _, times = line.rpartition(" ")
        thread, _, rest = calls.partition(";")
        found = (_FRAME.fullmatch(call) for call in rest.split(";"))
        number = _THREAD.match(thread)
        assert number is not None, f"py-spy's samples begin with the thread, not with {thread!r}"
        frames = tuple((one["function"], _short(one["file"])) for one in found if one)
        if frames[-1:] and frames[-1] not in _IDLE:
            yield Stack(int(number[1]), frames, int(times))


def part_of(stack: Stack) -> str:
    """The part that the innermost call with a part belongs to: what a library does, it does for its caller."""
    for _, file in reversed(stack.frames):
        for part, files in PARTS:
            if file.startswith(files):
                return part
    return LOOP if all(file.startswith(_FRAMEWORK) for _, file in stack.frames) else OTHER


def bars_of(stacks: Sequence[Stack], spent: Mapping[int, float]) -> list[Bar]:
    """A bar for each part, with the functions that were met most in it.

    Samples tell how a thread's time is divided; how much it had of the processor is known from `spent`, in seconds.
    """
    of_thread: Counter[int] = Counter()
    for stack in stacks:
        of_thread[stack.thread] += stack.times
    times: defaultdict[str, float] = defaultdict(float)
    functions: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for stack in stacks:
        part = part_of(stack)
        times[part] += spent.get(stack.thread, 0.0) * stack.times / of_thread[stack.thread]
        function, file = stack.frames[-1]
        functions[part][f"{Path(file).stem}: {function}"] += stack.times
    total = sum(times.values()) or 1
    order = [*(name for name, _ in PARTS), LOOP, OTHER]
    return [
        Bar(name, times[name] / total, [function for function, _ in functions[name].most_common(FUNCTIONS)])
        for name in order
        if times[name]
    ]


@contextmanager
def _sampling(spy: str, pid: int, seconds: float) -> Iterator[Callable[[], str]]:
    """Samples a process for so many seconds from now on; what it gives waits for the end and returns the samples.

    That raises Missing where the system does not let one process look into another.
    """
    with tempfile.TemporaryDirectory() as temporary:
        raw = Path(temporary) / "raw"
        command = [spy, "record", "--pid", str(pid), "--format", "raw", "--full-filenames", "--threads"]
        command += ["--rate", str(RATE), "--duration", str(max(1, round(seconds))), "--output", str(raw)]
        started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

        def ended() -> str:
            _, words = started.communicate(timeout=seconds + 60)
            if started.returncode != 0:
                raise Missing(f"py-spy ended with {started.returncode}: {words.strip()[-500:]}")
            return raw.read_text(encoding="utf-8")

        try:
            yield ended
        finally:
            started.kill()
            started.communicate()


def sampler() -> str:
    """The sampler. Raises Missing."""
    own = cache() / "py-spy"
    found = shutil.which("py-spy") or shutil.which("py-spy", path=own / "bin")
    if found is None:
        raise Missing(HOW_TO_GET.format(folder=own))
    return found


def _short(file: str) -> str:
    """A file as from the folder on Python's path that holds it."""
    for base in _BASES:
        if file.startswith(base):
            return file[len(base) :]
    return file
