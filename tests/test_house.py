"""The house itself: what is locked, how `dev` sets up, which way imports run, when a test may be skipped."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import order

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("pipe", "adapters", "transformers", "flows", "monitoring", "web", "partners")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

OLD_PYTHON = "#!/bin/sh\necho 3.8\n"
PYTHON_WITHOUT_VENV = '#!/bin/sh\ncase "$*" in *version_info*) echo 3.12 ;; *) exit 1 ;; esac\n'

# Makes a venv that holds itself, notes in `log` what it was asked for, and leaves the rest to the real Python.
NOTING_PYTHON = f"""#!/bin/sh
case "$*" in
    *"-m venv"*)
        for venv; do :; done
        echo venv >>"$LOG"
        mkdir -p "$venv/bin" "$venv/lib/python3.11/site-packages"
        cp "$0" "$venv/bin/python" ;;
    *"-m pip "*) echo install >>"$LOG"; sleep 0.3; echo chatter ;;
    *"-m pipe"* | *"-m pytest"*) shift 2; echo "deep=$PIPE_DEEP $*" ;;
    *) exec '{sys.executable}' "$@" ;;
esac
"""


def locked() -> dict[str, list[str]]:
    """The pinned versions by package; a package may have one for each Python."""
    pins: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", LOCK, flags=re.MULTILINE):
        pins.setdefault(canonicalize_name(name), []).append(version)
    return pins


class House:
    """A checkout with nothing in it but `dev` and a lock, and a Python of the test's choice on the path."""

    def __init__(self, folder: Path, python3: str, *, path: str = "") -> None:
        self.folder = folder / "checkout"
        self.log = folder / "log"
        tools = folder / "tools"
        self.folder.mkdir()
        tools.mkdir()
        shutil.copy(ROOT / "dev", self.folder)
        (self.folder / "requirements.lock").write_text("", encoding="utf-8")
        (tools / "python3").write_text(python3, encoding="utf-8")
        (tools / "python3").chmod(0o755)
        (tools / "dirname").symlink_to(str(shutil.which("dirname")))
        self.environment = {"PATH": f"{tools}:{path}".rstrip(":"), "LOG": str(self.log)}

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Starts `./dev` with these arguments."""
        return subprocess.Popen(
            [self.folder / "dev", *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """The exit code, standard output and standard error of `./dev` with these arguments."""
        process = self.start(*arguments, **environment)
        output, words = process.communicate(timeout=60)
        return process.returncode, output, words

    def logged(self) -> list[str]:
        """What the noting Python was asked for so far."""
        return self.log.read_text(encoding="utf-8").split()


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A checkout whose Python notes what it is asked for."""
    return House(tmp_path, NOTING_PYTHON, path=os.environ["PATH"])


def test_lock_names_no_host() -> None:
    """The lock works with any registry: it names no address and no option of pip but hashes."""
    assert "://" not in LOCK
    assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", LOCK)) == {"--hash"}


