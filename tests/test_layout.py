"""Imports point one way: entry points -> drivers -> handlers -> rims -> vendors -> values; see callsign/__init__.py.

Imports inside functions count too: they are late for speed, not to get round this.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
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

AGI = Path(__file__).resolve().parents[1] / "agi"
PACKAGE = AGI / "callsign"

# From the top; a module may import from its own layer and those below.  "x.*" is a folder.
LAYERS = {
    "entry points": [
        "commands",
        "command_runs",
        "admin",
        "access",
        "tried_as",
        "unit_limits",
        "shell_call",
        "shell_process",
        "inspection",
        "online_check",
        "nagios_check",
        "mor_command",
        "cdr_*",
        "agi_debug",
        "demo",
    ],
    "drivers": [
        "serving",
        "fastagi_server",
        "agi_script",
        "answering",
        "asking",
        "keeping",
        "overdue",
        "calls_first",
        "delivery",
        "lane_workers",
        "lanes",
        "job_order",
        "election",
        "lost_sections",
        "metrics",
        "metrics_page",
        "outcomes",
        "peer_log",
        "script_*",
        "waiting_peers",
    ],
    "handlers": ["handlers", "dialplan_step"],
    "rims": [
        "config",
        "outbox",
        "outbox_*",
        "http_transport",
        "http_connections",
        "http_answers",
        "http_dialing",
        "http_faults",
        "agi_session",
        "agi_block",
        "agi_connection",
        "bounded_lines",
        "kernel_timeouts",
        "listening",
        "own_call",
        "service_manager",
        "store_owner",
    ],
    "vendors": ["vendors", "vendors.*"],
    "values": [
        *(
            "settings",
            "stderr_queue",
            "config_values",
            "config_text",
            "secret",
            "phone_numbers",
            "notification",
            "question",
            "http_messages",
        ),
        "conversations",
        "nonces",
        *(
            "retry_schedule",
            "clocks",
            "record",
            "fault_place",
            "fault_status",
            "file_lock",
            "doorbell",
            "thread_starts",
            "",
        ),  # "" is callsign's own __version__
    ],
}
OTHER_ENDS = {
    "the stand-in vendors": ["sandbox", "sandbox.*"],
    "Asterisk's side": ["asterisk_side", "asterisk_side.*"],
}

# What belongs to one module alone: everything else goes through it.
ONLY_DOOR = {
    "sqlite3": ["outbox", "outbox_*"],
    "requests": ["http_connections"],
    "urllib3": ["http_transport", "http_connections", "http_faults"],
    "asterisk": ["agi_session"],
    "tomli": ["config_text"],
    "phonenumbers": ["phone_numbers"],
    "prometheus_client": ["metrics", "metrics_page"],
}

# A vendor reads no clock, file, socket or chance itself; noojee's memory has a lock and a default clock of callsign's.
NOT_FOR_VENDORS = {"socket", "ssl", "http", "os", "io", "pathlib", "subprocess", "time", "random", "secrets", "logging"}


def belongs(module: str, names: list[str]) -> bool:
    return any(fnmatchcase(module, name) for name in names)


def name_of(file: Path) -> str:
    """A module's name within callsign, "" for the package itself."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


