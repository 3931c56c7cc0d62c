"""Classes that are their fields, written as those of `dataclasses` are:

    class Answer(Record):
        status: int
        body: bytes = field(repr=False)
        at: float = 0.0

`dataclasses` writes and compiles code for each class, and loads half a compiler to do so: a quarter of the time that
calls wait for a server's start, and for that of a plain script.  Here all classes share the methods below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # mypy brings it
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_):
        return lambda kind: kind


MISSING: Any = object()


class Field:
    """What is known of a field besides its name."""

    def __init__(
        self,
        default: Any = MISSING,
        default_factory: Callable[[], Any] | None = None,
        repr: bool = True,
        compare: bool = True,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.default, self.default_factory = default, default_factory
        self.repr, self.compare, self.metadata = repr, compare, metadata or {}

    @property
    def has_default(self) -> bool:
        """Whether it need not be given."""
        return self.default is not MISSING or self.default_factory is not None


def field(**about: Any) -> Any:
    """The right side of a field's line where a default does not say enough: a `Field` of these."""
    return Field(**about)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class _RecordType(type):
    """Gives a class the slots of its fields; with `frozen=False` its objects can be changed, and no two are equal."""

    _fields: dict[str, Field]
    _slots: list[tuple[str, Callable[[Any, Any], None], Field]]
    """The fields in their order; the functions set them, past a `__setattr__` that refuses it."""

    def __new__(cls, name: str, bases: tuple[type, ...], members: dict[str, Any], frozen: bool = True) -> _RecordType:
        said = {name: members.pop(name, MISSING) for name in members.get("__annotations__", ())}
        members["__slots__"] = tuple(said)
        if not frozen:
            members |= {name: getattr(object, name) for name in ("__setattr__", "__eq__", "__hash__")}
        made = super().__new__(cls, name, bases, members)
        made._fields = {name: about if isinstance(about, Field) else Field(about) for name, about in said.items()}
        made._slots = [(name, made.__dict__[name].__set__, about) for name, about in made._fields.items()]
        return made


class Record(metaclass=_RecordType):
    """An object that is its fields: not to be changed, and equal to another of its class with the same."""

    def __init__(self, *values: Any, **named: Any) -> None:
        kind = type(self)
        left = iter(kind._slots)  # a call waits while some ten of these are made: no dictionary for each
        for value, (_, set_slot, _) in zip(values, left, strict=False):
            set_slot(self, value)
        for name, set_slot, about in left:
            if name in named:
                set_slot(self, named.pop(name))
            elif about.default_factory is not None:
                set_slot(self, about.default_factory())
            elif about.default is not MISSING:
                set_slot(self, about.default)
            else:
                named[name] = MISSING
        if named or len(values) > len(kind._slots):
            raise TypeError(f"{kind.__name__} takes {', '.join(kind._fields)}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} is not to be changed")

    def __repr__(self) -> str:
        shown = [f"{name}={getattr(self, name)!r}" for name, about in type(self)._fields.items() if about.repr]
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and _compared(other) == _compared(self)

    def __hash__(self) -> int:
        return hash(_compared(self))


def _compared(record: Record) -> tuple[object, ...]:
    return tuple([getattr(record, name) for name, about in fields(type(record)).items() if about.compare])


def fields(kind: type[Record]) -> dict[str, Field]:
    """A class's fields by name, in their order."""
    return kind._fields


def asdict(record: Record) -> dict[str, Any]:
    """Its fields' values by name."""
    return {name: getattr(record, name) for name in type(record)._fields}


R = TypeVar("R", bound=Record)


def replace(record: R, **changes: Any) -> R:
    """Another of its class, with some fields changed."""
    return type(record)(**{**asdict(record), **changes})