def test_every_locked_package_has_a_hash() -> None:
    """Nothing is installed that is not, byte for byte, what was locked."""
    entries = re.split(r"^(?=[A-Za-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert entries
    assert [entry.split()[0] for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []
    assert [entry.split()[0] for entry in entries if not re.match(r"[A-Za-z0-9._-]+==[^\s;]+", entry)] == []


@pytest.mark.parametrize("wanted", PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"])
def test_every_dependency_is_locked_within_its_range(wanted: str) -> None:
    """The one lock holds what runs the gateway and what tests it, in versions that pyproject.toml allows."""
    requirement = Requirement(wanted)
    versions = locked().get(canonicalize_name(requirement.name), [])
    assert versions
    assert [version for version in versions if version not in requirement.specifier] == []


def test_the_files_that_are_begun_first_exist() -> None:
    """One that was renamed would come last, and run alone."""
    assert [file for file in order.FIRST if not (ROOT / "tests" / file).is_file()] == []
    begun = sorted(["tests/pipe/test_log.py::test_a", f"tests/{order.FIRST[1]}::test_b"], key=order.place)
    assert begun[-1] == "tests/pipe/test_log.py::test_a"


def test_dev_says_the_cure_for_an_old_python(tmp_path: Path) -> None:
    """One line names what was found, what is needed and the command that mends it."""
    code, output, words = House(tmp_path, OLD_PYTHON).run("pipe")
    assert (code, output, words.count("\n")) == (2, "", 1)
    assert "3.11 or newer is needed, found only 3.8" in words
    assert "Cure: apt install python3 python3-venv" in words


def test_dev_says_the_cure_for_a_python_without_venv(tmp_path: Path) -> None:
    """One line names the Debian package that is missing."""
    code, output, words = House(tmp_path, PYTHON_WITHOUT_VENV).run("pipe")
    assert (code, output, words.count("\n")) == (2, "", 1)
    assert words.endswith("Cure: apt install python3-venv\n")


def test_dev_sets_up_once_and_without_a_word_on_standard_output(house: House) -> None:
    """The second command finds nothing to do and says nothing."""
    first, second = house.run("pipe", "lint"), house.run("pipe", "lint")
    assert first[:2] == second[:2] == (0, "deep= lint\n")
    assert second[2] == ""
    assert house.logged() == ["venv", "install"]


def test_dev_installs_again_when_the_lock_changes(house: House) -> None:
    """A changed lock updates the packages and keeps the environment."""
    house.run("pipe")
    (house.folder / "requirements.lock").write_text("# new\n", encoding="utf-8")
    assert house.run("pipe")[0] == 0
    assert house.logged() == ["venv", "install", "install"]


def test_two_devs_at_once_set_up_once(house: House) -> None:
    """The second waits for the first and uses what it made."""
    processes = [house.start("pipe", "lint") for _ in range(3)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert outputs == ["deep= lint\n"] * 3
    assert house.logged() == ["venv", "install"]


def test_set_up_puts_the_checkout_on_the_path(house: House) -> None:
    """The line of the .pth file leads from site-packages back to the checkout."""
    house.run("pipe")
    (site,) = (house.folder / ".venv").glob("lib/python*/site-packages")
    assert (site / (site / "pipe-gateway.pth").read_text(encoding="utf-8").strip()).resolve() == house.folder.resolve()


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ([], {}, "--config connections.yaml --data data --listen 127.0.0.1:8080 --partners"),
        (
            ["--data", "d", "--listen=:1", "--no-partners"],
            {},
            "--config connections.yaml --data d --listen=:1 --no-partners",
        ),
        (["--json"], {"PIPE_DATA": "d", "PIPE_LISTEN": ":1", "PIPE_CONFIG": "c", "PIPE_PARTNERS": "0"}, "--json"),
    ],
)
def test_dev_run_adds_only_what_was_not_given(
    house: House, arguments: list[str], environment: dict[str, str], expected: str
) -> None:
    """An argument or a PIPE_… variable takes the place of the default."""
    assert house.run("run", *arguments, **environment)[1] == f"deep= run {expected}\n"


def test_dev_test_deep_is_ours_and_the_rest_is_pytests(house: House) -> None:
    """`--deep` sets PIPE_DEEP and does not reach pytest; every other argument does, unchanged."""
    _, output, _ = house.run("test", "-k", "two words", "--deep", "-x")
    assert output.startswith("deep=1 ")
    assert output.endswith(" -k two words -x\n")


def test_adapters_import_one_another_only_through_helpers_of_a_protocol() -> None:
    """Adapters are independent; what they share lives in modules named for it: http_…, soap_… for SOAP, files."""
    graph = grimp.build_graph("adapters", cache_dir=None)
    wrong = [
        f"{module} imports {target}"
        for module in sorted(graph.find_descendants("adapters"))
        for target in sorted(graph.find_modules_directly_imported_by(module))
        if target.split(".")[1:2] != module.split(".")[1:2]
        and not target.startswith("adapters.http_")
        and not (module.startswith("adapters.soap_") and target.startswith("adapters.soap_"))
        and not (module.split(".")[1] in {"file_folder", "ftp", "sftp"} and target.startswith("adapters.files"))
    ]
    assert wrong == []


class Suite:
    """A small suite under our conftest, run by a pytest of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tests").mkdir()
        for name in ("__init__.py", "conftest.py", "order.py"):
            shutil.copy(ROOT / "tests" / name, folder / "tests")
        (folder / "pytest.ini").write_text("[pytest]\nmarkers = deep: long\n", encoding="utf-8")

    def outcome(self, source: str, **environment: str) -> tuple[int, str]:
        """Pytest's exit code and words for a test file of this source."""
        (self.folder / "tests" / "test_it.py").write_text(f"import pytest\n{source}", encoding="utf-8")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIPE_", "PYTEST_"))}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rA", "tests/test_it.py"],
            cwd=self.folder,
            # No plugin plays a part here, and to load them all takes longer than the tests.
            env={**clean, **environment, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """A small suite under our conftest."""
    return Suite(tmp_path)


SKIPS = {
    "mark": "@pytest.mark.skip(reason='no broker')\ndef test_it(): pass\n",
    "call": "def test_it(): pytest.skip('no broker')\n",
    "fixture": "@pytest.fixture\ndef broker(): pytest.skip('no broker')\ndef test_it(broker): pass\n",
    "module": "pytest.skip('no broker', allow_module_level=True)\n",
}


@pytest.mark.parametrize("source", SKIPS.values(), ids=SKIPS)
def test_skip_is_a_failure_where_everything_must_run(suite: Suite, source: str) -> None:
    """Where PIPE_NO_SKIP=1 a missing tool fails the run, however the test skips, and the reason is still told."""
    code, words = suite.outcome(source, PIPE_NO_SKIP="1")
    assert code != 0
    assert "must run here (PIPE_NO_SKIP=1) but was skipped: Skipped: no broker" in words


def test_skip_is_a_skip_elsewhere(suite: Suite) -> None:
    """On a laptop a missing tool skips its tests."""
    code, words = suite.outcome(SKIPS["call"])
    assert code == 0
    assert "1 skipped" in words


def test_expected_failure_is_no_skip(suite: Suite) -> None:
    """A test marked xfail stays an expected failure where everything must run."""
    code, words = suite.outcome("@pytest.mark.xfail\ndef test_it(): assert False\n", PIPE_NO_SKIP="1")
    assert code == 0
    assert "1 xfailed" in words


@pytest.mark.parametrize(
    ("environment", "expected"), [({}, "1 passed, 1 deselected"), ({"PIPE_DEEP": "1"}, "2 passed")]
)
def test_deep_runs_only_when_asked_for(suite: Suite, environment: dict[str, str], expected: str) -> None:
    """A long sweep is left out unless PIPE_DEEP=1, and pytest says that it was."""
    source = "def test_short(): pass\n@pytest.mark.deep\ndef test_long(): pass\n"
    assert expected in suite.outcome(source, **environment)[1]


def test_every_blind_except_stands_at_a_boundary_and_says_so() -> None:
    """`except Exception` hides defects, so each one names the boundary that it guards."""
    silent = [
        f"{path.relative_to(ROOT)}:{number}"
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"except \(?(Base)?Exception\b", line)
        and "boundary" not in line
        and "raise" not in _next(path, number)
    ]
    assert silent == []


def _next(path: Path, number: int) -> str:
    """The three lines after a line."""
    return " ".join(path.read_text(encoding="utf-8").splitlines()[number : number + 3])
