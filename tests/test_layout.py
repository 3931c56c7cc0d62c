"""The rooms of agi/callsign, and which way imports go: a folder is a room, and so is each module beside the folders.

Imports inside functions count too: they are late for speed, not to get round this.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from callsign import SYSTEMS
from callsign.record import fields
from callsign.sandbox.vendors import sandbox
from callsign.settings.sections import SECTIONS, Settings
from callsign.steps.handlers import HANDLERS, Notify
from callsign.vendors.interface import Ask
from callsign.vendors.registry import VENDORS
from product import bare_environment

pytestmark = pytest.mark.xdist_group("layout")  # each process would read the whole package for itself

AGI = Path(__file__).resolve().parents[1] / "agi"
PACKAGE = AGI / "callsign"

BELOW = {"agi", "steps", "delivery", "cluster", "outbox", "vendors", "http", "settings"}

MAY_IMPORT = {  # besides the modules beside the folders; "x.y" is that module of x alone
    "agi": set[str](),
    "http": set[str](),
    "settings": set[str](),
    "outbox": set[str](),
    "vendors": {"http.messages", "settings.sections", "settings.secret"},
    "delivery": {"outbox", "vendors", "http.messages", "settings"},
    "cluster": {"delivery.gate", "outbox", "settings", "vendors.registry"},
    "steps": {"agi.session", "agi.block", "agi.connection", "agi.fault_status", "outbox.outbox", "vendors", "settings"},
    "server": BELOW,
    "script": BELOW,
    "commands": BELOW | {"server", "script", "sandbox"},
    "sandbox": set[str](),  # nor anything else: it shares no code with what it plays with
}

MOST_ARROWS, MOST_LEVELS = 90, 7
MOST_ARROWS_OF_CLUSTER = 12  # its own and those to it, counted beside the others: most hosts have none

# What belongs to one room or module alone: everything else goes through it.
ONLY_DOOR = {
    "sqlite3": "outbox",
    "requests": "http",
    "urllib3": "http",
    "asterisk": "agi.pyst2",
    "tomli": "settings.text",
    "phonenumbers": "phone_numbers",
    "prometheus_client": "server",
    "psycopg": "cluster.connection",
}

# A vendor reads no clock, file, socket or chance itself; noojee's memory has a lock and a default clock of callsign's.
NOT_FOR_VENDORS = {"socket", "ssl", "http", "os", "io", "pathlib", "subprocess", "time", "random", "secrets", "logging"}


def name_of(file: Path) -> str:
    """A module's name within callsign, "" for the package itself."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