MODULES = {name_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


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


def own_imports(module: str) -> set[str]:
    """The modules of callsign that `module` imports."""
    found = set()
    for name in imports(MODULES[module]):
        if name.partition(".")[0] == "callsign":
            inner = name.partition(".")[2]
            while inner not in MODULES:
                inner = inner.rpartition(".")[0]
            found.add(inner)
    return found


def place_of(module: str) -> str:
    places = [place for place, names in {**LAYERS, **OTHER_ENDS}.items() if belongs(module, names)]
    assert len(places) == 1, f"give callsign/{module.replace('.', '/')}.py one place in LAYERS, it has {places}"
    return places[0]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_one_place_and_imports_downwards(module: str) -> None:
    place = place_of(module)
    order = list(LAYERS)
    for imported in own_imports(module):
        other = place_of(imported)
        if place in OTHER_ENDS:
            assert other == place, f"{place} shares no code with the rest, but imports {imported}"
        elif other in OTHER_ENDS:
            assert place == "entry points", f"only a command starts {other}"
        else:
            assert order.index(other) >= order.index(place), f"{module} ({place}) imports {imported} ({other})"


@pytest.mark.parametrize("module", [name for name in MODULES if belongs(name, LAYERS["vendors"])])
def test_a_vendor_imports_no_rim_and_does_no_input_or_output(module: str) -> None:
    assert not [name for name in own_imports(module) if belongs(name, LAYERS["rims"])]
    assert not NOT_FOR_VENDORS & {name.partition(".")[0] for name in imports(MODULES[module])}


@pytest.mark.parametrize("module", [name for name in MODULES if belongs(name, ["outbox", "outbox_*"])])
def test_the_outbox_knows_no_vendor(module: str) -> None:
    assert not [name for name in own_imports(module) if belongs(name, ["vendors", "vendors.*", "handlers", "settings"])]


@pytest.mark.parametrize("library", ONLY_DOOR)
def test_a_library_has_one_door(library: str) -> None:
    users = {module for module, file in MODULES.items() if library in {n.partition(".")[0] for n in imports(file)}}
    assert users
    assert all(belongs(module, ONLY_DOOR[library]) for module in users)


@pytest.mark.parametrize("module", [name for name in MODULES if place_of(name) in LAYERS])
def test_no_class_is_made_by_dataclasses_for_calls_wait_for_a_start(module: str) -> None:
    assert "dataclasses" not in {name.partition(".")[0] for name in imports(MODULES[module])}


@pytest.mark.parametrize("start", ["serving", "agi_script"])
def test_a_start_loads_nothing_long_that_no_call_needs(start: str) -> None:
    needless = ["dataclasses", "inspect", "argparse", "requests", "phonenumbers", "email", "callsign.vendors.hawk"]
    code = f"import sys, callsign.{start}; print([name for name in {needless} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(AGI)}, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_only_the_session_is_made_of_pyst2() -> None:
    heirs = {
        module: node.name
        for module, file in MODULES.items()
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).split(".")[-1] == "AGI" for base in node.bases)
    }
    assert heirs == {"agi_session": "AgiSession"}


def test_no_two_modules_import_each_other() -> None:
    open_ones = {module: own_imports(module) - {module, ""} for module in MODULES}
    while free := {module for module, others in open_ones.items() if not others & open_ones.keys()}:
        open_ones = {module: others for module, others in open_ones.items() if module not in free}
    assert not open_ones


def test_entry_scripts_only_start_what_the_package_has() -> None:
    scripts = [*(AGI / "bin").iterdir(), *(AGI / "agi-bin").iterdir()]
    assert {script.name for script in scripts if script.is_file()} == {"callsign", "agi-debug", "callsign.agi"}
    for script in scripts:
        for name in imports(script):
            top = name.partition(".")[0]
            assert top in sys.stdlib_module_names or name.partition(".")[2].partition(".")[0] in MODULES


def test_the_map_names_modules_that_are_there() -> None:
    for names in (*LAYERS.values(), *OTHER_ENDS.values(), *ONLY_DOOR.values()):
        for name in names:
            assert any(fnmatchcase(module, name) for module in MODULES), f"there is no {name}"


def test_a_system_is_in_every_registry() -> None:
    assert set(SYSTEMS) == set(VENDORS) == set(sandbox.VENDORS)
    assert set(SYSTEMS) == {name for name, field in fields(Settings).items() if field.default is None}
    assert set(SYSTEMS) < set(SECTIONS)
    for system in SYSTEMS:
        assert (Path(__file__).parent / f"test_{system}.py").is_file()


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
