"""`help TOPIC`: what README leaves out, one text file of help/ for each topic; its first line is its title."""

from __future__ import annotations

from importlib.resources import files

TEXTS = files("callsign.commands") / "help"


def topics() -> dict[str, str]:
    """Each topic with its title."""
    names = sorted(text.name for text in TEXTS.iterdir() if text.name.endswith(".txt"))
    return {name.removesuffix(".txt"): (TEXTS / name).read_text("utf-8").partition("\n")[0] for name in names}


def text_of(topic: str) -> str:
    """The text of a topic.  Raises ValueError if there is none of that name."""
    known = topics()
    if topic not in known:
        raise ValueError(f"there is no topic {topic!r}; there are: {', '.join(known)}")
    return (TEXTS / f"{topic}.txt").read_text("utf-8")