MODULES = {name_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}
FOLDERS = {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
PACKAGES = [name for name in MODULES if (PACKAGE / name.replace(".", "/") / "__init__.py").is_file()]


def room_of(module: str) -> str:
    return module.partition(".")[0]


def is_in(module: str, place: str) -> bool:
    return module == place or module.startswith(f"{place}.")


OF_VENDORS = [name for name in MODULES if is_in(name, "vendors")]


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def imports(file: Path) -> frozenset[str]:
    """The full names of all that a file imports, modules and what it takes from them."""
    return frozenset(_imports(tree_of(file)))


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide where they point"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def libraries(module: str) -> set[str]:
    """The packages that it imports."""
    return {name.partition(".")[0] for name in imports(MODULES[module])}


def own_imports(module: str) -> set[str]:
    """The modules of callsign that `module` imports; its names (__version__, SYSTEMS) belong to no room."""
    found = set()
    for name in imports(MODULES[module]):
        if name.partition(".")[0] == "callsign":
            inner = name.partition(".")[2]
            while inner not in MODULES:
                inner = inner.rpartition(".")[0]
            found.add(inner)
    return found - {""}


def arrows() -> set[tuple[str, str]]:
    """From which room to which other there is an import."""
    all_arrows = {(room_of(module), room_of(other)) for module in MODULES for other in own_imports(module)}
    return {(room, other) for room, other in all_arrows if room != other}


def longest_way(room: str, open_ways: set[tuple[str, str]], behind: tuple[str, ...] = ()) -> int:
    assert room not in behind, f"a circle: {' -> '.join((*behind, room))}"
    return 1 + max((longest_way(to, open_ways, (*behind, room)) for of, to in open_ways if of == room), default=0)


def test_a_room_imports_only_what_the_table_says() -> None:
    for module in MODULES:
        room = room_of(module)
        for other in own_imports(module):
            to = room_of(other)
            if to == room:
                continue
            if to in FOLDERS or room == "sandbox":
                allowed = MAY_IMPORT.get(room, set())
                assert any(is_in(other, place) for place in allowed), f"{module} must not import {other}"


def test_every_folder_is_in_the_table() -> None:
    assert set(MAY_IMPORT) == FOLDERS


def test_the_arrows_between_the_rooms_are_few_and_go_in_no_circle() -> None:
    ways = arrows()
    of_cluster = {way for way in ways if "cluster" in way}
    alone = ways - of_cluster
    assert len(alone) <= MOST_ARROWS
    assert len(of_cluster) <= MOST_ARROWS_OF_CLUSTER
    assert max(longest_way(room, ways) for room, _ in ways) <= MOST_LEVELS


def test_a_vendor_does_no_input_or_output() -> None:
    assert [module for module in OF_VENDORS if libraries(module) & NOT_FOR_VENDORS] == []


def test_a_vendor_sees_its_own_section_and_not_the_settings_with_the_others_keys() -> None:
    whole = "callsign.settings.sections.Settings"
    assert [module for module in OF_VENDORS if whole in imports(MODULES[module])] == []


@pytest.mark.parametrize("library", ONLY_DOOR)
def test_a_library_has_one_door(library: str) -> None:
    users = {module for module in MODULES if library in libraries(module)}
    assert users
    assert all(is_in(module, ONLY_DOOR[library]) for module in users)


def test_only_the_session_is_made_of_pyst2() -> None:
    heirs = {
        module: node.name
        for module, file in MODULES.items()
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).split(".")[-1] == "AGI" for base in node.bases)
    }
    assert heirs == {"agi.session": "AgiSession"}


def test_no_two_modules_import_each_other() -> None:
    open_ones = {module: own_imports(module) - {module} for module in MODULES}
    while free := {module for module, others in open_ones.items() if not others & open_ones.keys()}:
        open_ones = {module: others for module, others in open_ones.items() if module not in free}
    assert not open_ones


def test_no_class_is_made_by_dataclasses_for_calls_wait_for_a_start() -> None:
    assert {room_of(module) for module in MODULES if "dataclasses" in libraries(module)} <= {"sandbox"}


@pytest.mark.parametrize("start", ["server.serve", "script.main"])
def test_a_start_loads_nothing_long_that_no_call_needs(start: str) -> None:
    needless = [
        "dataclasses",
        "inspect",
        "argparse",
        "requests",
        "phonenumbers",
        "email",
        "callsign.vendors.sraps.hawk",
    ]
    code = (  # logging brings some of them in Python 3.14
        f"import sys, logging; before = set(sys.modules); import callsign.{start}; "
        f"print([name for name in {needless} if name in sys.modules and name not in before])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=bare_environment(), capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


NOT_BEFORE_THE_STATUS = {  # of a call that waits for no vendor; each took a plain script 0.5 to 30 ms
    *("hashlib", "hmac", "ssl", "random", "secrets", "http", "email", "encodings.idna", "unicodedata", "difflib"),
    *("importlib.util", "six", "requests", "urllib3", "phonenumbers", "zoneinfo", "tempfile", "inspect"),
    *("callsign.http.transport", "callsign.delivery", "callsign.cluster", "callsign.server", "callsign.commands"),
    *("callsign.script.rounds", "callsign.outbox.reader", "callsign.vendors.signing"),
    *(f"callsign.vendors.{system}.conversation" for system in ("skarabee", "noojee")),
    *("callsign.vendors.mor.questions", "callsign.vendors.kalliope.last_call", "callsign.vendors.sraps.phones"),
}
NOT_BEFORE_THE_COMMIT = {"socket", "callsign.outbox.doorbell"}  # the writer rings behind it, beside the status

ANSWERS = """
import logging, sys, threading  # logging brings some of them in Python 3.14
known = set(sys.modules)
from callsign.script import main
loaded = set(sys.modules)
from callsign.steps.step import read_step
script = main._Script()
print(script.answer(read_step({"agi_callerid": "0478123456", "agi_uniqueid": "1700000000.1"}, *%r))["%sSTATUS"])
print(*(loaded - known))
print(*(set(sys.modules) - known))
"""


@pytest.mark.parametrize(
    ("args", "system"),
    [((["phoneto=056528998"], "skarabee"), "SKARABEE"), ((["201"], "noojee/start?wait=0"), "NOOJEE")],
)
def test_a_plain_scripts_call_has_its_status_before_what_it_does_not_need_is_loaded(
    args: tuple[list[str], str], system: str, tmp_path: Path
) -> None:
    settings = tmp_path / "callsign.toml"
    settings.touch(0o600)
    settings.write_text(
        f'[outbox]\npath = "{tmp_path}/outbox.db"\n[skarabee]\nurl = "https://crm.example/"\nbusinessid = "1"\n'
        'key = "k"\n[noojee]\nurl = "https://recorder.example/"\nkey = "k"\n'
    )
    environment = {**bare_environment(), "CALLSIGN_CONFIG": str(settings)}
    code = ANSWERS % (args, system)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    status, at_commit, at_status = done.stdout.splitlines() or ["", "", ""]
    assert status == "QUEUED", done.stderr
    assert not NOT_BEFORE_THE_COMMIT & set(at_commit.split())
    assert not NOT_BEFORE_THE_STATUS & set(at_status.split())


def test_entry_scripts_only_start_what_the_package_has() -> None:
    scripts = [*(AGI / "bin").iterdir(), *(AGI / "agi-bin").iterdir()]
    assert {script.name for script in scripts if script.is_file()} == {"callsign", "agi-debug", "callsign.agi"}
    for script in scripts:
        for name in imports(script):
            package, _, inner = name.partition(".")
            assert package in sys.stdlib_module_names or inner.rpartition(".")[0] in MODULES


def test_the_map_is_the_tree() -> None:
    doc = ast.get_docstring(tree_of(MODULES[""])) or ""
    named = re.findall(r"^    ([a-z_]+/?)  ", doc, re.MULTILINE)
    assert sorted(named) == sorted(
        [f"{room}/" if room in FOLDERS else room for room in {room_of(module) for module in MODULES} - {""}]
    )


@pytest.mark.parametrize("package", [name for name in PACKAGES if name])
def test_a_folder_says_what_is_in_it_and_holds_no_code_of_its_own(package: str) -> None:
    tree = tree_of(MODULES[package])
    assert [type(node) for node in tree.body] == [ast.Expr]
    doc = ast.get_docstring(tree) or ""
    for module in MODULES:
        if module.rpartition(".")[0] == package:
            assert re.search(rf"\b{module.rpartition('.')[2]}\b", doc), f"{package} does not say what {module} is"


def test_the_tests_stand_in_the_same_folders() -> None:
    tests = {folder.name for folder in Path(__file__).parent.iterdir() if any(folder.glob("test_*.py"))}
    assert tests >= FOLDERS


def test_a_system_is_in_every_registry() -> None:
    assert set(SYSTEMS) == set(VENDORS) == set(sandbox.VENDORS)
    assert set(SYSTEMS) == {name for name, field in fields(Settings).items() if field.default is None} - {"cluster"}
    assert set(SYSTEMS) < set(SECTIONS)
    for system in SYSTEMS:
        assert (Path(__file__).parent / f"vendors/test_{system}.py").is_file()


def test_every_path_belongs_to_a_system_and_does_what_its_vendor_offers() -> None:
    paths = set(HANDLERS) - {"ping"}
    assert {path.partition("/")[0] for path in paths} == set(SYSTEMS)
    assert {path for vendor in VENDORS.values() for path in vendor.asks} == {
        path for path in paths if isinstance(HANDLERS[path], Ask)
    }
    assert {path.partition("/")[0] for path in paths if isinstance(HANDLERS[path], Notify)} == {
        system for system, vendor in VENDORS.items() if vendor.converse
    }


def test_the_paths_are_those_of_the_contract() -> None:
    of_the_contract = {"skarabee", "noojee/start", "noojee/stop", "mor/balance", "mor/caller", "kalliope/lastcall"}
    assert set(HANDLERS) == of_the_contract | {"sraps/endpoint", "sraps/assign", "ping"}
